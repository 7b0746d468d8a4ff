"""One kept lease through many jobs: who asks dies, and Slurm delays, refuses, loses answers, preempts, cancels.

What asks is what asks in earnest: each minute a process on the node of the job that runs, now and then a command on a
login host. Of the lease script its first steps are told here: its record, then the look whether it is too late.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from random import Random

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import LeaseqError
from leaseq.lease import leases, upkeep
from leaseq.lease.slurm import clusters, sbatch
from leaseq.lease.slurm.answer import Queue
from leaseq.lease.slurm.args import Checked
from leaseq.lease.slurm.asking import LINES, Hands
from leaseq.lease.slurm.command import Answer, Unanswered
from leaseq.lease.slurm.identity import Match
from leaseq.lease.slurm.sbatch import Asked, LeaseRequest, Prepared
from leaseq.lease.slurm.successor import Chain
from leaseq.lease.slurm.text import Row, parse_rows
from leaseq.lease.slurm.verdict import Judge
from leaseq.names import names_drawn_from
from leaseq.protocol import allocs, files, records, succession
from leaseq.protocol.succession import How
from leaseq.world import Fs
from tests.faults import Fault
from tests.memoryfs import Inode, MemoryFs
from tests.sim.nfs import ActorFs, Client, Server
from tests.sim.plan import DEATHS
from tests.sim.scheduler import Process, Scheduler
from tests.sim.slurm import HERE, HOME
from tests.unit.slurm_world import line

EPOCH = 1.8e9
GENERATIONS = 10
LIMIT_SECONDS = 600.0
SECONDS_MAX = 40_000.0
"""So long the jobs may take; then none is to have been asked for in vain for long."""
MINUTE = 60.0
TOO_LONG_SECONDS = 60.0
"""After so long whoever calls sbatch gives up waiting."""
LATE_SECONDS = (200.0, 900.0)
"""So long after that Slurm may have queued the job all the same."""
LEASE = "1"


@dataclass(frozen=True)
class Chances:
    """How likely each trouble is, where it can strike."""

    refuse: float = 0.0
    lose: float = 0.0
    """The job is queued, and the answer is lost."""
    late: float = 0.0
    """The answer is lost, and the job is queued only later, or never."""
    delay: float = 0.0
    cancel: float = 0.0
    """An admin cancels a job that waits."""
    preempt: float = 0.0
    empty: float = 0.0
    """squeue fails, or answers with nothing."""
    die: float = 0.0
    release: float = 0.0
    """The lease is released in the midst of it."""


CALM = Chances()
STORM = Chances(refuse=0.1, lose=0.15, late=0.15, delay=0.3, cancel=0.15, preempt=0.2, empty=0.15, die=0.3)


@dataclass
class Job:
    """A job as Slurm has it."""

    id: str
    script: str
    text: str
    after: str
    queued: float
    state: str = "PENDING"
    started: float = 0.0
    ended: float = 0.0
    lines: dict[str, str] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return self.state not in ("PENDING", "RUNNING")


class World:
    """Slurm, one file server, and whoever asks."""

    def __init__(self, seed: str, chances: Chances, *, chain: type[Chain] = Chain, looks: bool = True) -> None:
        self.chance, self.chances, self.chain = Random(f"{seed} world"), chances, chain
        self.looks = looks
        """True if a job looks at its start whether it is too late."""
        self.scheduler = Scheduler()
        self.directory = HOME.lease(LEASE)
        self.disk = Server(self.scheduler, self.directory)
        self.disk.live[""], self.disk.stable[""] = {"home": Inode(directory=True)}, {}
        self.clients = {name: Client(self.disk, name, Random(f"{seed} {name}")) for name in ("node", "login")}
        self.jobs: dict[str, Job] = {}
        self.served: dict[int, list[str]] = defaultdict(list)
        """The jobs that have served as the Gth, by G."""
        self.asked_after: dict[int, float] = {}
        """How long after the start of the Gth its next was queued."""
        self.processes: list[Process] = []
        self.kept = Queue()
        self.struck: Counter[str] = Counter()
        self.released_at = 0.0

    # -- who asks --------------------------------------------------------------------------------------

    def now(self) -> float:
        return EPOCH + self.scheduler.now

    def monotonic(self) -> float:
        return self.scheduler.now

    def strikes(self, what: str) -> bool:
        """True if that trouble strikes here."""
        if self.chance.random() >= getattr(self.chances, what):
            return False
        self.struck[what] += 1
        return True

    def process(self, name: str, client: str, work: Callable[[Fs], object]) -> Process:
        """A process of that host, which may die at any of its calls."""
        process = Process(name)
        faults = []
        if name != "first" and self.strikes("die"):
            kind = self.chance.choice(DEATHS)
            faults = [Fault(self.chance.randint(1, 60), kind, only_changes=self.chance.random() < 0.7)]
        fs = ActorFs(self.scheduler, process, self.clients[client], Random(f"{name} {self.chance.random()}"), faults)

        def run() -> None:
            with contextlib.suppress(LeaseqError, OSError):
                work(fs)

        self.processes.append(process)
        self.scheduler.spawn(process, name, run)
        return process

    def look(self, fs: Fs, *, on_node: bool) -> None:
        """As `upkeep.keep_up`, with Slurm's answer of now."""
        self.scheduler.pause(self.chance.expovariate(1.0))
        asked = self.scheduler.now
        if self.strikes("empty"):
            rows: list[Row] = []
            self.kept = replace(self.kept, failure="no answer") if self.chance.random() < 0.5 else self.kept
        else:
            rows = parse_rows(self.squeue())
        judge = Judge(
            fs,
            HOME,
            HERE,
            unknown_to_slurm=lambda job: self.jobs[job].over,
            asked_ago=lambda: self.scheduler.now - asked,
        )
        queue = self.kept = judge.learn(self.kept, rows)
        upkeep.apply_all(fs, HOME, queue, clock=self)
        sbatch.heal(fs, HOME, queue)
        for held in leases.list_holdings(fs, HOME):
            if held.lease.ended is None:
                hands = SimHands(self, fs, on_node=on_node)
                self.chain(fs, HOME, held, queue, clock=self, on_node=on_node, hands=hands).follow()

    # -- Slurm -----------------------------------------------------------------------------------------

    def squeue(self) -> str:
        lately = [job for job in self.jobs.values() if not job.over or self.scheduler.now - job.ended < 300.0]
        return "".join(line(job.id, job.state, script=job.script) for job in lately)

    def queue(self, script: str, text: str, after: str) -> str:
        job = Job(str(len(self.jobs) + 1), script, text, after, self.scheduler.now)
        job.lines = dict(each.split("=", 1) for each in text.splitlines() if "=" in each)
        self.jobs[job.id] = job
        if place := self._place(job):
            began = [self.jobs[each].started for each in self.served.get(place - 1, ())]
            self.asked_after.setdefault(place, self.scheduler.now - began[0] if began else 0.0)
        if len(self.jobs) > 1 and self.strikes("cancel"):
            self.scheduler.at(self.chance.uniform(1.0, 400.0), lambda: self.end(job, "CANCELLED", "PENDING"))
        self.look_at_start(job)
        return job.id

    def queue_late(self, script: str, text: str, after: str) -> None:
        self.queue(script, text, after)

    def look_at_start(self, job: Job) -> None:
        """It starts once what it waits for has ended, and nodes are free."""
        if job.state != "PENDING":
            return
        if job.after and not self.jobs[job.after].over:
            self.scheduler.at(1.0, lambda: self.look_at_start(job))
            return
        self.scheduler.at(self.chance.choice((0.5, 5.0, 100.0)), lambda: self.start(job))

    def start(self, job: Job) -> None:
        if job.state != "PENDING":
            return
        job.state, job.started = "RUNNING", self.scheduler.now
        self.process(f"job {job.id}", "node", lambda fs: self.script(fs, job))
        ends, how = LIMIT_SECONDS, "TIMEOUT"
        if self.strikes("preempt"):
            ends, how = self.chance.uniform(1.0, LIMIT_SECONDS), "PREEMPTED"
        self.scheduler.at(ends, lambda: self.end(job, how, "RUNNING"))

    def end(self, job: Job, how: str, only: str) -> None:
        if job.state == only:
            job.state, job.ended = how, self.scheduler.now
            for process in self.processes:
                if process.name == f"job {job.id}":
                    self.scheduler.kill(process)

    def _place(self, job: Job) -> int:
        return int(job.lines.get("asked_as", "").partition(".")[0] or 0)

    def script(self, fs: Fs, job: Job) -> None:
        """As `find_allocation` and what follows it in the lease script; then a runner, which looks each minute."""
        made = self.asked_of(job).known_as(job.id, HERE)
        stands = allocs.register(fs, self.directory, made.alloc)
        place, number = (int(each) for each in (job.lines.get("asked_as") or "1.1").split("."))
        late = {"stopped", f"{place}.{number + 1}"}
        if self.looks and job.lines.get("asked_as") and late.intersection(succession.names(fs, self.directory)):
            self.scheduler.at(0.0, lambda: self.end(job, "COMPLETED", "RUNNING"))
            return
        for path in (allocs.directory(self.directory, stands).named, self.directory.alloc(stands.id).node_names):
            files.replace_file(fs, path, b"n1\n")
        self.served[place].append(job.id)
        while job.state == "RUNNING":
            self.process(f"ask of {job.id}", "node", lambda fs: self.look(fs, on_node=True))
            self.scheduler.pause(MINUTE)

    def asked_of(self, job: Job) -> Asked:
        return Asked(self.lease, Allocation.from_json(job.lines["alloc_record"].strip("'").encode()))

    # -- the story -------------------------------------------------------------------------------------

    def happen(self) -> None:
        """The lease was made, and has had ten jobs, or been released; then all is quiet."""
        fs = MemoryFs(self.disk)
        self.prepare(fs)
        self.make(fs)
        self.scheduler.at(1.0, self.command)
        if self.strikes("release"):
            self.scheduler.at(self.chance.uniform(10.0, 3000.0), self.release)
        while len(self.served) < GENERATIONS and not self.released_at and self.scheduler.now < SECONDS_MAX:
            self.scheduler.pause(30.0)
        self.chances = CALM
        self.scheduler.pause(2 * LIMIT_SECONDS)

    def prepare(self, fs: Fs) -> None:
        """There is a home, and which cluster commands mean is known."""
        for directory in (HOME.runs, HOME.cache, f"{HOME.cache}/{HERE}", HOME.scripts):
            fs.mkdir(directory)
        fs.create(f"{HOME.cache}/conf.{clusters._key()}", HERE.encode())

    def make(self, fs: Fs) -> None:
        how = How("", argv=("-t10",), options={"time": "10"}, cwd="/")
        request = LeaseRequest(tokens=("-t10",), checked=Checked({"time": "10"}), environment={}, keep=how)
        asked = sbatch.ask_of(request, clock=self, user="", host="login")
        asked = replace(asked, lease=replace(asked.lease, id=LEASE, job=LEASE, cluster=HERE))
        self.lease = asked.lease
        values = {"token": asked.alloc.token, "alloc_record": asked.alloc.to_json().decode().strip()}
        text = "\n".join(f"{name}={values.get(name, '')}" for name in LINES)
        path = f"{HOME.scripts}/{asked.alloc.token}.sh"
        fs.create(path, text.encode())
        job = self.queue(path, text, "")
        stands = records.register(fs, HOME, asked.lease)
        alloc = allocs.register(fs, self.directory, asked.known_as(job, HERE).alloc)
        fs.rename(path, allocs.directory(self.directory, alloc).script)
        assert asked.keep is not None and stands.token == asked.keep.first
        succession.keep(fs, self.directory, asked.keep)

    def command(self) -> None:
        """A command acts on a login host now and then."""
        self.process("command", "login", lambda fs: self.look(fs, on_node=False))
        self.scheduler.at(self.chance.uniform(20.0, 400.0), self.command)

    def release(self) -> None:
        """As `Access.release`: it is said first, then what there is is cancelled, the newest first."""

        def work(fs: Fs) -> None:
            succession.stop(fs, self.directory, "released")
            for alloc in reversed(allocs.living_of(fs, self.directory)):
                SimHands(self, fs, on_node=False).cancel(alloc)

        self.released_at = self.scheduler.now
        self.chances = replace(self.chances, die=0.0)  # who dies of it releases once more
        self.process("release", "login", work)

    def close(self) -> None:
        for process in self.processes:
            self.scheduler.kill(process)
        for job in self.jobs.values():
            job.state = "CANCELLED"
        self.scheduler.close()


class SimHands(Hands):
    """Slurm, which may do what it is told, or say that it did."""

    def __init__(self, world: World, fs: Fs, *, on_node: bool) -> None:
        super().__init__(fs, HOME, clock=world)
        self.world = world

    def cluster(self) -> str:
        return HERE

    def submit(self, prepared: Prepared, request: LeaseRequest) -> None:
        sbatch.submit(self.fs, HOME, prepared, request=request, ask=self.ask)

    def ask(self, argv: Sequence[str], **_: object) -> Answer:
        world = self.world
        if argv[0] == "squeue":
            world.scheduler.pause(1.0)
            return Answer(tuple(argv), 0, world.squeue(), "")
        if world.strikes("delay"):
            world.scheduler.pause(world.chance.uniform(1.0, 50.0))
        world.scheduler.pause(0.05)
        try:
            text = MemoryFs(world.disk).read(argv[-1]).decode()
        except FileNotFoundError:
            return Answer(tuple(argv), 1, "", "sbatch: error: Unable to open file")
        if world.strikes("refuse"):
            return Answer(tuple(argv), 1, "", "sbatch: error: QOSMaxSubmitJobPerUserLimit")
        (after,) = [each.rpartition(":")[2] for each in argv if each.startswith("--dependency=")] or [""]
        if world.strikes("late"):
            if world.chance.random() < 0.7:
                world.scheduler.at(world.chance.uniform(*LATE_SECONDS), lambda: world.queue_late(argv[-1], text, after))
            world.scheduler.pause(TOO_LONG_SECONDS)
            raise Unanswered("sbatch has not answered", hint="", out="", err="")
        job = world.queue(argv[-1], text, after)
        if world.strikes("lose"):
            raise Unanswered("sbatch has not answered", hint="", out="", err="")
        world.scheduler.pause(world.chance.choice((0.01, 2.0)))
        return Answer(tuple(argv), 0, f"{job}\n", "")

    def cancel(self, alloc: Allocation, *, started: bool = True) -> bool:
        world = self.world
        job = world.jobs[alloc.job]
        row = parse_rows(line(job.id, job.state, script=job.script))[0]
        if job.over or Queue({}, cluster=HERE).match(alloc, row) is not Match.SAME:
            return False
        world.scheduler.pause(0.1)
        if not started and job.state != "PENDING":
            return False
        world.end(job, "CANCELLED", job.state)
        allocs.mark_released(self.fs, allocs.directory(world.directory, alloc))
        return True


@dataclass(frozen=True)
class Result:
    """What came of a history."""

    violation: str
    generations: int
    jobs: int
    asked_after: tuple[float, ...]
    struck: Counter[str]


def run(seed: str, chances: Chances, *, chain: type[Chain] = Chain, looks: bool = True) -> Result:
    """The history has happened; what of it breaks a promise is said."""
    with names_drawn_from(Random(f"{seed} names").randbytes):
        world = World(seed, chances, chain=chain, looks=looks)
        try:
            world.happen()
            violation = _violation(world)
        finally:
            served, jobs = len(world.served), len(world.jobs)
            world.close()
    after = tuple(seconds for place, seconds in sorted(world.asked_after.items()) if place)
    return Result(violation, served, jobs, after, world.struck)


def _violation(world: World) -> str:
    if world.scheduler.failures:
        return f"an actor failed: {world.scheduler.failures[0]!r}"
    twice = {place: jobs for place, jobs in world.served.items() if len(jobs) > 1}
    if twice:
        return f"two jobs served for one: {twice}"
    stopped = succession.why_stopped(MemoryFs(world.disk), world.directory)
    if not world.released_at and not stopped and len(world.served) < GENERATIONS:
        return f"no more than {len(world.served)} jobs followed each other"
    left = [job.id for job in world.jobs.values() if not job.over]
    if world.released_at and left:
        return f"jobs {left} are left of a lease that was released"
    scripts = MemoryFs(world.disk).names(HOME.scripts)
    known = {token for _, token in _tokens(world)}
    if strays := [name for name in scripts if name.partition(".")[0] not in known]:
        return f"scripts are left: {strays}"
    return ""


def _tokens(world: World) -> list[tuple[tuple[int, int], str]]:
    """The newest ask's token: its script may be on its way."""
    fs = MemoryFs(world.disk)
    asks = succession.asks_in(succession.names(fs, world.directory))
    return [(ask, succession.token_of(fs, world.directory, ask)) for ask in asks[-1:]]
