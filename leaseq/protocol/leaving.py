"""How an allocation that nothing uses gives its nodes back: its runners agree, by files, that all of them leave.

    allocs/ID/idle-limit        how long it may stand unused, if that was changed: seconds, or `off`
    allocs/ID/leave/ROUND.NODE  that node's runner claims nothing and has nothing: it would leave
    allocs/ID/leave/ROUND       how that round came out, linked once: `leave`, or `stay` and the reason
    allocs/ID/left              why the allocation has left

Whoever has said that it would leave claims nothing until the round is decided. Anybody may decide `stay`; `leave` is
decided by whoever has seen the word of every node. The link is the one moment: before it each may go on, after it all
leave, and what is submitted then stays pending.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from leaseq.alloc_layout import AllocDir
from leaseq.allocation import Allocation
from leaseq.protocol import files
from leaseq.protocol.records import link_first
from leaseq.schema import whole
from leaseq.words import about
from leaseq.world import Fs

LEAVE, STAY = "leave", "stay"
OFF = "off"
KEPT_SECONDS = 86400.0
"""How long a round that is over can be read: by whoever was slow, or is curious."""


# -- the limit -------------------------------------------------------------------------------------


def limit_of(fs: Fs, place: AllocDir, alloc: Allocation) -> float | None:
    """How long the allocation may stand unused; None: as long as it lasts."""
    return limits(fs, place, alloc)[0]


def limits(fs: Fs, place: AllocDir, alloc: Allocation) -> tuple[float | None, bool]:
    """The same, and whether there has ever been a limit: then its runners may have sought to leave."""
    try:
        word = fs.read(place.idle_limit).decode("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return alloc.idle_seconds, alloc.idle_seconds is not None
    seconds = whole(word)
    return float(seconds) if seconds and seconds > 0 else None, True


def set_limit(fs: Fs, place: AllocDir, seconds: float | None) -> None:
    """The allocation may stand unused for so long, durably; None: as long as it lasts."""
    files.replace_file(fs, place.idle_limit, (OFF if seconds is None else f"{seconds:.0f}").encode() + b"\n")


# -- a round ---------------------------------------------------------------------------------------


def begin(fs: Fs, place: AllocDir) -> None:
    """A round may be held; what is left of rounds long ago is gone."""
    files.make(fs, [place.leaving])
    for name in fs.names(place.leaving):
        path = f"{place.leaving}/{name}"
        with suppress(FileNotFoundError):
            if fs.age(path, place.leaving) > KEPT_SECONDS:
                files.discard(fs, path)


def would_leave(fs: Fs, place: AllocDir, round_id: str, node: str) -> None:
    """That node has said, durably, that it would leave."""
    files.replace_file(fs, place.would_leave(round_id, node), b"")


def would_all_leave(fs: Fs, place: AllocDir, round_id: str, nodes: Iterable[str]) -> bool:
    """True if each of these nodes has said that it would leave."""
    names = set(fs.names(place.leaving))
    return all(f"{round_id}.{node}" in names for node in nodes)


def decide(fs: Fs, place: AllocDir, round_id: str, word: str, reason: str) -> tuple[str, str]:
    """(`leave` or `stay`, the reason): the round is decided, durably, as whoever was first has said."""
    link_first(fs, place.decision(round_id), f"{word} {reason}\n".encode("utf-8", "replace"))
    return decision(fs, place, round_id) or (STAY, "")


def decision(fs: Fs, place: AllocDir, round_id: str) -> tuple[str, str] | None:
    """How the round came out, durably, and why; None while it is open."""
    try:
        fs.read(place.decision(round_id))
        fs.sync_dir(place.leaving)  # who decided may have died before: what is acted on must last
        words = fs.read(place.decision(round_id)).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    word, _, reason = words.strip().partition(" ")
    return LEAVE if word == LEAVE else STAY, reason


def rounds(fs: Fs, place: AllocDir) -> dict[str, tuple[str, str] | None]:
    """The rounds of which something is there, and how each came out; an open one's is None."""
    try:
        names = fs.names(place.leaving)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {each: decision(fs, place, each) for each in {name.partition(".")[0] for name in names}}


# -- its end ---------------------------------------------------------------------------------------


def reason_of(limit: float) -> str:
    """Why an allocation with that limit has left."""
    return f"idle for {about(limit)}"


def mark_left(fs: Fs, place: AllocDir, reason: str) -> None:
    """It says that the allocation has left by itself, and why."""
    files.replace_file(fs, place.left, reason.encode("utf-8", "replace") + b"\n")


def why_left(fs: Fs, place: AllocDir) -> str:
    """Why the allocation has left by itself; empty if it has not."""
    try:
        return fs.read(place.left).decode("utf-8", "replace").strip()[:200]
    except (FileNotFoundError, NotADirectoryError):
        return ""
