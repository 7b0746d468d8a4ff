"""The story of leases in numbers: what they held, what ran, and what what waits will cost."""

from __future__ import annotations

from leaseq.dataclass import dataclass
from leaseq.lease import leases
from leaseq.models import ALL_GPUS, State
from leaseq.reading.forecast import LOOKED_AT, Durations
from leaseq.reading.lately import with_arrays
from leaseq.reading.report import Report, ms, report
from leaseq.reading.snapshot import Reader
from leaseq.reading.usage import runs, stays_of
from leaseq.verbs.access import Access


@dataclass(frozen=True)
class Pending:
    """What what waits will book, by what such tasks took so far."""

    tasks: int = 0
    """How many wait; each index of an array counts."""
    known: int = 0
    """Of how many of them it is known how long they may take."""
    seconds: float = 0.0
    gpu_seconds: float = 0.0


def gathered(access: Access, named: str, *, since: float) -> tuple[Report, Pending]:
    """What is known of that lease, or of all of the home, from then until now. Raises LeaseqError."""
    now = access.clock.now()
    every = [] if named else leases.list_leases(access.fs, access.home)
    records = [access.record(access.lease(named))] if named else every
    found, pending = {}, Pending()
    for record in records:
        if record.ended is not None and record.ended < since:
            continue
        directory = access.home.lease(record.id)
        held = leases.holding(access.fs, access.home, record)
        stays, beats = stays_of(access.fs, directory, held.allocs, now=now)
        reader = access.reader_of(directory)
        ran = [run for run in runs(access.fs, directory, beats) if run.began + run.seconds > since]
        found[record.id] = stays, with_arrays(reader, ran, {})
        if record.ended is None:
            pending = _with_pending(reader, pending)
    return report(found, since=ms(since), until=ms(now)), pending


def _with_pending(reader: Reader, so_far: Pending) -> Pending:
    snapshot = reader.read(recent=LOOKED_AT, pending=None)
    durations = Durations().learn(reader.histories.known(LOOKED_AT))
    tasks, known, seconds, gpu_seconds = so_far.tasks, so_far.known, so_far.seconds, so_far.gpu_seconds
    for row in snapshot.tasks:
        if row.state.ended:
            continue
        number = row.array.waiting if row.array is not None else int(row.state is State.PENDING)
        tasks += number
        mean = row.array.mean_seconds if row.array is not None else None
        if mean is None and (seen := durations.of(row.name, row.group, row.command)) is not None:
            mean = seen.mean
        gpus = row.need.gpus if row.need is not None else None
        if not number or mean is None or gpus is None or gpus == ALL_GPUS:
            continue
        known += number
        seconds += mean * number
        gpu_seconds += mean * number * gpus
    return Pending(tasks, known, seconds, gpu_seconds)
