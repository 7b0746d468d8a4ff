"""What a runner knows of its node: values, and what follows from them. Nothing here reads, writes or asks.

One thread changes it, the one that turns; others read `running`, `waiting`, `phase`, `note`.
"""

from __future__ import annotations

from collections.abc import Sequence

from leaseq.dataclass import replace
from leaseq.layout import LeaseDir
from leaseq.models import ANY
from leaseq.node.lease_end import NEWS_SECONDS
from leaseq.node.window import MOMENT_SECONDS, is_window
from leaseq.protocol.edges import BEGIN, START
from leaseq.protocol.groups import NONE, Limits
from leaseq.room import Booking
from leaseq.runner.holding import Handed, Lot
from leaseq.runner.idle import Idle
from leaseq.runner.ledger import RETRY_SECONDS
from leaseq.runner.pace import Pace
from leaseq.runner.phase import Hand, Phase, Wanted
from leaseq.runner.ports import Options
from leaseq.runner.queue import Queue
from leaseq.runner.work import Attempt, Several, Won
from leaseq.upstream import Edge, edges_in

AT_ONCE = float("-inf")
"""A deadline that has always passed."""
WINDOW_SECONDS = 2 * MOMENT_SECONDS
"""How long after its start a window is looked at, if nothing was heard of it by then."""
FIRST_LOOK_SECONDS = 0.05
"""How long after its start an attempt's process is looked up, if the attempt has not ended by then."""
ACTIVE_SECONDS = 30.0
"""How long after the last news of a task a node is still busy."""


def poll_seconds(nodes: int, *, busy: bool) -> float:
    """How often a node of so many looks for what is new: the whole lease costs the server the same, however many.

    A task that any node may take is seen by the first of them, so after a fraction of this.
    """
    return max(0.5, nodes / 40) if busy else max(2.0, nodes / 3)


class NodeState:
    """A node as its runner knows it."""

    def __init__(self, lease: LeaseDir, node: str, options: Options, *, now: float) -> None:
        self.lease, self.node, self.options = lease, node, options
        self.nodes = options.nodes
        """All nodes of the lease."""
        self.queue = Queue(node, options.nodes)
        self.phase = Phase()
        self.running: dict[str, Attempt] = {}
        self.windows: dict[str, Handed | Several] = {}
        """What the keeper runs by itself, by name."""
        self.won: dict[str, Won] = {}
        """Between turns what is to follow a window, unless a file system failed."""
        self.pace = Pace()
        """How fast tasks end here that are no arrays."""
        self.came_back: set[str] = set()
        """Names of short tasks that were claimed, did not begin, and are pending again: not to be claimed ahead again.

        So none goes back twice: a reader that looks meanwhile would miss it, and a server would be asked in vain.
        """
        self.lots: dict[str, Lot] = {}
        """The arrays of which it has chunks, or looks for some, by `ID.ATTEMPT`."""
        self.claims_in_doubt = False
        """True if a claim failed and may have been done: the directory is looked at before the next."""
        self.limits: Limits = NONE
        """What is paused and limited in the lease."""
        self.lanes_left: dict[str, int] = {}
        """How many more of a limited group may start, as far as that was looked at since the last poll."""
        self.look_at_limits = True
        self.hook_trouble = ""
        """Which hook failed when it was called last, and why."""
        self.waiting: dict[str, str] = {}
        """Why tasks that were looked at do not start."""
        self.newer: dict[str, str] = {}
        """Claims that a newer leaseq has left here, and why they are not for this one to touch."""
        self.strays: dict[str, float] = {}
        """Claims of this node that are not this runner's, and when each was first seen."""
        self.heard_of_edges = options.notified
        """True if some task here may wait for another, as far as the kernel has told."""
        self.upstreams: set[str] = set()
        """Ids of tasks for whose end others wait, as far as this runner has heard of edges."""
        self.awaited: set[str] = set()
        """Tasks for whose beginning others wait, as far as that is known."""
        self.trouble = ""
        self.changed = True
        """True if the next heartbeat would say something new."""
        self.ends_at: float | None = None
        """When the lease ends, by the monotonic clock."""
        self.end_lead_seconds = options.end_lead_seconds
        self.warned_at_left: float | None = None
        """How long the lease still had when tasks were told of its end."""
        self.idle_since = self.active = now
        """Since when nothing runs; when there was news of a task last."""
        self.idle = Idle(now)
        self.touched: set[str] | None = None
        """Attempts whose record may have changed; None: any of them."""
        self.stale = True
        """True until the inboxes have been listed."""
        self.look_at_control = True
        self.poll_at = self.list_at = self.house_at = AT_ONCE
        self.retry_at = AT_ONCE
        """After a failure of the file system nothing is claimed before this."""
        self.news_until: float | None = None
        """Until when nothing is claimed because the lease may be ending."""
        self.next_claim: float | None = None
        """How many seconds until the queue is worth another look, by the order of nodes; None if nothing is known."""

    # -- what it has -------------------------------------------------------------------------------

    def bookings(self) -> list[Booking]:
        return [each.booking for each in [*self.occupants(), *(won for won in self.won.values() if not won.behind)]]

    def occupants(self) -> list[Attempt | Handed | Several]:
        """What has room on the node, and a slot."""
        return [*list(self.running.values()), *list(self.windows.values())]

    def is_in_window(self, key: str) -> bool:
        """True if the keeper runs that attempt by itself, or is to."""
        return any(handed.has(key) for handed in self.windows.values())

    def claimed_ahead(self) -> list[Won]:
        """Claims that were to have the room of something that is over: the next ones in line, if there is room."""
        return [each for each in self.won.values() if each.behind and not self._follows(each)]

    def _follows(self, won: Won) -> bool:
        """True if what it is to follow is there yet."""
        first = self.won.get(won.behind)
        return won.behind in self.windows or (first is not None and not first.behind)

    def hand(self, *, unwritten: bool) -> Hand:
        """What the runner has in hand. unwritten: whether outcomes are not in their place."""
        if any(each.asked_to_stop for each in self.occupants()):
            return Hand.ENDING
        if unwritten:
            return Hand.UNWRITTEN
        parts = self.claims_in_doubt or any(not each.overruled for lot in self.lots.values() for each in lot.held)
        some = self.occupants() or self.won or (parts and self.phase.gives_back)
        return Hand.TASKS if some else Hand.NOTHING

    @property
    def note(self) -> str:
        """What is wrong now, in words, as far as the ledger does not know it."""
        return self._ending() or self.trouble or self._too_old() or self._prologue()

    def _ending(self) -> str:
        waits = self.news_until is not None and self.phase.may_claim
        return "its tasks were told that the lease ends; none starts until that is certain" if waits else ""

    def _prologue(self) -> str:
        why, stays = self.options.prologue_failed, self.phase.wanted is Wanted.DRAIN
        word = f"; it takes no task until `leaseq lease hold-queue {self.lease.id} --off`"
        return f"{why}{word}" if why and stays else why

    def _too_old(self) -> str:
        left = self.queue.left
        why = next(iter([*self.newer.values(), *left[True].values(), *left[False].values()]), "")
        return f"tasks wait here for a newer leaseq: {why}" if why else ""

    def seconds_left(self, now: float) -> float | None:
        """How long tasks may still run."""
        return None if self.ends_at is None else self.ends_at - self.end_lead_seconds - now

    def warned(self, left: float | None) -> bool:
        """True since tasks were told of the end, unless the lease was prolonged since."""
        return left is not None and self.warned_at_left is not None and left <= self.warned_at_left

    def begun(self) -> set[str]:
        """The tasks whose processes are known to run here."""
        return {each.entry.id for each in list(self.running.values()) if not each.unknown}

    def look_for_tasks(self) -> None:
        """Tasks have come that this runner may take: its inboxes are listed at the next turn."""
        self.poll_at = self.list_at = AT_ONCE

    def windows_to_look_at(self, now: float) -> list[str]:
        """Windows of which there may be news."""
        touched = self.touched
        return [
            name
            for name, each in self.windows.items()
            if touched is None or name in touched or now - each.since >= WINDOW_SECONDS
        ]

    def to_look_at(self, now: float) -> list[str]:
        """Attempts of which there may be news. Hints tell only of an end, so a process not yet known is asked for."""
        touched, self.touched = self.touched, set() if self.options.notified else None
        if touched is None:
            return list(self.running)
        return [
            key
            for key, each in self.running.items()
            if key in touched or (each.unknown and now - each.since >= FIRST_LOOK_SECONDS)
        ]

    # -- what happened -----------------------------------------------------------------------------

    def begins(self, attempt: Attempt) -> None:
        self.running[attempt.key] = attempt
        self.changed = True

    def hands_window(self, name: str, handed: Handed | Several) -> None:
        self.windows[name] = handed
        self.changed = True

    def let_go_of_window(self, name: str, now: float) -> Handed | Several:
        """The window, which is over, and what it booked is free."""
        handed = self.windows.pop(name)
        if not self.occupants():
            self.idle_since = now
        self.changed = True
        return handed

    def warn_windows(self, number: int, to: str) -> None:
        """What goes on of windows alone will be told by that signal that the lease ends soon."""
        for handed in list(self.windows.values()):
            handed.warned = number, to

    def let_go(self, attempt: Attempt, now: float) -> None:
        """The attempt is no longer this runner's, and what it booked is free."""
        self.running.pop(attempt.key, None)
        if not self.occupants():
            self.idle_since = now
        self.changed = True

    def hear_of_the_end(self, now: float) -> None:
        """Tasks of this node were told by others that the lease ends: nothing is claimed until that is certain."""
        self.news_until = now + NEWS_SECONDS
        self.changed = True

    def waits_for_the_end(self, now: float) -> bool:
        """True while nothing is claimed for that reason; if the runner serves on for so long, the lease goes on."""
        if self.news_until is not None and now >= self.news_until:
            self.news_until, self.changed = None, True
        return self.news_until is not None

    def failed(self, trouble: str, now: float) -> None:
        """Nothing is claimed for a moment, and then everything is looked at again."""
        self.trouble = trouble
        self.retry_at = now + RETRY_SECONDS
        self.poll_at = min(self.poll_at, self.retry_at)
        self.list_at = AT_ONCE
        self.changed = True

    def learn_nodes(self, nodes: Sequence[str]) -> None:
        """The lease has these nodes now. A list without this node is not believed."""
        if self.node in nodes and tuple(nodes) != self.nodes:
            self.nodes = tuple(nodes)
            self.queue.learn_nodes(nodes)
            self.changed = True

    def learn_gpus(self, gpus: tuple[str, ...], variable: str) -> None:
        """The driver has told which GPUs there are."""
        capacity = replace(self.options.capacity, gpus=gpus, gpus_known=True)
        self.options = replace(self.options, capacity=capacity, gpu_variable=variable)
        self.changed = True

    def touch(self, key: str) -> None:
        """The attempt's record may have changed; an empty key means: any attempt's.

        So does a window that an earlier runner has asked for: it tells of attempts that this one has adopted.
        """
        if not key or (key not in self.windows and is_window(key)):
            self.touched = None
        elif self.touched is not None:
            self.touched.add(key)

    def hint(self, directory: str, name: str, *, gone: bool, now: float) -> bool:
        """A name appeared in, or left, a watched directory of the lease; an empty directory means: any of them.

        False if that is no news: the runner's own claim.
        """
        if directory in (self.lease.inbox(self.node), self.lease.inbox(ANY)):
            own = directory != self.lease.inbox(ANY)
            if gone:
                return self.queue.remove(name, own=own)
            self.queue.add(name, own=own)
            self.active = now
        elif directory == self.lease.control(self.node):
            self.look_at_control = True
        elif directory in (self.lease.root, self.lease.groups):
            self.look_at_limits = True
        elif directory == self.lease.edges:
            return self._learn_edges(edges_in([name]), now)
        elif not directory:
            self.look_for_tasks()
        return True

    def _learn_edges(self, edges: Sequence[Edge], now: float) -> bool:
        """What tasks wait for that this runner can see to, or look at in time, is known; False if none is of that."""
        self.heard_of_edges = True
        self.upstreams |= {edge.up.id for edge in edges}
        awaited = {edge.up.id for edge in edges if edge.up.kind == START}
        self.awaited |= awaited
        if any(edge.up.kind == BEGIN for edge in edges):
            self.house_at = min(self.house_at, now)
            return True
        return bool(awaited)

    # -- when it is due ----------------------------------------------------------------------------

    def poll(self, now: float) -> None:
        """If it is time to poll, what is due to be looked at is known."""
        if now >= self.poll_at:
            self.poll_at = now + self._poll_period(now)
            self.stale = self.stale or now >= self.list_at
            self.look_at_control = self.look_at_limits = True

    def _poll_period(self, now: float) -> float:
        if self.options.notified:
            return self.options.poll_seconds_notified
        return poll_seconds(len(self.nodes), busy=bool(self.occupants()) or now - self.active < ACTIVE_SECONDS)

    def wait(self, now: float) -> float:
        """Seconds until the next turn is due."""
        waits = [self.house_at - now, self.poll_at - now]
        if self.next_claim is not None:
            waits.append(self.next_claim)
        if self.news_until is not None:
            waits.append(self.news_until - now)
        if self.look_at_control:
            waits.append(max(FIRST_LOOK_SECONDS, self.retry_at - now))
        if any(each.waits_for_ledger for each in self.lots.values()):
            waits.append(FIRST_LOOK_SECONDS)
        if self.phase.may_claim:
            gates = [each.gate for each in self.lots.values() if each.gate is not None and not each.over]
            waits += [max(FIRST_LOOK_SECONDS, each.look_at - now) for each in gates if not each.is_settled]
        waits += [each.no_lane_before - now for each in self.lots.values() if each.no_lane_before]
        if self.windows or any(each.unknown for each in self.running.values()):
            waits.append(FIRST_LOOK_SECONDS)
        if (left := self.seconds_left(now)) is not None and self.phase.goes_on:
            waits.append(left)
        if (idle := self.idle.wait(now, look_seconds=poll_seconds(len(self.nodes), busy=True))) is not None:
            waits.append(max(FIRST_LOOK_SECONDS, idle))
        return max(0.0, min(waits))
