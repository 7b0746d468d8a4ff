"""How outcomes that somebody else than the node's own runner decided come from booking/ into one history."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from leaseq.errors import Malformed, Newer
from leaseq.models import Outcome
from leaseq.names import is_node
from leaseq.protocol import files, requests, tasks
from leaseq.runner.ports import Ports
from leaseq.runner.recover import history

AT_ONCE = 500
"""Fewer than the lines of its history that the next runner looks at, if this one dies before it has removed them."""


def tell_all(ports: Ports, nodes: Collection[str]) -> None:
    """What waits in booking/ stands in one history, this node's if no other tells it; that one's runner is asked to.

    nodes: those of the lease. One of them does this.
    """
    names = ports.fs.names(ports.lease.booking)
    for first in range(0, len(names), AT_ONCE):
        for key, node in tell(ports, names[first : first + AT_ONCE]).items():
            # It took that upon itself, and has not come to it: perhaps nothing else makes it look.
            if node in nodes and not any(
                name.startswith(f"tell.{key}.") for name in ports.fs.names(ports.lease.control(node))
            ):
                requests.ask(ports.fs, ports.lease, node, f"tell.{key}", {})


def tell(ports: Ports, names: Sequence[str]) -> dict[str, str]:
    """The outcomes of that name in booking/ stand in a history and wait no more; by name, the node that is to tell it
    of each that waits on.
    """
    outcomes: dict[str, Outcome] = {}
    for name in names:
        path = f"{ports.lease.booking}/{name}"
        try:
            outcomes[name] = tasks.outcome_in(ports.fs, path)
        except (FileNotFoundError, Newer):
            continue
        except Malformed as error:
            files.set_aside(ports.fs, ports.lease, path, str(error))
    # The runner of the attempt's own node may have told it, and have died before it settled its claim.
    there = {name: each.node for name, each in outcomes.items() if each.node != ports.node}
    told = _told_by(ports, there)
    others = ports.ledger.write_history([each for name, each in outcomes.items() if name not in told])
    told |= _told_by(ports, others)
    for name in outcomes:
        if name in told or name not in others:
            files.discard(ports.fs, f"{ports.lease.booking}/{name}")
    return {name: node for name, node in others.items() if name not in told}


def _told_by(ports: Ports, nodes: Mapping[str, str]) -> set[str]:
    """Which of the attempts the newest lines of those nodes' histories tell."""
    found: set[str] = set()
    for node in sorted(set(filter(is_node, nodes.values()))):
        with suppress(Malformed):
            recorded = history(ports.fs, ports.lease, node, term=sys.maxsize).recorded
            found |= {key for key, each in nodes.items() if each == node and key in recorded}
    return found
