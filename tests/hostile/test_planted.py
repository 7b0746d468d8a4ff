"""Whole: the real command line and real runners, and somebody who plants what should not be there."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from leaseq.models import ANY, State
from leaseq.names import new_task_id
from leaseq.node.nodedir import node_path
from leaseq.world import hostname
from tests.build import make_entry
from tests.e2e.cli import Box, Said, on_terminal
from tests.e2e.harness import Node
from tests.hostile.words import FILE_NAMES, NAMES
from tests.patience import PATIENCE_SECONDS, wait_until

NOBODY = 65534
MARK = "/tmp/leaseq-hostile"
ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="only root can make another user's files, devices and disks")
OURS = (0, 1, 2, 75, 124)


@pytest.fixture(autouse=True)
def nothing_executed() -> Iterator[None]:
    """No name that was planted has been run as a command."""
    assert not os.path.exists(MARK), f"remove {MARK}"
    yield
    assert not os.path.exists(MARK)


def clear(said: Said, *codes: int) -> Said:
    """The command ended with one of these codes, and what it said for people cannot move a cursor."""
    assert said.code in (codes or OURS), said
    assert "a bug" not in said.err, said
    assert all(line.isprintable() for line in said.err.split("\n")), said
    return said


def lease_of(box: Box) -> Path:
    return box.home / f"runs/local:{hostname()}"


def tree(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file() and not path.is_symlink()}


# -- names -----------------------------------------------------------------------------------------


def test_hostile_words_reach_a_task_exactly_and_do_nothing_on_their_way(box: Box) -> None:
    """As arguments, name, key, environment and directory, all at once for each of them."""
    ids = {}
    for number, name in enumerate(NAMES):
        words = ["-J", name, "--key", f"{number}{name}", "--env", f"V={name}", "--export", "NONE", "--cpus", "1"]
        script = 'import os,sys; sys.stdout.buffer.write(os.fsencode(sys.argv[1]) + b"\\n" + os.environb[b"V"])'
        ids[name] = clear(box.run("submit", *words, "--", sys.executable, "-c", script, name), 0).id
    for name, task_id in ids.items():
        assert box.run("wait", task_id).code == 0
        assert Path(box.task(task_id)["logs"]["out"]).read_bytes() == os.fsencode(name) + b"\n" + os.fsencode(name)
    for words in (["tasks", "--all"], ["info", *ids.values()], ["status"]):
        out = clear(box.run(*words), 0).out
        assert all(line.isprintable() for line in out.split("\n"))
    found = clear(box.run("tasks", "--all", "--json"), 0).json["tasks"]
    assert {task["name"].encode("utf-8", "backslashreplace") for task in found} == {
        name.encode("utf-8", "backslashreplace") for name in NAMES
    }


@pytest.mark.parametrize("option", ["--node", "--lease", "--cwd", "--env", "--export", "--file", "--mem", "--time"])
def test_a_hostile_value_of_any_option_is_refused_with_a_hint_or_taken_as_text(box: Box, option: str) -> None:
    before = set(os.listdir(box.path))
    for name in NAMES:
        said = clear(
            box.run("submit", "--no-start", "--hold", option, name, *([] if option == "--file" else ["--", "true"]))
        )
        if option not in ("--cwd",):
            assert said.code == 2, said
    assert set(os.listdir(box.path)) <= before | {"h", "n"}


def test_a_working_directory_of_any_name_is_entered(box: Box) -> None:
    for name in FILE_NAMES:
        (box.work / name).mkdir()
        task_id = clear(box.run("submit", "--cpus", "1", "--", "pwd", cwd=box.work / name), 0).id
        assert box.run("wait", task_id).code == 0
        assert Path(box.task(task_id)["logs"]["out"]).read_bytes() == os.fsencode(f"{box.work / name}\n")


PLACES = ["inbox/_any", "inbox/vm", "claimed/vm", "claimed/_cli", "control/vm"]
QUIET_PLACES = [
    "inbox",
    "held",
    "held/_any",
    "claimed",
    "done/0",
    "lost",
    "booking",
    "hb",
    "events",
    "keys",
    "logs/0",
    "evidence",
]


def test_files_of_hostile_names_in_every_place_stop_nothing_and_are_kept(node: Node) -> None:
    """Where a runner takes what it finds, they go to evidence/ with a reason; elsewhere they are passed over."""

    def is_empty(directory: str) -> bool:
        return not node.names(directory)

    for place in (*PLACES, *QUIET_PLACES):
        for name in FILE_NAMES:
            Path(node.lease.root, place, name).write_bytes(os.fsencode(name))
    runner = node.start()
    assert node.result(node.submit("true")).state is State.DONE
    for place in ("inbox/_any", "inbox/vm", "claimed/vm", "control/vm"):
        wait_until(
            partial(is_empty, f"{node.lease.root}/{place}"),
            f"nothing in {place}",
            seen=node.everything,
        )
    evidence = node.names(node.lease.evidence)
    assert len([name for name in evidence if name.endswith(".reason")]) >= 4 * len(FILE_NAMES)
    for name in FILE_NAMES:
        start = os.fsdecode(os.fsencode(name)[:100])
        assert sum(each.startswith(start) for each in evidence) >= 4, (name, evidence)
    assert runner.poll() is None
    home = {"LEASEQ_HOME": node.home, "COLUMNS": "200"}
    for words in (
        ["status"],
        ["tasks", "--all"],
        ["recover"],
        ["clean", "--dry-run"],
        ["info", "last"],
        ["logs", "last"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "leaseq", *words, "--lease", node.lease_id],
            env={**node.environment, **home}, capture_output=True, text=True, errors="surrogateescape", timeout=60,
        )  # fmt: skip
        clear(Said(done.returncode, done.stdout, done.stderr), 0)
        assert all(line.isprintable() for line in done.stdout.split("\n"))


def test_many_strange_names_before_a_task_do_not_keep_it_waiting(node: Node) -> None:
    for number in range(300):
        Path(node.lease.inbox(ANY), f"!{number}").write_bytes(b"")
    task = node.submit("true")
    node.start()
    assert node.result(task).state is State.DONE


# -- links -----------------------------------------------------------------------------------------


@pytest.fixture
def outside(short_path: Path) -> Path:
    """A file that nobody here is to change, and a hidden one that is old."""
    directory = short_path / "outside"
    directory.mkdir()
    (directory / "precious").write_bytes(b"precious")
    (directory / ".old").write_bytes(b"old")
    os.utime(directory / ".old", (1, 1))
    return directory


def test_links_planted_in_a_lease_lead_nowhere(node: Node, outside: Path) -> None:
    """A link is never followed to a file: not to read a task, not to write a log, and not to remove what is old."""
    lease, before = Path(node.lease.root), tree(outside)
    task_id = new_task_id()
    entry = make_entry(task_id, priority=400, sequence=1)
    linked = {place: new_task_id() for place in ("inbox/_any", "done", "logs", "control")}
    (lease / "inbox/_any" / str(entry)).symlink_to(outside / "precious")
    for letter in {task[1] for task in linked.values()}:
        assert (lease / f"logs/{letter}").is_dir()
    (lease / "inbox/evil").symlink_to(outside)
    (lease / "control/vm/signal.T00000000000.1.x").symlink_to(outside / "precious")
    (lease / "hb/other.json").symlink_to(outside / "precious")
    (lease / "keys/feed").symlink_to(outside / "precious")
    node.start()
    assert node.result(task_id).state is State.FAILED
    assert node.result(node.submit("echo", "x")).state is State.DONE
    wait_until(lambda: not node.names(node.lease.control(node.name)), "no request left", seen=node.everything)
    done = subprocess.run(
        [sys.executable, "-m", "leaseq", "clean", "--older-than", "0s", "--yes", "--lease", node.lease_id],
        env=node.environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    clear(Said(done.returncode, done.stdout, done.stderr))
    assert tree(outside) == before


@pytest.mark.parametrize("stream", ["out", "err"])
def test_a_log_that_is_a_link_is_not_written_through(node: Node, outside: Path, stream: str) -> None:
    node.start()
    blocker = node.shell("while [ ! -e go ]; do sleep 0.05; done", cwd=str(node.path))
    node.running(blocker)
    task = node.submit("echo", "overwritten")
    Path(node.lease.log(task, 1, stream)).symlink_to(outside / "precious")
    (node.path / "go").touch()
    outcome = node.result(task)
    assert outcome.state is State.FAILED and "log" in outcome.reason
    assert (outside / "precious").read_bytes() == b"precious"


def test_a_heartbeat_that_has_another_name_outside_is_replaced_and_not_written_into(node: Node, outside: Path) -> None:
    os.link(outside / "precious", node.lease.heartbeat("vm"))
    node.start(wait=False)
    assert node.result(node.submit("true")).state is State.DONE
    assert (outside / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["hb/vm.json", "hb/vm.3", "lease.json"])
def test_a_record_that_is_a_link_is_replaced_and_never_written_through(node: Node, outside: Path, name: str) -> None:
    path = Path(node.lease.root, name)
    if path.exists():
        body = path.read_bytes()
        path.unlink()
        (outside / "precious").write_bytes(body)
    before = tree(outside)
    path.symlink_to(outside / "precious")
    runner = node.start(wait=False)
    if name == "lease.json":
        assert runner.wait(timeout=PATIENCE_SECONDS) == 2
        assert "cannot be read" in node.said.read_text()
    else:
        wait_until(lambda: not path.is_symlink(), "a file of its own, or none", seen=node.everything)
        assert node.result(node.submit("true")).state is State.DONE
    assert tree(outside) == before


def test_a_history_that_is_a_link_is_said_to_be_one_and_not_written_through(node: Node, outside: Path) -> None:
    Path(node.lease.events("vm")).symlink_to(outside / "precious")
    runner = node.start(wait=False)
    assert runner.wait(timeout=PATIENCE_SECONDS) == 2
    assert "vm.jsonl: cannot be read" in node.said.read_text()
    assert (outside / "precious").read_bytes() == b"precious"


# -- the node-local directory ------------------------------------------------------------------------


def levels(box: Box) -> list[Path]:
    path = Path(
        node_path(str(box.home), f"local:{hostname()}", hostname()).replace(os.environ.get("LEASEQ_NODE_DIR", "\0"), "")
    )
    root = box.path / "n"
    below = path.parts[-3:]
    return [root, root / below[0], root / below[0] / below[1], root.joinpath(*below)]


@pytest.mark.parametrize("level", range(4))
@pytest.mark.parametrize("how", ["link", "file", "another's"])
def test_a_node_directory_that_is_not_ours_is_refused_at_every_level(
    box: Box, outside: Path, level: int, how: str
) -> None:
    if how == "another's" and os.getuid() != 0:
        pytest.skip("only root can make another user's directory")
    path = levels(box)[level]
    for above in levels(box)[:level]:
        above.mkdir(mode=0o700)
    if how == "link":
        path.symlink_to(outside)
    elif how == "file":
        path.write_bytes(b"")
    else:
        path.mkdir(mode=0o777)
        os.chown(path, NOBODY, NOBODY)
    before = tree(outside)
    said = clear(box.run("daemon", "start"), 2)
    assert "is not a directory of yours" in said.err and "LEASEQ_NODE_DIR" in said.err
    queued = clear(box.run("submit", "--", "true"), 0)
    assert "queued, but this host's runner could not be started" in queued.err
    assert tree(outside) == before and sorted(os.listdir(outside)) == [".old", "precious"]


def test_a_node_directory_that_anybody_can_replace_is_refused(box: Box) -> None:
    parent = box.path / "open"
    parent.mkdir()
    parent.chmod(0o777)
    env = {"LEASEQ_NODE_DIR": str(parent / "n")}
    said = clear(box.run("daemon", "start", env=env), 2)
    assert "anybody can replace" in said.err
    parent.chmod(0o1777)
    clear(box.run("daemon", "start", env=env), 0)


def test_strange_files_in_the_node_directory_cost_neither_keeper_nor_task(node: Node) -> None:
    node.start()
    task = node.shell("echo began; while [ ! -e go ]; do sleep 0.05; done; exit 5", cwd=str(node.path))
    node.printed(task, "began")
    keeper, ask = node.keeper(), Path(node.directory.ask)
    torn = [
        b"",
        b"{",
        b"[1]",
        b'{"why": 1}',
        b"[" * 5000,
        b'{"signal": "x"}',
        b'{"why": "cancel", "grace": "long"}',
        b"\xff",
    ]
    for number, body in enumerate(torn):
        for name in (
            f"stop-{task}.1-x{number}",
            f"signal-{task}.1-x{number}",
            f"start-T0000000000{number}.1",
            f"dance-{number}",
        ):
            (ask / f".{name}").write_bytes(body)
            (ask / f".{name}").rename(ask / name)
    (ask / "stop-directory").mkdir()
    Path(node.directory.rec, "no key").mkdir()
    Path(node.directory.rec, "T00000000000.1").symlink_to("/etc/passwd")
    wait_until(lambda: os.listdir(ask) == ["stop-directory"], "no request left", seen=lambda: os.listdir(ask))
    assert node.keeper() == keeper
    (node.path / "go").touch()
    assert node.result(task).exit_code == 5


# -- another user ----------------------------------------------------------------------------------


@ROOT_ONLY
def test_another_users_home_is_refused_by_every_command(box: Box) -> None:
    box.home.mkdir(mode=0o755)
    os.chown(box.home, NOBODY, NOBODY)
    for words in (["status"], ["tasks"], ["submit", "--", "true"], ["lease", "ls"], ["daemon", "start"], ["clean"]):
        assert "belongs to someone else" in clear(box.run(*words), 2).err


@ROOT_ONLY
def test_nobody_else_sees_or_changes_anything(box: Box) -> None:
    """Another user of the host tries each file of a home and of its node directory in turn."""
    box.run("submit", "--", "sh", "-c", "echo secret", code=0)
    box.run("wait", "last", code=0)
    box.path.chmod(0o755)
    look = 'for each; do ls -a "$each" && echo seen; ( : >"$each/x" ) && echo wrote; done; exit 0'
    places = [
        str(path) for path in (box.home, lease_of(box) / "inbox/_any", box.path / "n", *(box.path / "n").glob("*/*/*"))
    ]
    done = subprocess.run(["/bin/sh", "-c", look, "sh", *places], capture_output=True, user=NOBODY, cwd="/")
    assert (done.returncode, done.stdout) == (0, b""), done
    private = [path for path in (box.home, *box.home.rglob("*"), *(box.path / "n").rglob("*")) if not path.is_symlink()]
    assert [path for path in private if stat.S_IMODE(path.lstat().st_mode) & 0o077] == []


def test_a_home_in_a_directory_that_anybody_can_write_is_refused(box: Box) -> None:
    parent = box.path / "open"
    parent.mkdir()
    parent.chmod(0o777)
    said = clear(box.run("submit", "--", "true", env={"LEASEQ_HOME": str(parent / "h")}), 2)
    assert "could put another" in said.err or "put another home there" in said.err
    parent.chmod(0o1777)
    clear(box.run("submit", "--no-start", "--", "true", env={"LEASEQ_HOME": str(parent / "h")}), 0)


# -- disks -----------------------------------------------------------------------------------------


@pytest.fixture
def disk(short_path: Path) -> Iterator[Path]:
    """A file system of 4 MB of its own."""
    path = short_path / "disk"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(path)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


READS = (["status"], ["tasks"], ["info", "last"], ["lease", "ls"], ["logs", "last"], ["config"], ["recover"])
WRITES = (["submit", "--no-start", "--", "true"], ["cancel", "last"], ["lease", "use", "local"], ["redo", "last"])


def test_a_full_disk_is_said_to_be_full_and_everything_can_be_looked_at(box: Box, disk: Path) -> None:
    env = {"LEASEQ_HOME": str(disk / "h")}
    box.run("submit", "--no-start", "--", "true", code=0, env=env)
    with pytest.raises(OSError, match="No space"), open(disk / "filler", "wb", buffering=0) as filler:
        while True:
            filler.write(b"\0" * 4096)
    before = tree(disk / "h")
    for words in READS:
        clear(box.run(*words, env=env), 0, 2)
    said = clear(box.run("submit", "--no-start", "--", "true", env=env), 75)
    assert "No space" in said.err and "free some space" in said.err
    assert tree(disk / "h") == before
    (disk / "filler").unlink()
    clear(box.run("submit", "--no-start", "--", "true", env=env), 0)


def test_a_read_only_disk_is_said_to_be_one_and_everything_can_be_looked_at(box: Box, disk: Path) -> None:
    env = {"LEASEQ_HOME": str(disk / "h")}
    box.run("submit", "--no-start", "--", "true", code=0, env=env)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for words in READS:
        clear(box.run(*words, env=env), 0, 2)
    for words in WRITES:
        said = clear(box.run(*words, env=env), 1, 2)
        assert said.err.startswith("leaseq: "), said
    said = clear(box.run("submit", "--", "true", env=env), 2)
    assert "Read-only file system" in said.err and "LEASEQ_HOME" in said.err


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["device", "fifo", "directory", "huge", "loop", "bytes"])
def test_settings_that_are_none_are_refused_at_once(box: Box, how: str) -> None:
    box.home.mkdir(mode=0o700)
    path = box.home / "config.yaml"
    if how == "device":
        path.symlink_to("/dev/zero")
    elif how == "fifo":
        os.mkfifo(path)
    elif how == "directory":
        path.mkdir()
    elif how == "huge":
        with open(path, "wb") as file:
            file.truncate(1 << 30)
    elif how == "loop":
        path.symlink_to(path)
    else:
        path.write_bytes(b"\x1b]0;x\x07: \xff\0")
    said = clear(box.run("config"), 2)
    assert "config.yaml" in said.err
    # If they cannot be read they may forbid tasks on this host. Who looks is told what there is.
    said = clear(box.run("submit", "--no-start", "--", "true"), 0 if how == "bytes" else 2)
    assert how == "bytes" or "config.yaml" in said.err
    clear(box.run("lease", "ls"), 0)


# -- what a task prints ----------------------------------------------------------------------------

ATTACK = (
    b"\x1b]52;c;cm0gLXJm\x07\x1b]0;title\x07\x1b[6n\x1b[2J\x1b[?1049h\x1bP$q\x1b\\"
    b"\x1b[9;9Hrm -rf\xc2\x9b2J\x1b[31mred\x1b[0m\n"
)
"""Writes the clipboard, sets the title, asks for an answer, clears, takes the screen, queries, moves; and is red."""
ACTS = ("\x1b]", "\x1bP", "[6n", "[2J", "1049h", "9;9H", "\x9b", "\x07")


def test_what_a_task_prints_does_not_act_on_the_terminal_that_shows_it(box: Box) -> None:
    (box.work / "attack").write_bytes(ATTACK)
    task_id = box.submit("cat", "attack")
    assert box.run("wait", task_id).code == 0
    for words in (["logs", task_id], ["follow", task_id], ["logs", task_id, "--tail", "1"]):
        shown = on_terminal(box, *words)
        assert "\x1b[31mred\x1b[0m" in shown and [act for act in ACTS if act in shown] == [], shown
    assert "\x1b]52" in on_terminal(box, "logs", task_id, "--raw")
    process = box.popen("logs", task_id)
    assert process.communicate(timeout=60)[0] == ATTACK, "a pipe gets the bytes"


# -- limits ----------------------------------------------------------------------------------------


def test_a_line_of_128_kb_is_a_task_by_file_and_by_argument(box: Box) -> None:
    """Linux gives a process no argument of more than 128 KiB: a longer shell line runs in pieces."""
    text, longer = "x" * (127 << 10), "x" * (129 << 10)
    (box.work / "tasks").write_text(f"echo {text} | wc -c\necho {longer} | wc -c\n")
    first, second = clear(box.run("submit", "--file", "tasks", "--cpus", "1"), 0).out.split()
    third = clear(box.run("submit", "--cpus", "1", "--", f"echo {text} | wc -c"), 0).id
    for task_id, printed in ((first, text), (second, longer), (third, text)):
        assert box.run("wait", task_id).code == 0
        assert box.run("logs", task_id, code=0).out == f"{len(printed) + 1}\n"
    clear(box.run("tasks", "--all"), 0)


def test_a_record_of_more_than_64_mb_fails_with_its_reason_and_the_queue_goes_on(node: Node) -> None:
    task_id = new_task_id()
    entry = make_entry(task_id, priority=400, sequence=1)
    with open(f"{node.lease.inbox(ANY)}/{entry}", "wb") as file:
        file.truncate((64 << 20) + (2 << 20))
    node.start()
    assert node.result(node.submit("true")).state is State.DONE
    outcome = node.result(task_id)
    assert outcome.state is State.FAILED and "64 MiB" in outcome.reason
    json.dumps(outcome.as_record())


# -- what stands beside leaseq ---------------------------------------------------------------------


def test_modules_of_a_project_on_pythonpath_are_neither_needed_nor_run(box: Box) -> None:
    """Of the names of Python's own and of those of the packages that the command line needs."""
    project = box.path / "project"
    project.mkdir()
    names = ["selectors", "signal", "json", "subprocess", "fire", "yaml", "shlex", "socket", "jinja2"]
    for name in names:
        (project / f"{name}.py").write_text(f"open({str(box.path / 'imported')!r}, 'a').write({name!r})\n1 / 0\n")
    env = {"PYTHONPATH": f"{project}:{box.environment['PYTHONPATH']}"}
    task_id = clear(box.run("submit", "--", 'echo "$PYTHONPATH"', env=env), 0).id
    assert clear(box.run("wait", task_id, env=env), 0)
    for words in (["status"], ["daemon", "status"], ["daemon", "restart"], ["add", "--dry-run"], ["config"]):
        clear(box.run(*words, env=env), 0)
    assert box.run("logs", task_id, code=0).out == f"{env['PYTHONPATH']}\n", "a task has it all the same"
    assert not (box.path / "imported").exists()


def test_a_dry_run_shows_a_terminal_every_letter_of_the_script(box: Box) -> None:
    box.home.mkdir(mode=0o700)
    (box.home / "config.yaml").write_text('prologue: "echo \\e]0;title\\a \\ec \\u202etxt\\tx"\n')
    (box.home / "config.yaml").chmod(0o600)
    shown = on_terminal(box, "add", "--dry-run", "--comment=\x1b[2J")
    for acts in ("\x1b", "\x07", "\u202e"):
        assert acts not in shown
    for seen in ("\\x1b]0;title\\x07", "\\x1bc", "\\u202etxt\tx".expandtabs(0), "\\x1b[2J"):
        assert seen.replace("\t", "") in shown.replace("\t", "").replace(" x", "x"), (seen, shown)
    piped = clear(box.run("add", "--dry-run"), 0).out
    assert "\x1b]0;title\x07" in piped


def test_marks_that_turn_letters_round_are_seen_in_a_log_and_not_obeyed(box: Box) -> None:
    text = "gpj.\u202excod\u202c \u2066x\u2069 \u05d0\u200f ok"
    task_id = box.submit("printf", "%s\n", text)
    assert box.run("wait", task_id).code == 0
    for words in (["logs", task_id], ["follow", task_id]):
        shown = on_terminal(box, *words)
        assert "gpj.\\u202excod\\u202c \\u2066x\\u2069 \u05d0\u200f ok" in shown, shown
    assert "\u202e" in on_terminal(box, "logs", task_id, "--raw")
    assert box.run("logs", task_id, code=0).out == f"{text}\n", "a pipe gets the bytes"
