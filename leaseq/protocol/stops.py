"""What is to end of an array before its time, as files in its directory: see `arrays`."""

from __future__ import annotations

from contextlib import suppress

from leaseq.array_names import ArrayNames
from leaseq.dataclass import dataclass
from leaseq.errors import Malformed
from leaseq.indices import Indices
from leaseq.layout import ArrayDir
from leaseq.models import State
from leaseq.protocol import files
from leaseq.schema import flag, text
from leaseq.world import Fs


@dataclass(frozen=True)
class Stop:
    """What is to end of an array, and why."""

    indices: Indices | None
    """None: all of them."""
    reason: str
    running: bool = True
    """False: what runs may end by itself."""
    state: State = State.CANCELLED
    """How those ended that have no line of their own."""


def read_stops(fs: Fs, array: ArrayDir, names: ArrayNames) -> list[Stop]:
    """What is to end, in the order of names; a file that says nothing that can be understood ends nothing."""
    found = []
    for name in names.stops:
        with suppress(FileNotFoundError, Malformed):
            body = files.json_object(files.content(fs, array.stop(name)))
            said = text(body.get("indices"))
            indices = Indices.parse(said) if said else None
            ended = State.__members__.get(text(body.get("state", "")), State.CANCELLED)
            found.append(Stop(indices, text(body.get("reason", "")), flag(body.get("running", True)), ended))
    return found
