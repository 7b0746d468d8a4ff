"""What identifies an allocation, pure. A job's number comes again: on another cluster, or where Slurm began anew."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from leaseq.lease.slurm.text import Row
from leaseq.models import Lease

_SCRIPT = re.compile(r"/scripts/([0-9a-z]{10})\.sh\Z")
_MARK = re.compile(r"(?:\A|\s)leaseq:([0-9a-z]{10})(?=\s|\Z)")


class Match(Enum):
    """Whether two allocations are one."""

    SAME = "the same"
    OTHER = "another"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class Allocation:
    """A Slurm job, by all that tells it from others. What is empty is not known."""

    cluster: str = ""
    job: str = ""
    tokens: frozenset[str] = frozenset()
    """What leaseq has marked it with."""
    user: str = ""
    names: frozenset[str] = frozenset()
    """What the job may be called."""


def compare(one: Allocation, other: Allocation) -> Match:
    """SAME where number, cluster and token agree; UNKNOWN where no token tells, and nothing speaks against it."""
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


def of_lease(lease: Lease) -> Allocation:
    """The lease's own, by its record. An adopted job bears no token where it could not be marked."""
    unmarked = not lease.token or (bool(lease.extra.get("adopted")) and not lease.extra.get("marked"))
    options = lease.extra.get("options")
    called = str(options.get("job-name") or "") if isinstance(options, dict) else ""
    names = {called} if called else {lease.name, "leaseq"} - {""}
    if lease.extra.get("adopted"):
        names = set()  # its name was the job's, unless another was given
    tokens = set() if unmarked else {lease.token}
    return Allocation(lease.cluster, lease.job or lease.id, frozenset(tokens), lease.user, frozenset(names))


def of_row(row: Row, cluster: str) -> Allocation:
    """The one that a line of squeue of that cluster tells of."""
    tokens = {*_SCRIPT.findall(row.script), *_MARK.findall(row.comment)}
    return Allocation(cluster, row.id, frozenset(tokens), row.user, frozenset({row.name} - {""}))


def marked(comment: str, token: str) -> str:
    """The comment of a job, with that token."""
    return f"{comment} leaseq:{token}".strip()
