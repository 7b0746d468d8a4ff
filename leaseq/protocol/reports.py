"""What is told of an array and its indices, for readers."""

from __future__ import annotations

from leaseq.array_names import ArrayNames
from leaseq.errors import Malformed
from leaseq.indices import Indices
from leaseq.layout import LeaseDir
from leaseq.protocol import array_places, files, journal
from leaseq.protocol.facts import Told, Totals
from leaseq.protocol.stops import Stop, read_stops
from leaseq.schema import text
from leaseq.world import Fs


def look(fs: Fs, lease: LeaseDir, task_id: str, attempt: int) -> tuple[Totals, int | None]:
    """(the indices of that attempt of the array that have ended for good, by state, and what is known of their times;
    how many may run at once, if a command has said that)

    Costs a look at the end of each node's journal, however many have ended. Raises Malformed.
    """
    array = lease.array(task_id, attempt)
    try:
        names = ArrayNames.parse(fs.names(array.root))
    except FileNotFoundError:
        return Totals(), None
    return journal.totals(fs, array, names), array_places.throttle(fs, array) if names.throttled else None


def indices(fs: Fs, lease: LeaseDir, task_id: str, attempt: int, wanted: Indices | None = None) -> Told:
    """How each of the wanted indices of that attempt of the array ended, or that it has begun: all journals are read.

    What is in neither has not begun, or has no line of its own (see `Stop`); once the array is over, an index that was
    to have another attempt has none. Raises Malformed.
    """
    array = lease.array(task_id, attempt)
    try:
        names = ArrayNames.parse(fs.names(array.root))
    except FileNotFoundError:
        return Told()
    told = journal.read(fs, array, names, wanted=wanted)
    if names.over:
        told.ended = {index: each for index, each in told.ended.items() if not each.requeued}
    return told


def stops_of(fs: Fs, lease: LeaseDir, task_id: str, attempt: int) -> list[Stop]:
    """What was to end of that attempt of the array before its time; nothing once it is over. Raises Malformed."""
    array = lease.array(task_id, attempt)
    try:
        return read_stops(fs, array, ArrayNames.parse(fs.names(array.root)))
    except FileNotFoundError:
        return []


def held_because(fs: Fs, lease: LeaseDir, task_id: str, attempt: int) -> str:
    """Why a runner has held the array; empty if none has."""
    try:
        body = files.json_object(files.content(fs, lease.array(task_id, attempt).held))
        return text(body.get("reason", ""))
    except (FileNotFoundError, Malformed):
        return ""
