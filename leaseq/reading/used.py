"""What tasks and GPUs do of what is booked, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from leaseq.heartbeat import GpuUse, Heartbeat
from leaseq.reading.views import TaskView
from leaseq.words import about, memory

IDLE_SECONDS = 300.0
"""A GPU that a task has is spoken of once it has been at 0 % for so long."""


def left_idle(use: GpuUse) -> bool:
    """True if a task has the GPU and has not used it for long."""
    return use.idle_seconds is not None and use.idle_seconds >= IDLE_SECONDS


def gpu_notes(beat: Heartbeat) -> Iterator[str]:
    """Which GPUs of the node are not used by whom has them, or used by whom has them not."""
    idle = [use for use in beat.gpu_use if left_idle(use)]
    if idle:
        yield f"{_named(idle)} booked, and at 0 % for {about(min(use.idle_seconds or 0.0 for use in idle))}"
    taken = {use.token: use.stranger_mb for use in beat.gpu_use if use.stranger_mb is not None}
    if taken:
        used_there = ", ".join(map(memory, taken.values()))
        named = _named([use for use in beat.gpu_use if use.token in taken])
        yield f"{named} free, and {used_there} of {'it' if len(taken) == 1 else 'them'} are used by no task here"


def _named(uses: Sequence[GpuUse]) -> str:
    """`GPU 2 is`, `GPUs 2, 3 are`."""
    tokens = ", ".join(use.token for use in uses)
    return f"GPU {tokens} is" if len(uses) == 1 else f"GPUs {tokens} are"


def idle_gpus(row: TaskView, beat: Heartbeat | None) -> list[GpuUse]:
    """The GPUs that the task has and leaves idle."""
    return [use for use in beat.gpu_use if use.token in row.gpus and left_idle(use)] if beat else []


def used(cpus: float | None, rss_mb: float | None) -> str:
    """`3.9 CPUs, 12G memory`, as far as it is known."""
    said = [] if cpus is None else [f"{cpus:.1f} CPUs"]
    said += [] if rss_mb is None else [f"{memory(rss_mb)} memory"]
    return ", ".join(said)
