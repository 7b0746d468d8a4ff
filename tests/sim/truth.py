"""What an observer outside of a simulation knows, and what he has seen that must not be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from leaseq.dataclass import dataclass, field
from leaseq.indices import Indices
from leaseq.models import Task
from leaseq.names import parse_id
from tests.crash.actors import Key, Truth
from tests.sim.limits import Limits


@dataclass
class Throttle:
    """How many of an array may run at once, as one has said or begun to say."""

    most: int
    acknowledged: bool = False
    until: float = float("inf")
    """When another one was acknowledged that began later."""


@dataclass
class SimTruth(Truth):
    """Of the real starts and ends, which of them nobody could see, and who asked for what."""

    hosts: dict[Key, str] = field(default_factory=dict)
    """Where an attempt was started."""
    unseen: set[Key] = field(default_factory=set)
    """Attempts whose status no living process could have waited for."""
    lossy: set[str] = field(default_factory=set)
    """Nodes that were rebooted, lost their local records, or were served from another host."""
    forced: set[Key] = field(default_factory=set)
    """Attempts that a `recover` took for lost on somebody's word."""
    cancelled: set[str] = field(default_factory=set)
    """Tasks that somebody began to cancel."""
    in_order: list[str] = field(default_factory=list)
    """Tasks in the order in which they were acknowledged."""
    told_by_signal: set[str] = field(default_factory=set)
    """Incarnations of runners that a signal has told to leave: what one holds then is for whoever comes next."""
    lease_ended: bool = False
    offered: dict[str, Task] = field(default_factory=dict)
    """Arrays that somebody began to submit."""
    stopped: dict[str, list[Indices | None]] = field(default_factory=dict)
    """Of arrays, what somebody began to cancel; None: all of it."""
    forced_arrays: set[str] = field(default_factory=set)
    """Arrays chunks of which a `recover` took away on somebody's word."""
    alive: set[Key] = field(default_factory=set)
    """Attempts whose process runs."""
    last_told: dict[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)
    """The command and name of tasks, as acknowledged last; of none that is being changed, or whose change failed."""
    changes: Counter[str] = field(default_factory=Counter)
    """How many changes of each task have begun."""
    brought_back: set[Key] = field(default_factory=set)
    """Arrays that somebody was told to have retried, each with the attempt that had ended."""
    judged: set[Key] = field(default_factory=set)
    """Starts of which it was looked whether what they wait for had come."""
    under_way: Counter[str] = field(default_factory=Counter)
    """How many of them go on."""
    ran: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    """What an attempt's process was told to be."""
    began: dict[Key, float] = field(default_factory=dict)
    """When it was started."""
    over: dict[Key, float] = field(default_factory=dict)
    """When it ended."""
    done: Counter[str] = field(default_factory=Counter)
    """What commands have been acknowledged, and what limits came of."""
    throttles: dict[str, list[Throttle]] = field(default_factory=dict)
    """Of arrays, what was said so far."""
    settles_seconds: float | None = None
    """After how long every node knows what was said; None: after nobody knows how long."""
    violations: list[str] = field(default_factory=list)
    ended_by_slurm: set[Key] = field(default_factory=set)
    """Attempts that Slurm's signals have ended, for their job ended."""
    limits: Limits = field(default_factory=Limits)

    @contextmanager
    def changing(self, task: str) -> Iterator[Callable[[Task], None]]:
        """That task is being changed: what it is is not known meanwhile. To be called as that is acknowledged."""
        self.last_told.pop(task, None)
        self.changes[task] += 1
        word = self.changes[task]
        self.under_way[task] += 1

        def told(changed: Task) -> None:
            self.done["content changed"] += 1
            # Of two changes that meet nobody knows which of both stands.
            if self.changes[task] == word and self.under_way[task] == 1:
                self.last_told[task] = changed.argv, changed.name

        try:
            yield told
        finally:
            self.under_way[task] -= 1

    def started(self, key: Key, host: str, argv: tuple[str, ...], now: float) -> None:
        """An attempt's process runs: once and for all, and beside no other of its task that was not given up."""
        if key[0] in self.last_told and self.last_told[key[0]][0] != argv:
            self.violated(f"{key[0]}.{key[1]} runs {argv}, and was changed to {self.last_told[key[0]][0]}")
        self.ran[key], self.began[key] = argv, now
        if key in self.hosts:
            self.violated(f"{key[0]}.{key[1]} was started on {self.hosts[key]}, and again on {host}")
        for task, attempt in self.alive - self.forced:
            taken = parse_id(task)[0] in self.forced_arrays
            if task == key[0] and not taken and self.hosts[task, attempt][:2] not in self.lossy:
                self.violated(f"{task}.{key[1]} was started on {host} beside {task}.{attempt}")
        known = [each for each in self.alive - self.forced if self.hosts[each][:2] not in self.lossy]
        if broken := self.limits.broken_by(key, known):
            self.violated(f"{key[0]}.{key[1]} was started, and {broken}")
        array, most = parse_id(key[0])[0], self._most(parse_id(key[0])[0], now)
        beside = sum(parse_id(each[0])[0] == array for each in known) if array not in self.forced_arrays else 0
        if most and beside >= most:
            self.violated(f"{key[0]}.{key[1]} was started beside {beside} of its array, and {most} may run at once")
        self.done["throttled"] += beside + 1 == most
        self.alive.add(key)
        self.starts.append(key)
        self.hosts[key] = host

    def _most(self, array: str, now: float) -> int:
        """How many of the array may run at once for all that any node may know; 0: any number."""
        since = -1.0 if self.settles_seconds is None else now - self.settles_seconds
        known = [each.most for each in self.throttles.get(array, ()) if each.until > since]
        return 0 if 0 in known or not known else max(known)

    def violated(self, what: str) -> None:
        self.violations.append(what)
