"""Small models of those who use the lease directory: submitter, runner, canceller, holder, recoverer, reader.

They touch it through a `Protocol` alone, a namespace of the functions of `leaseq.protocol` and of the few orders
of steps that a runner must keep, so that a mutant of one function can be given to them. `Truth` knows what really
happened: what was acknowledged, what was started and how it ended.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Malformed
from leaseq.layout import LeaseDir
from leaseq.lease.slurm.verdict import Judge
from leaseq.models import ANY, Event, Lease, Need, Outcome, State, Task
from leaseq.names import ALPHABET, CLI, Entry, histories_in, order, parse_key, with_priority
from leaseq.protocol import concluding, dependents, edges, edits, files, history, keys, records, tasks
from leaseq.protocol.submission import Published, publish_batch
from leaseq.protocol.tasks import Claim
from leaseq.upstream import Upstream
from leaseq.world import Fs
from tests.memoryfs import Disk, MemoryFs

NODES = ("n1", "n2")
NOW = 5.0
Key = tuple[str, int]
"""A task id and an attempt."""


# -- what a runner must keep in order ----------------------------------------------------------------


def start(p: Protocol, fs: Fs, lease: LeaseDir, held: Claim, ask: Callable[[], None]) -> Task:
    """The attempt has started; its claim was durable before."""
    task = p.read_task(fs, held.path(lease), held.entry)
    fs.sync_dir(lease.claimed(held.node))
    ask()
    return task


def finish(p: Protocol, fs: Fs, lease: LeaseDir, held: Claim, outcome: Outcome, node: str) -> Outcome:
    """The attempt is decided, durably, then in the history, then settled."""
    decided = p.decide_all(fs, lease, [outcome])[0]
    record_if_missing(p, fs, lease, decided, node)
    p.follow(fs, lease, [decided])
    p.settle(fs, lease, held, decided)
    return decided


def finish_decided(p: Protocol, fs: Fs, lease: LeaseDir, held: Claim, decided: Outcome, node: str) -> None:
    """A claim whose attempt was decided by somebody who may have died before the sync is settled."""
    fs.sync_dir(lease.done(decided.task.id))
    record_if_missing(p, fs, lease, decided, node)
    p.follow(fs, lease, [decided])
    p.settle(fs, lease, held, decided)


def book(p: Protocol, fs: Fs, lease: LeaseDir, node: str) -> None:
    """What commands decided is in the node's history, and no longer in booking/."""
    for name in fs.names(lease.booking):
        decided = p.read_outcome(fs, lease, *parse_key(name))
        assert decided is not None, f"booking/{name} stands for no outcome"
        record_if_missing(p, fs, lease, decided, node)
        try:
            fs.unlink(f"{lease.booking}/{name}")
        except FileNotFoundError:
            pass  # another node's runner was first, or the reply was lost


def record_if_missing(p: Protocol, fs: Fs, lease: LeaseDir, decided: Outcome, node: str) -> None:
    if (decided.task.id, decided.attempt) not in {(event.id, event.attempt) for event in events_of(fs, lease, node)}:
        p.record_events(fs, lease, node, [history.event_of(decided)])


def decide_and_book(fs: Fs, lease: LeaseDir, outcome: Outcome) -> Outcome:
    """The outcome stands, durably, and is told in booking/; its claim is as it was."""
    decided = tasks.decide_all(fs, lease, [outcome])[0]
    key = f"{outcome.task.id}.{outcome.attempt}"
    with suppress(FileExistsError):
        fs.link(lease.outcome(outcome.task.id, outcome.attempt), f"{lease.booking}/{key}")
    fs.sync_dir(lease.booking)
    return decided


def events_of(fs: Fs, lease: LeaseDir, node: str) -> list[Event]:
    """The whole lines of a node's histories; torn ones are passed over."""
    events = []
    for each, term in histories_in(fs.names(lease.events_dir)):
        for line in fs.read(lease.events(node, term)).split(b"\n") if each == node else ():
            with suppress(Malformed):
                events.append(Event.from_json(line))
    return events


def is_gone(owner: str, host: Host, certain: frozenset[str]) -> bool:
    """True if the runner of that incarnation has ended for certain: unknown is not gone."""
    if owner in host.alive:
        return False
    return owner in host.born or owner in certain


def fate(host: Host, held: Claim) -> str:
    """What became of a claimed attempt whose runner is gone: `ended`, `running`, `unstarted` or `unknown`."""
    key = (held.entry.id, held.entry.attempt)
    if key in host.exits:
        return "ended"
    if key in host.asked:
        return "running" if key in host.running else "unknown"
    return "unstarted" if held.entry.owner in host.born else "unknown"


@dataclass(frozen=True)
class Protocol:
    """The functions that the actors use. A mutant replaces one."""

    read_own_lease: Callable[..., Lease] = records.read_own_lease
    prepare: Callable[..., None] = records.prepare
    prepare_node: Callable[..., None] = records.prepare_node
    publish: Callable[..., None] = tasks.publish
    publish_batch: Callable[..., Published] = publish_batch
    publish_once: Callable[..., str] = keys.publish_once
    publish_redo: Callable[..., str] = keys.publish_redo
    retry: Callable[..., Entry] = keys.retry
    move_with_key: Callable[..., str] = keys.move_with_key
    claim: Callable[..., Claim | None] = tasks.claim
    read_task: Callable[..., Task] = tasks.read_task
    unclaim: Callable[..., None] = tasks.unclaim
    decide_all: Callable[..., list[Outcome]] = tasks.decide_all
    settle: Callable[..., None] = tasks.settle
    read_outcome: Callable[..., Outcome | None] = tasks.read_outcome
    record_events: Callable[..., None] = history.record_events
    cancel_pending: Callable[..., Outcome | None] = concluding.cancel_pending
    finish_cancelled: Callable[..., Outcome] = concluding.finish_cancelled
    change: Callable[..., bool] = edits.change
    put_edges: Callable[..., None] = edges.put
    follow: Callable[..., frozenset[str]] = dependents.follow
    look: Callable[..., dependents.Looked] = dependents.look
    look_once_published: Callable[..., dependents.Looked] = dependents.look
    revive: Callable[..., list[str]] = dependents.revive
    move_pending: Callable[..., bool] = tasks.move_pending
    recover_lost: Callable[..., bool] = tasks.recover_lost
    lose: Callable[..., Outcome] = concluding.lose
    replace_file: Callable[..., None] = files.replace_file
    judge: type[Judge] = Judge
    start: Callable[..., Task] = start
    finish: Callable[..., Outcome] = finish
    finish_decided: Callable[..., None] = finish_decided
    is_gone: Callable[..., bool] = is_gone
    fate: Callable[..., str] = fate


REAL = Protocol()


# -- what really happens -----------------------------------------------------------------------------


@dataclass
class Truth:
    """What an observer outside of everything knows."""

    acknowledged: dict[str, Task] = field(default_factory=dict)
    arrays: dict[str, Task] = field(default_factory=dict)
    """Arrays that were acknowledged."""
    starts: list[Key] = field(default_factory=list)
    exits: dict[Key, int] = field(default_factory=dict)
    stands: dict[Key, Outcome] = field(default_factory=dict)
    """Outcomes that somebody was told to be durable."""
    recovered: dict[str, int] = field(default_factory=dict)
    """How often another attempt of a LOST task was asked for."""
    retried: set[Key] = field(default_factory=set)
    """Ended attempts after which somebody began to ask for another."""
    attempts: dict[str, int] = field(default_factory=dict)
    """The attempt that somebody was told to follow."""
    let_go: set[str] = field(default_factory=set)
    """Tasks that somebody let start whatever they wait for."""
    keys: dict[str, str] = field(default_factory=dict)
    names: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    """By task, and by how often it was changed then, what it may be named: as somebody began to make it."""
    changed: dict[str, int] = field(default_factory=dict)
    """How often a task was changed, for all that somebody was told."""
    contents: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    """What a reader of a replaced file may see."""


@dataclass(eq=False)
class Host:
    """One boot of a machine that serves a node: what its keeper knows, whatever happens to its runners."""

    node: str
    truth: Truth
    alive: set[str] = field(default_factory=set)
    born: set[str] = field(default_factory=set)
    asked: set[Key] = field(default_factory=set)
    running: set[Key] = field(default_factory=set)
    exits: dict[Key, int] = field(default_factory=dict)

    def ask(self, key: Key) -> None:
        """The keeper starts the attempt, once."""
        if key not in self.asked:
            self.asked.add(key)
            self.running.add(key)
            self.truth.starts.append(key)

    def end(self, key: Key, code: int) -> None:
        if key in self.running:
            self.running.remove(key)
            self.exits[key] = self.truth.exits[key] = code


class World:
    """One lease on one disk, its hosts, and the truth."""

    def __init__(self, p: Protocol = REAL) -> None:
        self.p = p
        self.lease = LeaseDir("1", "/home/runs/1")
        self.disk = prepared_disk(self.lease).copy()
        self.truth = Truth()
        self.hosts: dict[str, Host] = {}
        self.runners: list[Runner] = []
        self.count = 0
        for node in NODES:
            self.hosts[node] = Host(node, self.truth)

    def fs(self) -> MemoryFs:
        return MemoryFs(self.disk)

    def number(self) -> int:
        self.count += 1
        return self.count

    def task(self, **fields: Any) -> Task:
        return Task(id=f"T{_letters(self.number(), 11)}", argv=("true",), cwd="/", submitted=1.0, **fields)

    def entry(self, task: Task) -> Entry:
        return Entry(order(priority=0, micros=self.number(), sequence=0), task.id, Need(), 1)

    def nodes(self) -> list[str]:
        return sorted({host.node for host in self.hosts.values()})

    def runner(self, node: str = "n1", fs: Fs | None = None, host: Host | None = None) -> Runner:
        runner = Runner(self, fs or self.fs(), host or self.hosts[node], _letters(self.number(), 10))
        self.runners.append(runner)
        return runner

    def all_runners_die(self) -> None:
        for runner in self.runners:
            runner.host.alive.clear()

    def known(self) -> object:
        """The machines, and what was told to whom: with the disk all that the further course depends on, if all
        runners have died."""
        hosts = [
            (node, sorted(host.alive), sorted(host.born), sorted(host.asked), sorted(host.running), host.exits)
            for node, host in self.hosts.items()
        ]
        return hosts, vars(self.truth)

    def known_to_runners(self) -> object:
        return [(each.incarnation, each.alive, [str(held.entry) for held in each.held]) for each in self.runners]

    def after_power_loss(self, disk: Disk) -> World:
        """Another world with that disk, whose machines know nothing of before; this one stays as it is."""
        after = copy.copy(self)
        after.disk = disk
        after.runners = []
        after.truth = Truth(**{name: copy.copy(value) for name, value in vars(self.truth).items()})
        after.hosts = {name: Host(host.node, after.truth) for name, host in self.hosts.items()}
        return after


@lru_cache
def prepared_disk(lease: LeaseDir) -> Disk:
    """What each world begins with, durably: copy it before anything is done there."""
    disk = Disk()
    fs = MemoryFs(disk)
    fs.mkdir("/home/runs")
    records.prepare(fs, lease)
    for node in NODES:
        records.prepare_node(fs, lease, node)
    disk.sync_all()
    return disk


def _letters(number: int, length: int) -> str:
    letters = ""
    while number:
        number, letter = divmod(number, 32)
        letters = ALPHABET[letter] + letters
    return letters.rjust(length, "0")


# -- submitter, canceller, holder, recoverer ----------------------------------------------------------


def submit(world: World, fs: Fs, **fields: Any) -> Task:
    """A task is published and acknowledged."""
    task = world.task(**fields)
    world.p.publish(fs, world.lease.inbox(task.node), world.entry(task), task)
    world.truth.acknowledged[task.id] = task
    return task


def submit_after(world: World, fs: Fs, *ups: str, kind: str = edges.OK, hold: bool = False, **fields: Any) -> Task:
    """A task that comes after those, or else after the oldest, is published and acknowledged."""
    lease = world.lease
    waits = [Upstream(kind, up, 1, lease.id) for up in ups or sorted(world.truth.acknowledged)[:1]]
    task = world.task(after=tuple(map(str, waits)), **fields)
    entry = world.entry(task)
    world.p.put_edges(fs, lease, waits, [entry.key])
    world.p.publish(fs, lease.held(ANY) if hold else lease.waiting(ANY), entry, task)
    world.p.look_once_published(fs, lease, now=NOW, only=[entry.key])
    world.truth.acknowledged[task.id] = task
    return task


def look(world: World, fs: Fs) -> None:
    """A runner looks what tasks wait for, as it does each minute."""
    world.p.look(fs, world.lease, now=NOW)


def submit_batch(world: World, fs: Fs, count: int) -> None:
    """Tasks that share one sync of their directory are acknowledged together, those that were saved if not all were."""
    tasks = [world.task() for _ in range(count)]
    batch = [(world.entry(task), task) for task in tasks]
    # Threads would make the calls in another order each time.
    done = world.p.publish_batch(fs, world.lease.inbox(ANY), batch, threads=0)
    world.truth.acknowledged.update((task.id, task) for task in tasks if task.id in done.ids)
    if done.failure is not None:
        raise done.failure


def submit_with_key(world: World, fs: Fs, digest: str) -> str:
    """The one task of that key is published and acknowledged."""
    task = world.task(key=digest)
    first = world.p.publish_once(fs, world.lease, digest, world.lease.inbox(ANY), world.entry(task), task)
    if world.truth.keys.setdefault(digest, first) != first:
        raise AssertionError(f"the key stood for {world.truth.keys[digest]}, and now for {first}")
    return first


def retry_first(world: World, fs: Fs) -> bool:
    """The first task that ended for good, and not well, is pending again as its next attempt."""
    for outcome in _last_outcomes(world, fs):
        if outcome.state in (State.FAILED, State.CANCELLED) and not outcome.requeued:
            task = outcome.task
            world.truth.retried.add((task.id, outcome.attempt))
            place = order(priority=0, micros=1, sequence=0)
            entry = Entry(place, task.id, Need(), outcome.attempt + 1, _letters(world.number(), 10))
            first = world.p.retry(fs, world.lease, outcome, world.lease.inbox(ANY), entry, task)
            world.truth.attempts[task.id] = first.attempt
            world.p.revive(fs, world.lease, task.id, now=NOW)
            return True
    return False


def redo_first(world: World, fs: Fs) -> str:
    """The first task that failed is submitted again as a new one, once; gives its id."""
    failed = [each for each in _last_outcomes(world, fs) if each.state is State.FAILED]
    if not failed:
        return ""
    old = failed[0].task
    task = world.task(redo_of=old.id)
    given = world.p.publish_redo(fs, world.lease, 1, world.lease.inbox(ANY), world.entry(task), task)
    if world.truth.keys.setdefault(f"redo of {old.id}", given) != given:
        raise AssertionError(f"the redo of {old.id} was {world.truth.keys[f'redo of {old.id}']}, and is {given}")
    return given


def _last_outcomes(world: World, fs: Fs) -> list[Outcome]:
    """The newest outcome of each task that is neither pending nor claimed, oldest task first."""
    live = {entry.id: entry.attempt for _, entry in pending(fs, world.lease, ("inbox", "held", "waiting"))}
    for node in [*world.nodes(), CLI]:
        for entry in map(Entry.parse, fs.names(world.lease.claimed(node))):
            live[entry.id] = max(entry.attempt, live.get(entry.id, 0))
    newest: dict[str, int] = {}
    for letter in ALPHABET:
        for task_id, attempt in map(parse_key, fs.names(f"{world.lease.root}/done/{letter}")):
            newest[task_id] = max(attempt, newest.get(task_id, 0))
    found = []
    for task_id, attempt in sorted(newest.items()):
        if live.get(task_id, 0) <= attempt and (outcome := world.p.read_outcome(fs, world.lease, task_id, attempt)):
            found.append(outcome)
    return found


def pending(fs: Fs, lease: LeaseDir, kinds: tuple[str, ...] = ("inbox",)) -> list[tuple[str, Entry]]:
    """(directory, entry) of the pending tasks, in order."""
    found = []
    for kind in kinds:
        for node in fs.names(f"{lease.root}/{kind}"):
            directory = f"{lease.root}/{kind}/{node}"
            found += [(directory, Entry.parse(name)) for name in fs.names(directory)]
    return sorted(found, key=lambda each: str(each[1]))


def cancel_first(world: World, fs: Fs, kinds: tuple[str, ...] = ("inbox", "held")) -> Outcome | None:
    """The first pending task is CANCELLED, unless somebody else was first."""
    for directory, entry in pending(fs, world.lease, kinds):
        decided = world.p.cancel_pending(fs, world.lease, directory, entry, ended=2.0, reason="cancel")
        if decided is not None:
            world.truth.stands[decided.task.id, decided.attempt] = decided
        return decided
    return None


def change_first(world: World, fs: Fs, name: str = "") -> bool:
    """The first pending task has another name and a higher priority, and its user is told so; False if it was gone."""
    found = [(directory, entry) for directory, entry in pending(fs, world.lease, ("inbox", "held"))]
    if not found:
        return True
    directory, old = found[0]
    try:
        task = world.p.read_task(fs, f"{directory}/{old}", old)
    except FileNotFoundError:
        return False
    name = name or f"changed{world.number()}"
    names = world.truth.names.setdefault(task.id, {0: {task.name}})
    names.setdefault(old.edited + 1, set()).add(name)
    new = replace(old, order=with_priority(old.order, 5), group="eval", edited=old.edited + 1)
    done = world.p.change(fs, world.lease, directory, old, directory, new, replace(task, name=name, group="eval"))
    if done:
        names[new.edited] = {name}
        world.truth.changed[task.id] = max(new.edited, world.truth.changed.get(task.id, 0))
    else:
        names[new.edited].discard(name)
    return done


def change_upstream(world: World, fs: Fs, down: str, up: str) -> bool:
    """The pending task comes after that one alone, or after none, and its user is told so; False if it was gone."""
    lease = world.lease
    for directory, old in pending(fs, lease, ("inbox", "waiting")):
        if old.id != down:
            continue
        ups = [Upstream(edges.OK, up, 1, lease.id)] if up else []
        try:
            task = world.p.read_task(fs, f"{directory}/{old}", old)
        except FileNotFoundError:
            return False
        if task.after == tuple(map(str, ups)):
            return True
        new, changed = replace(old, edited=old.edited + 1), replace(task, after=tuple(map(str, ups)))
        waits = edges.weigh(fs, lease, ups, now=NOW).open
        target = lease.waiting(ANY) if waits else lease.inbox(ANY)
        done = world.p.change(fs, lease, directory, old, target, new, changed, ups=waits)
        if done:
            world.truth.acknowledged[down] = changed
        world.p.look_once_published(fs, lease, now=NOW, only=[new.key])
        return done
    return True


def finish_changes(world: World, fs: Fs) -> None:
    """Every change that somebody began is made."""
    edits.finish_all(fs, world.lease)


def move_first(world: World, fs: Fs, source: str, target: str) -> bool:
    """The first pending task of `inbox/_any` or `held/_any` is in the other one (hold, release)."""
    names = sorted(fs.names(source))
    return bool(names) and world.p.move_pending(fs, source, names[0], target)


def recover_lost_first(world: World, fs: Fs) -> bool:
    """The first task in lost/ is pending again as its next attempt."""
    names = sorted(fs.names(world.lease.lost))
    if not names:
        return False
    entry = Entry.parse(names[0])
    world.truth.recovered[entry.id] = world.truth.recovered.get(entry.id, 0) + 1
    done = world.p.recover_lost(fs, world.lease, entry, world.lease.inbox(ANY))
    if done:
        world.truth.attempts[entry.id] = entry.attempt + 1
    return done


def finish_cancellations(world: World, fs: Fs) -> None:
    """Every task that a command claimed is CANCELLED, also if that command died."""
    for name in sorted(fs.names(world.lease.claimed(CLI))):
        held = Claim(Entry.parse(name), CLI)
        try:
            world.p.finish_cancelled(fs, world.lease, held, ended=3.0, reason="cancel")
        except FileNotFoundError:
            if name in fs.names(world.lease.claimed(CLI)):
                raise


def lose_first(world: World, fs: Fs, node: str = "n1", requeued: str = "") -> Outcome | None:
    """The first claim of a node that is gone for certain is decided as LOST, or as it was decided before."""
    for name in sorted(fs.names(world.lease.claimed(node))):
        held = Claim(Entry.parse(name), node)
        try:
            task = world.p.read_task(fs, held.path(world.lease), held.entry)
        except FileNotFoundError:
            continue  # its owner came back and settled it
        outcome = Outcome(
            task=task,
            attempt=held.entry.attempt,
            state=State.LOST,
            node=node,
            incarnation=_letters(world.number(), 10),
            requeued=requeued,
            ended=4.0,
        )
        decided = world.p.lose(fs, world.lease, held, outcome)
        world.truth.stands[task.id, held.entry.attempt] = decided
        return decided
    return None


# -- runner ------------------------------------------------------------------------------------------


class Runner:
    """One incarnation of the runner of one node."""

    def __init__(self, world: World, fs: Fs, host: Host, incarnation: str) -> None:
        self.world, self.fs, self.host, self.incarnation = world, fs, host, incarnation
        self.lease, self.p, self.node = world.lease, world.p, host.node
        self.held: list[Claim] = []
        """Claims of this incarnation that it knows of, started or not."""
        host.alive.add(incarnation)
        host.born.add(incarnation)

    @property
    def alive(self) -> bool:
        return self.incarnation in self.host.alive

    def take(self) -> Claim | None:
        """The claim on the first pending task that nobody else was faster at."""
        for directory, entry in pending(self.fs, self.lease):
            if directory.rpartition("/")[2] in (ANY, self.node):
                held = self.p.claim(self.fs, self.lease, directory, entry, node=self.node, incarnation=self.incarnation)
                if held is not None:
                    self.held.append(held)
                    return held
        return None

    def start(self, held: Claim) -> None:
        key = held.entry.id, held.entry.attempt
        self.p.start(self.p, self.fs, self.lease, held, lambda: self.host.ask(key))

    def give_back(self, held: Claim) -> None:
        """The claim, which was never started, is pending again."""
        try:
            task = self.p.read_task(self.fs, held.path(self.lease), held.entry)
            self.p.unclaim(self.fs, self.lease, held, self.lease.inbox(task.node))
        except FileNotFoundError:
            if str(held.entry) in self.fs.names(self.lease.claimed(self.node)):
                raise
        self.held = [each for each in self.held if each != held]

    def report(self, held: Claim, *, lost: bool = False) -> Outcome | None:
        """The ended attempt is decided, in the history and settled; None if the claim is gone."""
        key = held.entry.id, held.entry.attempt
        try:
            task = self.p.read_task(self.fs, held.path(self.lease), held.entry)
        except FileNotFoundError:
            self.held = [each for each in self.held if each != held]
            return None
        decided = self.p.finish(self.p, self.fs, self.lease, held, self._outcome(task, key, lost=lost), self.node)
        self.world.truth.stands[key] = decided
        self.held = [each for each in self.held if each != held]
        return decided

    def _outcome(self, task: Task, key: Key, *, lost: bool) -> Outcome:
        code = None if lost else self.host.exits[key]
        again = key[1] <= task.retries and code != 0 and task.on_lost != "fail"
        return Outcome(
            task=task,
            attempt=key[1],
            state=State.LOST if lost else State.FAILED if code else State.DONE,
            node=self.node,
            incarnation=self.incarnation,
            exit_code=code,
            requeued=("lost" if lost else "retry") if again else "",
            ended=float(self.world.number()),
        )

    def recover(self, certain: frozenset[str] = frozenset()) -> None:
        """Claims of this node that earlier runners left are adopted, settled, pending again, or LOST."""
        self.fs.sync_dir(self.lease.claimed(self.node))
        for name in sorted(self.fs.names(self.lease.claimed(self.node))):
            held = Claim(Entry.parse(name), self.node)
            if held.entry.owner == self.incarnation or not self.p.is_gone(held.entry.owner, self.host, certain):
                continue
            decided = self.p.read_outcome(self.fs, self.lease, held.entry.id, held.entry.attempt)
            what = self.p.fate(self.host, held)
            if decided is not None:
                self.p.finish_decided(self.p, self.fs, self.lease, held, decided, self.node)
            elif what == "unstarted":
                self.give_back(held)
            elif what == "running":
                if held not in self.held:
                    self.held.append(held)
            else:
                self.report(held, lost=what == "unknown")

    def book(self) -> None:
        book(self.p, self.fs, self.lease, self.node)
