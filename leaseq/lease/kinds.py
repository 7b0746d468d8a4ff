"""What others ask of a lease instead of its kind."""

from __future__ import annotations

from leaseq.models import Lease


def is_borrowed(lease: Lease) -> bool:
    """True if the lease's nodes are a scheduler's: they come and end without anybody here, and others want them."""
    return lease.kind != "local"
