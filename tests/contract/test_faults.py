"""What a lease and its tasks survive: the death of everything that can die, and an end at every moment.

After each test one check holds them all: no process is left, every task has a fate, nothing has run twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.contract.accounts import POLITE, RUDE, Accounts, batch_script, keeper, kill, runner, srun
from tests.contract.site import Site

CPUS = ("-c", "8")


def state_of(site: Site, lease: str) -> tuple[str, str]:
    """(state, reason) of the lease, by a command that asks Slurm now."""
    site.ask_slurm_anew()
    listed = json.loads(site.ok("lease", "ls", "--all", "--json", seconds_max=90))["leases"]
    row = next(each for each in listed if each["id"] == lease)
    return str(row["state"]), str(row.get("reason") or "")


def replaced(site: Site, who: Callable[[Site, str, str], list[int]], lease: str, node: str) -> None:
    """The node's runner, or keeper, was killed, and another is there."""
    old = who(site, lease, node)
    kill(*old)
    site.wait_until(lambda: set(who(site, lease, node)) - set(old), f"another {who.__name__}")


def cancel(site: Site, *leases: str) -> None:
    """Slurm has ended the leases."""
    site.slurm("scancel", *leases)
    site.wait_until(lambda: not set(leases) & set(site.squeue("-o", "%i")), f"the end of {leases}")


# -- runners and keepers -------------------------------------------------------------------------------


def test_whoever_of_runner_and_keeper_is_killed_every_task_runs_once_to_its_end(site: Site) -> None:
    lease = site.add("-N3", *CPUS)
    accounts = Accounts(site)
    lines = [accounts.gated, accounts.gated, f"{accounts.gated}; exit 3"]
    at = {node: accounts.submit(lease, *lines, options=("--cpus", "1", "--node", node)) for node in site.cluster.nodes}
    waiting = accounts.submit(lease, *["true"] * 4, options=("--cpus", "8"))
    accounts.started(*at["node1"], *at["node2"], *at["node3"])
    replaced(site, keeper, lease, "node1")
    for _ in range(2):
        replaced(site, runner, lease, "node2")
    both = (*keeper(site, lease, "node3"), *runner(site, lease, "node3"))
    kill(*both)
    site.wait_until(lambda: set(keeper(site, lease, "node3")) - set(both), "another runner and keeper")
    assert sum(accounts.attempts().values()) == 9
    accounts.gate.touch()
    every = [*at["node1"], *at["node2"], *at["node3"], *waiting]
    accounts.wait_states(lease, every, "DONE", "FAILED", "LOST")
    for node in ("node1", "node2"):
        assert accounts.states(lease, *at[node]) == ["DONE", "DONE", "FAILED"]
    # Nobody was there to see the exit code of a task whose runner and keeper died at once.
    assert accounts.states(lease, *at["node3"], *waiting) == [*["LOST"] * 3, *["DONE"] * 4]
    cancel(site, lease)
    accounts.check_ended(lease)


def test_tasks_that_have_lost_their_runner_and_keeper_end_with_the_lease(site: Site) -> None:
    lease = site.add("-N2", *CPUS)
    accounts = Accounts(site)
    rude = accounts.submit(lease, *RUDE, POLITE, *RUDE, POLITE)
    accounts.started(*rude)
    kill(*runner(site, lease, "node1"), *keeper(site, lease, "node2"), *runner(site, lease, "node2"))
    cancel(site, lease)
    accounts.check_ended(lease)
    assert set(accounts.states(lease, *rude)) == {"LOST"}


# -- the lease's script and its steps ----------------------------------------------------------------


def test_a_killed_batch_script_ends_the_lease_with_all_its_tasks(site: Site) -> None:
    lease = site.add("-N2", *CPUS)
    accounts = Accounts(site)
    rude = accounts.submit(lease, *RUDE, POLITE, *RUDE, POLITE)
    accounts.started(*rude)
    kill(*batch_script(site, "node1"))
    site.wait_until(lambda: not site.squeue("-j", lease, "-o", "%i"), "the end of the job")
    accounts.check_ended(lease)
    assert set(accounts.states(lease, *rude)) == {"LOST"}
    assert state_of(site, lease)[0] == "ENDED"


@pytest.mark.parametrize("helper", ["alone", "and its helper"])
def test_a_killed_srun_costs_its_node_the_running_tasks_at_most(site: Site, helper: str) -> None:
    lease = site.add("-N2", *CPUS)
    accounts = Accounts(site)
    tasks = accounts.submit(lease, *RUDE, POLITE, options=("--cpus", "1", "--node", "node2"))
    others = accounts.submit(lease, POLITE, options=("--cpus", "1", "--node", "node1"))
    accounts.started(*tasks, *others)
    before = site.beats(lease)
    victims = srun(site, lease, "node1", "node2")
    kill(*(victims if helper != "alone" else victims[:1]))
    if helper == "alone":
        site.wait_until(
            lambda: site.beats(lease)["node2"]["incarnation"] != before["node2"]["incarnation"], "another runner"
        )
        accounts.wait_states(lease, tasks, "LOST")
    more = accounts.submit(lease, "true", options=("--cpus", "1", "--node", "node2"))
    accounts.wait_states(lease, more, "DONE")
    assert site.beats(lease)["node1"]["incarnation"] == before["node1"]["incarnation"]
    cancel(site, lease)
    accounts.check_ended(lease)


def test_a_cancelled_step_costs_its_node_the_running_tasks_and_the_node_serves_on(site: Site) -> None:
    lease = site.add("-N2", *CPUS)
    accounts = Accounts(site)
    tasks = accounts.submit(lease, POLITE, options=("--cpus", "1", "--node", "node2"))
    others = accounts.submit(lease, accounts.gated, options=("--cpus", "1", "--node", "node1"))
    accounts.started(*tasks, *others)
    steps = [line.split() for line in site.slurm("squeue", "-h", "-s", "-j", lease, "-o", "%i %N").splitlines()]
    (step,) = [step for step, node in steps if node == "node2" and not step.endswith((".batch", ".extern"))]
    site.slurm("scancel", step)
    accounts.wait_states(lease, tasks, "LOST")
    more = accounts.submit(lease, "true", options=("--cpus", "1", "--node", "node2"))
    accounts.wait_states(lease, more, "DONE")
    accounts.gate.touch()
    accounts.wait_states(lease, others, "DONE")
    cancel(site, lease)
    accounts.check_ended(lease)


# -- Slurm's daemons and the nodes ---------------------------------------------------------------------


def test_a_lease_goes_on_while_the_controller_is_down_and_nothing_is_taken_for_ended(site: Site) -> None:
    lease = site.add("-N2", "--requeue", *CPUS)
    accounts = Accounts(site)
    tasks = accounts.submit(lease, accounts.gated, POLITE)
    accounts.started(*tasks)
    before = site.job(lease)
    site.cluster.save_state(lease)
    site.cluster.kill_ctld()
    try:
        replaced(site, runner, lease, "node2")
        more = accounts.submit(lease, *["true"] * 4)
        accounts.wait_states(lease, more, "DONE")
        assert state_of(site, lease)[0] == "UNKNOWN"
        assert accounts.states(lease, *tasks) == ["RUNNING"] * 2
        assert site.record(lease).get("ended") is None
    finally:
        site.cluster.start_ctld()
    assert state_of(site, lease)[0] == "RUNNING"
    after = site.job(lease)
    assert (after["JobState"], after["Restarts"], after["StartTime"]) == ("RUNNING", "0", before["StartTime"])
    accounts.gate.touch()
    accounts.wait_states(lease, tasks[:1], "DONE")
    cancel(site, lease)
    accounts.check_ended(lease)


def test_a_slurmd_that_comes_back_in_time_costs_nothing(site: Site) -> None:
    lease = site.add("-N1", "-w", "node2", "-c", "1")
    accounts = Accounts(site)
    first, *others = accounts.submit(lease, accounts.gated, *["true"] * 3)
    accounts.started(first)
    site.cluster.kill_slurmd("node2")
    try:
        accounts.gate.touch()
        accounts.started(*others)
    finally:
        site.cluster.start_slurmd("node2")
    accounts.wait_states(lease, [first, *others], "DONE")
    assert site.squeue("-j", lease, "-o", "%T") == ["RUNNING"]
    cancel(site, lease)
    accounts.check_ended(lease)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_lost_batch_host_and_a_lost_slurmd_leave_every_task_a_fate(site: Site) -> None:
    wide = site.add("-N3", "-c", "4")
    small = site.add("-N1", "-w", "node1", "-c", "4")
    accounts = Accounts(site)
    lost = accounts.submit(wide, POLITE, options=("--cpus", "1", "--node", "node1"))
    lost += accounts.submit(wide, *RUDE, options=("--cpus", "1", "--node", "node2"))
    kept = accounts.submit(wide, accounts.gated, options=("--cpus", "1", "--node", "node3"))
    ended = accounts.submit(small, POLITE, *["true"] * 4, options=("--cpus", "4"))
    accounts.started(*lost, *kept, ended[0])
    try:
        site.cluster.kill_node("node1")
        site.cluster.kill_slurmd("node2")
        site.wait_until(lambda: site.squeue("-j", wide, "-o", "%N") == ["node3"], "the losses", seconds_max=150)
        # The runner of node2 is heard yet, but Slurm starts no step there any more.
        assert site.ok("shell", "--lease", wide, "--", "hostname", seconds_max=60) == "node3"
        refused = site.leaseq("shell", "--lease", wide, "--node", "node1", "--", "hostname", seconds_max=60)
        assert refused.returncode in (1, 2)
        assert "node1 is no" in refused.stderr
    finally:
        site.cluster.start_slurmd("node2")
        site.cluster.revive_node("node1")
    more = accounts.submit(wide, *["true"] * 4, options=("--cpus", "4"))
    accounts.gate.touch()
    accounts.wait_states(wide, [*kept, *more], "DONE")
    site.let_two_minutes_pass(small)
    assert state_of(site, small)[0] == "ENDED"
    assert accounts.states(small, *ended) == ["LOST", *["PENDING"] * 4]
    cancel(site, wide)
    accounts.check_ended(wide, small)
    assert set(accounts.states(wide, *lost)) == {"LOST"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_a_lost_node_held_is_decided_while_the_lease_lives_and_what_a_lost_slurmd_held_goes_on(site: Site) -> None:
    lease = site.add("-N3", "-c", "4")
    accounts = Accounts(site)
    again = ("--cpus", "1", "--on-lost", "requeue")
    lost = accounts.submit(lease, accounts.gated, options=(*again, "--node", "node3"))
    plain = accounts.submit(lease, accounts.gated, options=("--cpus", "1", "--node", "node3"))
    kept = accounts.submit(lease, accounts.gated, options=(*again, "--node", "node2"))
    accounts.started(*lost, *plain, *kept)
    site.cluster.kill_node("node3")
    site.cluster.kill_slurmd("node2")
    try:
        site.wait_until(lambda: site.squeue("-j", lease, "-o", "%N") == ["node1"], "the losses", seconds_max=120)
        site.ask_slurm_anew()
        assert accounts.states(lease, *lost, *plain) != ["LOST", "LOST"], "nobody is dead so soon"
        site.wait_until(lambda: "no longer part" in site.ok("status", "--lease", lease), "the lease's word in status")
        site.let_two_minutes_pass(lease, "node3")
        site.ask_slurm_anew()
        site.ok("lease", "ls")
        assert accounts.states(lease, *plain) == ["LOST"], "shown before it is decided"
        site.keep_up(lease)
        assert accounts.states(lease, *plain) == ["LOST"]
        assert accounts.rows(lease)[plain[0]]["reason"] == "NodeDown: no longer part of the allocation"
        assert accounts.states(lease, *lost) == ["PENDING"]
        assert str(accounts.rows(lease)[lost[0]]["reason"]).startswith("NodeDown: ")
        refused = site.leaseq("submit", "--lease", lease, "--node", "node3", "--", "true")
        assert refused.returncode == 2 and "has no node node3" in refused.stderr
        assert "which lease" in site.leaseq("move", "--node", "node3", *lost).stderr
        site.ok("move", "--node", "any", *lost)
        accounts.gate.touch()
        accounts.wait_states(lease, [*kept, *lost], "DONE")
    finally:
        site.cluster.start_slurmd("node2")
        site.cluster.revive_node("node3")
    assert accounts.rows(lease)[lost[0]]["node"] in ("node1", "node2"), "the runner of node2 lives on"
    assert accounts.attempts()[f"{kept[0]}.1"] == 1
    assert site.squeue("-j", lease, "-o", "%T") == ["RUNNING"]
    cancel(site, lease)
    accounts.check_ended(lease)


def test_a_node_that_boots_before_slurm_misses_it_costs_only_what_ran_on_it(site: Site) -> None:
    lease = site.add("-N2", "-c", "4")
    accounts = Accounts(site)
    lost = accounts.submit(lease, *RUDE, POLITE, options=("--cpus", "1", "--node", "node2"))
    kept = accounts.submit(lease, accounts.gated, options=("--cpus", "1", "--node", "node1"))
    accounts.started(*lost, *kept)
    site.cluster.kill_node("node2")
    site.cluster.revive_node("node2")
    accounts.gate.touch()
    accounts.wait_states(lease, kept, "DONE")
    assert site.squeue("-j", lease, "-o", "%T") == ["RUNNING"]
    cancel(site, lease)
    accounts.check_ended(lease)
    assert set(accounts.states(lease, *lost)) == {"LOST"}


# -- ends -----------------------------------------------------------------------------------------------


def test_scancel_ends_a_lease_in_every_phase_of_its_life(site: Site) -> None:
    accounts = Accounts(site)
    idle = site.add("-N1", "-c", "1")
    running = site.add("-N2", "-c", "5")
    rude = accounts.submit(running, *RUDE, POLITE, *RUDE, POLITE)
    draining = site.add("-N1", "-c", "1")
    drained = accounts.submit(draining, POLITE, POLITE)
    accounts.started(*rude, drained[0])
    site.ok("lease", "hold-queue", draining)
    site.wait_until(
        lambda: site.beats(draining) and all(beat.get("state") == "draining" for beat in site.beats(draining).values()),
        "the drain",
    )
    pending = site.ok("add", "--detach", "-N3", "--exclusive")
    waiting = accounts.submit(pending, POLITE)
    cancel(site, idle, running, draining, pending)
    accounts.check_ended(idle, running, draining, pending)
    assert set(accounts.states(running, *rude)) == {"LOST"}
    assert accounts.states(draining, *drained) == ["LOST", "PENDING"]
    assert accounts.states(pending, *waiting) == ["PENDING"]


def test_scancel_while_a_lease_starts_starts_nothing_that_stays(site: Site) -> None:
    accounts = Accounts(site)
    leases = [site.ok("add", "--detach", "-N2", "-c", "1") for _ in range(1)]
    for _ in range(5):
        lease = site.ok("add", "--detach", "-N2", "-c", "1")
        leases.append(lease)
        accounts.submit(lease, *RUDE)
        site.slurm("scancel", leases[-2])
    cancel(site, *leases)
    accounts.check_ended(*leases)


def test_scancel_during_a_prologue_starts_no_runner_after_it(site: Site) -> None:
    accounts = Accounts(site)
    begun = site.directory / "begun"
    site.home.mkdir(mode=0o700)
    (site.home / "config.yaml").write_text(f"prologue: 'touch {begun}; {accounts.gated}'\n")
    lease = site.ok("add", "--detach", "-N1")
    tasks = accounts.submit(lease, POLITE)
    site.wait_until(begun.exists, "the prologue")
    site.slurm("scancel", lease)
    site.wait_until(lambda: "CANCELLED AT" in site.script_log(lease), "the signal")
    accounts.gate.touch()
    cancel(site, lease)
    accounts.check_ended(lease)
    assert site.beats(lease) == {}
    assert accounts.states(lease, *tasks) == ["PENDING"]


@pytest.mark.timeout(300)
def test_a_requeued_lease_starts_no_attempt_twice_and_leaves_no_process_of_the_first_run(site: Site) -> None:
    lease = site.add("-N2", "--requeue", *CPUS)
    accounts = Accounts(site)
    first = accounts.submit(lease, *RUDE, POLITE, options=("--cpus", "1", "--requeue"))
    second = accounts.submit(lease, *RUDE)
    accounts.started(*first, *second)
    kill(*runner(site, lease, "node1"))
    site.slurm("scontrol", "requeue", lease)
    site.wait_until(lambda: site.squeue("-j", lease, "-o", "%T") == ["PENDING"], "the requeued job")
    accounts.no_process_is_left()
    site.start_again(lease)
    site.wait_until(lambda: sum(accounts.attempts().values()) == 11, "the second attempts of those that asked for one")
    accounts.wait_states(lease, second, "LOST")
    accounts.wait_states(lease, first, "RUNNING")
    cancel(site, lease)
    accounts.check_ended(lease)
    assert set(accounts.states(lease, *first)) == {"PENDING"}


def test_looks_show_that_a_task_of_an_ended_lease_is_lost_and_change_no_file(site: Site) -> None:
    lease = site.add("-N1", *CPUS)
    accounts = Accounts(site)
    (task,) = accounts.submit(lease, POLITE)
    accounts.started(task)
    # The node is gone in the moment in which the lease ends: nobody is left who could write how its task did.
    site.cluster.kill_node("node1")
    try:
        cancel(site, lease)
        site.let_two_minutes_pass(lease)
        before = files_of(site, lease)
        # If a busy machine was slow, Slurm has forgotten the job, and a second answer a minute later has to say so.
        site.wait_until(lambda: state_of(site, lease)[0] == "ENDED", "the lease's end", seconds_max=150)
        assert accounts.states(lease, task) == ["LOST"]
        assert "ended: " in site.ok("status", "--lease", lease)
        assert "LOST" in site.ok("info", task)
        assert lease in site.ok("tui", "--once", "--readonly", "--lease", lease)
        assert files_of(site, lease) == before
        site.keep_up(lease)
        assert files_of(site, lease) != before
        assert accounts.states(lease, task) == ["LOST"]
    finally:
        site.cluster.revive_node("node1")
    accounts.check_ended(lease)


def files_of(site: Site, lease: str) -> dict[str, tuple[int, bytes]]:
    """Every file of the lease, when it was changed, and what it holds."""
    paths = sorted(path for path in site.lease_dir(lease).rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_sudden_time_limit_leaves_nothing_of_tasks_that_ignore_term(site: Site) -> None:
    lease = site.add("-N2", *CPUS)
    accounts = Accounts(site)
    rude = accounts.submit(lease, *RUDE, POLITE, *RUDE, POLITE)
    accounts.started(*rude)
    site.slurm("scontrol", "update", f"JobId={lease}", "TimeLimit=0")
    site.wait_until(lambda: not site.squeue("-j", lease, "-o", "%i"), "the time limit", seconds_max=90)
    accounts.check_ended(lease)
    assert "TIMEOUT" in state_of(site, lease)[1]
