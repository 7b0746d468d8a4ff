"""`leaseq add`: ask Slurm for a lease with any of sbatch's options, wait for it, and open a shell on it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from leaseq import config
from leaseq.cli import exits, idling, scaling
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option
from leaseq.cli.options import JSON
from leaseq.cli.output import iso
from leaseq.cli.starting import slurm, wait_for_start, way_back
from leaseq.dataclass import dataclass, replace
from leaseq.errors import UsageError
from leaseq.lease import leases
from leaseq.lease.wording import how_long
from leaseq.models import Lease
from leaseq.values import seconds
from leaseq.verbs.add import Added, add, begin, estimates, lease_to_grow, prepare
from leaseq.verbs.lease_request import Wish, lease_name, request
from leaseq.verbs.lease_words import of_add
from leaseq.words import visible, visible_lines

if TYPE_CHECKING:
    from leaseq.allocation import Allocation
    from leaseq.lease.slurm.estimate import Estimate
    from leaseq.lease.slurm.sbatch import LeaseRequest, Prepared


@dataclass(frozen=True)
class Add(Wish):
    """A lease to be asked for, and what to do once it is."""

    detach: bool = False
    wait: float | None = None
    """How many seconds its start is waited for; None: as long as it takes."""
    dry_run: bool = False
    shell: tuple[str, ...] = ()
    json: bool = False

    def perform(self, app: App) -> int:
        """The exit code of the shell; 0 if none is opened, 124 if the lease did not start in time."""
        to = lease_to_grow(app.access, self.to) if self.to else None
        asked = request(self, config.load(app.home), umask=app.umask, name=to.name if to else self.name)
        scales = asked.keep is not None and bool(asked.keep.scale)
        for note in asked.checked.notes:
            app.out.talk(f"leaseq: {note}")
        prepared = prepare(app.access, asked, to=to)
        if self.dry_run:
            expected = estimates(prepared, asked)
            if self.json:
                told = [{"limit": each.limit, "starts": each.starts} for each in expected]
                app.out.document({"argv": list(prepared.argv), "script": prepared.script, "estimates": told})
            else:
                _tell_estimates(app, expected)
                text = f"# {shlex.join(prepared.argv)}\n{prepared.script}"
                # Who reviews a script on a terminal sees all of it; a pipe gets it as it is.
                print("\t".join(map(visible_lines, text.split("\t"))) if app.out.watched else text, end="")
            return 0
        if scales:
            return self._begin(app, prepared, asked)
        if not self.detach and sys.stderr.isatty() and len(expected := estimates(prepared, asked)) > 1:
            _tell_estimates(app, expected)
        added = add(app.access, prepared, asked)
        for line in added.said.splitlines():
            app.out.talk(visible(line))
        _tell_default(app, added)
        if asked.keep is not None:
            called = leases.called(added.lease)
            app.out.talk(f"leaseq: lease {called} is kept {how_long(asked.keep)}: one job follows the other")
        if asked.idle_seconds is not None:
            part = leases.part(added.lease, added.alloc if self.to else None)
            app.out.talk(f"leaseq: {part} {idling.said(asked.idle_seconds)}")
        return self._follow(app, added)

    def _begin(self, app: App, prepared: Prepared, request: LeaseRequest) -> int:
        """A lease that scales is there; it has no job before something needs one."""
        from leaseq.cli.here import see_to_capacity

        assert request.keep is not None
        added = begin(app.access, prepared)
        lease = added.lease
        _tell_default(app, added)
        app.out.talk(f"leaseq: lease {leases.called(lease)} {scaling.said(request.keep.scale)}")
        which = "each other job" if request.keep.scale[0] else "each job"
        app.out.talk(f"leaseq: {which} {idling.said(request.idle_seconds)}")
        if request.keep.scale[0]:
            see_to_capacity(app, [app.home.lease(lease.id)], lease)
        if self.json:
            _document(app, added)
        else:
            app.out.line(lease.id)
        return 0

    def _follow(self, app: App, added: Added) -> int:
        lease, awaited = added.lease, added.alloc if self.to else None
        watched = sys.stdin.isatty() and sys.stdout.isatty()
        if not self.detach:
            app.out.talk(f"leaseq: {leases.part(lease, awaited)} is queued")
            node = wait_for_start(app, lease, seconds_max=self.wait, alloc=awaited)
            if node:
                leases.chosen(app.fs, app.home, news=app.tell_of_choice)
            else:
                app.out.talk(f"leaseq: {_not_ready(app, lease, awaited)}. {way_back(lease, awaited)}")
        if self.json:
            _document(app, added)
        elif self.detach or not watched:
            app.out.line(awaited.id if awaited else lease.id)
        if self.detach:
            return 0
        if not node:
            return exits.OVER
        _remark_on_cpus(app, lease, node)
        if self.json or not watched:
            return 0
        from leaseq.cli.shell import Shell, enter

        session = "main" if self.shell else ""
        return enter(app, lease, Shell(lease=lease.id, node=node, session=session, argv=self.shell))


def _tell_estimates(app: App, expected: Sequence[Estimate]) -> None:
    """When it would start, in a line for each time limit."""
    for each in expected:
        what = f"-t {each.limit}" if each.limit else "it"
        app.out.talk(f"leaseq: {what} would start about {each.starts.replace('T', ' ')[:16]}, by Slurm's estimate")


def _tell_default(app: App, added: Added) -> None:
    """Which lease commands mean from now on."""
    name = leases.called(added.lease)
    if added.default == added.lease.id:
        app.out.talk(f"leaseq: default lease is now {name}")
    elif added.default:
        app.out.talk(f"leaseq: default lease stays {added.default} until lease {name} has started")


def _not_ready(app: App, lease: Lease, awaited: Allocation | None) -> str:
    """What is known of what has no runner yet; raises SlurmError if it has ended meanwhile."""
    from leaseq.lease.slurm.start import ended_early, state_by

    backend, what = slurm(app), leases.part(lease, awaited)
    state = state_by(backend, backend.queue(), lease, alloc=awaited)
    if state.word == "ENDED":
        raise ended_early(backend, lease, state, alloc=awaited)
    if state.word == "PENDING":
        return f"{what} has not started; it stays queued" + (f" ({state.reason})" if state.reason else "")
    if state.word == "RUNNING":
        return f"{what} runs, and no node of it has a runner yet"
    reason = f" ({state.reason})" if state.reason else ""
    return f"whether {what} has started is not known: {state.word}{reason}"


def _document(app: App, added: Added) -> None:
    from leaseq.protocol import allocs

    lease = added.lease
    body = {
        "id": lease.id,
        "name": lease.name,
        "kind": lease.kind,
        "nodes": list(allocs.members(app.fs, app.home.lease(lease.id))),
        "created": lease.created,
        "created_at": iso(lease.created),
        "argv": list(lease.argv),
    }
    alloc = added.alloc
    app.out.document({"lease": body, "allocation": {"id": alloc.id, "job": alloc.job} if alloc else None})


def _remark_on_cpus(app: App, lease: Lease, node: str) -> None:
    """Said on stderr if the node's share is the one CPU that Slurm gives unless somebody says how many."""
    from leaseq.errors import Malformed
    from leaseq.protocol import terms

    try:
        beat = terms.read_heartbeat(app.fs, app.home.lease(lease.id), node)
    except Malformed:
        return
    if beat is not None and beat.cpus == 1:
        app.out.talk(f"leaseq: lease {lease.id} has one CPU on {node}; `-c N` or `--exclusive` asks Slurm for more")


# -- the command line --------------------------------------------------------------------------------


def _words(text: str, *, what: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{what} {text!r}: {error}", hint="quote it as for a shell") from None


def _parted(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """(leaseq's own options, each with its value; all else: it is sbatch's as it stands)"""
    from leaseq.lease.slurm.args import takes_next

    kinds = {f"--{option.name}": option.kind for option in COMMAND.options}
    ours: list[str] = []
    theirs: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        key, glued, _ = word.partition("=")
        if word in ("-h", "--help"):
            ours.append(word)
        elif key not in kinds:
            theirs.append(word)
            if rest and takes_next(word, rest[0]):
                theirs.append(rest.pop(0))
        else:
            ours.append(word if glued or kinds[key] == "flag" else f"{key}={_value(key, rest)}")
    return ours, tuple(theirs)


def _value(key: str, rest: list[str]) -> str:
    if not rest or rest[0].startswith("-"):
        hint = "sbatch's own --wait makes no sense for a lease" if key == "--wait" else f"leaseq add {COMMAND.usage}"
        hint = "sbatch's own option of that name goes after `--`" if key == "--profile" else hint
        raise UsageError(f"{key} needs a value", hint=hint)
    return rest.pop(0)


def _made(*, tail: tuple[str, ...], **fields: Any) -> Add:
    from leaseq.lease.slurm.args import check

    check(tail)
    return Add(tokens=tail, **fields)


COMMAND = Command(
    usage="[OPTIONS] [--] [ANY SBATCH OPTIONS]",
    about="Asks Slurm for nodes and keeps them: a shell opens on the first one, and tasks run on all of them, one "
    "after another, until the lease is released or its time is over. Options of sbatch are handed on as they are.",
    make=_made,
    tail=True,
    parted=_parted,
    options=(
        Option("name", "a name for the lease, instead of its number", metavar="NAME", read=lease_name, absent=""),
        Option(
            "to",
            "a lease that is to get these nodes as well, by another job; its number is printed",
            completes="lease",
            against=("name",),
        ),
        Option("detach", "do not wait: print the id and return", kind="flag", against=("wait", "shell")),
        Option(
            "wait",
            "wait at most this long for the start (10m, 1h30m); it stays queued",
            metavar="TIME",
            read=seconds,
        ),
        Option(
            "keep",
            "ask for the next job as one starts, for so long (12h, 3d), or `until-empty`, `forever`, `off`",
            metavar="TIME",
            against=("to",),
        ),
        Option(
            "overlap",
            "the next job may start so long before the end of the one before it (default: once that has ended)",
            metavar="TIME",
            against=("to",),
        ),
        Option(
            "idle",
            "give the nodes back once nothing has used them for so long (30m, 2h; `off`)",
            metavar="TIME",
        ),
        Option(
            "scale",
            "no job before a task needs one, and as many at once as tasks need, within these bounds (0..4)",
            metavar="MIN..MAX",
            read=of_add,
            against=("to", "keep", "overlap", "wait", "shell"),
        ),
        Option("profile", "Slurm options and prologue from the settings", metavar="NAME", completes="profile"),
        Option("template", "a lease script of your own", completes="file"),
        Option("dry-run", "print the sbatch line, the script, and when it would start; queue nothing", kind="flag"),
        Option(
            "shell",
            "what to open on the first node (default: your shell)",
            metavar="CMD",
            read=_words,
            absent=(),
        ),
        replace(JSON, help="one JSON document on stdout, and no shell"),
    ),
    examples=(
        "leaseq add -N2 -p gpu --gres=gpu:2 -t 4:00:00",
        "leaseq add --detach --name sweep -- -p gpu -t 1-00:00:00",
        "leaseq add --detach --name sweep -N2 -t 12:00:00 --keep 3d",
        "leaseq add -N2 -p gpu -t 12:00:00 --idle 30m",
        "leaseq add --to sweep -N4 -t 2:00:00",
        "leaseq add --name pool --scale 0..4 -p gpu -t 4:00:00",
        "leaseq add --dry-run -p gpu",
    ),
)
