"""What a pending task waits for, as a word of a record and as the name of a file in edges/: parsed and made here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from leaseq.errors import Malformed
from leaseq.forms import Form
from leaseq.models import State
from leaseq.names import LEASE_ID

_UP = r"(?P<up>T[0-9a-hjkmnp-tv-z]{11}(?:_(?:0|[1-9][0-9]{0,8}))?|[0-9]{1,12})\.(?P<attempt>[1-9][0-9]{0,5})"
_LEASE = r"(?P<lease>(?:local:)?[A-Za-z0-9][A-Za-z0-9._-]{0,127})"
_EDGE = Form(rf"{_UP}\.(?P<kind>[a-z]{{1,12}})\.(?P<down>T[0-9a-hjkmnp-tv-z]{{11}}\.[1-9][0-9]{{0,5}})\.{_LEASE}")
_WORD = Form(rf"(?P<kind>[a-z]{{1,12}}):{_UP}@{_LEASE}")
POINTER = "@"


class Upstream(NamedTuple):
    """What a task waits for: that another one ends so, or a time.

    As a word of a record: `KIND:ID.ATTEMPT@LEASE`.
    """

    kind: str
    id: str
    """A task's, with its index if it is one of an array; or, if a time is waited for, its seconds since the epoch."""
    attempt: int
    """The attempt from which on its end is looked for; of an index, the attempt of its array in which it was last."""
    lease: str
    """Where it is looked for."""

    def __str__(self) -> str:
        return f"{self.word}.{self.attempt}@{self.lease}"

    @property
    def word(self) -> str:
        """As a person says it: `ok:T3k9`."""
        return f"{self.kind}:{self.id}"

    @property
    def task(self) -> str:
        """The id of the task, or of the array that the index is of."""
        return self.id.partition("_")[0]

    @property
    def number(self) -> int | None:
        """Which index of the array is waited for; None: all of the task."""
        number = self.id.partition("_")[2]
        return int(number) if number else None

    @classmethod
    def parse(cls, word: str) -> Upstream:
        match = _WORD.fullmatch(word)
        if not match:
            raise Malformed(f"nothing that a task can wait for: {word!r:.160}")
        return cls(match["kind"], match["up"], int(match["attempt"]), match["lease"])


class Standing(NamedTuple):
    """How a task or an index ended for good. LOST: nobody knows how, and no other attempt has ended since."""

    state: State
    attempt: int
    """The last one of the task; of an index, that of its array in which it was last."""
    ended: float
    is_array: bool = False


class Edge(NamedTuple):
    """The name of the file that says of an attempt, `ID.ATTEMPT`, that it waits: `UP.ATTEMPT.KIND.DOWN.LEASE`."""

    up: Upstream
    down: str

    def __str__(self) -> str:
        return f"{self.up.id}.{self.up.attempt}.{self.up.kind}.{self.down}.{self.up.lease}"


def edges_in(names: Iterable[str]) -> list[Edge]:
    """The edges among the names in edges/."""
    matches = filter(None, map(_EDGE.fullmatch, names))
    return [
        Edge(Upstream(each["kind"], each["up"], int(each["attempt"]), each["lease"]), each["down"]) for each in matches
    ]


def pointed_at(names: Iterable[str]) -> list[str]:
    """The leases that names in edges/ point at."""
    return [name[1:] for name in names if name[0] == POINTER and LEASE_ID.fullmatch(name[1:])]
