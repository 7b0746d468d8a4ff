"""The end of a lease: release, drain, time limit, requeue; and how its tasks go on elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.contract.accounts import POLITE, RUDE, Accounts
from tests.contract.site import Site
from tests.contract.test_tasks import states, tasks


def test_a_release_leaves_nothing_on_the_nodes_and_the_record_says_so(site: Site) -> None:
    lease = site.add("-N2", "--gres=gpu:2")
    task = site.ok("submit", "--", "bash", "-c", "sleep 611 & sleep 612")
    site.wait_until(lambda: states(site, lease)["RUNNING"] == 1, "the task")
    refused = site.leaseq("lease", "release", lease)
    assert refused.returncode == 2
    assert "1 running task" in refused.stderr
    assert "--yes ends it, --drain waits for it" in refused.stderr
    done = site.leaseq("lease", "release", lease, "--yes")
    assert done.returncode == 0
    site.wait_until(lambda: lease not in site.squeue("-o", "%i"), "the end of the lease")
    for node in site.cluster.nodes:
        site.wait_until(partial(_nothing_left, site, node, lease), f"nothing left on {node}")
    assert tasks(site, lease)[task]["state"] == "LOST"
    listed = json.loads(site.ok("lease", "ls", "--all", "--json"))["leases"]
    site.ask_slurm_anew()
    assert _state(site, lease) == "ENDED"
    assert [each["id"] for each in listed if each["kind"] == "slurm"] == [lease]
    site.keep_up(lease)
    assert site.record(lease)["end_reason"] == "released"
    assert site.leaseq("submit", "--lease", lease, "--", "true").returncode == 2


def _nothing_left(site: Site, node: str, lease: str) -> bool:
    lines = [line for _, line in site.cluster.processes(node)]
    return not [line for line in lines if f"--lease {lease}" in line or "sleep 61" in line or "leaseq.runner" in line]


def _state(site: Site, lease: str) -> str:
    listed = json.loads(site.ok("lease", "ls", "--all", "--json"))["leases"]
    return str(next(each["state"] for each in listed if each["id"] == lease))


def test_a_release_that_names_no_lease_means_the_one_in_use_and_asks(site: Site) -> None:
    lease = site.add("-N1", "--name", "mine")
    refused = site.leaseq("lease", "release")
    assert refused.returncode == 2
    assert f"lease {lease} (mine) runs no task\n  --yes releases it\n" in refused.stderr
    terminal = site.terminal("lease", "release")
    terminal.expect("Release it? [y/N]")
    terminal.type("n\n")
    terminal.expect("is kept")
    assert terminal.end() == 2
    site.ok("lease", "release", "--yes")
    site.wait_until(lambda: lease not in site.squeue("-o", "%i"), "the end of the lease")
    nothing = site.leaseq("lease", "release")
    assert nothing.returncode == 2
    assert "which lease?" in nothing.stderr


def test_a_drain_waits_for_running_tasks_and_keeps_the_pending_ones(site: Site) -> None:
    lease = site.add("-N1")
    gate = site.directory / "gate"
    first = site.ok("submit", "--", "bash", "-c", f"until [ -e {gate} ]; do sleep 0.1; done")
    site.wait_until(lambda: states(site, lease)["RUNNING"] == 1, "the task")
    second = site.ok("submit", "--", "true")
    terminal = site.terminal("lease", "release", lease, "--drain")
    terminal.expect("waiting for 1 running task")
    gate.touch()
    terminal.expect("1 pending task stay")
    assert terminal.end() == 0
    after = tasks(site, lease)
    assert (after[first]["state"], after[second]["state"]) == ("DONE", "PENDING")


def test_pending_tasks_go_on_in_another_lease(site: Site) -> None:
    old = site.add("-N1")
    running = site.ok("submit", "--", "sleep", "600")
    site.wait_until(lambda: states(site, old)["RUNNING"] == 1, "the task")
    waiting = [site.ok("submit", "--", "hostname") for _ in range(3)]
    new = site.add("-N1")
    moved = site.ok("move", "--from", old, "--to", new)
    assert sorted(moved.split()) == sorted(waiting)
    site.wait_until(lambda: states(site, new)["DONE"] == 3, "the moved tasks")
    assert states(site, old)["PENDING"] == 0
    site.ok("lease", "release", old, "--yes")
    site.wait_until(lambda: tasks(site, old)[running]["state"] == "LOST", "the old lease's end")
    site.ok("recover", "--lease", old, running)
    assert site.ok("move", "--from", old, "--to", new, running) == running
    site.wait_until(lambda: states(site, new)["RUNNING"] == 1, "the recovered task")
    assert tasks(site, new)[running]["attempt"] == 2


def test_a_lease_can_be_kept_from_starting_tasks(site: Site) -> None:
    lease = site.add("-N1")
    site.ok("lease", "hold-queue", lease)
    site.wait_until(lambda: site.beats(lease)["node1"].get("state") == "draining", "the runner's word")
    site.ok("submit", "--", "true")
    assert states(site, lease)["PENDING"] == 1
    site.ok("lease", "hold-queue", lease, "--off")
    site.wait_until(lambda: states(site, lease)["DONE"] == 1, "the task")


def test_an_allocation_made_elsewhere_becomes_a_lease(site: Site, tmp_path: Path) -> None:
    script = site.directory / "job.sh"
    script.write_text("#!/bin/bash\nexec sleep 600\n")
    job = site.slurm("sbatch", "--parsable", "-N2", "--gpus=4", "-o", "/dev/null", str(script)).strip()
    site.wait_until(lambda: site.squeue("-j", job, "-o", "%T") == ["RUNNING"], "the job")
    assert site.ok("lease", "adopt", job, "--name", "mine") == job
    site.started(job)
    assert sum(len(beat["gpus"]) for beat in site.beats(job).values()) == 4  # type: ignore[arg-type, misc]
    task = site.ok("submit", "--node", "node2", "--", "hostname")
    assert site.ok("follow", task) == "node2"
    assert site.ok("shell", "--", "hostname") == "node1"
    environment = dict(
        line.split("=", 1) for line in site.ok("follow", site.ok("submit", "--", "env")).splitlines() if "=" in line
    )
    counts = [environment[name] for name in ("SLURM_NNODES", "SLURM_JOB_NUM_NODES", "SLURM_TASKS_PER_NODE")]
    assert counts == ["2", "2", "1(x2)"], counts
    again = site.leaseq("lease", "adopt", job)
    assert again.returncode == 2
    assert "has a runner" in again.stderr
    second = site.slurm("sbatch", "--parsable", "-N1", "-o", "/dev/null", str(script)).strip()
    site.wait_until(lambda: site.squeue("-j", second, "-o", "%T") == ["RUNNING"], "the second job")
    document = json.loads(site.ok("lease", "adopt", second, "--json"))
    assert document == {"schema": 1, "lease": second, "nodes": site.squeue("-j", second, "-o", "%N")}
    site.started(second)
    site.release(second)
    site.release(job)
    site.wait_until(lambda: not _adopters(job), "the end of what adopt started")


def _adopters(job: str) -> str:
    return subprocess.run(["pgrep", "-f", f"runs/{job}/adopt"], capture_output=True, text=True, check=False).stdout


def test_a_job_that_is_not_there_or_not_running_cannot_be_adopted(site: Site) -> None:
    assert site.leaseq("lease", "adopt", "4711").returncode == 2
    job = site.slurm("sbatch", "--parsable", "-H", "-o", "/dev/null", "--wrap", "true").strip()
    done = site.leaseq("lease", "adopt", job)
    assert done.returncode == 2
    assert "PENDING" in done.stderr


@pytest.mark.timeout(300)
def test_a_requeued_lease_goes_on_with_the_same_tasks(site: Site) -> None:
    lease = site.add("-N1", "--requeue")
    done = site.ok("submit", "--", "true")
    site.ok("wait", done)
    kept = site.ok("submit", "--requeue", "--", "bash", "-c", f"echo ran >>{site.directory}/ran; sleep 600")
    lost = site.ok("submit", "--", "true")
    site.wait_until(lambda: states(site, lease)["RUNNING"] == 1, "the task")
    before = site.beats(lease)["node1"]["incarnation"]
    site.slurm("scontrol", "requeue", lease)
    site.wait_until(lambda: site.squeue("-j", lease, "-o", "%T") == ["PENDING"], "the requeued job")
    site.wait_until(lambda: tasks(site, lease)[kept]["state"] == "PENDING", "the task is pending again")
    site.start_again(lease)
    site.wait_until(
        lambda: any(beat["incarnation"] != before for beat in site.beats(lease).values()),
        "another runner",
        seconds_max=150,
    )
    site.wait_until(lambda: tasks(site, lease)[kept]["state"] == "RUNNING", "the task's next attempt")
    assert tasks(site, lease)[kept]["attempt"] == 2
    # It runs from its claim on; what it writes comes a moment later.
    ran = site.directory / "ran"
    site.wait_until(lambda: ran.read_text() == "ran\nran\n", "the second start")
    assert tasks(site, lease)[lost]["state"] == "PENDING"
    assert "restart 1" in site.script_log(lease)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("ending", ["requeue", "cancel"])
def test_nothing_starts_while_slurms_term_is_on_its_way_from_the_tasks_to_the_runner(site: Site, ending: str) -> None:
    lease = site.add("-N1", "--requeue")
    accounts = Accounts(site)
    (kept,) = accounts.submit(lease, POLITE, options=("--requeue",))
    behind = accounts.submit(lease, POLITE, "true", options=())
    accounts.started(kept)
    with site.cluster.slow_signals("node1", 0.4):
        if ending == "requeue":
            site.slurm("scontrol", "requeue", lease)
            site.wait_until(lambda: site.squeue("-j", lease, "-o", "%T") == ["PENDING"], "the requeued job")
        else:
            site.slurm("scancel", lease)
            site.wait_until(lambda: lease not in site.squeue("-o", "%i"), "the end of the lease")
    accounts.no_process_is_left()
    site.wait_until(lambda: accounts.states(lease, kept) == ["PENDING"], "the task is pending again")
    assert accounts.states(lease, *behind) == ["PENDING"] * 2
    assert accounts.attempts() == {f"{kept}.1": 1}
    assert [accounts.rows(lease)[task]["attempt"] for task in (kept, *behind)] == [2, 1, 1]


def test_a_command_that_died_after_sbatch_costs_no_lease(site: Site) -> None:
    printed = site.ok("add", "--dry-run", "-N1")
    script = site.directory / "orphan.sh"
    script.write_text(printed.split("\n", 1)[1] + "\n")
    job = site.slurm("sbatch", "--parsable", "-N1", str(script)).strip()
    site.started(job)
    record = site.record(job)
    assert (record["id"], record["kind"], record["argv"]) == (job, "slurm", ["-N1"])
    task = site.ok("submit", "--lease", job, "--", "hostname")
    assert site.ok("follow", "--lease", job, task) == "node1"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_time_limit_warns_tasks_and_leaves_none_behind(site: Site) -> None:
    lease = site.add("-N1", "-c", "4", "-t", "1", "--signal=B:USR2@30")
    accounts = Accounts(site)
    heard = site.directory / "heard"
    line = f"trap 'echo USR2 >>{heard}' USR2; trap 'echo TERM >>{heard}; exit 75' TERM; while :; do sleep 0.1; done"
    (ended,) = accounts.submit(lease, line)
    rude = accounts.submit(lease, *(f"trap '' USR2; {line}" for line in RUDE))
    long = site.ok("submit", "--time", "2h", "--", "true")
    site.wait_until(lambda: str(tasks(site, lease)[long]["reason"]).startswith("LeaseTime: "), "the reason")
    site.wait_until(lambda: site.squeue("-j", lease, "-o", "%T") == [], "the time limit", seconds_max=150)
    accounts.check_ended(lease)
    after = tasks(site, lease)
    assert after[ended]["state"] == "PENDING", after
    assert after[ended]["attempt"] == 2
    assert after[long]["state"] == "PENDING"
    assert {after[task]["state"] for task in rude} == {"LOST"}
    assert "TERM" in heard.read_text()


TRAINER = """
import signal, sys, time
def save(number, frame):
    with open(sys.argv[1], "a") as file:
        file.write("saved\\n")
    for word in ("saved", "left"):
        print(word, flush=True)
        time.sleep(0.5)
    sys.exit(75)
signal.signal(signal.SIGUSR2, save)
print("began", flush=True)
time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_slurms_warning_reaches_the_program_in_a_pipe_and_nothing_beside_it(site: Site) -> None:
    lease = site.add("-N1", "-c", "4", "-t", "3", "--signal=B:USR2@30")
    script, directory = site.directory / "trainer.py", site.directory
    script.write_text(TRAINER)
    plain = f"{sys.executable} {script} {directory}/saved.plain | tee {directory}/log.plain"
    piped = f"set -o pipefail; {sys.executable} {script} {directory}/saved.piped | tee {directory}/log.piped"
    shell = site.ok("submit", "--cpus", "1", "--", "sh", "-c", plain)
    again = site.ok("submit", "--cpus", "1", "--", piped)
    logs = [directory / "log.plain", directory / "log.piped"]
    site.wait_until(lambda: all(log.exists() and log.read_text() == "began\n" for log in logs), "both programs")
    site.wait_until(
        lambda: all(log.read_text() == "began\nsaved\nleft\n" for log in logs), "what they save", seconds_max=200
    )
    assert [(directory / f"saved.{each}").read_text() for each in ("plain", "piped")] == ["saved\n", "saved\n"]
    # What a shell makes of its pipe is its last program's word, unless it was told otherwise.
    site.wait_until(lambda: tasks(site, lease)[shell]["state"] == "DONE", "the end of the one")
    site.wait_until(lambda: tasks(site, lease)[again]["attempt"] == 2, "another attempt of the other")
    assert site.squeue("-j", lease, "-o", "%T") == ["RUNNING"], "that was before the end"
