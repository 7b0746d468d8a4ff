"""What fits on a node: its room, what attempts book of it, and what can never fit. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from leaseq.dataclass import dataclass
from leaseq.models import ALL_GPUS, Need
from leaseq.words import count

MANY = 1 << 30
"""More than anybody has of anything."""


@dataclass(frozen=True)
class Room:
    """What a node has, or has left: CPUs, memory in MiB, GPU tokens in the order they are given out."""

    cpus: int
    mem_mb: int
    gpus: tuple[str, ...]
    gpus_known: bool = True
    """False while the driver has not told which GPUs there are."""


@dataclass(frozen=True)
class Booking:
    """What one attempt holds. `alone` keeps every other task off the node."""

    cpus: int = 0
    mem_mb: int = 0
    gpus: tuple[str, ...] = ()
    alone: bool = False


def cpus_of(need: Need, capacity: Room) -> int:
    """The CPUs that the need books on such a node: one if none are named.

    A lease asked for by its GPUs has one CPU on each node unless its owner knew better (Slurm's default), and its GPUs
    must not stand idle for that: if the node has fewer CPUs than GPUs, a task that names only GPUs books no CPU.
    """
    if need.cpus is not None:
        return need.cpus
    return 0 if need.gpus and capacity.cpus < len(capacity.gpus) else 1


def booking_of(need: Need, room: Room, capacity: Room) -> Booking | None:
    """What the need takes of this room of a node, or None if it does not fit. Alone takes all of it."""
    if need.alone:
        return Booking(room.cpus, room.mem_mb, room.gpus, alone=True)
    gpus = len(room.gpus) if need.gpus == ALL_GPUS else need.gpus or 0
    cpus = cpus_of(need, capacity)
    mem = need.mem_mb or 0
    if gpus > len(room.gpus) or cpus > room.cpus or mem > room.mem_mb:
        return None
    return Booking(cpus, mem, room.gpus[:gpus])


def how_many(need: Need, capacity: Room) -> int:
    """How many such attempts have room on such a node at once: at least one, and at most 64 that book nothing."""
    if need.alone or need.gpus == ALL_GPUS:
        return 1
    return max(1, min([64, *_each_allows(need, capacity, capacity)]))


def how_many_more(need: Need, left: Room, capacity: Room) -> int:
    """How many such attempts have room yet on a node of which that is left, however many it runs already."""
    if booking_of(need, left, capacity) is None:
        return 0
    if need.alone or need.gpus == ALL_GPUS:
        return 1 if left == capacity else 0
    return min(_each_allows(need, left, capacity), default=MANY)


def _each_allows(need: Need, left: Room, capacity: Room) -> list[int]:
    """How many such attempts each kind of thing that they book allows."""
    cpus = cpus_of(need, capacity)
    most = [len(left.gpus) // need.gpus] if need.gpus else []
    most += [left.cpus // cpus] if cpus else []
    return most + ([left.mem_mb // need.mem_mb] if need.mem_mb else [])


def never_fits(need: Need, capacity: Room) -> str:
    """Why no such node can ever run the need; empty if it can."""
    if need.gpus and not capacity.gpus_known:
        return ""
    if need.gpus is not None and need.gpus > len(capacity.gpus):
        return f"needs {count(need.gpus, 'GPU')}, the node has {len(capacity.gpus)}"
    if need.gpus == ALL_GPUS and not capacity.gpus:
        return "needs all GPUs, the node has none"
    if need.cpus is not None and need.cpus > capacity.cpus:
        return f"needs {count(need.cpus, 'CPU')}, the node has {capacity.cpus}"
    if need.mem_mb is not None and need.mem_mb > capacity.mem_mb:
        return f"needs {need.mem_mb} MiB of memory, the node has {capacity.mem_mb}"
    return ""


def room_left(capacity: Room, bookings: Iterable[Booking]) -> Room:
    """The capacity less what is booked."""
    cpus, mem = capacity.cpus, capacity.mem_mb
    taken: set[str] = set()
    for booking in bookings:
        cpus -= booking.cpus
        mem -= booking.mem_mb
        taken.update(booking.gpus)
    return Room(max(0, cpus), max(0, mem), tuple(gpu for gpu in capacity.gpus if gpu not in taken))
