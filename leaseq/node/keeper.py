"""The keeper: the parent of a node's tasks, which ends them too.

It never touches the shared file system, so a hung mount cannot keep it from ending a task on time; and it
is not the runner, so a killed runner costs no exit code. Requests come as files in `ask/` of the node-local
directory, answers are appended to `rec/` (see `record`). It ends itself when no runner is alive and nothing
is left to keep; killed, its successor finds in `rec/` what to go on with. Run as
`python -m leaseq.node.keeper NODE_DIR INCARNATION [GRACE]`; GRACE if the node is a step of a Slurm job: the
seconds between TERM and KILL when Slurm ends it.

The keeper takes its own TERM, or the runner's word, for the news that the lease ends: see `lease_end`. Before it judges
a task that Slurm may have ended it waits a moment for that news.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from leaseq.errors import Malformed
from leaseq.models import Why
from leaseq.names import is_key
from leaseq.node import record
from leaseq.node.cgroup import memory_kills
from leaseq.node.inotify import IN_MOVED_TO, Inotify, become_subreaper
from leaseq.node.keeping import Keeping
from leaseq.node.kept import Kept
from leaseq.node.lease_end import LeaseEnd
from leaseq.node.nodedir import NodeDir, read_local, removed
from leaseq.node.record import Rec
from leaseq.node.request import StartRequest
from leaseq.node.spawn import CannotStart, spawn
from leaseq.node.sweep import catching, send
from leaseq.node.window import is_window
from leaseq.node.windows import Windows
from leaseq.schema import number
from leaseq.world import boot_id, process_start

IDLE_SECONDS = 5.0
"""How often an idle keeper looks whether it is still needed."""
LEAVING_SECONDS = 0.5
"""The same once its lease ends: the node is wanted back."""
RETRY_SECONDS = 1.0
"""How soon something that a full disk refused is tried again."""
LEASE_GRACE_SECONDS = 20.0
"""How long tasks have between TERM and KILL when Slurm ends the lease, unless the lease script knows the KillWait."""


class Keeper:
    """Spawns, watches, ends and records the attempts of one node."""

    def __init__(self, directory: NodeDir, *, step_grace_seconds: float | None = None) -> None:
        self.directory = directory
        self.step_grace_seconds = step_grace_seconds
        """Not None if a TERM to this process means that Slurm ends the lease: what tasks have until KILL then."""
        self.keeping = Keeping(directory, of_step=step_grace_seconds is not None)
        self.lease_end = LeaseEnd(lambda: directory.holder("runner"))
        self.windows = Windows(directory, self.keeping, self.lease_end)
        self.poll = select.poll()
        self.refused = False
        """True while a request waits in `ask/`: for room on the disk, or for a doubt to be over."""

    def run(self, incarnation: str) -> None:
        """Returns when nobody needs this keeper."""
        if not self.directory.take("keeper", incarnation):
            return
        wake, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        inotify = Inotify()
        inotify.watch(self.directory.ask, IN_MOVED_TO)
        self.poll.register(wake, select.POLLIN)
        self.poll.register(inotify.fd, select.POLLIN)
        self.windows.adopt()
        self.keeping.adopt()
        requests, woken = self.requests(), True
        while True:
            if woken and signal.SIGTERM in _written(wake) and self.step_grace_seconds is not None:
                self.end_lease(self.step_grace_seconds)
            for name in requests:
                self.request(name)
            self.reap()
            wait = self.deadlines()
            idle = IDLE_SECONDS if self.lease_end.told_at is None else LEAVING_SECONDS
            ready = {fd for fd, _ in self.poll.poll(1000 * (idle if wait is None else min(wait, idle)))}
            woken = wake in ready
            seen = inotify.read() if inotify.fd in ready else []
            requests = [name for _, name, _ in seen]
            if not ready or self.refused or not all(directory for directory, _, _ in seen):
                requests = self.requests()
            if (not ready or inotify.ticks) and wait is None and not requests and not self.needed():
                return

    def needed(self) -> bool:
        return bool(self.keeping.kept or self.windows.running or self.windows.left or self.directory.alive("runner"))

    # -- requests ------------------------------------------------------------------------------

    def requests(self) -> list[str]:
        """Every request that waits; a start comes before what is asked of the started."""
        self.refused = False
        return sorted(name for name in os.listdir(self.directory.ask) if not name.startswith("."))

    def request(self, name: str) -> None:
        """One request of the runner is carried out and removed; one that the disk has no room for stays."""
        path = f"{self.directory.ask}/{name}"
        try:
            body = json.loads(read_local(path))
        except (FileNotFoundError, IsADirectoryError):
            return
        except OSError as error:
            print(f"leaseq keeper: a request is refused: {path}: {error.strerror}", file=sys.stderr, flush=True)
            removed(path)
            return
        except (ValueError, RecursionError):
            body = {}
        verb, _, rest = name.partition("-")
        try:
            if verb == "start" and body and is_key(rest):
                self.start(rest, body, path)
                return
            if verb == "window" and body and is_window(rest):
                self.refused = not self.windows.start(rest, body, path) or self.refused
                return
            removed(path)
            if verb == "end" and self.serves(body.get("incarnation")):
                self.end_lease(number(body["grace"]))
            key = rest.rpartition("-")[0]
            kept = self.keeping.kept.get(key) or self.windows.alone(key)
            if kept and verb == "stop":
                self.keeping.stop(kept, Why(body["why"]), number(body["grace"]))
            elif kept and verb == "signal":
                self.signal(kept, signal.Signals(body["signal"]), body)
        except (LookupError, ValueError, TypeError, AttributeError):
            # A power cut has torn it: what is left says nothing that could be done.
            removed(path)

    def serves(self, incarnation: object) -> bool:
        """True if the runner that asked serves the node: the word of one before it is of an end that is over."""
        holder = self.directory.holder("runner")
        return incarnation is None or holder is None or holder.incarnation == incarnation

    def signal(self, kept: Kept, number: signal.Signals, body: Mapping[str, Any]) -> None:
        """All processes of the attempt got the signal, or, if it is for the task's own, the one that handles it."""
        if body.get("warning"):
            self.keeping.note(kept, {"e": "warn", "signal": int(number)})
        members = self.keeping.members(kept)
        send(catching(number, members, kept.leader) if body.get("to") == "leader" else members, number)

    def start(self, key: str, body: Mapping[str, Any], path: str) -> None:
        """The attempt runs, or its record says why not. An attempt that has a record is not started again.

        The request goes after the record is begun: a keeper killed before leaves it to the next one. A request
        that was withdrawn meanwhile (the runner forgot or voided the attempt) starts nothing, and of one that lacks
        something the record says what.
        """
        if body.get("boot") != boot_id():
            # After a power cut the request may be there and the record of an attempt that ran may not.
            removed(path)
            return
        if self.keeping.doubts:
            self.refused = True
            return
        try:
            asked: StartRequest | Malformed = StartRequest.from_json(body)
        except Malformed as error:
            asked = error
        fd = self.begin(key, asked, path)
        if fd is None:
            return
        kept = Kept(key, fd, (0, 0), time.monotonic(), memory_kills=memory_kills())
        self.keeping.kept[key] = kept
        try:
            if isinstance(asked, Malformed):
                raise CannotStart(str(asked), 127)
            if self.lease_end.is_near:
                self.keeping.note(kept, {"e": "stop", "why": Why.LEASE.value})
                raise CannotStart("its lease ends", 1, again=True)
            kept.grace_seconds = asked.grace
            pid = spawn(asked, fd)
        except CannotStart as error:
            kept.exit = error.fact()
            self.keeping.close(kept)
            return
        self.keeping.lead(kept, (pid, process_start(pid)))
        kept.limit_at = None if asked.limit is None else kept.began + asked.limit

    def begin(self, key: str, asked: StartRequest | Malformed, path: str) -> int | None:
        """The attempt's record, begun, its request gone; None if it has a record, is withdrawn, or finds no room."""
        first: dict[str, object] = {"e": "begin", "boot": boot_id(), "gpus": ()}
        if isinstance(asked, StartRequest):
            first |= {"gpus": asked.gpus, "slot": asked.slot, "limit": asked.limit, "grace": asked.grace}
        record_path = f"{self.directory.rec}/{key}"
        try:
            fd = record.begin(record_path, first)
            if fd is None and record.read(record_path) == Rec():
                # The keeper that made it was killed before it could say so: nothing has begun.
                killed = CannotStart("its keeper was killed", 1, again=True)
                record.append_lines(record_path, b"\n" + record.line(killed.fact()))
        except OSError:
            self.refused = True
            return None
        if not removed(path) and fd is not None:
            os.close(fd)
            removed(record_path)
            return None
        return fd

    # -- ending --------------------------------------------------------------------------------

    def end_lease(self, grace: float) -> None:
        """The lease ends: every attempt is being ended for that reason, and none begins."""
        self.lease_end.tell()
        self.windows.end_all()
        for kept in list(self.keeping.kept.values()):
            self.keeping.stop(kept, Why.LEASE, grace)

    def reap(self) -> None:
        """What is known of every ended child stands in its record."""
        for kept, fact in self.keeping.reaped():
            if not self.windows.ended(kept, fact):
                self.keeping.ended(kept, fact)

    def deadlines(self) -> float | None:
        """What was due has been done; seconds until the next look, None if nothing is due."""
        due = [*self.windows.deadlines(), *self.keeping.deadlines()]
        if self.refused:
            due.append(RETRY_SECONDS)
        return max(0.0, min(due)) if due else None


def _written(pipe: int) -> bytes:
    """The numbers of the signals that came since the last look."""
    try:
        return os.read(pipe, 4096)
    except BlockingIOError:
        return b""


def main() -> None:
    directory, incarnation = NodeDir(sys.argv[1]), sys.argv[2]
    step_grace_seconds = float(sys.argv[3]) if sys.argv[3:] else None
    os.chdir("/")
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        # A step's signals reach every process in it; the keeper outlasts its tasks to tell how they ended.
        signal.signal(each, signal.SIG_IGN)
    for each in (signal.SIGCHLD, *([] if step_grace_seconds is None else [signal.SIGTERM])):
        signal.signal(each, lambda number, frame: None)
    become_subreaper()
    Keeper(directory, step_grace_seconds=step_grace_seconds).run(incarnation)


if __name__ == "__main__":
    main()
