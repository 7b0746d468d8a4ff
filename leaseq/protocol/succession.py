"""A kept lease: one allocation follows the other, or as many are asked for as are needed. How, as files in keep/.

    keep/how       how long, and what Slurm is asked for each time
    keep/began     when the first of them had started, in seconds since the epoch; written once
    keep/G.N       the Nth ask for the Gth of them: the token of its job. An exclusive link: who has made it asks
    keep/stopped   why no other is asked for
    keep/refused   what Slurm said when it refused last; gone once it has not
    keep/empty     made when nothing was left to run, or needed a job that is queued; gone if that is not so
    keep/paused    of a lease that scales, why no other is asked for until somebody says anew how many there may be
    keep/alloc     of a lease that scales, what each of its allocations is like: there is no first
    keep/script    and the script of which theirs are made

The first is the one whose token `how` names. That of an ask is the one that bears its token, if there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Malformed
from leaseq.forms import Form
from leaseq.layout import LeaseDir
from leaseq.protocol import files
from leaseq.protocol.records import link_first
from leaseq.schema import Record, _as, flag, integer, mapping, maybe, number, several, text
from leaseq.world import Fs

_ASK = Form(r"([1-9][0-9]{0,8})\.([1-9][0-9]{0,8})")


@dataclass(frozen=True)
class How(Record):
    """How long one allocation follows the other, and what Slurm is asked for each time."""

    first: str = _as(text)
    """The token of the first."""
    seconds: float | None = _as(maybe(number), default=None)
    """So long from the start of the first; None: no such limit."""
    until: float | None = _as(maybe(number), default=None)
    """Until then, in seconds since the epoch; None: no such limit."""
    while_busy: bool = _as(flag, default=False)
    """True if only as long as something is left to run."""
    overlap_minutes: int = _as(integer, default=0)
    """So long before the end of one the next may start; 0: not before it."""
    scale: tuple[int, ...] = _as(several(integer), default=())
    """(at least, at most) so many at once, by what is left to run; empty: one follows the other."""
    forgiven: tuple[int, ...] = _as(several(integer), default=())
    """The newest ask when that was said anew: what went wrong up to it does not count."""
    argv: tuple[str, ...] = _as(several(text), default=())
    """The Slurm options, without what was for the first alone."""
    options: Mapping[str, str] = _as(mapping(text), default_factory=dict)
    """The same by Slurm's long names."""
    name: str = _as(text, default="")
    cwd: str = _as(text, default="")
    umask: int = _as(integer, default=0o022)
    environment: Mapping[str, str] = _as(mapping(text), default_factory=dict)
    """That of who asked for the first: it becomes the job's."""
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal(Record):
    """What Slurm said when it refused another allocation last."""

    words: str = _as(text)
    times: int = _as(integer, default=1)
    """So often in a row."""
    on_node: bool = _as(flag, default=False)
    """True if one of the lease's nodes had asked."""
    extra: Mapping[str, object] = field(default_factory=dict)


def names(fs: Fs, lease: LeaseDir) -> tuple[str, ...]:
    """What is in keep/; nothing if the lease has never been kept."""
    try:
        return tuple(fs.names(lease.keep))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def is_kept(found: Iterable[str]) -> bool:
    """True if another allocation is to follow, by the names in keep/."""
    known = set(found)
    return "how" in known and "stopped" not in known


def asks_in(found: Iterable[str]) -> list[tuple[int, int]]:
    """(which of the allocations, which ask for it) of each ask, in order."""
    matches = [_ASK.fullmatch(name) for name in found]
    return sorted((int(match[1]), int(match[2])) for match in matches if match)


def keep(fs: Fs, lease: LeaseDir, how: How) -> None:
    """The lease is kept so from now on, durably, if it was not kept before."""
    files.make(fs, [lease.keep])
    link_first(fs, f"{lease.keep}/how", how.to_json())


def keep_model(fs: Fs, lease: LeaseDir, alloc: Allocation, script: str) -> None:
    """What each allocation of a lease that scales is to be like, durably; nobody else knows the lease yet."""
    files.make(fs, [lease.keep])
    link_first(fs, script_path(lease), script.encode("utf-8", "surrogateescape"))
    link_first(fs, f"{lease.keep}/alloc", alloc.to_json())


def model(fs: Fs, lease: LeaseDir) -> Allocation:
    """What each allocation of a lease that scales is like; raises FileNotFoundError, Malformed."""
    return Allocation.from_json(files.content(fs, f"{lease.keep}/alloc"))


def set_idle(fs: Fs, lease: LeaseDir, seconds: float | None) -> bool:
    """Jobs that are asked for may stand unused for so long, durably; False if it is no lease that scales."""
    try:
        before = model(fs, lease)
    except (FileNotFoundError, NotADirectoryError):
        return False
    files.replace_file(fs, f"{lease.keep}/alloc", replace(before, idle_seconds=seconds).to_json())
    return True


def script_path(lease: LeaseDir) -> str:
    return f"{lease.keep}/script"


def go_on(fs: Fs, lease: LeaseDir, how: How) -> None:
    """The lease is kept so from now on, durably, whatever was said or went wrong before."""
    files.replace_file(fs, f"{lease.keep}/how", how.to_json())
    for name in ("stopped", "refused", "paused", "empty"):
        files.discard(fs, f"{lease.keep}/{name}")
    fs.sync_dir(lease.keep)


def read_how(fs: Fs, lease: LeaseDir) -> How:
    """How the lease is kept; raises FileNotFoundError, Malformed."""
    return How.from_json(files.content(fs, f"{lease.keep}/how"))


def begin(fs: Fs, lease: LeaseDir, *, now: float) -> None:
    """It is said when the first allocation had started: now, if nobody has said so before."""
    link_first(fs, f"{lease.keep}/began", f"{now}\n".encode())


def until(fs: Fs, lease: LeaseDir, how: How) -> float | None:
    """When its time is over; None if it has no such end, or its first allocation has not started."""
    if how.until is not None or how.seconds is None:
        return how.until
    try:
        return float(files.content(fs, f"{lease.keep}/began")) + how.seconds
    except FileNotFoundError:
        return None
    except ValueError:
        raise Malformed(f"{lease.keep}/began holds no time") from None


def claim(fs: Fs, lease: LeaseDir, ask: tuple[int, int], token: str) -> bool:
    """True for the one caller who asks for that allocation that time, with that token."""
    path = path_of(lease, ask)
    link_first(fs, path, token.encode())
    return files.content(fs, path) == token.encode()


def token_of(fs: Fs, lease: LeaseDir, ask: tuple[int, int]) -> str:
    """The token of that ask; raises FileNotFoundError."""
    return files.content(fs, path_of(lease, ask)).decode("ascii", "replace")


def withdraw(fs: Fs, lease: LeaseDir, ask: tuple[int, int]) -> None:
    """Who has claimed that ask did not ask, and another may."""
    files.discard(fs, path_of(lease, ask))
    fs.sync_dir(lease.keep)


def path_of(lease: LeaseDir, ask: tuple[int, int]) -> str:
    return f"{lease.keep}/{ask[0]}.{ask[1]}"


def stop(fs: Fs, lease: LeaseDir, words: str) -> None:
    """No other allocation is asked for, for that reason or one that was given before; durably."""
    link_first(fs, f"{lease.keep}/stopped", words.encode("utf-8", "replace"))


def stop_after(fs: Fs, lease: LeaseDir, token: str, words: str) -> bool:
    """None follows the allocation with that token, for that reason; False if none would, whatever is said.

    A lease that scales goes on: its allocations do not follow each other.
    """
    found = names(fs, lease)
    if not is_kept(found):
        return False
    try:
        how = read_how(fs, lease)
        if how.scale:
            return True
        is_one = token in {how.first, *(token_of(fs, lease, ask) for ask in asks_in(found))}
    except Malformed:
        is_one = True  # nobody can ask for another
    if is_one:
        stop(fs, lease, words)
    return is_one


def why_stopped(fs: Fs, lease: LeaseDir) -> str:
    """Why no other is asked for; empty if that is not said."""
    return _words(fs, f"{lease.keep}/stopped")


def _words(fs: Fs, path: str) -> str:
    try:
        return fs.read(path).decode("utf-8", "replace")
    except OSError:
        return ""


def tell_paused(fs: Fs, lease: LeaseDir, words: str, *, before: bool) -> None:
    """It is known why none is asked for until somebody says so; empty: one is. before: so it was seen to be."""
    if words and words != why_paused(fs, lease):
        files.replace_file(fs, f"{lease.keep}/paused", words.encode("utf-8", "replace"))
    elif not words and before:
        files.discard(fs, f"{lease.keep}/paused")


def why_paused(fs: Fs, lease: LeaseDir) -> str:
    """Why none is asked for until somebody says so; empty if one is."""
    return _words(fs, f"{lease.keep}/paused")


def refuse(fs: Fs, lease: LeaseDir, words: str, *, on_node: bool) -> None:
    """It is known that Slurm has refused, with those words."""
    before = refusal(fs, lease)
    times = before.times + 1 if before and before.on_node == on_node else 1
    files.replace_file(fs, f"{lease.keep}/refused", Refusal(words[:2000], times, on_node).to_json())


def refusal(fs: Fs, lease: LeaseDir) -> Refusal | None:
    """What Slurm said when it refused last; None if it has not."""
    try:
        return Refusal.from_json(files.content(fs, f"{lease.keep}/refused"))
    except (FileNotFoundError, NotADirectoryError, Malformed):
        return None


def accepted(fs: Fs, lease: LeaseDir) -> None:
    """Slurm has not refused."""
    files.discard(fs, f"{lease.keep}/refused")
