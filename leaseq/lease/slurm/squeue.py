"""The one `squeue` of a cluster that everything of a user shares: asked at most once in a while, kept in the cache.

Asking changes nothing but the cache, which is the asker's own: the answer (`answer`), whose turn it is to ask, and
which allocations were missed in answers.

    cache/CLUSTER/missed.LEASE@ID  that allocation of the lease is absent from every answer since this file was made
    cache/CLUSTER/ask.SECONDS.N    taken, by an exclusive link, by whoever may ask in the Nth period of that length
    cache/CLUSTER/stale.TOKEN      leaseq has changed something since the answer: whoever takes ask.TOKEN asks anew

Whoever finds the answer too old and takes the period's name asks; all others use what is there, with its age.
A name left behind by a command that died blocks nobody: the next period has another. If it is not known which
cluster answers, the files are in cache/ itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from leaseq.dataclass import replace
from leaseq.errors import LeaseqError, Unavailable
from leaseq.layout import Home
from leaseq.lease.host import user_name
from leaseq.lease.slurm import clusters
from leaseq.lease.slurm.answer import Queue, cache_of, read
from leaseq.lease.slurm.command import ask
from leaseq.lease.slurm.text import FORMAT, Row, parse_rows
from leaseq.lease.slurm.verdict import Judge
from leaseq.names import new_incarnation
from leaseq.protocol import files
from leaseq.world import Clock, Fs

PERIOD_SECONDS = 30.0


def command(*of: str) -> list[str]:
    """squeue for everything of this user, or for what `of` says."""
    # Not --me: wrappers and Slurms before 20.02 know only -u.
    return ["squeue", *(of or ("-u", user_name())), "-h", "-t", "all", "-o", FORMAT]


def refresh(fs: Fs, home: Home, *, clock: Clock, period_seconds: float = PERIOD_SECONDS) -> Queue:
    """An answer at most that old if Slurm gives one; else the last there was, with its age and the failure.

    It comes with what follows from it for leases. Nothing of that is done.
    """
    cluster = clusters.here(fs, home)
    cache, kept = cache_of(home, cluster), read(fs, home, cluster)
    stale = _stale(fs, cache)
    if kept.age_seconds < period_seconds and not stale:
        return kept
    for directory in (home.root, home.cache, cache):
        fs.mkdir(directory)
    period = f"ask.{period_seconds:g}."
    turns = [f"{period}{int(clock.now() // period_seconds)}"] if kept.age_seconds >= period_seconds else []
    if not any(_take(fs, cache, turn) for turn in (*turns, *(f"ask.{mark}" for mark in stale))):
        return kept
    asked = clock.monotonic()
    try:
        answer = ask(command())
        failure = "" if answer.code == 0 else answer.words
    except LeaseqError as error:
        failure = error.message
    _tidy(fs, cache, period=period if turns else "", keep=turns, stale=() if failure else stale)
    if failure:
        _publish(fs, f"{cache}/squeue.failed", failure.encode("utf-8", "replace"))
        return replace(kept, failure=failure)
    judge = Judge(
        fs,
        home,
        cluster,
        unknown_to_slurm=lambda job: _unknown(fs, home, cluster, job),
        asked_ago=lambda: clock.monotonic() - asked,
    )
    fresh = replace(judge.learn(kept, parse_rows(answer.out)), age_seconds=judge.asked_ago())
    _publish(fs, f"{cache}/squeue.json", fresh.to_json())
    files.discard(fs, f"{cache}/squeue.failed")
    return fresh


def look(job: str) -> Row | None:
    """The job as Slurm knows it now; None only if Slurm says that there is none. Raises Unavailable."""
    answer = ask(command("-j", job))
    if answer.code != 0:
        if "invalid job id" in answer.words.lower():
            return None
        raise Unavailable(f"what job {job} is now cannot be known: {answer.words}", hint=f"`squeue -j {job}`")
    row = next((row for row in parse_rows(answer.out) if row.id == job), None)
    if row is None:
        raise Unavailable(f"squeue says nothing of job {job}, neither that it is there nor that it is not")
    return row


def changed(fs: Fs, home: Home, cluster: str) -> None:
    """Leaseq has changed what Slurm would answer: the next look asks."""
    cache = cache_of(home, cluster)
    for directory in (home.root, home.cache, cache):
        fs.mkdir(directory)
    fs.create(f"{cache}/stale.{new_incarnation()}", b"", durable=False)


def _unknown(fs: Fs, home: Home, cluster: str, job: str) -> bool:
    """True if this cluster, and no other by mistake, says now that there is no such job."""
    try:
        return look(job) is None and clusters.here(fs, home, anew=True) == cluster
    except LeaseqError:
        return False


def _stale(fs: Fs, cache: str) -> list[str]:
    try:
        return [name for name in fs.names(cache) if name.startswith("stale.")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _take(fs: Fs, cache: str, turn: str) -> bool:
    """True for one caller."""
    temporary = files.hidden(cache)
    fs.create(temporary, b"", durable=False)
    try:
        fs.link(temporary, f"{cache}/{turn}")
    except FileExistsError:
        return False
    finally:
        files.discard(fs, temporary)
    return True


def _tidy(fs: Fs, cache: str, *, period: str, keep: Sequence[str], stale: Sequence[str]) -> None:
    """Turns of other periods are gone, and so is what said that the answer of before is stale."""
    for name in fs.names(cache):
        if period and name.startswith(period) and name not in keep:
            files.discard(fs, f"{cache}/{name}")
    for name in stale:
        files.discard(fs, f"{cache}/{name}")
        files.discard(fs, f"{cache}/ask.{name}")


def _publish(fs: Fs, path: str, data: bytes) -> None:
    temporary = files.hidden(path.rpartition("/")[0])
    fs.create(temporary, data, durable=False)
    fs.rename(temporary, path)
