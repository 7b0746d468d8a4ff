"""A plugin of submitit: `submitit.AutoExecutor(folder, cluster="leaseq")` queues its jobs as tasks of a lease.

submitit finds it by the entry points of this distribution. A job is a task and has its id; several that are submitted
together are an array. What submitit keeps of a job (pickles) is in submitit's folder; its output is where leaseq keeps
that of any task. As a lease ends its tasks get TERM: a job that can be checkpointed is, and ends with 75. So it goes on
in another allocation.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from submitit.core import core
from submitit.core.job_environment import JobEnvironment, SignalHandler
from submitit.core.utils import JobPaths

from leaseq.api import acts, home, looks
from leaseq.api.options import Options, asked
from leaseq.api.queueing import lease_of, queued
from leaseq.dataclass import replace
from leaseq.errors import EX_TEMPFAIL, NotFound
from leaseq.lease.lookup import How
from leaseq.models import Array, State
from leaseq.names import new_task_id

NAME = "leaseq"
STATES = {State.DONE: "COMPLETED", State.LOST: "NODE_FAIL", State.STUCK: "UNKNOWN"}
"""What submitit calls them as Slurm does; the others have the same names."""
OWN = ("nodes", "tasks_per_node", "array_parallelism", "stderr_to_stdout")
"""Parameters that are no options of a task."""


class LeaseqInfoWatcher(core.InfoWatcher):  # type: ignore[misc]
    """The states of the jobs that submitit asks for, all by one look."""

    def get_state(self, job_id: str, mode: str = "standard") -> str:
        """In Slurm's words; `UNKNOWN` if no lease has the job."""
        return str(self.get_info(job_id, mode=mode).get("State", "UNKNOWN"))

    def update(self) -> None:
        """What has become of every job that had not ended when it was last looked for."""
        left = sorted(self._registered - self._finished)
        if left:
            self._num_calls += 1
            with suppress(NotFound):
                found = home.access().find(left, lease="", acts=True, indices=How.EACH)
                states = {each.row.id: each.row for each in found.tasks}
                words = {job: STATES.get(row.state, row.state.name) for job, row in states.items()}
                self._info_dict.update({job: {"JobID": job, "State": word} for job, word in words.items()})
        self._last_status_check = time.time()
        self._finished.update(job for job in left if self.is_done(job, mode="cache"))


class LeaseqJob(core.Job):  # type: ignore[misc]
    """A task, as a job of submitit."""

    watcher = LeaseqInfoWatcher(delay_s=10)

    def cancel(self, check: bool = True) -> None:
        """The task ends. check: raises LeaseqError if it has ended already."""
        try:
            acts.cancel(self.job_id)
        except Exception:
            if check:
                raise

    def _interrupt(self, timeout: bool = False) -> None:
        """The task is told to checkpoint, as the end of its lease tells it."""
        acts.send_signal(self.job_id, signal=signal.SIGTERM, leader=True)

    def _get_logs_string(self, name: str) -> str | None:
        return looks.log(self.job_id, {"stdout": "out", "stderr": "err"}[name]) or None


class LeaseqJobEnvironment(JobEnvironment):  # type: ignore[misc]
    """What a job knows of itself, in its task."""

    _env = {  # noqa: RUF012
        "job_id": "LEASEQ_TASK_ID",
        **dict.fromkeys(("num_nodes", "num_tasks", "node", "global_rank", "local_rank"), "LEASEQ_NOT_SET"),
    }

    def _handle_signals(self, paths: JobPaths, submission: Any) -> None:
        handler = SignalHandler(self, paths, submission)
        signal.signal(signal.SIGCONT, handler.bypass)
        for number in (signal.SIGTERM, self._usr_sig()):
            signal.signal(number, handler.checkpoint_and_try_requeue)

    def _requeue(self, countdown: int) -> None:
        # At once: TERM may come again, and kills a Python that is finishing.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EX_TEMPFAIL)


class LeaseqExecutor(core.Executor):  # type: ignore[misc]
    """submitit's executor whose jobs are tasks. Its parameters are the options of `leaseq.Executor`."""

    job_class = LeaseqJob

    def __init__(self, folder: str | os.PathLike[str], max_num_timeout: int = 3) -> None:
        super().__init__(folder)
        self.max_num_timeout = max_num_timeout

    @classmethod
    def affinity(cls) -> int:
        """It is there, and is used if it is asked for."""
        return 0

    @classmethod
    def _valid_parameters(cls) -> set[str]:
        return {*Options.__annotations__, *OWN}

    @classmethod
    def _equivalence_dict(cls) -> dict[str, str]:
        same = {name: name for name in ("name", "nodes", "tasks_per_node", "stderr_to_stdout")}
        return {**same, "timeout_min": "time", "mem_gb": "mem", "cpus_per_task": "cpus", "gpus_per_node": "gpus"}

    def _convert_parameters(self, params: dict[str, Any]) -> dict[str, Any]:
        converted: dict[str, Any] = super()._convert_parameters(params)
        if "mem_gb" in params:
            converted["mem"] = f"{params['mem_gb']}G"
        return converted

    def _internal_update_parameters(self, **kwargs: Any) -> None:
        for name in ("nodes", "tasks_per_node"):
            if kwargs.get(name, 1) not in (0, 1):
                raise ValueError(f"{name}={kwargs[name]}: a task of leaseq is one process on one node")
        super()._internal_update_parameters(**kwargs)
        asked(self._options())

    def _options(self) -> Options:
        options: Options = {name: value for name, value in self.parameters.items() if name not in OWN}  # type: ignore[assignment]
        return options

    def _internal_process_submissions(self, delayed_submissions: Sequence[Any]) -> list[LeaseqJob]:
        """The jobs are queued; several are one array. Raises LeaseqError, and then none is."""
        said = asked(self._options())
        limit = said.like.need.time_seconds
        task_id, many = new_task_id(), len(delayed_submissions)
        ids = [task_id] if many == 1 else [f"{task_id}_{index}" for index in range(many)]
        pickles = []
        for job_id, delayed in zip(ids, delayed_submissions, strict=True):
            # Without a time limit a job that is interrupted has not timed out.
            delayed.set_timeout(10**9 if limit is None else max(1, limit // 60), self.max_num_timeout)
            path = JobPaths(self.folder, job_id=job_id).submitted_pickle
            path.parent.mkdir(parents=True, exist_ok=True)
            delayed.dump(path)
            pickles.append(Path(path))
        parallel = int(self.parameters.get("array_parallelism") or 0)
        array = Array(f"0-{many - 1}", throttle=parallel) if many > 1 else None
        like = replace(said.like, array=array, env={**said.like.env, "SUBMITIT_EXECUTOR": NAME})
        argv: tuple[str, ...] = (sys.executable, "-u", "-m", "submitit.core._submit", str(self.folder))
        if self.parameters.get("stderr_to_stdout"):
            argv = ("/bin/sh", "-c", 'exec "$@" 2>&1', "sh", *argv)
        try:
            queued(replace(said, like=like), lease_of(said), [(argv, False)], ids=[task_id])
        except BaseException:
            for path in pickles:
                with suppress(FileNotFoundError):
                    os.unlink(path)
            raise
        return [LeaseqJob(folder=self.folder, job_id=job_id) for job_id in ids]
