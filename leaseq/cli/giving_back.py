"""Some of a lease's nodes are given back, and what that means is said."""

from __future__ import annotations

from leaseq.cli.app import App
from leaseq.cli.releasing import ask, wait_for
from leaseq.dataclass import dataclass
from leaseq.lease import leases
from leaseq.models import Lease
from leaseq.verbs.lease_release import look
from leaseq.verbs.lease_shrink import Part, drain_nodes, give_back, held_by
from leaseq.words import count, one_line


@dataclass(frozen=True)
class GivenBack:
    """What of a lease went."""

    jobs: tuple[str, ...]
    nodes: tuple[str, ...]
    still_counted: tuple[str, ...]
    """Those that Slurm counts for their job until its end."""


def perform(app: App, record: Lease, part: Part, *, yes: bool, drain: bool) -> GivenBack:
    """The part is given back; raises LeaseqError."""
    what, held = _called(record, part), held_by(look(app.access, record), part.names)
    if drain and held:
        wait_for(app, drain_nodes(app.access, record, part.names), record, called=what)
        held = held_by(look(app.access, record), part.names)
    elif held and not yes:
        ends = f"which {'ends' if held == 1 else 'end'} with {_it(part)}"
        ask(f"{what} {_has(part)} {count(held, 'running task')}, {ends}", called=what, held=held)
    counted = give_back(app.access, record, part)
    ends = f"; {count(held, 'running task')} {'ends' if held == 1 else 'end'} with {_it(part)}" if held else ""
    rest = f"lease {leases.called(record)} goes on" + (f" with {', '.join(part.left[:20])}" if part.left else "")
    app.out.talk(f"leaseq: {what} {'is' if _is_one(part) else 'are'} given back{ends}; {rest}")
    jobs = {name: serving.alloc.job for name, serving in part.nodes}
    for node, words in counted.items():
        app.out.talk(f"leaseq: Slurm counts {node} for job {jobs[node]} until that ends: {one_line(words)}")
    return GivenBack(tuple(each.job for each in part.allocs if each.job), part.names, tuple(counted))


def _called(record: Lease, part: Part) -> str:
    jobs = [f"job {each.job}" if each.job else f"host {' '.join(each.nodes)}" for each in part.allocs]
    return f"{', '.join([*jobs, *(name for name, _ in part.nodes)])} of lease {record.id}"


def _is_one(part: Part) -> bool:
    return len(part.allocs) + len(part.nodes) == 1


def _has(part: Part) -> str:
    return "has" if _is_one(part) else "have"


def _it(part: Part) -> str:
    return "it" if _is_one(part) else "them"
