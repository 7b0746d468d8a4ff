"""Windows: what a keeper that has one says of it, what it does, and what a runner learns from that."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from leaseq.dataclass import replace
from leaseq.node import record, window, windows
from leaseq.node.keeper import Keeper
from leaseq.node.kept import Kept
from leaseq.node.nodedir import NodeDir, open_node_dir
from leaseq.node.procs import KeeperProcs
from leaseq.node.request import StartRequest
from leaseq.node.window import Place, Window, WindowRequest
from leaseq.world import boot_id

NAME = "w0123456789.1"
PATH = {"PATH": os.environ["PATH"]}


def key(place: int) -> str:
    return f"T0000000000a_{place}.1"


def request_of(
    directory: NodeDir, *commands: Sequence[str], remote: bool = False, limit: float | None = None
) -> WindowRequest:
    common = StartRequest((), PATH, "/", 0o22, "", "", remote, limit, 1.0, ("0",), 3)
    logs = f"{directory.root}/log"
    places = [
        Place(
            key(at),
            tuple(argv),
            {"LEASEQ_TASK_ID": key(at)[:-2], "LEASEQ_ATTEMPT": "1"},
            f"{logs}{at}.out",
            f"{logs}{at}.err",
        )
        for at, argv in enumerate(commands)
    ]
    return WindowRequest(common, places)


def ask(directory: NodeDir, request: WindowRequest, name: str = NAME) -> None:
    body = json.dumps({**request.to_json(), "boot": boot_id()})
    Path(directory.ask, f"window-{name}").write_text(body)


def told(directory: NodeDir, name: str = NAME) -> Window:
    found = window.read(f"{directory.rec}/{name}")
    assert found is not None
    return found


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodeDir:
    monkeypatch.setenv("LEASEQ_NODE_DIR", str(tmp_path / "node"))
    return open_node_dir(str(tmp_path), "L", "n")


def run_keeper(directory: NodeDir, *, moment: float = 0.7) -> None:
    """A real keeper serves until nothing is left to keep."""
    argv = [sys.executable, "-m", "leaseq.node.keeper", directory.root, "0123456789"]
    # On a busy machine a moment is long.
    quick = "import leaseq.node.keeper as k; import leaseq.node.windows as w; "
    quick += f"k.IDLE_SECONDS = 0.5; w.MOMENT_SECONDS = {moment}; k.main()"
    argv[1:3] = ["-c", quick]
    done = subprocess.run(argv, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


# -- what is asked for -------------------------------------------------------------------------------------------------


def test_a_window_is_the_same_after_it_was_asked_for(directory: NodeDir) -> None:
    request = request_of(directory, ["true"], ["false"])
    again = WindowRequest.from_json(json.loads(json.dumps(request.to_json())))
    assert again == request
    assert again.at(1).argv == ("false",) and again.at(1).env["LEASEQ_TASK_ID"] == "T0000000000a_1"


# -- a keeper that has one ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("remote", [False, True])
def test_each_index_of_a_window_runs_once_and_its_end_is_told(directory: NodeDir, remote: bool) -> None:
    say = ["sh", "-c", "echo $LEASEQ_TASK_ID"]
    ask(directory, request_of(directory, say, ["false"], ["no such program"], say, remote=remote))
    run_keeper(directory, moment=30.0)
    found = told(directory)
    assert found.over and not found.own and sorted(found.begun) == [0, 1, 2, 3]
    assert window.is_done(f"{directory.rec}/{NAME}")
    recs = [found.rec(place) for place in range(4)]
    assert [rec.status for rec in recs[:2]] == [0, 256] and recs[3].status == 0
    assert recs[2].failure == "command not found: no such program" and recs[2].failure_code == 127
    assert all(rec.gpus == ("0",) and rec.slot == 3 and rec.boot == boot_id() for rec in recs)
    assert Path(f"{directory.root}/log3.out").read_text() == "T0000000000a_3\n"
    assert not os.listdir(directory.ask) and record.keys_in(directory.rec) == []


def test_a_program_that_goes_during_a_window_is_looked_for_again(directory: NodeDir, tmp_path: Path) -> None:
    for place in ("first", "second"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "program").write_text(f"#!/bin/sh\necho {place}\n")
        (tmp_path / place / "program").chmod(0o755)
    request = request_of(directory, ["program"], ["rm", f"{tmp_path}/first/program"], ["program"])
    path = {"PATH": f"{tmp_path}/first:{tmp_path}/second:{PATH['PATH']}"}
    ask(directory, replace(request, common=replace(request.common, env=path)))
    run_keeper(directory, moment=30.0)
    assert [told(directory).rec(place).status for place in range(3)] == [0, 0, 0]
    outputs = [Path(f"{directory.root}/log{place}.out").read_text() for place in (0, 2)]
    assert outputs == ["first\n", "second\n"]


def test_what_takes_longer_than_a_moment_goes_on_alone_and_the_rest_comes_back(directory: NodeDir) -> None:
    ask(directory, request_of(directory, ["true"], ["sleep", "2"], ["true"]))
    run_keeper(directory)
    found = told(directory)
    assert found.over and found.own == {1} and sorted(found.begun) == [0, 1]
    assert not window.is_done(f"{directory.rec}/{NAME}"), "what goes on alone has the window's room"
    assert found.rec(0).status == 0 and found.rec(2).void
    rec = record.read(f"{directory.rec}/{key(1)}")
    assert rec is not None and rec.status == 0 and rec.elapsed is not None and rec.elapsed >= 2
    assert rec.pid == found.rec(1).pid and rec.pid_start and rec.gpus == ("0",)


def test_the_limit_of_what_goes_on_alone_counts_from_its_start(directory: NodeDir) -> None:
    ask(directory, request_of(directory, ["sleep", "60"], limit=0.3))
    run_keeper(directory)
    rec = record.read(f"{directory.rec}/{key(0)}")
    assert rec is not None and rec.stopping is not None and rec.stopping.value == "timeout"


def test_what_leaves_something_behind_goes_on_alone_until_that_has_ended(directory: NodeDir) -> None:
    ask(directory, request_of(directory, ["sh", "-c", "sleep 60 & exit 3"], ["true"]))
    run_keeper(directory)
    found = told(directory)
    assert found.over and found.own == {0} and found.rec(1).void
    rec = record.read(f"{directory.rec}/{key(0)}")
    assert rec is not None and rec.status == 3 << 8


def test_a_process_that_says_late_why_it_cannot_start_is_heard(directory: NodeDir) -> None:
    """Its paths are remote, and hang for a moment: only its own process touches them."""
    os.mkfifo(f"{directory.root}/log0.out")
    reader = """
import os, pathlib, sys, time
record = pathlib.Path(sys.argv[2])
while not record.exists() or '"own"' not in record.read_text():
    time.sleep(0.01)
os.open(sys.argv[1], os.O_RDONLY)
time.sleep(60)
"""
    words = [sys.executable, "-c", reader, f"{directory.root}/log0.out", f"{directory.rec}/{NAME}"]
    opened = subprocess.Popen(words)
    try:
        ask(directory, request_of(directory, ["no such program"], remote=True))
        run_keeper(directory)
    finally:
        opened.kill()
        opened.wait()
    assert told(directory).own == {0}
    rec = record.read(f"{directory.rec}/{key(0)}")
    assert rec is not None and rec.failure == "command not found: no such program"


def test_a_window_that_has_a_record_is_not_begun_again(directory: NodeDir) -> None:
    ask(directory, request_of(directory, ["true"]))
    fd = record.begin(f"{directory.rec}/{NAME}", {"e": "void"})
    assert fd is not None
    os.close(fd)
    run_keeper(directory)
    assert told(directory) == Window(over=True)
    assert not Path(f"{directory.root}/log0.out").exists() and not os.listdir(directory.ask)


@pytest.mark.parametrize("torn", [b"", b'{"e":"win'])
def test_a_window_whose_keeper_was_killed_as_it_made_the_record_comes_back(directory: NodeDir, torn: bytes) -> None:
    ask(directory, request_of(directory, ["true"]))
    Path(directory.rec, NAME).write_bytes(torn)
    run_keeper(directory)
    assert told(directory) == Window(over=True)
    assert not Path(f"{directory.root}/log0.out").exists() and not os.listdir(directory.ask)


def test_a_window_of_an_earlier_boot_starts_nothing(directory: NodeDir) -> None:
    body = {**request_of(directory, ["true"]).to_json(), "boot": "another"}
    Path(directory.ask, f"window-{NAME}").write_text(json.dumps(body))
    run_keeper(directory)
    assert window.read(f"{directory.rec}/{NAME}") is None and not os.listdir(directory.ask)


def test_a_torn_request_begins_nothing_and_says_so(directory: NodeDir) -> None:
    Path(directory.ask, f"window-{NAME}").write_text(json.dumps({"boot": boot_id(), "places": []}))
    run_keeper(directory)
    assert told(directory).over


# -- a keeper that dies at any moment ----------------------------------------------------------------------------------

Began = Callable[[int], None]


class Scene:
    """A keeper whose processes are none: what its record held when each was started is noted."""

    def __init__(self, directory: NodeDir, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.starts: list[tuple[str, int]] = []
        """(which index, how long the record was)"""
        monkeypatch.setattr(windows, "spawn", self._spawn)
        monkeypatch.setattr(windows, "has_orphans", lambda known: False)
        self.keeper = Keeper(directory)

    @property
    def record(self) -> Path:
        return Path(self.directory.rec, NAME)

    def _spawn(self, asked: StartRequest, fd: int, mark: Any, programs: Any) -> int:
        self.starts.append((f"{asked.env['LEASEQ_TASK_ID']}.1", self.record.stat().st_size))
        return 1000 + len(self.starts)

    def run(self, count: int) -> None:
        ask(self.directory, request_of(self.directory, *[["true"]] * count))
        self.keeper.request(f"window-{NAME}")
        while self.keeper.windows.running:
            kept = self.keeper.windows.running[0].kept
            assert kept is not None
            self.end(kept)

    def end(self, kept: Kept) -> None:
        fact = {"e": "exit", "status": 0, "t": 1.0, "elapsed": 0.1, "rss": 1, "cpu": 0.0}
        assert self.keeper.windows.ended(kept, fact)


def started_unsaid(scene: Scene, whole: bytes, size: int) -> list[str]:
    """What had started when the record was cut there, and would not be known to the next keeper."""
    found = window.parse(whole[:size])
    known = {found.keys[place] for place in found.begun}
    return [started for started, length in scene.starts if length <= size and started not in known]


def test_whenever_its_keeper_dies_what_has_started_is_known(
    directory: NodeDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(directory, monkeypatch)
    scene.run(3)
    whole = scene.record.read_bytes()
    for size in range(len(whole) + 1):
        assert started_unsaid(scene, whole, size) == []
    for line in range(whole.count(b"\n")):
        size = sum(map(len, whole.splitlines(keepends=True)[:line]))
        scene.record.write_bytes(whole[:size] + b'{"k":')
        for own in record.keys_in(directory.rec):
            os.unlink(f"{directory.rec}/{own}")
        Keeper(directory).windows.adopt()
        found, at = told(directory), window.parse(whole[:size])
        assert found.over or not at.keys
        assert record.keys_in(directory.rec) == ([] if at.current is None else [at.keys[at.current]])
        assert found.begun.keys() == at.begun.keys()


def test_a_keeper_that_says_next_too_late_would_be_caught(directory: NodeDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does the test above see what it is for."""
    scene = Scene(directory, monkeypatch)
    say = windows.Windows._say
    late: list[bytes] = []

    def say_late(self: Any, found: Any, lines: bytes) -> None:
        if lines.endswith(b'"e":"next"}\n'):
            late.append(lines)
        else:
            say(self, found, b"".join(late) + lines)
            late.clear()

    monkeypatch.setattr(windows.Windows, "_say", say_late)
    scene.run(3)
    whole = scene.record.read_bytes()
    assert any(started_unsaid(scene, whole, size) for size in range(len(whole) + 1))


def test_what_cannot_be_said_to_begin_does_not(directory: NodeDir, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(directory, monkeypatch)
    write = os.write
    full: list[bool] = []

    def refuse(fd: int, data: bytes) -> int:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data)

    monkeypatch.setattr(os, "write", refuse)
    ask(directory, request_of(directory, ["true"], ["true"], ["true"]))
    scene.keeper.request(f"window-{NAME}")
    full.append(True)
    [running] = scene.keeper.windows.running
    assert running.kept is not None
    scene.end(running.kept)
    assert len(scene.starts) == 1 and scene.keeper.windows.running == [running]
    full.clear()
    scene.keeper.windows.deadlines()
    found = told(directory)
    assert found.over and found.rec(0).status == 0 and found.rec(1).again and found.rec(2).void
    assert scene.keeper.windows.running == []


def test_once_the_lease_ends_nothing_more_begins(directory: NodeDir, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(directory, monkeypatch)
    ask(directory, request_of(directory, ["true"], ["true"]))
    scene.keeper.request(f"window-{NAME}")
    scene.keeper.end_lease(1.0)
    found = told(directory)
    assert found.over and found.own == {0} and found.rec(1).void
    rec = record.read(f"{directory.rec}/{key(0)}")
    assert rec is not None and rec.stopping is not None and rec.stopping.value == "lease"


def test_a_window_ends_with_the_first_of_its_attempts_that_is_to_be_ended(
    directory: NodeDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(directory, monkeypatch)
    ask(directory, request_of(directory, ["true"], ["true"], ["true"]))
    scene.keeper.request(f"window-{NAME}")
    Path(directory.ask, f"stop-{key(2)}-x1").write_text(json.dumps({"why": "lease", "grace": 1.0}))
    scene.keeper.request(f"stop-{key(2)}-x1")
    found = told(directory)
    assert found.over and found.own == {0} and found.rec(1).void and found.rec(2).void
    rec = record.read(f"{directory.rec}/{key(0)}")
    assert rec is not None and rec.stopping is None


# -- what a runner learns ----------------------------------------------------------------------------------------------


def test_a_new_runner_knows_each_attempt_of_a_window_of_before(directory: NodeDir) -> None:
    ask(directory, request_of(directory, ["true"], ["sleep", "2"], ["true"]))
    run_keeper(directory)
    procs = KeeperProcs(directory, "abcdefghjk")
    procs.find_windows()
    assert procs.attempts() == [key(0), key(1)]
    ended, alone, never = (procs.record(key(place)) for place in range(3))
    assert ended is not None and ended.status == 0 and alone is not None and alone.status == 0
    assert never is None and procs.void(key(2)) and not procs.void(key(0))
    for place in range(3):
        procs.forget(key(place))
    assert procs.attempts() == [] and os.listdir(directory.rec) == []


@pytest.mark.parametrize("first", ["w0123456789.1", "w0123456789.2"])
def test_what_one_window_never_began_may_run_in_another(directory: NodeDir, first: str) -> None:
    """The order of names in a directory says nothing of which window was asked for first."""
    second = next(each for each in ("w0123456789.1", "w0123456789.2") if each != first)
    ask(directory, request_of(directory, ["sleep", "2"], ["true"]), first)
    run_keeper(directory)
    again = request_of(directory, ["true"], ["true"])
    ask(directory, WindowRequest(again.common, again.places[1:]), second)
    run_keeper(directory)
    procs = KeeperProcs(directory, "abcdefghjk")
    procs.find_windows()
    rec = procs.record(key(1))
    assert rec is not None and rec.status == 0 and not procs.void(key(1))


def test_what_a_window_never_began_and_was_asked_for_alone_since_never_begins(directory: NodeDir) -> None:
    request = request_of(directory, ["sleep", "2"], ["true"])
    ask(directory, request)
    run_keeper(directory)
    procs = KeeperProcs(directory, "abcdefghjk")
    procs.start(key(1), request.at(1))
    procs = KeeperProcs(directory, "abcdefghjm")
    procs.find_windows()
    assert procs.record(key(1)) is None and procs.void(key(1))
    procs.forget(key(1))
    run_keeper(directory)
    assert not Path(f"{directory.root}/log1.out").exists()


def test_a_window_that_no_keeper_has_never_begins_under_a_new_runner(directory: NodeDir) -> None:
    ask(directory, request_of(directory, ["true"]))
    procs = KeeperProcs(directory, "abcdefghjk")
    procs.find_windows()
    assert procs.attempts() == [] and procs.record(key(0)) is None
    run_keeper(directory)
    assert not Path(f"{directory.root}/log0.out").exists()


def test_what_a_power_cut_left_of_a_window_says_of_nothing_that_it_never_began(directory: NodeDir) -> None:
    first = request_of(directory, ["true"], ["true"]).first_fact("an earlier boot")
    Path(directory.rec, NAME).write_bytes(record.line(first) + window.OVER)
    procs = KeeperProcs(directory, "abcdefghjk")
    procs.find_windows()
    rec = procs.record(key(0))
    assert rec is not None and not rec.over and not procs.same_boot(rec)


def test_a_record_goes_once_all_that_it_tells_is_told_elsewhere(directory: NodeDir) -> None:
    procs = KeeperProcs(directory, "abcdefghjk")
    name = procs.start_window(request_of(directory, ["true"], ["sleep", "2"], ["true"]))
    run_keeper(directory)
    found = procs.window(name)
    assert found is not None and found.over
    procs.leave_window(name, [key(0)])
    assert os.path.exists(f"{directory.rec}/{name}")
    procs.forget(key(0))
    assert not os.path.exists(f"{directory.rec}/{name}") and procs.attempts() == [key(1)]


def test_a_keeper_of_an_older_leaseq_is_asked_for_no_window(directory: NodeDir) -> None:
    procs = KeeperProcs(directory, "abcdefghjk")
    procs.directory.take("keeper", "0123456789")
    path = Path(directory.root, "keeper")
    procs.ensure()
    assert procs.knows_windows
    body = json.loads(path.read_text())
    del body["windows"]
    path.write_text(json.dumps(body))
    procs.ensure()
    assert not procs.knows_windows


def test_an_older_leaseq_does_not_take_what_it_cannot_see_for_what_never_began(directory: NodeDir) -> None:
    procs = KeeperProcs(directory, "abcdefghjk")
    procs.born("abcdefghjk")
    assert procs.knows("abcdefghjk")
    assert Path(directory.born, "abcdefghjk").read_text() != boot_id()


def test_a_window_that_is_not_there_or_not_over_has_its_room(directory: NodeDir) -> None:
    path = f"{directory.rec}/{NAME}"
    assert not window.is_done(path)
    request = request_of(directory, ["true"])
    fd = record.begin(path, request.first_fact(boot_id()))
    assert fd is not None
    os.write(fd, window.at(0, {"e": "next"}))
    assert not window.is_done(path)
    os.write(fd, window.at(0, {"e": "fail", "reason": 'says "e":"own"', "code": 1, "t": 1.0}) + window.OVER)
    os.close(fd)
    assert window.is_done(path)
