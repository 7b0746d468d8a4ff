"""Tasks on a lease: where they run, with which GPUs, and that each runs exactly once whatever happens."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter

import pytest

from tests.contract.site import Site

TASKS = 300


def ids(printed: str) -> list[str]:
    return printed.split()


def tasks(site: Site, lease: str) -> dict[str, dict[str, object]]:
    """Every task of the lease by id, as `leaseq tasks --json` tells it."""
    document = json.loads(site.ok("tasks", "--lease", lease, "--json", "--all"))
    return {task["id"]: task for task in document["tasks"]}


def states(site: Site, lease: str) -> Counter[str]:
    return Counter(str(task["state"]) for task in tasks(site, lease).values())


def test_tasks_run_on_both_nodes_with_gpus_of_their_own(site: Site) -> None:
    lease = site.add("-N2", "-p", "gpu", "--gres=gpu:2", "-t", "0:30:00")
    out = site.directory / "seen"
    out.mkdir()
    # Four tasks of one GPU each fill two nodes of two GPUs; each waits until all four are there at once.
    line = f"echo $(hostname) $CUDA_VISIBLE_DEVICES >{out}/$LEASEQ_TASK_ID; "
    line += f"until [ $(ls {out} | wc -l) = 4 ]; do sleep 0.1; done"
    for _ in range(4):
        site.ok("submit", "--gpus", "1", "--", "bash", "-c", line)
    site.wait_until(lambda: states(site, lease)["DONE"] == 4, "four tasks at once")
    places = sorted(path.read_text().strip() for path in out.iterdir())
    assert places == ["node1 0", "node1 1", "node2 0", "node2 1"]


def test_a_task_can_be_pinned_to_a_node(site: Site) -> None:
    lease = site.add("-N3")
    task = site.ok("submit", "--node", "node3", "--", "hostname")
    assert site.ok("follow", task) == "node3"
    assert tasks(site, lease)[task]["node"] == "node3"


def test_a_task_can_run_a_step_over_all_nodes(site: Site) -> None:
    site.add("-N3", "--mem-per-cpu=10")
    task = site.ok("submit", "--", "srun", "--overlap", "-N3", "-n3", "hostname")
    assert sorted(site.ok("follow", task).split()) == ["node1", "node2", "node3"]
    one = site.ok("submit", "--", "srun", "--overlap", "-N1", "-n1", "-w", "node2", "hostname")
    assert site.ok("follow", one) == "node2"


def test_a_task_sees_the_lease_and_nothing_of_the_runners_step(site: Site) -> None:
    lease = site.add("-N2")
    task = site.ok("submit", "--", "env")
    printed = site.ok("follow", task).splitlines()
    environment = dict(line.split("=", 1) for line in printed if "=" in line)
    assert environment["SLURM_JOB_ID"] == lease
    assert environment["LEASEQ_LEASE"] == lease
    assert environment["SLURM_JOB_NODELIST"] == "node[1-2]"
    assert (environment["SLURM_NNODES"], environment["SLURM_JOB_NUM_NODES"]) == ("2", "2")
    poison = ("SLURM_NTASKS", "SLURM_STEP_ID", "SLURM_PROCID", "SLURM_MEM_PER_NODE", "SLURM_CPU_BIND")
    assert not [name for name in environment if name in poison or name.startswith(("LEASEQ_KEPT", "PMI"))]


@pytest.mark.timeout(300)
def test_hundreds_of_tasks_on_three_nodes_run_exactly_once(site: Site) -> None:
    lease = site.add("-N3", "--exclusive")
    ran = site.directory / "ran"
    ran.mkdir()
    lines = site.directory / "tasks.txt"
    lines.write_text("".join(f"echo $LEASEQ_TASK_ID $(hostname) >>{ran}/$LEASEQ_NODE\n" for _ in range(TASKS)))
    submitted = ids(site.ok("submit", "--cpus", "1", "--file", str(lines)))
    assert len(set(submitted)) == TASKS
    site.wait_until(
        lambda: sum(states(site, lease)[state] for state in ("DONE", "FAILED", "LOST")) == TASKS,
        "the end of all tasks",
        seconds_max=90,
    )
    executions = [line.split() for path in ran.iterdir() for line in path.read_text().splitlines()]
    assert Counter(task for task, _ in executions) == Counter(submitted)
    assert states(site, lease) == Counter(DONE=TASKS)
    assert {node for _, node in executions} == {"node1", "node2", "node3"}


def test_a_task_outlives_its_runner_and_keeps_its_exit_code(site: Site) -> None:
    lease = site.add("-N1")
    gate = site.directory / "gate"
    task = site.ok("submit", "--", "bash", "-c", f"until [ -e {gate} ]; do sleep 0.1; done; exit 5")
    site.wait_until(lambda: states(site, lease)["RUNNING"] == 1, "the task's start")
    before = site.beats(lease)["node1"]["incarnation"]
    (pid,) = [pid for pid, line in site.cluster.processes("node1") if f"run --lease {lease} --node" in line]
    os.kill(pid, signal.SIGKILL)
    site.wait_until(lambda: site.beats(lease)["node1"]["incarnation"] != before, "another runner")
    gate.touch()
    site.wait_until(lambda: states(site, lease)["FAILED"] == 1, "the task's end")
    assert tasks(site, lease)[task]["exit_code"] == 5


def test_scancel_leaves_every_task_pending_finished_or_lost_with_the_reason(site: Site) -> None:
    lease = site.add("-N2")
    done = site.ok("submit", "--", "true")
    site.ok("wait", done)
    started = site.directory / "started"
    started.mkdir()
    for _ in range(5):
        site.ok("submit", "--", "bash", "-c", f"touch {started}/$LEASEQ_TASK_ID; sleep 600")
    asked = site.ok("submit", "--requeue", "--priority", "10", "--", "sleep", "600")
    site.wait_until(lambda: states(site, lease)["RUNNING"] == 2, "two running tasks")
    running = [task for task, row in tasks(site, lease).items() if row["state"] == "RUNNING"]
    site.release(lease)
    site.wait_until(lambda: states(site, lease)["RUNNING"] == 0, "the runners' last words")
    after = tasks(site, lease)
    assert after[done]["state"] == "DONE"
    for task, row in after.items():
        if task in running and task != asked:
            assert (row["state"], row["reason"]) == ("LOST", "LeaseEnd"), row
        elif task != done:
            assert row["state"] == "PENDING", row
    assert len(after) == 7


@pytest.mark.timeout(300)
def test_the_death_of_a_node_costs_the_others_nothing(site: Site) -> None:
    lease = site.add("-N3")
    gate = site.directory / "gate"
    there = site.directory / "there"
    there.mkdir()
    line = f"touch {there}/$LEASEQ_NODE; until [ -e {gate} ]; do sleep 0.1; done; echo $LEASEQ_NODE"
    for _ in range(3):
        site.ok("submit", "--", "bash", "-c", line)
    site.wait_until(lambda: len(list(there.iterdir())) == 3, "a task on each node")
    try:
        site.cluster.kill_node("node3")
        site.wait_until(lambda: "node3 is no longer part" in site.notes(lease), "the loss", seconds_max=150)
        more = site.ok("submit", "--", "hostname")
        gate.touch()
        site.wait_until(lambda: states(site, lease)["DONE"] == 3, "the other nodes' tasks")
        assert tasks(site, lease)[more]["node"] in ("node1", "node2")
        assert site.squeue("-j", lease, "-o", "%T") == ["RUNNING"]
    finally:
        site.cluster.revive_node("node3")
