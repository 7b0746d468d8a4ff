"""`leaseq shell`: a terminal on a node of a lease, and back into it after a disconnect."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from leaseq import programs
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.here import tell_of_start
from leaseq.cli.options import NODE
from leaseq.dataclass import dataclass, replace
from leaseq.errors import LeaseqError, NotFound, Unavailable, UsageError
from leaseq.installation import main_file
from leaseq.lease import leases, states
from leaseq.lease.base import LeaseState
from leaseq.lease.kinds import is_borrowed, way_in
from leaseq.models import Lease
from leaseq.names import valid_name
from leaseq.programs import slurm_is_here
from leaseq.protocol import allocs
from leaseq.reading import beats
from leaseq.words import visible
from leaseq.world import SystemFs, hostname, is_remote

if TYPE_CHECKING:
    from leaseq.lease.slurm.job import SlurmBackend

ENDS = ("COMPLETING", "ENDING")
EXIT_OF_SRUN = 1
"""srun's own failures end with it, and so may a command."""
REFUSED_SECONDS_MAX = 15.0
"""A step that Slurm refuses has ended by then; of what ran longer nothing is asked."""
LOOKED_AT = 3
"""So many nodes of a lease are looked at before Slurm is asked whether it has ended."""
ASK_SECONDS = 0.25
"""Once a terminal has closed, Slurm is asked no oftener, whoever asks."""
ENDING_SECONDS_MAX = 5.0
"""How long Slurm may take to say how a lease has ended whose terminal has closed."""
WHY = {"TIMEOUT": "time limit", "CANCELLED": "it was released or cancelled"}
"""Slurm's final words in a person's."""
SESSION = "main"
"""The session that is meant if none is named."""


@dataclass(frozen=True)
class Shell:
    """A terminal on a node; with a command and no session, that command alone."""

    lease: str = ""
    node: str = ""
    session: str = ""
    plain: bool = False
    argv: tuple[str, ...] = ()

    def perform(self, app: App) -> int:
        """The shell's exit code."""
        record = chosen(app, self.lease)
        if not is_borrowed(record):
            from leaseq.lease.host import refuse_if_forbidden

            refuse_if_forbidden(app.home)
        if self.node or not is_borrowed(record):
            return enter(app, record, replace(self, node=self.node or _ready_node(app, record)))
        from leaseq.lease.slurm.steps import NodeLost

        try:
            return enter(app, record, replace(self, node=_ready_node(app, record)))
        except NodeLost as lost:
            # Slurm was asked meanwhile, and that node is no choice any more.
            app.out.talk(f"leaseq: {lost.message}")
            return enter(app, record, replace(self, node=_ready_node(app, record)))


def _ready_node(app: App, record: Lease) -> str:
    """The node for a terminal if none is named: the lease's first that has a runner."""
    if is_borrowed(record):
        from leaseq.cli.starting import wait_for_start

        _refuse_without_node(app, record)
        return wait_for_start(app, record, seconds_max=None)
    if record.is_of_hosts:
        if not record.nodes:
            raise Unavailable(f"lease {record.id} has no host now", hint=way_in(record))
        return hostname() if hostname() in record.nodes else record.nodes[0]
    tell_of_start(app, app.access.host().start())
    return record.nodes[0]


def _refuse_without_node(app: App, record: Lease) -> None:
    """Raises Unavailable if the lease has no job, and gets one only when a task needs it."""
    if record.kept and all(each.ended is not None for each in leases.holding(app.fs, app.home, record).allocs):
        state = app.access.state(record)
        raise Unavailable(
            f"lease {leases.called(record)} has {state.reason}",
            hint=f"`leaseq submit` asks for one, and `leaseq lease scale {record.id} 1..N` keeps one",
        )


def enter(app: App, record: Lease, shell: Shell) -> int:
    """The exit code of what ran in a terminal on the node."""
    names = allocs.members(app.fs, app.home.lease(record.id)) or record.nodes
    if names and shell.node not in names:
        raise NotFound(f"{shell.node} is no node of lease {record.id}", hint=f"its nodes: {' '.join(names)}")
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    # A command without a session's name is a command: its output belongs to its caller, not to a screen.
    plain = shell.plain or not tty or (bool(shell.argv) and not shell.session)
    name = "" if plain else shell.session or SESSION
    alloc = app.access.serving(record, shell.node).alloc
    helper = [alloc.python or sys.executable, "-E", alloc.main or main_file()]
    words = [*helper, "session", app.home.root, record.id, shell.node, name, _directory(record), *shell.argv]
    if tty and not shell.argv:
        _tell_what_is_unused(app, record)
    began = time.monotonic()
    argv = app.access.attach(record, shell.node, words, tty=tty)
    with _counting(app, record, silent=bool(name) or not sys.stderr.isatty()):
        code = _run(argv, umask=app.umask)
    if code == EXIT_OF_SRUN and time.monotonic() - began < REFUSED_SECONDS_MAX:
        _explain_refusal(app, record, shell.node)
    if tty and not shell.argv:
        app.out.talk(f"leaseq: {visible(_what_follows(app, record))}")
    return code


def _tell_what_is_unused(app: App, record: Lease) -> None:
    """What the lease holds for nothing, if somebody else wants it."""
    if not is_borrowed(record):
        return
    from leaseq.reading.unused import unused

    snapshot = app.access.reader_of(app.home.lease(record.id)).read(recent=0, pending=0)
    for each in unused(snapshot.nodes, snapshot.totals):
        if each.pressing:
            app.out.talk(f"leaseq: lease {record.id}: {each.words}")


def _counting(app: App, record: Lease, *, silent: bool) -> AbstractContextManager[None]:
    """Meanwhile the terminal is told before the lease ends; a session's own terminal on the node tells it there."""
    if silent or not is_borrowed(record):
        return nullcontext()
    from leaseq.node.countdown import counting

    directory = app.home.lease(record.id)
    # Another thread than the one that `app.fs` watches. The terminal may be raw: a line begins and ends by itself.
    fs = SystemFs(remote=is_remote(app.home.root))
    return counting(
        lambda: allocs.time_left(fs, directory),
        lambda word: print(f"\r\nleaseq: lease {record.id} {word}\r", file=sys.stderr, flush=True),
    )


def _what_follows(app: App, record: Lease) -> str:
    """What is known of the lease now that its terminal is closed: Slurm has been asked."""
    ways = f"`leaseq shell` gets back, `leaseq lease release {record.id}` gives it up"
    if not is_borrowed(record):
        return f"lease {record.id} goes on; {ways}"
    from leaseq.lease.slurm.job import SlurmBackend

    backend = SlurmBackend(app.fs, app.home, clock=app.clock, period_seconds=ASK_SECONDS)
    closed = time.monotonic()
    until = closed + ENDING_SECONDS_MAX
    # The terminal may have closed because the job ends: an answer of before says nothing of that. And a job that ends
    # has its reason only once it has ended.
    while (state := _state(backend, record)).word in ENDS or _is_of_before(state, closed):
        if time.monotonic() > until:
            break
        time.sleep(0.2)
    if state.word == "ENDED":
        return f"lease {record.id} has ended: {WHY.get(state.reason.partition(' ')[0], state.reason)}"
    if state.word in ENDS:
        return f"lease {record.id} is ending"
    if state.word == "PENDING":
        return f"lease {record.id} waits for its nodes again; {ways}"
    if state.word == "RUNNING" and not _is_of_before(state, closed):
        return f"lease {record.id} goes on; {ways}"
    return f"whether lease {record.id} goes on is not known: {state.reason or 'Slurm has not answered just now'}"


def _state(backend: SlurmBackend, record: Lease) -> LeaseState:
    """The lease's state by an answer of now; UNKNOWN if Slurm gives none, whatever was heard a moment ago."""
    from leaseq.lease.slurm.start import state_by

    try:
        queue = backend.queue()
        state = state_by(backend, queue, record)
    except (OSError, LeaseqError) as error:
        return LeaseState("UNKNOWN", reason=str(error))
    if queue.failure and state.word != "ENDED":
        return replace(state, word="UNKNOWN", reason=queue.failure.strip().splitlines()[0])
    return state


def _is_of_before(state: LeaseState, closed: float) -> bool:
    """True if Slurm answered that before this host's monotonic clock showed so much."""
    return state.word in ("RUNNING", "PENDING", "UNKNOWN") and state.age_seconds > time.monotonic() - closed


def _explain_refusal(app: App, record: Lease, node: str) -> None:
    """Raises if Slurm now says why no step could start, and is silent if the command may have run and failed.

    What is kept of Slurm's answers can be old.
    """
    if is_borrowed(record):
        from leaseq.lease.slurm.job import by_settings
        from leaseq.lease.slurm.steps import refuse_impossible
        from leaseq.lease.upkeep import keep_up_now

        keep_up_now(app.fs, app.home, clock=app.clock)
        backend = by_settings(app.fs, app.home, clock=app.clock)
        _not_ended(app, record, app.access.state(record))
        refuse_impossible(backend, record, node)


def _directory(record: Lease) -> str:
    """Where a shell starts: here, if the node sees it; the session's helper falls back to the user's home."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return record.cwd or "/"


def _run(argv: Sequence[str], *, umask: int) -> int:
    """The command's exit code, 128 + N if signal N ended it. Ctrl-C is the command's, not ours."""
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGQUIT)}
    try:
        program = programs.path_of(argv[0])
        code = subprocess.Popen(list(argv), executable=program, preexec_fn=_default_signals, umask=umask).wait()
    except FileNotFoundError:
        raise Unavailable(f"there is no {argv[0]} on this host", hint="`leaseq shell` works where Slurm's do") from None
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    return 128 - code if code < 0 else code


def _default_signals() -> None:
    for each in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(each, signal.SIG_DFL)


def chosen(app: App, word: str) -> Lease:
    """The lease that the word names; without one the chosen lease, the only active one, or the one a person picks."""
    if word:
        record = app.access.record(app.access.lease(word, acts=True))
        return _not_ended(app, record, app.access.state(record))
    meant = app.access.lease("")
    if not leases.is_own(meant.id):
        record = app.access.record(meant)
        if record.ended is None and _is_heard(app, record):
            return record
        return _not_ended(app, leases.living(record), app.access.state(record))
    if leases.chosen(app.fs, app.home) or os.environ.get("LEASEQ_LEASE"):
        return _local(app)
    active = states.active(app.fs, app.home, app.clock)
    if not active:
        if slurm_is_here():
            app.out.talk(f"leaseq: no lease is chosen: this is a shell on this host, {app.access.host().lease.id}")
        return _local(app)
    if len(active) > 1:
        return _asked(active)
    app.out.talk(f"leaseq: no lease is chosen: this is a shell on lease {leases.called(active[0])}")
    return active[0]


def _is_heard(app: App, record: Lease) -> bool:
    """True if a runner of the lease was heard lately: it has not ended, and Slurm need not be asked."""
    directory = app.home.lease(record.id)
    return any(beats.lives(app.fs, directory, node) for node in beats.nodes(app.fs, directory)[:LOOKED_AT])


def _local(app: App) -> Lease:

    return app.access.host().ensure()


def _asked(active: Sequence[Lease]) -> Lease:
    names = [f"{lease.id}{f' ({lease.name})' if lease.name else ''}" for lease in active]
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"which lease? {', '.join(names)}", hint="`leaseq shell --lease ID`, or `leaseq lease use ID`")
    for number, name in enumerate(names, 1):
        print(f"  {number}  {name}", file=sys.stderr)
    print("which lease? ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip()
    if answer.isdigit() and 0 < int(answer) <= len(active):
        return active[int(answer) - 1]
    for lease in active:
        if answer and answer in (lease.id, lease.name):
            return lease
    raise UsageError("no lease was picked", hint="`leaseq shell --lease ID`")


def _not_ended(app: App, record: Lease, state: LeaseState) -> Lease:
    if state.word == "ENDED":
        raise NotFound(
            f"lease {leases.called(record)} has ended: {state.reason}", hint="`leaseq lease ls` shows what is left"
        )
    return record


def _session(text: str, *, what: str) -> str:
    valid_name(text, what=what)
    if "." in text or len(text) > 40:
        raise UsageError(f"{what} {text!r} is not a valid name", hint="at most 40 letters, digits, _ and -")
    return text


def _request(*, words: tuple[str, ...], tail: tuple[str, ...] | None, **fields: Any) -> Shell:
    if words:
        raise UsageError(f"unexpected argument {words[0]!r}", hint=f"a command: leaseq shell -- {shlex.join(words)}")
    if tail == ():
        raise UsageError("no command after `--`", hint="`leaseq shell` alone opens a shell")
    return Shell(argv=tail or (), **fields)


COMMAND = Command(
    usage="[--lease ID] [--node N] [--session NAME | --plain] [-- CMD ...]",
    about="Opens a terminal on a node of a lease, or gets back into it: programs and scrollback are still there.",
    make=_request,
    words=Words("words"),
    tail=True,
    options=(
        Option("lease", "the lease (default: the one in use)", metavar="ID", completes="lease"),
        replace(NODE, help="the node (default: the first that has a runner)"),
        Option(
            "session",
            f"a session of that name (default: {SESSION})",
            short="s",
            metavar="NAME",
            read=_session,
            absent="",
        ),
        Option("plain", "a shell that ends with this terminal", kind="flag", against=("session",)),
    ),
    examples=("leaseq shell", "leaseq shell --node node2 --session notebook", "leaseq shell -- nvidia-smi"),
)
