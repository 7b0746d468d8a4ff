"""What a runner is started with."""

from __future__ import annotations

import argparse

from leaseq.node.keeper import LEASE_GRACE_SECONDS
from leaseq.runner.homewatch import GONE_SECONDS
from leaseq.runner.ports import END_LEAD_SECONDS
from leaseq.runner.service import PATIENCE_SECONDS

GRACE_SECONDS = 10.0


def parser() -> argparse.ArgumentParser:
    """Reads the words of a runner's command line, which lease scripts write."""
    made = argparse.ArgumentParser(prog="leaseq _run", description="Serve one node of a lease (started by leaseq).")
    made.add_argument("--lease", required=True)
    made.add_argument("--node", required=True)
    made.add_argument("--alloc", default="", help="the allocation that gives the node; the lease's only one if absent")
    made.add_argument("--home", default=None)
    made.add_argument("--token", default="", help="the lease's mark: a directory with another is not served")
    made.add_argument("--grace", type=float, default=GRACE_SECONDS, help="seconds between TERM and KILL")
    made.add_argument(
        "--patience", type=float, default=PATIENCE_SECONDS, help="seconds that a file system may keep a stopping runner"
    )
    made.add_argument("--lease-grace", type=float, default=LEASE_GRACE_SECONDS, help="the same if Slurm ends the lease")
    made.add_argument(
        "--end-lead", type=float, default=END_LEAD_SECONDS, help="seconds between TERM to the tasks and the lease's end"
    )
    made.add_argument("--draining", action="store_true", help="take no task before `resume` is asked for")
    made.add_argument(
        "--gone", type=float, default=GONE_SECONDS, help="seconds that the lease's directory must be absent to be gone"
    )
    made.add_argument("--last", action="store_true", help="start nothing: end what the last runner left running")
    return made
