"""What must be true of tasks that come after others: always (`check_order`), and if nobody died (`check_prompt`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaseq.layout import LeaseDir
from leaseq.models import Outcome, State, Task
from leaseq.names import CLI, Entry, parse_id, parse_key
from leaseq.protocol.edges import BADLY, BEGIN, EACH, ENDS, NOT_OK, OK
from leaseq.upstream import Edge, Upstream, edges_in
from leaseq.world import Fs
from tests.crash.index_order import ends_of_index

if TYPE_CHECKING:
    from tests.crash.check import Place
    from tests.crash.watched import Watched

COMES = {OK: (State.DONE,), ENDS: (State.DONE, *BADLY), NOT_OK: BADLY}


def outcomes_of(world: Watched, fs: Fs, task_id: str) -> list[Outcome]:
    """Every outcome of the task, oldest first; nobody is asked for it who may be wrong."""
    found = []
    for name in fs.names(world.lease.done(task_id)):
        if parse_key(name)[0] == task_id:
            found.append(Outcome.from_json(fs.read(f"{world.lease.done(task_id)}/{name}")))
    return sorted(found, key=lambda each: each.attempt)


def ends_of(world: Watched, fs: Fs, up_id: str) -> list[tuple[int, State]]:
    """(attempt, state) of each end of the task, or of the index of an array, that no attempt followed by itself."""
    task_id, index = parse_id(up_id)
    if index is None:
        return [(each.last, each.state) for each in outcomes_of(world, fs, task_id) if not each.requeued]
    return [(attempt, state) for attempt, state in ends_of_index(world, fs, task_id, index) if state is not None]


def check_order(world: Watched, fs: Fs) -> None:
    """Nothing was started before what it waits for had come, and nothing cancelled because of what did not happen."""
    _check_waiting(world, fs)
    for task_id, task in world.truth.acknowledged.items():
        if not task.after:
            continue
        ups = [Upstream.parse(word) for word in task.after]
        attempts = [attempt for started, attempt in world.truth.starts if started == task_id]
        for up in ups if attempts and task_id not in world.truth.let_go else []:
            ended = [state for _, state in ends_of(world, fs, up.id)]
            if up.kind in COMES and not set(ended) & set(COMES[up.kind]):
                _violated(f"{task_id} was started, and {up.word} had not come: {ended}")
        for outcome in outcomes_of(world, fs, task_id):
            if outcome.because:
                _check_because(world, fs, outcome, ups)


def _check_waiting(world: Watched, fs: Fs) -> None:
    """Each pending task has an edge for each thing that it waits for and that has not come; so it is in no inbox."""
    lease = world.lease
    names = fs.names(lease.edges)
    edges = {(edge.down, edge.up.id) for edge in edges_in(names)}
    for kind in ("waiting", "held", "inbox"):
        for node in fs.names(f"{lease.root}/{kind}"):
            for name in fs.names(f"{lease.root}/{kind}/{node}"):
                entry = Entry.parse(name)
                if entry.id in world.truth.let_go or entry.chunk is not None:
                    continue
                task = Task.from_json(fs.read(f"{lease.root}/{kind}/{node}/{name}"))
                for up in map(Upstream.parse, task.after if entry.attempt == 1 else ()):
                    if up.kind in COMES and (kind == "inbox" or (entry.key, up.id) not in edges):
                        ended = {state for _, state in ends_of(world, fs, up.id)}
                        if not ended & set(COMES[up.kind]):
                            _violated(f"{name} is in {kind}/, has lost an edge, and {up.word} has not come: {ended}")


def _check_because(world: Watched, fs: Fs, outcome: Outcome, ups: list[Upstream]) -> None:
    cause, name = Upstream.parse(outcome.because), f"{outcome.task.id}.{outcome.attempt}"
    if outcome.state is not State.CANCELLED or cause.id not in {up.id for up in ups}:
        _violated(f"{name} stands as {outcome.state.name} because of {cause.word}")
    ended = [state for attempt, state in ends_of(world, fs, cause.id) if attempt == cause.attempt]
    if not ended and any(f".{cause.id}." in claim for claim in fs.names(world.lease.claimed(CLI))):
        return  # a claim there is a cancelled task, whose outcome may be lost with the power
    if not ended or ended[0] in (*COMES[cause.kind], State.LOST):
        _violated(f"{name} was cancelled because of {cause}, which ended so: {ended[0] if ended else None}")


def brought_back(world: Watched, fs: Fs, outcome: Outcome) -> bool:
    """True if the attempt was cancelled because of one that somebody has retried, or that was brought back so."""
    each = [up.task for up in map(Upstream.parse, outcome.task.after) if up.kind == EACH]
    if any(task_id in each for task_id, _ in world.truth.retried):
        return True  # those of its indices that were cancelled because of others
    if any(brought_back(world, fs, before) for up in each for before in outcomes_of(world, fs, up)):
        return True
    if not outcome.because:
        return False
    cause = Upstream.parse(outcome.because)
    retried = [attempt for task_id, attempt in world.truth.retried if task_id == cause.task]
    if cause.number is not None and any(each >= cause.attempt for each in retried):
        return True
    if any(each.last == cause.attempt for each in outcomes_of(world, fs, cause.task) if each.attempt in retried):
        return True
    return any(
        brought_back(world, fs, each) for each in outcomes_of(world, fs, cause.task) if each.attempt == cause.attempt
    )


def check_prompt(world: Watched, fs: Fs) -> None:
    """With nobody dead and nobody at work: nothing waits for what has come, and nothing that was brought back is left.

    No runner has looked: who wrote last has seen to it.
    """
    for name in over_and_waiting(world, fs):
        _violated(f"{name} waits, and all that it waits for is over")
    for task_id in world.truth.acknowledged:
        ended = outcomes_of(world, fs, task_id)
        if not ended or not ended[-1].because or _is_alive(world, fs, task_id):
            continue
        cause = Upstream.parse(ended[-1].because)
        later = [attempt for attempt, _ in ends_of(world, fs, cause.id) if attempt > cause.attempt]
        if later or _goes_on(world, fs, cause.id):
            _violated(f"{task_id} stays cancelled because of {cause}, which was retried")


def over_and_waiting(world: Watched, fs: Fs) -> list[str]:
    """The files in waiting/ that wait for nothing that may still come."""
    edges = edges_in(fs.names(world.lease.edges))
    return [
        name
        for name in _waiting(fs, world.lease)
        if not any(edge.down == Entry.parse(name).key and _may_come(world, fs, edge) for edge in edges)
    ]


def _waiting(fs: Fs, lease: LeaseDir) -> list[str]:
    return [name for node in fs.names(lease.waitings) for name in fs.names(lease.waiting(node))]


def _may_come(world: Watched, fs: Fs, edge: Edge) -> bool:
    if edge.up.kind == BEGIN or _goes_on(world, fs, edge.up.id):
        return True
    ended = ends_of(world, fs, edge.up.id)
    return not ended or ended[-1][1] is State.LOST


def _goes_on(world: Watched, fs: Fs, up_id: str) -> bool:
    """True if an attempt of the task, or of the index, has not come to its end."""
    task_id, index = parse_id(up_id)
    if index is None:
        ended = outcomes_of(world, fs, task_id)
        return bool(ended and ended[-1].requeued) or _is_alive(world, fs, task_id)
    return any(state is None for _, state in ends_of_index(world, fs, task_id, index)[-1:])


def _is_alive(world: Watched, fs: Fs, task_id: str) -> bool:
    """True if an attempt of it is somewhere that has not been decided."""
    ended = max((each.attempt for each in outcomes_of(world, fs, task_id)), default=0)
    places = [
        f"{world.lease.root}/{kind}/{node}"
        for kind in ("waiting", "held", "inbox", "claimed")
        for node in fs.names(f"{world.lease.root}/{kind}")
    ]
    names = [name for place in places for name in fs.names(place) if f".{task_id}." in name]
    return any(Entry.parse(name).attempt > ended for name in names)


def may_rest(world: Watched, fs: Fs, place: Place) -> bool:
    """True if it waits for one of which nobody knows how it ended, or which waits so; or is held, as was asked for."""
    if place.kind not in ("waiting", "held"):
        return False
    key = Entry.parse(place.path.rpartition("/")[2]).key
    for edge in edges_in(fs.names(world.lease.edges)):
        if edge.down != key:
            continue
        ended = [state for _, state in ends_of(world, fs, edge.up.id)]
        if (ended and ended[-1] is State.LOST) or _goes_on(world, fs, edge.up.id):
            return True
        if ended and place.kind == "held" and ended[-1] not in COMES.get(edge.up.kind, ()):
            return Task.from_json(fs.read(place.path)).on_dep == "hold"
    return False


def _violated(what: str) -> None:
    from tests.crash.check import Violated

    raise Violated(what)
