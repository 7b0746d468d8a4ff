"""What gives a lease its nodes, as a value."""

from __future__ import annotations

from collections.abc import Mapping

from leaseq.dataclass import dataclass, field


@dataclass(frozen=True)
class Allocation:
    """What gives a lease its nodes: a Slurm job, or a host."""

    id: str
    kind: str
    """`slurm` or `host`."""
    lease: str
    """The id of the lease whose it is."""
    user: str = ""
    name: str = ""
    """What its job was called, unless its options say otherwise."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What was asked for, by Slurm's long names."""
    python: str = ""
    """The interpreter of its runners, and `main` the file that they run; empty: not known."""
    main: str = ""
    adopted: bool = False
    """True if it was made elsewhere, and `marked` if its job bears the token all the same."""
    marked: bool = False
    cluster: str = ""
    job: str = ""
    """The number of its job; empty for a host."""
    token: str = ""
    nodes: tuple[str, ...] = ()
    """Its nodes, if they are known before it starts: a host's."""
    ended: float | None = None
    end_reason: str = ""
