"""`leaseq lease release`: a lease ends, or some of its nodes are given back, and what that means is said."""

from __future__ import annotations

from collections.abc import Mapping

from leaseq.cli import giving_back
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.giving_back import GivenBack
from leaseq.cli.options import JSON
from leaseq.cli.releasing import ask, wait_for
from leaseq.dataclass import dataclass
from leaseq.errors import NotFound, UsageError
from leaseq.lease import leases
from leaseq.lease.host import refuse_if_elsewhere
from leaseq.models import Lease, State
from leaseq.reading.views import Snapshot
from leaseq.verbs.lease_release import drain, in_use, look, release, taken
from leaseq.verbs.lease_shrink import part_of
from leaseq.words import count


@dataclass(frozen=True)
class Release:
    """Leases to be released; none named: the one in use, if that is Slurm's. With jobs or nodes only these of one."""

    leases: tuple[str, ...]
    jobs: tuple[str, ...]
    nodes: tuple[str, ...]
    yes: bool
    drain: bool
    json: bool

    def __post_init__(self) -> None:
        if (self.jobs or self.nodes) and len(self.leases) > 1:
            hint = "`leaseq lease release LEASE --job JOB`, once for each"
            raise UsageError("--job and --node are of one lease, and several are named", hint=hint)

    def perform(self, app: App) -> int:
        """0 once every lease is released, or being."""
        words = self.leases or self.jobs[:1] or (in_use(app.access),)
        try:
            found = [app.access.record(app.access.lease(word, acts=True)) for word in words]
        except NotFound as error:
            if self.leases or not self.jobs:
                raise
            raise NotFound(
                f"no lease has a job {self.jobs[0]}", hint="`leaseq lease info` shows the jobs of one"
            ) from error
        records = {record.id: record for record in found}
        for record in records.values():
            refuse_if_elsewhere(record)
        if self.jobs or self.nodes:
            (record,) = records.values()
            self._release_part(app, record)
            return 0
        self._tell(app, {record.id: self._release(app, record) for record in records.values()}, NOTHING)
        return 0

    def _tell(self, app: App, released: Mapping[str, bool], part: GivenBack) -> None:
        if self.json:
            body = {
                "released": [lease_id for lease_id, now in released.items() if now],
                "ended_before": [lease_id for lease_id, now in released.items() if not now],
                "jobs": list(part.jobs),
                "nodes": list(part.nodes),
                "still_counted": list(part.still_counted),
                "default": leases.chosen_or_own(app.fs, app.home),
            }
            app.out.document(body)

    def _release_part(self, app: App, record: Lease) -> None:
        """These jobs and nodes go; if they are all, the lease does."""
        part = part_of(app.access, leases.living(record), jobs=self.jobs, nodes=self.nodes)
        if not part.is_all or record.is_of_hosts:  # which goes on without one
            self._tell(app, {}, giving_back.perform(app, record, part, yes=self.yes, drain=self.drain))
            return
        app.out.talk(f"leaseq: that is all that gives lease {leases.called(record)} nodes: the lease ends")
        self._tell(app, {record.id: self._release(app, record)}, NOTHING)

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
            wait_for(app, drain(app.access, record), record, called=f"lease {record.id}")
            snapshot = look(app.access, record)
        elif (running or not (self.leases or self.jobs)) and not self.yes:
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


NOTHING = GivenBack((), (), ())


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
    ask(what, called=f"lease {record.id}", held=held)


COMMAND = Command(
    usage="[LEASE...] [--job JOB] [--node NODE] [--yes] [--drain]",
    about="Releases leases; the Slurm lease in use, if none is named. What runs on them ends; what is pending "
    "stays in the lease's directory, and so does everything else. Asks first if tasks run or none is named. "
    "With --job or --node only these nodes are given back, and the lease goes on.",
    make=Release,
    words=Words("leases", "lease"),
    options=(
        Option("yes", "do not ask; running tasks end", kind="flag", short="y"),
        Option("drain", "start no task any more, and wait for the running ones first", kind="flag"),
        Option("job", "give back this job of the lease alone", kind="list", metavar="JOB", field="jobs"),
        Option("node", "give back this node of the lease alone", kind="list", completes="node", field="nodes"),
        JSON,
    ),
    examples=("leaseq lease release", "leaseq lease release 12345 --drain", "leaseq lease release sweep --node node3"),
)
