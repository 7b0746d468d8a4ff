"""Hosts that share a home as one lease: whichever has room first takes its tasks, and each comes and goes by itself."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.hosts import BoxOn, Twin, namespace
from tests.patience import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.skipif(not namespace(), reason="nobody here may give a process another host's name")
Lab = tuple[BoxOn, BoxOn]


@pytest.fixture
def lab(short_path: Path) -> Iterator[Lab]:
    """Two hosts in no lease yet."""
    made = BoxOn(short_path, "gpu1"), BoxOn(short_path, "gpu2")
    yield made
    for each in made:
        each.close()


def code_of(command: subprocess.Popen[bytes]) -> int:
    """The exit code of a command that was begun before, with what it said for a failing test."""
    out, err = command.communicate(timeout=PATIENCE_SECONDS)
    print(out.decode(), err.decode())
    return command.returncode


def until_printed(box: BoxOn, task_id: str, text: str) -> None:
    wait_until(lambda: text in box.run("logs", task_id).out, f"{task_id} to print {text}")


def nodes_of(box: BoxOn) -> list[str]:
    """The hosts of the lease lab now."""
    found = {each["id"]: each["nodes"] for each in box.run("lease", "ls", "--json", code=0).json["leases"]}
    assert isinstance(found["lab"], list)
    return found["lab"]


def test_whichever_host_has_room_first_takes_a_task_and_a_pinned_one_waits_for_its_own(lab: Lab) -> None:
    first, second = lab
    assert first.join() == second.join() == "lab"
    assert nodes_of(first) == nodes_of(second) == ["gpu1", "gpu2"]
    gate = first.path / "gate"
    line = f"hostname; until [ -e {gate} ]; do sleep 0.05; done"
    # A task without a need takes all of its node, so both nodes have one, whoever has submitted them.
    both = [first.submit(line), first.submit(line)]
    pinned = second.submit("hostname", options=("--node", "gpu1"))
    for each in both:
        first.until(each, "RUNNING")
    assert {first.task(each)["node"] for each in both} == {"gpu1", "gpu2"}
    assert first.task(pinned)["state"] == "PENDING"
    gate.touch()
    for each in (*both, pinned):
        second.run("wait", each, code=0)
    said = [second.run("logs", each, code=0).out.split() for each in (*both, pinned)]
    assert sorted(said[:2]) == [["gpu1"], ["gpu2"]] and said[2] == ["gpu1"]
    # Cancel and signal of what runs on the other host go by files.
    far = first.submit("trap 'echo heard; exit 4' USR1; echo up; while :; do sleep 0.05; done", options=("-w", "gpu2"))
    until_printed(first, far, "up")
    first.run("signal", far, "USR1", code=0)
    assert first.until(far, "FAILED")["exit_code"] == 4
    far = first.submit("sleep 1000", options=("-w", "gpu2"))
    first.until(far, "RUNNING")
    first.run("cancel", far, code=0)
    first.until(far, "CANCELLED")


@pytest.mark.slow
def test_a_host_that_leaves_ends_nothing_and_is_out_once_it_holds_nothing(lab: Lab) -> None:
    first, second = lab
    first.join(), second.join()
    task_id = first.submit("echo up; exec sleep 1000", options=("-c", "1", "-w", "gpu2"))
    until_printed(first, task_id, "up")
    said = second.run("daemon", "stop", "--json", code=0).json
    assert (said["lease"], said["stopped"], said["out"], said["tasks"]) == ("lab", True, False, [task_id])
    assert nodes_of(first) == ["gpu1", "gpu2"]
    # The runner has stopped and the task goes on: what another host sees of that is no proof of anything.
    refused = first.run("recover", task_id, code=2)
    assert "gpu2 alone can tell" in refused.err and "daemon start --lease lab" in refused.err
    # Its own lease is not to give the same GPUs away meanwhile.
    refused = second.run("daemon", "start", code=2)
    assert "serves lease lab" in refused.err and "--lease lab --kill" in refused.err
    second.join()
    assert first.until(task_id, "RUNNING")["attempt"] == 1
    draining = second.popen("daemon", "stop", "--drain")
    wait_until(lambda: "draining" in first.run("status").out, "the drain")
    first.run("cancel", task_id, code=0)
    assert code_of(draining) == 0
    assert nodes_of(first) == ["gpu1"]
    # The other one goes on, and the one that has left serves its own lease, until that stops.
    first.run("wait", first.submit("true"), code=0)
    assert second.run("daemon", "start", "--json", code=0).json["lease"] == "local:gpu2"
    refused = second.run("daemon", "start", "--lease", "lab", code=2)
    assert "serves lease local:gpu2" in refused.err
    assert second.run("daemon", "stop", "--json", code=0).json["lease"] == "local:gpu2"
    second.join()
    assert second.run("daemon", "stop", "--json", code=0).json["lease"] == "lab"


def test_a_task_that_wants_it_goes_on_elsewhere_when_its_host_is_taken_out(lab: Lab) -> None:
    first, second = lab
    first.join(), second.join()
    task_id = first.submit("hostname; exec sleep 1000", options=("-c", "1", "--requeue"))
    until_printed(first, task_id, "gpu")
    was_on = first.task(task_id)["node"]
    leaves, stays = (first, second) if was_on == "gpu1" else (second, first)
    assert leaves.run("daemon", "stop", "--kill", "--json", code=0).json["out"] is True
    assert stays.until(task_id, "RUNNING")["attempt"] == 2
    assert stays.task(task_id)["node"] == stays.name
    # From the other host it is asked for by files.
    leaves.join()
    done = leaves.run("lease", "release", "lab", "--node", stays.name, "--yes", code=0)
    assert f"host {stays.name} of lease lab is given back" in done.err
    assert nodes_of(leaves) == [leaves.name]
    assert leaves.until(task_id, "RUNNING")["attempt"] == 3


@pytest.mark.slow
def test_a_runner_that_was_killed_leaves_its_tasks_to_the_next_one_and_the_other_host_decides_nothing(lab: Lab) -> None:
    first, second = lab
    first.join(), second.join()
    gate = first.path / "gate"
    line = f"echo up; until [ -e {gate} ]; do sleep 0.05; done; exit 7"
    task_id = first.submit(line, options=("-c", "1", "-w", "gpu2"))
    until_printed(first, task_id, "up")
    second.kill_runner()
    assert second.run("daemon", "status").code == 3
    # Nobody but that host can tell, whatever is tried elsewhere.
    assert first.run("recover", task_id).code == 2
    refused = first.run("lease", "release", "lab", "--yes")
    assert refused.code != 0 and "gpu2" in refused.err
    assert first.run("lease", "ls", "--json").json["leases"][0]["state"] == "RUNNING"
    first.join()
    first.run("wait", first.submit("true"), code=0)
    gate.touch()
    second.join()
    assert first.until(task_id, "FAILED")["exit_code"] == 7
    history = first.run("lease", "info", "lab", "--json", code=0).json["lease"]["history"]
    assert [each["id"] for each in history] == ["gpu1", "gpu2", "gpu1.2"]
    assert [each["until"] is None for each in history] == [False, True, True]


def test_a_lease_without_a_host_waits_for_one_and_ends_only_when_it_is_released(lab: Lab) -> None:
    first, second = lab
    first.join()
    first.run("daemon", "stop", code=0)
    said = second.run("submit", "--", "hostname", code=0)
    assert "no host: `leaseq daemon start --lease lab`" in said.err
    (lease,) = second.run("lease", "ls", "--json", code=0).json["leases"]
    assert (lease["state"], lease["nodes"], lease["default"]) == ("PENDING", [], True)
    assert "daemon start --lease lab" in second.run("why", said.id, code=0).out
    assert second.run("shell", "--", "true").code != 0
    second.join()
    second.run("wait", said.id, code=0)
    elsewhere = first.run("shell", "--", "true")
    assert elsewhere.code != 0 and "ssh -t gpu2 leaseq shell --lease lab" in elsewhere.err
    assert second.run("shell", "--", "hostname", code=0).out == "gpu2\n"
    first.run("lease", "release", "lab", "--yes", code=0)
    (lease,) = first.run("lease", "ls", "--all", "--json", code=0).json["leases"]
    assert (lease["state"], lease["reason"]) == ("ENDED", "released")
    assert first.run("submit", "--lease", "lab", "--", "true").code == 2
    # The name is free for the next one.
    assert first.join() == second.join() == "lab.2"
    assert first.run("submit", "--lease", "lab", "--no-start", "--", "true", code=0)


def test_hosts_that_come_at_the_same_moment_are_in_one_lease(lab: Lab) -> None:
    starting = [each.popen("daemon", "start", "--lease", "lab") for each in lab for _ in range(2)]
    assert [code_of(each) for each in starting] == [0] * 4
    assert sorted(nodes_of(lab[0])) == ["gpu1", "gpu2"]
    assert sorted(os.listdir(lab[0].home / "runs" / "lab" / "allocs")) == ["gpu1", "gpu2"]


def test_of_two_leases_that_a_host_is_to_serve_at_the_same_moment_one_is(lab: Lab) -> None:
    host = lab[0]
    words = (("daemon", "start"), ("daemon", "start", "--lease", "lab"), ("daemon", "start", "--lease", "other"))
    starting = [host.popen(*each) for each in words]
    codes = [code_of(each) for each in starting]
    assert sorted(codes) == [0, 2, 2], codes
    alive = host.run("daemon", "status", "--json", code=0).json
    assert alive["lease"] == ("local:gpu1", "lab", "other")[codes.index(0)]


def test_names_that_no_lease_of_hosts_can_have(lab: Lab) -> None:
    host = lab[0]
    for word in ("12", "a.b", "", "x" * 41, "local:gpu2", "../up", ".", "-x"):
        assert host.run("daemon", "start", "--lease", word).code == 2
    assert not (host.home / "runs").exists()
    assert host.run("daemon", "stop", "--lease", "lab").code == 2
    (host.home / "config.yaml").write_text("local: never\n")
    assert host.run("daemon", "start", "--lease", "lab").code == 2
    assert not (host.home / "runs" / "lab").exists()


@pytest.mark.slow
def test_a_host_whose_runner_does_not_end_stays_in_its_lease(lab: Lab) -> None:
    host = lab[0]
    host.join()
    os.kill(host.runner_pid, signal.SIGSTOP)
    stopping = host.popen("daemon", "stop")
    assert code_of(stopping) != 0
    assert nodes_of(host) == ["gpu1"]


def test_what_was_asked_of_a_host_that_did_not_hear_it_is_not_asked_when_it_comes_again(lab: Lab) -> None:
    host = lab[0]
    host.join()
    host.kill_runner()
    control = host.home / "runs" / "lab" / "control" / "gpu1"
    for request in ("release", "drain", "stop"):
        (control / f"{request}.0123456789").write_text('{"v": 1}\n')
    host.join()
    host.run("wait", host.submit("true"), code=0)
    assert nodes_of(host) == ["gpu1"]


def test_another_machine_of_the_same_name_is_refused_until_the_first_is_out(lab: Lab, short_path: Path) -> None:
    twin = Twin(short_path, "twin")
    if not twin.works():
        pytest.skip("nobody here may give a process another machine id")
    first, second = lab
    first.join(), second.join()
    for words in (("daemon", "start"), ("daemon", "stop")):
        refused = twin.run(*words, "--lease", "lab", code=2)
        assert "has a host gpu2, and that is another machine" in refused.err
    assert nodes_of(twin) == ["gpu1", "gpu2"]
    twin.run("lease", "release", "lab", "--node", "gpu2", "--yes", code=0)
    assert nodes_of(twin) == ["gpu1"]
    assert second.run("daemon", "status").code == 3
    twin.join()
    assert second.run("daemon", "start", "--lease", "lab").code == 2
    twin.run("wait", twin.submit("hostname", options=("--node", "gpu2")), code=0)
    twin.close()


@pytest.mark.slow
def test_a_host_that_was_taken_out_unheard_leaves_by_itself_when_it_comes_again(lab: Lab) -> None:
    first, second = lab
    first.join(), second.join()
    pid, beat = second.runner_pid, second.home / "runs" / "lab" / "hb" / "gpu2.json"
    wait_until(beat.exists, "its first heartbeat")
    os.kill(pid, signal.SIGSTOP)
    os.utime(beat, (1, 1))
    said = first.run("lease", "release", "lab", "--node", "gpu2", "--yes", code=0)
    assert "goes on with gpu1" in said.err
    assert second.run("daemon", "start", "--lease", "lab").code != 0
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: second.run("daemon", "status", "--lease", "lab").code == 3, "the end of its runner")
    assert nodes_of(first) == ["gpu1"]
    second.join()
    assert nodes_of(first) == ["gpu1", "gpu2"]
