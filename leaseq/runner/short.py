"""Short tasks: of a stream of tasks that take milliseconds each, several are the keeper's at once.

They are claimed together, durably by one sync, and run in a window, one after the other with the room of one, as the
indices of an array do: see `leaseq.node.window`. The first of them has that room by the runner's choice; those behind
it need the same and stand next in line. What has not begun once the window is over is pending again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from leaseq.dataclass import replace
from leaseq.models import Need, Task
from leaseq.names import Entry
from leaseq.node.record import Rec
from leaseq.node.window import PLACES_MAX, Place, WindowRequest
from leaseq.room import how_many
from leaseq.runner import ends
from leaseq.runner.decide import LOOKAHEAD, Choice
from leaseq.runner.node_state import NodeState
from leaseq.runner.ports import Ports
from leaseq.runner.starting import ends_of_day, marks_of, start_request, words_of
from leaseq.runner.windows import LIMIT_SECONDS
from leaseq.runner.work import Attempt, Several, Single, Won, free_slot


def may_hand(state: NodeState, ports: Ports) -> bool:
    """True if tasks may run in windows now."""
    return state.pace.is_short and ports.procs.knows_windows and state.phase.may_claim and not state.limits.made


def together(state: NodeState, need: Need) -> int:
    """How many of such tasks make a window: half of what ends in a moment. As many are claimed ahead, to follow.

    While tasks wait for the end of others, half of that: one that may start at last waits for a window's end.
    """
    slots = how_many(need, state.options.capacity)
    share = 4 * slots if state.heard_of_edges else 2 * slots
    return max(1, min(PLACES_MAX, state.pace.ahead(slots) // share))


def lookahead(state: NodeState) -> int:
    """How many pending tasks are looked at: what fills the windows of all slots."""
    return max(LOOKAHEAD, state.pace.ahead(1))


def with_others(
    state: NodeState, choices: Sequence[Choice], candidates: Sequence[Entry], ahead: Container[str]
) -> list[Choice]:
    """The choices, each with those that are to have its room after it: what follows the last of them in line.

    ahead: the keys of what is claimed. Of that none goes back because it was more when it was claimed.
    """
    last = choices[-1].entry
    if not _shares(state, last):
        return list(choices)
    alike = [each.entry.need == last.need and _shares(state, each.entry) for each in choices]
    heads = [number for number, shares in enumerate(alike) if shares]
    most = len(heads) * (together(state, last.need) - 1)
    line = in_line(state, candidates[1 + candidates.index(last) :], last.need, len(heads) * (PLACES_MAX - 1))
    behind = [entry for place, entry in enumerate(line) if place < most or entry.key in ahead]
    found = list(choices)
    for place, number in enumerate(heads):
        found[number] = replace(found[number], behind=tuple(behind[place :: len(heads)]))
    return found


def in_line(state: NodeState, candidates: Iterable[Entry], need: Need, most: int) -> list[Entry]:
    """The first of the candidates, up to the first that cannot be in a window with such tasks."""
    found: list[Entry] = []
    for entry in candidates:
        if len(found) >= most or entry.need != need or not _shares(state, entry):
            break
        found.append(entry)
    return found


def _shares(state: NodeState, entry: Entry) -> bool:
    """True if it may be in a window with others.

    A time limit of a moment is kept by a record of its own, and so is an end for which others wait: one in a window
    is told of when all of the window have ended.
    """
    seconds = entry.need.time_seconds
    told_late = entry.id in state.upstreams or (seconds is not None and seconds < LIMIT_SECONDS)
    return not entry.count and not told_late and str(entry) not in state.came_back


def alike(first: Task, other: Task) -> bool:
    """True if all but its words and its marks is the same of the other task, as far as its process is concerned."""
    return (first.cwd, first.umask, first.env) == (other.cwd, other.umask, other.env) and not other.task_dir


def hand(state: NodeState, ports: Ports, first: Won, others: Sequence[Won]) -> None:
    """A window of these claims, which are durable, is the keeper's."""
    lease = ports.lease
    # Who had taken this runner for dead may have taken some away between the claim and now.
    stands = set(ports.fs.names(lease.claimed(state.node)))
    members = [(won, _task(won)) for won in (first, *others) if str(won.claim.entry) in stands]
    if not members:
        return
    won, task = members[0]
    slot = free_slot(state.occupants())
    model = Attempt(Single(won.claim), task, first.booking, ports.clock.monotonic(), slot=slot)
    common = start_request(model, lease=lease, options=state.options, ends=ends_of_day(state, ports.clock))
    name = ports.procs.start_window(WindowRequest(common, [_place(ports, *each) for each in members]))
    keys = frozenset(won.claim.entry.key for won, _ in members)
    state.hands_window(name, Several(members, keys, first.booking, slot, model.since))


def _task(won: Won) -> Task:
    assert won.task is not None
    return won.task if won.inbox == won.task.node else replace(won.task, node=won.inbox)


def _place(ports: Ports, won: Won, task: Task) -> Place:
    entry, lease = won.claim.entry, ports.lease
    out, err = (lease.log(entry.id, entry.attempt, stream) for stream in ("out", "err"))
    return Place(entry.key, words_of(task, task.argv), marks_of(entry, lease), out, err)


def tell(state: NodeState, ports: Ports, name: str, handed: Several) -> tuple[list[str], list[str]]:
    """The window is over: each of its attempts has ended, goes on alone, or is to be pending again.

    Gives the keys of those that go on, and the ids of those that have ended.
    """
    found, now = ports.procs.window(name), ports.clock.monotonic()
    assert found is not None, f"the record of {name} is gone before it was told of"
    state.active = now
    ended: list[tuple[Attempt, Rec]] = []
    alone: list[Attempt] = []
    for place, (won, task) in enumerate(handed.members):
        rec = found.rec(place)
        attempt = Attempt(Single(won.claim), task, handed.booking, handed.since, slot=handed.slot)
        if place in found.own:
            alone.append(attempt)
        elif place in found.begun and not rec.again:
            attempt.rec = rec
            ended.append((attempt, rec))
        else:
            state.won[attempt.key] = replace(won, behind=attempt.key)
            if rec.again:
                state.failed(rec.failure, now)
    ports.procs.leave_window(name, [attempt.key for attempt, _ in ended])
    if len(ended) < len(handed.members):
        state.pace.refused()
    for attempt, rec in ended:
        ends.end(state, ports, attempt, rec)
    for attempt in alone:
        ends.begins_alone(state, ports, handed, attempt)
    return [attempt.key for attempt in alone], [attempt.entry.id for attempt, _ in ended]
