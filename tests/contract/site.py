"""What a user of a cluster does and sees: leaseq, Slurm's commands, the lease's files, terminals."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests import forked
from tests.contract.clusters import REPOSITORY, SECONDS_MAX, Cluster, run
from tests.e2e.harness import processes
from tests.patience import wait_until

LEASEQ = (sys.executable, "-E", str(REPOSITORY / "leaseq" / "__main__.py"))


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    """What is started here meanwhile has that umask."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


class Site:
    """One user's home on a cluster."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster = cluster
        self.directory = directory
        self.home = directory / "home"

    @property
    def env(self) -> dict[str, str]:
        return {**self.cluster.env, "LEASEQ_HOME": str(self.home), "SHELL": "/bin/bash", "PS1": "# "}

    # -- commands --------------------------------------------------------------------------------

    def leaseq(self, *words: str, seconds_max: float = SECONDS_MAX, **env: str) -> subprocess.CompletedProcess[str]:
        """leaseq's end, whatever its exit code."""
        code, out, err = forked.run(words, {**self.env, **env}, cwd=self.directory, seconds=seconds_max)
        return subprocess.CompletedProcess(words, code, out.decode(), err.decode())

    def ok(self, *words: str, seconds_max: float = SECONDS_MAX, **env: str) -> str:
        """What leaseq printed; it has succeeded."""
        done = self.leaseq(*words, seconds_max=seconds_max, **env)
        assert done.returncode == 0, f"leaseq {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def slurm(self, *argv: str) -> str:
        """What a Slurm command printed; it has succeeded."""
        done = run(argv, self.cluster.env, cwd=self.directory)
        assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def squeue(self, *options: str) -> list[str]:
        return self.cluster.squeue("-h", *options).split()

    def job(self, job: str) -> dict[str, str]:
        """What scontrol tells of the job."""
        words = self.slurm("scontrol", "show", "job", "-d", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def add(self, *words: str) -> str:
        """The id of a lease that has started, with a runner on each node."""
        lease = self.ok("add", "--detach", *words)
        assert lease.isdigit(), lease
        self.started(lease)
        return lease

    def join(self, lease: str, *words: str) -> str:
        """The number of another job that gives nodes to the lease; runners are on them."""
        job = self.ok("add", "--detach", "--to", lease, *words)
        assert job.isdigit(), job
        self.wait_until(lambda: job in {beat["alloc"] for beat in self.beats(lease).values()}, f"a runner of {job}")
        self.started(lease)
        return job

    def started(self, lease: str) -> None:
        """Every node of the lease has a runner."""
        self.wait_until(
            lambda: (names := self.nodes(lease)) and set(names) <= set(self.beats(lease)), f"the runners of {lease}"
        )

    def start_again(self, job: str) -> None:
        """A requeued job waits no longer than it must.

        What would start in the second in which it was requeued Slurm kills, for that second's credentials are revoked
        ("Killing non-startable batch", 22.05).
        """
        self.slurm("scontrol", "update", f"JobId={job}", "StartTime=now+3seconds")

    def release(self, lease: str) -> None:
        self.slurm("scancel", lease)
        self.wait_until(lambda: lease not in self.squeue("-o", "%i"), f"the end of {lease}")

    def ask_slurm_anew(self) -> None:
        """The next command asks Slurm and believes no answer of before."""
        cache = self.home / "cache"
        for answer in cache.glob("*/squeue.json"):
            os.utime(answer, (0, 0))
        for turn in cache.glob("*/ask.*"):
            turn.unlink(missing_ok=True)

    def keep_up(self, lease: str) -> None:
        """A command that acts, not one that looks, has asked Slurm after the lease: what follows is in its files."""
        self.ask_slurm_anew()
        self.ok("lease", "ls", seconds_max=90)
        self.ok("recover", "--lease", lease, seconds_max=90)

    def let_two_minutes_pass(self, lease: str, node: str = "[!.]*") -> None:
        """So long nobody has heard a runner of the lease, or of that node."""
        for beat in (self.lease_dir(lease) / "hb").glob(f"{node}.*"):
            os.utime(beat, (time.time() - 130,) * 2)

    # -- the lease directory ---------------------------------------------------------------------

    def lease_dir(self, lease: str) -> Path:
        return self.home / "runs" / lease

    def record(self, lease: str) -> dict[str, object]:
        value: dict[str, object] = json.loads((self.lease_dir(lease) / "lease.json").read_bytes())
        return value

    def nodes(self, lease: str) -> list[str]:
        """The nodes, as the lease script wrote them."""
        files = [path.read_text() for path in self._of_allocations(lease, "nodes")]
        return [line.split()[0] for text in files for line in text.splitlines()]

    def _of_allocations(self, lease: str, name: str) -> list[Path]:
        """The files of that name of all the lease's allocations."""
        return sorted((self.lease_dir(lease) / "allocs").glob(f"*/{name}"))

    def beats(self, lease: str) -> dict[str, dict[str, object]]:
        """The heartbeats by node."""
        found = {}
        for path in (self.lease_dir(lease) / "hb").glob("*.json"):
            found[path.stem] = json.loads(path.read_bytes())
        return found

    def notes(self, lease: str) -> str:
        return "\n".join(path.read_text() for path in self._of_allocations(lease, "note/[!.]*"))

    def script_log(self, lease: str) -> str:
        logs = [path.read_text(errors="replace") for path in self._of_allocations(lease, "slurm.log")]
        return "\n".join(logs) or "(no slurm.log)"

    def wait_until(self, condition: Callable[[], object], what: str, *, seconds_max: float = SECONDS_MAX) -> None:
        wait_until(condition, what, seconds=seconds_max, seen=self.seen)

    def seen(self) -> str:
        """Everything that helps to tell why a wait was in vain."""
        parts = ["\n".join(run(["squeue", "-t", "all"], self.cluster.env, cwd=self.directory).stdout.splitlines())]
        for lease in sorted((self.home / "runs").glob("[!.]*")):
            parts += [f"== {lease.name}", self.script_log(lease.name), self.notes(lease.name)]
        return "\n".join(parts)

    # -- processes -------------------------------------------------------------------------------

    def processes(self) -> list[int]:
        """What runs on this host and on the nodes for this home: runners, keepers, tasks, commands."""
        mark = f"LEASEQ_HOME={self.home}\0".encode()
        return processes(lambda environment: mark in environment)

    def end_processes(self) -> None:
        """None is left: a local runner would stay for its five minutes without a home."""

        def ended() -> bool:
            for pid in (left := self.processes()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        wait_until(ended, f"the end of every process of {self.home}", seen=self.processes)

    def terminal(self, *words: str, **env: str) -> Terminal:
        """leaseq on a terminal of its own."""
        return Terminal([*LEASEQ, *words], {**self.env, "TERM": "xterm", **env}, self.directory)


class Terminal:
    """A program on a pseudo-terminal, and everything that it has printed."""

    def __init__(self, argv: list[str], env: dict[str, str], cwd: Path) -> None:
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(argv[0], argv, env)
        self.closed = False

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def expect(self, text: str, *, seconds_max: float = SECONDS_MAX) -> None:
        """The text has been printed since the last one that was expected."""
        self._until(lambda: text in self.seen, f"{text!r} on the terminal", seconds_max)
        self.seen = self.seen.partition(text)[2]

    def end(self, *, seconds_max: float = SECONDS_MAX) -> int:
        """The exit code of the program, once it has ended by itself."""
        self._until(lambda: self.closed, "the end of the program", seconds_max)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """The terminal is gone with all that ran in it, as a lost connection leaves it."""
        for pid in _tree(self.pid):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)

    def _until(self, condition: Callable[[], bool], what: str, seconds_max: float) -> None:
        until = time.monotonic() + seconds_max
        while not condition():
            assert time.monotonic() < until, f"waited for {what}; seen: {self.seen!r}"
            assert not self.closed, f"the program ended before {what}; seen: {self.seen!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b""
                self.closed = not data
                self.seen += data.decode("utf-8", "replace")


def _tree(pid: int) -> list[int]:
    """The process and all that descends from it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in _tree(int(child)))]
