"""A lease as its allocations, its nodes and its tasks are now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from leaseq.allocation import Allocation
from leaseq.cli.app import App
from leaseq.cli.output import iso
from leaseq.dataclass import dataclass
from leaseq.errors import NotFound, UsageError
from leaseq.lease import leases, wording
from leaseq.lease.base import LeaseState
from leaseq.lease.kinds import is_borrowed
from leaseq.lease.view import LeaseView
from leaseq.models import Lease, State
from leaseq.protocol import allocs
from leaseq.reading.unused import unused
from leaseq.reading.views import NodeView

if TYPE_CHECKING:
    from leaseq.lease.kept import Kept


@dataclass(frozen=True)
class Overview:
    """A lease as its allocations, its nodes and its tasks are now."""

    lease: Lease
    state: LeaseState
    nodes: tuple[str, ...]
    views: tuple[NodeView, ...]
    totals: Mapping[State, int]
    notes: Mapping[str, str]
    """Why nodes have no runner, by node."""
    allocs: tuple[tuple[Allocation, LeaseState], ...] = ()
    """Those that it has now."""
    kept: Kept | None = None

    @property
    def next_words(self) -> str:
        """What follows the job that runs."""
        return wording.following(self.kept, self.allocs)

    @property
    def unused(self) -> list[str]:
        """What it holds for nothing, and when it gives that back."""
        held = is_borrowed(self.lease) and self.state.word == "RUNNING"
        return [each.words for each in unused(self.views, self.totals)] if held else []

    @property
    def idle_limit_seconds(self) -> float | None:
        """How long it may stand unused, the shortest of its jobs; None: as long as it lasts."""
        beats = [view.heartbeat for view in self.views if view.heartbeat and view.health.serving]
        return min((each.idle_limit_seconds for each in beats if each.idle_limit_seconds is not None), default=None)

    @property
    def alive(self) -> int:
        return sum(1 for view in self.views if view.health.serving and view.node in self.nodes)

    @property
    def gpus(self) -> int:
        return sum(len(view.heartbeat.gpus) for view in self.views if view.heartbeat and view.node in self.nodes)

    @property
    def idle_seconds(self) -> float | None:
        """How long no node has run a task; None while one does, or if no runner tells."""
        told = [view.heartbeat.idle_seconds for view in self.views if view.heartbeat and view.health.serving]
        return min(told) if told and not self.totals.get(State.RUNNING) else None


def overview(app: App, seen: LeaseView) -> Overview:
    """The lease as it was seen, with its nodes and tasks by its files."""
    lease, directory = seen.lease, app.home.lease(seen.id)
    snapshot = app.access.reader_of(directory).read(recent=0, pending=0)
    nodes = seen.nodes or allocs.members(app.fs, directory)
    notes = allocs.notes_of(app.fs, directory) if seen.word != "ENDED" else {}
    return Overview(lease, seen.state, nodes, snapshot.nodes, snapshot.totals, notes, seen.allocs, seen.kept)


def default_of(app: App) -> str:
    """The id of the default lease; empty if LEASEQ_LEASE names none."""
    try:
        return leases.default(app.fs, app.home)
    except (NotFound, UsageError):
        return ""


def lease_json(row: Overview, *, chosen: bool) -> dict[str, object]:
    lease, state = row.lease, row.state
    return {
        "id": lease.id,
        "name": lease.name,
        "kind": lease.kind,
        "default": chosen,
        "state": state.word,
        "reason": state.reason,
        "nodes": list(row.nodes),
        "nodes_alive": row.alive,
        "gpus": row.gpus,
        "tasks": {each.name: count for each, count in row.totals.items()},
        "idle_seconds": row.idle_seconds,
        "idle_limit_seconds": row.idle_limit_seconds,
        "notes": dict(row.notes),
        "starts": state.starts or None,
        "ends": state.ends,
        "ends_at": iso(state.ends),
        "age_seconds": state.age_seconds,
        "created": lease.created,
        "created_at": iso(lease.created),
        "ended": lease.ended,
        "end_reason": lease.end_reason,
        "argv": list(lease.argv),
        "keep": None if row.kept is None else _keep_json(row.kept, row.allocs),
        "allocations": [_alloc_json(alloc, state) for alloc, state in row.allocs],
    }


def _keep_json(kept: Kept, known: Sequence[tuple[Allocation, LeaseState]]) -> dict[str, object]:
    following = kept.next_of(known)
    return {
        "scale": list(kept.how.scale) or None,
        "paused": kept.paused,
        "seconds": kept.how.seconds,
        "until": kept.until,
        "until_at": iso(kept.until),
        "until_empty": kept.how.while_busy,
        "overlap_seconds": kept.how.overlap_minutes * 60,
        "next": following[0].id if following else None,
        "stopped": kept.stopped,
        "refused": kept.refused.words if kept.refused else "",
    }


def _alloc_json(alloc: Allocation, state: LeaseState) -> dict[str, object]:
    return {
        "id": alloc.id,
        "job": alloc.job,
        "cluster": alloc.cluster,
        "state": state.word,
        "reason": state.reason,
        "nodes": list(state.nodes),
        "starts": state.starts or None,
        "ends": state.ends,
        "ends_at": iso(state.ends),
        "argv": list(alloc.argv),
    }
