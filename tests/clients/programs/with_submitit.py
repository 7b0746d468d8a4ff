"""submitit: one job, an array, a batch of jobs, a failure, a checkpoint with a requeue, a cancel."""

import subprocess
import sys
import time
from pathlib import Path

import submitit


class Counts(submitit.helpers.Checkpointable):
    """Waits to be interrupted in its first life, and ends in its second."""

    def __init__(self, life: int = 1) -> None:
        self.life = life

    def __call__(self, folder: str) -> tuple[str, int]:
        Path(folder, f"life{self.life}").touch()
        while self.life == 1:
            time.sleep(0.1)
        return "done", self.life

    def checkpoint(self, folder: str) -> submitit.helpers.DelayedSubmission:
        return submitit.helpers.DelayedSubmission(Counts(self.life + 1), folder)


def square(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number * number


def until(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def executor(**more):
    made = submitit.AutoExecutor(folder="submitit/%j", cluster="slurm")
    made.update_parameters(timeout_min=5, slurm_partition="gpu", cpus_per_task=1, **more)
    return made


def arrays() -> None:
    jobs = executor(slurm_array_parallelism=2).map_array(square, range(5))
    print([job.result() for job in jobs], {job.job_id.split("_")[0] for job in jobs} == {jobs[0].job_id.split("_")[0]})


def batches() -> None:
    made = executor()
    with made.batch():
        jobs = [made.submit(square, number) for number in (3, -1)]
    print(jobs[0].result(), type(jobs[1].exception()).__name__)


def checkpoint() -> None:
    folder = Path("lives").absolute()
    folder.mkdir()
    job = executor().submit(Counts(), str(folder))
    until((folder / "life1").exists)
    job._interrupt()
    print(job.result())


def cancel() -> None:
    job = executor().submit(time.sleep, 600)
    until(lambda: "RUNNING" in squeue(job.job_id))
    job.cancel()
    until(lambda: not squeue(job.job_id))
    print("cancelled")


def squeue(job: str) -> str:
    return subprocess.run(["squeue", "-h", "-j", job, "-o", "%T"], capture_output=True, text=True).stdout


if __name__ == "__main__":
    {"arrays": arrays, "batches": batches, "checkpoint": checkpoint, "cancel": cancel}[sys.argv[1]]()
