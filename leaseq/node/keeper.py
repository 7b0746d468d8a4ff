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

import contextlib
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
from leaseq.node.kept import GRACE_SECONDS, Kept, exit_fact
from leaseq.node.lease_end import DOUBT_SECONDS, LeaseEnd, may_be_of_it
from leaseq.node.nodedir import NodeDir, read_local
from leaseq.node.record import Rec, keys_in
from leaseq.node.request import StartRequest
from leaseq.node.spawn import CannotStart, spawn
from leaseq.node.sweep import Process, alive, catching, has_orphans, kill_all, not_ours, processes_of, send
from leaseq.schema import number
from leaseq.world import boot_id, process_start

IDLE_SECONDS = 5.0
"""How often an idle keeper looks whether it is still needed."""
LEAVING_SECONDS = 0.5
"""The same once its lease ends: the node is wanted back."""
SWEEP_SECONDS = 0.2
"""How often the processes of an ending task, or of one that is not this keeper's child, are looked for."""
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
        self.kept: dict[str, Kept] = {}
        self.by_pid: dict[int, Kept] = {}
        self.poll = select.poll()
        self.lease_end = LeaseEnd(directory)
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
        self.adopt()
        requests = self.requests()
        while True:
            if signal.SIGTERM in _written(wake) and self.step_grace_seconds is not None:
                self.end_lease(self.step_grace_seconds)
            for name in requests:
                self.request(name)
            self.reap()
            wait = self.deadlines()
            idle = IDLE_SECONDS if self.lease_end.told_at is None else LEAVING_SECONDS
            ready = self.poll.poll(1000 * (idle if wait is None else min(wait, idle)))
            seen = inotify.read()
            requests = [name for _, name, _ in seen]
            if not ready or self.refused or not all(directory for directory, _, _ in seen):
                requests = self.requests()
            if (not ready or inotify.ticks) and wait is None and not requests and not self.needed():
                return

    def needed(self) -> bool:
        return bool(self.kept or self.directory.alive("runner"))

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
            _removed(path)
            return
        except (ValueError, RecursionError):
            body = {}
        verb, _, rest = name.partition("-")
        try:
            if verb == "start" and body and is_key(rest):
                self.start(rest, body, path)
                return
            _removed(path)
            if verb == "end":
                self.end_lease(number(body["grace"]))
            kept = self.kept.get(rest.rpartition("-")[0])
            if kept and verb == "stop":
                self.stop(kept, Why(body["why"]), number(body["grace"]))
            elif kept and verb == "signal":
                self.signal(kept, signal.Signals(body["signal"]), body)
        except (LookupError, ValueError, TypeError, AttributeError):
            # A power cut has torn it: what is left says nothing that could be done.
            _removed(path)

    def signal(self, kept: Kept, number: signal.Signals, body: Mapping[str, Any]) -> None:
        """All processes of the attempt got the signal, or, if it is for the task's own, the one that handles it."""
        if body.get("warning"):
            self.note(kept, {"e": "warn", "signal": int(number)})
        members = self.members(kept)
        send(catching(number, members, kept.leader) if body.get("to") == "leader" else members, number)

    def start(self, key: str, body: Mapping[str, Any], path: str) -> None:
        """The attempt runs, or its record says why not. An attempt that has a record is not started again.

        The request goes after the record is begun: a keeper killed before leaves it to the next one. A request
        that was withdrawn meanwhile (the runner forgot or voided the attempt) starts nothing, and of one that lacks
        something the record says what.
        """
        if body.get("boot") != boot_id():
            # After a power cut the request may be there and the record of an attempt that ran may not.
            _removed(path)
            return
        if any(kept.doubt_until is not None for kept in self.kept.values()):
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
        self.kept[key] = kept
        try:
            if isinstance(asked, Malformed):
                raise CannotStart(str(asked), 127)
            if self.lease_end.is_near:
                self.note(kept, {"e": "stop", "why": Why.LEASE.value})
                raise CannotStart("its lease ends", 1, again=True)
            kept.grace_seconds = asked.grace
            pid = spawn(asked, fd)
        except CannotStart as error:
            kept.exit = error.fact()
            self.close(kept)
            return
        self.lead(kept, (pid, process_start(pid)))
        kept.limit_at = None if asked.limit is None else kept.began + asked.limit

    def begin(self, key: str, asked: StartRequest | Malformed, path: str) -> int | None:
        """The attempt's record, begun, its request gone; None if it has a record, is withdrawn, or finds no room."""
        first: dict[str, object] = {"e": "begin", "boot": boot_id(), "gpus": ()}
        if isinstance(asked, StartRequest):
            first |= {"gpus": asked.gpus, "slot": asked.slot, "limit": asked.limit, "grace": asked.grace}
        record_path = f"{self.directory.rec}/{key}"
        try:
            fd = record.begin(record_path, first)
        except OSError:
            self.refused = True
            return None
        if not _removed(path) and fd is not None:
            os.close(fd)
            _removed(record_path)
            return None
        return fd

    def lead(self, kept: Kept, leader: Process) -> None:
        """The attempt's own process is known, and in its record."""
        kept.leader = leader
        self.by_pid[leader[0]] = kept
        self.note(kept, {"e": "spawn", "pid": leader[0], "start": leader[1], "t": time.time(), "m": kept.began})

    def adopt(self) -> None:
        """Attempts of an earlier keeper go on: watched, limited, ended. Their status, if not seen, is `gone`."""
        for key in keys_in(self.directory.rec):
            path = f"{self.directory.rec}/{key}"
            rec = record.read(path)
            if rec is None or rec.over or rec.boot != boot_id():
                continue
            try:
                fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # the runner saw its end, and forgot it just now
            self.adopt_one(key, rec, fd)

    def adopt_one(self, key: str, rec: Rec, fd: int) -> None:
        now = time.monotonic()
        began = rec.started_monotonic or now
        grace = rec.grace_seconds or GRACE_SECONDS
        kept = Kept(key, fd, (rec.pid or 0, rec.pid_start), began, ours=False, grace_seconds=grace)
        kept.limit_at = None if rec.limit_seconds is None else began + rec.limit_seconds
        self.kept[key] = kept
        if rec.pid is not None:
            self.by_pid[rec.pid] = kept
        elif leader := next((each for each in self.members(kept) if _leads(each[0])), None):
            # The keeper was killed between the start of the process and the note of it.
            self.lead(kept, leader)
        if rec.stopping:
            self.stop(kept, rec.stopping, grace)

    # -- ending --------------------------------------------------------------------------------

    def end_lease(self, grace: float) -> None:
        """The lease ends: every attempt is being ended for that reason, and none begins."""
        self.lease_end.tell()
        for kept in list(self.kept.values()):
            self.stop(kept, Why.LEASE, grace)

    def stop(self, kept: Kept, why: Why | None, grace: float) -> None:
        """TERM was sent to every process of the attempt; KILL follows after the grace.

        why: None if it has ended by itself, and this is what it left behind.
        """
        if kept.stop_at is None and (kept.exit is None or kept.doubt_until is not None):
            self.note(kept, {"e": "stop", "why": why.value if why else ""})
        kept.doubt_until = None
        until = time.monotonic() + grace
        kept.stop_at = until if kept.stop_at is None else min(until, kept.stop_at)
        kept.members |= self.members(kept)
        send(kept.members, signal.SIGTERM, signal.SIGCONT)

    def members(self, kept: Kept) -> set[Process]:
        return processes_of(kept.key, kept.leader)

    def reap(self) -> None:
        """Every ended child was waited for; the status of a task's own process is noted."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            kept = self.by_pid.get(pid)
            if kept and kept.ours:
                self.ended(kept, exit_fact(kept, status, usage))

    def ended(self, kept: Kept, fact: dict[str, object]) -> None:
        """The task's own process has ended; the attempt is over once no process of it is left."""
        kept.exit = fact
        self.by_pid.pop(kept.leader[0], None)
        if kept.stop_at is not None:
            return
        if self.step_grace_seconds is not None and may_be_of_it(fact):
            kept.doubt_until = time.monotonic() + DOUBT_SECONDS
        else:
            self.wind_up(kept)

    def wind_up(self, kept: Kept) -> None:
        """An attempt that ended by itself is closed, once what it left behind has ended."""
        if kept.ours and not has_orphans(set(self.by_pid)):
            self.close(kept)
        elif self.members(kept):
            self.stop(kept, None, kept.grace_seconds)

    def deadlines(self) -> float | None:
        """Time limits and graces were acted upon; seconds until the next look, None if nothing is due."""
        waits = [self.look_after(kept) for kept in list(self.kept.values())]
        due = [wait for wait in waits if wait is not None]
        if self.refused:
            due.append(RETRY_SECONDS)
        return max(0.0, min(due)) if due else None

    def look_after(self, kept: Kept) -> float | None:
        now = time.monotonic()
        if kept.unsaid:
            self.flush(kept)
        if kept.exit is None and not kept.ours and not alive(kept.leader):
            self.ended(kept, {"e": "gone"})
        if kept.exit is None and kept.stop_at is None and kept.limit_at is not None and now >= kept.limit_at:
            self.stop(kept, Why.TIMEOUT, kept.grace_seconds)
        if kept.doubt_until is not None:
            if now < kept.doubt_until:
                return kept.doubt_until - now
            kept.doubt_until = None
            self.wind_up(kept)
        if kept.exit is not None or kept.stop_at is not None:
            self.sweep(kept)
            return SWEEP_SECONDS if kept.key in self.kept else None
        if not kept.ours or kept.unsaid:
            return SWEEP_SECONDS
        return None if kept.limit_at is None else kept.limit_at - now

    def sweep(self, kept: Kept) -> None:
        """What is left of an ending attempt was sent KILL if its grace is over; the attempt is closed if nothing is."""
        if kept.stop_at is None or time.monotonic() >= kept.stop_at:
            kept.members = kill_all(kept.members | self.members(kept))
            if not kept.resists and (other := not_ours(kept.members)):
                kept.resists = True
                self.note(kept, {"e": "resist", "pid": other[0], "user": other[1]})
                # The runner hears of a record when somebody who has written it closes it.
                with contextlib.suppress(FileNotFoundError):
                    os.close(os.open(f"{self.directory.rec}/{kept.key}", os.O_WRONLY | os.O_CLOEXEC))
        elif kept.exit is not None:
            kept.members = {each for each in kept.members | self.members(kept) if alive(each)}
        if kept.exit is not None and not kept.members:
            self.close(kept)

    # -- records -------------------------------------------------------------------------------

    def close(self, kept: Kept) -> None:
        """The attempt is over and its record says how; one whose record has no room yet is kept."""
        if kept.exit:
            self.note(kept, kept.exit)
            kept.exit = {}
        if not kept.unsaid:
            os.close(kept.fd)
            del self.kept[kept.key]

    def note(self, kept: Kept, fact: dict[str, object]) -> None:
        kept.unsaid += record.line(fact)
        self.flush(kept)

    def flush(self, kept: Kept) -> None:
        try:
            while kept.unsaid:
                kept.unsaid = kept.unsaid[os.write(kept.fd, kept.unsaid) :]
        except OSError:
            pass  # a full disk: tried again from `look_after`


def _written(pipe: int) -> bytes:
    """The numbers of the signals that came since the last look."""
    try:
        return os.read(pipe, 4096)
    except BlockingIOError:
        return b""


def _removed(path: str) -> bool:
    """True if this call removed the file."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _leads(pid: int) -> bool:
    """True if the process leads a session."""
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


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
