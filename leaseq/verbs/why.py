"""Why a task is where it is: what it waits for, what would have to end, and when, as far as that is known."""

from __future__ import annotations

import math

from leaseq.dataclass import dataclass
from leaseq.lease.kinds import start_words, way_in
from leaseq.lease.lookup import Located
from leaseq.models import ANY, Need, State
from leaseq.names import Entry
from leaseq.reading.forecast import LOOKED_AT, Durations, Opening, first_opening
from leaseq.reading.merge import NOBODY
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import NodeView, Snapshot, TaskView, duration, need_text
from leaseq.reading.waits import DEPENDENCY
from leaseq.room import Room, never_fits
from leaseq.words import about, count

SHOWN_MAX = 4


@dataclass(frozen=True)
class Why:
    """What can be said of a task."""

    row: TaskView
    words: tuple[str, ...]
    """Sentences, the reason first."""
    never: bool = False
    """True if it can never run here as it is."""
    ahead: int | None = None
    """How many tasks stand before it in the queue; None if it does not stand there."""
    ends: tuple[str, ...] = ()
    """Tasks that would have to end for it to have room."""
    seconds: float | None = None
    """Until it may start, or if it runs until it may end; None if that is not known."""


def why(each: Located) -> Why:
    """What is known of why the task waits, runs or has ended."""
    row, reader = each.row, each.reader
    if row.state.ended:
        reason = f": {row.reason}" if row.reason else ""
        code = "" if row.exit_code is None else f" with exit code {row.exit_code}"
        return Why(row, (f"{row.id} has ended as {row.state.name}{code}{reason}.",))
    snapshot = reader.read(recent=LOOKED_AT, pending=0)
    durations = Durations().learn(reader.histories.known(LOOKED_AT))
    if row.state is not State.PENDING:
        return _running(row, durations)
    return _pending(reader, row, snapshot, durations)


def _running(row: TaskView, durations: Durations) -> Why:
    words = [f"{row.id} {'runs' if row.state is State.RUNNING else 'is ' + row.state.name} on {row.node}."]
    if row.reason:
        words.append(f"Reason: {row.reason}.")
    seen = durations.of(row.name, row.group, row.command)
    if seen is None or row.elapsed_seconds is None:
        words.append("How long it takes is not known: too few tasks like it have ended.")
        return Why(row, tuple(words))
    left = seen.left_after(row.elapsed_seconds)
    words.append(
        f"It has run for {about(row.elapsed_seconds)}; the last {seen.samples} tasks {seen.like} took about "
        f"{about(seen.seconds)}" + (", and none as long." if math.isinf(left) else ".")
    )
    return Why(row, tuple(words), seconds=None if math.isinf(left) else left)


def _pending(reader: Reader, row: TaskView, snapshot: Snapshot, durations: Durations) -> Why:
    code = row.reason.partition(":")[0]
    if words := _stopped(row, code):
        return Why(row, tuple(words))
    serving = [view for view in snapshot.nodes if view.health.serving and row.node in (ANY, "", view.node)]
    # What is booked is what the name says.
    need = Entry.parse(row.place.name).need if row.place else row.need or Need()
    if code in NOBODY or not serving:
        return Why(
            row, (f"{row.id} waits: {row.reason or 'no runner serves the lease'}.", *_way_on(code, row, snapshot))
        )
    reasons = [never_fits(need, _room(view)) for view in serving]
    if all(reasons):
        each = [f"{view.node}: {why}" for view, why in zip(serving, reasons, strict=True)]
        told = reasons[0] if len(each) == 1 else f"fits no node ({'; '.join(each)})"
        way = f"`leaseq set {row.id}` with a smaller need changes that, or `leaseq move {row.id} --to LEASE`."
        return Why(row, (f"{row.id} can never run here: it {told}.", way), never=True)
    if code == "LeaseTime":
        said = f"{row.id} does not start in this lease: {row.reason.partition(': ')[2] or row.reason}."
        way = f"`leaseq set {row.id} --time T` shortens its limit, `leaseq move {row.id} --to LEASE` carries it on."
        return Why(row, (said, way), never=True)
    return _in_queue(reader, row, snapshot, serving, need, durations)


def _stopped(row: TaskView, code: str) -> list[str]:
    """Why it does not even stand in the queue, and what lets it go on; nothing if it does."""
    if code == "Held":
        return [f"{row.id} is held{row.reason[4:]}.", f"`leaseq release {row.id}` lets it start."]
    if code == "Paused":
        group = f" -g {row.group}" if row.reason.startswith("Paused: ") else ""
        what = f"its group {row.group}" if group else "the lease"
        return [f"{row.id} does not start while {what} is paused.", f"`leaseq resume{group}` lets it."]
    if code == "Group":
        return [
            f"{row.id} waits for its group: {row.reason.partition(': ')[2]}.",
            f"One of them has to end, or `leaseq group {row.group} --parallel N` allows more.",
        ]
    if code in (DEPENDENCY, "Begin"):
        return [f"{row.id} waits for others: {row.reason}."]
    if code == "Draining":
        return [f"{row.id} waits: the lease's nodes start nothing until `leaseq lease hold-queue --off`."]
    if code == "Ending":
        return [f"{row.id} waits: the lease's nodes are about to be taken from it, and start nothing more."]
    return []


def _way_on(code: str, row: TaskView, snapshot: Snapshot) -> list[str]:
    if snapshot.lease is not None and snapshot.lease.is_of_hosts:
        if row.node in (ANY, ""):
            return [f"{way_in(snapshot.lease)}."]
        on_it = f"`{start_words(snapshot.lease)}` on {row.node} puts it in"
        return [f"{on_it}, `leaseq move {row.id} --node any` lets another host take it."]
    if code == "RunnerStopped":
        return ["`leaseq daemon start` starts this host's runner."]
    return [f"`leaseq move {row.id} --to LEASE` carries it to a lease that runs."] if code != "NoRunner" else []


def _in_queue(
    reader: Reader, row: TaskView, snapshot: Snapshot, serving: list[NodeView], need: Need, durations: Durations
) -> Why:
    """What stands before it, and what would have to end."""
    ahead = _ahead(reader, row)
    opened = first_opening(need, serving, durations)
    words = [f"{row.id} waits in the queue: it needs {need_text(need)}{_before(ahead)}."]
    if opened is None:
        words.append("What would have to end for it is not known.")
        return Why(row, tuple(words), ahead=len(ahead))
    if not opened.ends:
        words.append(f"{opened.node} has room for it" + (" once those have started." if ahead else "; it starts next."))
        return Why(row, tuple(words), ahead=len(ahead), seconds=None if ahead else 0.0)
    words.append(_ends(opened))
    if row.reason.startswith("Behind: "):
        words.append(f"What it needs is kept for {row.reason[8:].partition(' ')[0]}, which waits longer.")
    seconds = _when(opened, ahead, snapshot, durations)
    words.append(
        "When that will be is not known: too few tasks like those have ended."
        if seconds is None
        else f"By what such tasks took, that is in about {about(seconds)}."
    )
    return Why(row, tuple(words), ahead=len(ahead), ends=opened.ends, seconds=seconds)


def _before(ahead: list[str]) -> str:
    if not ahead:
        return ""
    shown = ", ".join(ahead[:SHOWN_MAX]) + (", .." if len(ahead) > SHOWN_MAX else "")
    return f", and {count(len(ahead), 'task')} {'stands' if len(ahead) == 1 else 'stand'} before it ({shown})"


def _ends(opened: Opening) -> str:
    shown = ", ".join(opened.ends[:SHOWN_MAX]) + (", .." if len(opened.ends) > SHOWN_MAX else "")
    verb = "has" if len(opened.ends) == 1 else "have"
    return f"On {opened.node} {shown} {verb} to end first."


def _when(opened: Opening, ahead: list[str], snapshot: Snapshot, durations: Durations) -> float | None:
    """Until it may start, if those before it go first; None if that is not known."""
    if opened.seconds is None or not ahead:
        return opened.seconds
    seen, running = durations.of("", "", ""), snapshot.totals.get(State.RUNNING, 0)
    return None if seen is None or not running else opened.seconds + len(ahead) * seen.mean / running


def _ahead(reader: Reader, row: TaskView) -> list[str]:
    """The ids of those that may start and stand before it, in order."""
    if row.place is None:
        return []
    pending = reader.listing().pending
    before = sorted(name for name, each in pending.items() if name < row.place.name and not each.at.held)
    return [pending[name].id for name in before if pending[name].at.node in (ANY, row.node or ANY)]


def _room(view: NodeView) -> Room:
    beat = view.heartbeat
    return Room(beat.cpus, beat.mem_mb, beat.gpus, gpus_known=beat.gpus_known) if beat else Room(0, 0, (), False)


def told(found: Why) -> str:
    """The paragraph."""
    limit = found.row.need.time_seconds if found.row.need else None
    text = " ".join(found.words)
    if found.row.state is State.RUNNING and limit:
        text += f" Its time limit is {duration(limit)}."
    return text
