"""What a power cut does to jobs and steps, and what comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm_mock import processes
from tests.contract.mock.conftest import Mock, cluster_in
from tests.patience import PATIENCE_SECONDS, wait_until

RUNNERS = """
for node in node1 node2 node3; do
  ( srun --overlap --no-kill -N1 -n1 -w $node sh -c 'echo $$ > pid.$SLURMD_NODENAME; exec sleep 300'
    echo $node $? >> left ) &
done
wait
"""


def pid_of(mock: Mock, node: str) -> int:
    return int(mock.wait_text(f"pid.{node}", "\n"))


def alive(pid: int) -> bool:
    return processes.start_time(pid) != ""


def nodes(mock: Mock, job: str) -> str:
    return mock.squeue("-j", job, "-o", "%T %N")


def test_a_job_of_no_kill_goes_on_smaller(own: Mock) -> None:
    script = own.script("runners.sh", RUNNERS)
    job = own.submit("-N3", "--exclusive", "--no-kill", "--no-requeue", "-o", "out", script)
    pids = {node: pid_of(own, node) for node in ("node1", "node2", "node3")}
    own.tool("kill-node", "node3")
    assert not alive(pids["node3"])
    wait_until(lambda: nodes(own, job) == "RUNNING node[1-2]")
    assert own.wait_text("left", "\n") == "node3 0\n"
    assert "srun: error: Node failure on node3" in own.read("out")
    assert alive(pids["node1"]) and alive(pids["node2"])
    own.tool("revive-node", "node3")
    wait_until(lambda: own.out("sinfo", "-h", "-n", "node3", "-p", "gpu", "-o", "%t") == "idle")
    refused = own.run("srun", f"--jobid={job}", "--overlap", "-N1", "-n1", "-w", "node3", "true")
    assert (refused.returncode, "Requested node configuration is not available" in refused.stderr) == (1, True)
    own.end(job)


def test_the_batch_hosts_death_leaves_the_other_runners_alive(own: Mock) -> None:
    script = own.script("runners.sh", RUNNERS)
    job = own.submit("-N3", "--exclusive", "--no-kill", "-o", "out", script)
    pids = {node: pid_of(own, node) for node in ("node1", "node2", "node3")}
    own.tool("kill-node", "node1")
    wait_until(lambda: nodes(own, job) == "RUNNING node[2-3]")
    assert alive(pids["node2"]) and alive(pids["node3"])
    assert own.out("srun", f"--jobid={job}", "--overlap", "-N1", "-n1", "hostname") == "node2"
    own.end(job)
    wait_until(lambda: not alive(pids["node2"]))


def test_a_spanning_step_dies_with_a_node_unless_it_says_no_kill(own: Mock) -> None:
    job = own.lease("-N3", "--exclusive", "--no-kill")
    words = ["srun", f"--jobid={job}", "--overlap", "-N3", "-n3"]
    plain = own.popen(*words, "sh", "-c", "echo up; exec sleep 300")
    lasting = own.popen(*words, "--no-kill", "--kill-on-bad-exit=0", "--wait=0", "sh", "-c", "echo up; exec sleep 300")
    for step in (plain, lasting):
        assert step.stdout
        assert [step.stdout.readline() for _ in range(3)] == ["up\n"] * 3
    own.tool("kill-node", "node3")
    assert plain.wait(PATIENCE_SECONDS) == 137
    assert lasting.poll() is None
    own.end(job)
    assert lasting.wait(PATIENCE_SECONDS) == 137 or lasting.returncode == 143
    for step in (plain, lasting):
        assert step.stdout
        step.stdout.close()


@pytest.mark.parametrize(("words", "state"), [([], "PENDING"), (["--no-requeue"], "NODE_FAIL")])
def test_without_no_kill_the_job_is_requeued_or_fails(own: Mock, words: list[str], state: str) -> None:
    job = own.lease("-N2", "--exclusive", *words)
    own.tool("kill-node", "node2")
    assert own.wait_state(job, state) == state
    if state == "PENDING":
        assert own.out("squeue", "-h", "-j", job, "-o", "%R") == "(BeginTime)"


def test_a_dead_node_is_shown_and_launching_on_it_fails(own: Mock) -> None:
    job = own.lease("-N3", "--exclusive", "--no-kill")
    own.tool("kill-node", "node3")
    done = own.run("srun", f"--jobid={job}", "--overlap", "-N1", "-n1", "-w", "node3", "true")
    assert done.returncode in (233, 1)
    wait_until(lambda: own.out("sinfo", "-h", "-n", "node3", "-p", "gpu", "-o", "%t") == "down*")
    waiting = own.submit("-N3", "--exclusive", "--wrap", "true")
    wait_until(lambda: "are DOWN" in own.squeue("-j", waiting, "-o", "%R"))
    own.end(job, waiting)


def test_a_power_cut_takes_detached_processes_too(own: Mock) -> None:
    script = "setsid sh -c 'echo $$ > pid.daemon; exec sleep 300' > /dev/null 2>&1 & sleep 0.1"
    job = own.submit("-w", "node2", "-o", "/dev/null", "--wrap", script)
    own.wait_state(job, "COMPLETED")
    pid = pid_of(own, "daemon")
    assert alive(pid), "proctrack/linuxproc leaves what has left the process tree"
    own.tool("kill-node", "node2")
    wait_until(lambda: not alive(pid))


def test_steps_outlive_their_slurmd_and_end_when_it_is_back_too_late(own: Mock) -> None:
    script = own.script("runners.sh", RUNNERS)
    job = own.submit("-N3", "--exclusive", "--no-kill", "--no-requeue", "-o", "out", script)
    pids = {node: pid_of(own, node) for node in ("node1", "node2", "node3")}
    own.tool("kill-slurmd", "node3")
    wait_until(lambda: nodes(own, job) == "RUNNING node[1-2]")
    assert alive(pids["node3"])
    own.tool("start-slurmd", "node3")
    wait_until(lambda: not alive(pids["node3"]))
    assert alive(pids["node1"]) and alive(pids["node2"])
    own.end(job)


def test_a_slurmd_that_is_back_in_time_was_never_missed(tmp_path: Path) -> None:
    running = cluster_in(tmp_path, "node_detection=60")
    own = next(running)
    job = own.lease("-N1", "-w", "node2")
    own.tool("kill-slurmd", "node2")
    wait_until(lambda: own.out("sinfo", "-h", "-n", "node2", "-p", "gpu", "-o", "%t") == "mix*")
    own.tool("start-slurmd", "node2")
    assert nodes(own, job) == "RUNNING node2"
    own.end(job)
    assert next(running, None) is None


def test_a_change_of_a_node_that_would_not_be_carried_out_is_refused(mock: Mock) -> None:
    for change in ("Weight=3", "State=FAIL", "State=POWER_DOWN"):
        done = mock.run("scontrol", "update", "NodeName=node1", change)
        assert (done.returncode, done.stderr) == (1, f"scontrol: error: update {change}: not supported by slurm_mock\n")
    done = mock.run("scontrol", "update", "NodeName=node1", "State=asleep")
    assert (done.returncode, done.stderr) == (1, "Invalid input: State=asleep\nRequest aborted\n")
