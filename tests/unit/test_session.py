"""A session outlives the terminal that shows it. Real tmux, real terminals, a process that stands for the runner."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leaseq.errors import EX_TEMPFAIL
from leaseq.layout import Home
from leaseq.node import session
from leaseq.node.terminal import NO_SESSION
from leaseq.node.terminals import Terminals
from leaseq.world import SystemFs
from tests.build import allocate
from tests.patience import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = PATIENCE_SECONDS
RUNNER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from leaseq.node.nodedir import open_node_dir
from leaseq.errors import EX_TEMPFAIL
from leaseq.node import session
from leaseq.node.terminals import Terminals
directory = open_node_dir(sys.argv[2], "7", "node1")
directory.take("runner", "0123456789")
session.directory_of(directory.root)
print("ready", flush=True)
while os.getppid() == int(sys.argv[3]):
    session.serve(directory.root, os.environ)
    time.sleep(0.01)
"""

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")


class Node:
    """A node with a runner that serves sessions."""

    def __init__(self, path: Path) -> None:
        self.path, self.home = path, str(path / "home")
        self.environment = {**os.environ, "LEASEQ_NODE_DIR": str(path / "n"), "HOME": str(path), "SHELL": "/bin/sh"}
        self.environment |= {"SLURM_NTASKS": "3", "SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "0,1", "PS1": "$ "}
        argv = [sys.executable, "-c", RUNNER, str(ROOT), self.home, str(os.getpid())]
        self.runner = subprocess.Popen(argv, env=self.environment, stdout=subprocess.PIPE)
        assert self.runner.stdout is not None
        assert self.runner.stdout.readline() == b"ready\n"

    def show(self, name: str = "main", *words: str, cwd: str = "/", term: str = "xterm") -> Terminal:
        """The helper that a step on the node runs, on a terminal of its own."""
        main = str(ROOT / "leaseq" / "__main__.py")
        return Terminal([sys.executable, "-E", main, "session", self.home, "7", "node1", name, cwd, *words], self, term)

    def close(self) -> None:
        for socket in self.path.glob("n/*/7/node1/session/*.sock"):
            subprocess.run(["tmux", "-S", str(socket), "kill-server"], check=False, capture_output=True)
        self.runner.kill()
        self.runner.communicate()


class Terminal:
    """A program on a pseudo-terminal, and everything it has printed."""

    def __init__(self, argv: list[str], node: Node, term: str) -> None:
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, {**node.environment, "TERM": term, "TMUX": "/outer,1,0"})
        self.closed = False

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def expect(self, text: str) -> None:
        """The text has been printed."""
        self._until(lambda: text in self.seen, f"{text!r} on the terminal")

    def end(self) -> int:
        """The exit code of the program, once it has ended by itself."""
        self._until(lambda: self.closed, "the end of the program")
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + SECONDS_MAX
        while not condition():
            assert time.monotonic() < until, f"waited for {what}; seen: {self.seen!r}"
            if not self.closed and select.select([self.fd], [], [], 0.1)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b""
                self.closed = not data
                self.seen += data.decode("utf-8", "replace")


@pytest.fixture
def node() -> Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="lq-") as directory:
        node = Node(Path(directory))
        yield node
        node.close()


def test_a_session_goes_on_when_its_terminal_is_killed(node: Node) -> None:
    first = node.show()
    first.type("echo before-$((40 + 2)); cat\n")
    first.expect("before-42")
    first.type("typed into cat\n")
    first.expect("typed into cat")
    first.kill()
    second = node.show()
    second.expect("before-42")
    second.expect("typed into cat")
    second.type("\x04exit 7\n")
    assert second.end() == 7


def test_a_session_has_the_nodes_gpus_and_lease_and_nothing_that_poisons_srun(node: Node) -> None:
    terminal = node.show("main", "sh", "-c", "env | sort >out; pwd >>out", cwd=str(node.path))
    assert terminal.end() == 0
    lines = (node.path / "out").read_text().splitlines()
    assert "CUDA_VISIBLE_DEVICES=0,1" in lines
    assert "SLURM_JOB_ID=7" in lines
    assert "LEASEQ_LEASE=7" in lines
    assert str(node.path) in lines
    assert not [line for line in lines if line.startswith("SLURM_NTASKS=")]


def test_the_exit_code_of_a_sessions_command_comes_back(node: Node) -> None:
    assert node.show("quick", "sh", "-c", "exit 42").end() == 42


def test_detaching_leaves_the_session_and_says_so(node: Node) -> None:
    terminal = node.show()
    terminal.type("echo in-$((1 + 1))\n")
    terminal.expect("in-2")
    terminal.type("tmux detach-client\n")
    assert terminal.end() == 0
    assert "session main goes on" in terminal.seen


def test_a_window_that_changes_its_size_is_noticed_inside(node: Node) -> None:
    terminal = node.show()
    terminal.type("echo ready-$((1 + 1))\n")
    terminal.expect("ready-2")
    fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    terminal.type("until [ $(stty size | tail -c 4) = 111 ]; do sleep 0.1; done; echo wide-$((1 + 1))\n")
    terminal.expect("wide-2")
    terminal.kill()


def used(node: Node, what: str) -> None:
    """The node is used by that, or by nothing."""
    root = next(node.path.glob("n/*/7/node1"))
    terminals = Terminals(str(root))
    wait_until(lambda: terminals.in_use() == what, f"use by {what!r}", seen=terminals.in_use)


def detached(node: Node, *typed: str) -> None:
    terminal = node.show()
    terminal.type("echo in-$((1 + 1))\n")
    terminal.expect("in-2")
    used(node, "a shell")
    for each in typed:
        terminal.type(each)
    terminal.type("tmux detach-client\n")
    assert terminal.end() == 0


def test_a_shell_uses_the_node_while_somebody_looks_at_it_or_something_runs_in_it(node: Node) -> None:
    detached(node)
    used(node, "")
    detached(node, "sleep 600 &\n")
    used(node, "what runs in session main")
    detached(node, "kill %1; wait\n")
    used(node, "")
    detached(node, "tmux new-window\n", "sleep 600 &\n")
    used(node, "what runs in session main")


def test_a_command_and_a_plain_shell_use_the_node_until_they_end(node: Node) -> None:
    command = node.show("job", "sleep", "600")
    used(node, "a shell")
    command.kill()
    used(node, "the command of session job")
    subprocess.run(["tmux", "-S", str(next(node.path.glob("n/*/7/node1/session/job.sock"))), "kill-server"], check=True)
    used(node, "")
    plain = node.show("", "sleep", "600")
    used(node, "a shell")
    plain.kill()
    used(node, "")


def test_every_window_of_a_session_is_told(node: Node) -> None:
    detached(node)
    Terminals(str(next(node.path.glob("n/*/7/node1")))).tell("the lease is given back soon")
    again = node.show()
    again.expect("leaseq: the lease is given back soon")
    again.kill()


def test_without_a_runner_the_way_out_is_told(node: Node) -> None:
    node.runner.kill()
    node.runner.wait()
    terminal = node.show()
    assert terminal.end() == EX_TEMPFAIL
    assert "leaseq shell --plain" in terminal.seen


def test_a_node_without_tmux_says_so(node: Node, tmp_path: Path) -> None:
    problem = session.start(str(tmp_path), "main", ["sh"], {"PATH": str(tmp_path)}, "/")
    assert problem == session.NO_TMUX


def test_a_plain_shell_runs_in_place(node: Node) -> None:
    terminal = node.show("", "sh", "-c", "echo lease-$LEASEQ_LEASE ntasks-$SLURM_NTASKS-; exit 5")
    assert terminal.end() == 5
    assert "lease-7 ntasks--" in terminal.seen


@pytest.mark.parametrize(
    "setting",
    [
        "set -g destroy-unattached on",
        "set -s exit-unattached on",
        "set -s exit-empty off",
        "setw -g remain-on-exit on",
        "set -g default-command 'exit 9'",
        "set -g default-shell /bin/false",
        "set -g detach-on-destroy off",
        "set -g prefix None",
        "set -g status off",
    ],
)
def test_no_setting_of_the_users_tmux_ends_or_keeps_a_session(node: Node, setting: str) -> None:
    (node.path / ".tmux.conf").write_text(f"{setting}\n")
    first = node.show("main", "sh")
    first.type("echo before-$((40 + 2))\n")
    first.expect("before-42")
    first.kill()
    second = node.show()
    second.expect("before-42")
    second.type("exit 7\n")
    assert second.end() == 7


def test_the_users_own_settings_count_otherwise(node: Node) -> None:
    (node.path / ".tmux.conf").write_text("set -g status-left MINE-$USER\nset -g history-limit 77\n")
    terminal = node.show("main", "sh")
    terminal.expect("MINE-")
    terminal.type("tmux show -gv history-limit | sed 's/^/limit-/'\n")
    terminal.expect("limit-77")
    terminal.type("exit\n")
    assert terminal.end() == 0


@pytest.mark.parametrize("term", ["xterm-ghostty", "no-such-terminal"])
def test_a_terminal_that_the_node_does_not_know_is_taken_for_one_that_it_does(node: Node, term: str) -> None:
    terminal = node.show("main", "sh", term=term)
    terminal.expect("$ ")  # what was typed before is lost with the client that could not draw
    terminal.type("echo in-$((1 + 1))\n")
    terminal.expect("in-2")
    terminal.type("exit 5\n")
    assert terminal.end() == 5
    assert f"does not know the terminal {term}" in terminal.seen


@pytest.mark.parametrize("said", ["", "server exited unexpectedly", "lost server"])
def test_a_session_that_ends_just_before_it_is_shown_is_begun_again(node: Node, said: str) -> None:
    """said: by tmux, if its server ends while it is asked; a race that is too seldom to wait for."""
    first = node.show("main", "sh")
    first.expect("$ ")
    first.kill()
    tmux, shims = shutil.which("tmux"), node.path / "shims"
    shims.mkdir()
    shim = shims / "tmux"
    ends = f'[ "$4" = attach-session ] && mkdir {shims}/once 2>/dev/null && {tmux} -S "$3" kill-session -t main'
    ends += f" && {{ echo '{said}' >&2; exit 1; }}" if said else ""
    shim.write_text(f'#!/bin/sh\n{ends}\nexec {tmux} "$@"\n')
    shim.chmod(0o755)
    node.environment["PATH"] = f"{shims}:{node.environment['PATH']}"
    terminal = node.show("main", "sh")
    terminal.expect("$ ")
    terminal.type("exit 5\n")
    assert terminal.end() == 5
    assert not any(words in terminal.seen for words in NO_SESSION)


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_can_show_no_session_is_told_the_way_that_needs_none(node: Node, term: str) -> None:
    terminal = node.show("main", "sh", term=term)
    assert terminal.end() == EX_TEMPFAIL
    assert "leaseq shell --plain" in terminal.seen
    assert f"TERM={term or '(empty)'}" in terminal.seen


@pytest.mark.parametrize("name", ["main", ""])
def test_a_shell_has_the_umask_of_whoever_opens_it(node: Node, name: str) -> None:
    made = node.path / "made"
    before = os.umask(0o027)
    try:
        terminal = node.show(name, "sh", "-c", f"umask >{made}; (umask) >/dev/null")
    finally:
        os.umask(before)
    assert terminal.end() == 0
    assert made.read_text() == "0027\n"
    assert made.stat().st_mode & 0o777 == 0o640
    for path in node.path.glob("n/*/7/node1/session/*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_session_is_told_before_its_lease_ends(node: Node) -> None:
    lease = Home(str(node.home)).lease("7")
    Path(lease.root).mkdir(parents=True)
    allocate(SystemFs(remote=False), lease, "7", nodes=("node1",), left=299)
    terminal = node.show("main", "sh", "-c", "until [ -e ~/go ]; do sleep 0.1; done; echo shown-$((1 + 1)); exec sh")
    terminal.expect("lease 7 ends in 5 min")
    # It does not stay in the way of what the session shows, though nobody presses a key.
    (node.path / "go").touch()
    terminal.expect("shown-2")
    terminal.type("exit\n")
    assert terminal.end() == 0
