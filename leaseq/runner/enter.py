"""`leaseq session`: a person's terminal on this node, with what the lease's directory says of its nodes and its end."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from leaseq.errors import Refused
from leaseq.layout import Home, LeaseDir
from leaseq.node import terminal, terminals
from leaseq.node.nodedir import find_node_dir
from leaseq.protocol import allocs
from leaseq.world import SystemFs, is_remote


def main(arguments: Sequence[str]) -> int:
    """`session HOME LEASE NODE NAME CWD [WORD...]`: the session of that name is shown; the exit code of its command.

    With an empty NAME the words are run here and now, without the variables of this step.
    """
    home, lease_id, node, name, cwd, *argv = arguments
    marks = {"LEASEQ_HOME": home, "LEASEQ_LEASE": lease_id, "LEASEQ_NODE": node}
    lease = Home(home).lease(lease_id)
    told = terminal.OfLease(
        lease_id, hosts=lambda: _hosts(lease, node), seconds_left=lambda: _seconds_left(lease, node)
    )
    problem: Refused | None = None
    try:
        directory = find_node_dir(home, lease_id, node)
    except Refused as error:
        directory, problem = None, error
    with terminals.counted(directory.root if directory else ""):
        if not name:
            return terminal.run_plain(argv, told, marks=marks)
        if problem:
            print(f"leaseq: {node}: {problem.message}\n  {problem.hint}", file=sys.stderr)
            return problem.exit_code
        return terminal.show(directory, node, name, argv, told, cwd=cwd, marks=marks)


def _hosts(lease: LeaseDir, node: str) -> Sequence[str]:
    """The hosts of the allocation that gives the node."""
    serving = allocs.serving(_fs(lease), lease, node)
    return () if serving is None else tuple(allocs.hosts(_fs(lease), allocs.directory(lease, serving.alloc)).values())


def _seconds_left(lease: LeaseDir, node: str) -> float | None:
    """How long the node's allocation lasts; None if that is not known."""
    serving = allocs.serving(_fs(lease), lease, node)
    return None if serving is None else allocs.seconds_left(_fs(lease), allocs.directory(lease, serving.alloc))


def _fs(lease: LeaseDir) -> SystemFs:
    """Made when it is needed: a session of a shared file system that hangs is shown all the same."""
    return SystemFs(remote=is_remote(lease.root))
