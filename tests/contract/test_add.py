"""leaseq add: every spelling of Slurm's options, waiting, refusals, and one runner per node."""

from __future__ import annotations

import json
import os
import shlex
import signal

import pytest

from tests.contract.site import Site, umask


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-plong -N2 -t5", {"Partition": "long", "NumNodes": "2", "TimeLimit": "00:05:00"}),
        ("-p long -N 2 -t 5", {"Partition": "long", "NumNodes": "2", "TimeLimit": "00:05:00"}),
        ("--partition=long --nodes=1 --time=0:05:00", {"Partition": "long", "NumNodes": "1"}),
        ("-- --partition long --nodes 1", {"Partition": "long", "NumNodes": "1"}),
        ("--part=long", {"Partition": "long"}),
        ("--exclusive", {"NumCPUs": "8"}),
        ("--exclusive=user -N1", {"NumNodes": "1"}),
        ("-p gpu -p long", {"Partition": "long"}),
        ("--requeue", {"Requeue": "1"}),
        ("--no-requeue", {"Requeue": "0"}),
        ("-J mine", {"JobName": "mine"}),
        ("--name sweep -N1", {"JobName": "sweep"}),
        ("-w node2", {"NodeList": "node2"}),
        ("-x node1,node2", {"NodeList": "node3"}),
        ("-n4 -c2 -N1", {"NumCPUs": "8"}),
    ],
)
def test_slurms_options_mean_what_they_mean_to_sbatch(site: Site, words: str, expected: dict[str, str]) -> None:
    lease = site.add(*shlex.split(words))
    job = site.job(lease)
    assert {name: job.get(name) for name in expected} == expected


def test_sbatch_variables_of_the_environment_count_and_the_command_line_wins(site: Site) -> None:
    lease = site.ok("add", "--detach", "-t", "7", SBATCH_PARTITION="long", SBATCH_TIMELIMIT="3", SLURM_NNODES="9")
    job = site.job(lease)
    assert (job["Partition"], job["TimeLimit"], job["NumNodes"]) == ("long", "00:07:00", "1")


def test_each_node_has_one_runner_with_its_own_name_and_gpus(site: Site) -> None:
    lease = site.add("-N3", "--gres=gpu:2")
    beats = site.beats(lease)
    assert sorted(beats) == ["node1", "node2", "node3"]
    for node, beat in beats.items():
        assert beat["host"] == node
        assert beat["gpus"] == ["0", "1"]
    for node in site.cluster.nodes:
        runners = [line for _, line in site.cluster.processes(node) if f"run --lease {lease} --node {node}" in line]
        assert len(runners) == 1, runners


@pytest.mark.parametrize(
    ("words", "gpus"),
    [
        ("-N2", [0, 0]),
        ("-N2 --gpus=4", [1, 3]),
        ("-N2 --gpus-per-node=1", [1, 1]),
        ("-N2 --exclusive", [4, 4]),
        ("-N1 --exclusive --gpus-per-node=2", [4]),
        ("-N2 -n4 --gpus-per-task=1", [1, 3]),
        ("-N2 -n4 --ntasks-per-node=2 --gpus-per-task=2", [4, 4]),
    ],
)
def test_runners_and_shells_have_what_their_node_was_granted(site: Site, words: str, gpus: list[int]) -> None:
    lease = site.add(*words.split())
    granted = {node: beat.get("gpus", []) for node, beat in site.beats(lease).items()}
    assert sorted(map(len, granted.values())) == gpus  # type: ignore[arg-type]
    for node, tokens in granted.items():
        done = site.leaseq("shell", "--lease", lease, "--node", node, "--", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
        assert done.stdout.strip() == ",".join(tokens), done.stderr  # type: ignore[arg-type]
    site.release(lease)


def test_the_record_says_what_was_asked_and_the_script_leaves_nothing_in_the_cwd(site: Site) -> None:
    before = sorted(path.name for path in site.directory.iterdir())
    lease = site.add("-pgpu", "-N", "1", "--comment=a b")
    record = site.record(lease)
    assert record["argv"] == ["-pgpu", "-N", "1", "--comment=a b"]
    assert record["kind"] == "slurm"
    assert sorted(path.name for path in site.directory.iterdir()) in (before, sorted([*before, "home"]))


def test_an_output_file_that_slurm_makes_has_the_umask_of_whoever_asked(site: Site) -> None:
    output = site.directory / "x.out"
    with umask(0o027):
        site.add("-N1", "--output", str(output))
    assert output.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-p nope", "invalid partition"),
        ("--bogus-option=1", "unrecognized option"),
        ("-t never", "time"),
        ("-N9", "Node count"),
        ("-w node77", "node name"),
    ],
)
def test_a_refusal_of_sbatch_is_told_in_its_own_words(site: Site, words: str, said: str) -> None:
    done = site.leaseq("add", "--detach", *shlex.split(words))
    assert done.returncode == 1
    assert said.lower() in done.stderr.lower()
    assert done.stdout == ""
    assert list((site.home / "runs").iterdir()) == []
    assert list((site.home / "scripts").iterdir()) == []


def test_a_lease_that_must_wait_says_why_and_stays_queued(site: Site) -> None:
    first = site.add("-N3", "--exclusive")
    done = site.leaseq("add", "--wait", "4", "-N1", "--exclusive", "-t", "5")
    assert done.returncode == 124
    assert "PENDING (Resources)" in done.stderr or "PENDING (Priority)" in done.stderr
    second = done.stdout.strip()
    assert f"leaseq shell --lease {second}" in done.stderr
    assert site.squeue("-j", second, "-o", "%T") == ["PENDING"]
    site.release(first)
    site.started(second)


def test_an_interrupted_wait_leaves_the_lease_queued(site: Site) -> None:
    first = site.add("-N3", "--exclusive")
    terminal = site.terminal("add", "-N1", "-t", "5", "--exclusive")
    terminal.expect("PENDING (", seconds_max=40)
    terminal.type("\x03")
    terminal.expect("stays as it is")
    assert terminal.end() == 130
    assert sorted(site.squeue("-o", "%T")) == ["PENDING", "RUNNING"]
    site.release(first)


def test_a_dry_run_asks_for_nothing(site: Site) -> None:
    printed = site.ok("add", "--dry-run", "-N2", "-p", "nope")
    assert printed.startswith("# sbatch --parsable -N2 -p nope ")
    assert "#!/bin/bash" in printed
    assert not site.home.exists()
    assert site.squeue() == []


def test_a_killed_runner_comes_back_on_its_node_alone(site: Site) -> None:
    lease = site.add("-N2")
    before = site.beats(lease)
    (pid,) = [pid for pid, line in site.cluster.processes("node2") if f"run --lease {lease} --node node2" in line]
    os.kill(pid, signal.SIGKILL)
    site.wait_until(
        lambda: site.beats(lease)["node2"]["incarnation"] != before["node2"]["incarnation"], "another runner"
    )
    assert site.beats(lease)["node1"]["incarnation"] == before["node1"]["incarnation"]
    assert site.squeue("-o", "%T") == ["RUNNING"]


def test_a_node_that_cannot_start_a_runner_says_so_within_seconds(site: Site) -> None:
    site.home.mkdir(mode=0o700)
    (site.home / "templates").mkdir()
    (site.home / "templates" / "lease.sh.j2").write_text(
        '#leaseq extends "packaged/lease.sh.j2"\n#leaseq set tries_max = 4\n#leaseq set python = "/nowhere/python"\n'
    )
    lease = site.ok("add", "--detach", "-N2")
    site.ok("lease", "ls")  # asks Slurm now, so that the next command knows of no end before it asks again, in 2 s
    site.wait_until(lambda: site.notes(lease).count("cannot see /nowhere/python") == 2, "the notes", seconds_max=15)
    site.wait_until(lambda: not site.squeue("-j", lease, "-o", "%i"), "the end of a lease without any runner")
    done = site.leaseq("shell", "--lease", lease)
    assert done.returncode == 1
    assert "cannot see /nowhere/python" in done.stderr
    assert "has ended" in done.stderr


def test_a_step_that_does_not_start_says_so_in_sruns_words(site: Site) -> None:
    site.home.mkdir(mode=0o700)
    (site.home / "templates").mkdir()
    (site.home / "templates" / "lease.sh.j2").write_text(
        '#leaseq extends "packaged/lease.sh.j2"\n#leaseq set step_seconds = 1\n'
    )
    gate, programs, path = site.directory / "gate", site.directory / "bin", site.env["PATH"]
    programs.mkdir()
    waits = "srun: Job step creation temporarily disabled, retrying (Requested nodes are busy)"
    (programs / "srun").write_text(
        f"#!/bin/bash\necho {shlex.quote(waits)} >&2\nuntil [ -e {gate} ]; do sleep 0.1; done\n"
        f'PATH={shlex.quote(path)} exec srun "$@"\n'
    )
    (programs / "srun").chmod(0o755)
    lease = site.ok("add", "--detach", "-N2", PATH=f"{programs}:{path}")
    said = [f"the step of {node} has not started: {waits}" for node in ("node1", "node2")]
    site.wait_until(lambda: all(words in site.notes(lease) for words in said), "the notes")
    assert said[0] in site.ok("lease", "info", lease)
    gate.touch()
    site.started(lease)
    site.wait_until(lambda: not site.notes(lease), "the end of the notes")
    assert "the step has begun on node2" in site.script_log(lease)
    assert waits in site.script_log(lease)


def test_a_dry_run_says_when_the_job_would_start_and_queues_nothing(site: Site) -> None:
    done = site.leaseq("add", "--dry-run", "-N1", "-t", "10")
    assert done.returncode == 0 and done.stderr.startswith("leaseq: -t 10 would start about 2"), done.stderr
    impossible = site.leaseq("add", "--dry-run", "-N9", "-t", "10")
    assert (impossible.returncode, impossible.stderr) == (0, ""), impossible.stderr
    assert site.squeue("-o", "%i") == []


def test_less_time_would_start_before_a_maintenance(site: Site) -> None:
    if site.cluster.kind == "mock":
        pytest.skip("the mock has no reservations")
    when = ("starttime=now+15minutes", "duration=60", "nodes=ALL", "flags=maint,ignore_jobs", "users=root")
    site.slurm("scontrol", "create", "reservation", "reservationname=upkeep", *when)
    try:
        document = json.loads(site.ok("add", "--dry-run", "--json", "-N1", "-t", "40"))
        assert [each["limit"] for each in document["estimates"]] == ["40", "10"]
        terminal = site.terminal("add", "--wait", "1", "-N1", "-t", "40")
        terminal.expect("-t 40 would start about 2")
        terminal.expect("-t 10 would start about 2")
        terminal.end()
    finally:
        site.slurm("scontrol", "delete", "reservation=upkeep")
