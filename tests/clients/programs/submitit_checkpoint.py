"""A submitit job that waits to be interrupted in its first life, and ends in its second: `submit` it, or `see` it."""

import time
from pathlib import Path

import submitit


class Counts(submitit.helpers.Checkpointable):
    def __init__(self, life: int = 1) -> None:
        self.life = life

    def __call__(self) -> tuple[str, int]:
        Path(f"life{self.life}").touch()
        while self.life == 1:
            time.sleep(0.05)
        return "done", self.life

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        return submitit.helpers.DelayedSubmission(Counts(self.life + 1))


executor = submitit.AutoExecutor(folder="submitit/%j", cluster="leaseq")
executor.update_parameters(timeout_min=25, cpus_per_task=1)
job = executor.submit(Counts())
print(job.job_id, flush=True)
print(job.result())
