"""Where tasks and shells go is never a surprise: which lease is meant, what is said, and the job around a shell."""

from __future__ import annotations

import socket
import subprocess

from tests.contract.clusters import Cluster
from tests.contract.conftest import site_of
from tests.contract.site import LEASEQ, Site


def default(site: Site) -> str:
    return next((line.split()[1] for line in site.ok("lease", "ls").splitlines() if line.startswith("*")), "")


def in_job(site: Site, argv: list[str], script: str) -> subprocess.CompletedProcess[str]:
    """What that script of leaseq commands said in a job of that kind, on another machine's terms: `$lq` is leaseq."""
    words = [*argv, "bash", "-c", f"lq='{' '.join(LEASEQ)}'; {script}"]
    return subprocess.run(words, env=site.env, cwd=site.directory, capture_output=True, text=True, timeout=120)


def stop(site: Site, node: str) -> None:
    """The runner of that host's own lease has ended."""
    for pid, line in site.cluster.processes(node):
        if "--lease local:" in line and str(site.home) in line:
            subprocess.run(["kill", str(pid)], check=False)


# -- the default lease -------------------------------------------------------------------------------


def test_a_lease_is_the_default_at_once_if_no_other_runs_and_that_is_said(site: Site) -> None:
    done = site.leaseq("add", "--detach", "--name", "first", "-N1")
    lease = done.stdout.strip()
    assert f"default lease is now first ({lease})" in done.stderr
    assert default(site) == lease


def test_a_queued_lease_becomes_the_default_when_it_starts(site: Site) -> None:
    first = site.add("-N3", "--exclusive")
    done = site.leaseq("add", "--detach", "-N1", "--exclusive", "-t", "5")
    second = done.stdout.strip()
    assert f"default lease stays {first} until lease {second} has started" in done.stderr
    assert default(site) == first
    assert site.leaseq("submit", "--", "true").returncode == 0
    site.release(first)
    site.started(second)
    done = site.leaseq("status")
    assert f"default lease is now {second}, which has started" in done.stderr
    assert done.stdout.startswith(f"lease {second}")
    assert "has started" not in site.leaseq("status").stderr, "it is said once"


def test_a_release_of_the_default_chooses_another_that_runs(site: Site) -> None:
    first, second = site.add("-N1"), site.add("-N1", "--name", "other")
    site.ok("lease", "use", first)
    done = site.leaseq("lease", "release", first, "--yes")
    assert f"default lease is now other ({second})" in done.stderr
    assert default(site) == second
    done = site.leaseq("lease", "release", second, "--yes")
    assert "default lease is now this host (local:" in done.stderr


def test_an_ended_default_refuses_shells_as_it_refuses_tasks(site: Site) -> None:
    lease = site.add("-N1", "--name", "two")
    other = site.add("-N1")
    site.ok("lease", "use", "two")
    site.release(lease)
    site.ask_slurm_anew()
    site.ok("lease", "ls")
    for words in (["submit", "--", "true"], ["shell", "--", "hostname"], ["shell", "--plain", "--", "hostname"]):
        done = site.leaseq(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"two ({lease}) has ended" in done.stderr
    assert site.leaseq("shell", "--lease", other, "--", "true").returncode == 0


def test_the_job_name_is_the_leases_name_if_it_can_be(site: Site) -> None:
    assert site.record(site.ok("add", "--detach", "-J", "mine"))["name"] == "mine"
    assert site.record(site.ok("add", "--detach", SBATCH_JOB_NAME="theirs"))["name"] == "theirs"
    assert site.record(site.ok("add", "--detach", "-J", "9 lives")).get("name", "") == ""
    assert site.record(site.ok("add", "--detach", "--name", "ours", "-J", "mine"))["name"] == "ours"


def test_a_terminal_hears_which_lease_took_a_task_and_its_place(site: Site) -> None:
    lease = site.add("-N1", "--name", "sweep", "-c1")
    site.ok("lease", "hold-queue")
    site.wait_until(lambda: all(beat.get("state") == "draining" for beat in site.beats(lease).values()), "the drain")
    terminal = site.terminal("submit", "--", "true")
    terminal.expect(f"-> lease {lease} (sweep), starts next")
    assert terminal.end() == 0
    site.ok("submit", "--", "true")
    terminal = site.terminal("submit", "--", "true")
    terminal.expect(f"-> lease {lease} (sweep), 2 ahead")
    assert terminal.end() == 0
    terminal = site.terminal("submit", "--hold", "--", "true")
    terminal.expect(f"-> lease {lease} (sweep), held")
    assert terminal.end() == 0
    assert site.leaseq("submit", "--", "true").stderr == ""


def test_a_task_for_a_node_that_a_started_lease_never_had_is_refused_with_its_nodes(site: Site) -> None:
    lease = site.add("-N2")
    first, second = site.nodes(lease)
    done = site.leaseq("submit", "--node", "nowhere", "--", "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"lease {lease} has no node nowhere" in done.stderr and f"it has {first}, {second}" in done.stderr
    assert not (site.lease_dir(lease) / "inbox" / "nowhere").exists()


# -- this host ---------------------------------------------------------------------------------------


def test_a_setting_keeps_tasks_off_this_host(site: Site) -> None:
    site.home.mkdir(mode=0o700)
    (site.home / "config.yaml").write_text("local: never\n")
    for words in (
        ["submit", "--", "true"],
        ["submit", "--lease", "local", "--", "true"],
        ["shell", "--", "true"],
        ["shell", "--node", socket.gethostname().split(".")[0], "--", "true"],
        ["daemon", "start"],
        ["daemon", "restart"],
    ):
        done = site.leaseq(*words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert "no task may run on this host" in done.stderr and "leaseq add" in done.stderr
    lease = site.add("-N1")
    task = site.ok("submit", "--", "true")
    assert site.leaseq("wait", task).returncode == 0
    assert site.leaseq("move", "--from", lease, "--to", "local").returncode == 2


def test_the_setting_is_suggested_where_slurm_is(site: Site) -> None:
    done = site.leaseq("submit", "--", "true")
    assert "`local: never`" in done.stderr
    assert site.leaseq("submit", "--", "true").stderr == ""
    assert "`local: never`" in site.ok("doctor")
    site.ok("daemon", "stop", "--kill")


def test_what_a_test_has_started_ends_with_it(cluster: Cluster) -> None:
    sites = site_of(cluster)
    site = next(sites)
    site.add("-N1")
    task = site.ok("submit", "--lease", "local", "--", "sleep", "600")
    site.wait_until(lambda: "RUNNING" in site.ok("info", task), "the task")
    assert len(site.processes()) > 3, "a runner, its keeper and its task here, and as many on the node"
    assert list(sites) == []
    assert site.processes() == []


# -- the job around a shell --------------------------------------------------------------------------


def test_a_local_runner_knows_nothing_of_the_job_it_was_started_in(site: Site) -> None:
    script = "$lq wait $($lq submit -- true) && ! $lq submit --gpus 99 -- true 2>refused"
    said = in_job(site, ["salloc", "-N1", "-p", "gpu", "--gres=gpu:2"], script)
    assert said.returncode == 0, said.stderr
    for words in (said.stderr, (site.directory / "refused").read_text()):
        assert "not the nodes of job" in words and "leaseq lease adopt" in words
    task = site.ok("submit", "--", "env")
    assert site.leaseq("wait", task).returncode == 0
    assert [line for line in site.ok("logs", task).splitlines() if line.startswith("SLURM_JOB")] == []
    site.ok("daemon", "stop", "--kill")


def test_a_local_lease_on_a_node_of_a_job_ends_with_the_job(site: Site) -> None:
    script = "$lq submit --gpus 1 -- sh -c 'echo END=$LEASEQ_END_TIME GPUS=$LEASEQ_GPUS' >one; $lq wait $(cat one);"
    script += "$lq logs $(cat one); $lq submit --cpus 1 --time 30 -- true >two; $lq lease ls; $lq submit -G 3 -- true"
    said = in_job(site, ["srun", "-N1", "-w", "node2", "--gres=gpu:2", "-c2", "-t", "3"], script)
    assert "this host's lease ends with job" in said.stderr and "leaseq lease adopt" in said.stderr, said.stderr
    end = next(line for line in said.stdout.splitlines() if line.startswith("END="))
    assert end.split()[0] != "END=" and end.split()[1] in ("GPUS=0", "GPUS=1"), end
    assert "needs 3 GPUs, the node has 2" in said.stderr
    late = (site.directory / "two").read_text().strip()
    task = site.ok("info", late)
    assert "PENDING" in task, task
    stop(site, "node2")
