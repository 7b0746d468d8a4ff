"""A node tells hooks what happened: after it stands in the history, in a thread of its own, and never in the way.

Every node tells what its own history says; what is of the lease as a whole is told by its first node, or by the first
that sees it. A hook is called once each minute at most, and told everything since together.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence

from leaseq.allocation import Allocation
from leaseq.dataclass import replace
from leaseq.errors import Malformed
from leaseq.layout import Home, LeaseDir
from leaseq.lease.kinds import is_borrowed
from leaseq.models import Lease, State
from leaseq.names import histories_in, history_name
from leaseq.node import hook as process
from leaseq.protocol import hooks
from leaseq.protocol.hooks import Call, Hook, Told
from leaseq.protocol.notices import Notice, document, environment, of_event
from leaseq.reading.history import added
from leaseq.reading.snapshot import Reader
from leaseq.reading.unused import unused
from leaseq.words import about
from leaseq.world import Clock, Fs

NO_HOOK_SECONDS = 60.0
"""How often it is looked whether there are hooks, and how the lease is as a whole."""
LOOK_SECONDS = 2.0
"""How often its own histories are looked at if there are."""
ENDING_SECONDS = 600.0
SAID_MAX = 20
LIVING = (State.PENDING, State.RUNNING, State.UNKNOWN, State.STUCK)


class Notifier:
    """What one node tells. One thread calls `look`."""

    def __init__(
        self,
        fs: Fs,
        home: Home,
        lease: LeaseDir,
        node: str,
        record: Lease,
        alloc: Allocation,
        clock: Clock,
        *,
        left: Callable[[], float | None],
        is_first: Callable[[], bool],
        call: Callable[..., process.Ended] = process.call,
    ) -> None:
        """left: how long the allocation has its nodes yet. is_first: this node tells what is of the lease."""
        self.fs, self.home, self.lease, self.node = fs, home, lease, node
        self.record, self.alloc, self.clock = record, alloc, clock
        self.left, self.is_first, self.call = left, is_first, call
        self.trouble = ""
        """Which hook failed last, and why; empty: none did."""
        self._hooks: dict[str, Hook] = {}
        self._told: Told | None = None
        self._listed_at = float("-inf")
        self._whole_at = float("-inf")
        self._looked = False
        """True once it has looked: a hook that comes later was added after this node had begun to serve the lease."""
        self._next: dict[str, float] = {}
        """When a hook may be called again."""
        self._ended = True
        """True if a task of this node may have ended for good since the lease was looked at as a whole."""
        self._of: dict[str, Notice] = {}
        """What holds of the lease as a whole and may not have been told to each hook, by what makes it another time."""
        self._reader = Reader(lease, fs, clock)

    def look(self, *, last: bool = False) -> float:
        """Hooks whose turn it is have been told what is new; seconds until the next look. Raises OSError.

        last: the runner leaves: what is new is told now.
        """
        now = self.clock.monotonic()
        if now - self._listed_at >= NO_HOOK_SECONDS or last:
            self._hooks, self._listed_at = hooks.hooks_of(self.fs, self.home), now
        looked, self._looked = self._looked, True
        if not self._hooks:
            return NO_HOOK_SECONDS
        if self._told is None:
            self._told = hooks.told_by(self.fs, self.lease, self.node)
        own = [each for each in histories_in(self.fs.names(self.lease.events_dir)) if each[0] == self.node]
        new = [name for name in self._hooks if name not in self._told.at]
        if new:
            ends = {history_name(*each): self._end(*each) for each in own}
            self._told = replace(self._told, at={**self._told.at, **dict.fromkeys(new, ends)})
            hooks.keep(self.fs, self.lease, self.node, self._told)
        self._of |= self._of_lease(now)
        if looked and new:
            self._told = self._with_past(self._told, new)
        for name, hook in self._hooks.items():
            if last or now >= self._next.get(name, 0.0):
                self._tell(hook, own)
        self._of = {key: notice for key, notice in self._of.items() if self._is_owed(key, notice)}
        return LOOK_SECONDS

    def _with_past(self, told: Told, names: Sequence[str]) -> Told:
        """What has happened by now is not told to these hooks, which were added since; what goes on is."""
        past: dict[str, list[str]] = defaultdict(list)
        for key, notice in self._of.items():
            if notice.event in ("started", "empty"):
                past[notice.event].append(key)
        return replace(
            told, said={**told.said, **{f"{name}.{event}": tuple(past[event]) for name in names for event in past}}
        )

    def _is_owed(self, key: str, notice: Notice) -> bool:
        """True if some hook that hears of it was not told."""
        said = self._told.said if self._told is not None else {}
        hearing = [name for name, hook in self._hooks.items() if notice.event in hook.on]
        return any(key not in said.get(f"{name}.{notice.event}", ()) for name in hearing)

    def _end(self, node: str, term: int) -> int:
        try:
            return self.fs.read_range(self.lease.events(node, term), 0, 0)[1]
        except FileNotFoundError:
            return 0

    def _tell(self, hook: Hook, own: Sequence[tuple[str, int]]) -> None:
        assert self._told is not None
        at = dict(self._told.at.get(hook.name, {}))
        notices = []
        for node, term in own:
            name = history_name(node, term)
            try:
                events = added(self.fs, self.lease.events(node, term), at.get(name, 0))
            except Malformed:
                continue
            for offset, event in events:
                at[name] = offset
                self._ended = self._ended or not event.requeued
                notice = of_event(event)
                if notice is not None and (notice.event in hook.on or event.notify):
                    notices.append(notice)
        said = dict(self._told.said)
        for key, notice in self._of.items():
            place = f"{hook.name}.{notice.event}"
            if notice.event in hook.on and key not in said.get(place, ()):
                notices.append(notice)
                said[place] = (*said.get(place, ()), key)[-SAID_MAX:]
        self._told = replace(self._told, at={**self._told.at, hook.name: at})
        if not notices:
            return
        ended = self._called(hook, notices)
        self._next[hook.name] = self.clock.monotonic() + hook.every_seconds
        call = Call(self.clock.now(), ended.code, ended.words, len(notices))
        self._told = replace(self._told, said=said, calls={**self._told.calls, hook.name: call})
        failed = f"exit code {ended.code}" if ended.code is not None else ""
        why = ": ".join(word for word in (failed, ended.words) if word)
        self.trouble = "" if ended.code == 0 else f"hook {hook.name} failed: {why}"
        hooks.keep(self.fs, self.lease, self.node, self._told)

    def _called(self, hook: Hook, notices: Sequence[Notice]) -> process.Ended:
        body = document(hook.name, self.lease, self.record, self.node, notices, now=self.clock.now())
        env = environment(hook, self.home, self.lease, body, os.environ)
        return self.call(hook.argv, shell=hook.shell, document=body, env=env)

    # -- what is of the lease as a whole ---------------------------------------------------------------

    def _of_lease(self, now: float) -> dict[str, Notice]:
        """What holds of the lease now, by what makes it another time; to whom it was told is not looked at."""
        found: dict[str, Notice] = {}
        first = self.is_first()
        if first and is_borrowed(self.record):
            found[self.alloc.id] = Notice("started", f"job {self.alloc.id} has its nodes")
            left = self.left()
            if left is not None and left <= ENDING_SECONDS:
                words = f"job {self.alloc.id} ends in {about(max(0.0, left))}"
                found[f"{self.alloc.id}.ending"] = Notice("ending", words)
        if now - self._whole_at < NO_HOOK_SECONDS and not self._ended:
            return found
        self._whole_at = now
        if not any({"empty", "idle"} & set(hook.on) for hook in self._hooks.values()):
            return found
        snapshot = self._reader.read(recent=0, pending=0)
        ended = sum(number for state, number in snapshot.totals.items() if state.ended)
        if any(snapshot.totals.get(state) for state in LIVING):
            return found
        if self._ended:
            self._ended = False
            if ended and hooks.take(self.fs, self.lease, f"empty.{ended}", self.node):
                found[f"empty.{ended}"] = Notice("empty", f"nothing is pending or runs any more, {ended:,} ended")
        if first and is_borrowed(self.record) and (idle := unused(snapshot.nodes, snapshot.totals)):
            found[f"idle.{ended}"] = Notice("idle", "; ".join(each.words for each in idle))
        return found


class NotifyThread:
    """The thread that looks, again and again. told: hears which hook failed last, or that none did."""

    def __init__(self, notifier: Notifier, *, told: Callable[[str], None]) -> None:
        self.notifier, self.told = notifier, told
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """What was new is told, or a hook takes too long; nothing is told afterwards."""
        self._stop.set()
        self._thread.join(timeout=process.SECONDS_MAX + 2)

    def _run(self) -> None:
        wait = LOOK_SECONDS
        while not self._stop.wait(wait):
            wait = self._look()
        self._look(last=True)

    def _look(self, *, last: bool = False) -> float:
        try:
            wait = self.notifier.look(last=last)
        except (OSError, Malformed):
            return NO_HOOK_SECONDS  # what is not told now is told later: how far it got is written down
        self.told(self.notifier.trouble)
        return wait
