"""A window: indices of an array that a keeper runs by itself, one after the other, and what became of them.

Of indices that take milliseconds each costs more to ask for, and to tell of, than it runs. So a runner asks for many at
once, by one file in `ask/`, and the keeper tells of them in one, `rec/wINCARNATION.N`: JSON lines, each appended when
it was known.

    {"e":"window", "boot":B, "keys":[KEY], "gpus":[T], "slot":N, "limit":S, "grace":S}   the keeper has it
    {"k":P, "e":"next"}     the one at place P may run from here on: its process is about to be started
    {"k":P, "e":"spawn", ...}  `exit`, `fail`: as in an attempt's own record, see `record`
    {"k":P, "e":"own"}      it has an own record by now, which says all that follows
    {"e":"over"}            nothing more of it begins: what has no `next` by now has never begun
    {"e":"void"}            the keeper never had it, and never will

The file is created with O_EXCL: the process that creates it decides whether anything of the window begins. A window
ends by itself as soon as one of its indices is not over within `MOMENT_SECONDS`, leaves something behind, or ends as
Slurm may have ended it: that one goes on as an attempt with a record of its own, and what has not begun is the runner's
again. So nothing that was asked for waits behind one that takes long, and nobody has to take a window back. A keeper
that finds a window of a dead one ends it so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Malformed
from leaseq.forms import Form
from leaseq.names import is_key
from leaseq.node import record
from leaseq.node.record import Rec
from leaseq.node.request import StartRequest
from leaseq.schema import integer, json_lines, mapping, several, text

MOMENT_SECONDS = 0.1
"""How long an index may take in a window."""
PLACES_MAX = 128
"""So many may be in one, so that its record is read at once."""
READ_BYTES = 1 << 17
_NAME = Form(r"w[0-9a-z]{10}\.[0-9]{1,12}")


def is_window(name: str) -> bool:
    """True if the name is that of a window's record."""
    return _NAME.fullmatch(name) is not None


def windows_in(directory: str) -> list[str]:
    """The windows that have a record in the directory."""
    return [name for name in os.listdir(directory) if is_window(name)]


# -- what is asked for ---------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """What one index of a window has of its own."""

    key: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    out: str
    err: str


@dataclass(frozen=True)
class WindowRequest:
    """Attempts of indices of one array that are to run one after the other, all with the same room."""

    common: StartRequest
    """What they have in common: its argv and its logs mean nothing."""
    places: Sequence[Place]

    def at(self, place: int) -> StartRequest:
        """What is to be started for that one."""
        own = self.places[place]
        return replace(self.common, argv=own.argv, env={**self.common.env, **own.env}, out=own.out, err=own.err)

    def to_json(self) -> dict[str, Any]:
        """As an object of JSON."""
        return {**self.common.to_json(), "places": self.places}

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> WindowRequest:
        """The request in that object; raises Malformed."""
        places = body.get("places")
        if not isinstance(places, list) or not 0 < len(places) <= PLACES_MAX:
            raise Malformed("the window has no places")
        found = []
        for each in places:
            if not isinstance(each, list) or len(each) != 5 or not is_key(text(each[0])):
                raise Malformed(f"not a place of a window: {each!r:.60}")
            own = Place(each[0], several(text)(each[1]), mapping(text)(each[2]), text(each[3]), text(each[4]))
            found.append(own)
        return cls(StartRequest.from_json(body), found)

    def first_fact(self, boot: str) -> dict[str, object]:
        """The line with which its record begins."""
        return {**self.own_fact(boot), "e": "window", "keys": [each.key for each in self.places]}

    def own_fact(self, boot: str) -> dict[str, object]:
        """The line with which the own record of one of its attempts begins."""
        asked = self.common
        return _begins(boot, asked.gpus, asked.slot, asked.limit, asked.grace)


def _begins(
    boot: str, gpus: Sequence[str], slot: int | None, limit: float | None, grace: float | None
) -> dict[str, object]:
    return {"e": "begin", "boot": boot, "gpus": gpus, "slot": slot, "limit": limit, "grace": grace}


# -- what became of them ---------------------------------------------------------------------------------------------


@dataclass
class Window:
    """What is known of a window so far."""

    keys: tuple[str, ...] = ()
    first: dict[str, Any] = field(default_factory=dict)
    """What its attempts have in common, as fields of a record."""
    begun: dict[int, dict[str, Any]] = field(default_factory=dict)
    """By place, what is known of those that have begun, as fields of a record."""
    own: set[int] = field(default_factory=set)
    """The places of those that have a record of their own."""
    over: bool = False
    """True if nothing more of it begins."""

    @property
    def boot(self) -> str:
        return str(self.first.get("boot", ""))

    @property
    def current(self) -> int | None:
        """The place of the one whose end is to be told here and is not known."""
        place = max(self.begun, default=None)
        return None if place is None or place in self.own or self.rec(place).over else place

    def own_facts(self, place: int) -> list[dict[str, object]]:
        """The lines with which the own record of the one at that place begins."""
        rec = self.rec(place)
        facts: list[dict[str, object]] = [_begins(rec.boot, rec.gpus, rec.slot, rec.limit_seconds, rec.grace_seconds)]
        if rec.pid is not None:
            spawned = {"pid": rec.pid, "start": rec.pid_start, "t": rec.started, "m": rec.started_monotonic}
            facts.append({"e": "spawn", **spawned})
        return facts

    def rec(self, place: int) -> Rec:
        """What is known of the attempt at that place.

        One that has not begun and never will is void; one that may yet begin is as one whose process is not known.
        """
        if place in self.begun:
            return Rec(**self.first, **self.begun[place])
        return Rec(**self.first, void=self.over)


def parse(data: bytes) -> Window:
    """The window in those lines; a torn or foreign line is passed over."""
    found = Window()
    for fact in json_lines(data):
        try:
            _learn(found, fact)
        except (ValueError, KeyError, TypeError, OverflowError):
            continue
    return found


def _learn(found: Window, fact: dict[str, Any]) -> None:
    kind = fact["e"]
    if "k" not in fact:
        if kind == "window":
            found.keys = several(text)(fact["keys"])
            found.first = record.fields({**fact, "e": "begin"}, {})
        found.over = found.over or kind in ("over", "void")
        return
    place = integer(fact["k"])
    known = found.begun.setdefault(place, {})
    if kind == "own":
        found.own.add(place)
    elif kind != "next":
        known.update(record.fields(fact, known))


def read(path: str) -> Window | None:
    """The window whose record is at the path; None if there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, IsADirectoryError):
        return None
    try:
        return parse(os.read(fd, READ_BYTES))
    finally:
        os.close(fd)


def is_done(path: str) -> bool:
    """True if nothing of the window whose record is at the path begins any more, and nothing of it goes on alone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, IsADirectoryError):
        return False
    try:
        said = os.read(fd, READ_BYTES)
    finally:
        os.close(fd)
    # No text in it has these bytes: there a quotation mark is escaped.
    return said.endswith(OVER) and b'"e":"own"' not in said


def failure(fd: int, place: int) -> dict[str, object] | None:
    """What the process at that place has said in the record: why it could not start; None if nothing."""
    for line in os.pread(fd, READ_BYTES, 0).split(b"\n"):
        try:
            fact = json.loads(line)
            if fact["e"] == "fail" and fact["k"] == place:
                return {name: value for name, value in fact.items() if name != "k"}
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return None


def at(place: int, fact: Mapping[str, object]) -> bytes:
    """The line that says so of the attempt at that place."""
    return record.line({"k": place, **fact})


OVER = record.line({"e": "over"})
