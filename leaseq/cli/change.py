"""`leaseq cancel`, `hold`, `release`: what a task is to do next."""

from __future__ import annotations

import signal as signals
import time
from collections.abc import Callable
from dataclasses import dataclass

from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.options import JSON, LEASE
from leaseq.cli.progress import Progress
from leaseq.cli.values import nearest_hint, yes
from leaseq.errors import Malformed, NotFound, UsageError
from leaseq.layout import CLI, Entry
from leaseq.lease.lookup import Found, Located
from leaseq.models import ANY, State, whole
from leaseq.protocol import requests, tasks
from leaseq.protocol.tasks import Claim
from leaseq.reading.find import find
from leaseq.reading.snapshot import Reader, TaskView

MOVING_SECONDS_MAX = 3.0
"""How long a task that is on the move between two places is looked for again."""


Said = tuple[str, str]
"""What a task is now, in a sum of many, and as a sentence of its own."""
Act = Callable[[App, Reader, TaskView], Said | None]
"""None: the task was not where it had been seen."""


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

    def perform(self, app: App) -> int:
        """0 where every task was cancelled or asked to end, else 1."""
        if not (self.all or self.pending):
            return self._each(app, app.find(self.tasks, lease=self.lease))
        reader = app.reader(self.lease)
        rows = [
            Located(reader, row)
            for row in reader.read(recent=0, pending=None).tasks
            if not row.state.ended and (self.all or row.state is State.PENDING)
        ]
        if not rows:
            raise NotFound(f"no task is pending{' or running' if self.all else ''} in lease {reader.lease.id}")
        return self._each(app, Found(tuple(rows)))

    def _each(self, app: App, found: Found) -> int:
        if self.signal:
            return _each(app, found, self._signal, doing="signalling", json=self.json)
        return _each(app, found, self._cancel, doing="cancelling", json=self.json)

    def _cancel(self, app: App, reader: Reader, row: TaskView) -> Said | None:
        if row.state.ended and not (row.place and row.place.directory == reader.lease.claimed(CLI)):
            raise UsageError(f"{row.id} has ended already: {row.state.name}")
        if row.place is None:
            return None
        entry = Entry.parse(row.place.name)
        now = app.clock.now()
        if row.place.directory == reader.lease.claimed(CLI):
            tasks.finish_cancelled(app.fs, reader.lease, Claim(entry, CLI), ended=now, reason="cancelled")
            return "cancelled", f"{row.id} is cancelled"
        if row.state is State.PENDING:
            if entry.owner:
                return None
            done = tasks.cancel_pending(
                app.fs, reader.lease, row.place.directory, entry, ended=now, reason="cancelled while pending"
            )
            return None if done is None else ("cancelled", f"{row.id} is cancelled; it had not started")
        requests.ask(app.fs, reader.lease, row.node, f"cancel.{entry.key}", {"reason": "leaseq cancel"})
        if row.state is State.RUNNING:
            return "being ended", f"{row.id} is being ended: TERM now, KILL if that is not enough"
        return "to be ended when a runner is back", _unheard(row, "it is ended")

    def _signal(self, app: App, reader: Reader, row: TaskView) -> Said | None:
        name = signals.Signals(self.signal).name
        if row.state.ended or row.state is State.PENDING or row.place is None:
            raise UsageError(f"{row.id} is {row.state.name}: only a running task takes a signal")
        key = Entry.parse(row.place.name).key
        requests.ask(
            app.fs,
            reader.lease,
            row.node,
            f"signal.{key}",
            {"signal": self.signal, "to": "leader" if self.leader else "all"},
        )
        if row.state is State.RUNNING:
            return f"sent {name}", f"{row.id} gets {name}"
        return f"to get {name} when a runner is back", _unheard(row, f"it gets {name}")


def _unheard(row: TaskView, what: str) -> str:
    why = "is down" if row.state is State.STUCK else "has been silent for a while"
    return f"{row.id}: the runner of {row.node} {why}; {what} as soon as one is back (`leaseq recover` tells more)"


@dataclass(frozen=True)
class Hold:
    """Pending tasks that must not start, or with `hold` false may start again."""

    tasks: tuple[str, ...]
    lease: str
    hold: bool
    json: bool

    def perform(self, app: App) -> int:
        found = app.find(self.tasks, lease=self.lease)
        return _each(app, found, self._move, doing="holding" if self.hold else "releasing", json=self.json)

    def _move(self, app: App, reader: Reader, row: TaskView) -> Said | None:
        word = "held" if self.hold else "released"
        if row.state is not State.PENDING:
            raise UsageError(f"{row.id} is {row.state.name}: only a pending task can be {word}")
        if row.place is None or not row.place.directory.startswith((reader.lease.inboxes, reader.lease.helds)):
            return None
        if self.hold == (row.reason == "Held"):
            already = "held already" if self.hold else "not held"
            return already, f"{row.id} is {already}"
        node = row.node or ANY
        target = reader.lease.held(node) if self.hold else reader.lease.inbox(node)
        moved = tasks.move_pending(app.fs, row.place.directory, row.place.name, target)
        return (word, f"{row.id} is {word}") if moved else None


def _each(app: App, found: Found, act: Act, *, doing: str, json: bool) -> int:
    """Each task was acted on, and what came of it is told; 1 where one could not be."""
    progress = Progress(app.out, doing, len(found.tasks), quiet=json)
    for each in progress.over(found.tasks):
        row = each.row
        try:
            progress.did(row.id, *_acted(app, each.reader, row, act))
        except (UsageError, NotFound) as error:
            progress.problem(error.message)
        except Malformed as error:
            progress.problem(f"{row.id}: its file cannot be used ({error})")
    code = progress.end()
    if not json:
        return app.tell(found.problems) or code
    problems = [*progress.problems, *(each.message for each in found.problems)]
    app.out.document({"lease": found.lease, "ids": progress.ids, "problems": problems})
    return max([code, *(each.exit_code for each in found.problems)])


def _acted(app: App, reader: Reader, row: TaskView, act: Act) -> Said:
    """What came of it. A task that moves meanwhile is looked for again."""
    deadline = time.monotonic() + MOVING_SECONDS_MAX
    while (said := act(app, reader, row)) is None:
        if time.monotonic() > deadline:
            raise UsageError(f"{row.id} is on the move between two states; try again")
        time.sleep(0.05)
        (row,) = find(reader, row.id)
    return said


class Changing:
    """Fire's component of the commands that change tasks."""

    def cancel(
        self,
        *words: str,
        lease: str = "",
        all: str = "",
        pending: str = "",
        signal: str = "",
        leader: str = "",
        json: str = "",
    ) -> Cancel:
        everything, waiting = yes(all, what="--all"), yes(pending, what="--pending")
        if bool(words) == (everything or waiting):
            raise UsageError("which tasks?", hint="leaseq cancel ID..., or --pending, or --all")
        own = yes(leader, what="--leader")
        if own and not signal:
            raise UsageError("--leader goes with --signal", hint="leaseq cancel ID --signal USR1 --leader")
        return Cancel(words, lease, everything, waiting, _signal_number(signal), own, yes(json, what="--json"))

    def hold(self, *words: str, lease: str = "", json: str = "") -> Hold:
        return Hold(_some(words, "hold"), lease, hold=True, json=yes(json, what="--json"))

    def release(self, *words: str, lease: str = "", json: str = "") -> Hold:
        return Hold(_some(words, "release"), lease, hold=False, json=yes(json, what="--json"))


def _some(words: tuple[str, ...], verb: str) -> tuple[str, ...]:
    if not words:
        raise UsageError("which task?", hint=f"leaseq {verb} ID..., or `leaseq {verb} last`")
    return words


def _signal_number(text: str) -> int:
    if not text:
        return 0
    word = text.upper().removeprefix("SIG")
    names = {each.name.removeprefix("SIG"): int(each) for each in signals.Signals}
    if (number := whole(word)) in names.values():
        return number or 0
    if word not in names:
        raise UsageError(f"{text!r} is not a signal", hint=nearest_hint(word, names) or "-s USR1, -s INT, or a number")
    return names[word]


COMMANDS = {
    "cancel": Command(
        Changing,
        "cancel",
        "ID... | --pending | --all",
        "Cancels pending tasks; running ones get TERM and, if that is not enough, KILL, with all their processes.\n"
        "They end as CANCELLED and stay in `tasks`.",
        (
            LEASE,
            Option("pending", "every pending task of the lease", kind="flag"),
            Option("all", "every pending and running task of the lease", kind="flag"),
            Option("signal", "send this signal to all its processes instead", short="s", metavar="SIGNAL"),
            Option("leader", "with --signal: to its own process only, which handles it", kind="flag"),
            JSON,
        ),
        ("leaseq cancel T0c4 T9aa", "leaseq cancel last --signal USR1"),
    ),
    "hold": Command(
        Changing,
        "hold",
        "ID...",
        "Keeps pending tasks from starting until `leaseq release`.",
        (LEASE, JSON),
        ("leaseq hold last",),
    ),
    "release": Command(
        Changing,
        "release",
        "ID...",
        "Lets held tasks start. (`leaseq lease release` releases a lease.)",
        (LEASE, JSON),
        ("leaseq release last",),
    ),
}
