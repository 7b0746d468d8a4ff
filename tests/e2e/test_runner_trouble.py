"""What a runner does when its disk, its files or its host are in trouble; and what it costs when nothing is."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaseq.models import ANY, Need, State
from leaseq.names import Entry, new_incarnation, new_task_id
from tests.build import make_entry, make_task
from tests.e2e.harness import Node, program
from tests.patience import PATIENCE_SECONDS, wait_until

ONE = Need(cpus=1)
FORBIDDEN = ("fire", "jinja2", "blessed", "yaml", "GPUtil", "simple_slurm")


# -- malformed files ---------------------------------------------------------------------------------


def plant(node: Node, content: bytes | None, *, owner: str = "") -> str:
    """The id of something in the inbox under a task's name; None: only the id and its path are made up."""
    task_id = new_task_id()
    entry = make_entry(task_id, priority=400, sequence=1, owner=owner)
    if content is not None:
        Path(f"{node.lease.inbox(ANY)}/{entry}").write_bytes(content)
    return f"{node.lease.inbox(ANY)}/{entry}" if content is None else task_id


def task_json(**changed: object) -> bytes:
    task = make_task("Tttttttttttt", argv=("true",), submitted=0.0)
    return json.dumps({**task.as_record(), **changed}).encode()


def test_files_that_are_no_tasks_fail_with_their_reason_and_the_queue_goes_on(node: Node) -> None:
    broken = {
        plant(node, b""): "not JSON",
        plant(node, b"\xff\x00garbage" * 1000): "not JSON",
        plant(node, b"[" * 100000): "not JSON",
        plant(node, b"[]"): "not an object",
        plant(node, task_json()): "holds task 'Tttttttttttt'",
        plant(node, task_json(argv="true")): "argv: not a list",
    }
    for path, how in ((plant(node, None), "directory"), (plant(node, None), "link"), (plant(node, None), "fifo")):
        {"directory": os.mkdir, "fifo": os.mkfifo, "link": lambda path: os.symlink("/etc/passwd", path)}[how](path)
        broken[Entry.parse(os.path.basename(path)).id] = ""
    wrong: tuple[dict[str, object], ...] = ({"argv": []}, {"node": "../../../x"}, {"argv": [], "shell": True})
    for changed in wrong:
        path = plant(node, None)
        Path(path).write_bytes(task_json(id=Entry.parse(os.path.basename(path)).id, **changed))
        broken[Entry.parse(os.path.basename(path)).id] = "its node" if "node" in changed else "it has no command"
    owned = plant(node, None, owner=new_incarnation())
    for path in (f"{node.lease.inbox(ANY)}/hello", f"{node.lease.inbox(ANY)}/1.2.3", owned):
        Path(path).write_bytes(b"x")
    runner = node.start()
    good = node.submit("true")
    assert node.result(good).state is State.DONE
    for task, reason in broken.items():
        outcome = node.result(task)
        assert (outcome.state, outcome.exit_code) == (State.FAILED, 1)
        assert outcome.reason.startswith(f"the task's file is malformed: {reason}")
    wait_until(node.all_done, "nothing pending", seen=node.everything)
    evidence = node.names(node.lease.evidence)
    for task in broken:
        assert any(task in name for name in evidence), (task, evidence)
    assert sum(name.startswith(("hello.", "1.2.3.")) and name.endswith(".reason") for name in evidence) == 2
    assert runner.poll() is None


def test_requests_that_are_none_are_set_aside_and_the_next_is_served(node: Node) -> None:
    runner = node.start()
    task = node.shell("echo began; sleep 60", need=ONE)
    node.printed(task, "began")
    control = Path(node.lease.control(node.name))
    for name in ("hello", "cancel", "cancel.x.y.z", f"cancel.{task}", "ending.abc", f"signal.{task}.1.abc"):
        (control / f".{name}").write_bytes(b"x")
        (control / f".{name}").rename(control / name)
    (control / "a.directory").mkdir()
    (control / "drain.directory").mkdir()
    node.ask(f"signal.{task}.1", signal=1000)
    node.ask("ending", signal="SIGNONE")
    node.cancel(task)
    assert node.result(task).state is State.CANCELLED
    wait_until(lambda: not node.names(str(control)), "no request left", seen=node.everything)
    assert runner.poll() is None
    assert len([name for name in node.names(node.lease.evidence) if name.endswith(".reason")]) == 10


# -- a full disk -------------------------------------------------------------------------------------


@pytest.fixture
def cramped(request: pytest.FixtureRequest, short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """A node whose lease (`h`) or whose own directory (`n`) is on a file system of one mebibyte."""
    disk = short_path / request.param
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", str(disk)]
    mounted = subprocess.run(words, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {mounted.stderr.decode().strip()}")
    monkeypatch.setenv("LEASEQ_NODE_DIR", str(short_path / "n"))
    made = Node(short_path)
    yield made
    made.close()
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes what is left."""
    path = disk / "full"
    with open(path, "wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return path


@pytest.mark.parametrize(("cramped", "disk"), [("h", "h"), ("n", "n")], indirect=["cramped"], ids=["lease", "node"])
def test_a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room(cramped: Node, disk: str) -> None:
    node = cramped
    go, ran = node.path / "go", node.path / "ran"
    runner = node.start()
    line = f"echo $LEASEQ_TASK_ID >>{ran}"
    first = node.shell(f"echo began; until test -e {go}; do sleep 0.02; done; {line}")
    tasks = [first] + [node.shell(line) for _ in range(20)]
    node.printed(first, "began")
    full = fill(node.path / disk)
    go.touch()
    wait_until(lambda: ran.exists() and first in ran.read_text(), "the end of the first task")
    counts: dict[int, float] = {}
    """How many had run, and when that was first seen."""

    def stands_still() -> bool:
        return time.monotonic() - counts.setdefault(len(ran.read_text().split()), time.monotonic()) > 2.5

    wait_until(stands_still, "more than one retry in which nothing begins")
    assert max(counts) < len(tasks), "a queue must not run through while outcomes cannot be told"
    assert runner.poll() is None
    full.unlink()
    assert [node.result(task).state for task in tasks] == [State.DONE] * len(tasks)
    assert sorted(ran.read_text().split()) == sorted(tasks)
    wait_until(lambda: len(node.history()) == len(tasks), "the whole history", seen=node.history)
    assert node.history()[-1]["totals"] == {"DONE": len(tasks)}
    assert not [name for name in os.listdir(node.lease.done(first)) if name.startswith(".")]


@pytest.mark.parametrize("cramped", ["h"], indirect=True)
def test_a_runner_leaves_when_told_though_its_ledger_cannot_be_written(cramped: Node) -> None:
    node = cramped
    runner = node.start()
    task = node.shell("echo began; sleep 0.5; exit 3")
    node.printed(task, "began")
    full = fill(node.path / "h")
    wait_until(lambda: (rec := node.record(task)) and rec.over, "the end of the task")
    asked = time.monotonic()
    runner.terminate()
    assert runner.wait(timeout=PATIENCE_SECONDS) == 1
    assert time.monotonic() - asked < 30
    assert node.outcome(task) is None
    full.unlink()
    node.start()
    assert node.result(task).exit_code == 3


@pytest.mark.parametrize("cramped", ["h"], indirect=True)
def test_a_runner_that_owes_nothing_leaves_a_full_disk_as_it_leaves_any(cramped: Node) -> None:
    node = cramped
    runner = node.start()
    assert node.result(node.submit("true")).state is State.DONE
    wait_until(lambda: len(node.history()) == 1, "the history", seen=node.history)
    fill(node.path / "h")
    runner.terminate()
    assert runner.wait(timeout=PATIENCE_SECONDS) == 0


# -- a blocked loop ----------------------------------------------------------------------------------


def keeper_stopped_on_its_way(node: Node, runner: int) -> int:
    """The next keeper, for which the runner waits, and which is not up; the first of several that is caught so."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        node.kill_keeper()
        # Without a pause: a keeper is on its way for a tenth of a second.
        while not (keeper := keeper_of(runner)):
            assert time.monotonic() < until, "no keeper is on its way"
        os.kill(keeper, signal.SIGSTOP)
        if node.directory.alive("keeper") is None:
            return keeper
        os.kill(keeper, signal.SIGCONT)
    raise AssertionError("every keeper was up before it could be stopped")


def keeper_of(runner: int) -> int:
    """The runner's child that is a keeper, or is to be one; 0 if there is none."""
    for children in Path(f"/proc/{runner}/task").glob("*/children"):
        for child in children.read_text().split():
            with contextlib.suppress(FileNotFoundError):
                if b"leaseq.node.keeper" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
    return 0


def test_the_heartbeat_goes_on_while_the_loop_is_blocked(node: Node) -> None:
    """The loop waits for a keeper to be up; this one is stopped on its way."""
    runner = node.start()
    task = node.shell("sleep 2; exit 3", need=ONE)
    node.running(task)
    keeper = keeper_stopped_on_its_way(node, runner.pid)
    before = node.beat()
    pending = node.submit("true", need=ONE)
    assert before is not None
    wait_until(lambda: (beat := node.beat()) and beat.counter >= before.counter + 2, "two heartbeats", seen=node.beat)
    assert node.outcome(pending) is None
    os.kill(keeper, signal.SIGCONT)
    assert node.result(pending).state is State.DONE
    assert node.result(task).exit_code == 3


# -- GPUs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "use", "error"),
    [
        ("sleep 600", [], ""),
        ("echo 'NVIDIA-SMI has failed because'; exit 9", [], "nvidia-smi: NVIDIA-SMI has failed because"),
        ("echo '0, GPU-a, Tesla, 93, 100, 40960, 61, 300'", [("0", 93.0)], ""),
    ],
    ids=["hangs", "fails", "answers"],
)
def test_no_driver_keeps_a_runner_from_its_work(
    node: Node, script: str, use: list[tuple[str, float]], error: str
) -> None:
    program(node.path / "bin" / "nvidia-smi", f"#!/bin/sh\ncase $1 in -L) echo 'GPU 0: Tesla';; *) {script};; esac\n")
    node.start(PATH=f"{node.path}/bin:{os.environ['PATH']}")
    assert node.result(node.submit("true", need=Need(gpus=1))).state is State.DONE

    def told() -> bool:
        beat = node.beat()
        return (
            beat is not None
            and [(each.token, each.utilisation) for each in beat.gpu_use] == use
            and beat.gpu_error == error
        )

    wait_until(told, f"{use} and {error!r} in the heartbeat", seen=node.beat)


# -- what it costs -----------------------------------------------------------------------------------


def test_a_runner_with_ten_thousand_pending_tasks_stays_small_and_imports_little(node: Node) -> None:
    runner = node.start(PYTHONPROFILEIMPORTTIME="1")
    blocker = node.shell("echo began; sleep 60")
    node.printed(blocker, "began")
    sample = node.path / "sample"
    sample.write_bytes(task_json())
    micros = int(time.time() * 1e6)
    for n in range(10_000):
        entry = make_entry(micros=micros, sequence=n, need=ONE)
        place = f"{node.lease.inbox(ANY)}/{entry}"
        shutil.copy(sample, place) if n == 0 else os.link(sample, place)
    last = node.submit("true", priority=5)
    node.cancel(blocker)
    assert node.result(last).state is State.DONE
    status = Path(f"/proc/{runner.pid}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0])
    assert peak < 30 << 10, f"{peak} KiB"
    imported = {
        line.rsplit("|", 1)[-1].strip().split(".")[0] for line in node.said.read_text().splitlines() if "|" in line
    }
    assert "leaseq" in imported
    assert imported.isdisjoint(FORBIDDEN)


def _without_inotify() -> None:
    """In a user namespace of its own this process may have no inotify at all, as when others have used it up."""
    user = os.getuid()
    if ctypes.CDLL(None).unshare(0x10000000) != 0:  # CLONE_NEWUSER
        raise PermissionError("no user namespaces")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/sys/user/max_inotify_instances").write_text("0")


def _user_namespaces() -> bool:
    return subprocess.run(["unshare", "--user", "--map-root-user", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not _user_namespaces(), reason="needs user namespaces")
def test_a_runner_and_its_keeper_do_without_inotify_where_the_host_has_none_left(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEASEQ_NODE_DIR", f"{short_path}/n")
    node = Node(short_path)
    runner = node.start(before=_without_inotify)
    try:
        assert node.result(node.shell("exit 3")).exit_code == 3
        task = node.shell("sleep 60")
        node.running(task)
        node.cancel(task)
        assert node.result(task).state is State.CANCELLED
        assert node.stop(runner) == 0
        wait_until(lambda: not node.directory.alive("keeper"), "the end of a keeper that nobody needs")
    finally:
        node.close()


def local_files(node: Node) -> list[str]:
    return sorted(str(path) for path in Path(node.directory.root).rglob("*"))


@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="there is no systemd-tmpfiles here")
def test_what_cleans_tmp_leaves_the_local_directory_alone_while_a_keeper_lives(node: Node) -> None:
    go = node.path / "go"
    runner = node.start()
    task = node.shell(f"until test -e {go}; do sleep 0.02; done; exit 3")
    node.running(task)
    rule = node.path / "clean.conf"
    rule.write_text(f"e {node.path}/n - - - 0\n")  # everything there is old enough
    node.kill(runner)
    before = local_files(node)
    subprocess.run(["systemd-tmpfiles", "--clean", str(rule)], check=True)
    assert local_files(node) == before
    node.start()
    go.touch()
    assert node.result(task).exit_code == 3
    for runner in node.runners:
        node.kill(runner)
    node.kill_keeper()
    subprocess.run(["systemd-tmpfiles", "--clean", str(rule)], check=True)
    assert local_files(node) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_an_idle_runner_leaves_its_disk_alone_and_ends_at_once_when_told(node: Node) -> None:
    runner = node.start()
    assert node.result(node.submit("true")).state is State.DONE
    traces = []
    for role, pid in (("runner", runner.pid), ("keeper", node.keeper().pid)):
        words = ["strace", "-f", "-qq", "-e", "trace=%file,%desc", "-o", str(node.path / role), "-p", str(pid)]
        traces.append(subprocess.Popen(words, stderr=subprocess.DEVNULL))
    # Longer than the runner takes a call of the file system for hung: waiting for work is no such call.
    wait_until(lambda: (beat := node.beat()) and beat.idle_seconds > 8, "an idle runner", seen=node.beat)
    for trace in traces:
        trace.terminate()
        trace.wait()
    in_lease = [line for line in (node.path / "runner").read_text().splitlines() if node.lease.root in line]
    on_node = [
        line for line in (node.path / "keeper").read_text().splitlines() if re.search(r"open|unlink|rename", line)
    ]
    if not in_lease:
        pytest.skip("strace may not attach here")
    assert len(in_lease) <= 2 * 7, in_lease
    assert len(on_node) <= 2 * 7, on_node
    asked = time.monotonic()
    assert node.stop(runner) == 0
    assert time.monotonic() - asked < 5
    beat = node.beat()
    assert beat is not None and beat.state == "stopped"
