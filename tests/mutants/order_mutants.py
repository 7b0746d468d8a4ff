"""Tasks that come after others, with one thing wrong each. Each is a replacement of functions of `Protocol`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from leaseq.dataclass import replace
from leaseq.layout import LeaseDir
from leaseq.models import Outcome, State
from leaseq.names import Entry
from leaseq.protocol import dependents, edges, edits, tasks
from leaseq.protocol.dependents import Looked
from leaseq.protocol.tasks import Claim
from leaseq.runner.loop import Runner
from leaseq.runner.ports import Options, Ports
from leaseq.upstream import Edge, Upstream, edges_in
from leaseq.world import Fs
from tests.crash.actors import Protocol, record_if_missing
from tests.mutants.runner_mutants import Mutant
from tests.sim.service import REAL_PARTS


def published_and_not_looked(fs: Fs, lease: LeaseDir, **options: Any) -> Looked:
    """A submitter trusts whoever decides how the upstream ends to see the new edge."""
    return Looked()


def lost_counts_as_failed(fs: Fs, lease: LeaseDir, outcomes: Sequence[Outcome]) -> frozenset[str]:
    failed = [replace(each, state=State.FAILED) if each.state is State.LOST else each for each in outcomes]
    return dependents.follow(fs, lease, failed)


def requeued_counts_as_final(fs: Fs, lease: LeaseDir, outcomes: Sequence[Outcome]) -> frozenset[str]:
    return dependents.follow(fs, lease, [replace(each, requeued="") for each in outcomes])


def followed_before_it_is_durable(
    p: Protocol, fs: Fs, lease: LeaseDir, held: Claim, outcome: Outcome, node: str
) -> Outcome:
    decided = tasks.decide(fs, lease, outcome)
    p.follow(fs, lease, [decided])
    p.decide_all(fs, lease, [outcome])
    record_if_missing(p, fs, lease, decided, node)
    p.settle(fs, lease, held, decided)
    return decided


def edges_that_are_not_durable(fs: Fs, lease: LeaseDir, ups: Iterable[Upstream], downs: Iterable[str]) -> None:
    for down in downs:
        for up in ups:
            fs.create(f"{lease.edges}/{Edge(up, down)}", b"", durable=False)


_later: dict[tuple[str, str], tuple[list[Upstream], list[str]]] = {}


def change_that_waits_too_late(fs: Fs, lease: LeaseDir, *what: Any, ups: Sequence[Upstream] | None = None) -> bool:
    """What a changed task waits for from now on is written down once it is there."""
    new: Entry = what[3]
    done = edits.change(fs, lease, *what)
    if done and ups:
        edges.put(fs, lease, ups, [new.key])
    return done


def edges_after_the_file(fs: Fs, lease: LeaseDir, ups: Iterable[Upstream], downs: Iterable[str]) -> None:
    downs = list(downs)
    _later[lease.root, downs[0]] = list(ups), downs


def look_that_writes_the_edges(fs: Fs, lease: LeaseDir, *, now: float, only: Sequence[str]) -> Looked:
    edges.put(fs, lease, *_later[lease.root, only[0]])
    return dependents.look(fs, lease, now=now, only=only)


def freed_by_the_first_edge(fs: Fs, lease: LeaseDir, outcomes: Sequence[Outcome]) -> frozenset[str]:
    """What waits for several starts once one of them has come."""
    ended = {each.task.id for each in outcomes if each.state is State.DONE}
    for edge in edges_in(fs.names(lease.edges)):
        if edge.up.id in ended and edge.up.kind == edges.OK:
            mine = [each for each in edges_in(fs.names(lease.edges)) if each.down == edge.down]
            edges.drop(fs, lease, mine)
            spots = edges.pending_in(fs, lease.waitings)
            edges.release(fs, lease, {key: spot for key, spot in spots.items() if key == edge.down})
    return dependents.follow(fs, lease, outcomes)


def failures_are_not_followed(fs: Fs, lease: LeaseDir, outcomes: Sequence[Outcome]) -> frozenset[str]:
    """What can never start waits for ever, or for the next minute."""
    return dependents.follow(fs, lease, [each for each in outcomes if each.state is State.DONE])


def cancelled_without_a_claim(fs: Fs, lease: LeaseDir, outcomes: Sequence[Outcome]) -> frozenset[str]:
    """What can never start is decided as it lies in waiting/, and then removed."""
    failed = {each.task.id: each for each in outcomes if each.state is State.FAILED and not each.requeued}
    for edge in edges_in(fs.names(lease.edges)):
        spot = edges.pending_in(fs, lease.waitings).get(edge.down)
        if edge.up.id in failed and edge.up.kind == edges.OK and spot is not None:
            directory, name = spot
            task = tasks.read_task(fs, f"{directory}/{name}", Entry.parse(name))
            outcome = replace(tasks.cancelled(task, Entry.parse(name)), because=str(edge.up), ended=1.0)
            tasks.decide_all(fs, lease, [outcome])
            tasks.book(fs, lease, [(outcome.task.id, outcome.attempt)])
            fs.unlink(f"{directory}/{name}")
    return dependents.follow(fs, lease, outcomes)


def retry_that_brings_nothing_back(fs: Fs, lease: LeaseDir, task_id: str, **options: Any) -> list[str]:
    return []


class _Blind:
    """A file system on which nothing waits."""

    def __init__(self, fs: Fs, lease: LeaseDir) -> None:
        self._fs, self._places = fs, (lease.waitings, lease.edges)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def names(self, directory: str) -> list[str]:
        return [] if directory in self._places else self._fs.names(directory)


class NeverLooksWhatWaits(Runner):
    """Who ends tasks tells those that wait for them, and nobody looks again."""

    def __init__(self, ports: Ports, options: Options) -> None:
        super().__init__(replace(ports, fs=_Blind(ports.fs, ports.lease)), options)


RUNNER_MUTANTS = {
    "nobody looks each minute what tasks wait for": Mutant(
        replace(REAL_PARTS, runner=NeverLooksWhatWaits), ("death",), (("names", "/edges"),), dependents=True
    ),
}
SEEN = {"nobody looks each minute what tasks wait for": 5}

MUTANTS: dict[str, dict[str, Any]] = {
    "a submitter does not look once it has published": {"look_once_published": published_and_not_looked},
    "LOST counts as failed": {"follow": lost_counts_as_failed},
    "an outcome that another attempt follows is final": {"follow": requeued_counts_as_final},
    "dependents start before the outcome is durable": {"finish": followed_before_it_is_durable},
    "edges are not durable": {"put_edges": edges_that_are_not_durable},
    "edges come after the task's file": {
        "put_edges": edges_after_the_file,
        "look_once_published": look_that_writes_the_edges,
    },
    "a change puts its edges after the file": {"change": change_that_waits_too_late},
    "one of several upstreams is enough": {"follow": freed_by_the_first_edge},
    "failures are not followed": {"follow": failures_are_not_followed},
    "a dependent is cancelled without a claim": {"follow": cancelled_without_a_claim},
    "a retry brings nothing back": {"revive": retry_that_brings_nothing_back},
}

CAUGHT_BY = {
    "a submitter does not look once it has published": "meetings: submit after, report",
    "LOST counts as failed": "lost_replies: finish_lost_with_dependents",
    "an outcome that another attempt follows is final": "lost_replies: finish_retry_with_dependents",
    "dependents start before the outcome is durable": "power_losses: finish_frees",
    "edges are not durable": "power_losses: publish_after",
    "edges come after the task's file": "deaths: publish_after",
    "a change puts its edges after the file": "deaths: change_to_wait",
    "one of several upstreams is enough": "meetings: report, report of another",
    "failures are not followed": "meetings: report of a failure, look",
    "a dependent is cancelled without a claim": "deaths: finish_cascades",
    "a retry brings nothing back": "meetings: report of a failure, retry",
}
