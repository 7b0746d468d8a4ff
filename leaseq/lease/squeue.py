"""The one `squeue` that everything of a user shares: asked at most once in a while, kept in the home's cache.

    cache/squeue.json      the last good answer; its age is the file's age by the file server's clock
    cache/squeue.failed    why the last try gave none; absent after a good one
    cache/ask.SECONDS.N    taken, by an exclusive link, by whoever may ask in the Nth period of that length

Whoever finds the answer too old and takes the period's name asks; all others use what is there, with its age.
A name left behind by a command that died blocks nobody: the next period has another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from leaseq import protocol
from leaseq.errors import LeaseqError, Malformed
from leaseq.layout import Home
from leaseq.lease import records
from leaseq.lease.settle import settle_claims
from leaseq.lease.slurm_command import ask
from leaseq.lease.slurm_text import FORMAT, Row, parse_rows
from leaseq.world import Clock, Fs

PERIOD_SECONDS = 30.0
OTHERS_MAX = 500
"""Jobs that are no leases are kept for `lease adopt`, but not without bound."""
COMMAND = ("squeue", "--me", "-h", "-t", "all", "-o", FORMAT)


@dataclass(frozen=True)
class Queue:
    """What Slurm said last of this user's jobs."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    gone: Mapping[str, Row] = field(default_factory=dict)
    """Leases that an earlier answer had and the last good one no longer has, as they were seen last."""
    age_seconds: float = float("inf")
    """Of the answer; infinite where there never was one."""
    failure: str = ""
    """Why no newer answer could be had, in Slurm's words."""


def read(fs: Fs, home: Home) -> Queue:
    """The last answer as it is kept; nobody is asked."""
    path = f"{home.cache}/squeue.json"
    try:
        kept = protocol.json_object(protocol.content(fs, path))
        rows, gone = _rows(kept["rows"]), _rows(kept["gone"])
        age = fs.age(path, home.cache)
    except (OSError, Malformed, KeyError):
        # No answer yet, or one that another version wrote: both are "not known".
        return Queue(failure=_failure(fs, home))
    return Queue(rows, gone, age, _failure(fs, home))


def _rows(kept: object) -> dict[str, Row]:
    if not isinstance(kept, list):
        raise Malformed("not a list of jobs")
    return {row.id: row for row in map(Row.from_record, kept)}


def refresh(fs: Fs, home: Home, *, clock: Clock, period_seconds: float = PERIOD_SECONDS) -> Queue:
    """An answer at most that old where Slurm gives one; else the last there was, with its age and the failure."""
    kept = read(fs, home)
    if kept.age_seconds < period_seconds or not _take_turn(fs, home, clock=clock, period_seconds=period_seconds):
        return kept
    try:
        answer = ask(COMMAND)
        failure = "" if answer.code == 0 else answer.words
    except LeaseqError as error:
        failure = error.message
    if failure:
        _publish(fs, f"{home.cache}/squeue.failed", failure.encode("utf-8", "replace"))
        return Queue(kept.rows, kept.gone, kept.age_seconds, failure)
    fresh = _merge(kept, parse_rows(answer.out), leases=records.known_ids(fs, home))
    _record_ends(fs, home, kept, fresh, clock=clock)
    _publish(fs, f"{home.cache}/squeue.json", _to_json(fresh))
    protocol.discard(fs, f"{home.cache}/squeue.failed")
    return fresh


def _merge(kept: Queue, rows: list[Row], *, leases: frozenset[str]) -> Queue:
    mine = [row for row in rows if row.id in leases]
    others = [row for row in rows if row.id not in leases and not row.ended][:OTHERS_MAX]
    now = {row.id: row for row in (*mine, *others)}
    before = {**kept.gone, **kept.rows}
    gone = {job: row for job, row in before.items() if job in leases and job not in now}
    return Queue(now, gone, 0.0)


def _record_ends(fs: Fs, home: Home, kept: Queue, fresh: Queue, *, clock: Clock) -> None:
    """Leases that ended since the last answer say so in their records: Slurm forgets them in minutes.

    Their attempts are settled first: a command that dies in between leaves it all to the next answer.
    """
    ended = {job: row for job, row in fresh.rows.items() if row.ended}
    revived = [job for job, row in kept.rows.items() if row.ended and job in fresh.rows and job not in ended]
    news = {job: end_reason(row) for job, row in ended.items() if not (job in kept.rows and kept.rows[job].ended)}
    news |= {job: end_reason(row) for job, row in fresh.gone.items() if job not in kept.gone}
    for job in (*news, *revived):
        try:
            lease = home.lease(job)
            if job in news:
                settle_claims(fs, lease, clock=clock, reason=news[job])
                records.mark_ended(fs, lease, ended=clock.now(), reason=news[job])
            else:
                records.mark_alive(fs, lease)
        except (LeaseqError, OSError, Malformed):
            # A job that is no lease, or a record that is being written; state() derives the same from the answer.
            continue


def end_reason(row: Row) -> str:
    """Slurm's final word on a lease: `TIMEOUT`, `FAILED (NonZeroExitCode)`; or how it was seen last."""
    if not row.ended:
        return f"no longer known to Slurm, {row.state} when seen last"
    return f"{row.state} ({row.reason})" if row.reason else row.state


def _take_turn(fs: Fs, home: Home, *, clock: Clock, period_seconds: float) -> bool:
    """True for one caller in each period."""
    fs.mkdir(home.root)
    fs.mkdir(home.cache)
    now = clock.now()
    mine = f"ask.{period_seconds:g}.{int(now // period_seconds)}"
    temporary = protocol.hidden(home.cache)
    fs.create(temporary, b"", durable=False)
    try:
        fs.link(temporary, f"{home.cache}/{mine}")
    except FileExistsError:
        return False
    finally:
        protocol.discard(fs, temporary)
    for name in fs.names(home.cache):
        if name.startswith(f"ask.{period_seconds:g}.") and name != mine:
            protocol.discard(fs, f"{home.cache}/{name}")
    return True


def _publish(fs: Fs, path: str, data: bytes) -> None:
    temporary = protocol.hidden(path.rpartition("/")[0])
    fs.create(temporary, data, durable=False)
    fs.rename(temporary, path)


def _failure(fs: Fs, home: Home) -> str:
    try:
        return fs.read(f"{home.cache}/squeue.failed").decode("utf-8", "replace")
    except OSError:
        return ""


def _to_json(queue: Queue) -> bytes:
    rows, gone = ([row.as_record() for row in part.values()] for part in (queue.rows, queue.gone))
    return json.dumps({"v": 1, "rows": rows, "gone": gone}, separators=(",", ":")).encode() + b"\n"
