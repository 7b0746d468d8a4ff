"""What identifies an allocation, pure. A job's number comes again: on another cluster, or if Slurm began again."""

from __future__ import annotations

import re
from enum import Enum

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass
from leaseq.lease.slurm.text import Row

_SCRIPT = re.compile(r"/scripts/([0-9a-z]{10})\.sh\Z")
_MARK = re.compile(r"(?:\A|\s)leaseq:([0-9a-z]{10})(?=\s|\Z)")


class Match(Enum):
    """Whether two allocations are one."""

    SAME = "the same"
    OTHER = "another"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class Identity:
    """A Slurm job by all that tells it from others. What is empty is not known."""

    cluster: str = ""
    job: str = ""
    tokens: frozenset[str] = frozenset()
    """What leaseq has marked it with."""
    user: str = ""
    names: frozenset[str] = frozenset()
    """What the job may be called."""


def compare(one: Identity, other: Identity) -> Match:
    """SAME if number, cluster and token agree; UNKNOWN if no token tells, and nothing speaks against it."""
    if one.job != other.job:
        return Match.OTHER
    if one.cluster and other.cluster and one.cluster.casefold() != other.cluster.casefold():
        return Match.OTHER
    if one.user and other.user and one.user != other.user:
        return Match.OTHER
    if one.tokens and other.tokens:
        return Match.SAME if one.tokens & other.tokens else Match.OTHER
    if one.names and other.names and not one.names & other.names:
        return Match.OTHER
    return Match.UNKNOWN


def of_allocation(alloc: Allocation) -> Identity:
    """The allocation's own, by its record. An adopted job bears no token if it could not be marked."""
    unmarked = not alloc.token or (alloc.adopted and not alloc.marked)
    called = alloc.options.get("job-name") or ""
    names = {called} if called else {alloc.name, "leaseq"} - {""}
    if alloc.adopted:
        names = set()  # its name was the job's, unless another was given
    tokens = set() if unmarked else {alloc.token}
    return Identity(alloc.cluster, alloc.job, frozenset(tokens), alloc.user, frozenset(names))


def of_row(row: Row, cluster: str) -> Identity:
    """The one that a line of squeue of that cluster tells of."""
    tokens = {*_SCRIPT.findall(row.script), *_MARK.findall(row.comment)}
    return Identity(cluster, row.id, frozenset(tokens), row.user, frozenset({row.name} - {""}))


def marked(comment: str, token: str) -> str:
    """The comment of a job, with that token."""
    return f"{comment} leaseq:{token}".strip()
