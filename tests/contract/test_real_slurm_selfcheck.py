"""The cluster of real_slurm.py is what it says: several nodes, GPUs, noticed deaths, no leftovers.

Skipped if a real Slurm is not available, unless the environment has LEASEQ_TEST_SLURM=required.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract import real_slurm
from tests.contract.real_slurm import Process, RealCluster, Unavailable, wait_until
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.real_slurm
SECONDS_MAX = PATIENCE_SECONDS


def require(proctrack: str) -> None:
    """The test goes on only if such a cluster can run; the environment decides if that is a failure."""
    try:
        real_slurm.require_available(proctrack)
    except Unavailable as reason:
        if os.environ.get("LEASEQ_TEST_SLURM") == "required":
            pytest.fail(f"LEASEQ_TEST_SLURM=required, but {reason}")
        pytest.skip(str(reason))


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """A directory with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="leaseq-") as name:
        yield Path(name)


@pytest.fixture(scope="module", params=real_slurm.PROCTRACKS)
def cluster(request: pytest.FixtureRequest) -> Iterator[RealCluster]:
    """A cluster of three nodes with each way of tracking processes."""
    require(request.param)
    with short_directory() as directory, RealCluster(directory / "c", proctrack=request.param) as running:
        yield running


@pytest.fixture
def small_cluster() -> Iterator[RealCluster]:
    """A cluster that a test may break."""
    require("linuxproc")
    with short_directory() as directory, RealCluster(directory / "c", nodes=2, gpus=0) as running:
        yield running


def run(cluster: RealCluster, *argv: str) -> str:
    """What the command prints; it has succeeded."""
    done = subprocess.run(
        argv, env=cluster.env, cwd=cluster.shared, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def lease(cluster: RealCluster, *options: str) -> Iterator[str]:
    """The id of a running job that holds nodes and does nothing; cancelled and gone afterwards."""
    submit = ("sbatch", "--parsable", "-o", "lease.out", *options, "--wrap", "exec sleep 600")
    job = run(cluster, *submit).strip()
    wait_until(lambda: state_of(cluster, job) == "RUNNING", f"job {job}", SECONDS_MAX)
    try:
        yield job
    finally:
        run(cluster, "scancel", job)
        wait_until(lambda: run(cluster, "squeue", "-h") == "", f"the end of job {job}", SECONDS_MAX)


def state_of(cluster: RealCluster, job: str) -> str:
    """The job's state, such as "RUNNING"."""
    return run(cluster, "squeue", "-h", "-j", job, "-o", "%T").strip()


def test_a_batch_job_runs_on_three_nodes_with_their_host_names(cluster: RealCluster) -> None:
    run(cluster, "sbatch", "--wait", "-N3", "-n3", "-o", "hosts.out", "--wrap", "srun hostname")
    assert sorted((cluster.shared / "hosts.out").read_text().split()) == ["node1", "node2", "node3"]


def test_a_step_has_the_gpus_that_it_asked_for(cluster: RealCluster) -> None:
    with lease(cluster, "-N3", "--gres=gpu:4") as job:
        show = "echo $(hostname) $CUDA_VISIBLE_DEVICES"
        printed = run(cluster, "srun", f"--jobid={job}", "--overlap", "-N3", "-n3", "sh", "-c", show)
        assert sorted(printed.splitlines()) == ["node1 0,1,2,3", "node2 0,1,2,3", "node3 0,1,2,3"]
        one = ("srun", f"--jobid={job}", "--overlap", "-N1", "-n1", "-w", "node2", "--gres=gpu:1")
        assert run(cluster, *one, "sh", "-c", show) == "node2 0\n"


def test_two_steps_overlap_on_a_node(cluster: RealCluster) -> None:
    with lease(cluster, "-N1", "--exclusive") as job:
        step = ("srun", f"--jobid={job}", "--overlap", "-N1", "-n1")
        with subprocess.Popen([*step, "sleep", "600"], env=cluster.env) as sleeper:
            list_steps = ("squeue", "-s", "-h", "-o", "%i")
            wait_until(lambda: f"{job}.0" in run(cluster, *list_steps), "the step", SECONDS_MAX)
            assert run(cluster, *step, "echo", "beside") == "beside\n"
            run(cluster, "scancel", f"{job}.0")
            sleeper.wait(timeout=SECONDS_MAX)


def test_a_node_has_its_own_processes_and_tmp_but_shares_files(cluster: RealCluster) -> None:
    private = f"/tmp/private-{os.getpid()}"
    run(cluster, *cluster.argv_in("node1", "touch", private, str(cluster.shared / "public")))
    assert (cluster.shared / "public").exists()
    assert not Path(private).exists()
    assert private not in run(cluster, *cluster.argv_in("node2", "sh", "-c", "echo /tmp/*"))
    assert [line.split()[0] for _, line in cluster.processes("node1")] == ["/usr/sbin/slurmd"]
    assert run(cluster, *cluster.argv_in("node1", "cat", "/proc/1/comm")).startswith("python")


@pytest.mark.timeout(240)
def test_a_node_death_is_noticed_and_the_node_comes_back(small_cluster: RealCluster) -> None:
    with lease(small_cluster, "-N2", "--no-kill", "--no-requeue") as job:
        small_cluster.kill_node("node2")
        assert small_cluster.processes("node2") == []
        small_cluster.wait_for_state("node2", "down*", "down", seconds_max=120)
        assert run(small_cluster, "squeue", "-h", "-j", job, "-o", "%T %N") == "RUNNING node1\n"
        small_cluster.revive_node("node2")
        assert small_cluster.node_states() == {"node1": "mix", "node2": "idle"}


def test_the_port_of_a_node_that_is_down_is_given_to_no_other_cluster(small_cluster: RealCluster) -> None:
    port = int(re.findall(r"NodeName=node2 .*Port=(\d+)", Path(small_cluster.env["SLURM_CONF"]).read_text())[0])
    small_cluster.kill_node("node2")
    with pytest.raises(Unavailable):
        real_slurm.hold_ports(1, among=[port])
    small_cluster.revive_node("node2")


def test_a_slurmd_can_die_and_be_started_beside_its_jobs(small_cluster: RealCluster) -> None:
    with lease(small_cluster, "-N1", "-w", "node1"):
        wait_until(lambda: "sleep 600" in commands_on(small_cluster, "node1"), "the script", SECONDS_MAX)
        small_cluster.kill_slurmd("node1")
        assert "sleep 600" in commands_on(small_cluster, "node1")
        assert "/usr/sbin/slurmd" not in " ".join(commands_on(small_cluster, "node1"))
        small_cluster.start_slurmd("node1")
        assert "/usr/sbin/slurmd" in " ".join(commands_on(small_cluster, "node1"))


def test_a_job_outlives_the_controller(small_cluster: RealCluster) -> None:
    with lease(small_cluster, "-N2") as job:
        small_cluster.save_state(job)
        small_cluster.kill_ctld()
        small_cluster.start_ctld()
        assert state_of(small_cluster, job) == "RUNNING"


def test_stop_leaves_no_process_and_no_cgroup_and_may_be_repeated(cluster_kind: str) -> None:
    with short_directory() as directory:
        cluster = RealCluster(directory / "c", proctrack=cluster_kind, nodes=2)
        cluster.start()
        run(cluster, "sbatch", "-N2", "--wrap", "srun sleep 600")
        wait_until(lambda: len(cluster.processes("node2")) > 1, "a step on node2", SECONDS_MAX)
        started = everything_of(cluster)
        cluster.stop()
        cluster.stop()
        assert [process for process in started if process.is_alive()] == []
        assert mentions(directory) == []
        assert cgroups_of(cluster) == []


@pytest.fixture(params=real_slurm.PROCTRACKS)
def cluster_kind(request: pytest.FixtureRequest) -> str:
    """Each way of tracking processes that works here."""
    require(request.param)
    return str(request.param)


def test_a_cluster_dies_with_the_process_that_started_it() -> None:
    require("linuxproc")
    with short_directory() as directory:
        program = (
            f"import sys; sys.path.insert(0, {os.path.dirname(real_slurm.__file__)!r})\n"
            f"import real_slurm; real_slurm.RealCluster({str(directory / 'c')!r}, nodes=1).start()\n"
            "print('up', flush=True); sys.stdin.read()"
        )
        argv = [sys.executable, "-c", program]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
            assert starter.stdout is not None
            assert starter.stdout.readline() == b"up\n"
            started = everything_of(RealCluster.at(directory / "c"))
            assert len(started) > 3
            starter.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(map(Process.is_alive, started)), "the cluster's end", SECONDS_MAX)
        wait_until(lambda: mentions(directory) == [], "the end of the helpers", SECONDS_MAX)


def test_the_command_line_starts_a_cluster_that_outlives_it_and_stops_it() -> None:
    require("linuxproc")
    tool = [sys.executable, real_slurm.__file__]
    with short_directory() as directory:
        place = str(directory / "c")
        try:
            printed = subprocess.check_output([*tool, "start", place, "--nodes=1"], text=True)
            assert printed == f"export SLURM_CONF={place}/etc/slurm.conf\n"
            printed = subprocess.check_output([*tool, "exec", place, "node1", "hostname"], text=True)
            assert printed == "node1\n"
        finally:
            subprocess.run([*tool, "stop", place], check=True)
        assert mentions(directory) == []


def test_a_directory_with_other_files_is_refused() -> None:
    require("linuxproc")
    with short_directory() as directory:
        (directory / "mine").touch()
        with pytest.raises(ValueError, match="not a cluster's directory"):
            RealCluster(directory).start()
        assert [path.name for path in directory.iterdir()] == ["mine"]


def commands_on(cluster: RealCluster, node: str) -> list[str]:
    """The command lines of the node's processes."""
    return [line for _, line in cluster.processes(node)]


def everything_of(cluster: RealCluster) -> list[Process]:
    """Every process that runs for the cluster, on its nodes or beside them."""
    on_nodes = [pid for node in cluster.nodes for pid, _ in cluster.processes(node)]
    return Process.of_all({*on_nodes, *mentions(cluster.directory)})


def cgroups_of(cluster: RealCluster) -> list[Path]:
    """The cgroups that exist for the cluster's nodes."""
    return [path for node in cluster.nodes for path in cluster.cgroups(node) if path.exists()]


def mentions(directory: Path) -> list[int]:
    """Live processes other than this one with the directory in their command line or environment."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
                if os.fsencode(directory) in text:
                    found.append(int(folder.name))
    return found
