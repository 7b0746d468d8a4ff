"""Asking Slurm for a lease: the script, sbatch's command line, the record that survives a crash between the two."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Mapping

import leaseq
from leaseq import programs
from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Malformed, Newer, SlurmError, Unavailable, UsageError
from leaseq.installation import main_file
from leaseq.layout import Home, LeaseDir
from leaseq.lease.leases import living
from leaseq.lease.slurm import clusters, squeue
from leaseq.lease.slurm.answer import Queue
from leaseq.lease.slurm.args import Checked
from leaseq.lease.slurm.command import SECONDS_MAX, Answer, Ask, Unanswered, ask
from leaseq.lease.slurm.text import is_no_answer, parse_job_id, parse_rows
from leaseq.models import Lease
from leaseq.names import new_incarnation
from leaseq.node.scrub import OF_JOB, for_sbatch
from leaseq.protocol import allocs, files, records, succession
from leaseq.protocol.succession import How
from leaseq.schema import Record, _as, maybe, record, whole
from leaseq.world import Clock, Fs

FIND_SECONDS = 20.0
"""How long Slurm may take to tell whether it has queued a lease for which sbatch got no answer."""
WARNING_SECONDS = 120
"""How long before the end Slurm warns the lease script; it may be up to 60 s more."""
TRIES_MAX = 6
"""How often a node tries to start a runner that never started there: a minute, with growing waits."""
CLOCK_SECONDS = 300
"""How often a lease asks Slurm for the time it has left."""
STEP_SECONDS = 30
"""How long a step may take to begin before its node's note says that it has not."""
WARNINGS = frozenset({"USR1", "USR2", "HUP", "INT", "ALRM", "URG", "XCPU", "WINCH"})
"""Signals that can warn. TERM means the end, and CONT comes with every other signal of Slurm's."""
END_LEAD_SECONDS = 60
"""How long before the lease's end its tasks get TERM, if nobody asked for a warning that would come later."""
LEASE, ALLOC, JOB, CLUSTER = "@LEASE@", "@ALLOC@", "@JOB@", "@CLUSTER@"
"""What stands in a record and a script for what is known once Slurm has given a number."""


@dataclass(frozen=True)
class LeaseRequest:
    """What is asked of Slurm for a lease, or for another allocation of one."""

    tokens: tuple[str, ...]
    """The user's Slurm options, verbatim."""
    checked: Checked
    name: str = ""
    template: str = ""
    prologues: tuple[str, ...] = ()
    epilogues: tuple[str, ...] = ()
    warning_signal: str = ""
    """What running tasks get when Slurm warns of the end, without SIG; empty: nothing, since USR1 ends a program that
    does not expect it. The user's --signal says it too."""
    warning_to: str = "leader"
    """Who gets it: `leader`, the task's own process, or `all` of its processes."""
    warning_seconds: int = WARNING_SECONDS
    umask: int = 0o022
    """The user's: that of the prologue and the epilogue."""
    idle_seconds: float | None = None
    """How long the job may stand unused before it gives its nodes back; None: as long as it lasts."""
    prologue_failure: str = "stop"
    """`stop`: a node whose prologue failed takes no task; `go`: it does."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    keep: How | None = None
    """How long other allocations are to follow the first of a new lease; None: none is."""


@dataclass(frozen=True)
class Asked(Record):
    """What Slurm is asked for, as it is kept beside the script until its record stands."""

    lease: Lease = _as(record(Lease))
    """The lease that it is for; with `@JOB@` for the number that Slurm will give, and the like, if that is new."""
    alloc: Allocation = _as(record(Allocation))
    keep: How | None = _as(maybe(record(How)), default=None)
    """How the lease is to be kept, if it is new."""
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_new(self) -> bool:
        """True if the lease is made with this allocation."""
        return self.lease.token == self.alloc.token

    def known_as(self, job: str, cluster: str) -> Asked:
        """With the number that Slurm has given."""
        lease = replace(self.lease, id=job, job=job, cluster=cluster) if self.is_new else self.lease
        return replace(self, lease=lease, alloc=replace(self.alloc, id=job, lease=lease.id, job=job, cluster=cluster))


@dataclass(frozen=True)
class Prepared:
    """A request as it would be handed to sbatch."""

    script: str
    argv: tuple[str, ...]
    """sbatch's command line; its last word is the script's path."""
    asked: Asked

    @property
    def path(self) -> str:
        return self.argv[-1]


def prepare(
    home: Home, request: LeaseRequest, *, clock: Clock, user: str, host: str, lease: Lease | None = None
) -> Prepared:
    """The script, the command line and the record of an allocation that has not been asked for.

    lease: the one that it is for; None: a new one. Raises Refused if that has ended.
    """
    asked = ask_of(request, clock=clock, user=user, host=host, lease=lease)
    argv = ("sbatch", "--parsable", *request.tokens, f"{home.scripts}/{asked.alloc.token}.sh")
    return Prepared(script_of(home, request, asked), argv, asked)


def ask_of(request: LeaseRequest, *, clock: Clock, user: str, host: str, lease: Lease | None = None) -> Asked:
    """What is asked for, as records; raises Refused if it is for a lease that has ended."""
    token, now = new_incarnation(), clock.now()
    try:
        cwd = os.getcwd()
    except FileNotFoundError:
        raise UsageError("the current directory does not exist any more", hint="cd to one that does") from None
    lease = (
        living(lease)
        if lease
        else Lease(
            id=LEASE,
            kind="slurm",
            created=now,
            user=user,
            host=host,
            name=request.name,
            argv=request.tokens,
            cwd=cwd,
            version=leaseq.__version__,
            allocs=True,
            cluster=CLUSTER,
            job=JOB,
            token=token,
            kept=request.keep is not None,
        )
    )
    alloc = Allocation(
        id=ALLOC,
        kind="slurm",
        lease=lease.id,
        created=now,
        user=user,
        name=request.name,
        argv=request.tokens,
        cluster=CLUSTER,
        job=JOB,
        token=token,
        options=dict(request.checked.options),
        python=sys.executable,
        main=main_file(),
        idle_seconds=request.idle_seconds,
    )
    return Asked(lease, alloc, replace(request.keep, first=token, cwd=cwd) if request.keep else None)


def script_of(home: Home, request: LeaseRequest, asked: Asked) -> str:
    """The lease script: of an allocation that stands already, or of one whose number is not known yet."""
    # Jinja2 is only needed if a script is made.
    from leaseq.lease.slurm import render

    return render.render(home, _values(home, request, asked), template=request.template)


def _values(home: Home, request: LeaseRequest, asked: Asked) -> dict[str, object]:
    lease, alloc = asked.lease, asked.alloc
    output_chosen = "output" in request.checked.options or "SBATCH_OUTPUT" in request.environment
    option = request.checked.options.get("signal", "")
    warning_signal = signal_of(option) or request.warning_signal
    directives = [
        f"--job-name={request.name or 'leaseq'}",
        "--no-kill",
        "--no-requeue",
        f"--signal=B:USR1@{request.warning_seconds}",
    ]
    # The lease's directory has no name before Slurm gives one, so the script itself turns its output there.
    directives += [] if output_chosen else ["--output=/dev/null"]
    return {
        "home": home.root,
        "python": sys.executable,
        "main": main_file(),
        "lease_id": "" if lease.id == LEASE else lease.id,
        "lease_token": lease.token,
        "lease_record": lease.to_json().decode("ascii").strip() if lease.id == LEASE else "",
        "alloc_id": "" if alloc.id == ALLOC else alloc.id,
        "alloc_record": alloc.to_json().decode("ascii").strip(),
        "alloc_in_lease": alloc.in_lease,
        "asked_as": "",
        "token": alloc.token,
        "directories": [path.removeprefix("/") for path in LeaseDir("", "").directories() if path],
        "slurm_bin": os.path.dirname(programs.found("sbatch") or ""),
        "directives": directives,
        "log_to_lease": not output_chosen,
        "prologues": request.prologues,
        "epilogues": request.epilogues,
        "umask": f"{request.umask:04o}",
        "prologue_failure": request.prologue_failure,
        "kept": OF_JOB,
        "warning_to": request.warning_to,
        "warning_signal": warning_signal,
        "end_lead": end_lead(option, request) if warning_signal else END_LEAD_SECONDS,
        "tries_max": TRIES_MAX,
        "clock_seconds": CLOCK_SECONDS,
        "step_seconds": STEP_SECONDS,
        "version": leaseq.__version__,
        "name": request.name,
        "options": dict(request.checked.options),
    }


def signal_of(option: str) -> str:
    """The name of the signal that the value of --signal asks for; empty if a lease script cannot wait for it."""
    word = option.rpartition(":")[2].partition("@")[0].upper().removeprefix("SIG")
    try:
        name = signal.Signals(int(word)).name if word.isdigit() else signal.Signals["SIG" + word].name
    except (ValueError, KeyError):
        return ""
    return name[3:] if name[3:] in WARNINGS else ""


def end_lead(option: str, request: LeaseRequest) -> int:
    """How long before the end tasks get TERM so that the warning comes first: at most half of what it leaves them.

    option: the value of --signal, `[R][B:]SIGNAL[@SECONDS]`; without SECONDS Slurm warns 60 s before (sbatch(1)).
    """
    seconds = whole(option.partition("@")[2] or "60") if option else request.warning_seconds
    return min(END_LEAD_SECONDS, max(1, (seconds or 0) // 2))


# -- submitting ------------------------------------------------------------------------------------


def submit(
    fs: Fs, home: Home, prepared: Prepared, *, request: LeaseRequest, seconds_max: float = SECONDS_MAX, ask: Ask = ask
) -> tuple[Asked, str]:
    """(what Slurm has queued, what sbatch had to say); its records stand, durably.

    Between sbatch's answer and the records this process may die: the script beside the unfinished records in
    scripts/ lets `heal` find them, and the allocation writes its own when it starts.
    """
    for directory in (home.root, home.runs, home.scripts):
        fs.mkdir(directory)
    unfinished = prepared.path.removesuffix(".sh") + ".json"
    fs.create(unfinished, prepared.asked.to_json())
    fs.create(prepared.path, prepared.script.encode("utf-8", "surrogateescape"))
    fs.sync_dir(home.scripts)
    try:
        # Slurm makes files that the user asks for (--output) with the umask of sbatch.
        environment = for_sbatch(request.environment)
        answer = ask(prepared.argv, environment=environment, umask=request.umask, seconds_max=seconds_max)
    except Unanswered as error:
        # It may print the number and then hang: with a site's wrapper, or as its node runs out of something.
        if (job := parse_job_id(error.out)) is None:
            return _found(fs, home, prepared, request, error.message, ask), error.err.strip()
        return _queued(fs, home, prepared, *job), error.err.strip()
    except Unavailable:
        _forget_script(fs, prepared.path)
        raise
    job = parse_job_id(answer.out) if answer.code == 0 else None
    if job is None and answer.code != 0 and is_no_answer(answer.words):
        return _found(fs, home, prepared, request, answer.words, ask), ""
    if job is None:
        _forget_script(fs, prepared.path)
        raise _refusal(answer, request.checked)
    return _queued(fs, home, prepared, *job), answer.err.strip()


def _found(fs: Fs, home: Home, prepared: Prepared, request: LeaseRequest, words: str, ask: Ask) -> Asked:
    """The lease, if Slurm has queued it without answering sbatch; raises Unavailable if that is not known.

    Its script and unfinished record stay: should it be queued yet, `heal` finds it.
    """
    try:
        answer = ask(squeue.command(), seconds_max=FIND_SECONDS)
        rows = parse_rows(answer.out) if answer.code == 0 else []
    except Unavailable:
        rows = []
    for row in rows:
        if row.script == prepared.path and not row.ended:
            return _queued(fs, home, prepared, row.id, "")
    name = request.checked.options.get("job-name") or request.name or "leaseq"
    raise Unavailable(
        f"Slurm has not answered sbatch, and whether it has queued the lease is not known\n  {words}",
        hint=f"`leaseq lease ls` finds it if so, `squeue --me -n {shlex.quote(name)}` shows it; "
        "if you add again, you may hold both",
    )


def _queued(fs: Fs, home: Home, prepared: Prepared, job: str, cluster: str) -> Asked:
    """The records of what has that job."""
    here = clusters.here(fs, home)
    stands = register(fs, home, prepared.asked.known_as(job, (cluster or here).lower()))
    _keep_script(fs, home, stands, prepared.path)
    squeue.changed(fs, home, here)
    return stands


def register(fs: Fs, home: Home, asked: Asked) -> Asked:
    """The records of the lease, if that is new, and of the allocation stand, durably, by whoever was first."""
    lease = records.register(fs, home, asked.lease) if asked.is_new else asked.lease
    directory = home.lease(lease.id)
    if not lease.allocs:
        allocs.record_all(fs, directory)  # the first leaseq's: what its own record tells of counts on
    if asked.keep is not None:
        succession.keep(fs, directory, asked.keep)
    return Asked(lease, allocs.register(fs, directory, asked.alloc))


def _refusal(answer: Answer, checked: Checked) -> SlurmError:
    said = answer.words
    if answer.code == 0:
        return SlurmError(
            f"sbatch printed no job id: {said}", hint="`squeue --me` shows whether a job named leaseq was queued"
        )
    near = [known for bad, known in checked.suggestions.items() if bad.lstrip("-") in said]
    hint = (
        f"did you mean {' or '.join(near)}?" if near else "nothing was allocated; `sinfo` shows partitions and limits"
    )
    return SlurmError(said, hint=hint)


def _keep_script(fs: Fs, home: Home, asked: Asked, path: str) -> None:
    """The script is beside its allocation's record, and nothing of it is left in scripts/."""
    fs.rename(path, allocs.directory(home.lease(asked.lease.id), asked.alloc).script)
    files.discard(fs, path.removesuffix(".sh") + ".json")


def _forget_script(fs: Fs, path: str) -> None:
    files.discard(fs, path)
    files.discard(fs, path.removesuffix(".sh") + ".json")


def without_record(fs: Fs, home: Home, queue: Queue) -> list[tuple[Asked, str]]:
    """(the records it is to have, its script) of each job whose command died between sbatch's answer and the records.

    A job is such a one if its script still waits in scripts/.
    """
    try:
        waiting = {name for name in fs.names(home.scripts) if name.endswith(".sh")}
    except FileNotFoundError:
        return []
    found = []
    for row in queue.rows.values() if waiting else ():
        directory, _, script = row.script.rpartition("/")
        if script not in waiting or directory != home.scripts:
            continue
        try:
            unfinished = _asked_in(fs.read(f"{directory}/{script.removesuffix('.sh')}.json"))
        except (FileNotFoundError, Malformed):
            continue  # another command is healing it, or it is half written; the next answer finds what is left
        found.append((unfinished.known_as(row.id, queue.cluster), row.script))
    return found


def _asked_in(data: bytes) -> Asked:
    """What an unfinished record says; the first leaseq's is a lease's alone. Raises Malformed."""
    try:
        return Asked.from_json(data)
    except Newer:
        raise
    except Malformed:
        lease = Lease.from_json(data)
        return Asked(lease, lease.first)


def heal(fs: Fs, home: Home, queue: Queue) -> list[str]:
    """Jobs whose command died between sbatch's answer and the records have them now; the ids of their leases."""
    healed = []
    for unfinished, script in without_record(fs, home, queue):
        try:
            stands = register(fs, home, unfinished)
            _keep_script(fs, home, stands, script)
        except (FileNotFoundError, Malformed):
            continue  # another command was faster
        healed.append(stands.lease.id)
    return healed
