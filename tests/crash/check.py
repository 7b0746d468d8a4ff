"""What must be true of a lease directory: always (`check_always`), and once all work is done (`check_ended`)."""

from __future__ import annotations

from leaseq.dataclass import dataclass
from leaseq.errors import Malformed
from leaseq.models import ANY, Outcome, State, Task
from leaseq.names import CLI, EDIT, Entry, parse_key
from leaseq.protocol import dependents, keys
from leaseq.world import Fs
from tests.crash.actors import NOW, World, events_of, finish_cancellations, finish_changes, look
from tests.crash.order import brought_back, check_order, may_rest
from tests.crash.watched import Watched

PENDING = ("waiting", "held", "inbox")
RANK = {"edit": 0, **dict.fromkeys(PENDING, 1), "claimed": 2, "done": 3}
DRAIN_ROUNDS_MAX = 60


class Violated(AssertionError):
    """A rule of the protocol does not hold."""


class named:
    """A failure inside is a `Violated` that names the case. also: what else is a failure there."""

    def __init__(self, case: str, also: type[Exception] = Malformed) -> None:
        self.case, self.also = case, also

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (AssertionError, OSError, self.also)):
            raise Violated(f"{self.case}: {error!r}") from error


@dataclass(frozen=True)
class Place:
    """Where an attempt of a task was seen."""

    attempt: int
    kind: str
    path: str


def places(fs: Fs, world: Watched) -> dict[str, list[Place]]:
    """Every place of every task, read file by file; a file that is not what its name says is a violation."""
    lease = world.lease
    found: dict[str, list[Place]] = {}
    for kind in (*PENDING, "claimed"):
        for node in fs.names(f"{lease.root}/{kind}"):
            for name in fs.names(f"{lease.root}/{kind}/{node}"):
                _note(found, fs, "edit" if node == EDIT else kind, f"{lease.root}/{kind}/{node}/{name}")
    for name in fs.names(lease.lost):
        _note(found, fs, "lost", f"{lease.lost}/{name}")
    for shard in fs.names(f"{lease.root}/done"):
        for name in fs.names(f"{lease.root}/done/{shard}"):
            task_id, attempt = parse_key(name)
            try:
                world.p.read_outcome(fs, lease, task_id, attempt)
            except Malformed as error:
                raise Violated(f"the outcome {name} is not whole: {error}") from error
            found.setdefault(task_id, []).append(Place(attempt, "done", f"{lease.root}/done/{shard}/{name}"))
    return found


def _note(found: dict[str, list[Place]], fs: Fs, kind: str, path: str) -> None:
    try:
        entry = Entry.parse(path.rpartition("/")[2])
        if entry.chunk is not None:
            return  # a part of an array, which is where its own file is
        task = Task.from_json(fs.read(path))
    except Malformed as error:
        raise Violated(f"{path} is not whole: {error}") from error
    if task.id != entry.id:
        raise Violated(f"{path} holds the task {task.id}")
    found.setdefault(entry.id, []).append(Place(entry.attempt, kind, path))


def check_always(world: Watched) -> None:
    """Nothing acknowledged is lost, everything is in one place by the reading rule, and what stands is true."""
    fs = world.fs()
    found = places(fs, world)
    for task_id in {*world.truth.acknowledged, *world.truth.keys.values(), *world.truth.arrays}:
        _check_one_place(world, fs, task_id, found.get(task_id, []))
    _check_starts(world)
    for (task_id, attempt), told in world.truth.stands.items():
        stands = world.p.read_outcome(fs, world.lease, task_id, attempt)
        if stands is None:
            raise Violated(f"the outcome of {task_id}.{attempt}, told to be {told.state.name}, is gone")
        if (stands.state, stands.incarnation, stands.ended) != (told.state, told.incarnation, told.ended):
            raise Violated(f"{task_id}.{attempt} was told to be {told.state.name}, and is now {stands.state.name}")
    _check_outcomes(world, fs, found)
    _check_redos(world, fs, found)
    check_order(world, fs)
    for path, allowed in world.truth.contents.items():
        if (content := fs.read(path)) not in allowed:
            raise Violated(f"{path} holds {content!r}, not one of {allowed}")


def check_claims_known(world: World) -> None:
    """Each claim of a living runner is one that it knows of: nobody else may take care of it."""
    fs = world.fs()
    for runner in world.runners:
        known = {str(held.entry) for held in runner.held}
        for name in fs.names(world.lease.claimed(runner.node)):
            if Entry.parse(name).owner == runner.incarnation and name not in known and runner.alive:
                raise Violated(f"{name} is claimed by a living runner that does not know of it")


def _check_one_place(world: Watched, fs: Fs, task_id: str, seen: list[Place]) -> None:
    ranked = sorted(((each.attempt, RANK[each.kind], each.path) for each in seen if each.kind != "lost"), reverse=True)
    if not ranked:
        raise Violated(f"{task_id} was acknowledged and is nowhere")
    attempt, rank, path = ranked[0]
    if attempt < world.truth.attempts.get(task_id, 1):
        raise Violated(f"{task_id} was told to have another attempt than {attempt}, and has none")
    if len(ranked) > 1 and ranked[1][:2] == (attempt, rank):
        raise Violated(f"{task_id} is in two places: {path} and {ranked[1][2]}")
    if (names := world.truth.names.get(task_id)) and rank > RANK["edit"]:
        told = world.truth.changed.get(task_id, 0)
        allowed = {name for edited, some in names.items() for name in some if edited >= told}
        if (name := _newest_content(fs, path, rank).name) not in allowed:
            raise Violated(f"{task_id} was changed to one of {sorted(allowed)}, and is {name!r} in {path}")
    if rank != RANK["done"]:
        return
    pending = [each.path for each in seen if each.attempt == attempt and each.kind in PENDING]
    if pending:
        raise Violated(f"{task_id}.{attempt} is decided, and a runner may start it: {pending[0]}")
    outcome = world.p.read_outcome(fs, world.lease, task_id, attempt)
    assert outcome is not None
    claimed = any(each.kind == "claimed" and each.attempt == attempt for each in seen)
    if outcome.requeued and not claimed:
        raise Violated(f"{task_id}.{attempt} was requeued, and no next attempt is anywhere")
    kept = claimed or any(each.kind == "lost" and each.attempt == attempt for each in seen)
    if outcome.state is State.LOST and not kept and not outcome.counts:
        raise Violated(f"{task_id}.{attempt} is LOST, and its task file is not kept")


def _check_redos(world: Watched, fs: Fs, found: dict[str, list[Place]]) -> None:
    """Each task that repeats another is linked from it, and it is the only one."""
    for task_id, seen in found.items():
        newest = max(seen, key=lambda place: place.attempt)
        task = Outcome.from_json(fs.read(newest.path)).task if newest.kind == "done" else _task_in(fs, newest.path)
        if task.redo_of and keys.redone(fs, world.lease, task.redo_of) != [task_id]:
            raise Violated(f"{task_id} repeats {task.redo_of}, which does not tell of it alone")


def _newest_content(fs: Fs, path: str, rank: int) -> Task:
    return Outcome.from_json(fs.read(path)).task if rank == RANK["done"] else _task_in(fs, path)


def _task_in(fs: Fs, path: str) -> Task:
    return Task.from_json(fs.read(path))


def _check_starts(world: Watched) -> None:
    starts = world.truth.starts
    for key in set(starts):
        if starts.count(key) > 1:
            raise Violated(f"{key[0]}.{key[1]} was started {starts.count(key)} times")


def _check_outcomes(world: Watched, fs: Fs, found: dict[str, list[Place]]) -> None:
    for task_id, seen in found.items():
        decided: dict[int, Outcome] = {}
        for place in seen:
            if place.kind == "done":
                outcome = world.p.read_outcome(fs, world.lease, task_id, place.attempt)
                assert outcome is not None
                decided[place.attempt] = outcome
                code = world.truth.exits.get((task_id, place.attempt))
                if outcome.counts:
                    continue
                if outcome.state in (State.DONE, State.FAILED) and outcome.exit_code != code:
                    raise Violated(f"{task_id}.{place.attempt} exited {code}, and stands as {outcome.exit_code}")
                pending = outcome.state is State.CANCELLED and not outcome.node
                if pending and (task_id, place.attempt) in world.truth.starts:
                    raise Violated(f"{task_id}.{place.attempt} was cancelled while pending, and was started")
        recovered = world.truth.recovered.get(task_id, 0)
        # Of an array an attempt begins after the last of any of its indices.
        passed = {n for each in decided.values() for n in range(each.attempt + 1, each.last_attempt + 1)}
        for attempt in range(1, max(each.attempt for each in seen)):
            if attempt in passed:
                continue
            earlier = decided.get(attempt)
            if earlier is None:
                raise Violated(f"{task_id} has an attempt after {attempt}, which nobody decided")
            if (task_id, attempt) in world.truth.retried or brought_back(world, fs, earlier):
                continue
            if not earlier.requeued and earlier.state is not State.LOST:
                raise Violated(f"{task_id}.{attempt} is {earlier.state.name} for ever, and another attempt follows")
            if not earlier.requeued and not recovered:
                raise Violated(f"{task_id}.{attempt} is LOST, nobody asked for another attempt, and there is one")


# -- to the end --------------------------------------------------------------------------------------


def drain(world: World) -> None:
    """Fresh runners have done all the work that is left, as they do after any crash: all earlier ones are gone."""
    fs = world.fs()
    finish_changes(world, fs)
    for name in fs.names(world.lease.held(ANY)):
        dependents.back_in_line(fs, world.lease, world.lease.held(ANY), name, now=NOW)
    world.all_runners_die()
    claims = [name for node in world.nodes() for name in fs.names(world.lease.claimed(node))]
    certain = frozenset(Entry.parse(name).owner for name in claims)
    runners = [world.runner(host=host) for host in world.hosts.values()]
    for _ in range(DRAIN_ROUNDS_MAX):
        finish_changes(world, fs)
        finish_cancellations(world, fs)
        look(world, fs)
        busy = False
        for runner in runners:
            runner.recover(certain)
            runner.book()
            held = runner.held[0] if runner.held else None
            if held is None and (held := runner.take()) is not None:
                runner.start(held)
            if held is not None:
                busy = True
                runner.host.end((held.entry.id, held.entry.attempt), 0)
                runner.report(held)
        if not busy:
            return
    raise Violated("work never ends")


def check_ended(world: World) -> None:
    """Once all work was done: each task has one last outcome, each outcome is in the history, nothing is left over."""
    drain(world)
    check_settled(world)


def check_settled(world: Watched) -> None:
    """Each task has one last outcome, each outcome is in the history, nothing is left over."""
    check_always(world)
    fs = world.fs()
    lease = world.lease
    found = places(fs, world)
    booked = {(event.id, event.attempt) for node in world.nodes() for event in events_of(fs, lease, node)}
    for task_id, seen in found.items():
        for each in seen:
            if each.kind in ("edit", *PENDING, "claimed") and not may_rest(world, fs, each):
                raise Violated(f"{task_id}.{each.attempt} stays in {each.path}")
            if each.kind == "lost" and each.attempt != max(place.attempt for place in seen):
                raise Violated(f"{each.path} is kept although a later attempt was made")
            if each.kind == "done" and (task_id, each.attempt) not in booked:
                raise Violated(f"the outcome {task_id}.{each.attempt} is not in the history")
    if fs.names(lease.booking) or fs.names(lease.claimed(CLI)):
        raise Violated(f"left over: {fs.names(lease.booking)} {fs.names(lease.claimed(CLI))}")
