"""Where ended attempts become outcomes: decided, told in the history, their claims settled, in this order.

A batch shares its directory syncs and its write to the history. In a runner this work has a thread of its own, so that
the next task starts while the last one's outcome is being made durable. It lets the outcomes of a stream of short tasks
come together, and threads that only wait for the disk help it with a batch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from leaseq.dataclass import replace
from leaseq.errors import Malformed, Newer
from leaseq.layout import LeaseDir
from leaseq.models import Event, Outcome
from leaseq.node.procs import Procs
from leaseq.protocol import files, history, tasks, tellers
from leaseq.protocol.abreast import abreast
from leaseq.protocol.concluding import Ending, conclude
from leaseq.runner.holding import Begins, Note
from leaseq.runner.journals import Journals
from leaseq.world import Fs

GATHER_SECONDS = 0.1
"""How long after a batch the next one begins while tasks run: what ends meanwhile shares its syncs."""
THREADS = 4
"""How many threads sync a batch, beside the ledger's: more gain nothing for what ends in GATHER_SECONDS."""
RETRY_SECONDS = 2.0
"""How soon something that the file system refused is tried again."""


class Ledger:
    """The finished attempts of one node, and its totals."""

    def __init__(
        self,
        *,
        fs: Fs,
        procs: Procs,
        lease: LeaseDir,
        node: str,
        totals: Mapping[str, int],
        incarnation: str = "",
        lock: AbstractContextManager[object] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.fs, self.procs, self.lease, self.node, self.incarnation = fs, procs, lease, node, incarnation
        self.journals = Journals(fs=fs, procs=procs, lease=lease, node=node, now=now)
        self.totals = dict(totals)
        self.term = 0
        """Whose history it appends to, as `LeaseDir.events` names it."""
        self.earlier: dict[str, int] = {}
        """By name, the earlier histories of the node, and how many of their bytes are counted."""
        self.recorded: set[str] = set()
        """Attempts that another runner or a command decided and that are told already, as far as that is known."""
        self.open: list[Ending | Note] = []
        """Not yet in their place; only the caller of `persist` takes from it."""
        self.waited_for: set[str] = set()
        """Ids of tasks that were added, for whose end others wait."""
        self.freed = False
        """True once tasks may start that waited for what was persisted; the runner takes that back."""
        self.trouble = ""
        """Why the last `persist` failed; empty while outcomes reach their place."""
        self.threads = 0
        """How many threads sync beside the one that persists."""
        self._history = lock or threading.Lock()
        """Held while lines are appended: the ledger's thread and the runner's do so."""
        self._history_may_be_torn = True

    def add(self, item: Ending | Note) -> None:
        self.open.append(item)

    @property
    def awaited(self) -> bool:
        """True if something may begin once what was added is in its place."""
        return bool(self.waited_for) or any(isinstance(item, Begins) for item in list(self.open))

    def unwritten(self) -> list[str]:
        """The attempts whose outcomes are not in their place."""
        return [item.claim.entry.key if isinstance(item, Ending) else item.key for item in list(self.open)]

    def persist(self, *, waited_for: bool = False) -> bool:
        """Everything added so far is in its place; True if there was anything. Raises OSError, losing nothing.

        waited_for: only that for whose end tasks wait.
        """
        ids, self.waited_for = self.waited_for, set()
        items = list(self.open)
        if waited_for:
            items = [item for item in items if isinstance(item, Ending) and item.claim.entry.id in ids]
        batch = [item for item in items if isinstance(item, Ending)]
        notes = [item for item in items if not isinstance(item, Ending)]
        try:
            self._decide([item for item in batch if item.decided is None])
            batch = [item for item in batch if item.decided is not None]
            if conclude(self.fs, self.lease, batch, tell=self._note, settled=self._forget, threads=self.threads):
                self.freed = True
        finally:
            if self.journals.write(notes, self.open.remove):
                self.freed = True
        return bool(batch or notes)

    def try_to_persist(self, *, waited_for: bool = False) -> bool:
        """As `persist`, with what the file system says in `trouble`; True if there is anything to tell."""
        try:
            told = self.persist(waited_for=waited_for) or bool(self.trouble)
            self.trouble = ""
        except OSError as error:
            told = True
            self.trouble = f"file system: {error.strerror or error} ({error.filename or ''})"
        return told

    def _decide(self, items: Sequence[Ending]) -> None:
        """Each of the items is decided, or set aside if what stands for its outcome cannot be read."""
        strange: list[tuple[Ending, Malformed]] = []

        def decide(number: int) -> None:
            item = items[number]
            try:
                item.decided = tasks.decide(self.fs, self.lease, item.outcome)
            except Malformed as error:
                strange.append((item, error))

        try:
            abreast(len(items), decide, threads=self.threads)
        finally:
            for item, error in strange:
                self._give_up(item, error)

    def _give_up(self, item: Ending, error: Malformed) -> None:
        """What stands for its outcome cannot be read: the claim is no use to anybody without one, and is set aside."""
        if not isinstance(error, Newer):  # a newer leaseq that has decided it settles its claim
            reason = f"its outcome cannot be read: {error}"
            files.set_aside(self.fs, self.lease, item.claim.path(self.lease), reason)
        self._forget(item)

    def _forget(self, item: Ending) -> None:
        self.procs.forget(item.claim.entry.key)
        self.open.remove(item)

    def _note(self, items: Sequence[Ending]) -> None:
        """Outcomes that are this runner's own stand in the node's history, once."""
        self.write_history(
            [item.decided for item in items if item.decided and item.decided.incarnation == item.outcome.incarnation]
        )

    def write_history(self, outcomes: Sequence[Outcome]) -> dict[str, str]:
        """The outcomes stand in the node's history, with the totals after each, but those that other nodes tell.

        By attempt, who tells those.
        """
        keys = {f"{each.task.id}.{each.attempt}": each for each in outcomes}
        doubtful = [key for key, each in keys.items() if each.incarnation != self.incarnation]
        took = tellers.take(self.fs, self.lease, self.node, [key for key in doubtful if key not in self.recorded])
        others = {key: node for key, node in took.items() if node != self.node}
        self._tell(
            [
                (history.event_of(each, lease=self.lease.id), each.incarnation == self.incarnation, {})
                for key, each in keys.items()
                if key not in others
            ]
        )
        return others

    def take_in(self, name: str, lines: Sequence[tuple[int, Event]]) -> None:
        """What was added to that earlier history counts, once. lines: each event with the offset after its line."""
        self._tell([(event, False, {name: end}) for end, event in lines])

    def _tell(self, lines: Sequence[tuple[Event, bool, Mapping[str, int]]]) -> None:
        """Each event stands in the node's history, with the totals after it, unless it is told already.

        With each: whether this runner decided it, and so nobody else has told it; and what of earlier histories is
        counted with it. Two threads call this.
        """
        with self._history:
            totals, earlier, recorded = dict(self.totals), dict(self.earlier), set()
            events = []
            for event, own, counts in lines:
                earlier.update(counts)
                key = f"{event.id}.{event.attempt}"
                if key in self.recorded or key in recorded:
                    continue
                if not own:
                    recorded.add(key)
                for state, number in history.counted(event):
                    totals[state] = totals.get(state, 0) + number
                events.append(replace(event, totals=dict(totals), earlier=dict(earlier)))
            if events:
                mend, self._history_may_be_torn = self._history_may_be_torn, True
                history.record_events(self.fs, self.lease, self.node, events, term=self.term, mend=mend)
                self._history_may_be_torn = False
            self.totals, self.earlier = totals, earlier
            self.recorded |= recorded


class LedgerThread:
    """Persists what is added, on a thread of its own, until stopped and empty."""

    def __init__(self, ledger: Ledger, *, told: Callable[[], None]) -> None:
        self.ledger = ledger
        self.told = told
        """Called when a batch is in its place, and when `trouble` came."""
        ledger.threads = THREADS
        self._hurry = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def wake(self, *, hurry: bool) -> None:
        """What was added is persisted: at once if something waits for it, else with what is added a moment later."""
        if hurry:
            self._hurry = True
        self._wake.set()

    def _run(self) -> None:
        began = -GATHER_SECONDS
        while True:
            if self.ledger.trouble:
                time.sleep(RETRY_SECONDS)
            else:
                self._wake.wait()
            self._wake.clear()
            while (rest := began + GATHER_SECONDS - time.monotonic()) > 0 and not self._hurry:
                if self._wake.wait(rest):
                    self._wake.clear()
            self._hurry = False
            began = time.monotonic()
            # A batch of many takes a while: what tasks wait for goes before it.
            if self.ledger.waited_for and self.ledger.try_to_persist(waited_for=True):
                self.told()
            if self.ledger.try_to_persist():
                self.told()
