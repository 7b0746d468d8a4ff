"""What gives a lease its nodes, as a record."""

from __future__ import annotations

from collections.abc import Mapping

from leaseq.dataclass import dataclass, field
from leaseq.schema import Record, _as, flag, mapping, maybe, number, several, text


@dataclass(frozen=True)
class Allocation(Record):
    """What gives a lease its nodes: a Slurm job, or a host."""

    id: str = _as(text)
    """Its name among the allocations of the lease: a job's number, a host's name."""
    kind: str = _as(text)
    """`slurm` or `host`; empty if its record cannot be read."""
    lease: str = _as(text)
    """The id of the lease whose it is."""
    created: float = _as(number, default=0.0)
    user: str = _as(text, default="")
    name: str = _as(text, default="")
    """What its job was called, unless its options say otherwise."""
    argv: tuple[str, ...] = _as(several(text), default=())
    """The Slurm options as typed."""
    options: Mapping[str, str] = _as(mapping(text), default_factory=dict)
    """What was asked for, by Slurm's long names."""
    python: str = _as(text, default="")
    """The interpreter of its runners, and `main` the file that they run; empty: not known."""
    main: str = _as(text, default="")
    adopted: bool = _as(flag, default=False)
    """True if it was made elsewhere, and `marked` if its job bears the token all the same."""
    marked: bool = _as(flag, default=False)
    cluster: str = _as(text, default="")
    """Where its job is, as Slurm calls the cluster; empty: not known."""
    job: str = _as(text, default="")
    """The number of its job; empty for a host."""
    token: str = _as(text, default="")
    """What its job is marked with: the name of its script, or a word of its comment."""
    asked_as: str = _as(text, default="")
    """Which ask it is of, `G.N`, of a lease of which one is asked for after the other."""
    nodes: tuple[str, ...] = _as(several(text), default=())
    """Its nodes, if they are known before it starts: a host's."""
    machine: str = _as(text, default="")
    """Which machine a host is, for another may be called the same; empty: not known."""
    idle_seconds: float | None = _as(maybe(number), default=None)
    """It gives its nodes back when nothing has used them for so long, unless another limit was set since."""
    ended: float | None = _as(maybe(number), default=None)
    end_reason: str = _as(text, default="")
    in_lease: bool = _as(flag, default=False)
    """True if its files are in the lease's directory itself, where the first leaseq kept them."""
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def told_as(self) -> str:
        """Its id as heartbeats say it: none for one of which the lease's record tells."""
        return "" if self.in_lease else self.id

    @property
    def is_host(self) -> bool:
        """True for a host: once it has left its lease it is nothing of that any more."""
        return self.is_known and not self.job

    @property
    def is_known(self) -> bool:
        """False if its record cannot be read: then nothing is known of it, not even that it has ended."""
        return bool(self.kind)
