"""The cluster misbehaves on request, and is gone when it is stopped."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from slurm_mock import processes
from tests.contract.mock.conftest import Mock, cluster_in
from tests.patience import wait_until


def test_noise_comes_before_the_answer_of_the_named_command(mock: Mock) -> None:
    mock.tool("fault", "stdout", "Welcome to the site", "--command", "sbatch", "--count", "1")
    mock.tool("fault", "stderr", "maintenance on Monday")
    first, second = (mock.run("sbatch", "--parsable", "-H", "--wrap", "true") for _ in range(2))
    assert first.stdout.splitlines()[0] == "Welcome to the site"
    assert second.stdout.strip().isdigit()
    assert "maintenance on Monday" in second.stderr
    mock.tool("clear-faults")
    assert mock.run("squeue").stderr == ""
    mock.run("scancel", "--me")


def test_a_timeout_does_nothing_and_a_lost_reply_hides_what_was_done(mock: Mock) -> None:
    words = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"
    mock.tool("fault", "timeout", "--count", "1")
    done = mock.run("sbatch", "-H", "-J", "unsent", "--wrap", "true")
    assert (done.returncode, done.stderr) == (1, words)
    assert mock.out("squeue", "-h", "-n", "unsent") == ""
    mock.tool("fault", "lost-reply", "--count", "1")
    done = mock.run("sbatch", "-H", "-J", "sent", "--wrap", "true")
    assert (done.returncode, done.stderr) == (1, words)
    wait_until(lambda: mock.out("squeue", "-h", "-n", "sent", "-o", "%r") == "JobHeldUser")
    mock.run("scancel", "--me")


def test_a_controller_that_is_down_fails_every_command(mock: Mock) -> None:
    mock.tool("fault", "down")
    done = mock.run("squeue")
    assert (done.returncode, "Unable to contact slurm controller (connect failure)" in done.stderr) == (1, True)
    assert mock.run("sbatch", "--wrap", "true").returncode == 1
    mock.tool("clear-faults")
    assert mock.run("squeue").returncode == 0


def test_slow_answers_are_late(mock: Mock) -> None:
    mock.tool("fault", "slow", "0.7", "--count", "1")
    began = time.monotonic()
    mock.run("squeue")
    assert time.monotonic() - began > 0.7


def test_a_vanished_job_runs_on(mock: Mock) -> None:
    job = mock.lease()
    mock.tool("fault", "vanish", job)
    assert mock.run("squeue", "-h", "-j", job).returncode == 1
    mock.tool("clear-faults")
    assert mock.state(job) == "RUNNING"
    mock.end(job)


def test_a_preempted_job_is_warned_and_ends_or_waits_again(mock: Mock) -> None:
    job = mock.lease()
    mock.tool("fault", "preempt", job)
    mock.wait_state(job, "PREEMPTED")
    again = mock.lease()
    mock.tool("fault", "preempt", again, "requeue")
    mock.wait_state(again, "PENDING")
    mock.end(again)


def test_an_idle_controller_rests(mock: Mock) -> None:
    pid = processes.recorded(str(mock.folder / "c" / "ctld.pid"))
    ticks, until = _ticks(pid), time.monotonic() + 1
    wait_until(lambda: time.monotonic() > until)
    assert _ticks(pid) - ticks <= 2


def _ticks(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(stat[11]) + int(stat[12])


def test_stop_leaves_no_process(tmp_path: Path) -> None:
    running = cluster_in(tmp_path)
    own = next(running)
    job = own.lease("-N3", "--exclusive", script="srun --overlap sleep 300")
    wait_until(lambda: "sleep" in own.squeue("-s", "-j", job, "-o", "%j"))
    controller = processes.recorded(str(tmp_path / "c" / "ctld.pid"))
    everything = [controller, *processes.descendants(controller)]
    assert len(everything) > 8
    assert next(running, None) is None
    assert [pid for pid in everything if processes.start_time(pid)] == []


def test_a_cluster_ends_with_the_process_it_watches(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    own = Mock(tmp_path)
    watched = subprocess.Popen(["sleep", "300"])
    own.tool("start", "--until-exit-of", str(watched.pid))
    controller = processes.recorded(str(tmp_path / "c" / "ctld.pid"))
    assert controller
    watched.kill()
    watched.wait()
    wait_until(lambda: not processes.start_time(controller))
    assert not os.path.exists(tmp_path / "c" / "ctld.sock")
