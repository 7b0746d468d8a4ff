"""`leaseq hold` and `release`: whether pending tasks may start."""

from __future__ import annotations

from dataclasses import dataclass

from leaseq.cli.acting import Said, on_each
from leaseq.cli.app import App
from leaseq.cli.command import Command
from leaseq.cli.options import JSON, LEASE
from leaseq.cli.values import yes
from leaseq.errors import UsageError
from leaseq.lease.lookup import Located
from leaseq.verbs.hold import hold, release


@dataclass(frozen=True)
class Hold:
    """Pending tasks that must not start, or with `hold` false may start again."""

    tasks: tuple[str, ...]
    lease: str
    hold: bool
    json: bool

    def perform(self, app: App) -> int:
        found = app.access.find(self.tasks, lease=self.lease)
        act, doing = (_hold, "holding") if self.hold else (_release, "releasing")
        return on_each(app, found, act, doing=doing, json=self.json)


def _hold(app: App, each: Located) -> Said:
    word = "held" if hold(app.access, each) else "held already"
    return word, f"{each.row.id} is {word}"


def _release(app: App, each: Located) -> Said:
    word = "released" if release(app.access, each) else "not held"
    return word, f"{each.row.id} is {word}"


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
