"""What tests build again and again, each in one place: tasks, their names in a queue, a clock, a keeper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, field
from leaseq.layout import LeaseDir
from leaseq.models import Need, Task, Why
from leaseq.names import Entry, new_task_id, order
from leaseq.node.record import Rec
from leaseq.protocol import allocs, files
from leaseq.world import Fs


def make_task(task_id: str = "", **fields: Any) -> Task:
    """A task with an id of its own, unless one is given."""
    return Task(**{"id": task_id or new_task_id(), "argv": ("x",), "cwd": "/", "submitted": 1.0, **fields})


def make_entry(
    task_id: str = "",
    *,
    priority: int = 0,
    micros: int = 1,
    sequence: int = 0,
    need: Need | None = None,
    attempt: int = 1,
    owner: str = "",
    count: int = 0,
) -> Entry:
    """The name under which a task waits, or is claimed if there is an owner. count: of an array's indices."""
    place = order(priority=priority, micros=micros, sequence=sequence)
    return Entry(place, task_id or new_task_id(), need or Need(), attempt, owner, count, grouped=count > 0)


def make_alloc(lease_id: str = "L", alloc_id: str = "1", **fields: Any) -> Allocation:
    """A Slurm job that gives nodes to that lease."""
    return Allocation(**{"id": alloc_id, "kind": "slurm", "lease": lease_id, "job": alloc_id, **fields})


def allocate(
    fs: Fs,
    lease: LeaseDir,
    alloc_id: str = "1",
    *,
    nodes: Mapping[str, str] | Sequence[str] = (),
    left: int | None = None,
    **fields: Any,
) -> Allocation:
    """An allocation of the lease is recorded; it has started if it has nodes: their names, or by name their hosts.

    left: the seconds until its end, as its script has just written them.
    """
    made = allocs.record_first(fs, lease, make_alloc(lease.id, alloc_id, **fields))
    assert made is not None
    place = allocs.directory(lease, made)
    hosts = nodes if isinstance(nodes, Mapping) else {node: node for node in nodes}
    if hosts:
        lines = [node if node == host else f"{node} {host}" for node, host in hosts.items()]
        files.replace_file(fs, place.node_names, "".join(f"{line}\n" for line in lines).encode())
        files.replace_file(fs, place.named, "".join(f"{node}\n" for node in hosts).encode())
    if left is not None:
        files.replace_file(fs, place.ends, b"%d\n" % left)
    return made


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    at: float = 1000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


@dataclass
class Keeper:
    """The port Procs by a keeper whose tasks run on and on. It knows nothing of other hosts."""

    records: dict[str, Rec] = field(default_factory=dict)

    def born(self, incarnation: str) -> None:
        """Nothing to note: no record outlives this keeper."""

    def knows(self, incarnation: str) -> bool:
        return False

    def start(self, key: str, request: object) -> None:
        self.records[key] = Rec(boot="here", pid=1, started=1.0)

    def stop(self, key: str, *, why: Why, grace: float) -> None:
        raise AssertionError(f"{key} is to be ended ({why}): no test of this keeper asks for that")

    def signal(self, key: str, number: int, *, to: str, warning: bool = False) -> None:
        raise AssertionError(f"{key} is to get signal {number}: no test of this keeper asks for that")

    knows_windows = False

    def start_window(self, request: object) -> str:
        raise AssertionError("a window is asked for, and this keeper knows none")

    def window(self, name: str) -> None:
        """It has none."""

    def is_done(self, name: str) -> bool:
        return False

    def leave_window(self, name: str, keys: object) -> None:
        """It has none."""

    def find_windows(self) -> None:
        """None is left."""

    def record(self, key: str) -> Rec | None:
        return self.records.get(key)

    def void(self, key: str) -> bool:
        return self.records.pop(key, None) is None

    def forget(self, key: str) -> None:
        self.records.pop(key, None)

    def ensure(self) -> None:
        """It is alive."""

    def end_now(self, key: str) -> None:
        """Nothing to end: what another host ran is not here."""

    def attempts(self) -> list[str]:
        return list(self.records)

    def given(self, key: str) -> tuple[str, ...] | None:
        return None

    def same_boot(self, rec: Rec) -> bool:
        return rec.boot == "here"

    def reap(self) -> None:
        """Nothing to reap: nothing ends."""
