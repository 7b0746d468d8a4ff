"""joblib's calls as tasks of a lease, as docs/python.md says it."""

import os
import sys
import time
from math import sqrt
from pathlib import Path

import joblib

import leaseq


def where(number):
    return number, os.environ.get("LEASEQ_TASK_ID", ""), os.environ.get("OMP_NUM_THREADS", "")


def fails(number):
    if number == 3:
        raise ValueError(f"no {number}")
    time.sleep(600 if number > 3 else 0)
    return number


def inner(number):
    with joblib.parallel_config(n_jobs=None):
        found = joblib.Parallel()(joblib.delayed(where)(each) for each in range(2))
    return [task for _, task, _ in found], joblib.parallel.get_active_backend()[0].__class__.__name__


def at_once(number, directory):
    mark = Path(directory, f"{number}")
    mark.touch()
    time.sleep(0.3)
    seen = len(list(Path(directory).iterdir()))
    mark.unlink()
    return seen


def values():
    with joblib.parallel_config("leaseq", cpus=1, group="roots"):
        found = joblib.Parallel()(joblib.delayed(sqrt)(n * n) for n in range(200))
        print(joblib.effective_n_jobs(-1) == max(2, os.cpu_count()), found == list(range(200)))
        print(len({task for _, task, _ in joblib.Parallel()(joblib.delayed(where)(n) for n in range(4))}))
        each = joblib.Parallel(return_as="generator_unordered", batch_size=2)(
            joblib.delayed(where)(n) for n in range(4)
        )
        found = sorted(each)
        print(len({task for _, task, _ in found}), {threads for _, _, threads in found})


def errors():
    with joblib.parallel_config("leaseq", cpus=1):
        try:
            joblib.Parallel(batch_size=1)(joblib.delayed(fails)(n) for n in range(6))
        except ValueError as error:
            print(error, type(error.__cause__).__name__, "in fails" in str(error.__cause__))
    leaseq.wait(*(row.id for row in leaseq.tasks()), timeout=60)
    print(sorted({row.state.name for row in leaseq.tasks()}))
    with joblib.parallel_config("leaseq", cpus=10**5):
        try:
            joblib.Parallel()(joblib.delayed(fails)(n) for n in range(6))
        except leaseq.LeaseqError as error:
            print(type(error).__name__)


def nested():
    for cpus in (1, 2):
        with joblib.parallel_config("leaseq", cpus=cpus):
            ((tasks, backend), _) = joblib.Parallel(batch_size=1)(joblib.delayed(inner)(n) for n in range(2))
        print(len(set(tasks)), "" not in tasks, backend)


def few():
    directory = Path("marks")
    directory.mkdir()
    with joblib.parallel_config("leaseq", cpus=1, n_jobs=2):
        found = joblib.Parallel(batch_size=1)(joblib.delayed(at_once)(n, str(directory)) for n in range(6))
    print(max(found) <= 2)


def page():
    exec(Path("recipe.py").read_text(), {"train": sqrt, "rates": [1, 4, 9], "leaseq": leaseq})


leaseq.register_joblib()
globals()[sys.argv[1]]()
