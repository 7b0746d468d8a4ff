"""submitit with leaseq's plugin: one job, an array, a batch with a failure, a cancel, a job that is killed."""

import os
import sys
import time

import submitit
from submitit.core.utils import UncompletedJobError


def square(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is negative")
    print("squaring", number)
    return number * number


def executor(**more):
    made = submitit.AutoExecutor(folder="submitit/%j", cluster="leaseq")
    made.update_parameters(timeout_min=5, cpus_per_task=1, mem_gb=0.1, **more)
    return made


def complains() -> None:
    print("something", file=sys.stderr)


def jobs() -> None:
    job = executor(name="one").submit(square, 3)
    print(job.result(), "squaring 3" in job.stdout())
    while job.watcher.get_state(job.job_id, mode="force") == "RUNNING":  # its result is there before it has ended
        time.sleep(0.05)
    print(job.state)
    many = executor(leaseq_array_parallelism=2).map_array(square, range(5))
    print([each.result() for each in many], len({each.job_id.split("_")[0] for each in many}))
    one = executor(stderr_to_stdout=True).submit(complains)
    one.result()
    print("something" in one.stdout(), one.stderr())
    made = executor()
    with made.batch():
        good, bad = made.submit(square, 3), made.submit(square, -1)
    print(good.result(), type(bad.exception()).__name__, "is negative" in str(bad.exception()))


def ends() -> None:
    job = executor().submit(time.sleep, 600)
    while job.watcher.get_state(job.job_id, mode="force") != "RUNNING":
        time.sleep(0.05)
    job.cancel()
    for each in (job, executor().submit(os._exit, 9)):
        each._results_timeout_s = 0
        try:
            each.result()
        except UncompletedJobError as error:
            print(each.watcher.get_state(each.job_id, mode="force"), "has not produced any output" in str(error))


def refused() -> None:
    for more in ({"nodes": 2}, {"tasks_per_node": 4}, {"leaseq_retries": "many"}, {"leaseq_tries": 3}):
        try:
            executor(**more)
        except Exception as error:
            print(type(error).__name__)


if __name__ == "__main__":
    {"jobs": jobs, "ends": ends, "refused": refused}[sys.argv[1]]()
