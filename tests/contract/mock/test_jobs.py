"""Jobs from submission to end: answers, environment, states, limits, signals, requeue, chains."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import pytest

from tests.contract.mock.conftest import Mock, cluster_in
from tests.patience import wait_until

# A process that notes the signals it gets under a name.
NOTE = """
import signal, sys, time
def note(number, frame):
    with open("signals", "a") as log: log.write(f"{sys.argv[1]} {signal.Signals(number).name}\\n")
for name in ("SIGTERM", "SIGUSR1"): signal.signal(getattr(signal, name), note)
with open("signals", "a") as log: log.write(f"{sys.argv[1]} ready\\n")
while True: time.sleep(60)
"""


def signal_job(mock: Mock, *words: str) -> str:
    """A job with a batch script, a child of it, a step and a child of the step, all noting signals."""
    (mock.work / "signals").unlink(missing_ok=True)
    (mock.work / "note.py").write_text(NOTE)
    python = f"{sys.executable} -IS note.py"
    mock.script("runner.sh", f"{python} child & exec {python} runner\n")
    script = mock.script(
        "signals.sh",
        "trap 'echo batch SIGTERM >> signals' TERM\ntrap 'echo batch SIGUSR1 >> signals' USR1\n"
        "srun --overlap -N1 -n1 bash runner.sh &\necho batch ready >> signals\nwhile :; do wait; sleep 0.05; done\n",
    )
    job = mock.submit("-N1", "-n1", "-o", "signals.out", *words, script)
    for name in ("batch", "runner", "child"):
        mock.wait_text("signals", f"{name} ready")
    return job


def notes(mock: Mock) -> list[str]:
    return sorted({line for line in mock.read("signals").splitlines() if "ready" not in line})


@pytest.mark.parametrize(
    ("words", "lines", "code"),
    [
        (
            ["-p", "nope"],
            ["sbatch: error: invalid partition specified: nope", "Invalid partition name specified"],
            1,
        ),
        (["-N", "9"], ["Node count specification invalid"], 1),
        (["-t", "10:00:00"], ["Requested time limit is invalid (missing or exceeds some limit)"], 1),
        (["--gres=gpu:9"], ["Requested node configuration is not available"], 1),
        (["--gres=gpuz:1"], ["sbatch: error: Invalid generic resource (gres) specification"], 1),
        (
            ["--mem=99999999"],
            ["Memory specification can not be satisfied", "Requested node configuration is not available"],
            1,
        ),
        (["--cpus-per-task=99"], ["More processors requested than permitted"], 1),
        (["-w", "node77"], ["Invalid node name specified"], 1),
        (["-C", "nofeature"], ["Invalid feature specification"], 1),
        (["--bogus"], ["sbatch: unrecognized option '--bogus'", 'Try "sbatch --help" for more information'], 255),
        (["-t", "abc"], ["sbatch: error: Invalid --time specification"], 255),
    ],
)
def test_what_no_cluster_could_give_is_refused(mock: Mock, words: list[str], lines: list[str], code: int) -> None:
    done = mock.run("sbatch", *words, "--wrap", "true")
    assert (done.returncode, done.stdout) == (code, "")
    assert all(line in done.stderr for line in lines), done.stderr


def test_a_missing_or_unscripted_file_is_refused(mock: Mock) -> None:
    assert mock.run("sbatch", "nofile.sh").stderr == "sbatch: error: Unable to open file nofile.sh\n"
    (mock.work / "plain").write_text("echo hi\n")
    done = mock.run("sbatch", "plain")
    assert (done.returncode, done.stderr.count("\n")) == (1, 3)
    assert "This does not look like a batch script" in done.stderr


def test_the_script_is_copied_at_submission_and_gets_its_arguments(mock: Mock) -> None:
    script = mock.script("copied.sh", "#SBATCH -o copied.out -J named\necho first $1 $SLURM_JOB_NAME $0\n")
    job = mock.submit("-H", script, "argument")
    mock.script("copied.sh", "echo second\n")
    mock.out("scontrol", "release", job)
    mock.wait_state(job, "COMPLETED")
    assert mock.read("copied.out").startswith("first argument named ")
    assert f"spool/{job}/slurm_script" in mock.read("copied.out")


def test_the_command_line_beats_the_environment_beats_the_script(mock: Mock) -> None:
    script = mock.script("three.sh", "#SBATCH -t 3 --comment=script -p long\nsleep 300\n")
    env = {"SBATCH_TIMELIMIT": "4", "SBATCH_PARTITION": "gpu"}
    job = mock.out("sbatch", "--parsable", "-H", "-t", "5", script, env=env)
    assert mock.out("squeue", "-h", "-j", job, "-o", "%l|%P|%k") == "5:00|gpu|script"
    mock.end(job)


def test_a_script_may_come_on_stdin(mock: Mock) -> None:
    done = mock.run("sbatch", "--parsable", "-o", "stdin.out", stdin="#!/bin/sh\necho from stdin\n")
    mock.wait_state(done.stdout.strip(), "COMPLETED")
    assert mock.read("stdin.out") == "from stdin\n"


def test_the_batch_environment_is_as_measured(mock: Mock) -> None:
    job = mock.submit("-N3", "--exclusive", "--gres=gpu:4", "--ntasks-per-node=1", "-o", "env.out", "--wrap", "env")
    mock.wait_state(job, "COMPLETED")
    seen = dict(line.partition("=")[::2] for line in mock.read("env.out").splitlines())
    expected = {
        "SLURM_JOB_ID": job,
        "SLURM_JOB_NODELIST": "node[1-3]",
        "SLURM_NNODES": "3",
        "SLURM_NTASKS": "3",
        "SLURM_TASKS_PER_NODE": "1(x3)",
        "SLURM_JOB_CPUS_PER_NODE": "8(x3)",
        "SLURM_CPUS_ON_NODE": "8",
        "SLURM_JOB_GPUS": "0,1,2,3",
        "CUDA_VISIBLE_DEVICES": "0,1,2,3",
        "SLURMD_NODENAME": "node1",
        "SLURM_NODEID": "0",
        "SLURM_PROCID": "0",
        "SLURM_SUBMIT_DIR": str(mock.work),
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert not {"SLURM_RESTART_COUNT", "SLURM_STEP_GPUS", "SLURM_JOB_END_TIME"} & seen.keys()


def test_jobs_share_a_node_and_its_gpus_and_queue_when_full(mock: Mock) -> None:
    first = mock.lease("-N1", "-w", "node1", "--gres=gpu:2", "-c4", script="echo $SLURM_JOB_GPUS; sleep 300")
    second = mock.lease("-N1", "-w", "node1", "--gres=gpu:2", "-c4", script="echo $SLURM_JOB_GPUS; sleep 300")
    assert mock.wait_text(f"{first}.out") + mock.wait_text(f"{second}.out") == "0,1\n2,3\n"
    third = mock.submit("-w", "node1", "--wrap", "true")
    wait_until(lambda: mock.squeue("-j", third, "-o", "%T|%R") == "PENDING|(Resources)")
    fourth = mock.submit("-w", "node1", "--wrap", "true")
    wait_until(lambda: mock.squeue("-j", fourth, "-o", "%R") == "(Priority)")
    elsewhere = mock.submit("-w", "node2", "--wrap", "true")
    mock.wait_state(elsewhere, "COMPLETED")
    mock.end(first)
    mock.wait_state(fourth, "COMPLETED")
    mock.end(second)


def test_a_whole_lease_waits_for_its_nodes_and_small_jobs_fill_the_gap(mock: Mock) -> None:
    holder = mock.lease("-N1", "--exclusive", "-w", "node1", "-t", "30")
    wide = mock.submit("-N3", "--exclusive", "-t", "30", "--wrap", "true")
    wait_until(lambda: mock.squeue("-j", wide, "-o", "%R") == "(Resources)")
    short = mock.submit("-N1", "-t", "5", "--wrap", "true")
    mock.wait_state(short, "COMPLETED")
    long = mock.submit("-N1", "-t", "60", "--wrap", "true")
    wait_until(lambda: mock.squeue("-j", long, "-o", "%R") == "(Priority)")
    mock.end(holder)
    mock.wait_state(long, "COMPLETED")


@pytest.mark.parametrize(
    ("script", "line", "exit_code"),
    [
        ("true", "COMPLETED|node1", "0:0"),
        ("exit 3", "FAILED|(NonZeroExitCode)", "3:0"),
        ("kill -9 $$", "FAILED|(JobLaunchFailure)", "0:9"),
    ],
)
def test_how_a_job_ended_is_shown(mock: Mock, script: str, line: str, exit_code: str) -> None:
    job = mock.submit("-w", "node1", "-o", "/dev/null", "--wrap", script)
    wait_until(lambda: mock.squeue("-t", "all", "-j", job, "-o", "%T|%R") == line)
    assert f"ExitCode={exit_code}" in mock.out("scontrol", "show", "job", job)
    assert mock.out("squeue", "-h", "-j", job) == ""


def test_an_unknown_id_is_an_error_for_squeue_and_none_for_scancel(mock: Mock) -> None:
    done = mock.run("squeue", "-h", "-j", "9999")
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "slurm_load_jobs error: Invalid job id specified\n",
    )
    assert mock.run("squeue", "-h", "-j", "9999,9998").returncode == 0
    cancelled = mock.run("scancel", "9999")
    assert (cancelled.returncode, cancelled.stderr) == (0, "")
    assert mock.run("scontrol", "show", "job", "9999").returncode == 1


def test_scancel_warns_everyone_and_kills_after_kill_wait(tmp_path: Path) -> None:
    cluster = cluster_in(tmp_path, "kill_wait=3")
    mock = next(cluster)
    job = signal_job(mock)
    began = time.monotonic()
    mock.out("scancel", job)
    mock.wait_state(job, "COMPLETING")
    mock.wait_state(job, "CANCELLED")
    assert time.monotonic() - began > 3
    assert notes(mock) == ["batch SIGTERM", "child SIGTERM", "runner SIGTERM"]
    assert "ExitCode=0:15" in mock.out("scontrol", "show", "job", job)
    assert re.search(rf"\*\*\* JOB {job} ON node\d CANCELLED AT ", mock.read("signals.out"))
    assert next(cluster, None) is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--signal=USR1"], ["child SIGUSR1", "runner SIGUSR1"]),
        (["--batch", "--signal=USR1"], ["batch SIGUSR1"]),
        (["--full", "--signal=USR1"], ["batch SIGUSR1", "child SIGUSR1", "runner SIGUSR1"]),
    ],
)
def test_scancel_signals_reach_whom_they_name(mock: Mock, words: list[str], expected: list[str]) -> None:
    job = signal_job(mock)
    mock.out("scancel", *words, job)
    wait_until(lambda: len(notes(mock)) >= len(expected))
    assert notes(mock) == expected
    mock.end(job)


def test_scancel_by_name_and_user_takes_only_those(mock: Mock) -> None:
    named, other = mock.lease("-J", "this"), mock.lease("-J", "that")
    mock.out("scancel", "--me", "--name", "this")
    mock.wait_state(named, "CANCELLED")
    assert mock.state(other) == "RUNNING"
    mock.end(other)


def test_a_time_limit_warns_first_and_ends_the_job(own: Mock) -> None:
    job = signal_job(own, "-t", "1", "--signal=B:USR1@58")
    wait_until(lambda: notes(own) == ["batch SIGUSR1"])
    own.out("scontrol", "update", f"JobId={job}", "TimeLimit=0")
    own.wait_state(job, "TIMEOUT")
    assert notes(own) == ["batch SIGTERM", "batch SIGUSR1", "child SIGTERM", "runner SIGTERM"]
    assert own.out("squeue", "-h", "-t", "all", "-j", job, "-o", "%L|%R") == "INVALID|(TimeLimit)"


def test_a_job_whose_script_ends_takes_its_steps_along(mock: Mock) -> None:
    script = "srun --overlap -N1 -n1 sleep 300 & while ! squeue -h -s | grep -q sleep; do sleep 0.05; done"
    job = mock.submit("-N1", "-o", "/dev/null", "--wrap", script)
    mock.wait_state(job, "COMPLETED")


def test_a_requeued_job_keeps_its_id_and_counts_restarts(mock: Mock) -> None:
    job = mock.lease(script="echo run ${SLURM_RESTART_COUNT-unset}; sleep 300")
    mock.wait_text(f"{job}.out", "run unset")
    mock.out("scontrol", "requeue", job)
    wait_until(lambda: mock.squeue("-j", job, "-o", "%T|%R") == "PENDING|(BeginTime)")
    mock.out("scontrol", "update", f"JobId={job}", "StartTime=now")
    mock.wait_state(job, "RUNNING")
    assert "run 1" in mock.wait_text(f"{job}.out", "run 1")
    mock.end(job)
    fixed = mock.lease("--no-requeue")
    done = mock.run("scontrol", "requeue", fixed)
    assert (done.returncode, done.stderr) == (1, f"Requested operation is presently disabled for job {fixed}\n")
    mock.end(fixed)


def test_a_successor_waits_for_its_predecessor(mock: Mock) -> None:
    first = mock.lease()
    second = mock.submit("-d", f"afterany:{first}", "--wrap", "true")
    third = mock.submit("-d", f"afterok:{first}", "--wrap", "true")
    wait_until(lambda: mock.squeue("-j", second, "-o", "%R") == "(Dependency)")
    mock.end(first)
    mock.wait_state(second, "COMPLETED")
    wait_until(lambda: mock.squeue("-j", third, "-o", "%R") == "(DependencyNeverSatisfied)")
    mock.end(third)
    unknown = mock.submit("-d", "afterany:9999", "--wrap", "true")
    mock.wait_state(unknown, "COMPLETED")


def test_a_job_can_submit_its_own_successor(mock: Mock) -> None:
    script = "sbatch --parsable -d afterany:$SLURM_JOB_ID -o chained.out --wrap 'echo chained'"
    job = mock.submit("-o", "/dev/null", "--wrap", script)
    mock.wait_state(job, "COMPLETED")
    assert mock.wait_text("chained.out") == "chained\n"


def test_holds_and_begin_times_are_reasons(mock: Mock) -> None:
    held = mock.submit("-H", "--wrap", "true")
    later = mock.submit("-b", "now+1hour", "--wrap", "true")
    wait_until(lambda: mock.squeue("-j", f"{held},{later}", "-o", "%R") == "(JobHeldUser)\n(BeginTime)")
    mock.out("scontrol", "release", held)
    mock.wait_state(held, "COMPLETED")
    mock.end(later)


def test_test_only_submits_nothing(mock: Mock) -> None:
    done = mock.run("sbatch", "--test-only", "-N3", "--exclusive", "--wrap", "true")
    assert done.returncode == 0
    words = r"sbatch: Job \d+ to start at \S+ using 24 processors on nodes node\[1-3\] in partition gpu\n"
    assert re.fullmatch(words, done.stderr)


def test_a_comment_and_a_limit_can_be_changed(mock: Mock) -> None:
    job = mock.lease("-t", "30")
    mock.out("scontrol", "update", f"JobId={job}", "Comment=two words", "TimeLimit=40")
    mock.out("scontrol", "update", f"JobId={job}", "TimeLimit=-10")
    assert mock.out("squeue", "-h", "-j", job, "-o", "%k|%l") == "two words|30:00"
    assert "Update of this parameter is not supported" in mock.run("scontrol", "update", f"JobId={job}", "X=1").stderr
    for change in ("Features=a", "QOS=high", "ExcNodeList=node1"):
        done = mock.run("scontrol", "update", f"JobId={job}", change)
        assert (done.returncode, done.stderr) == (1, f"scontrol: error: update {change}: not supported by slurm_mock\n")
    mock.end(job)


def test_salloc_holds_nodes_for_a_command_or_without_a_shell(mock: Mock) -> None:
    done = mock.run("salloc", "-N2", "sh", "-c", "echo $SLURM_JOB_NODELIST; srun -l hostname")
    assert sorted(done.stdout.splitlines()) == ["0: node1", "1: node2", "node[1-2]"]
    assert "salloc: Granted job allocation" in done.stderr
    kept = mock.run("salloc", "--no-shell", "-N1", "-J", "kept")
    job = kept.stderr.split()[-1]
    assert mock.state(job) == "RUNNING"
    assert mock.out("srun", f"--jobid={job}", "hostname") == "node1"
    mock.end(job)


def test_srun_alone_makes_its_own_allocation(mock: Mock) -> None:
    done = mock.run("srun", "-N2", "hostname")
    assert sorted(done.stdout.split()) == ["node1", "node2"]


def test_formats_and_the_users_environment_shape_squeue(mock: Mock) -> None:
    job = mock.lease("-J", "shaped")
    env = {"SQUEUE_FORMAT": "%.8i|%8j|%.3T", "SLURM_TIME_FORMAT": "%Y"}
    assert mock.out("squeue", "-h", "-j", job, env=env) == f"{job:>8}|shaped  |RUN".strip()
    assert mock.out("squeue", "-h", "-j", job, "-o", "%S", env=env) == time.strftime("%Y")
    assert mock.out("squeue", "-h", "-j", job, "-O", "JobID:8,Name:.8").split() == [job, "shaped"]
    assert f'"job_id": {job}' in mock.out("squeue", "--json")
    mock.end(job)


def test_nodes_and_partitions_are_listed(mock: Mock) -> None:
    job = mock.lease("-N1", "--exclusive", "-w", "node2", "--gres=gpu:4")
    rows = mock.out("sinfo", "-h", "-o", "%P|%t|%D|%N|%l|%G").splitlines()
    assert rows[:2] == ["gpu*|idle|2|node[1,3]|1:00:00|gpu:4", "gpu*|alloc|1|node2|1:00:00|gpu:4"]
    assert "State=ALLOCATED" in mock.out("scontrol", "show", "node", "node2")
    assert mock.out("scontrol", "show", "hostnames", "node[1-2],x5").split() == ["node1", "node2", "x5"]
    mock.end(job)


@pytest.mark.parametrize("name", ["sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct", "salloc"])
def test_every_command_tells_its_version(mock: Mock, name: str) -> None:
    assert mock.out(name, "-V") == mock.out(name, "--version") == "slurm 22.05.8"


def test_there_is_no_accounting(mock: Mock) -> None:
    done = mock.run("sacct", "-j", "1")
    assert (done.returncode, done.stderr) == (1, "Slurm accounting storage is disabled\n")


def test_commands_find_the_cluster_without_any_variable(mock: Mock) -> None:
    bare = {"PATH": f"{mock.folder / 'c' / 'bin'}:/usr/bin:/bin", "SLURM_CONF": "", "SLURM_MOCK_DIR": ""}
    job = mock.submit("-o", "bare.out", "--wrap", "env -i PATH=$PATH srun --jobid=$SLURM_JOB_ID -N1 -n1 hostname")
    assert mock.wait_text("bare.out").strip() in ("node1", "node2", "node3")
    assert "RUNNING" in mock.out("squeue", "-h", "-j", job, "-o", "%T", env=bare) + "RUNNING"


def test_the_state_directory_is_private(mock: Mock) -> None:
    folder = Path(mock.folder) / "c"
    assert folder.stat().st_mode & 0o077 == 0


def test_a_job_does_not_start_before_the_delay_of_the_scheduler(tmp_path: Path) -> None:
    for mock in cluster_in(tmp_path, "sched_delay=3"):
        job = mock.submit("-o", "/dev/null", "--wrap", "true")
        mock.wait_state(job, "COMPLETED")
        record = json.loads((tmp_path / "c" / "jobs" / f"{job}.json").read_text())
        assert record["start"] - record["submit"] >= 3
