"""What an observer outside of a simulation knows, and what he has seen that must not be."""

from __future__ import annotations

from leaseq.dataclass import dataclass, field
from leaseq.indices import Indices
from leaseq.models import Task
from leaseq.names import parse_id
from tests.crash.actors import Key, Truth
from tests.sim.limits import Limits


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
    lease_ended: bool = False
    offered: dict[str, Task] = field(default_factory=dict)
    """Arrays that somebody began to submit."""
    stopped: dict[str, list[Indices | None]] = field(default_factory=dict)
    """Of arrays, what somebody began to cancel; None: all of it."""
    forced_arrays: set[str] = field(default_factory=set)
    """Arrays chunks of which a `recover` took away on somebody's word."""
    alive: set[Key] = field(default_factory=set)
    """Attempts whose process runs."""
    violations: list[str] = field(default_factory=list)
    ended_by_slurm: set[Key] = field(default_factory=set)
    """Attempts that Slurm's signals have ended, for their job ended."""
    limits: Limits = field(default_factory=Limits)

    def started(self, key: Key, host: str) -> None:
        """An attempt's process runs: once and for all, and beside no other of its task that was not given up."""
        if key in self.hosts:
            self.violated(f"{key[0]}.{key[1]} was started on {self.hosts[key]}, and again on {host}")
        for task, attempt in self.alive - self.forced:
            taken = parse_id(task)[0] in self.forced_arrays
            if task == key[0] and not taken and self.hosts[task, attempt][:2] not in self.lossy:
                self.violated(f"{task}.{key[1]} was started on {host} beside {task}.{attempt}")
        known = [each for each in self.alive - self.forced if self.hosts[each][:2] not in self.lossy]
        if broken := self.limits.broken_by(key, known):
            self.violated(f"{key[0]}.{key[1]} was started, and {broken}")
        self.alive.add(key)
        self.starts.append(key)
        self.hosts[key] = host

    def violated(self, what: str) -> None:
        self.violations.append(what)
