"""What a node tells hooks, and when: nothing is forgotten, and what is of the lease is told by one of its nodes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from leaseq.layout import Home
from leaseq.models import Event, Lease, State
from leaseq.node.hook import Ended
from leaseq.protocol import files, history, hooks
from leaseq.protocol.hooks import EVENTS, Hook
from leaseq.runner.notify import Notifier
from leaseq.world import SystemFs
from tests.build import Clock, make_alloc


class Place:
    """A lease with hooks, and nodes that tell."""

    def __init__(self, path: Path, *, kind: str = "slurm") -> None:
        self.fs, self.clock = SystemFs(remote=False, owner=os.getuid()), Clock()
        self.home = Home(str(path))
        self.lease = self.home.lease("L")
        (path / "runs").mkdir(mode=0o700)
        files.make(self.fs, self.lease.directories())
        self.record = Lease(id="L", kind=kind, created=1.0, nodes=("n1", "n2"))
        files.replace_file(self.fs, self.lease.record, self.record.to_json())
        self.left: float | None = None
        self.codes: list[int | None] = []
        self.told: list[dict[str, Any]] = []
        self.totals: dict[str, int] = {}
        self.tasks = 0

    def hook(self, name: str = "h", *on: str) -> None:
        hooks.write(self.fs, self.home, Hook(name, on or tuple(EVENTS), ("x",)))

    def node(self, node: str = "n1") -> Notifier:
        return Notifier(
            self.fs,
            self.home,
            self.lease,
            node,
            self.record,
            make_alloc("L", "7"),
            self.clock,
            left=lambda: self.left,
            is_first=lambda: node == "n1",
            call=self._call,
        )

    def _call(self, argv: Sequence[str], *, shell: bool, document: bytes, env: Mapping[str, str]) -> Ended:
        body = json.loads(document)
        assert env["LEASEQ_TEXT"] == body["text"] and sum(body["counts"].values()) >= len(body["events"])
        self.told.append(body)
        return Ended(self.codes.pop(0) if self.codes else 0, "words")

    def ends(self, state: State = State.DONE, node: str = "n1", **fields: Any) -> str:
        """A task has ended there."""
        self.tasks += 1
        event = Event(id=f"T{self.tasks:011d}", attempt=1, state=state, ended=5.0, node=node, **fields)
        if not event.requeued:
            self.totals[state.name] = self.totals.get(state.name, 0) + 1
        line = Event(**{**vars(event), "totals": dict(self.totals)})
        history.record_events(self.fs, self.lease, node, [line])
        return event.id

    def later(self, seconds: float = 61.0) -> None:
        self.clock.at += seconds

    @property
    def events(self) -> list[str]:
        return [each.get("id") or each["event"] for one in self.told for each in one["events"]]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_without_hooks_one_directory_is_looked_at_once_a_minute(place: Place) -> None:
    asked: list[str] = []
    own = place.fs.names
    place.fs.names = lambda directory: asked.append(directory) or own(directory)  # type: ignore[method-assign,func-returns-value]
    node = place.node()
    assert [node.look() for _ in range(5)] == [60.0] * 5
    assert asked == [place.home.hooks]


def test_a_hook_hears_of_what_comes_after_it_was_added_and_of_all_of_that(place: Place) -> None:
    place.ends()
    place.hook("h", "done", "failed", "lost")
    node = place.node()
    node.look()
    assert place.told == []
    first = [place.ends(), place.ends(State.TIMEOUT), place.ends(State.LOST), place.ends(State.CANCELLED)]
    place.ends(State.FAILED, requeued="retry")
    node.look()
    assert place.events == first[:3]
    assert [each["event"] for each in place.told[0]["events"]] == ["done", "failed", "lost"]


def test_a_hook_that_is_added_later_hears_of_no_start_and_no_empty_queue_of_before(place: Place) -> None:
    node = place.node()

    def look() -> list[str]:
        for _ in range(3):
            place.later()
            node.look()
        return place.events

    place.ends()
    node.look()
    place.hook()
    place.left = 60.0
    assert look() == ["ending"], "that goes on"
    task = place.ends()
    assert look() == ["ending", task, "empty"]
    place.hook("other", "started", "empty")
    assert look() == ["ending", task, "empty"]


def test_what_happens_within_a_minute_is_told_together(place: Place) -> None:
    place.hook("h", "done")
    node = place.node()
    node.look()
    place.ends()
    node.look()
    later = [place.ends() for _ in range(150)]
    for _ in range(10):
        place.later(5)
        node.look()
    assert len(place.told) == 1
    place.later()
    node.look()
    assert len(place.told) == 2 and place.told[1]["counts"] == {"done": 150}
    assert place.events[1:] == later[:100]


def test_a_crash_before_it_is_written_down_tells_it_again_and_after_that_never(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.hook("h", "failed")
    place.node().look()
    task = place.ends(State.FAILED)
    broken = place.node()
    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(hooks, "keep", _die)
        broken.look()
    assert place.events == [task]
    place.node().look()
    assert place.events == [task, task]
    place.later()
    place.node().look()
    assert place.events == [task, task]


def _die(*words: object) -> None:
    raise RuntimeError("here the runner is killed")


def test_a_runner_that_leaves_tells_what_is_new_at_once(place: Place) -> None:
    place.hook("h", "done")
    node = place.node()
    node.look()
    place.ends()
    node.look()
    task = place.ends()
    node.look(last=True)
    assert place.events[-1] == task


def test_that_nothing_is_left_is_told_by_one_node_and_again_after_more_has_ended(place: Place) -> None:
    place.hook("h", "empty")
    nodes = [place.node("n1"), place.node("n2")]
    for node in nodes:
        node.look()
    assert place.events == [], "nothing has ever ended"
    for _ in range(2):
        place.ends(node="n1")
        place.ends(node="n2")
        for _ in range(3):
            for node in nodes:
                node.look()
            place.later()
    assert place.events == ["empty", "empty"]


def test_a_hook_that_is_not_called_yet_hears_of_it_later(place: Place) -> None:
    place.hook("h", "failed", "empty")
    node = place.node()
    node.look()
    place.ends(State.FAILED)
    node.look()
    node.look()
    assert "empty" not in place.events
    place.later()
    node.look()
    assert place.events[-1] == "empty"


def test_jobs_that_start_and_end_are_told_once_by_the_first_node(place: Place) -> None:
    place.hook("h", "started", "ending")
    first, second = place.node("n1"), place.node("n2")
    for _ in range(3):
        first.look()
        second.look()
        place.later()
    place.left = 500.0
    for _ in range(3):
        first.look()
        second.look()
        place.later()
    assert place.events == ["started", "ending"]
    assert place.told[1]["events"][0]["words"] == "job 7 ends in 8 min"
    place.node("n1").look()
    assert place.events == ["started", "ending"]


def test_this_hosts_lease_neither_starts_nor_ends(tmp_path: Path) -> None:
    place = Place(tmp_path, kind="local")
    place.hook()
    place.left = 5.0
    place.node().look()
    assert place.told == []


def test_how_a_call_went_is_kept_and_the_trouble_is_said_until_one_goes_well(place: Place) -> None:
    place.hook("h", "done")
    place.codes = [7, None]
    node = place.node()
    node.look()
    said = []
    for _ in range(3):
        place.ends()
        node.look()
        place.later()
        said.append(node.trouble)
    assert said == ["hook h failed: exit code 7: words", "hook h failed: words", ""]
    assert hooks.told_by(place.fs, place.lease, "n1").calls["h"].code == 0


def test_a_hook_that_cannot_be_read_and_state_that_is_none_stop_nothing(place: Place) -> None:
    place.hook("h", "done")
    Path(place.home.hooks, "torn.json").write_text('{"v": 1, "na')
    node = place.node()
    node.look()
    Path(place.lease.notices, "n1.json").write_text("nonsense")
    place.ends()
    node.look()
    assert len(place.told) == 1
    assert sorted(hooks.hooks_of(place.fs, place.home)) == ["h"]
    assert hooks.names_of(place.fs, place.home) == ["h", "torn"]
