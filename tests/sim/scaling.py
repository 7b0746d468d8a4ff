"""A lease that scales through bursts of tasks: who asks dies, Slurm delays, refuses, loses answers, preempts, cancels.

What asks is what asks in earnest: a command that has queued tasks, each minute a process on the node of each job that
runs, one as a job leaves or is ended, now and then another command on a login host. What a runner does with tasks is
told here in short: it takes one, has it for its time, and puts it back if its job is ended.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

from leaseq.alloc_layout import AllocDir
from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, replace
from leaseq.heartbeat import Heartbeat, Running
from leaseq.lease.slurm import sbatch
from leaseq.lease.slurm.args import Checked
from leaseq.lease.slurm.asking import LINES
from leaseq.lease.slurm.sbatch import LeaseRequest, Prepared
from leaseq.lease.slurm.scaling import Pool, begin
from leaseq.lease.slurm.want import ASK_SECONDS
from leaseq.models import ANY
from leaseq.names import names_drawn_from
from leaseq.protocol import allocs, files, leaving, records, succession, terms
from leaseq.protocol.succession import How
from leaseq.world import Fs
from tests.build import make_entry
from tests.memoryfs import MemoryFs
from tests.sim.slurm import HOME
from tests.sim.succession import CALM, LIMIT_SECONDS, MINUTE, Chances, Job, World

MOST = 3
IDLE_SECONDS = 150.0
TURN_SECONDS = 5.0
BURSTS = 3
SECONDS_MAX = 30_000.0


@dataclass(frozen=True)
class Result:
    """What came of a history."""

    violation: str
    jobs: int
    done: int
    paused: int
    """So often it had paused, and somebody let it go on."""


class PoolWorld(World):
    """Slurm, one file server, tasks, and whoever asks."""

    chain: type[Pool]  # type: ignore[assignment]

    def __init__(self, seed: str, chances: Chances, *, pool: type[Pool], commands: bool) -> None:
        super().__init__(seed, chances, chain=pool)  # type: ignore[arg-type]
        self.tasks = Random(f"{seed} tasks")
        self.commands = commands
        """True if a command acts now and then besides those that queue tasks."""
        self.god = MemoryFs(self.disk)
        self.held: dict[str, str] = {}
        """The task that a job's node has."""
        self.done: list[str] = []
        self.queued = self.bursts = self.resumed = 0
        self.asked: list[float] = []
        """When each ask was claimed that Slurm has not refused."""
        self.problem = ""

    # -- tasks -------------------------------------------------------------------------------------

    def burst(self) -> None:
        """Some tasks are queued, and the command that did so sees to capacity."""
        self.bursts += 1
        for _ in range(self.tasks.randint(1, 6)):
            self.queued += 1
            name = str(make_entry(micros=self.queued))
            self.god.create(f"{self.directory.inbox(ANY)}/{name}", b"{}")
        self.process("submit", "login", lambda fs: self.look(fs, on_node=False))
        if self.bursts < BURSTS:
            self.scheduler.at(self.tasks.choice((30.0, 300.0, 1500.0)), self.burst)

    def _take(self, job: Job) -> bool:
        names = sorted(self.god.names(self.directory.inbox(ANY)))
        if names:
            self.held[job.id] = names[0]
            self.god.rename(f"{self.directory.inbox(ANY)}/{names[0]}", self._claim_of(job))
        return bool(names)

    def _claim_of(self, job: Job) -> str:
        return f"{self.directory.claimed(node_of(job))}/{self.held[job.id]}.{'0' * 10}"

    # -- its jobs ----------------------------------------------------------------------------------

    def script(self, fs: Fs, job: Job) -> None:
        made = self.asked_of(job).known_as(job.id, "here")
        stands = allocs.register(fs, self.directory, made.alloc)
        place, number = (int(each) for each in job.lines["asked_as"].split("."))
        if {"stopped", f"{place}.{number + 1}"}.intersection(succession.names(fs, self.directory)):
            self.scheduler.at(0.0, lambda: self.end(job, "COMPLETED", "RUNNING"))
            return
        for path in (allocs.directory(self.directory, stands).named, self.directory.alloc(stands.id).node_names):
            files.replace_file(fs, path, f"{node_of(job)}\n".encode())
        self.served[place].append(job.id)
        serving = [each for jobs in self.served.values() for each in jobs if self.jobs[each].state == "RUNNING"]
        if len(serving) > MOST:
            self.problem = self.problem or f"{len(serving)} jobs serve at once: {serving}"
        records.prepare_node(fs, self.directory, node_of(job))
        self._run(fs, job, stands)

    def _run(self, fs: Fs, job: Job, alloc: Allocation) -> None:
        """As a runner: it looks each minute, and leaves once nothing has used it for long."""
        used = looked = self.scheduler.now
        until = 0.0
        while job.state == "RUNNING":
            now = self.scheduler.now
            if job.id in self.held:
                used = now
                if now >= until:
                    self.god.unlink(self._claim_of(job))
                    self.done.append(self.held.pop(job.id))
            if job.id not in self.held and self._take(job):
                until = now + self.tasks.uniform(20.0, 300.0)
            self.beat(job, alloc, "up")
            limit = leaving.limit_of(fs, allocs.directory(self.directory, alloc), alloc)
            if job.id not in self.held and limit is not None and now - used >= limit:
                leaving.mark_left(fs, allocs.directory(self.directory, alloc), leaving.reason_of(limit))
                self.beat(job, alloc, "stopped")
                self.process("ask of one that leaves", "node", lambda fs: self.look(fs, on_node=True))
                self.scheduler.at(1.0, lambda: self.end(job, "COMPLETED", "RUNNING"))
                return
            if now - looked >= MINUTE:
                looked = now
                self.process(f"ask of {job.id}", "node", lambda fs: self.look(fs, on_node=True))
            self.scheduler.pause(TURN_SECONDS)

    def beat(self, job: Job, alloc: Allocation, state: str) -> None:
        busy = job.id in self.held
        terms.beat(
            self.god,
            self.directory,
            Heartbeat(
                self.directory.id,
                node_of(job),
                "0" * 10,
                int(self.scheduler.now),
                self.now(),
                TURN_SECONDS,
                alloc=alloc.id,
                state=state,
                cpus=4,
                mem_mb=1000,
                free_cpus=0 if busy else 4,
                free_mem_mb=0 if busy else 1000,
                running=(Running("T" + "0" * 11, 1),) if busy else (),
            ),
        )

    def end(self, job: Job, how: str, only: str) -> None:
        """A job that is ended puts back what it has, and asks for another; one that is preempted, too."""
        told = job.state == only == "RUNNING" and how != "COMPLETED"
        if told and how == "CANCELLED" and not self.released_at:
            self.problem = self.problem or f"job {job.id} was cancelled though it had started"
        super().end(job, how, only)
        alloc = allocs.find(self.god, self.directory, job.id)
        if not told or alloc is None:
            return
        if job.id in self.held:
            claim = self._claim_of(job)
            self.god.rename(claim, f"{self.directory.inbox(ANY)}/{self.held.pop(job.id)}")
        self.beat(job, alloc, "stopped")
        place: AllocDir = allocs.directory(self.directory, alloc)
        files.replace_file(self.god, place.told_to_end, b"0\n")
        if "stopped" not in succession.names(self.god, self.directory):
            self.process("ask of one that ends", "node", lambda fs: self.look(fs, on_node=True))

    # -- the story ---------------------------------------------------------------------------------

    def make(self, fs: Fs) -> None:
        how = How("", scale=(0, MOST), argv=("-t10",), options={"time": "10"}, cwd="/")
        request = LeaseRequest(("-t10",), Checked({"time": "10"}), environment={}, keep=how, idle_seconds=IDLE_SECONDS)
        asked = sbatch.ask_of(request, clock=self, user="", host="login")
        text = "\n".join(f"{name}=" for name in LINES)
        self.lease = begin(fs, HOME, Prepared(text, (), replace(asked, lease=replace(asked.lease, version=""))))
        self.directory = HOME.lease(self.lease.id)

    def command(self) -> None:
        if self.commands:
            super().command()

    def person(self) -> None:
        """Who sees that it has paused lets it go on."""
        names = succession.names(self.god, self.directory)
        if "paused" in names and "stopped" not in names:
            self.resumed += 1
            how, asks = succession.read_how(self.god, self.directory), succession.asks_in(names)
            succession.go_on(self.god, self.directory, replace(how, forgiven=asks[-1] if asks else ()))
            self.process("lease scale", "login", lambda fs: self.look(fs, on_node=False))
        self.scheduler.at(500.0, self.person)

    def happen(self) -> None:
        fs = MemoryFs(self.disk)
        self.prepare(fs)
        self.make(fs)
        self.scheduler.at(1.0, self.command)
        self.scheduler.at(2.0, self.burst)
        self.scheduler.at(500.0, self.person)
        if self.strikes("release"):
            self.scheduler.at(self.chance.uniform(10.0, 2000.0), self.release)
        while not self.is_over and not self.released_at and self.scheduler.now < SECONDS_MAX:
            self.scheduler.pause(30.0)
        self.chances = CALM
        self.scheduler.pause(LIMIT_SECONDS + 4 * IDLE_SECONDS)

    @property
    def is_over(self) -> bool:
        return self.bursts == BURSTS and len(self.done) == self.queued

    def violation(self) -> str:
        """The promise that is broken; empty if none is."""
        if self.scheduler.failures:
            return f"an actor failed: {self.scheduler.failures[0]!r}"
        twice = {place: jobs for place, jobs in self.served.items() if len(jobs) > 1}
        asked = sorted(self.asked)
        near = [(a, b) for a, b in pairwise(asked) if b - a < ASK_SECONDS]
        left = [job.id for job in self.jobs.values() if not job.over]
        pending = self.god.names(self.directory.inbox(ANY))
        if self.problem or twice:
            return self.problem or f"two jobs served for one ask: {twice}"
        if near:
            return f"asked twice in a minute: {near[0]}"
        if len({*self.done, *self.held.values(), *pending}) != self.queued or len(set(self.done)) != len(self.done):
            return f"of {self.queued} tasks {len(self.done)} are done and {len(pending)} pend"
        if not self.released_at and not self.is_over:
            return f"{len(pending)} tasks wait in vain"
        return f"jobs {left} are left that nothing needs" if left else ""


class RecordingPool(Pool):
    """A pool of which it is known when each ask was claimed that was not withdrawn."""

    claimed = 0.0
    token = ""

    def _claim(self, ask: tuple[int, int], token: str) -> bool:
        self.claimed, self.token = self.hands.clock.monotonic(), token
        return super()._claim(ask, token)

    def _ask(self, ask: tuple[int, int], *about: Any) -> bool:
        world = self.hands.clock
        assert isinstance(world, PoolWorld)
        done = super()._ask(ask, *about)
        name = succession.path_of(self.lease, ask)
        stands = name.rpartition("/")[2] in world.god.names(self.lease.keep)
        if stands and world.god.read(name).decode() == self.token:
            world.asked.append(self.claimed)
        return done


def node_of(job: Job) -> str:
    return f"n{job.id}"


def run(seed: str, chances: Chances, *, pool: type[Pool] = RecordingPool, commands: bool = True) -> Result:
    """The history has happened; what of it breaks a promise is said."""
    with names_drawn_from(Random(f"{seed} names").randbytes):
        world = PoolWorld(seed, chances, pool=pool, commands=commands)
        try:
            world.happen()
            violation = world.violation()
        finally:
            jobs, done = len(world.jobs), len(world.done)
            world.close()
    return Result(violation, jobs, done, world.resumed)
