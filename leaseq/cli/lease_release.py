"""`leaseq lease release`: a lease ends, and what that means is said."""

from __future__ import annotations

import sys
import time

from leaseq.cli import exits
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.options import JSON
from leaseq.dataclass import dataclass
from leaseq.errors import Refused
from leaseq.lease import leases
from leaseq.lease.host import refuse_if_elsewhere
from leaseq.models import Lease, State
from leaseq.reading.views import Snapshot
from leaseq.verbs.lease_release import drain, in_use, look, release, taken
from leaseq.words import about, count


@dataclass(frozen=True)
class Release:
    """Leases to be released; none named: the one in use, if that is Slurm's."""

    leases: tuple[str, ...]
    yes: bool
    drain: bool
    json: bool

    def perform(self, app: App) -> int:
        """0 once every lease is released, or being."""
        words = self.leases or (in_use(app.access),)
        records = {
            record.id: record for record in (app.access.record(app.access.lease(word, acts=True)) for word in words)
        }
        for record in records.values():
            refuse_if_elsewhere(record)
        released = {record.id: self._release(app, record) for record in records.values()}
        if self.json:
            before = [lease_id for lease_id, now in released.items() if not now]
            app.out.document(
                {
                    "released": [lease_id for lease_id, now in released.items() if now],
                    "ended_before": before,
                    "default": leases.chosen_or_own(app.fs, app.home),
                }
            )
        return 0

    def _release(self, app: App, record: Lease) -> bool:
        """False if the lease had ended before."""
        if record.ended is not None:
            now, called = release(app.access, record).now, leases.called(record)
            said = f"{called}, which was taken for ended, is released" if now else f"{called} has ended already"
            app.out.talk(f"leaseq: lease {said}")
            return now
        snapshot = look(app.access, record)
        running = taken(snapshot)
        if self.drain and running:
            _drain(app, record)
            snapshot = look(app.access, record)
        elif (running or not self.leases) and not self.yes:
            _ask(record, snapshot)
        done = release(app.access, record)
        app.out.talk(
            f"leaseq: lease {record.id} " + (f"is released{_what_ends(snapshot)}" if done.now else "has ended already")
        )
        pending = snapshot.totals.get(State.PENDING, 0)
        if pending:
            way = f"`leaseq move --from {record.id} --to LEASE` takes {'it' if pending == 1 else 'them'} along"
            stay = count(pending, "pending task stays", "pending tasks stay")
            app.out.talk(f"leaseq: {stay} in its queue; {way}")
        if done.left:
            _tell_default(app, done.default)
        return done.now


def _tell_default(app: App, default: Lease | None) -> None:
    if default is None:
        app.out.talk(f"leaseq: default lease is now this host ({app.access.host().lease.id}): no other is held")
        return
    queued = "" if leases.has_started(app.fs, app.home, default) else "; it has not started"
    app.out.talk(f"leaseq: default lease is now {leases.called(default)}{queued}")


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
    held = taken(snapshot)
    return f"; {_tasks(snapshot)} {'ends' if held == 1 else 'end'} with it" if held else ""


def _ask(record: Lease, snapshot: Snapshot) -> None:
    name = f"lease {record.id} ({record.name})" if record.name else f"lease {record.id}"
    held = taken(snapshot)
    ends = "ends" if held == 1 else "end"
    what = f"{name} has {_tasks(snapshot)}, which {ends} with it" if held else f"{name} runs no task"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        ended = "it" if held == 1 else "them"
        raise Refused(what, hint=f"--yes ends {ended}, --drain waits for {ended}" if held else "--yes releases it")
    print(f"{what}. Release it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused(f"lease {record.id} is kept", hint="--drain waits for its running tasks first")


def _drain(app: App, record: Lease) -> None:
    """No task runs on the lease and none will start; Ctrl-C leaves it draining."""
    told, began = 0, time.monotonic()
    try:
        for running in drain(app.access, record):
            if running != told:
                app.out.talk(
                    f"leaseq: waiting for {count(running, 'running task')} of lease {record.id}; no other starts"
                )
                told = running
    except KeyboardInterrupt:
        app.out.talk(
            f"\nleaseq: lease {record.id} is kept, and starts no task (waited {about(time.monotonic() - began)});"
            f" `leaseq lease hold-queue {record.id} --off` lets it start tasks again"
        )
        sys.exit(exits.INTERRUPTED)


COMMAND = Command(
    usage="[LEASE...] [--yes] [--drain]",
    about="Releases leases; the Slurm lease in use, if none is named. What runs on them ends; what is pending "
    "stays in the lease's directory, and so does everything else. Asks first if tasks run or none is named.",
    make=Release,
    words=Words("leases", "lease"),
    options=(
        Option("yes", "do not ask; running tasks end", kind="flag", short="y"),
        Option("drain", "start no task any more, and wait for the running ones first", kind="flag"),
        JSON,
    ),
    examples=("leaseq lease release", "leaseq lease release 12345 --drain"),
)
