"""Job arrays: what squeue, scancel and scontrol say of their tasks, and what the tasks see."""

from __future__ import annotations

import pytest

from tests.contract.site import Site
from tests.contract.test_slurm import answer, submit, until

SLEEP = ("-N1", "-n1", "-o", "/dev/null", "--wrap", "sleep 600")
TRUE = ("-N1", "-n1", "-o", "/dev/null", "--wrap", "true")


def rows(site: Site, job: str, *words: str, form: str = "%i %T %r") -> list[str]:
    return sorted(site.slurm("squeue", "-h", "-j", job, *words, "-o", form).splitlines())


def test_a_throttle_holds_back_the_tasks_that_wait_together(site: Site) -> None:
    job = submit(site, "--array=0-5%2", *SLEEP)
    shown = [f"{job}_0 RUNNING None", f"{job}_1 RUNNING None", f"{job}_[2-5%2] PENDING JobArrayTaskLimit"]
    site.wait_until(lambda: rows(site, job) == shown, "two of six tasks running")
    first = int(job)
    assert rows(site, job, form="%i %A %F %K") == [
        f"{job}_0 {first + 1} {job} 0",
        f"{job}_1 {first + 2} {job} 1",
        f"{job}_[2-5%2] {job} {job} 2-5%2",
    ]
    assert rows(site, job, "-r", form="%i") == [f"{job}_{task}" for task in range(6)]
    assert rows(site, f"{job}_1,{job}_4", form="%i %T") == [f"{job}_1 RUNNING", f"{job}_4 PENDING"]
    assert rows(site, str(first + 2), form="%i") == [f"{job}_1"]
    assert rows(site, f"{job}_77") == []
    site.slurm("scontrol", "update", f"jobid={job}", "arraytaskthrottle=3")
    site.wait_until(lambda: f"{job}_[3-5%3] PENDING JobArrayTaskLimit" in rows(site, job), "the new throttle")
    site.slurm("scancel", f"{job}_1")
    site.wait_until(lambda: f"{job}_3 RUNNING None" in rows(site, job), "the next task")
    site.slurm("scancel", f"{job}_[2-3]")
    last = [f"{job}_0 RUNNING None", f"{job}_4 RUNNING None", f"{job}_5 RUNNING None"]
    site.wait_until(lambda: rows(site, job) == last, "the last tasks")


def test_a_task_sees_its_place_in_the_array(site: Site) -> None:
    job = submit(
        site, "--array=1-7:3,9%2", "-N1", "-n1", "-J", "a", "-o", "%x-%A-%a-%j.out", "--wrap", "env|grep SLURM_ARRAY_"
    )
    until(site, "-j", job, is_="")
    files = {int(path.name.split("-")[2]): path for path in site.directory.glob(f"a-{job}-*.out")}
    assert sorted(files) == [1, 4, 7, 9]
    for task, path in files.items():
        assert dict(line.split("=") for line in path.read_text().split()) == {
            "SLURM_ARRAY_JOB_ID": job,
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_TASK_COUNT": "4",
            "SLURM_ARRAY_TASK_MIN": "1",
            "SLURM_ARRAY_TASK_MAX": "9",
            "SLURM_ARRAY_TASK_STEP": "3",
        }
    assert len({path.name.split("-")[3] for path in files.values()}) == 4, "each has a job id of its own"


def test_output_goes_to_a_file_for_each_task(site: Site) -> None:
    job = submit(site, "--array=2,5", "-N1", "-n1", "--wrap", "echo $SLURM_ARRAY_TASK_ID")
    until(site, "-j", job, is_="")
    texts = {task: (site.directory / f"slurm-{job}_{task}.out").read_text() for task in (2, 5)}
    assert texts == {2: "2\n", 5: "5\n"}


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("5", "[5]"),
        ("1,3,5", "[1,3,5]"),
        ("0-9:3", "[0,3,6,9]"),
        ("1-3,7%2", "[1-3,7%2]"),
        ("0-3%0", "[0-3]"),
        ("[1-3]%1", "[1-3%1]"),
        ("1,1,0", "[0-1]"),
        ("1-99:2", "[1-99:2]"),
        ("1000", "[1000]"),
    ],
)
def test_tasks_that_wait_are_written_in_short(site: Site, spec: str, shown: str) -> None:
    job = submit(site, "-H", f"--array={spec}", *TRUE)
    assert rows(site, job, form="%i") == [f"{job}_{shown}"]


@pytest.mark.parametrize("spec", ["x", "1-", "3-1", "-1", "0-3:0", "1001", "0-2000"])
def test_a_bad_array_is_refused(site: Site, spec: str) -> None:
    words = "sbatch: error: Batch job submission failed: Invalid job array specification\n"
    assert answer(site, "sbatch", f"--array={spec}", *TRUE) == (1, "", words)


def test_some_tasks_of_an_array_can_be_held_changed_and_cancelled(site: Site) -> None:
    job = submit(site, "-H", "-t5", "--array=0-9:3,10-12", *TRUE)
    for words in (
        ("hold", f"{job}_3"),
        ("update", f"jobid={job}_6", "timelimit=3"),
        ("update", f"jobid={job}_[9-10]", "comment=some"),
        ("update", f"jobid={job}", "comment=all"),
    ):
        assert answer(site, "scontrol", *words) == (0, "", "")
    (line,) = rows(site, job, form="%i %r")
    assert line.split()[0] == f"{job}_[0,3,6,9-12]"
    assert rows(site, f"{job}_6", form="%i %l %k") == [f"{job}_6 3:00 all"]
    assert answer(site, "scancel", f"{job}_11", f"{job}_[12,77]") == (0, "", "")
    assert rows(site, job, "-t", "all", form="%i") == [f"{job}_[0,3,6,9-10]"]
    assert answer(site, "scontrol", "hold", f"{job}_[3,77]") == (
        1,
        "",
        f"{job}_3: No error\n{job}_77: Invalid job id specified\n",
    )
    refused = f"{job}_0,3,6,9-10: Job is pending execution\n"
    assert answer(site, "scontrol", "requeue", job) == (1, "", refused)
    site.slurm("scontrol", "release", f"{job}_[3,6]")
    site.wait_until(lambda: rows(site, f"{job}_3,{job}_6") == [], "the end of two tasks")
    code, _, told = answer(site, "scontrol", "hold", job)
    assert (code, told) == (1, f"{job}_0,9-10: No error\n{job}_3,6: Job has already finished\n")


def test_scontrol_shows_the_array_or_one_of_its_tasks(site: Site) -> None:
    job = submit(site, "--array=0-3%1", *SLEEP)
    site.wait_until(lambda: f"{job}_0 RUNNING None" in rows(site, job), "the first task")

    def heads(*words: str) -> set[str]:
        lines = site.slurm("scontrol", "show", "job", *words).splitlines()
        return {line.partition(" JobName")[0] for line in lines if line.startswith("JobId=")}

    own = int(job) + 1
    assert heads(job) == {
        f"JobId={job} ArrayJobId={job} ArrayTaskId=1-3%1 ArrayTaskThrottle=1",
        f"JobId={own} ArrayJobId={job} ArrayTaskId=0 ArrayTaskThrottle=1",
    }
    assert heads(f"{job}_0") == {f"JobId={own} ArrayJobId={job} ArrayTaskId=0 ArrayTaskThrottle=1"}
    assert heads(f"{job}_2") == {f"JobId={job} ArrayJobId={job} ArrayTaskId=2 ArrayTaskThrottle=1"}
    assert answer(site, "scontrol", "show", "job", f"{job}_9")[:2] == (1, f"Job {job}_9 not found\n")
    assert answer(site, "scontrol", "show", "job", "99999_1")[0] == 1


def test_a_running_task_is_requeued_and_cancelled_by_its_name(site: Site) -> None:
    job = submit(site, "--array=0-1", *SLEEP)
    site.wait_until(lambda: rows(site, job) == [f"{job}_0 RUNNING None", f"{job}_1 RUNNING None"], "both tasks")
    assert answer(site, "scontrol", "requeue", f"{job}_0") == (0, "", "")
    site.wait_until(lambda: f"{job}_0 PENDING BeginTime" in rows(site, job), "the task's return to the queue")
    assert answer(site, "scancel", job) == (0, "", "")
    until(site, "-j", job, is_="")


def test_a_dependency_is_on_an_array_or_on_one_of_its_tasks(site: Site) -> None:
    first = submit(site, "--array=1-3", "-N1", "-n1", "-o", "/dev/null", "--wrap", "exit $((SLURM_ARRAY_TASK_ID==2))")
    after = {
        kind: submit(site, "-d", f"{kind}:{first}{task}", *more, *TRUE)
        for kind, task, more in (
            ("afterok", "", ()),
            ("afterany", "", ()),
            ("aftercorr", "", ("--array=1-3",)),
            ("afternotok", "_2", ()),
        )
    }
    never = [f"{after['afterok']} PENDING DependencyNeverSatisfied afterok:{first}_*(failed)"]
    never += [f"{after['aftercorr']}_2 PENDING DependencyNeverSatisfied aftercorr:{first}_*(failed)"]
    ids = ",".join(after.values())
    site.wait_until(lambda: rows(site, ids, form="%i %T %r %E") == sorted(never), "what comes after the array")


def test_sbatch_waits_for_all_tasks_and_tells_the_worst(site: Site) -> None:
    job = ("--array=1-3", "-N1", "-n1", "-o", "/dev/null", "--wrap", "exit $SLURM_ARRAY_TASK_ID")
    code, said, _ = answer(site, "sbatch", "--wait", *job)
    assert code == 3
    assert said.startswith("Submitted batch job ")


def test_the_size_of_arrays_is_told(site: Site) -> None:
    (line,) = [each for each in site.slurm("scontrol", "show", "config").splitlines() if "MaxArraySize" in each]
    assert line.split() == ["MaxArraySize", "=", "1001"]
