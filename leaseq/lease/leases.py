"""Which leases there are, and which one is meant when none is named.

The truth is `runs/*/lease.json`. `index.json` is a cache of the records of ended leases and allocations, and holds the
lease that `leaseq lease use` chose; without it everything is found again, and this host's own lease is the default.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass
from leaseq.errors import Malformed, Newer, NotFound, Refused, UsageError
from leaseq.layout import Home, LeaseDir
from leaseq.models import Lease
from leaseq.names import LEASE_ID
from leaseq.protocol import allocs, files, records
from leaseq.schema import SCHEMA
from leaseq.world import Fs, hostname

News = Callable[[str], None]
LOCAL = "local"
"""What stands for the lease of whichever host reads it."""


def local_id() -> str:
    """The id of this host's own lease."""
    return f"local:{hostname()}"


def is_own(lease_id: str) -> bool:
    """True for the lease that is this host itself."""
    return lease_id == local_id()


def means_own(word: str) -> bool:
    """True if the word is this host's own lease, or this host."""
    return word in (LOCAL, local_id(), hostname())


def chosen_or_own(fs: Fs, home: Home) -> str:
    """The id of the chosen lease, or of this host's own if none was chosen. Raises Newer."""
    return chosen(fs, home) or local_id()


def read_record(fs: Fs, lease: LeaseDir) -> Lease | None:
    """The lease's record, or None if there is no such lease or its record cannot be read; raises Newer."""
    try:
        return records.read_lease(fs, lease)
    except Newer:
        raise
    except (FileNotFoundError, NotADirectoryError, Malformed):
        return None


def list_leases(fs: Fs, home: Home) -> list[Lease]:
    """Every lease of the home, newest first; leases that have ended are read from the cache."""
    index: dict[str, object] | None = None
    with contextlib.suppress(Newer):
        index = _read_index(fs, home)
    cache = _part(index or {}, "leases")
    found: list[Lease] = []
    ended: dict[str, object] = {}
    for lease_id in _ids(fs, home):
        try:
            record = _from_cache(cache.get(lease_id), lease_id) or read_record(fs, home.lease(lease_id))
        except Newer:
            continue  # `unreadable` tells
        if record is not None:
            found.append(record)
            if record.ended is not None:
                ended[lease_id] = record.as_record()
    if index is not None and ended.keys() != cache.keys():
        with contextlib.suppress(OSError):  # a cache: a full or read-only disk keeps nobody from looking
            _write_index(fs, home, {**index, "leases": ended})
    return sorted(found, key=lambda lease: lease.created, reverse=True)


@dataclass(frozen=True)
class Holding:
    """A lease with all of its allocations, oldest first."""

    lease: Lease
    allocs: tuple[Allocation, ...]

    @property
    def living(self) -> tuple[Allocation, ...]:
        """Those that have not ended; all if none is left."""
        return allocs.living(self.allocs)

    def only(self, alloc: Allocation) -> Holding:
        """The lease as if it had that allocation alone, as it is recorded."""
        return Holding(self.lease, tuple(each for each in self.allocs if each.id == alloc.id) or (alloc,))

    def is_called(self, word: str) -> bool:
        """True if the word is its name, or names an allocation that it has or had."""
        return word == self.lease.name or self._has(word, self.allocs)

    def lives_as(self, word: str) -> bool:
        """True if it lives, and the word is its name or names an allocation that it has now."""
        return self.lease.ended is None and (word == self.lease.name or self._has(word, self.living))

    def _has(self, word: str, among: Iterable[Allocation]) -> bool:
        return any(word in (each.id, each.job) for each in among)


def holding(fs: Fs, home: Home, lease: Lease) -> Holding:
    """The lease with all of its allocations."""
    return Holding(lease, allocs.all_of(fs, home.lease(lease.id), lease))


def list_holdings(fs: Fs, home: Home) -> list[Holding]:
    """Every lease of the home with all of its allocations, newest first; what has ended is read from the cache."""
    index: dict[str, object] | None = None
    found = list_leases(fs, home)
    with contextlib.suppress(Newer):
        index = _read_index(fs, home)
    cache = _part(index or {}, "allocs")
    made, ended = [], {}
    for lease in found:
        entry = cache.get(lease.id)
        known = _allocs_from_cache(entry, lease.id)
        whole = lease.ended is not None and isinstance(entry, dict) and entry.get("whole") is True and bool(known)
        its = tuple(known.values()) if whole else allocs.all_of(fs, home.lease(lease.id), lease, known=known)
        made.append(Holding(lease, its))
        over = [each for each in its if each.ended is not None]
        if over:
            ended[lease.id] = entry if whole else _entry(over, whole=lease.ended is not None and len(over) == len(its))
    if index is not None and ended != cache:
        with contextlib.suppress(OSError):  # a cache: a full or read-only disk keeps nobody from looking
            _write_index(fs, home, {**index, "allocs": ended})
    return made


def _entry(over: Iterable[Allocation], *, whole: bool) -> dict[str, object]:
    return {"whole": whole, "records": [each.as_record() for each in over]}


def _allocs_from_cache(entry: object, lease_id: str) -> dict[str, Allocation]:
    """The records that the index holds of allocations of the lease that have ended, by their ids."""
    kept = entry.get("records") if isinstance(entry, dict) else None
    try:
        found = [Allocation.from_record(each) for each in (kept if isinstance(kept, list) else [])]
    except Malformed:
        return {}
    return {each.id: each for each in found if each.lease == lease_id and each.ended is not None}


def unreadable(fs: Fs, home: Home, listed: Iterable[Lease]) -> dict[str, str]:
    """Lease id to the reason, of leases that are not listed because their record cannot be read."""
    found: dict[str, str] = {}
    for lease_id in sorted(set(_ids(fs, home)) - {lease.id for lease in listed}):
        lease = home.lease(lease_id)
        try:
            records.read_lease(fs, lease)
        except Newer as error:
            found[lease_id] = str(error)
        except Malformed as error:
            found[lease_id] = f"{lease.record}: {error}"
        except (FileNotFoundError, NotADirectoryError):
            continue  # it begins only now, or is a file of somebody's
    return found


def _ids(fs: Fs, home: Home) -> list[str]:
    try:
        return [name for name in fs.names(home.runs) if LEASE_ID.fullmatch(name)]
    except FileNotFoundError:
        return []


def default(fs: Fs, home: Home, *, news: News | None = None) -> str:
    """The lease that commands mean when they name none: the shell's or task's own, the chosen one, this host's.

    Raises NotFound and UsageError if LEASEQ_LEASE names none, Newer if this leaseq cannot read the choice.
    """
    word = os.environ.get("LEASEQ_LEASE", "")
    if not word:
        return chosen(fs, home, news=news) or local_id()
    try:
        return resolve(fs, home, word)
    except (NotFound, UsageError) as error:
        hint = "set it to a lease, or unset it: `leaseq lease ls` lists the leases"
        raise type(error)(f"{error.message} (LEASEQ_LEASE names it)", hint=hint) from None


def chosen(fs: Fs, home: Home, *, news: News | None = None) -> str:
    """The id of the lease that was chosen for commands that name none; empty if none was. Raises Newer.

    One that was to be chosen once it starts is, if it has: `news` is told so by whoever sees it first.
    """
    index = _read_index(fs, home)
    following = str(index.get("next") or "")
    if LEASE_ID.fullmatch(following) and allocs.members(fs, home.lease(following)):
        if news is not None:
            with contextlib.suppress(OSError):  # a full or read-only disk keeps nobody from looking
                choose(fs, home, following)
                news(following)
        return following
    word = str(index.get("default") or "")
    return local_id() if word == LOCAL else word


def has_started(fs: Fs, home: Home, lease: Lease) -> bool:
    """True if the lease's script has begun on its nodes."""
    return bool(lease.nodes or allocs.members(fs, home.lease(lease.id)))


def choose(fs: Fs, home: Home, lease_id: str) -> None:
    """Commands that name no lease mean this one from now on; an empty id: none is chosen. Raises Newer."""
    word = LOCAL if lease_id == local_id() else lease_id  # each host of the home has its own
    _write_index(fs, home, {**_read_index(fs, home), "default": word, "next": ""})


def revive(fs: Fs, home: Home, lease_id: str) -> None:
    """The lease has not ended, whatever was said: Slurm has requeued its job, or knows it again."""
    records.mark_alive(fs, home.lease(lease_id))
    index = _read_index(fs, home)
    parts = {name: _part(index, name) for name in ("leases", "allocs")}
    if any(lease_id in part for part in parts.values()):
        rest = {name: {key: value for key, value in part.items() if key != lease_id} for name, part in parts.items()}
        _write_index(fs, home, {**index, **rest})


def choose_once_started(fs: Fs, home: Home, lease_id: str) -> None:
    """Commands that name no lease mean this one as soon as it has started. Raises Newer."""
    _write_index(fs, home, {**_read_index(fs, home), "next": lease_id})


def resolve(fs: Fs, home: Home, word: str, *, news: News | None = None) -> str:
    """The id of the lease that the word stands for: an id, `local`, a name, or the start of an id; none: the default.

    A name or a job's number is its living lease's, else that of the newest lease which had it. `news`: see `chosen`.
    """
    if not word:
        meant = default(fs, home, news=news)
        if not os.environ.get("LEASEQ_LEASE") and meant != local_id() and read_record(fs, home.lease(meant)) is None:
            raise NotFound(
                f"there is no lease {meant} (`leaseq lease use` chose it)",
                hint="--lease local, or `leaseq lease use local`",
            )
        return meant
    if word in (LOCAL, local_id()):
        return local_id()
    exact = read_record(fs, home.lease(word)) if LEASE_ID.fullmatch(word) else None
    if exact is not None and exact.ended is None:
        return word
    held = list_holdings(fs, home)
    known = [each.lease for each in held]
    for matching in (
        [each.lease for each in held if each.lives_as(word)],
        [exact] if exact is not None else [],
        [each.lease for each in held if each.is_called(word)][:1],
        [lease for lease in known if lease.id.startswith(word)],
        [lease for lease in known if lease.id == f"local:{word}"],
    ):
        if len(matching) == 1:
            return matching[0].id
        if matching:
            raise UsageError(
                f"{word!r} is ambiguous: it may be lease {', '.join(lease.id for lease in matching[:6])}",
                hint="type more of the id",
            )
    raise NotFound(f"there is no lease {word!r}", hint="`leaseq lease ls` lists the leases; `local` is this host's own")


def of_job(fs: Fs, home: Home, job: str) -> Lease | None:
    """The living lease that is that Slurm job, if there is one."""
    found = (each for each in list_holdings(fs, home) if each.lease.ended is None)
    return next((each.lease for each in found if any(alloc.job == job for alloc in each.living)), None)


def called(lease: Lease) -> str:
    """The lease as messages call it: its name, with the id behind it, or its id alone."""
    return f"{lease.name} ({lease.id})" if lease.name else lease.id


def part(lease: Lease, alloc: Allocation | None) -> str:
    """The lease, or that job of it, as messages call it."""
    return f"lease {lease.id}" if alloc is None else f"job {alloc.job} of lease {lease.id}"


def living(lease: Lease) -> Lease:
    """The lease, if its record tells of no end; raises Refused."""
    if lease.ended is not None:
        raise Refused(
            f"lease {called(lease)} has ended" + (f": {lease.end_reason}" if lease.end_reason else ""),
            hint="`leaseq lease ls` lists the others; `leaseq lease use local` goes back to this host",
        )
    return lease


def _from_cache(cached: object, lease_id: str) -> Lease | None:
    """The record that the index holds of an ended lease, if it is that lease's."""
    try:
        record = Lease.from_record(cached) if cached is not None else None
    except Malformed:
        return None
    return record if record and record.id == lease_id and record.ended is not None else None


def _read_index(fs: Fs, home: Home) -> dict[str, object]:
    """The index as it is, or an empty one if there is none that can be used; raises Newer."""
    try:
        index = files.json_object(files.content(fs, home.index))
    except Newer as error:
        raise Newer(f"{home.index}: {error}", error.body) from None
    except (FileNotFoundError, NotADirectoryError, Malformed):
        return {}
    chosen = index.get("default") or ""
    usable = isinstance(index.get("leases"), dict) and isinstance(chosen, str)
    return index if usable and (not chosen or LEASE_ID.fullmatch(str(chosen))) else {}


def _part(index: dict[str, object], name: str) -> dict[str, object]:
    part = index.get(name)
    return part if isinstance(part, dict) else {}


def _write_index(fs: Fs, home: Home, index: dict[str, object]) -> None:
    body = {"default": "", "leases": {}, **index, "v": SCHEMA}
    files.replace_file(fs, home.index, json.dumps(body).encode() + b"\n")
