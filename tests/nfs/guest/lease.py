"""lease.py LEASE NODE...: the lease and the directories of its nodes exist in LEASEQ_HOME."""

from __future__ import annotations

import sys
import time

from leaseq.layout import Home, default_home
from leaseq.lease.homes import make_home
from leaseq.models import Lease
from leaseq.protocol import files, records
from leaseq.world import SystemFs


def main(lease_id: str, *nodes: str) -> None:
    fs, home = SystemFs(remote=True), Home(default_home())
    lease = home.lease(lease_id)
    make_home(home)
    fs.mkdir(home.runs)
    records.prepare(fs, lease)
    for node in nodes:
        records.prepare_node(fs, lease, node)
    files.replace_file(fs, lease.record, Lease(lease_id, "local", time.time(), nodes=nodes).to_json())


if __name__ == "__main__":
    main(*sys.argv[1:])
