"""What only this moment's host can tell of itself, for its heartbeats."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from leaseq.dataclass import replace
from leaseq.heartbeat import Heartbeat, Running
from leaseq.node.gpu_watch import GpuMarks
from leaseq.node.gpus import GpuWatch
from leaseq.node.grant import Gpus, from_environment, present
from leaseq.node.granted import memory
from leaseq.node.usage import Usage
from leaseq.world import boot_id, hostname, process_start

DRIVER_SECONDS = 5.0
"""How long a starting runner waits for a GPU driver; one that is slower is asked while the node serves already."""


def whoami() -> dict[str, Any]:
    """The fields of a heartbeat that tell this process from every other one."""
    pid = os.getpid()
    return {"host": hostname(), "boot": boot_id(), "pid": pid, "pid_start": process_start(pid)}


def watch_gpus(environment: Mapping[str, str], *, told: Callable[[], None]) -> GpuWatch:
    """The GPUs as they were granted, or as the driver tells them within a moment; else they are not known yet."""
    said = from_environment(environment)
    if said is not None or not present():
        return GpuWatch(said or Gpus(), told=told)
    watch = GpuWatch(Gpus(known=False), told=told)
    watch.ask().join(DRIVER_SECONDS)
    return watch


class Facts:
    """What this host tells of itself, since this process began to serve."""

    def __init__(self, gpus: GpuWatch) -> None:
        self.gpus = gpus
        self.started = time.time()
        self._marks, self._usage = GpuMarks(), Usage()

    def now(self, beat: Heartbeat) -> dict[str, Any]:
        """As fields of a heartbeat, which says the rest."""
        total, used = memory()
        _, error = self.gpus.look()
        owners = {token: f"{run.id}.{run.attempt}" for run in beat.running for token in run.gpus}
        return {
            "started": self.started,
            "load": os.getloadavg()[0],
            "mem_used_mb": used if total else None,
            "gpu_use": self._marks.marked(self.gpus.answer, owners, beat.free_gpus, now=time.monotonic()),
            "gpu_error": error,
            "running": self._with_use(beat.running),
        }

    def _with_use(self, running: tuple[Running, ...]) -> tuple[Running, ...]:
        """Each with what its processes use, as far as it is known."""
        use = self._usage.of(run.pid for run in running if run.pid)
        return tuple(
            replace(
                run,
                cpus_used=None if found.cpus is None else round(found.cpus, 2),
                rss_mb=round(found.rss_mb),
            )
            if run.pid and (found := use.get(run.pid))
            else run
            for run in running
        )
