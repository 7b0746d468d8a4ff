"""Two versions of leaseq on one lease: what the older cannot read it refuses with words, and leaves as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leaseq.models import ANY, Outcome, State, Task
from leaseq.names import new_incarnation, new_task_id, order
from leaseq.schema import SCHEMA
from leaseq.world import hostname
from tests.e2e.cli import Box
from tests.e2e.harness import Node
from tests.patience import PATIENCE_SECONDS, wait_until

LATER = SCHEMA + 1
NEWER = f"schema version {LATER} is newer than this leaseq's {SCHEMA}"


def named(task_id: str, *, need: str = "x", attempt: int = 1) -> str:
    """A pending file's name, first in the order."""
    return f"{order(priority=499, micros=1, sequence=0)}.{task_id}.{need}.{attempt}"


def later_task(task_id: str, **more: object) -> bytes:
    """A task as a later leaseq may write it: what it must keep, and a command that this one knows nothing of."""
    return json.dumps({"v": LATER, "id": task_id, "node": ANY, "graph": [["true"]], **more}).encode()


def later_outcome(task_id: str, *, node: str) -> bytes:
    task = Task(id=task_id, argv=("true",), cwd="/", submitted=0.0)
    return json.dumps({**Outcome(task, 1, State.LOST, node=node).as_record(), "v": LATER}).encode()


def said_in_the_heartbeat(node: Node, words: str) -> None:
    """The node's note holds the words."""

    def look() -> bool:
        beat = node.beat()
        return beat is not None and words in beat.note

    wait_until(look, f"a note of {words!r}", seen=lambda: node.beat())


# -- the runner ------------------------------------------------------------------------------------


@pytest.mark.parametrize("inbox", [ANY, "vm"])
def test_a_runner_leaves_a_newer_task_pending_says_so_and_runs_the_others(node: Node, inbox: str) -> None:
    task_id = new_task_id()
    path = Path(node.lease.inbox(inbox), named(task_id))
    path.write_bytes(later_task(task_id, node=inbox))
    before = path.read_bytes()
    node.start()
    assert node.result(node.submit("true")).state is State.DONE
    said_in_the_heartbeat(node, NEWER)
    assert (beat := node.beat()) and beat.waiting == {task_id: "Newer"}
    assert path.read_bytes() == before
    assert node.outcome(task_id) is None
    assert node.names(node.lease.evidence) == node.names(node.lease.claimed(node.name)) == []
    assert node.names(node.directory.rec) == []


def test_a_runner_leaves_a_need_that_it_does_not_know_to_those_who_do(node: Node) -> None:
    path = Path(node.lease.inbox(ANY), named(new_task_id(), need="c1p4"))
    path.write_bytes(b"whatever a later leaseq writes")
    node.start()
    assert node.result(node.submit("true")).state is State.DONE
    said_in_the_heartbeat(node, "c1p4")
    assert path.exists() and node.names(node.lease.evidence) == []


def test_a_runner_that_died_with_a_newer_claim_gives_it_back_when_it_starts_again(node: Node) -> None:
    runner = node.start()
    beat = node.beat()
    assert beat is not None
    node.kill(runner)
    task_id = new_task_id()
    claim = Path(node.lease.claimed(node.name), f"{named(task_id)}.{beat.incarnation}")
    claim.write_bytes(later_task(task_id))
    node.start()
    assert Path(node.lease.inbox(ANY), named(task_id)).exists()
    assert not claim.exists() and node.outcome(task_id) is None


def test_a_newer_claim_and_a_newer_outcome_are_left_to_the_newer_leaseq(node: Node) -> None:
    """A newer command has recovered one and cancelled another, and died of it: nothing of theirs is moved."""
    recovered, cancelled, booked, foreign = (new_task_id() for _ in range(4))
    kept = {
        Path(node.lease.claimed(node.name), f"{named(recovered)}.{new_incarnation()}"): later_task(recovered),
        Path(node.lease.outcome(recovered, 1)): later_outcome(recovered, node=node.name),
        Path(node.lease.claimed("_cli"), f"{named(cancelled)}.{new_incarnation()}"): later_task(cancelled),
        Path(node.lease.booking, f"{booked}.1"): later_outcome(booked, node=""),
        Path(node.lease.claimed(node.name), f"{named(foreign)}.{new_incarnation()}"): later_task(foreign),
    }
    for path, data in kept.items():
        path.write_bytes(data)
    node.start()
    assert node.result(node.submit("true")).state is State.DONE
    said_in_the_heartbeat(node, NEWER)
    assert {path: path.read_bytes() for path in kept} == kept
    assert node.names(node.lease.evidence) == []


def newer_heartbeat(node: Node) -> None:
    beat = {"v": LATER, "lease": node.lease_id, "node": node.name, "state": {"word": "stopped"}}
    Path(node.lease.heartbeat(node.name)).write_text(json.dumps(beat))


def newer_term(node: Node) -> None:
    Path(node.lease.term("vm", 3)).write_text(json.dumps({"v": LATER, "who": "n1"}))


def newer_history(node: Node) -> None:
    line = {"v": LATER, "id": new_task_id(), "totals": [1, 2, 3]}
    Path(node.lease.events(node.name)).write_text(json.dumps(line) + "\n")


def newer_lease(node: Node) -> None:
    body = json.loads(Path(node.lease.record).read_text())
    Path(node.lease.record).write_text(json.dumps({**body, "v": LATER}))


@pytest.mark.parametrize("how", [newer_heartbeat, newer_term, newer_history, newer_lease])
def test_a_runner_does_not_take_over_what_a_newer_one_has_served(node: Node, how: Any) -> None:
    claim = Path(node.lease.claimed(node.name), f"{named(new_task_id())}.{new_incarnation()}")
    claim.write_bytes(b"the newer runner's")
    how(node)
    runner = node.start(wait=False)
    assert runner.wait(timeout=PATIENCE_SECONDS) == 2
    said = node.said.read_text()
    assert "newer" in said and "Traceback" not in said
    assert claim.exists() and node.names(node.lease.evidence) == []


def test_a_request_of_a_newer_command_is_set_aside_with_its_reason(node: Node) -> None:
    node.start()
    node.ask("ending", v=LATER, signal={"name": "USR1"})

    def reasons() -> list[str]:
        found = Path(node.lease.evidence).glob("ending.*.reason")
        return [path.read_text() for path in found if path.stat().st_size]

    assert NEWER in wait_until(reasons, "the reason", seen=node.everything)[0]


# -- the command line ------------------------------------------------------------------------------


def lease_of(box: Box) -> Path:
    """The directory of this host's lease, made by a held task."""
    box.run("submit", "--no-start", "--hold", "--", "true", code=0)
    return box.home / f"runs/local:{hostname()}"


def test_a_newer_lease_record_is_refused_by_every_command_and_stays(box: Box) -> None:
    path = lease_of(box) / "lease.json"
    newer = json.dumps({**json.loads(path.read_text()), "v": LATER, "kind": ["local"]}).encode()
    path.write_bytes(newer)
    for words in (["submit", "--no-start", "--", "true"], ["daemon", "start"], ["lease", "info", "local"]):
        said = box.run(*words, code=2)
        assert NEWER in said.err, said
    assert NEWER in box.run("status", code=0).err
    assert NEWER in box.run("lease", "ls", code=0).err
    assert NEWER in box.run("lease", "ls", "--json", code=0).json["unreadable"][path.parent.name]
    assert NEWER in json.loads(box.run("submit", "--json", "--", "true", code=2).out)["error"]["message"]
    assert path.read_bytes() == newer


def test_a_record_that_is_none_is_set_aside_and_written_anew(box: Box) -> None:
    lease = lease_of(box)
    (lease / "lease.json").write_bytes(b"{")
    box.run("submit", "--no-start", "--hold", "--", "true", code=0)
    assert json.loads((lease / "lease.json").read_text())["kind"] == "local"
    assert [path.read_bytes() for path in (lease / "evidence").glob("lease.json.??????????")] == [b"{"]


def test_a_newer_index_is_not_taken_for_no_choice(box: Box) -> None:
    lease_of(box)
    newer = json.dumps({"v": LATER, "default": {"id": "42"}, "leases": {}}).encode()
    (box.home / "index.json").write_bytes(newer)
    assert NEWER in box.run("submit", "--no-start", "--", "true", code=2).err
    assert NEWER in box.run("lease", "use", "local", code=2).err
    box.run("submit", "--no-start", "--hold", "--lease", "local", "--", "true", code=0)
    assert NEWER in box.run("lease", "ls", code=2).err
    assert (box.home / "index.json").read_bytes() == newer


def test_a_newer_task_is_shown_moved_and_not_cancelled(box: Box) -> None:
    lease = lease_of(box)
    task_id = new_task_id()
    (lease / "inbox/_any" / named(task_id)).write_bytes(later_task(task_id))
    shown = {task["id"]: task for task in box.run("tasks", "--json", code=0).json["tasks"]}[task_id]
    assert shown["state"] == "PENDING" and NEWER in shown["command"]
    assert NEWER in box.run("cancel", task_id, code=1).err
    assert NEWER in box.run("info", task_id, code=0).out
    assert box.run("hold", task_id, code=0) and box.run("release", task_id, code=0)
    assert (lease / "inbox/_any" / named(task_id)).read_bytes() == later_task(task_id)
    assert not list((lease / "claimed/_cli").iterdir())


def test_a_newer_lost_task_and_a_newer_key_are_left_as_they_are(box: Box) -> None:
    lease = lease_of(box)
    task_id = new_task_id()
    lost = lease / "lost" / f"{named(task_id)}.{new_incarnation()}"
    lost.write_bytes(later_task(task_id))
    assert NEWER in box.run("recover", "--no-start", task_id, code=2).err
    assert NEWER in box.run("recover", "--no-start", "--all", code=2).err
    assert lost.read_bytes() == later_task(task_id)
    box.run("submit", "--no-start", "--hold", "--key", "k", "--", "true", code=0)
    (key,) = (lease / "keys").glob("[0-9a-f]*")
    key.write_text(json.dumps({"v": LATER, "task": [task_id]}))
    assert NEWER in box.run("submit", "--no-start", "--hold", "--key", "k", "--", "true", code=2).err
    assert json.loads(key.read_text())["v"] == LATER


def test_a_newer_outcome_is_said_to_be_one_and_nothing_waits_for_ever(box: Box) -> None:
    lease = lease_of(box)
    task_id = new_task_id()
    (lease / f"done/{task_id[1]}/{task_id}.1").write_bytes(later_outcome(task_id, node=""))
    for words in (["wait", task_id], ["info", task_id], ["follow", task_id]):
        said = box.run(*words)
        assert said.code in (2, 75) and said.err.startswith("leaseq: "), said
    box.run("clean", "--older-than", "0s", "--yes")
    assert (lease / f"done/{task_id[1]}/{task_id}.1").exists()
