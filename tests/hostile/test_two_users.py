"""Two real users of one host: what one of them plants is neither followed nor carried out by the other's leaseq."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from leaseq.world import boot_id, hostname, process_start
from tests.build import make_entry, make_task
from tests.e2e.cli import Box, Said, on_terminal
from tests.e2e.harness import ROOT
from tests.hostile.test_planted import clear
from tests.patience import wait_until

UID_FIRST = 61_000
"""From here on uids are taken that no process and no directory in /tmp has; nobody need be in /etc/passwd."""

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can be two other users")


def free_uid() -> int:
    """A uid that nobody here uses, apart for each process of the tests."""
    uid = UID_FIRST + 2 * (os.getpid() % 1500)
    while os.path.lexists(f"/tmp/leaseq-{uid}"):
        uid += 3000
    return uid


class User(Box):
    """Somebody's home, working directory and, in /tmp, node-local directory."""

    def __init__(self, path: Path, uid: int) -> None:
        super().__init__(path)
        self.uid = uid
        self.sleepers: list[subprocess.Popen[bytes]] = []
        del self.environment["LEASEQ_NODE_DIR"]
        self.environment.pop("SHELL", None)  # of the tests' own user; nothing tells the shell of this one
        self.environment["HOME"] = str(path)
        self.own(path, path / "w")

    def own(self, *paths: Path) -> None:
        for path in paths:
            os.chown(path, self.uid, self.uid, follow_symlinks=False)

    def popen(self, *words: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        return super().popen(*words, env=env, user=self.uid, group=self.uid, extra_groups=[], **options)

    def does(self, line: str, *arguments: str) -> None:
        """This user's shell has run the line."""
        done = subprocess.run(
            ["/bin/sh", "-ec", line, "sh", *arguments],
            user=self.uid, group=self.uid, extra_groups=[], cwd="/", capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done

    def sleeper(self) -> subprocess.Popen[bytes]:
        """A process of this user that is none of leaseq's."""
        started = subprocess.Popen(["sleep", "1000"], user=self.uid, group=self.uid, extra_groups=[])
        self.sleepers.append(started)
        return started

    def close(self) -> None:
        super().close()
        for each in self.sleepers:
            each.kill()
            each.wait()

    @property
    def lease(self) -> Path:
        return self.home / f"runs/local:{hostname()}"

    @property
    def node(self) -> Path:
        """This user's node-local directory in /tmp, whoever made it."""
        digest = hashlib.sha256(os.path.realpath(self.home).encode()).hexdigest()[:10]
        return Path(f"/tmp/leaseq-{self.uid}/{digest}/local:{hostname()}/{hostname()}")


PATHS = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])


@functools.cache
def python_of_others() -> str:
    """An interpreter that any user can run leaseq with; the one of the tests may be in root's own directory."""
    system = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/local/bin:/usr/bin:/bin")
    for python in (sys.executable, *([system] if system else [])):
        script = '"$1" -c "import leaseq.cli.main, fire, yaml, jinja2, blessed"'
        words = ["/bin/sh", "-c", script, "sh", python]
        done = subprocess.run(words, env={"PYTHONPATH": PATHS}, cwd="/", user=free_uid(), capture_output=True)
        if done.returncode == 0:
            return python
    return ""


@pytest.fixture
def users(short_path: Path) -> Iterator[tuple[User, User]]:
    """Alice, whose leaseq is attacked, and mallory, who may do what any user of a host may."""
    uid = free_uid()
    short_path.chmod(0o755)
    made = []
    for name, number in (("alice", uid), ("mallory", uid + 1)):
        (short_path / name).mkdir(mode=0o755)
        made.append(User(short_path / name, number))
    if not python_of_others():
        pytest.skip(f"another user can run no Python {sys.version_info[:2]} that has leaseq's packages")
    for user in made:
        user.environment["PYTHONPATH"], user.python = PATHS, python_of_others()
    yield made[0], made[1]
    for user in made:
        user.close()
        for path in Path("/tmp").glob(f"leaseq-{user.uid}*"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def plant(alice: User, mallory: User, pid: int) -> None:
    """Mallory has made alice's node directory before her, and has named a process in it as her runner."""
    holder = {"pid": pid, "pid_start": process_start(pid), "boot": boot_id(), "incarnation": "0123456789"}
    mallory.does(
        'umask 0; for each in ask rec born session; do mkdir -p "$1/$each"; done;'
        'printf %s "$2" >"$1/runner"; printf %s "$2" >"$1/keeper"; : >"$1/runner.lock"',
        str(alice.node),
        json.dumps(holder),
    )


# -- the node-local directory ------------------------------------------------------------------------


def test_a_node_directory_that_another_user_made_is_trusted_by_no_command(users: tuple[User, User]) -> None:
    alice, mallory = users
    alice.run("submit", "--no-start", "--hold", "--", "true", code=0)
    victim = alice.sleeper()
    plant(alice, mallory, victim.pid)
    alice.environment["LEASEQ_NODE_DIR"] = f"/tmp/leaseq-{alice.uid}"
    for words in (
        ["daemon", "stop"],
        ["daemon", "stop", "--kill"],
        ["daemon", "restart"],
        ["daemon", "status"],
        ["daemon", "start"],
        ["shell", "--plain", "--", "true"],
        ["lease", "release", "local", "--yes"],
    ):
        said = clear(alice.run(*words), 2)
        assert "is not a directory of yours" in said.err and "LEASEQ_NODE_DIR" in said.err, words
    said = clear(alice.run("submit", "--", "true"), 0)
    assert (
        "queued, but this host's runner could not be started" in said.err and "is not a directory of yours" in said.err
    )
    for words in (["status"], ["tasks"], ["info", "last"], ["recover"], ["clean", "--dry-run"]):
        clear(alice.run(*words), 0)
    assert victim.poll() is None


@pytest.mark.parametrize("how", ["directory", "file", "link"])
def test_who_takes_the_name_of_a_node_directory_stops_nobody(users: tuple[User, User], how: str) -> None:
    """Another name is taken, found again by every command, also once the first has become free."""
    alice, mallory = users
    victim, first = alice.sleeper(), f"/tmp/leaseq-{alice.uid}"
    if how == "directory":
        plant(alice, mallory, victim.pid)
    else:
        mallory.does({"file": ': >"$1"', "link": 'ln -s "$2" "$1"'}[how], first, str(alice.path / "w"))
    assert "no runner was alive" in clear(alice.run("daemon", "stop"), 0).err
    started = [alice.popen("daemon", "start", "--json") for _ in range(3)]
    said = [each.communicate(timeout=60)[0] for each in started]
    pids = {json.loads(each).get("pid") for each in said}
    assert pids == {alice.runner_pid} != {victim.pid}, (said, alice.run("daemon", "status"))
    task_id = alice.run("submit", "--", "true", code=0).id
    assert alice.run("wait", task_id).code == 0
    mallory.does('rm -r "$1"', first)
    assert pids == {alice.runner_pid}
    assert not os.path.exists(first) and not list((alice.path / "w").iterdir())
    alice.run("daemon", "stop", code=0)
    assert victim.poll() is None


@pytest.mark.parametrize("owner", ["alice", "mallory"])
def test_a_process_that_is_no_runner_is_sent_no_signal(users: tuple[User, User], owner: str) -> None:
    """The directory is alice's own; what stands in it as her runner is alive, with its true start, and is none."""
    alice, mallory = users
    alice.run("daemon", "start", code=0)
    alice.run("daemon", "stop", code=0)
    victim = (alice if owner == "alice" else mallory).sleeper()
    holder = {"pid": victim.pid, "pid_start": process_start(victim.pid), "boot": boot_id(), "incarnation": "0" * 10}
    (alice.node / "runner").write_text(json.dumps(holder))
    alice.own(alice.node / "runner")
    for words in (["daemon", "stop"], ["daemon", "restart"], ["daemon", "stop", "--kill"]):
        said = clear(alice.run(*words), 2)
        assert f"process {victim.pid} is no runner of local:{hostname()}" in said.err and "sleep 1000" in said.err
    assert victim.poll() is None


def test_a_running_runner_is_known_as_one_and_stopped(users: tuple[User, User]) -> None:
    alice, _ = users
    alice.run("daemon", "start", code=0)
    pid = alice.runner_pid
    alice.run("daemon", "stop", code=0)
    wait_until(lambda: process_start(pid) == 0, "the end of the runner")


def test_a_node_directory_that_others_could_write_is_refused_until_it_is_looked_at(users: tuple[User, User]) -> None:
    """What was put into it meanwhile is not carried out even then: the file is another user's."""
    alice, mallory = users
    task_id, mark = "T0000000000e", alice.work / "mark"
    alice.run("daemon", "start", code=0)
    alice.run("daemon", "stop", code=0)
    subprocess.run(["chmod", "-R", "a+rwX", f"/tmp/leaseq-{alice.uid}"], check=True)
    request = {
        "argv": ["touch", str(mark)], "env": {}, "cwd": "/", "umask": 0o22, "out": "/dev/null", "err": "/dev/null",
        "remote": False, "limit": None, "grace": 1.0, "gpus": [], "boot": boot_id(),
    }  # fmt: skip
    ask = alice.node / f"ask/start-{task_id}.1"
    mallory.does('printf %s "$2" >"$1"; chmod 666 "$1"', str(ask), json.dumps(request))
    for words in (["daemon", "start"], ["daemon", "status"], ["daemon", "stop"]):
        said = clear(alice.run(*words), 2)
        assert "others can write in" in said.err and "chmod 700" in said.err
    subprocess.run(["find", f"/tmp/leaseq-{alice.uid}", "-type", "d", "-exec", "chmod", "700", "{}", "+"], check=True)
    clear(alice.run("daemon", "start"), 0)
    wait_until(lambda: not ask.exists(), "the request gone", seen=lambda: (alice.node / "runner.log").read_text())
    assert f"belongs to {mallory.uid}" in (alice.node / "runner.log").read_text()
    done = alice.run("submit", "--", "true", code=0).id
    assert alice.run("wait", done).code == 0
    assert not mark.exists() and not (alice.node / f"rec/{task_id}.1").exists()


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_a_shell_is_not_attached_to_another_users_tmux(users: tuple[User, User]) -> None:
    """Neither in a directory that mallory made, nor at a socket of his in alice's own directory."""
    alice, mallory = users
    seen = mallory.path / "seen"
    server = ["-f", "/dev/null", "new-session", "-d", "-s", "main", f"cat >{seen}"]
    plant(alice, mallory, os.getpid())
    alice.environment["LEASEQ_NODE_DIR"] = f"/tmp/leaseq-{alice.uid}"
    theirs = alice.node / "session/main.sock"
    mallory.does('tmux -S "$@"; chmod 777 "$1"', str(theirs), *server)
    try:
        shown = on_terminal(alice, "shell", columns=200)
        assert ("is not a directory of yours" in shown and not seen.exists()) or seen.read_bytes() == b""
    finally:
        mallory.does('tmux -S "$1" kill-server', str(theirs))
    shutil.rmtree(f"/tmp/leaseq-{alice.uid}")
    clear(alice.run("daemon", "start"), 0)
    (alice.node / "session").mkdir(mode=0o700, exist_ok=True)
    alice.own(alice.node / "session")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(theirs))
        os.chown(theirs, mallory.uid, mallory.uid)
        theirs.chmod(0o777)
        listener.listen()
        shown = on_terminal(alice, "shell", columns=200)
        assert "main.sock is not a socket of yours" in shown
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_user_whom_no_file_of_users_names_gets_a_plain_shell(users: tuple[User, User]) -> None:
    said = users[0].run("shell", "--plain", input=b"echo this is $0\n", code=0)
    assert "this is /bin/sh\n" in said.out


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_a_shell_starts_in_a_directory_of_any_name_and_runs_no_part_of_it(users: tuple[User, User]) -> None:
    """tmux runs what stands in `#(...)` if it expands a format; mallory has made a directory of such a name."""
    alice, mallory = users
    mallory.path.chmod(0o755)
    for name in ("#(touch pwned)", "##(touch pwned)", "a#{pane_id}#[x]#,}%H", "$(touch pwned)`touch pwned`", "#S;x"):
        place = mallory.path / name
        mallory.does('mkdir -m 777 "$1"', str(place))
        out = alice.work / "out"
        shown = on_terminal(alice, "shell", "--session", "look", "--", "sh", "-c", f"pwd >{out}", cwd=place)
        assert out.read_text() == f"{place}\n", (name, shown)
        out.unlink()
        assert os.listdir(place) == [], name
    assert not list(alice.path.rglob("pwned")) and not os.path.exists("/pwned")


# -- the home ----------------------------------------------------------------------------------------


def mark_task(mallory: User, directory: Path, mark: Path) -> Path:
    """A well-formed task of mallory's, readable for all, in a directory that he may write."""
    entry = make_entry(priority=400, sequence=1)
    task = make_task(entry.id, argv=("touch", str(mark)), env={"PATH": "/usr/bin:/bin"})
    path = directory / str(entry)
    mallory.does('printf %s "$2" >"$1"; chmod 666 "$1"', str(path), task.to_json().decode())
    return path


def let_in(alice: User, *names: str) -> None:
    """A careless alice: others may enter her home, and write in these directories of her lease."""
    for path in (alice.home, alice.home / "runs", alice.lease):
        path.chmod(0o755)
    for name in names:
        (alice.lease / name).chmod(0o777)


def reason_of(alice: User, start: str) -> str:
    """What is beside the file of that name that was set aside."""

    def found() -> list[Path]:
        return sorted((alice.lease / "evidence").glob(f"{start}*.reason"))

    wait_until(found, f"{start} in evidence/", seen=lambda: list((alice.lease / "evidence").iterdir()))
    return found()[0].read_text()


def test_a_task_of_another_user_is_not_run_and_kept_with_its_reason(users: tuple[User, User]) -> None:
    """The inbox is opened while the runner lives: what it opens it looks at, whatever the directory lets in."""
    alice, mallory = users
    alice.run("daemon", "start", code=0)
    let_in(alice, "inbox/_any")
    (alice.lease / "inbox").chmod(0o755)
    mark = alice.path / "mark"
    path = mark_task(mallory, alice.lease / "inbox/_any", mark)
    task_id = path.name.split(".")[1]
    said = alice.run("wait", task_id, "--timeout", "60s")
    assert said.code == 1, said
    assert f"belongs to {mallory.uid}, not to you" in alice.task(task_id)["reason"]
    assert [kept for kept in (alice.lease / "evidence").iterdir() if task_id in kept.name]
    assert alice.run("wait", alice.run("submit", "--", "true", code=0).id).code == 0
    assert not mark.exists()


@pytest.mark.parametrize("verb", ["cancel", "signal", "kill"])
def test_a_request_of_another_user_is_not_carried_out(users: tuple[User, User], verb: str) -> None:
    alice, mallory = users
    task_id = alice.run("submit", "--", "sleep", "1000", code=0).id
    alice.until(task_id, "RUNNING")
    let_in(alice, f"control/{hostname()}")
    (alice.lease / "control").chmod(0o755)
    name = verb if verb == "kill" else f"{verb}.{task_id}.1"
    place = alice.lease / f"control/{hostname()}"
    mallory.does(
        'printf %s "$2" >"$1/.x"; chmod 666 "$1/.x"; mv "$1/.x" "$1/$3"', str(place),
        '{"v": 1, "signal": 9, "reason": "x"}', f"{name}.0123456789",
    )  # fmt: skip
    assert f"belongs to {mallory.uid}, not to you" in reason_of(alice, name)
    assert alice.task(task_id)["state"] == "RUNNING"
    alice.run("cancel", task_id, code=0)
    assert alice.until(task_id, "CANCELLED")["reason"]


@pytest.mark.parametrize("open_one", ["runs", "runs/LEASE", "inbox", "inbox/_any", "control/NODE", "claimed/NODE"])
def test_a_runner_does_not_start_where_others_can_write(users: tuple[User, User], open_one: str) -> None:
    alice, _ = users
    alice.run("daemon", "start", code=0)
    alice.run("daemon", "stop", code=0)
    let_in(alice)
    above = {"runs": alice.home / "runs", "runs/LEASE": alice.lease}
    above.get(open_one, alice.lease / open_one.replace("NODE", hostname())).chmod(0o777)
    said = clear(alice.run("daemon", "start"))
    assert said.code != 0 and "can be written by others" in said.err and "chmod -R go-w" in said.err
    assert "can be written by others" in clear(alice.run("doctor")).out


@pytest.mark.parametrize("how", ["link", "directory"])
def test_a_home_that_another_user_puts_in_the_place_is_left_by_a_running_runner(
    users: tuple[User, User], how: str
) -> None:
    """Mallory turns a link, or renames a directory, as he may in one that his group can write."""
    alice, mallory = users
    team = mallory.path / "team"
    mallory.does('mkdir -m 775 "$1"', str(team))
    os.chown(team, mallory.uid, alice.uid)
    alice.home = team / "lq"
    alice.environment["LEASEQ_HOME"] = str(alice.home)
    if how == "link":
        (alice.path / "real").mkdir(mode=0o700)
        alice.home.symlink_to(alice.path / "real")
        alice.own(alice.path / "real", alice.home)
    alice.run("daemon", "start", code=0)
    pid, mark = alice.runner_pid, alice.path / "mark"
    mallory.does('cp -r "$1" "$2"', str(make_home(mallory)), str(team / "theirs"))
    mark_task(mallory, team / f"theirs/runs/local:{hostname()}/inbox/_any", mark)
    mallory.does('chmod -R a+rwX "$1/theirs"; mv "$1/lq" "$1/hers"; mv "$1/theirs" "$1/lq"', str(team))
    wait_until(lambda: process_start(pid) == 0, "the end of the runner")
    assert not mark.exists()
    assert "someone else" in clear(alice.run("daemon", "start"), 2).err


def make_home(user: User) -> Path:
    """A home of that user's with this host's lease in it, and no runner."""
    user.run("submit", "--no-start", "--", "true", code=0)
    return user.home


def test_a_home_that_is_another_users_link_is_refused(users: tuple[User, User]) -> None:
    alice, mallory = users
    innocent = alice.path / "innocent"
    innocent.mkdir(mode=0o755)
    alice.own(innocent)
    link = mallory.path / "lq"
    mallory.does('ln -s "$1" "$2"', str(innocent), str(link))
    for words in (["submit", "--", "true"], ["status"], ["daemon", "start"]):
        said = clear(alice.run(*words, env={"LEASEQ_HOME": str(link)}), 2)
        assert f"is a link that {mallory.uid} has made" in said.err and str(innocent) in said.err
    assert not list(innocent.iterdir())


@pytest.mark.parametrize("how", ["open", "another's"])
def test_settings_and_templates_that_others_can_write_are_refused(users: tuple[User, User], how: str) -> None:
    alice, mallory = users
    alice.home.mkdir(mode=0o755)
    templates, config = alice.home / "templates", alice.home / "config.yaml"
    templates.mkdir(mode=0o755)
    template = templates / "lease.sh.j2"
    config.write_text("prologue: echo mallory\n")
    template.write_text("echo mallory\n")
    alice.own(alice.home, templates, template, config)
    bad = (config, template, templates)
    for path in bad:
        path.chmod(0o755)
    clear(alice.run("add", "--dry-run", "-p", "gpu"), 0)
    for path in bad:
        if how == "open":
            path.chmod(0o775)
        else:
            mallory.own(path)
        said = clear(alice.run("add", "--dry-run", "-p", "gpu"), 2)
        assert str(path) in said.err and "would run as you" in said.err and "mallory" not in said.out
        path.chmod(0o755)
        alice.own(path)


# -- limits, and processes that are another's ----------------------------------------------------------


def test_at_the_limit_of_processes_cancel_works_and_what_cannot_start_says_why(users: tuple[User, User]) -> None:
    alice, _ = users
    task_id = alice.run("submit", "--", "sleep", "1000", code=0).id
    alice.until(task_id, "RUNNING")

    def limited(*words: str, env: Mapping[str, str] | None = None) -> Said:
        line = 'ulimit -u 1; exec "$@"'
        done = subprocess.run(
            ["/bin/bash", "-c", line, "bash", alice.python, "-m", "leaseq", *words],
            user=alice.uid, group=alice.uid, extra_groups=[], cwd=alice.work, capture_output=True, text=True,
            env={**alice.environment, **(env or {})}, timeout=60,
        )  # fmt: skip
        return clear(Said(done.returncode, done.stdout, done.stderr))

    (alice.work / "many").write_text("true\n" * 40)
    for words in (["tasks"], ["submit", "--", "true"], ["submit", "--file", "many", "--hold"], ["cancel", task_id]):
        assert limited(*words).code == 0, words
    assert alice.until(task_id, "CANCELLED")
    assert limited("daemon", "stop").code == 0
    said = limited("daemon", "start")
    assert said.code == 75 and "no more processes can be started" in said.err and "ulimit -u" in said.err
    queued = limited("submit", "--", "true")
    assert queued.code == 0 and "no more processes can be started" in queued.err


def test_a_process_that_became_anothers_is_named_where_no_kill_reaches_it(users: tuple[User, User]) -> None:
    """As `sudo` does it: a setuid program of root, that becomes root whole."""
    alice, _ = users
    program = alice.path / "becomes-root"
    if (setpriv := shutil.which("setpriv")) is None:
        pytest.skip("needs setpriv")
    shutil.copy(setpriv, program)
    program.chmod(0o4755)
    if os.statvfs(program).f_flag & os.ST_NOSUID:
        pytest.skip("programs do not become root on this file system")
    become = [str(program), "--reuid=0", "--regid=0", "--clear-groups"]
    task_id = alice.run("submit", "--", *become, "sleep", "1000", code=0).id
    wait_until(lambda: alice.task(task_id)["pid"], "its process", seen=lambda: alice.task(task_id))
    pid = alice.task(task_id)["pid"]
    wait_until(lambda: os.stat(f"/proc/{pid}").st_uid == 0, "root's process")
    alice.run("cancel", task_id, code=0)
    words = f"process {pid} belongs to root"
    wait_until(
        lambda: words in (alice.task(task_id)["reason"] or ""), words, seconds=60, seen=lambda: alice.task(task_id)
    )
    os.kill(pid, 9)
    assert words in alice.until(task_id, "CANCELLED")["reason"]


def test_a_directory_that_its_owner_closed_is_named_with_the_setting_that_it_is(users: tuple[User, User]) -> None:
    alice, _ = users
    alice.run("daemon", "start", code=0)
    alice.run("daemon", "stop", code=0)
    inbox = alice.lease / "inbox/_any"
    inbox.chmod(0o500)
    said = clear(alice.run("submit", "--", "true"), 2, 75)
    assert "LEASEQ_HOME must be a directory that you can write" in said.err
    inbox.chmod(0o700)
    alice.node.chmod(0o500)
    said = clear(alice.run("daemon", "start"), 2)
    assert f"chmod 700 {alice.node}" in said.err
    said = clear(alice.run("submit", "--", "true"), 0)
    assert f"chmod 700 {alice.node}" in said.err
    alice.node.chmod(0o700)
    clear(alice.run("daemon", "start"), 0)
