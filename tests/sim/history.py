"""One history: a plan made to happen, with everything real but the world.

`History` has what `tests.crash.check` asks of a world, so the rules that hold for the protocol hold here, too.
"""

from __future__ import annotations

import errno
import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from random import Random
from unittest import mock

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, replace
from leaseq.layout import LeaseDir
from leaseq.lease import joined
from leaseq.names import names_drawn_from
from leaseq.protocol import allocs, files, groups, lanes, records
from leaseq.protocol.plan import divided_into
from leaseq.reading.history import added
from leaseq.room import Room
from leaseq.runner import recover
from leaseq.runner.holding import Lot
from leaseq.runner.pace import Pace
from leaseq.world import Fs
from tests.build import allocate
from tests.crash.actors import REAL
from tests.crash.check import Place, Violated
from tests.crash.order import may_rest, over_and_waiting
from tests.faults import Fault, Kind
from tests.memoryfs import MemoryFs
from tests.sim.host import EPOCH, Host
from tests.sim.nfs import ActorFs, Client, Server
from tests.sim.plan import LOGIN, RIVAL, SECONDS, STOPPED, Plan, Trouble
from tests.sim.scheduler import Process, Scheduler
from tests.sim.service import REAL_PARTS, Parts, Service
from tests.sim.slurm import HERE, HOME, MARKS, SECOND, TOKENS, Slurm, record
from tests.sim.truth import SimTruth
from tests.sim.users import User, Watcher

NODES = ("n1", "n2")
ARRAY_CHUNKS = 4
"""Into about so many chunks an array is divided."""
MANY_CHUNKS, ALONE, GROUP_PLACES = 12, 1, 6
"""The same where groups of chunks are to be seen; so many chunks are in none; so large are groups at most."""
JOBS = {"n1": "1", "n2": SECOND}
"""The job that has each node, if there are two."""
ROOMS = {"n1": Room(4, 1000, ("0", "1")), "n2": Room(2, 1000, ("0",))}
LOOK_SECONDS = 15.0
END_SECONDS_MAX = 3000.0
"""How long after the last trouble all work may take."""
RESTART_SECONDS = (0.5, 4.0)
HANG_SECONDS = 70.0
SETTLES_SECONDS = 20.0
"""After so long every node knows what a command has said, if nothing goes wrong."""
KILL_WAIT_SECONDS = 10.0
"""From Slurm's TERM to its KILL."""
OLD_SECONDS = 3600.0
OVER_SECONDS_MAX = 100.0
"""A minute until a runner looks, and the look at the lease before and after that."""
"""How long the leases have been there."""
ASK_SECONDS = 30.0
"""How often a command asks Slurm."""
HEARD_SECONDS = 20.0
"""A runner that has beaten so lately is heard by all who look."""
SLOW_SECONDS = 0.3
BEGUN_SECONDS = 5.0
"""So lately another runner has begun to serve the node, and one must not begin beside it."""
SERVED_BEATS, SERVED_SECONDS = 3, 12.0
"""So many heartbeats in so many seconds, and another runner must not have begun to serve the node."""
LOG_LINES = 200_000
Happened = tuple[float, str, tuple[object, ...]]
"""When, who, and an operation with its arguments, or a sentence. The texts among them are what is shown."""


@dataclass(frozen=True)
class Result:
    """What came of a plan."""

    violation: str
    calls: int
    struck: Counter[str]
    """Which troubles there were, and how often."""
    done: Counter[str]
    """What commands were acknowledged, and what limits came of, and how often."""
    events: Sequence[Happened]

    @property
    def log(self) -> list[str]:
        """Everything that every actor did, a line each, in order."""
        return [
            f"{at:.6f} {who}: {' '.join(each for each in what if isinstance(each, str))}"
            for at, who, what in self.events
        ]

    @property
    def digest(self) -> str:
        """Of that log."""
        return hashlib.sha256("\n".join(self.log).encode()).hexdigest()


def in_groups() -> AbstractContextManager[None]:
    """Inside, arrays are divided as in a plan with groups."""
    return divided_into(MANY_CHUNKS, alone=ALONE, group_places=GROUP_PLACES)


def every_other_group(lot: Lot, group: int, several: int) -> bool:
    """Whether a runner takes the group as a whole: some of them, though their indices may take long."""
    return not group % 2 and lot.entry.grouped and group not in lot.cover.settled and not lot.limits


AHEAD = 24
"""How many indices may have begun where they are quick: a keeper here is ten times slower than a real one."""


def run(plan: Plan, parts: Parts = REAL_PARTS) -> Result:
    """The plan has happened, up to its end or to the first promise that was broken."""
    ahead = mock.patch.object(Pace, "ahead", lambda pace, slots: max(2 * slots, AHEAD))
    with names_drawn_from(Random(f"{plan.seed} names").randbytes), divided_into(ARRAY_CHUNKS), ExitStack() as stack:
        if plan.unlimited:
            stack.enter_context(ahead)
        if plan.groups:
            stack.enter_context(in_groups())
            stack.enter_context(mock.patch.object(Lot, "_may_be_whole", every_other_group))
        history = History(plan, parts)
        violation = ""
        try:
            history.happen()
        except Violated as broken:
            violation = str(broken)
        finally:
            history.close()
    return Result(violation, history.disk.operations, history.struck, +history.truth.done, history.log)


class History:
    """The world of one plan."""

    p = REAL

    def __init__(self, plan: Plan, parts: Parts) -> None:
        self.plan, self.parts = plan, parts
        self.scheduler = Scheduler()
        self.lease = LeaseDir("1", "/home/runs/1")
        self.disk = Server(self.scheduler, self.lease)
        self.truth = SimTruth(settles_seconds=None if plan.troubles else SETTLES_SECONDS)
        self.struck: Counter[str] = Counter()
        self.log: list[Happened] = []
        self.calm = False
        """True once nothing goes wrong any more."""
        self.closed = False
        self.clients = {name: Client(self.disk, name, self._chance(name)) for name in ("n1a", "n2a", RIVAL, *LOGIN)}
        self.hosts = {name: self._host(name) for name in ("n1a", "n2a", RIVAL)}
        self.wrong_by: dict[str, float] = dict.fromkeys(LOGIN, 0.0)
        self.mounts: dict[str, tuple[float, int]] = {}
        self.stopped: dict[str, float] = {}
        """Hosts on which nobody starts a runner, and until when."""
        self.services: dict[str, Service] = {}
        self.starts: Counter[str] = Counter()
        self.began: dict[str, list[float]] = {}
        """When a runner was started on each host."""
        self.processes: list[Process] = []
        self.files: list[ActorFs] = []
        several = plan.hosts or self._chance("jobs").random() < 0.5
        self.jobs = JOBS if several else dict.fromkeys(NODES, "1")
        """The job that has each node of the lease."""
        self.slurm = Slurm(lambda: self.scheduler.now, self._all_heard, sorted(set(self.jobs.values())))
        self.writers: dict[str, list[str]] = {}
        """Who has appended to each history, one after the other."""
        self.looks = 0
        self.over: dict[str, float] = {}
        """Files that wait for what is over, and since when they were seen so."""
        self.watcher: Watcher | None = None
        self.follow: set[str] = set()
        """Jobs that have left, and that others follow."""

    def _runs(self, node: str) -> bool:
        """True while the job runs that has the node."""
        return self._job_runs(self.jobs[node])

    def _job_runs(self, job: str) -> bool:
        return job not in self.slurm.ended_at and job not in self.slurm.ending

    def _all_heard(self) -> bool:
        """True if every node has a runner that is heard."""
        now = self.scheduler.now
        heard = {
            each.host.node
            for each in self.services.values()
            if each.serves and now - each.beats[-1] < HEARD_SECONDS and each.host.client.cut_until < now - HEARD_SECONDS
        }
        return heard == set(NODES)

    def _alloc(self, node: str) -> Allocation:
        """What gives the node to the lease."""
        first = replace(record(self.lease.id, EPOCH).first, idle_seconds=self.plan.idle or None)
        return replace(first, id=SECOND, in_lease=False) if self.jobs[node] == SECOND else first

    def _found(self, host: Host, fs: Fs) -> Allocation:
        """The same for a process that begins to serve it; a host comes to its lease by that, if it is in none."""
        if not self.plan.hosts:
            return self._alloc(host.node)
        return joined.join(fs, self.lease, node=host.node, machine="", now=host.now())

    def _chance(self, name: str) -> Random:
        return Random(f"{self.plan.seed} {name}")

    def _host(self, name: str) -> Host:
        node = name[:2]
        return Host(
            name,
            node,
            ROOMS[node],
            self.scheduler,
            self.clients[name],
            self.truth,
            self._chance(f"host {name}"),
            keepers=self.parts.keeper,
        )

    # -- what tests.crash.check asks of a world ------------------------------------------------------

    def fs(self) -> MemoryFs:
        return MemoryFs(self.disk)

    def nodes(self) -> list[str]:
        return list(NODES)

    # -- the story -----------------------------------------------------------------------------------

    def happen(self) -> None:
        """Users and troubles act, then all work comes to its end; raises Violated."""
        from tests.sim.check import check, check_now

        self._prepare()
        for name in ("n1a", "n2a"):
            self._supervise(name)
        for number, task in enumerate(self.plan.tasks):
            self._user(f"submit {number}", task.host, task.at, partial(User.submit, plan=task))
        for number, array in enumerate(self.plan.arrays):
            self._user(f"submit array {number}", array.host, array.at, partial(User.submit_array, plan=array))
        for number, command in enumerate(self.plan.array_commands):
            self._user(f"command array {number}", command.host, command.at, partial(User.stop, plan=command))
        for number, command in enumerate(self.plan.commands):
            self._user(f"command {number}", command.host, command.at, partial(User.command, plan=command))
        for trouble in self.plan.troubles:
            if not trouble.during:
                self.scheduler.at(trouble.at, partial(self._strike, trouble))
        self._user("watch", LOGIN[0], 0.5, self._watch)
        if not self.plan.hosts:
            self._ask_slurm()
        while self.scheduler.now < SECONDS:
            self.scheduler.pause(LOOK_SECONDS)
            check_now(self)
            self._check_in_time()
        self._calm_down()
        deadline = self.scheduler.now + END_SECONDS_MAX
        while left := self._left():
            if self.scheduler.now > deadline:
                raise Violated(f"work never ends: {left[0]}")
            self.scheduler.pause(LOOK_SECONDS)
            check_now(self)
            self._check_in_time()
        check(self)

    def _check_in_time(self) -> None:
        """With nothing going wrong, nobody waits for long for what is over."""
        over = over_and_waiting(self, self.fs())
        now = self.scheduler.now
        undisturbed = not self.plan.troubles or self.calm
        self.over = {name: self.over.get(name, now) for name in over if undisturbed}
        for name, since in self.over.items():
            if now - since > OVER_SECONDS_MAX:
                raise Violated(f"{name} waits since {since:.0f} s for what is over")

    def close(self) -> None:
        """No actor of this history is left."""
        self.closed, self.calm, self.slurm.ended_at = True, True, dict.fromkeys(self.slurm.jobs, 0.0)
        for process in self.processes:
            self.scheduler.kill(process)
        self.scheduler.close()

    def _prepare(self) -> None:
        fs = self.fs()
        self.disk.seconds = -OLD_SECONDS
        fs.mkdir("/home/runs")
        for lease in map(HOME.lease, TOKENS):
            records.prepare(fs, lease)
            several = lease.id == "1" and self.jobs is JOBS
            kind = "hosts" if lease.id == "1" and self.plan.hosts else "slurm"
            files.replace_file(fs, lease.record, replace(record(lease.id, EPOCH), kind=kind, allocs=several).to_json())
            for node, job in self.jobs.items() if several and not self.plan.hosts else ():
                allocate(fs, lease, job, nodes=(node,), cluster=HERE, token=MARKS[job], created=EPOCH + int(job))
            if self.plan.idle and lease.id == "1" and not several:
                files.replace_file(fs, lease.own.node_names, b"n1\nn2\n")
            if not self.plan.unlimited:
                files.make(fs, [lease.groups])  # so that every runner looks before each start
        self.disk.sync_all()
        self.disk.seconds = 0.0

    def _calm_down(self) -> None:
        """No trouble strikes any more; hosts are up, runners run, and what was held is released."""
        self.calm = True
        self.slurm.wrong_until = self.scheduler.now
        self.slurm.ended_at.clear()
        self.mounts.clear()
        for client in self.clients.values():
            client.cut_until = 0.0
        for host in self.hosts.values():
            host.up, host.no_room = True, 0
        for actor_fs in self.files:
            actor_fs.faults = ()
        for name in ("n1a", "n2a"):
            self._supervise(name)
        self._user("the last release", LOGIN[1], 1.0, self._release)

    def _release(self, user: User) -> None:
        """Nothing is held for long: a command that hung may hold a task yet."""
        while True:
            user.release_all()
            self.scheduler.pause(2 * LOOK_SECONDS)

    def _left(self) -> list[str]:
        """Task files that have not come to their end, and nodes that have not come to be served by one runner."""
        fs, lease = self.fs(), self.lease
        found = [
            f"{kind}/{node}/{name}"
            for kind in ("waiting", "inbox", "held", "claimed")
            for node in fs.names(f"{lease.root}/{kind}")
            for name in fs.names(f"{lease.root}/{kind}/{node}")
            if not may_rest(self, fs, Place(1, kind, f"{lease.root}/{kind}/{node}/{name}"))
        ]
        found += [f"booking/{name}" for name in fs.names(lease.booking)]
        found += [f"{name} late in {path}" for node in NODES for name, path in self._uncounted(node)]
        for group in groups.groups_with_lanes(fs, lease):
            held = lanes.held_by(lanes.look(fs, lease.group_lanes(group)))
            found += [f"a lane of {group} is held by {holder}" for holder in held]
        found += [f"lease {each} is called ended" for each in TOKENS if self._called_ended(each)]
        for job in set(self.jobs.values()) if self.plan.idle else ():
            left = {self.has_left(node) for node in NODES if self.jobs[node] == job}
            found += [f"a part of job {job} has left"] if len(left) > 1 else []
        for node in NODES:
            serving = [each.process.name for each in self.services.values() if each.serves and each.host.node == node]
            if len(serving) > 1:
                found.append(" beside ".join(serving))
        found += [
            f"a submitter: {each.name}"
            for each in self.processes
            if each.name.startswith(("submit", "command")) and each.actors
        ]
        return found

    def _uncounted(self, node: str) -> list[tuple[str, str]]:
        """The attempts that an earlier history of the node tells, and the newest does not count yet."""
        fs, lease = self.fs(), self.lease
        past = recover.history(fs, lease, node, term=sys.maxsize)
        return [
            (event.id, name)
            for name, counted in past.earlier.items()
            for _, event in added(fs, f"{lease.events_dir}/{name}", counted)
            if f"{event.id}.{event.attempt}" not in past.recorded
        ]

    def _appended(self, process: Process, path: str) -> None:
        """Two that append to one file at once lose each other's lines on NFS: whoever has begun goes on alone."""
        writers = self.writers.setdefault(path, [])
        if process.name in writers[:-1]:
            self.truth.violated(f"{process.name} writes into {path} beside {writers[-1]}")
        elif process.name not in writers and path.startswith(self.lease.events_dir):
            writers.append(process.name)

    # -- processes -----------------------------------------------------------------------------------

    def _open(self, process: Process, client: Client) -> ActorFs:
        faults = [self._fault(each) for each in self.plan.troubles if each.during == process.name]
        actor_fs = ActorFs(self.scheduler, process, client, self._chance(process.name), [] if self.calm else faults)
        actor_fs.trouble = lambda operation: self._mount_error(client.name, operation)
        actor_fs.log = self._log
        actor_fs.appended = lambda path: self._appended(process, path)
        actor_fs.struck = lambda fault: self.struck.update([fault.kind.value] if fault.meanwhile is None else [])
        self.processes.append(process)
        self.files.append(actor_fs)
        return actor_fs

    def _fault(self, trouble: Trouble) -> Fault:
        def happen() -> None:
            if trouble.what == "hang":
                self.struck["hang"] += 1
                self.scheduler.pause(HANG_SECONDS)
            else:
                # The call is a slow one: others go on while it is under way.
                self.scheduler.pause(chance.expovariate(1 / SLOW_SECONDS))
                self._strike(trouble)

        chance = self._chance(f"{trouble}")
        meanwhile = happen if trouble.kind is Kind.MEANWHILE else None
        operation, place = trouble.step
        return Fault(int(trouble.at), trouble.kind, trouble.error, meanwhile, operation=operation, place=place)

    def _log(self, *what: object) -> None:
        if len(self.log) < LOG_LINES:
            self.log.append((self.scheduler.now, self.scheduler.current, what))

    def _user(self, name: str, host: str, seconds: float, act: Callable[[User], None]) -> None:
        """After so many seconds somebody does that in a process of his own."""

        def begin() -> None:
            if self.closed:
                return
            process = Process(name)
            opened = self._open(process, self.clients[host])
            chance = self._chance(f"user {name}")
            user = User(
                opened,
                self.lease,
                _Clock(self, host),
                self.truth,
                chance,
                self.scheduler.pause,
                lambda: self.scheduler.now,
            )
            self.scheduler.spawn(process, name, lambda: act(user))

        self.scheduler.at(seconds, begin)

    def _ask_slurm(self) -> None:
        """A command looks now, and another one later."""
        acts = self.looks % 3 != 2

        def look(user: User) -> None:
            try:
                called = self._called_ended, self._jobs_ended
                self.slurm.look(user.fs, user.clock, self.parts.judge, self.truth, *called, acts=acts)
            except OSError:
                return

        self.looks += 1
        self._user(f"look {self.looks}", LOGIN[self.looks % 2], self._chance(f"look {self.looks}").random(), look)
        if not self.closed:
            self.scheduler.at(ASK_SECONDS, self._ask_slurm)

    def _called_ended(self, lease: str) -> bool:
        return records.read_lease(self.fs(), HOME.lease(lease)).ended is not None

    def _jobs_ended(self) -> set[str]:
        return {each.id for each in allocs.all_of(self.fs(), self.lease) if each.ended is not None}

    def _watch(self, user: User) -> None:
        watcher = self.watcher = Watcher(user)
        while True:
            watcher.look()
            self.scheduler.pause(user.chance.choice((0.1, 1.0, 3.0, 10.0)))

    def _supervise(self, name: str) -> None:
        """A runner serves on the host, and another one follows whenever it ends."""
        host = self.hosts[name]
        if host.runner is not None or not host.up or not self._runs(host.node) or self.jobs[host.node] in self.follow:
            return
        if name == RIVAL and self.calm:
            return
        host.runs_again()
        self.starts[name] += 1
        self.began.setdefault(name, []).append(self.scheduler.now)
        service = Service(host, self.lease, partial(self._found, host), NODES, self.parts, self.starts[name])
        self.services[name] = service
        service.on_serving = lambda: self._check_alone(service)
        service.process.at_death.append(lambda: self._again(name, service))
        service.begin(self._open(service.process, host.client))

    def _again(self, name: str, service: Service) -> None:
        if self.plan.idle and service.has_left:
            self._left_by_itself(service)
            return
        wait = self.hosts[name].chance.uniform(*RESTART_SECONDS)
        wait += max(0.0, self.stopped.get(name, 0.0) - self.scheduler.now)
        if name == RIVAL:
            wait += 30.0
        self.scheduler.at(wait, lambda: self._supervise(name))

    def _left_by_itself(self, service: Service) -> None:
        """Its step has ended. Once the others of the job have left, too, another job gives these nodes."""
        job = self.jobs[service.host.node]
        own = service.real.ports.incarnation
        claims = [name for name in self.fs().names(self.lease.claimed(service.host.node)) if name.endswith(own)]
        if claims and not self.truth.lease_ended:
            self.truth.violated(f"{service.process.name} has left, and holds {claims}")
        if job in self.follow or any(not self.has_left(node) for node in NODES if self.jobs[node] == job):
            return
        self.follow.add(job)
        self.struck["left"] += 1
        self.scheduler.at(self._chance(f"another {self.scheduler.now}").uniform(5.0, 30.0), lambda: self._another(job))

    def has_left(self, node: str) -> bool:
        """True if the runner of the node has left by itself, and none serves it."""
        there = [each for each in self.services.values() if each.host.node == node]
        return any(each.has_left for each in there) and not any(not each.process.dead for each in there)

    def _another(self, job: str) -> None:
        """What the script of a job does that begins anew."""
        self.follow.discard(job)
        fs, place = self.fs(), allocs.directory(self.lease, self._alloc(next(n for n in NODES if self.jobs[n] == job)))
        names = fs.names(place.leaving)
        for path in (place.left, *(f"{place.leaving}/{name}" for name in names)):
            files.discard(fs, path)
        fs.sync_dir(place.leaving)
        fs.sync_dir(place.root)
        for name in ("n1a", "n2a"):
            if self.jobs[self.hosts[name].node] == job:
                self._supervise(name)

    def _check_alone(self, service: Service) -> None:
        """A runner that begins to serve a node is not beside one that has just begun, or that was seen to beat."""
        for other in self.services.values():
            if other is service or other.host.node != service.host.node or other.began is None or other.process.dead:
                continue
            beats = [at for at in other.beats if self.scheduler.now - at <= SERVED_SECONDS]
            if len(beats) >= SERVED_BEATS or self.scheduler.now - other.began <= BEGUN_SECONDS:
                self.truth.violated(f"{service.process.name} serves {service.host.node} beside {other.process.name}")
        if any(key for key in self.services if key != service.host.name and key[:2] == service.host.node):
            self.truth.lossy.add(service.host.node)

    # -- troubles ------------------------------------------------------------------------------------

    def _mount_error(self, client: str, operation: str) -> int:
        until, error = self.mounts.get(client, (0.0, 0))
        if self.scheduler.now >= until or (error in (errno.ENOSPC, errno.EDQUOT) and operation in TAKES_NO_ROOM):
            return 0
        return error

    def _strike(self, trouble: Trouble) -> None:
        if self.calm:
            return
        self.struck[trouble.what] += 1
        self._log(f"-- {trouble}")
        host = self.hosts.get(trouble.who)
        if trouble.what == "the mount fails on":
            self.mounts[trouble.who] = self.scheduler.now + trouble.seconds, trouble.error
        elif trouble.what == "the clock jumps on":
            if host:
                host.offset += trouble.seconds
            else:
                self.wrong_by[trouble.who] += trouble.seconds
        elif trouble.what == "server restart":
            self.disk.restart(trouble.seconds, list(self.clients), self._chance("restart"))
        elif trouble.what == "power loss":
            self._lose_power()
        elif trouble.what == "squeue's answer is":
            self.slurm.go_wrong(trouble.who, trouble.seconds)
        elif trouble.what == "the lease ends":
            self._end_lease(trouble.seconds)
        elif host:
            self._strike_host(trouble, host)

    def _strike_host(self, trouble: Trouble, host: Host) -> None:
        if trouble.what == STOPPED:
            self.stopped[host.name] = self.scheduler.now + trouble.seconds
            if (service := self.services.get(host.name)) is not None:
                service.stop()
        elif trouble.what == "Slurm's TERM comes to":
            self._end_job(self.jobs[host.node], trouble.seconds)
        elif trouble.what == "the keeper dies on":
            host.kill_keeper()
        elif trouble.what == "runner and keeper die on":
            if host.runner:
                self.scheduler.kill(host.runner)
            host.kill_keeper()
        elif trouble.what == "the keeper hangs and the runner dies on":
            host.keeper_hangs_until = self.scheduler.now + trouble.seconds
            if host.runner:
                self.scheduler.kill(host.runner)
        elif trouble.what == "no room on the disk of":
            host.no_room += 2
        elif trouble.what in ("reboot of", "reboot, with its records, of"):
            host.up = False
            host.reboot(keep_records="records" in trouble.what)
            self.scheduler.at(trouble.seconds, lambda: self._up(host))
        elif trouble.what == "runner, keeper and records go on":
            if host.runner:
                self.scheduler.kill(host.runner)
            host.kill_keeper()
            host.forget_everything()
        elif trouble.what == "no link to the server for":
            host.client.cut_until = self.scheduler.now + trouble.seconds
        elif trouble.what == "another host serves n1:":
            self._supervise(host.name)

    def _up(self, host: Host) -> None:
        host.up = True
        self._supervise(host.name)

    def _lose_power(self) -> None:
        """Every machine goes down; what was not synced is lost or not; every machine comes up."""
        for process in list(self.processes):
            if process.name != "watch":
                self.scheduler.kill(process)
        for host in self.hosts.values():
            host.reboot(keep_records=self._chance("power").random() < 0.5)
        for client in self.clients.values():
            client.forget()
        self.disk.lose_power(self._chance(f"power {self.scheduler.now}"))
        self.disk.replaced.clear()
        if self.watcher:
            self.watcher.lose_power()

    def _end_lease(self, seconds: float) -> None:
        """Slurm has ended the lease, or one job of several, commands learn it, and later Slurm runs it again."""
        self.truth.lease_ended = True
        jobs = self.slurm.jobs
        ended_at = self.scheduler.now
        if len(jobs) > 1 and self._chance(f"end {ended_at}").random() < 0.7:
            jobs = [self._chance(f"ended {ended_at}").choice(jobs)]
        self.slurm.ended_at |= dict.fromkeys(jobs, ended_at)
        for name in ("n1a", "n2a", RIVAL):
            if self.jobs[self.hosts[name].node] in jobs:
                self.hosts[name].reboot(keep_records=False)

        self.scheduler.at(seconds, lambda: self._run_again(jobs, ended_at))

    def _run_again(self, jobs: Sequence[str], ended_at: float) -> None:
        """Slurm has given these jobs their nodes once more, unless they have ended again since, or all is calm."""
        for job in [job for job in jobs if self.slurm.ended_at.get(job) == ended_at]:
            del self.slurm.ended_at[job]
        for name in ("n1a", "n2a"):
            self._supervise(name)

    def _end_job(self, job: str, seconds: float) -> None:
        """Slurm ends a job: TERM to each of its processes, KILL later, and after so many seconds it runs again."""
        if not self._job_runs(job):
            return
        self.truth.lease_ended = True
        self.slurm.ending.add(job)
        hosts = [host for host in self.hosts.values() if self.jobs[host.node] == job]

        def runner_hears(host: Host) -> None:
            service = self.services.get(host.name)
            if service:
                service.terminate()

        def kill() -> None:
            if self.closed:
                return
            for host in hosts:
                host.slurm_kills()
            self.slurm.ending.discard(job)
            ended_at = self.slurm.ended_at[job] = self.scheduler.now
            self.scheduler.at(5.0 if self.calm else seconds, lambda: self._run_again([job], ended_at))

        for host in hosts:
            host.slurm_signals(partial(runner_hears, host))
        self.scheduler.at(KILL_WAIT_SECONDS, kill)


TAKES_NO_ROOM = frozenset({"names", "read", "read_range", "older", "unlink", "sync_dir"})
"""Operations that a full disk does not refuse."""


class _Clock:
    """The clock of a host that serves no node."""

    def __init__(self, history: History, host: str) -> None:
        self.history, self.host = history, host

    def now(self) -> float:
        return EPOCH + self.history.scheduler.now + self.history.wrong_by[self.host]

    def monotonic(self) -> float:
        return self.history.scheduler.now
