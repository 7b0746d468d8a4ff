"""`leaseq lease release`: a lease ends, and what that means is said."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from leaseq.cli.all_nodes import ask_all_nodes
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.options import JSON
from leaseq.cli.output import about
from leaseq.cli.values import yes
from leaseq.errors import Refused, UsageError
from leaseq.lease import leases
from leaseq.lease.host import refuse_if_elsewhere
from leaseq.models import Lease, State
from leaseq.reading.snapshot import Reader, Snapshot
from leaseq.words import count

DRAIN_LOOK_SECONDS = 0.5
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Release:
    """Leases to be released; none named: the one in use, where that is Slurm's."""

    leases: tuple[str, ...]
    yes: bool
    drain: bool
    json: bool

    def perform(self, app: App) -> int:
        """0 once every lease is released, or being."""
        words = self.leases or (_in_use(app),)
        records = {record.id: record for record in (app.record(app.lease(word)) for word in words)}
        for record in records.values():
            refuse_if_elsewhere(record)
        released: dict[str, bool] = {}
        for record in records.values():
            if record.ended is None:
                released[record.id] = self._release(app, record)
            elif self._end(app, record):
                released[record.id] = True
                app.out.talk(f"leaseq: lease {leases.called(record)}, which was taken for ended, is released")
            else:
                released[record.id] = False
                app.out.talk(f"leaseq: lease {leases.called(record)} has ended already")
        if self.json:
            before = [lease_id for lease_id, now in released.items() if not now]
            app.out.document(
                {
                    "released": [lease_id for lease_id, now in released.items() if now],
                    "ended_before": before,
                    "default": leases.chosen(app.fs, app.home) or leases.local_id(),
                }
            )
        return 0

    def _release(self, app: App, record: Lease) -> bool:
        """False where the lease had ended before."""
        reader = Reader(app.home.lease(record.id), app.fs, app.clock)
        snapshot = reader.read(recent=0, pending=0)
        running = _held(snapshot)
        if self.drain and running:
            _drain(app, record, reader)
            snapshot = reader.read(recent=0, pending=0)
        elif (running or not self.leases) and not self.yes:
            _ask(record, snapshot)
        released = self._end(app, record)
        if released:
            app.out.talk(f"leaseq: lease {record.id} is released{_what_ends(snapshot)}")
        else:
            app.out.talk(f"leaseq: lease {record.id} has ended already")
        pending = snapshot.totals.get(State.PENDING, 0)
        if pending:
            way = f"`leaseq move --from {record.id} --to LEASE` takes {'it' if pending == 1 else 'them'} along"
            stay = count(pending, "pending task stays", "pending tasks stay")
            app.out.talk(f"leaseq: {stay} in its queue; {way}")
        if record.kind == "slurm" and leases.chosen(app.fs, app.home) == record.id:
            _choose_another(app, record)
        return released

    def _end(self, app: App, record: Lease) -> bool:
        """False where the lease's allocation had ended before."""
        return leases.backend(record, fs=app.fs, home=app.home, clock=app.clock).release(record)


def _choose_another(app: App, record: Lease) -> None:
    """The default is the newest other lease that runs, or else waits; where there is none, this host's."""
    others = [each for each in leases.active(app.fs, app.home, app.clock, anew=True) if each.id != record.id]
    leases.choose(app.fs, app.home, others[0].id if others else "")
    if not others:
        app.out.talk(f"leaseq: default lease is now this host ({leases.local_id()}): no other is held")
        return
    queued = "" if leases.has_started(app.fs, app.home, others[0]) else "; it has not started"
    app.out.talk(f"leaseq: default lease is now {leases.called(others[0])}{queued}")


def _in_use(app: App) -> str:
    chosen = leases.default(app.fs, app.home)
    if chosen == leases.local_id():
        raise UsageError("which lease?", hint="leaseq lease release LEASE; `leaseq lease ls` lists them")
    return chosen


def _held(snapshot: Snapshot) -> int:
    """Tasks that a runner has taken, whether or not it can be heard now."""
    return sum(snapshot.totals.get(state, 0) for state in (State.RUNNING, State.STUCK, State.UNKNOWN))


def _tasks(snapshot: Snapshot) -> str:
    """The tasks that runners have taken, by what is known of them."""
    kinds = ((State.RUNNING, "running task"), (State.STUCK, "stuck task"), (State.UNKNOWN, "task of unknown state"))
    said = [(snapshot.totals.get(state, 0), noun) for state, noun in kinds]
    return " and ".join(
        count(number, noun, "tasks of unknown state" if noun.startswith("task of") else "")
        for number, noun in said
        if number
    )


def _what_ends(snapshot: Snapshot) -> str:
    held = _held(snapshot)
    return f"; {_tasks(snapshot)} {'ends' if held == 1 else 'end'} with it" if held else ""


def _ask(record: Lease, snapshot: Snapshot) -> None:
    name = f"lease {record.id} ({record.name})" if record.name else f"lease {record.id}"
    held = _held(snapshot)
    ends = "ends" if held == 1 else "end"
    what = f"{name} has {_tasks(snapshot)}, which {ends} with it" if held else f"{name} runs no task"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        ended = "it" if held == 1 else "them"
        raise Refused(what, hint=f"--yes ends {ended}, --drain waits for {ended}" if held else "--yes releases it")
    print(f"{what}. Release it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused(f"lease {record.id} is kept", hint="--drain waits for its running tasks first")


def _drain(app: App, record: Lease, reader: Reader) -> None:
    """No task runs on the lease and none will start; Ctrl-C leaves it draining."""
    told, began = 0, time.monotonic()
    ask_all_nodes(app, record, reader, "drain")
    try:
        while running := _held(reader.read(recent=0, pending=0)):
            if running != told:
                app.out.talk(
                    f"leaseq: waiting for {count(running, 'running task')} of lease {record.id}; no other starts"
                )
                told = running
            time.sleep(DRAIN_LOOK_SECONDS)
    except KeyboardInterrupt:
        app.out.talk(
            f"\nleaseq: lease {record.id} is kept, and starts no task (waited {about(time.monotonic() - began)});"
            f" `leaseq lease hold-queue {record.id} --off` lets it start tasks again"
        )
        sys.exit(EXIT_INTERRUPTED)


_yes = yes


class Line:
    """Fire's component of `lease release`."""

    def release(self, *words: str, yes: str = "", drain: str = "", json: str = "") -> Release:
        return Release(words, _yes(yes, what="--yes"), _yes(drain, what="--drain"), _yes(json, what="--json"))


COMMANDS = {
    "lease release": Command(
        Line,
        "release",
        "[LEASE...] [--yes] [--drain]",
        "Releases leases; the Slurm lease in use, if none is named. What runs on them ends; what is pending "
        "stays in the lease's directory, and so does everything else. Asks first where tasks run or none is named.",
        (
            Option("yes", "do not ask; running tasks end", kind="flag", short="y"),
            Option("drain", "start no task any more, and wait for the running ones first", kind="flag"),
            JSON,
        ),
        ("leaseq lease release", "leaseq lease release 12345 --drain"),
    ),
}
