"""A job array as text and as values: `--array=0-9:3,12%2`, `J_1` and `J_[2-5]`, and how squeue writes what waits."""

from __future__ import annotations

import itertools

from slurm_mock.hostlist import ranges
from slurm_mock.records import Job
from slurm_mock.values import replace

SHOWN_MAX = 63  # characters of a list of tasks; what is longer ends in "..."
STEP_SPAN_MIN = 11  # a list that spans less is never written as first-last:step


def parse(text: str, size_max: int) -> tuple[list[int], int, int]:
    """(indices, step, how many may run at once or 0 for all). ValueError if Slurm would refuse the array."""
    spec, _, throttle = text.partition("%")
    indices = _indices(spec.removeprefix("[").removesuffix("]"))
    if not indices or max(indices) >= size_max:
        raise ValueError(text)
    _, colon, step = spec.partition(":")
    digits = throttle.partition("%")[0]
    return indices, leading(step) if colon else 1, leading(digits)


def _indices(text: str) -> list[int]:
    found: set[int] = set()
    for piece in text.split(","):
        bounds, colon, step = piece.partition(":")
        low, dash, high = bounds.partition("-")
        span = range(int(low), int(high if dash else low) + 1, int(step) if colon else 1)
        if not low.isdigit() or not span:
            raise ValueError(piece)
        found.update(span)
    return sorted(found)


def leading(text: str) -> int:
    """The number that the text begins with, as C's atoi reads it."""
    return int(text[: len(text) - len(text.lstrip("0123456789"))] or 0)


def variables(indices: list[int], step: int) -> dict[str, str]:
    """What every task of the array has in its environment."""
    return {
        "SLURM_ARRAY_TASK_COUNT": str(len(indices)),
        "SLURM_ARRAY_TASK_MIN": str(indices[0]),
        "SLURM_ARRAY_TASK_MAX": str(indices[-1]),
        "SLURM_ARRAY_TASK_STEP": str(step),
    }


def target(text: str) -> tuple[int, list[int] | None]:
    """(job id, tasks or None for all of it) of `33`, `33_1`, `33_[2-5,7]`. ValueError for anything else."""
    job, under, tasks = text.partition("_")
    if not job.isdigit():
        raise ValueError(text)
    if not under:
        return int(job), None
    inner = tasks[1:-1] if tasks.startswith("[") and tasks.endswith("]") else tasks if tasks.isdigit() else "x"
    return int(job), _indices(inner)


def viewed(text: str) -> tuple[int, int | None]:
    """(job id, task) as squeue and `scontrol show` read `33_1`. Measured: they take no list, `33_[2-5]` is `33_0`."""
    job, under, task = text.partition("_")
    if not job.isdigit():
        raise ValueError(text)
    return int(job), leading(task) if under else None


def owns(job: Job, job_id: int) -> bool:
    """The job goes by this id, or is of the array that does."""
    return job_id in (job.id, job.array_job)


def single(job: Job, task: int) -> Job | None:
    """The record as it shows this one task; None if the task is not in it."""
    if task == job.array_task:
        return job
    return replace(job, array_tasks=[], array_task=task) if task in job.array_tasks else None


def singles(job: Job) -> list[Job]:
    """The record as one line for each task that waits in it."""
    return [replace(job, array_tasks=[], array_task=task) for task in job.array_tasks] or [job]


def merged(jobs: list[Job]) -> list[Job]:
    """Tasks that wait by themselves go into the line of their array's other waiting tasks, whose throttle is not shown.

    Measured; the reasons of all stand on that line.
    """
    heads = {job.array_job: job for job in jobs if job.array_tasks and job.state == "PENDING"}
    result = []
    for job in jobs:
        head = heads.get(job.array_job)
        if head is None or job.state != "PENDING" or job.completing:
            result.append(job)
        elif job is head:
            parts = [each for each in jobs if each.array_job == job.array_job and each.state == "PENDING"]
            tasks = sorted(task for each in parts for task in each.indices)
            reasons = list(dict.fromkeys([job.reason, *(each.reason for each in parts)]))
            throttle = job.array_throttle if len(parts) == 1 else 0
            result.append(replace(job, array_tasks=tasks, reason=",".join(reasons), array_throttle=throttle))
    return result


def waiting(job: Job) -> str:
    """`2-5%2`: the tasks that wait in this record, and how many may run at once."""
    tasks = job.array_tasks
    steps = {later - earlier for earlier, later in itertools.pairwise(tasks)}
    if tasks[-1] - tasks[0] >= STEP_SPAN_MIN - 1 and len(steps) == 1 and steps != {1}:
        text = f"{tasks[0]}-{tasks[-1]}:{steps.pop()}"
    else:
        text = ranges(tasks)
    if len(text) > SHOWN_MAX:
        text = text[:SHOWN_MAX].rpartition(",")[0] + "..."
    return text + (f"%{job.array_throttle}" if job.array_throttle else "")


def tasks_text(job: Job) -> str:
    """ArrayTaskId of this record; "" if it is none of an array."""
    if job.array_tasks:
        return waiting(job)
    return "" if job.array_task is None else str(job.array_task)


def label(job: Job) -> str:
    """What squeue calls it: `33`, `33_1` or `33_[2-5%2]`."""
    if job.array_tasks:
        return f"{job.array_job}_[{waiting(job)}]"
    return str(job.id) if job.array_task is None else f"{job.array_job}_{job.array_task}"
