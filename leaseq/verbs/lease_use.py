"""Which lease commands mean that name none."""

from __future__ import annotations

from leaseq.layout import LeaseDir
from leaseq.lease import leases
from leaseq.models import Lease
from leaseq.verbs.access import Access


def use(access: Access, lease: LeaseDir) -> Lease | None:
    """Commands mean that lease from now on; its record, None if it is this host's. Raises NotFound and Refused."""
    record = None if leases.is_own(lease.id) else leases.living(access.record(lease))
    access.make_home()
    leases.choose(access.fs, access.home, lease.id)
    return record
