"""What is written of a lease's allocation: its nodes, its end, what leaseq told Slurm, what its script had to say."""

from __future__ import annotations

from collections.abc import Collection

from leaseq.layout import AllocDir, LeaseDir
from leaseq.names import is_node
from leaseq.protocol import files
from leaseq.schema import whole
from leaseq.world import Fs


def members(fs: Fs, lease: LeaseDir) -> tuple[str, ...]:
    """The nodes of the lease, as far as they are known; empty before it has started."""
    return node_names(fs, lease.own)


def notes_of(fs: Fs, lease: LeaseDir) -> dict[str, str]:
    """What lease scripts had to say, by node: see `notes`."""
    return notes(fs, lease.own)


def time_left(fs: Fs, lease: LeaseDir) -> float | None:
    """How long the lease has nodes yet; None if it has no end or that is not known."""
    return seconds_left(fs, lease.own)


def mark_released(fs: Fs, alloc: AllocDir) -> None:
    """Its directory says that leaseq has told Slurm to end it."""
    files.replace_file(fs, alloc.released, b"")


def is_released(fs: Fs, alloc: AllocDir) -> bool:
    """True where leaseq has told Slurm to end it."""
    try:
        return "released" in fs.names(alloc.root)
    except (FileNotFoundError, NotADirectoryError):
        return False


def left_at_end(fs: Fs, alloc: AllocDir) -> int | None:
    """The seconds that it had left when Slurm told its script to end; None if it was not, or has no limit."""
    try:
        words = fs.read(alloc.told_to_end).decode("ascii", "replace").strip()
    except OSError:
        return None
    return 0 if words.startswith("-") and whole(words[1:]) is not None else whole(words)


def notes(fs: Fs, alloc: AllocDir) -> dict[str, str]:
    """What the lease script had to say, by node (`_lease`: all of them): why a node has no runner."""
    found: dict[str, str] = {}
    try:
        for node in sorted(fs.names(alloc.notes)):
            found[node] = fs.read(f"{alloc.notes}/{node}").decode("utf-8", "replace").strip()[:500]
    except OSError:
        # A note comes and goes with each try of a node; the next look says more.
        return found
    return found


def node_names(fs: Fs, alloc: AllocDir) -> tuple[str, ...]:
    """Its nodes, in Slurm's order, as far as it is known; empty before it has started."""
    try:
        words = fs.read(alloc.node_names).decode("utf-8", "replace").split()
    except OSError:
        return ()
    return tuple(word for word in words if is_node(word))


def learn_nodes(fs: Fs, alloc: AllocDir, nodes: Collection[str]) -> bool:
    """Its nodes are at most those; False where it has not started, or all of its own are new."""
    known = node_names(fs, alloc)
    left = tuple(node for node in known if node in nodes)
    if left and left != known:
        files.replace_file(fs, alloc.node_names, "".join(f"{node}\n" for node in left).encode())
    return bool(left)


def seconds_left(fs: Fs, alloc: AllocDir) -> float | None:
    """Until its end, by what the lease script wrote last; None if it has no end or that is not known."""
    try:
        left = whole(fs.read(alloc.ends).decode("ascii", "replace").strip())
        return None if left is None else left - fs.age(alloc.ends, alloc.root)
    except OSError:
        return None
