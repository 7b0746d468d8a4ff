"""The monitor calls: the terminal's title, and a bell or a notification if something has happened. Values; pure.

Nothing of it is said of what was so before the monitor first looked, and of a lease only while it is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping

from leaseq.config import Config
from leaseq.dataclass import dataclass, field
from leaseq.models import State
from leaseq.monitor.model import Scene
from leaseq.words import about, count, visible

BAD = (State.FAILED, State.TIMEOUT, State.LOST)
ENDS_SECONDS = 600.0
"""A lease that has no more than this is about to end."""
NAMED = 2
"""So many failed tasks are named."""
TEXT_MAX = 200
BELL = "\x07"


@dataclass(frozen=True)
class Calling:
    """How the monitor calls, and what for."""

    title: bool = True
    notify: str = "bell"
    on: tuple[str, ...] = ()
    wrapped: bool = False
    """Notifications go through tmux to the terminal around it."""


def calling(config: Config, environment: Mapping[str, str]) -> Calling:
    """By the settings and the terminal: tmux has titles of its own, and shows no notification unless it is told to."""
    kind = environment.get("TERM", "")
    inside = bool(environment.get("TMUX")) or kind.startswith(("tmux", "screen"))
    # A text console knows neither, and an old one writes them onto the screen.
    passed = kind != "linux" and (not inside or config.monitor_in_tmux == "pass")
    notify = config.monitor_notify if passed or config.monitor_notify == "bell" else "off"
    return Calling(config.monitor_title == "on" and passed, notify, config.monitor_notify_on, inside)


def title_of(scene: Scene) -> str:
    """`leaseq 3▶ 14 pending 1✗`."""
    runs, bad = ("R", "F") if scene.ui.ascii else ("▶", "✗")
    parts = ["leaseq", f"{scene.count(State.RUNNING):,}{runs}"]
    pending, failed = scene.count(State.PENDING), scene.count(*BAD)
    parts += [f"{pending:,} pending"] if pending else []
    parts += [f"{failed:,}{bad}"] if failed else []
    return " ".join(parts)


@dataclass(frozen=True)
class Known:
    """What was so when it was looked at last."""

    lease: str = ""
    bad: int = 0
    open: int = 0
    """Tasks that have not ended."""
    left: Mapping[str, float] = field(default_factory=dict)
    """What each lease has left of its time, in seconds, as far as it is known."""
    words: Mapping[str, str] = field(default_factory=dict)
    """The state of each lease."""


def known(scene: Scene) -> Known:
    """Of the lease that is looked at, and of all leases their states."""
    unended = sum(scene.count(state) for state in State if not state.ended)
    rows = scene.data.leases.rows
    past = scene.now - (scene.data.leases.at or scene.now)
    left = {row.id: row.left_seconds - past for row in rows if row.left_seconds is not None and row.word == "RUNNING"}
    if scene.left_seconds is not None:
        left[scene.data.lease_id] = scene.left_seconds
    states = {row.id: row.word for row in rows}
    return Known(scene.data.lease_id, scene.count(*BAD), unended, left, states)


def news(before: Known, scene: Scene, on: tuple[str, ...]) -> list[str]:
    """What has happened since, of what is to be called for."""
    now = known(scene)
    said: list[str] = []
    if "starts" in on:
        started = [
            each for each, word in now.words.items() if word == "RUNNING" and before.words.get(each) == "PENDING"
        ]
        names = {row.id: f"{row.id} {row.name}".rstrip() for row in scene.data.leases.rows}
        said += [f"lease {names[each]} has started" for each in started]
    if "ends" in on:
        said += [
            f"lease {each} ends in {about(max(0.0, left))}"
            for each, left in now.left.items()
            if left <= ENDS_SECONDS < before.left.get(each, 0.0)
        ]
    if before.lease != now.lease:
        return said
    if "failed" in on and now.bad > before.bad:
        said.append(
            f"{count(now.bad - before.bad, 'task')} failed: {_failed(scene, now.bad - before.bad)}".rstrip(": ")
        )
    if "empty" in on and before.open and not now.open:
        said.append(f"the queue of lease {now.lease} is empty")
    return said


def _failed(scene: Scene, number: int) -> str:
    """The names of those that failed last."""
    rows = scene.data.lease.snapshot.tasks if scene.data.lease.snapshot else ()
    bad = sorted((row for row in rows if row.state in BAD), key=lambda row: -(row.ended or 0.0))
    return ", ".join(f"{row.id[:8]} {row.name or row.command}"[:60] for row in bad[: min(NAMED, number)])


def notification(calling: Calling, said: list[str]) -> str:
    """What makes the terminal say it."""
    if not said or calling.notify == "off":
        return ""
    if calling.notify == "bell":
        return BELL
    text = visible("; ".join(said))[:TEXT_MAX]
    start = "9;leaseq: " if calling.notify == "osc9" else "777;notify;leaseq;"
    sequence = f"\x1b]{start}{text}\x07"
    doubled = sequence.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{doubled}\x1b\\" if calling.wrapped else sequence


class Caller:
    """What has been called, so that it is called once."""

    def __init__(self, calling: Calling) -> None:
        self.calling = calling
        self._title = ""
        self._known: Known | None = None

    def look(self, scene: Scene, *, fresh: bool) -> str:
        """What is written to the terminal now. fresh: it has been entered since."""
        if scene.data.lease.snapshot is None:
            return ""
        out, title = "", title_of(scene)
        if self.calling.title and (fresh or title != self._title):
            out, self._title = f"\x1b]2;{title}\x07", title
        said = news(self._known, scene, self.calling.on) if self._known is not None else []
        self._known = known(scene)
        return out + notification(self.calling, said)
