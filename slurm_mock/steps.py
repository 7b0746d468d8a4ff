"""A step's nodes, tasks and GPUs out of its job's: a pure function of the job and what srun asked for.

Measured, slurm 22.05: a step holds all that the job has on its nodes unless it says --exact; with --overlap it gets
the same and holds nothing.
"""

from __future__ import annotations

import time

from slurm_mock.placement import spread
from slurm_mock.records import Job, Step
from slurm_mock.values import dataclass, field


@dataclass(kw_only=True)
class Ask:
    """srun's options after its environment was read; None if nothing was said."""

    name: str
    user: str
    nodes_min: int | None = None
    ntasks: int | None = None
    ntasks_per_node: int | None = None
    cpus_per_task: int = 1
    nodelist: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    relative: int = 0
    overlap: bool = False
    exact: bool = False
    overcommit: bool = False
    cyclic: bool = False
    gpus_asked: bool = False
    gpus_per_node: int = 0
    gpus_total: int = 0
    gpus_per_task: int = 0
    no_kill: bool = False
    mem_per_cpu: int = 0
    srun_node: str = ""


class Unable(Exception):
    """A name of `errors.WORDS`, and a line to print before it."""

    def __init__(self, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.hint = hint


def create(job: Job, ask: Ask) -> Step:
    """The new step. Unable("busy") if another step holds what it needs."""
    counts = _tasks(job, ask)
    if ask.mem_per_cpu and job.steps:
        raise Unable("task_memory")
    gpus = _gpus(job, ask, counts)
    held_cpus: dict[str, int] = {}
    held_gpus: dict[str, list[int]] = {}
    if not ask.overlap:
        free = free_cpus(job)
        for node, tasks in counts.items():
            needed = 1 if ask.overcommit else tasks * ask.cpus_per_task
            if free[node] < needed:
                raise Unable("busy")
            held_cpus[node] = needed if ask.exact else free[node]
        held_gpus = gpus
    return Step(
        id=job.next_step,
        name=ask.name,
        nodes=list(counts),
        tasks=_number(counts, cyclic=ask.cyclic),
        gpus=gpus,
        held_cpus=held_cpus,
        held_gpus=held_gpus,
        start=time.time(),
        user=ask.user,
        no_kill=ask.no_kill,
        srun_node=ask.srun_node,
    )


def free_cpus(job: Job) -> dict[str, int]:
    free = {node: share.cpus for node, share in job.shares.items()}
    for step in job.steps.values():
        for node, cpus in step.held_cpus.items():
            if node in free and node not in step.done:
                free[node] -= cpus
    return free


def _tasks(job: Job, ask: Ask) -> dict[str, int]:
    """Task count by node, in the job's node order."""
    if any(node not in job.shares for node in ask.nodelist):
        raise Unable("config")
    candidates = [node for node in job.nodes if node in job.shares and node not in ask.exclude][ask.relative :]
    count = _node_count(ask, len(candidates))
    if count > len(candidates):
        raise Unable("config")
    ntasks = ask.ntasks if ask.ntasks is not None else count * (ask.ntasks_per_node or 1)
    count = min(count, max(1, ntasks))
    free = free_cpus(job)
    idle = [node for node in candidates if node not in ask.nodelist and (ask.overlap or free[node] > 0)]
    others = [node for node in candidates if node not in ask.nodelist and node not in idle]
    chosen = set([*ask.nodelist, *idle, *others][: max(count, len(ask.nodelist))])
    nodes = [node for node in candidates if node in chosen]
    rooms = [_room(job, ask, node) for node in nodes]
    if ask.ntasks_per_node and ask.ntasks_per_node * len(nodes) >= ntasks:
        rooms = [min(room, ask.ntasks_per_node) for room in rooms]
    counts = spread(ntasks, rooms)
    if counts is None:
        raise Unable("cpus")
    return {node: tasks for node, tasks in zip(nodes, counts, strict=True) if tasks}


def _room(job: Job, ask: Ask, node: str) -> int:
    return 10**6 if ask.overcommit else job.shares[node].cpus // ask.cpus_per_task


def _node_count(ask: Ask, available: int) -> int:
    if ask.nodes_min is not None:
        return max(ask.nodes_min, 1)
    if ask.nodelist:
        return len(ask.nodelist)
    if ask.ntasks is None:
        return available
    if ask.ntasks_per_node:
        return -(-ask.ntasks // ask.ntasks_per_node)
    return min(ask.ntasks, available)


def _number(counts: dict[str, int], *, cyclic: bool) -> dict[str, list[int]]:
    """Global task ids by node: in blocks, or dealt out like cards."""
    ids: dict[str, list[int]] = {node: [] for node in counts}
    if not cyclic:
        first = 0
        for node, tasks in counts.items():
            ids[node] = list(range(first, first + tasks))
            first += tasks
        return ids
    number = 0
    while number < sum(counts.values()):
        for node, tasks in counts.items():
            if len(ids[node]) < tasks:
                ids[node].append(number)
                number += 1
    return ids


def _gpus(job: Job, ask: Ask, counts: dict[str, int]) -> dict[str, list[int]]:
    request = job.request
    in_total = request.gpus_total and not request.gpus_per_node and not request.gpus_per_task
    if not ask.gpus_asked:
        # Measured: a lease by --gpus=N hands its total on to every step, which only fits on all nodes at once.
        if in_total and not request.exclusive and set(counts) != set(job.shares):
            raise Unable("gres")
        return {node: job.shares[node].gpus[: _inherited(job, tasks)] for node, tasks in counts.items()}
    asked = ask.gpus_per_node or ask.gpus_total or ask.gpus_per_task
    if asked and not any(share.gpus for share in job.shares.values()):
        raise Unable("gres", "Step requested GRES but job doesn't have GRES")
    total = request.gpus_total or request.gpus_per_task * job.ntasks
    # Measured: what a step on one node asks for is held against the job's total as if every node were asked for it.
    if ask.gpus_per_node * len(job.nodes) > total > 0 and not request.exclusive:
        raise Unable("gres")
    wanted = _wanted(job, ask, counts)
    taken: dict[str, list[int]] = {}
    for node, number in wanted.items():
        owned = job.shares[node].gpus
        if number > len(owned):
            raise Unable("gres", _too_many(job, ask, owned))
        held = [] if ask.overlap else _held(job, node)
        free = [gpu for gpu in owned if gpu not in held]
        if number > len(free):
            raise Unable("busy")
        taken[node] = free[:number]
    return taken


def _inherited(job: Job, tasks: int) -> int | None:
    """Of a node's GPUs, how many a step gets that says nothing of them; None if that is all of them."""
    request = job.request
    if request.gpus_per_task:
        return tasks * request.gpus_per_task
    if request.gpus_total and not request.gpus_per_node:
        return None
    return request.gpus_per_node  # a whole node by --exclusive holds more than was asked for


def _wanted(job: Job, ask: Ask, counts: dict[str, int]) -> dict[str, int]:
    if ask.gpus_per_task:
        return {node: tasks * ask.gpus_per_task for node, tasks in counts.items()}
    if not ask.gpus_total or ask.gpus_per_node:
        return dict.fromkeys(counts, ask.gpus_per_node)
    left = ask.gpus_total
    wanted = {}
    for index, node in enumerate(counts):
        wanted[node] = min(len(job.shares[node].gpus), -(-left // (len(counts) - index)))
        left -= wanted[node]
    if left:
        raise Unable("gres")
    return wanted


def _held(job: Job, node: str) -> list[int]:
    return [gpu for step in job.steps.values() if node not in step.done for gpu in step.held_gpus.get(node, [])]


def _too_many(job: Job, ask: Ask, owned: list[int]) -> str:
    if ask.gpus_per_task or not job.request.gpus_per_node:
        return ""
    has = job.request.gpus_per_node
    return f"Step requested gres_per_node=gpu:{ask.gpus_per_node} is more than the job's gres_per_node=gpu:{has}"
