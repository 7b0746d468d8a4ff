"""What a runner asks its keeper to start: the content of `ask/start-KEY`, written by one and read by the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leaseq.dataclass import dataclass
from leaseq.errors import Malformed
from leaseq.schema import flag, integer, mapping, maybe, number, several, text


@dataclass(frozen=True)
class StartRequest:
    """One attempt's process, and what the keeper has to know to start and to end it."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    """Its whole environment."""
    cwd: str
    umask: int
    out: str
    err: str
    """The files of its output."""
    remote: bool
    """True if a path of it may hang."""
    limit: float | None
    """Seconds that it may run."""
    grace: float
    """Seconds between TERM and KILL."""
    gpus: tuple[str, ...]
    """The tokens of the GPUs that it was given."""
    slot: int | None = None
    """A number that no other attempt on the node has meanwhile; an older leaseq says none."""

    def to_json(self) -> dict[str, Any]:
        """As an object of JSON."""
        return {name: getattr(self, name) for name in _FIELDS}

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> StartRequest:
        """The request in that object; raises Malformed, which says what is missing or wrong."""
        found: dict[str, Any] = {}
        for name, convert in _FIELDS.items():
            if name not in body and name != "slot":
                raise Malformed(f"the request lacks {name!r}")
            try:
                found[name] = convert(body.get(name))
            except Malformed as error:
                raise Malformed(f"{name} of the request is {error}") from None
        return cls(**found)


_FIELDS = {
    "argv": several(text),
    "env": mapping(text),
    "cwd": text,
    "umask": integer,
    "out": text,
    "err": text,
    "remote": flag,
    "limit": maybe(number),
    "grace": number,
    "gpus": several(text),
    "slot": maybe(integer),
}
