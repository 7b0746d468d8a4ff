"""What to start next: pure decisions over values.

Order is priority, then submission. A task that names its need is packed beside others; one that names nothing
runs alone. A head that does not fit keeps its reservation: what it waits for is set aside, and a later task may
pass only if it needs nothing of that.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from leaseq.dataclass import dataclass
from leaseq.models import ALL_GPUS, Need
from leaseq.names import Entry
from leaseq.room import Booking, Room, booking_of, cpus_of, never_fits, room_left
from leaseq.words import memory

LOOKAHEAD = 64
"""How many pending tasks behind a blocked head are looked at."""
LEASE_ENDS = "LeaseTime: its lease ends soon, and it has no time limit that fits"
LEASE_TIME = "LeaseTime: its time limit is longer than the lease lasts"
GPUS_UNKNOWN = "GPUs not known yet"
STAGGER_SECONDS = 0.025
STAGGER_SECONDS_MAX = 1.0


@dataclass(frozen=True)
class Choice:
    """A pending task, or one of an array's indices, that can start now, with what it will hold."""

    entry: Entry
    booking: Booking
    behind: tuple[Entry, ...] = ()
    """Those that are to have its room after it, one after the other."""


def choose(
    pending: Iterable[Entry],
    capacity: Room,
    bookings: Sequence[Booking],
    *,
    seconds_left: float | None,
    warned: bool = False,
    many_of: Callable[[Entry], int] = lambda entry: 1,
    lanes_left: Mapping[str, int] = MappingProxyType({}),
) -> tuple[list[Choice], dict[str, str]]:
    """(tasks to start now in order, why the others seen do not: task id to reason, `CODE` or `CODE: words`).

    pending is in order, and read only as far as needed. seconds_left: until the lease ends, None if it has no end.
    many_of: how many attempts an array's entry stands for.
    lanes_left: how many more of a group may start, by the time that one of its tasks is read from pending.
    """
    free = left = room_left(capacity, bookings)
    running = len(bookings)
    alone_runs = any(booking.alone for booking in bookings)
    chosen: list[Choice] = []
    waiting: dict[str, str] = {}
    begun: Counter[str] = Counter()
    """How many of each group are chosen."""
    heads: list[Entry] = []
    """Tasks that have to wait for room: what they need is kept for them."""
    refused: dict[int, str] = {}
    """Why there was no room since the last choice, by the identity of the need: names that say the same share it."""
    for entry in _each(pending, many_of, waiting):
        if alone_runs:
            waiting[entry.id] = "Node: another task has it alone"
            break
        if len(waiting) >= LOOKAHEAD:
            break
        need = entry.need
        if warned and entry.attempt > 1 and need.time_seconds is None:
            waiting[entry.id] = LEASE_ENDS
            continue
        if entry.group in lanes_left and begun[entry.group] >= lanes_left[entry.group]:
            waiting[entry.id] = f"Group: no more of {entry.group} may run at once"
            continue
        if seconds_left is not None and need.time_seconds is not None and need.time_seconds > seconds_left:
            waiting[entry.id] = LEASE_TIME
            continue
        if need.gpus and not capacity.gpus_known:
            waiting[entry.id] = GPUS_UNKNOWN
            continue
        if reason := refused.get(id(need)):
            waiting[entry.id] = reason
            heads.append(entry)
            left = _reserve(need, left, capacity)
            continue
        if reason := never_fits(need, capacity):
            waiting[entry.id] = f"Resources: {reason}"
            continue
        booking = None if need.alone and (running or heads) else booking_of(need, left, capacity)
        if need.gpus == ALL_GPUS and len(left.gpus) < len(capacity.gpus):
            booking = None
        if booking is None:
            lack = _lack(need, free, capacity, running=running)
            refused[id(need)] = waiting[entry.id] = lack or f"Behind: {_whom(need, free, capacity, heads)}"
            heads.append(entry)
            left = _reserve(need, left, capacity)
            if need.alone:
                break
            continue
        chosen.append(Choice(entry, booking))
        refused.clear()
        begun[entry.group] += 1
        running += 1
        free, left = room_left(free, [booking]), room_left(left, [booking])
        if booking.alone:
            break
    return chosen, waiting


def _each(pending: Iterable[Entry], many_of: Callable[[Entry], int], waiting: Mapping[str, str]) -> Iterator[Entry]:
    """Each entry as often as it stands for attempts, until one of them has to wait."""
    for entry in pending:
        for number in range(many_of(entry) if entry.count else 1):
            if number and entry.id in waiting:
                break
            yield entry


def _lack(need: Need, free: Room, capacity: Room, *, running: int) -> str:
    """What the node has too little of for the need now; empty if it has all of it."""
    if need.alone:
        return f"Node: needs it whole, {running} running" if running else ""
    gpus = len(capacity.gpus) if need.gpus == ALL_GPUS else need.gpus or 0
    cpus, mem = cpus_of(need, capacity), need.mem_mb or 0
    if gpus > len(free.gpus):
        return f"GPU: needs {gpus}, {len(free.gpus)} free"
    if cpus > free.cpus:
        return f"CPUs: needs {cpus}, {free.cpus} free"
    if mem > free.mem_mb:
        return f"Memory: needs {memory(mem)}, {memory(free.mem_mb)} free"
    return ""


def _whom(need: Need, free: Room, capacity: Room, heads: Sequence[Entry]) -> str:
    """The id of the task for which what the need takes is kept."""
    for head in heads:
        free = _reserve(head.need, free, capacity)
        if need.alone or booking_of(need, free, capacity) is None:
            return head.id
    return heads[-1].id


def _reserve(need: Need, left: Room, capacity: Room) -> Room:
    """What a blocked head leaves for others: nothing of any kind that it waits for."""
    gpus = () if need.gpus else left.gpus
    cpus = max(0, left.cpus - cpus_of(need, capacity))
    mem = max(0, left.mem_mb - (need.mem_mb or 0))
    return left if (cpus, mem, gpus) == (left.cpus, left.mem_mb, left.gpus) else Room(cpus, mem, gpus)


def rank(node: str, task_id: str, nodes: Sequence[str]) -> int:
    """The place of the node in the task's own order of all nodes: 0 goes first.

    Every runner computes the same order without talking, and each node is first for its share. The order is the list
    taken in steps of a length that has no divisor in common with its own: one hash, however many nodes there are, and
    what one node leaves goes to different others.
    """
    count = len(nodes)
    if count < 2 or node not in nodes:
        return 0
    number = int.from_bytes(hashlib.blake2b(task_id.encode(), digest_size=8).digest(), "big")
    start, step = number % count, number // count % count
    while math.gcd(step, count) > 1:
        step += 1
    return (start + step * nodes.index(node)) % count


def stagger_seconds(place: int) -> float:
    """How long a node waits before it takes a task that others should take first."""
    return min(STAGGER_SECONDS_MAX, STAGGER_SECONDS * place)
