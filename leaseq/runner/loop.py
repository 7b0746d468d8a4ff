"""The runner of one node: gather what happened, decide, do. One `step` is one turn; nothing in it waits.

The caller waits between steps for at most what `step` returns, and hands over hints (names that appeared) where
the kernel gives them; without hints the runner polls. Everything goes through the ports Fs, Clock and Procs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from leaseq.errors import Malformed, Newer
from leaseq.layout import Entry, LeaseDir, is_node, task_of
from leaseq.models import ANY, Task, Why
from leaseq.node.procs import Procs
from leaseq.node.record import Rec
from leaseq.protocol import files, tasks
from leaseq.protocol.tasks import Claim
from leaseq.room import Booking, booking_of, room_left
from leaseq.runner import control, housework
from leaseq.runner.decide import LOOKAHEAD, choose
from leaseq.runner.ending import outcome_of
from leaseq.runner.ledger import RETRY_SECONDS, Finished, Ledger
from leaseq.runner.queue import Queue
from leaseq.runner.starting import read_claimed, start_request
from leaseq.runner.state import Held, Options, free_slot
from leaseq.world import Clock, Fs

HOUSEKEEPING_SECONDS = 60.0
FIRST_LOOK_SECONDS = 0.05
"""How long after its start an attempt's process is looked up, if the attempt has not ended by then."""


class Runner:
    """The state of one node, and its turn. One thread turns it; others read `held`, `waiting`, `state`, `note`."""

    def __init__(
        self,
        *,
        fs: Fs,
        clock: Clock,
        procs: Procs,
        lease: LeaseDir,
        node: str,
        incarnation: str,
        options: Options,
        ledger: Ledger,
    ) -> None:
        self.fs, self.clock, self.procs = fs, clock, procs
        self.lease, self.node, self.incarnation, self.options = lease, node, incarnation, options
        self.queue = Queue(node, options.nodes)
        self.held: dict[str, Held] = {}
        self.won: dict[str, tuple[Claim, Booking]] = {}
        """Claims that are not yet in the keeper's hands; empty between turns unless a file system failed."""
        self.pins: dict[str, str] = {}
        """Of those that were won, in whose inbox they lay: what their files say is past where they were moved."""
        self.ledger = ledger
        self.recorded: frozenset[str] = frozenset()
        """Keys of attempts that stood in the history when this runner started."""
        self.newer: dict[str, str] = {}
        """Claims that a newer leaseq has left here, and why they are not for this one to touch."""
        self.strays: dict[str, float] = {}
        """Claims of this node that are not this runner's, and when each was first seen."""
        self.waiting: dict[str, str] = {}
        self.state = "up"
        self.superseded = False
        """True once another runner serves the node: this one ends what it holds, and says nothing of the node."""
        self.trouble = ""
        self.ends_at: float | None = None
        """When the lease ends, by the monotonic clock."""
        self.end_lead_seconds = options.end_lead_seconds
        self._warned_at_left: float | None = None
        self.lease_ends = False
        """True once tasks were ended because the lease is: the runner stays for the terminals on its node."""
        self.idle_since = clock.monotonic()
        self.changed = True
        self._touched: set[str] | None = None
        """Attempts whose record may have changed; None: any of them."""
        self._stale = True
        """True until the inboxes have been listed."""
        self._claims_in_doubt = False
        """True where a claim failed and may have been done: the directory is looked at before the next."""
        self._look_at_control = True
        self._poll_at = -1e9
        self._list_at = -1e9
        self._house_at = -1e9
        self._retry_at = -1e9
        """After a failure of the file system nothing is claimed before this."""
        self._active = clock.monotonic()
        self._next_claim: float | None = None
        """Seconds until another look at the queue is worth it, by the order of nodes; None where none is."""

    # -- the turn ------------------------------------------------------------------------------

    def step(self) -> float:
        """One turn; the seconds until the next is due. File system errors are noted and tried again later."""
        now = self.clock.monotonic()
        self._next_claim = None
        self.procs.reap()
        self._collect(now)
        if now >= self._poll_at:
            self._poll_at = now + self._poll_period(now)
            self._stale = self._stale or now >= self._list_at
            self._look_at_control = True
        if self._look_at_control:
            self._guard(self._serve_control)
        self._watch_the_end(now)
        if self._may_claim(now):
            self._guard(self._fill)
        elif self.won and self.state == "draining" and now >= self._retry_at:
            self._guard(self._launch)
        if now >= self._house_at:
            self._house_at = now + HOUSEKEEPING_SECONDS
            self._guard(lambda: housework.keep_house(self))
        if self.superseded and self.quiet:
            self.state = "stopping"
        return self._wait(self.clock.monotonic())

    def hint(self, directory: str, name: str, *, gone: bool) -> bool:
        """A name appeared in, or left, a watched directory of the lease; an empty directory means: any of them.

        False where that is no news: the runner's own claim.
        """
        if directory == self.lease.inbox(self.node) or directory == self.lease.inbox(ANY):
            own = directory != self.lease.inbox(ANY)
            if gone:
                return self.queue.remove(name, own=own)
            self.queue.add(name, own=own)
            self._active = self.clock.monotonic()
        elif directory == self.lease.control(self.node):
            self._look_at_control = True
        elif not directory:
            self._poll_at = self._list_at = -1e9
        return True

    def touched(self, key: str) -> None:
        """The attempt's record may have changed; an empty key means: any attempt's."""
        if not key:
            self._touched = None
        elif self._touched is not None:
            self._touched.add(key)

    @property
    def quiet(self) -> bool:
        """True where nothing runs and nothing waits to be written."""
        return not self.held and not self.won and not self.ledger.open

    @property
    def note(self) -> str:
        """What is wrong now, in words."""
        return self.ledger.trouble or self.trouble or self._too_old() or self._prologue()

    def _prologue(self) -> str:
        why, stays = self.options.prologue_failed, self.state == "draining"
        return (
            f"{why}; it takes no task until `leaseq lease hold-queue {self.lease.id} --off`" if why and stays else why
        )

    def _too_old(self) -> str:
        why = next(iter([*self.newer.values(), *self.queue.left[True].values(), *self.queue.left[False].values()]), "")
        return f"tasks wait here for a newer leaseq: {why}" if why else ""

    def _may_claim(self, now: float) -> bool:
        """True where a task may start: not while outcomes cannot be written, or a whole queue would run unrecorded."""
        return self.state == "up" and now >= self._retry_at and not self.ledger.trouble

    def _guard(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            self._failed(f"file system: {error.strerror or error} ({error.filename or ''})")

    def _failed(self, trouble: str) -> None:
        """Nothing is claimed for a moment, and then everything is looked at anew."""
        self.trouble = trouble
        self._retry_at = self.clock.monotonic() + RETRY_SECONDS
        self._poll_at = min(self._poll_at, self._retry_at)
        self._list_at = -1e9
        self.changed = True

    def _wait(self, now: float) -> float:
        waits = [self._house_at - now, self._poll_at - now]
        if self._next_claim is not None:
            waits.append(self._next_claim)
        if self._look_at_control:
            waits.append(max(FIRST_LOOK_SECONDS, self._retry_at - now))
        if any(held.unknown for held in self.held.values()):
            waits.append(FIRST_LOOK_SECONDS)
        if self.ends_at is not None and self.state != "stopping":
            waits.append(self.ends_at - self.end_lead_seconds - now)
        return max(0.0, min(waits))

    def _poll_period(self, now: float) -> float:
        if self.options.notified:
            return self.options.poll_seconds_notified
        busy = self.held or now - self._active < 30
        return self.options.poll_seconds if busy else self.options.poll_seconds_idle

    # -- what ended ----------------------------------------------------------------------------

    def _collect(self, now: float) -> None:
        """Attempts whose record is over have left `held`, and what they booked is free."""
        keys = list(self.held)
        if self._touched is not None:
            keys = [key for key in keys if key in self._touched or (self.held[key].unknown and self._young(key, now))]
        self._touched = set() if self.options.notified else None
        for key in keys:
            held = self.held[key]
            rec = self.procs.record(key)
            if rec is not None and rec.gone and rec.status is None:
                # Gone for a keeper that is not its parent: it may wait here to be reaped since this turn began.
                self.procs.reap()
                rec = self.procs.record(key)
            if rec is not None and rec != held.rec:
                held.rec = rec
                self.changed = True
            if rec is None or not rec.over:
                continue
            self._active = now
            if rec.again:
                self._put_back(held, rec)
            else:
                self.end(held, rec)

    def end(self, held: Held, rec: Rec) -> None:
        """The attempt has ended as its record says; its outcome is the ledger's to write."""
        self._let_go(held)
        outcome = outcome_of(
            held.task,
            held.claim.entry,
            rec,
            node=self.node,
            incarnation=self.incarnation,
            gpus=held.booking.gpus,
            now=self.clock.now(),
        )
        if held.asked_to_stop and held.asked_to_stop.by_user:
            # It failed just before it was told to end: nobody wants another attempt.
            outcome = replace(outcome, requeued="")
        self.ledger.add(Finished(held.claim, outcome))
        self.changed = True

    def _let_go(self, held: Held) -> None:
        self.held.pop(held.key, None)
        if not self.held:
            self.idle_since = self.clock.monotonic()

    def _put_back(self, held: Held, rec: Rec) -> None:
        """An attempt that never ran, for no reason of its own, is pending again; or cancelled, where that was asked."""
        try:
            if held.asked_to_stop and held.asked_to_stop.by_user:
                self._finish_cancelled(held.claim)
            else:
                tasks.unclaim(self.fs, self.lease, held.claim, self.lease.inbox(held.task.node))
        except OSError as error:
            self.touched(held.key)
            self._failed(f"file system: {error.strerror or error} ({error.filename or ''})")
            return
        self._let_go(held)
        self.procs.forget(held.key)
        self._failed(rec.failure)

    def _young(self, key: str, now: float) -> bool:
        """True once an attempt of which nothing is known yet is old enough to ask: hints only tell of its end."""
        return now - self.held[key].since >= FIRST_LOOK_SECONDS

    # -- what is asked -------------------------------------------------------------------------

    def _serve_control(self) -> None:
        self._look_at_control = not control.serve(self)

    def stop(self, held: Held, why: Why, *, grace: float | None = None) -> None:
        """The attempt is being ended for that reason."""
        held.asked_to_stop = held.asked_to_stop or why
        self.procs.stop(held.key, why=why, grace=self.options.grace_seconds if grace is None else grace)
        self.changed = True

    def warn(self, number: int, *, to: str) -> None:
        """Every running task was told that the lease ends soon."""
        for key in list(self.held):
            self.procs.signal(key, number, to=to, warning=True)
        self._warned_at_left = self._seconds_left(self.clock.monotonic())

    @property
    def ends(self) -> float | None:
        """When the lease ends, by the clock of the day; None if that is not known."""
        return None if self.ends_at is None else self.clock.now() + self.ends_at - self.clock.monotonic()

    def _seconds_left(self, now: float) -> float | None:
        return None if self.ends_at is None else self.ends_at - self.end_lead_seconds - now

    def _warned(self, left: float | None) -> bool:
        """True since tasks were told of the end, unless the lease was prolonged since."""
        return left is not None and self._warned_at_left is not None and left <= self._warned_at_left

    def end_all(self, why: Why, grace: float) -> None:
        """No task starts any more, and every running one is being ended."""
        self.state = "stopping"
        for held in list(self.held.values()):
            self.stop(held, why, grace=grace)

    def give_way(self) -> None:
        """Nothing is claimed any more; the runner leaves once what it holds has ended."""
        self.superseded = True
        if self.state == "up":
            self.state = "draining"

    def cancel_won(self, key: str) -> None:
        """The claim, which has not been started, is a cancelled task."""
        self._finish_cancelled(self.won[key][0])
        del self.won[key]
        self.pins.pop(key, None)

    def _finish_cancelled(self, claim: Claim) -> None:
        tasks.finish_cancelled(self.fs, self.lease, claim, ended=self.clock.now(), reason="cancelled")

    def _watch_the_end(self, now: float) -> None:
        lead = self.end_lead_seconds
        if self.ends_at is not None and now >= self.ends_at - lead and self.state in ("up", "draining"):
            self.lease_ends = True
            self.end_all(Why.LEASE, max(1.0, lead / 2))

    # -- what starts ---------------------------------------------------------------------------

    def _fill(self) -> None:
        """Whatever can start now has been claimed, durably, and handed to the keeper."""
        if self._claims_in_doubt:
            self._find_claims()
        self._launch()
        if self._stale:
            self._refresh()
        now = self.clock.monotonic()
        candidates, self._next_claim = self.queue.candidates(now)
        left = self._seconds_left(now)
        choices, waiting = choose(
            candidates, self.options.capacity, self._bookings(), seconds_left=left, warned=self._warned(left)
        )
        for choice in choices:
            claim = self._claim(choice.entry)
            if claim:
                self.won[claim.entry.key] = (claim, choice.booking)
        won = list(self.won)
        self._launch()
        started = sum(key in self.held for key in won)
        waiting |= {task_of(name): "Newer" for names in self.queue.left.values() for name in names}
        if waiting != self.waiting:
            self.waiting, self.changed = waiting, True
        self._set_aside_malformed()
        if choices and (started < len(choices) or len(choices) + len(waiting) >= LOOKAHEAD):
            self._next_claim = 0.0
        self.trouble = ""

    def _refresh(self) -> None:
        before = len(self.queue)
        self.queue.refresh(self.fs.names(self.lease.inbox(self.node)), own=True)
        self.queue.refresh(self.fs.names(self.lease.inbox(ANY)), own=False)
        self._stale = False
        now = self.clock.monotonic()
        self._list_at = now + len(self.queue) / self.options.names_per_second
        if len(self.queue) != before:
            self._active = now

    def _bookings(self) -> list[Booking]:
        return [held.booking for held in self.held.values()] + [booking for _, booking in self.won.values()]

    def _claim(self, entry: Entry) -> Claim | None:
        own = self.queue.is_own(str(entry))
        source = self.lease.inbox(self.node if own else ANY)
        self.queue.remove(str(entry), own=own)
        self._claims_in_doubt = True
        claim = tasks.claim(self.fs, self.lease, source, entry, node=self.node, incarnation=self.incarnation)
        self._claims_in_doubt = False
        if claim is not None:
            self.pins[claim.entry.key] = self.node if own else ANY
        if claim is None:
            self._list_at = -1e9  # others take from it, so what is known of the inbox is old
        return claim

    def _find_claims(self) -> None:
        """A claim that was reported failed and was done all the same is won."""
        # Known first, listed second: what leaves the ledger in between is known, and so not taken for new.
        known = {*self.held, *self.won, *(item.claim.entry.key for item in list(self.ledger.open))}
        for name in self.fs.names(self.lease.claimed(self.node)):
            try:
                entry = Entry.parse(name)
            except Malformed:
                continue
            if entry.owner == self.incarnation and entry.key not in known:
                capacity = self.options.capacity
                booking = booking_of(entry.need, room_left(capacity, self._bookings()), capacity) or Booking()
                self.won[entry.key] = (Claim(entry, self.node), booking)
        self._claims_in_doubt = False

    def _launch(self) -> None:
        """What was won is durably claimed and in the keeper's hands."""
        if not self.won:
            return
        self.fs.sync_dir(self.lease.claimed(self.node))
        for key, (claim, booking) in list(self.won.items()):
            self._start(claim, booking)
            del self.won[key]
            self.pins.pop(key, None)

    def _start(self, claim: Claim, booking: Booking) -> None:
        try:
            task = read_claimed(self.fs, self.lease, claim)
        except Newer as error:
            self.give_back(claim, error)
            return
        except Malformed as error:
            self.refuse(claim, booking, str(error))
            return
        except FileNotFoundError:
            if str(claim.entry) in self.fs.names(self.lease.claimed(self.node)):
                raise
            return  # taken away between the claim and now, by a command that had taken this runner for dead
        task = replace(task, node=self.pins.get(claim.entry.key, task.node))
        held = Held(claim, task, booking, self.clock.monotonic(), slot=free_slot(self.held.values()))
        self.procs.start(held.key, start_request(held, lease=self.lease, options=self.options, ends=self.ends))
        self.held[held.key] = held
        self.changed = True

    def refuse(self, claim: Claim, booking: Booking, reason: str) -> None:
        """The claimed file is no task: it FAILED for that reason, and its content stays in evidence/."""
        path = claim.path(self.lease)
        try:
            self.fs.link(path, f"{self.lease.evidence}/{claim.entry}")
        except FileExistsError:
            pass
        except PermissionError:
            files.set_aside(self.fs, self.lease, path, reason)  # a directory cannot be linked, nor unlinked later
        task = Task(id=claim.entry.id, argv=(), cwd="/", submitted=0.0)
        rec = Rec(failure=f"the task's file is malformed: {reason}", failure_code=1)
        self.end(Held(claim, task, booking, self.clock.monotonic()), rec)

    def give_back(self, claim: Claim, error: Newer) -> None:
        """The claimed task is pending again, for a runner that can read it; this one takes it no more."""
        node = error.body.get("node", ANY)
        node = node if isinstance(node, str) and is_node(node) else ANY
        entry = claim.entry.pending()
        self.fs.mkdir(self.lease.inbox(node))
        self.queue.leave(str(entry), str(error), own=node == self.node)
        tasks.unclaim(self.fs, self.lease, claim, self.lease.inbox(node))
        self.procs.forget(claim.entry.key)
        self.changed = True

    def leave(self, name: str, error: Newer) -> None:
        """The claim of a newer leaseq stays as it is, and this node's heartbeat says so."""
        self.newer[name] = str(error)

    def _set_aside_malformed(self) -> None:
        if self.queue.malformed:
            self._next_claim = 0.0  # what stands behind them has not been looked at yet
        while self.queue.malformed:
            own, name = self.queue.malformed.pop()
            self.queue.remove(name, own=own)
            path = f"{self.lease.inbox(self.node if own else ANY)}/{name}"
            files.set_aside(self.fs, self.lease, path, "not a task's file name")
