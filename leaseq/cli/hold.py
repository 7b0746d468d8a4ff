"""`leaseq hold` and `release`: whether pending tasks may start."""

from __future__ import annotations

from dataclasses import dataclass

from leaseq.cli.acting import Said, on_each
from leaseq.cli.app import App
from leaseq.cli.command import Command
from leaseq.cli.options import JSON, LEASE
from leaseq.cli.values import yes
from leaseq.errors import UsageError
from leaseq.models import ANY, State
from leaseq.protocol import tasks
from leaseq.reading.snapshot import Reader, TaskView


@dataclass(frozen=True)
class Hold:
    """Pending tasks that must not start, or with `hold` false may start again."""

    tasks: tuple[str, ...]
    lease: str
    hold: bool
    json: bool

    def perform(self, app: App) -> int:
        found = app.find(self.tasks, lease=self.lease)
        return on_each(app, found, self._move, doing="holding" if self.hold else "releasing", json=self.json)

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


def _some(words: tuple[str, ...], verb: str) -> tuple[str, ...]:
    if not words:
        raise UsageError("which task?", hint=f"leaseq {verb} ID..., or `leaseq {verb} last`")
    return words


class Line:
    """Fire's component of `hold` and `release`."""

    def hold(self, *words: str, lease: str = "", json: str = "") -> Hold:
        return Hold(_some(words, "hold"), lease, hold=True, json=yes(json, what="--json"))

    def release(self, *words: str, lease: str = "", json: str = "") -> Hold:
        return Hold(_some(words, "release"), lease, hold=False, json=yes(json, what="--json"))


COMMANDS = {
    "hold": Command(
        Line,
        "hold",
        "ID...",
        "Keeps pending tasks from starting until `leaseq release`.",
        (LEASE, JSON),
        ("leaseq hold last",),
    ),
    "release": Command(
        Line,
        "release",
        "ID...",
        "Lets held tasks start. (`leaseq lease release` releases a lease.)",
        (LEASE, JSON),
        ("leaseq release last",),
    ),
}
