"""`leaseq cancel`: tasks end, or get a signal."""

from __future__ import annotations

import signal as signals
from typing import TYPE_CHECKING

from leaseq.cli.acting import Said, on_each
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.options import JSON, LEASE, OF_GROUP, by_group
from leaseq.dataclass import dataclass, replace
from leaseq.errors import UsageError
from leaseq.lease.lookup import RUNNING, UNENDED, How, Located
from leaseq.models import State
from leaseq.reading.views import TaskView
from leaseq.schema import whole
from leaseq.values import nearest_hint
from leaseq.verbs import cancel as verb
from leaseq.words import count

if TYPE_CHECKING:
    from leaseq.verbs.arrays import Ending


@dataclass(frozen=True)
class Cancel:
    """Tasks that are to end, or with `signal` to get that signal and go on."""

    tasks: tuple[str, ...]
    lease: str
    all: bool
    pending: bool
    signal: int
    leader: bool
    json: bool

    def __post_init__(self) -> None:
        if bool(self.tasks) == (self.all or self.pending):
            raise UsageError("which tasks?", hint="leaseq cancel ID..., or --pending, or --all")

    def perform(self, app: App) -> int:
        """0 if every task was cancelled or asked to end, else 1."""
        if self.all or self.pending:
            found = verb.unended(app.access.reader(self.lease, acts=True), running=self.all)
        else:
            how = How.EACH if self.signal else How.TOGETHER
            of = RUNNING if self.signal else UNENDED
            found = app.access.find(self.tasks, lease=self.lease, acts=True, indices=how, of=of)
        if self.signal:
            found = replace(found, tasks=tuple(one for each in found.tasks for one in _running(each)))
            return on_each(app, found, self._signal, doing="signalling", json=self.json)
        return on_each(app, found, _cancel, doing="cancelling", json=self.json)

    def _signal(self, app: App, each: Located) -> Said:
        name = signals.Signals(self.signal).name
        row = verb.send_signal(app.access, each, self.signal, leader=self.leader)
        if row.state is State.RUNNING:
            return f"sent {name}", f"{row.id} gets {name}"
        return f"to get {name} when a runner is back", _unheard(row, f"it gets {name}")


def _cancel(app: App, each: Located) -> Said:
    done = verb.cancel(app.access, each)
    row = done.row
    if done.indices is not None:
        from leaseq.verbs.arrays import named

        return _of_array(named(each), done.indices)
    if done.outcome is not None:
        return "cancelled", f"{row.id} is cancelled" + ("" if row.state.ended else "; it had not started")
    if row.state is State.RUNNING:
        return "being ended", f"{row.id} is being ended: TERM now, KILL if that is not enough"
    return "to be ended when a runner is back", _unheard(row, "it is ended")


def _of_array(what: str, done: Ending) -> Said:
    running = f"{count(done.running, 'index', 'indices')} being ended" if done.running else ""
    waiting = f"{done.waiting:,} will not start" if done.waiting else ""
    said = f"{what}: {' and '.join(filter(None, [running, waiting]))}"
    return ("being ended" if done.running else "cancelled"), said


def _running(each: Located) -> list[Located]:
    """The task; of an array its indices that run."""
    if each.row.array is None:
        return [each]
    array = each.indexed
    running = array.by_state().get(State.RUNNING)
    if running is None:
        raise UsageError(f"no index of {each.row.id} runs")
    return [Located(each.reader, row) for row in array.rows(running)]


def _unheard(row: TaskView, what: str) -> str:
    why = "is down" if row.state is State.STUCK else "has been silent for a while"
    return f"{row.id}: the runner of {row.node} {why}; {what} as soon as one is back (`leaseq recover` says more)"


def signal_number(text: str, *, what: str) -> int:
    """The number of the signal that is named, or numbered."""
    word = text.upper().removeprefix("SIG")
    names = {each.name.removeprefix("SIG"): int(each) for each in signals.Signals}
    if (number := whole(word)) in names.values():
        return number or 0
    if word not in names:
        raise UsageError(f"{text!r} is not a signal", hint=nearest_hint(word, names) or "-s USR1, -s INT, or a number")
    return names[word]


COMMAND = Command(
    usage="ID... | -g GROUP | --pending | --all",
    about="Cancels pending tasks; running ones get TERM and, if that is not enough, KILL, with all their processes.\n"
    "They end as CANCELLED and stay in `tasks`. Of an array all indices end, or those that stand behind its id.",
    make=by_group(Cancel),
    words=Words("tasks", "task"),
    options=(
        LEASE,
        OF_GROUP,
        Option("pending", "every pending task of the lease", kind="flag"),
        Option("all", "every pending and running task of the lease", kind="flag"),
        Option(
            "signal",
            "send this signal to all its processes instead",
            short="s",
            read=signal_number,
            absent=0,
            completes="signal",
        ),
        Option("leader", "only to the outermost of its processes that handles it", kind="flag", goes_with="signal"),
        JSON,
    ),
    examples=("leaseq cancel T0c4 T9aa", "leaseq cancel T0c4_100-199", "leaseq cancel last --signal USR1"),
)
