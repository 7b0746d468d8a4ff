"""The names in an array's directory, parsed: see protocol/arrays.py."""

from __future__ import annotations

from collections.abc import Iterable

from leaseq.dataclass import dataclass, field
from leaseq.forms import Form
from leaseq.names import CLI, COUNT, is_node

_IN_ARRAY = Form(rf"(?P<kind>[ce])\.(?P<number>{COUNT})|(?P<taken>[hs])\.(?P<chunk>{COUNT})\.(?P<owner>[0-9a-z]{{10}})")
_JOURNAL = Form(r"o\.(?P<node>.{1,128})\.(?P<owner>[0-9a-z]{10})")
_STOP = Form(r"x\.[0-9a-z]{10}")
_AGAIN = Form(r"r\.(?P<up>T[0-9a-hjkmnp-tv-z]{11})")


@dataclass
class ArrayNames:
    """What the names in an array's directory say."""

    taken: set[int] = field(default_factory=set)
    """The chunks that are no longer to be taken from the array."""
    ended: set[int] = field(default_factory=set)
    handed: set[tuple[int, str]] = field(default_factory=set)
    """(chunk, incarnation) of each that was taken away from whoever had it."""
    cut: set[tuple[int, str]] = field(default_factory=set)
    """Those of them of which it is fixed how much of their journal counts."""
    journals: list[tuple[str, str]] = field(default_factory=list)
    """(node, incarnation) of each that has a journal of the array."""
    stops: list[str] = field(default_factory=list)
    """The names of the files that end indices."""
    again: list[str] = field(default_factory=list)
    """The arrays that were retried as this one went on, whose indices its own had waited for."""
    throttled: bool = False
    """True if a command has said how many may run at once."""
    over: bool = False
    """True if the array has ended, and what its chunks left is swept together."""

    @classmethod
    def parse(cls, names: Iterable[str]) -> ArrayNames:
        found = cls()
        for name in names:
            if match := _IN_ARRAY.fullmatch(name):
                if match["number"]:
                    (found.taken if match["kind"] == "c" else found.ended).add(int(match["number"]))
                else:
                    whose = int(match["chunk"]), match["owner"]
                    (found.handed if match["taken"] == "h" else found.cut).add(whose)
            elif (match := _JOURNAL.fullmatch(name)) and (match["node"] == CLI or is_node(match["node"])):
                found.journals.append((match["node"], match["owner"]))
            elif _STOP.fullmatch(name):
                found.stops.append(name)
            elif match := _AGAIN.fullmatch(name):
                found.again.append(match["up"])
            found.over = found.over or name == "index"
            found.throttled = found.throttled or name == "throttle"
        found.journals.sort()
        found.stops.sort()
        return found
