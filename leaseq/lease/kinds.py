"""What others ask of a lease instead of its kind."""

from __future__ import annotations

from leaseq.models import Lease


def is_borrowed(lease: Lease) -> bool:
    """True if the lease's nodes are a scheduler's: they come and end without anybody here, and others want them."""
    return lease.kind not in ("local", "hosts")


def start_words(lease: Lease) -> str:
    """What is typed on a host that is to be in the lease."""
    return f"leaseq daemon start --lease {lease.name or lease.id}"


def way_in(lease: Lease) -> str:
    """What puts a host into the lease, as a sentence."""
    return f"`{start_words(lease)}` on a host puts it in"
