"""From pending names to attempts in the keeper's hands: look, choose, claim, start.

Claims are made only in phases that may claim; those that were made are started in all that go on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from heapq import merge
from operator import attrgetter

from leaseq.dataclass import replace
from leaseq.errors import Malformed, Newer
from leaseq.models import ANY, Task
from leaseq.names import Entry, task_of
from leaseq.protocol import files, tasks
from leaseq.protocol.tasks import Claim
from leaseq.room import Booking, booking_of, room_left
from leaseq.runner import ends, gates, limits, lot_ends, lots, short, windows
from leaseq.runner.decide import GPUS_UNKNOWN, LOOKAHEAD, Choice, choose
from leaseq.runner.node_state import AT_ONCE, NodeState
from leaseq.runner.ports import Ports
from leaseq.runner.starting import ends_of_day, start_request
from leaseq.runner.work import Attempt, Several, Single, Won, check_task, free_slot, read_claimed

_order = attrgetter("order")


class Intake:
    """What a runner does to fill its node."""

    def __init__(self, state: NodeState, ports: Ports) -> None:
        self.state, self.ports = state, ports

    def fill(self) -> None:
        """Whatever can start now has been claimed, durably, and handed to the keeper."""
        state = self.state
        lot_ends.hold_tripped(state, self.ports)
        if state.claims_in_doubt:
            self.find_claims()
        if state.look_at_limits:
            limits.learn(state, self.ports)
        self.launch()
        if state.stale:
            self.refresh()
        self._look_at_gates()
        for lot in [each for each in state.lots.values() if each.handed_on]:
            lots.go_ahead(state, self.ports, lot)
        choices, waiting = self._choose()
        started = self._fill_arrays([choice for choice in choices if choice.entry.count])
        for choice in choices:
            if not choice.entry.count:
                self._win(choice)
        won = list(state.won)
        self.launch()
        self._claim_ahead()
        self.let_go()
        started += sum(key in state.running or state.is_in_window(key) for key in won)
        waiting |= {task_of(name): "Newer" for names in state.queue.left.values() for name in names}
        if waiting != state.waiting:
            state.waiting, state.changed = waiting, True
        self._set_aside_malformed()
        more = len(choices) + len(waiting) >= LOOKAHEAD and not any(choice.behind for choice in choices)
        if choices and (more or started < len(choices)):
            state.next_claim = 0.0
        self._learn_what_could_start(choices, waiting)
        state.trouble = ""

    def hand_on(self) -> None:
        """Of arrays whose indices have begun, and of what was claimed ahead, what has room is in the keeper's hands.

        Nothing is claimed. If it may be that something was paused, nothing is handed on before that is known.
        """
        state, ports = self.state, self.ports
        ahead = {won.claim.entry.key for won in state.claimed_ahead()} if not state.look_at_limits else set()
        for choice in self._choose()[0]:
            lot = state.lots.get(choice.entry.key)
            if lot is not None and windows.may_hand(state, ports, lot):
                lot.handed_on = windows.hand(state, ports, lot, choice.booking) or lot.handed_on
            elif choice.entry.key in ahead:
                self._win(replace(choice, behind=tuple(each for each in choice.behind if each.key in ahead)))
        self.launch()

    def look_once_more(self) -> None:
        """What is pending is known afresh, and whether any of it could start here; nothing is claimed."""
        limits.learn(self.state, self.ports)
        self.refresh()
        self._learn_what_could_start(*self._choose())

    def _learn_what_could_start(self, choices: list[Choice], waiting: dict[str, str]) -> None:
        state = self.state
        state.idle.could_start = bool(choices) or state.next_claim is not None or GPUS_UNKNOWN in waiting.values()

    def refresh(self) -> None:
        """The names that are pending are known."""
        state, fs, lease = self.state, self.ports.fs, self.ports.lease
        before = len(state.queue)
        state.queue.refresh(fs.names(lease.inbox(state.node)), own=True)
        state.queue.refresh(fs.names(lease.inbox(ANY)), own=False)
        state.stale = False
        if state.came_back:
            state.came_back.intersection_update([*state.queue.own, *state.queue.any])
        now = self.ports.clock.monotonic()
        state.list_at = now + len(state.queue) / state.options.names_per_second
        if len(state.queue) != before:
            state.active = now

    def _choose(self) -> tuple[list[Choice], dict[str, str]]:
        state, now = self.state, self.ports.clock.monotonic()
        if state.limits.stop(""):
            return [], {}
        candidates, state.next_claim = self._pending()
        left = state.seconds_left(now)
        for lot in state.lots.values():
            lot.late = state.warned(left)
        if state.lots:
            shut = limits.shut(state, self.ports)
            held = [entry for entry in lots.offers(state, self.ports) if shut is None or not shut(entry.group)]
            lots.give_lanes(state, self.ports)
            keys = {entry.key for entry in held}
            fresh = (entry for entry in candidates if entry.key not in keys)
            candidates = merge(held, fresh, key=_order)
        ahead = {each.claim.entry.key: each.claim.entry.pending() for each in state.claimed_ahead()}
        if ahead:
            candidates = merge(sorted(ahead.values(), key=_order), candidates, key=_order)
        looked_at: list[Entry] = []
        choices, waiting = choose(
            _noted(candidates, looked_at),
            state.options.capacity,
            state.bookings(),
            seconds_left=left,
            warned=state.warned(left),
            many_of=lambda entry: lots.many_of(state, self.ports, entry),
            lanes_left=state.lanes_left,
        )
        if choices and short.may_hand(state, self.ports) and not state.warned(left):
            choices = short.with_others(state, choices, [*looked_at, *candidates], ahead)
            for entry in [each for choice in choices for each in choice.behind]:
                waiting.pop(entry.id, None)
        return choices, waiting

    def _look_at_gates(self) -> None:
        """What of arrays may begin by now is known, whose indices wait for those of others; if there is room or not."""
        state = self.state
        for name in list(state.queue.each):
            with suppress(Malformed):
                entry = Entry.parse(name)
                newer = any(name in left for left in state.queue.left.values())
                if entry.chunk is None and entry.each and entry.key not in state.lots and not newer:
                    lots.open_lot(state, self.ports, entry)
        gates.look(state, self.ports)
        for lot in list(state.lots.values()):
            # What never will begin needs no room to end.
            if (chunks := gates.in_vain(lot)) and state.queue.has(str(lot.entry)) and not lot.tripped:
                lots.take(state, self.ports, lot, chunks)

    def _fill_arrays(self, choices: list[Choice]) -> int:
        """Of the chosen arrays what could start has started, or will once it has begun; how many that are."""
        state, ports = self.state, self.ports
        if choices and state.limits.made:
            limits.learn(state, ports)
        by_array: dict[str, list[Choice]] = {}
        for choice in choices:
            by_array.setdefault(choice.entry.key, []).append(choice)
        for chosen in by_array.values():
            entry = chosen[0].entry
            if entry.chunk is None:
                lots.fill(state, ports, entry, chosen)
                lot = state.lots.get(entry.key)
                if lot is None or not lot.startable:
                    state.next_claim = 0.0  # nothing is left of it: there may be room for others
            else:
                lots.take_given(state, ports, entry)
                state.next_claim = 0.0  # there may be room for more of it
        return len(choices)

    def _win(self, choice: Choice) -> None:
        """The task is claimed, if no other runner was faster, and so are those that are to have its room after it."""
        first = self._peek(choice.entry) if choice.behind else None
        if self._claim(choice.entry, choice.booking, task=first) and first is not None and not first.task_dir:
            self._claim_others(choice.behind, like=first, behind=choice.entry.key)

    def _claim_ahead(self) -> None:
        """While the keeper runs a window, those that are to follow it are claimed."""
        state = self.state
        left = state.seconds_left(self.ports.clock.monotonic())
        if not short.may_hand(state, self.ports) or state.warned(left) or state.limits.stop(""):
            return
        waited_for = {won.behind for won in state.won.values()}
        for name, handed in state.windows.items():
            if isinstance(handed, Several) and name not in waited_for:
                first, task = handed.members[0]
                need = first.claim.entry.need
                line = short.in_line(state, self._pending()[0], need, short.together(state, need))
                self._claim_others(line, like=task, behind=name, ahead=True)

    def _pending(self) -> tuple[Iterator[Entry], float | None]:
        """What is pending and may be this node's, best first; seconds until there may be more, if that is known."""
        state = self.state
        shut = limits.shut(state, self.ports)
        passed = gates.nothing_to_take(state) if state.queue.each else ()
        most = short.lookahead(state) if short.may_hand(state, self.ports) else LOOKAHEAD
        return state.queue.candidates(self.ports.clock.monotonic(), most=most, shut=shut, passed=passed)

    def _claim_others(self, entries: Iterable[Entry], *, like: Task, behind: str, ahead: bool = False) -> None:
        """Those of the entries that can share a window with such a task are claimed, to have its room after it.

        ahead: up to the first that cannot, for that is asked in each turn, and each answer is a file read.
        """
        for entry in entries:
            task = self._peek(entry)
            if task is not None and short.alike(like, task):
                self._claim(entry, Booking(), task=task, behind=behind)
            elif ahead:
                return

    def _peek(self, entry: Entry) -> Task | None:
        """What the pending task's file says, which never changes; None if it has gone, or could not be started."""
        state, ports = self.state, self.ports
        if entry.key in state.won:
            return state.won[entry.key].task
        source = ports.lease.inbox(state.node if state.queue.is_own(str(entry)) else ANY)
        try:
            task = tasks.read_task(ports.fs, f"{source}/{entry}", entry)
            check_task(task)
        except (Malformed, FileNotFoundError, PermissionError):
            return None
        return task

    def _claim(self, entry: Entry, booking: Booking, *, task: Task | None, behind: str = "") -> bool:
        """True if the task is claimed: no other runner was faster."""
        state, ports = self.state, self.ports
        if entry.key in state.won:
            state.won[entry.key] = replace(state.won[entry.key], booking=booking, behind=behind)
            return True
        own = state.queue.is_own(str(entry))
        node = state.node if own else ANY
        state.queue.remove(str(entry), own=own)
        state.claims_in_doubt = True
        source = ports.lease.inbox(node)
        claim = tasks.claim(ports.fs, ports.lease, source, entry, node=state.node, incarnation=ports.incarnation)
        state.claims_in_doubt = False
        if claim is None:
            state.list_at = AT_ONCE  # others take from it, so what is known of the inbox is old
            return False
        state.won[claim.entry.key] = Won(claim, booking, node, behind=behind, task=task)
        return True

    def find_claims(self) -> None:
        """A claim that was reported failed and was done all the same is won."""
        state, ports = self.state, self.ports
        # Known first, listed second: what leaves the ledger in between is known, and so not taken for new.
        known = {*state.running, *state.won, *ports.ledger.unwritten()}
        for name in ports.fs.names(ports.lease.claimed(state.node)):
            try:
                entry = Entry.parse(name)
            except Malformed:
                continue
            if entry.chunk is not None:
                if entry.owner == ports.incarnation and not lots.holds(state, ports, entry):
                    lots.find(state, ports, Claim(entry, state.node))
            elif entry.owner == ports.incarnation and entry.key not in known:
                capacity = state.options.capacity
                taken = state.bookings()
                booking = booking_of(entry.need, room_left(capacity, taken), capacity)
                # One that was to have the room of another has none of its own.
                behind = entry.key if booking is None or (booking.alone and taken) else ""
                state.won[entry.key] = Won(Claim(entry, state.node), booking or Booking(), behind=behind)
        state.claims_in_doubt = False

    def launch(self) -> None:
        """What was won and may start is durably claimed and in the keeper's hands; what may not is pending again.

        But for what was claimed ahead, which waits for room.
        """
        if all(won.behind for won in self.state.won.values()):
            return
        self.ports.fs.sync_dir(self.ports.lease.claimed(self.state.node))
        self.hand_over()

    def hand_over(self) -> None:
        """What was won is in the keeper's hands, or pending again if it may not start."""
        state, ports = self.state, self.ports
        if state.limits.made:
            limits.learn(state, ports)
        behind = defaultdict(list)
        for won in state.won.values():
            behind[won.behind].append(won)
        for won in behind[""]:
            others = behind[won.claim.entry.key] if short.may_hand(state, ports) else []
            if others:
                short.hand(state, ports, won, others)
            elif admitted := limits.admitted(state, ports, won):
                self.start(admitted)
            for each in (won, *others):
                del state.won[each.claim.entry.key]

    def let_go(self, *, everything: bool = False) -> None:
        """What was claimed ahead and has nothing to follow any more is pending again; or everything that was won."""
        state, ports = self.state, self.ports
        ahead = list(state.won.values()) if everything else state.claimed_ahead()
        for won in limits.put_back(state, ports, ahead):
            self.start(won)
        for won in ahead:
            del state.won[won.claim.entry.key]
            state.came_back.add(str(won.claim.entry.pending()))

    def start(self, won: Won) -> None:
        """The claim is an attempt in the keeper's hands; or it has ended, or is no longer this runner's."""
        state, ports, claim = self.state, self.ports, won.claim
        try:
            task = read_claimed(ports.fs, ports.lease, claim)
        except Newer as error:
            ends.give_back(state, ports, claim, error)
            return
        except Malformed as error:
            ends.refuse(state, ports, claim, won.booking, str(error))
            return
        except FileNotFoundError:
            if str(claim.entry) in ports.fs.names(ports.lease.claimed(state.node)):
                raise
            return  # taken away between the claim and now, by a command that had taken this runner for dead
        if won.inbox not in ("", task.node):
            task = replace(task, node=won.inbox)
        slot = free_slot(state.occupants())
        attempt = Attempt(Single(claim), task, won.booking, ports.clock.monotonic(), slot=slot, lane=won.lane)
        if task.task_dir:
            files.make_all(ports.fs, ports.lease.results(claim.entry.id))
        ends_at = ends_of_day(state, ports.clock)
        request = start_request(attempt, lease=ports.lease, options=state.options, ends=ends_at)
        ports.procs.start(attempt.key, request)
        state.begins(attempt)

    def _set_aside_malformed(self) -> None:
        state, ports = self.state, self.ports
        if state.queue.malformed:
            state.next_claim = 0.0  # what stands behind them has not been looked at yet
        while state.queue.malformed:
            own, name = state.queue.malformed.pop()
            state.queue.remove(name, own=own)
            path = f"{ports.lease.inbox(state.node if own else ANY)}/{name}"
            files.set_aside(ports.fs, ports.lease, path, "not a task's file name")


def _noted(entries: Iterable[Entry], seen: list[Entry]) -> Iterator[Entry]:
    """The entries; those that were read of them are in the list."""
    for entry in entries:
        seen.append(entry)
        yield entry
