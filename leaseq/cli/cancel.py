"""`leaseq cancel`: tasks end, or get a signal."""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass

from leaseq.cli.acting import Said, on_each
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.options import JSON, LEASE
from leaseq.cli.values import nearest_hint, yes
from leaseq.errors import NotFound, UsageError
from leaseq.layout import CLI, Entry
from leaseq.lease.lookup import Found, Located
from leaseq.models import State, whole
from leaseq.protocol import requests, tasks
from leaseq.protocol.tasks import Claim
from leaseq.reading.snapshot import Reader, TaskView


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
            return on_each(app, found, self._signal, doing="signalling", json=self.json)
        return on_each(app, found, self._cancel, doing="cancelling", json=self.json)

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


class Line:
    """Fire's component of `cancel`."""

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


COMMANDS = {
    "cancel": Command(
        Line,
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
}
