"""A local lease with real runners: submit through the protocol, wait for what must happen, kill what must die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from leaseq.heartbeat import Heartbeat
from leaseq.indices import Indices
from leaseq.layout import Home
from leaseq.models import ANY, Lease, Need, Outcome, Task
from leaseq.names import histories_in, new_task_id
from leaseq.node import record
from leaseq.node.nodedir import Holder, NodeDir, node_path
from leaseq.node.record import Rec
from leaseq.protocol import files, records, requests, tasks, terms
from leaseq.world import SystemFs, process_start
from tests.build import make_entry
from tests.patience import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = PATIENCE_SECONDS
START = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from leaseq.runner.main import main; sys.exit(main(sys.argv[1:]))"
)


class Node:
    """One node of a local lease under a directory of its own, and the runners started on it."""

    lease_id = "local:vm"
    name = "vm"
    kind = "local"
    grace = "1"
    """Seconds between TERM and KILL."""
    patience = "3"
    """Seconds that a runner which was told to stop waits for its file system."""
    gone = "300"
    """Seconds that the lease's directory must be absent for its runner to end."""

    def __init__(self, path: Path, **environment: str) -> None:
        self.path = path
        self.home = str(path / "h")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("CUDA_")}
        self.environment |= {"LEASEQ_HOME": self.home, "LEASEQ_NODE_DIR": str(path / "n"), **environment}
        os.environ["LEASEQ_NODE_DIR"] = str(path / "n")  # the fixture puts it back
        self.fs = SystemFs(remote=False)
        self.lease = Home(self.home).lease(self.lease_id)
        for directory in (self.home, f"{self.home}/runs"):
            self.fs.mkdir(directory)
        records.prepare(self.fs, self.lease)
        records.prepare_node(self.fs, self.lease, self.name)
        lease = Lease(id=self.lease_id, kind=self.kind, created=time.time(), nodes=(self.name,))
        files.replace_file(self.fs, self.lease.record, lease.to_json())
        self.directory = NodeDir(node_path(self.home, self.lease_id, self.name))
        self.runners: list[subprocess.Popen[bytes]] = []
        self.submitted: list[tuple[str, int]] = []
        self.said = path / "runner.out"
        self.sequence = 0

    # -- tasks ---------------------------------------------------------------------------------

    def submit(
        self,
        *argv: str,
        need: Need | None = None,
        priority: int = 0,
        inbox: str = ANY,
        durable: bool = True,
        **more: Any,
    ) -> str:
        """The id of a task that is pending now. One word alone is a line for bash if shell=True is given."""
        self.sequence += 1
        need = Need() if need is None else need
        env = more.pop("env", {"PATH": os.environ["PATH"]})
        task_id = new_task_id()
        task = Task(
            id=task_id,
            argv=argv,
            cwd=more.pop("cwd", "/"),
            submitted=time.time(),
            env=env,
            need=need,
            node=inbox,
            **more,
        )
        micros, count = int(time.time() * 1e6), 0 if task.array is None else len(Indices.parse(task.array.indices))
        entry = make_entry(task_id, priority=priority, micros=micros, sequence=self.sequence, need=need, count=count)
        if durable:
            tasks.publish(self.fs, self.lease.inbox(inbox), entry, task)
        else:
            tasks.write_pending(self.fs, self.lease.inbox(inbox), entry, task)
        return task_id

    def shell(self, line: str, **more: Any) -> str:
        """The id of a task that is that line for bash."""
        return self.submit(line, shell=True, **more)

    def cancel(self, task_id: str, attempt: int = 1) -> None:
        self.ask(f"cancel.{task_id}.{attempt}")

    def ask(self, request: str, **body: object) -> None:
        requests.ask(self.fs, self.lease, self.name, request, body)

    def outcome(self, task_id: str, attempt: int = 1) -> Outcome | None:
        return tasks.read_outcome(self.fs, self.lease, task_id, attempt)

    def result(self, task_id: str, attempt: int = 1, *, seconds: float = SECONDS_MAX) -> Outcome:
        """The outcome, once it stands."""
        what = f"the outcome of {task_id}.{attempt}"
        outcome = wait_until(lambda: self.outcome(task_id, attempt), what, seconds=seconds, seen=self.everything)
        assert outcome is not None
        return outcome

    def out(self, task_id: str, attempt: int = 1, stream: str = "out") -> bytes:
        """The task's log as it is now."""
        try:
            return Path(self.lease.log(task_id, attempt, stream)).read_bytes()
        except FileNotFoundError:
            return b""

    def said_by(self, task_id: str, attempt: int = 1) -> str:
        """The task's standard output once it has ended well."""
        outcome = self.result(task_id, attempt)
        assert outcome.exit_code == 0, (outcome, self.out(task_id, attempt, "err"))
        return self.out(task_id, attempt).decode()

    def printed(self, task_id: str, text: str, attempt: int = 1) -> None:
        """The task has written the text."""
        what = f"{text!r} from {task_id}"
        wait_until(lambda: text.encode() in self.out(task_id, attempt), what, seen=self.everything)

    def record(self, task_id: str, attempt: int = 1) -> Rec | None:
        return record.read(f"{self.directory.rec}/{task_id}.{attempt}")

    def running(self, task_id: str, attempt: int = 1) -> Rec:
        """The record of the attempt once its process runs."""

        def look() -> Rec | None:
            rec = self.record(task_id, attempt)
            return rec if rec and rec.pid else None

        rec = wait_until(look, f"{task_id}.{attempt} to run", seen=self.everything)
        assert rec is not None
        return rec

    # -- runners -------------------------------------------------------------------------------

    def start(self, *, wait: bool = True, before: Callable[[], None] | None = None, **environment: str) -> Any:
        """A runner; wait: until it has taken its node."""
        where = ["--lease", self.lease_id, "--node", self.name, "--home", self.home]
        times = ["--grace", self.grace, "--patience", self.patience, "--gone", self.gone]
        with open(self.said, "ab") as said:
            runner = subprocess.Popen(
                [sys.executable, "-c", START, *where, *times],
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                preexec_fn=before,
            )
        self.runners.append(runner)
        if wait:
            self.up(runner)
        return runner

    def up(self, runner: Any) -> None:
        """That runner has beaten once."""

        def look() -> bool:
            assert runner.poll() is None, f"the runner ended with {runner.returncode}: {self.said.read_text()}"
            beat = self.beat()
            return beat is not None and beat.pid == runner.pid

        wait_until(look, "the runner's first heartbeat", seen=self.everything)

    def beat(self) -> Heartbeat | None:
        return terms.read_heartbeat(self.fs, self.lease, self.name)

    def keeper(self) -> Holder:
        holder = wait_until(lambda: self.directory.alive("keeper"), "a keeper")
        assert holder is not None
        return holder

    def kill(self, runner: Any) -> None:
        runner.kill()
        runner.wait()

    def kill_keeper(self) -> None:
        holder = self.keeper()
        os.kill(holder.pid, signal.SIGKILL)
        wait_until(lambda: not holder.alive(), "the keeper's end")

    def stop(self, runner: Any) -> int:
        """The exit code of the runner after SIGTERM."""
        runner.terminate()
        return int(runner.wait(timeout=SECONDS_MAX))

    def close(self) -> None:
        """Nothing of this node runs any more."""
        for runner in self.runners:
            if runner.poll() is None:
                runner.kill()
            runner.wait()
        keeper = self.directory.alive("keeper")
        if keeper:
            os.kill(keeper.pid, signal.SIGKILL)
        mark = f"LEASEQ_HOME={self.home}\0".encode()
        for pid in processes(lambda environ: mark in environ):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    # -- the directory -------------------------------------------------------------------------

    def names(self, directory: str) -> list[str]:
        return sorted(self.fs.names(directory))

    def history(self) -> list[dict[str, Any]]:
        """What the node's histories tell, the earlier ones first."""
        found = [each for each in histories_in(self.fs.names(self.lease.events_dir)) if each[0] == self.name]
        paths = [Path(self.lease.events(*each)) for each in found]
        return [json.loads(line) for path in paths for line in path.read_bytes().split(b"\n") if line]

    def all_done(self) -> bool:
        """Nothing is pending or claimed."""
        places = (self.lease.inbox(ANY), self.lease.inbox(self.name), self.lease.claimed(self.name))
        return not any(self.names(place) for place in places)

    def everything(self) -> str:
        """What is where, for the message of a failed wait."""
        shown = []
        for root, _, names in os.walk(self.lease.root):
            shown += [os.path.join(root, name)[len(self.lease.root) :] for name in names]
        for root, _, names in os.walk(self.directory.root):
            shown += [os.path.join(root, name)[len(self.directory.root) :] for name in names]
        said = self.said.read_text(errors="replace")[-2000:] if self.said.exists() else ""
        log = Path(self.directory.log)
        kept = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        return "\n".join([*sorted(shown)[:200], said, kept])


@contextmanager
def a_node(**granted: str) -> Iterator[Node]:
    """A node that was granted so much, in a short directory of its own; nothing of it runs on afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="lq-", ignore_cleanup_errors=True) as path,
        pytest.MonkeyPatch.context() as m,
    ):
        m.setenv("LEASEQ_NODE_DIR", f"{path}/n")
        made = Node(Path(path), **granted)
        yield made
        made.close()


def processes(wanted: Callable[[bytes], bool]) -> list[int]:
    """Pids whose environment is wanted."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                environ = Path(f"/proc/{name}/environ").read_bytes() + b"\0"
                if wanted(environ) and process_start(int(name)):
                    found.append(int(name))
            except OSError:
                continue
    return found


def of_task(task_id: str) -> list[int]:
    """Pids of live processes that carry the task's id."""
    mark = f"LEASEQ_TASK_ID={task_id}\0".encode()
    return processes(lambda environ: mark in environ)


def program(path: Path, text: str) -> str:
    """An executable of that text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def claim_of(node: Node, task_id: str) -> str:
    """The name of the task's claim, once there is one."""

    def look() -> str:
        return next((name for name in node.names(node.lease.claimed(node.name)) if task_id in name), "")

    return wait_until(look, f"a claim of {task_id}", seen=node.everything)


def environment_of(text: str) -> Mapping[str, str]:
    """The variables that `env -0` printed."""
    return dict(item.split("=", 1) for item in text.split("\0") if item)
