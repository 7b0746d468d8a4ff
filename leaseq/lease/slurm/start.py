"""Waiting for a lease, or another job of one, to start: by files, which cost Slurm nothing, and by the shared squeue.

The files say when a node is ready, the answer of squeue why none is.
"""

from __future__ import annotations

from collections.abc import Iterator

from leaseq.alloc_layout import AllocDir
from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass
from leaseq.errors import HOME_UNSEEN, LeaseqError, NotFound, SlurmError
from leaseq.layout import LeaseDir
from leaseq.lease import leases
from leaseq.lease.base import LeaseState
from leaseq.lease.slurm.answer import Queue
from leaseq.lease.slurm.command import ask
from leaseq.lease.slurm.job import SlurmBackend
from leaseq.lease.slurm.reach import another_home, sees_home
from leaseq.lease.slurm.verdict import NEW_SECONDS
from leaseq.lease.states import merged
from leaseq.lease.upkeep import keep_up
from leaseq.lease.view import told
from leaseq.models import Lease
from leaseq.names import beating
from leaseq.protocol import allocs
from leaseq.reading import beats
from leaseq.schema import whole

LOOK_SECONDS = 0.1
"""How often the lease's files are looked at. A listing costs a file server far less than a person's wait."""
FIRST_ANSWER_SECONDS = 2.0
"""A lease asked for a moment ago is in no answer that others have fetched: this one may be asked for early, once."""
FIRST_NODE_SECONDS = 10.0
"""How long the first node may be later than another before the other is taken for the shell."""
UNHEARD_SECONDS = 15.0
"""How long a lease that runs may have written nothing before its first node is asked what it sees."""
GIVEN_UP = "given up after"
"""In a note: the node tries no more, and the lease may end any moment."""


@dataclass(frozen=True)
class Progress:
    """What is known of a lease that has not started, and how long it was waited for."""

    waited_seconds: float
    state: LeaseState
    notes: tuple[str, ...] = ()
    """Why nodes have no runner."""
    node: str = ""
    """Where a shell can be opened now; empty while there is none."""


def progress(backend: SlurmBackend, lease: Lease, *, alloc: Allocation | None = None) -> Iterator[Progress]:
    """What is known now, again and again, until a node is ready; raises if what is waited for has ended.

    alloc: the one of the lease that is waited for; None: whichever is first. The caller waits between two of them for
    LOOK_SECONDS. Slurm is not asked more often than for everything else.
    """
    began = backend.clock.monotonic()
    directory = backend.home.lease(lease.id)
    is_new = backend.clock.now() - (alloc or lease).created <= NEW_SECONDS
    word, reason = ("PENDING", "just submitted") if is_new else ("UNKNOWN", "Slurm is being asked")
    state = LeaseState(word, reason)
    asked = first_begun = 0.0
    silent_since: float | None = None
    """Since when it runs, by Slurm's word, and has written nothing."""
    given_up = looked = False
    known = _meant(backend, lease, alloc)
    while True:
        waited = backend.clock.monotonic() - began
        notes = allocs.merged_notes(backend.fs, directory, known)
        names = allocs.merged_nodes(backend.fs, directory, known)
        begun = [each for each in _begun(backend, directory) if alloc is None or each in names]
        if begun:
            first_begun = first_begun or waited
            node = _ready(backend, directory, names=names, begun=begun, since=waited - first_begun, notes=notes)
            if node:
                yield Progress(waited, LeaseState("RUNNING"), notes=_told(notes), node=node)
                return
        news = not given_up and any(GIVEN_UP in note for note in notes.values())
        if news or waited - asked >= (FIRST_ANSWER_SECONDS if not asked else backend.period_seconds / 2):
            period = FIRST_ANSWER_SECONDS if not asked or news else backend.period_seconds
            asked, given_up = waited, given_up or news
            state = _ask(backend, lease, alloc, period_seconds=period)
            known = _meant(backend, lease, alloc)
            if state.word == "ENDED" and begun:
                left = "`leaseq lease ls --all` shows what is left"
                raise NotFound(f"{leases.part(lease, alloc)} has ended: {state.reason}", hint=left)
            if state.word == "ENDED":
                raise ended_early(backend, lease, state, alloc=alloc)
        if state.word != "RUNNING" or begun or notes or names:
            silent_since = None
        else:
            silent_since = waited if silent_since is None else silent_since
            if waited - silent_since >= UNHEARD_SECONDS and not looked:
                looked = True
                _look_from_there(backend, lease, known, state)
        yield Progress(waited, state, _told(notes))


def _meant(backend: SlurmBackend, lease: Lease, alloc: Allocation | None) -> tuple[Allocation, ...]:
    """The allocations that are waited for, as they are recorded now."""
    directory = backend.home.lease(lease.id)
    if alloc is None:
        return allocs.living_of(backend.fs, directory, lease)
    return (allocs.find(backend.fs, directory, alloc.id) or alloc,)


def _look_from_there(backend: SlurmBackend, lease: Lease, running: tuple[Allocation, ...], state: LeaseState) -> None:
    """Raises SlurmError if the lease's first node does not see this home: nothing will ever be heard of it."""
    if len(running) == 1 and state.nodes and sees_home(backend, running[0], state.nodes[0]) is False:
        raise SlurmError(
            f"lease {lease.id} runs, and {another_home(state.nodes[0], backend.home.root)}",
            hint=f"LEASEQ_HOME must be on a file system that all nodes share; `leaseq lease release {lease.id}` first",
        )


def _begun(backend: SlurmBackend, directory: LeaseDir) -> list[str]:
    """Nodes whose runner has ever beaten, in no order."""
    try:
        return beating(backend.fs.names(directory.heartbeats))
    except FileNotFoundError:
        return []


def _ready(
    backend: SlurmBackend,
    directory: LeaseDir,
    *,
    names: tuple[str, ...],
    begun: list[str],
    since: float,
    notes: dict[str, str],
) -> str:
    """The first of the lease's nodes whose runner is heard.

    Nothing while the very first is about to begin. If none is heard, after a while, the first that has ever been.
    """
    names = names or (tuple(sorted(begun)) if since > FIRST_NODE_SECONDS else ())
    if not names or (names[0] not in begun and since <= FIRST_NODE_SECONDS and names[0] not in notes):
        return ""
    heard = next((name for name in names if name in begun and beats.lives(backend.fs, directory, name)), "")
    if heard or since <= FIRST_NODE_SECONDS:
        return heard
    return next((name for name in names if name in begun), "")


def _told(notes: dict[str, str]) -> tuple[str, ...]:
    return tuple(notes[node] for node in sorted(notes))


def _ask(backend: SlurmBackend, lease: Lease, alloc: Allocation | None, *, period_seconds: float) -> LeaseState:
    try:
        queue = keep_up(backend.fs, backend.home, clock=backend.clock, period_seconds=period_seconds)
        return state_by(backend, queue, lease, alloc=alloc)
    except (OSError, LeaseqError) as error:
        return LeaseState("UNKNOWN", reason=f"cannot tell: {error}")


def state_by(backend: SlurmBackend, queue: Queue, lease: Lease, *, alloc: Allocation | None = None) -> LeaseState:
    """The lease's state by that answer, by what leaseq has told Slurm since, and by what its runners say.

    alloc: the one that is asked about; None: all.
    """
    held = leases.holding(backend.fs, backend.home, lease)
    seen = told(backend, queue, held if alloc is None else held.only(alloc))
    return merged([state for _, state in seen])


def ended_early(
    backend: SlurmBackend, lease: Lease, state: LeaseState, *, alloc: Allocation | None = None
) -> SlurmError:
    """Why a lease, or that job of one, ended before it could be used: the best of what Slurm, notes and log tell."""
    directory = backend.home.lease(lease.id)
    last = alloc or allocs.all_of(backend.fs, directory, lease)[-1]
    place = allocs.directory(directory, last)
    code = _exit_code(last.job)
    told = [*allocs.notes(backend.fs, place).values(), *_last_words(backend, place)]
    if code == HOME_UNSEEN and not told:
        told = [
            f"the node it started on does not see {backend.home.root}",
            "LEASEQ_HOME must be on a file system that the login host and all nodes share",
        ]
    words = "\n  ".join(dict.fromkeys(told))
    log = f"what it had to say: {place.script_log}"
    hint = log if code != HOME_UNSEEN else "export LEASEQ_HOME=..., add again"
    return SlurmError(
        f"{leases.part(lease, alloc)} has ended: {state.reason}" + (f"\n  {words}" if words else ""), hint=hint
    )


def _exit_code(job: str) -> int | None:
    """The exit code of the lease script, while Slurm still knows it."""
    try:
        answer = ask(["scontrol", "show", "job", job], seconds_max=10)
    except LeaseqError:
        return None
    _, found, rest = answer.out.partition(" ExitCode=")
    return whole(rest.partition(":")[0]) if found else None


def _last_words(backend: SlurmBackend, place: AllocDir) -> list[str]:
    try:
        data, _ = backend.fs.read_range(place.script_log, -2000, 2000)
    except OSError:
        return []
    lines = data.decode("utf-8", "replace").strip().splitlines()
    return [line for line in lines if "error" in line.lower() or "cannot" in line or "does not see" in line][-3:]
