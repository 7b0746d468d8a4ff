"""What Slurm said last of a user's jobs, as it is kept for all commands, and what that means for leases: as values.

    cache/CLUSTER/squeue.json      the last good answer; its age is the file's age by the file server's clock
    cache/CLUSTER/squeue.failed    why the last try gave none; absent after a good one

If it is not known which cluster answers, the files are in cache/ itself. Reading them changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, field
from leaseq.errors import Malformed
from leaseq.layout import Home
from leaseq.lease.slurm.identity import Match, compare, of_allocation, of_row
from leaseq.lease.slurm.text import Row
from leaseq.models import Lease
from leaseq.protocol import files
from leaseq.schema import flag, several, text
from leaseq.world import Fs


@dataclass(frozen=True)
class Verdict:
    """What an answer means for an allocation whose files do not say so yet. `upkeep` writes it; a look shows it."""

    lease: str
    alloc: str
    end: str = ""
    """Why it has ended; empty if it has not, as far as is known."""
    over: bool = False
    """True if it has ended and nothing was heard of any of its nodes when the answer came."""
    alive: bool = False
    """True if its record, or its lease's, tells of an end and its own line shows that it is there."""
    lost: tuple[str, ...] = ()
    """Nodes that it no longer has and of which nothing was heard: what they held is LOST."""
    why: str = ""
    """The reason of those outcomes."""
    nodes: tuple[str, ...] = ()
    """The nodes that it has left, if its files name more."""
    cluster: str = ""
    """Where its job is, if its record does not say."""

    @property
    def says_something(self) -> bool:
        return self != Verdict(self.lease, self.alloc, end=self.end, why=self.why)

    def as_record(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if value}

    @classmethod
    def from_record(cls, value: object) -> Verdict:
        if not isinstance(value, dict):
            raise Malformed(f"not a verdict: {value!r:.60}")
        known = {name: convert(value[name]) for name, convert in _FIELDS.items() if name in value}
        if not (known.get("lease") and known.get("alloc")):
            raise Malformed("a verdict of no allocation")
        return cls(**known)


_FIELDS = {
    "lease": text,
    "alloc": text,
    "end": text,
    "over": flag,
    "alive": flag,
    "lost": several(text),
    "why": text,
    "nodes": several(text),
    "cluster": text,
}


@dataclass(frozen=True)
class Queue:
    """What Slurm said last of this user's jobs on a cluster, by job number."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    gone: Mapping[str, Row] = field(default_factory=dict)
    """Jobs of leases that an earlier answer had and the last good one no longer has, as they were seen last."""
    age_seconds: float = float("inf")
    """Of the answer; infinite if there never was one."""
    failure: str = ""
    """Why no newer answer could be had, in Slurm's words."""
    cluster: str = ""
    """Who answered; empty: not known."""
    verdicts: Sequence[Verdict] = ()
    """What follows for allocations; none for those of which nothing new is known."""

    def row(self, alloc: Allocation) -> Row | None:
        """The allocation's line, unless the job of that number is another's."""
        row = self.rows.get(alloc.job)
        return row if row and self.match(alloc, row) is not Match.OTHER else None

    def match(self, alloc: Allocation, row: Row) -> Match:
        """Whether that line is the allocation's."""
        return compare(of_allocation(alloc), of_row(row, self.cluster))

    def verdict(self, alloc: Allocation) -> Verdict | None:
        """What follows for that allocation."""
        return next((each for each in self.of_lease(alloc.lease) if each.alloc == alloc.id), None)

    def of_lease(self, lease_id: str) -> list[Verdict]:
        """What follows for the lease's allocations."""
        return [each for each in self.verdicts if each.lease == lease_id]

    def says_alive(self, lease: Lease) -> bool:
        """True if the lease is there, though its record tells of an end."""
        return any(each.alive for each in self.of_lease(lease.id))

    def to_json(self) -> bytes:
        rows, gone = ([row.as_record() for row in part.values()] for part in (self.rows, self.gone))
        body: dict[str, object] = {"v": 1, "rows": rows, "gone": gone}
        if self.verdicts:
            body["verdicts"] = [each.as_record() for each in self.verdicts]
        return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def cache_of(home: Home, cluster: str) -> str:
    """Where the answers of that cluster are kept."""
    return f"{home.cache}/{cluster}" if cluster else home.cache


def missed_name(alloc: Allocation) -> str:
    """The name of the file in the cache that says since when it is missed."""
    return f"missed.{alloc.lease}@{alloc.id}"


def read(fs: Fs, home: Home, cluster: str = "") -> Queue:
    """The last answer of the cluster as it is kept; nobody is asked."""
    cache = cache_of(home, cluster)
    try:
        kept = files.json_object(files.content(fs, f"{cache}/squeue.json"))
        rows, gone = ({row.id: row for row in map(Row.from_record, _list(kept[name]))} for name in ("rows", "gone"))
        verdicts = tuple(map(Verdict.from_record, _list(kept.get("verdicts", []))))
        age = fs.age(f"{cache}/squeue.json", cache)
    except (OSError, Malformed, KeyError):
        # No answer yet, or one that another version wrote: both are "not known".
        return Queue(failure=_failure(fs, cache), cluster=cluster)
    return Queue(rows, gone, age, _failure(fs, cache), cluster, verdicts)


def _list(kept: object) -> Iterable[object]:
    if not isinstance(kept, list):
        raise Malformed("not a list")
    return kept


def _failure(fs: Fs, cache: str) -> str:
    try:
        return fs.read(f"{cache}/squeue.failed").decode("utf-8", "replace")
    except OSError:
        return ""
