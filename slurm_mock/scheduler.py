"""Who starts now and why the others wait: FIFO with backfill that never delays the first waiting job. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from slurm_mock import dependency, placement
from slurm_mock.cluster import Settings
from slurm_mock.placement import Free
from slurm_mock.records import Job, Node, Share
from slurm_mock.values import dataclass, field

DOWN_NODES = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"


@dataclass
class Plan:
    """`starts` in order, an array once for each task that starts; `reasons` for every job that stays pending."""

    starts: list[tuple[Job, dict[str, Share]]] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)


def free_nodes(nodes: Mapping[str, Node], jobs: Iterable[Job], settings: Settings) -> list[Free]:
    """What is left of every node that is up."""
    free = {
        node.name: placement.whole(node, settings)
        for node in nodes.values()
        if node.up and node.responding and not node.drain
    }
    for job in jobs:
        for name, share in job.shares.items():
            if name in free:
                _take(free[name], share, settings)
    return list(free.values())


def _take(node: Free, share: Share, settings: Settings) -> None:
    node.cpus -= share.cpus
    node.gpus = [gpu for gpu in node.gpus if gpu not in share.gpus]
    node.mem -= share.mem if settings.track_memory else 0
    node.whole = False


def plan(jobs: Mapping[int, Job], nodes: Mapping[str, Node], settings: Settings, now: float) -> Plan:
    """One pass over the pending jobs in order of submission."""
    result = Plan()
    running = [job for job in jobs.values() if job.shares]
    free = {node.name: node for node in free_nodes(nodes, running, settings)}
    reserved: tuple[float, set[str]] | None = None
    for job in sorted(jobs.values(), key=lambda job: (job.request.nice, job.id)):
        if job.state != "PENDING" or job.completing or now < job.submit + settings.sched_delay:
            continue
        reason = waiting_reason(job, jobs, settings, now)
        left = 0 if reason else max(1, len(job.array_tasks))
        while left:
            reason = "" if _throttle(job, jobs, result) else "JobArrayTaskLimit"
            shares = None if reason else placement.place(job.request, settings, list(free.values()))
            if shares is None or not _harmless(job, shares, reserved, now):
                break
            result.starts.append((job, shares))
            for name, share in shares.items():
                _take(free[name], share, settings)
            left -= 1
        if reason:
            result.reasons[job.id] = reason
        elif left and placement.place(job.request, settings, free_nodes(nodes, [], settings)) is None:
            result.reasons[job.id] = DOWN_NODES
        elif left and reserved is None:
            reserved = _reservation(job, running, result.starts, nodes, settings, now)
            result.reasons[job.id] = "Resources"
        elif left:
            result.reasons[job.id] = "Priority"
    return result


def _throttle(job: Job, jobs: Mapping[int, Job], plan: Plan) -> bool:
    """One more of the job's array may run."""
    if not job.array_throttle:
        return True
    running = sum(other.array_job == job.array_job and bool(other.shares) for other in jobs.values())
    return running + sum(other.array_job == job.array_job for other, _ in plan.starts) < job.array_throttle


def begin(job: Job, settings: Settings) -> float:
    """When the job may start at the earliest."""
    return max(job.eligible, job.request.begin, job.submit + settings.sched_delay)


def moments(job: Job, jobs: Mapping[int, Job], settings: Settings) -> list[float]:
    """When the job may become able to start though nothing happens."""
    return [begin(job, settings), *dependency.moments(job, jobs)]


def waiting_reason(job: Job, jobs: Mapping[int, Job], settings: Settings, now: float) -> str:
    """Why the job may not start even on an empty cluster; "" if it may."""
    if job.held:
        return job.held
    if max(job.eligible, job.request.begin) > now:
        return "BeginTime"
    verdict = dependency.judge(job, jobs, now)
    if verdict != dependency.READY:
        return "Dependency" if verdict == dependency.WAITING else "DependencyNeverSatisfied"
    over = placement.over_partition(job.request, settings)
    return {placement.BAD_NODES: "PartitionNodeLimit", placement.BAD_TIME: "PartitionTimeLimit", "": ""}[over]


def _harmless(job: Job, shares: dict[str, Share], reserved: tuple[float, set[str]] | None, now: float) -> bool:
    if reserved is None:
        return True
    until, names = reserved
    return now + job.limit_seconds <= until or not names & shares.keys()


def _reservation(
    job: Job,
    running: list[Job],
    started: list[tuple[Job, dict[str, Share]]],
    nodes: Mapping[str, Node],
    settings: Settings,
    now: float,
) -> tuple[float, set[str]]:
    """(when the job can start at the latest, on which nodes), from the limits of what runs before it."""
    ends: list[tuple[float, dict[str, Share]]] = []
    for other in running:
        ends.append((other.deadline or float("inf"), other.shares))
    for other, shares in started:
        ends.append((now + other.limit_seconds, shares))
    ends.sort(key=lambda pair: pair[0])
    for index, (end, _) in enumerate(ends):
        left = {node.name: node for node in free_nodes(nodes, [], settings)}
        for _, shares in ends[index + 1 :]:
            for name, share in shares.items():
                if name in left:
                    _take(left[name], share, settings)
        placed = placement.place(job.request, settings, list(left.values()))
        if placed is not None:
            return end, set(placed)
    return float("inf"), set()
