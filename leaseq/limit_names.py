"""The names of lanes and of groups' limits, parsed and made: see protocol/lanes.py and protocol/groups.py."""

from __future__ import annotations

from leaseq.dataclass import dataclass, replace
from leaseq.errors import Malformed, Newer
from leaseq.forms import Form
from leaseq.names import ENTRY, GROUP_FORM, Entry, is_node

_LANE = Form(
    r"(?P<number>[1-9][0-9]{0,5})(?:\.(?P<generation>[1-9][0-9]{0,11})(?:\.(?P<holder>[A-Za-z0-9][A-Za-z0-9._-]{0,199}))?)?"
)
_TOKEN = Form(r"[0-9a-z]{10}")


@dataclass(frozen=True)
class Lane:
    """One of several places of a limit, and who has it."""

    number: int
    generation: int = 0
    """How often it has been free; 0: it was made, and its token is not out."""
    holder: str = ""
    """The attempt that has it, and whose: `ID.ATTEMPT.INCARNATION.NODE`; empty while it is free."""

    def __str__(self) -> str:
        parts = [str(self.number), str(self.generation) if self.generation else "", self.holder]
        return ".".join(filter(None, parts))

    def taken_by(self, holder: str) -> Lane:
        return replace(self, holder=holder)

    def renewed(self) -> Lane:
        return replace(self, generation=self.generation + 1)

    def freed(self) -> Lane:
        return Lane(self.number, self.generation + 1)

    @classmethod
    def parse(cls, name: str) -> Lane:
        """The lane of that file name; raises Malformed."""
        match = _LANE.fullmatch(name)
        if not match:
            raise Malformed(f"not a lane: {name!r:.160}")
        return cls(int(match["number"]), int(match["generation"] or 0), match["holder"] or "")


def holders_of(name: str, node: str) -> list[str]:
    """What the node's claim of that name is called where it holds a lane, whatever it needs; empty if it is none.

    Of a chunk there is besides what stands for all that has begun of its array on the node.
    """
    match = ENTRY.fullmatch(name)
    if not match or not match["owner"]:
        return []
    try:
        entry = Entry.parse(name)
    except Newer:
        return [f"{match['id']}.{match['attempt']}.{match['owner']}.{node}"]
    return [entry.holder(node)] if entry.chunk is None else [entry.chunk_lane(node), chunks_of(entry.id, node)]


def chunks_of(array: str, node: str) -> str:
    """What stands for the node's claims on chunks of that array: a later runner has them under another incarnation."""
    return f"{array}k.{node}"


def holder_parts(holder: str) -> tuple[str, str, str]:
    """(the attempt's key, whose claim it is, the node) of who holds a lane; raises Malformed."""
    task, attempt, owner, node = [*holder.split(".", 3), "", "", ""][:4]
    if not is_node(node):
        raise Malformed(f"no claim holds a lane as {holder!r:.160}")
    return f"{task}.{attempt}", owner, node


_LIMIT = Form(rf"(?P<group>{GROUP_FORM}|_all)\.(?:paused|parallel\.(?P<most>[1-9][0-9]{{0,5}}))")
ALL_GROUPS = "_all"
"""What stands for the whole lease where a group is paused."""


def pause_name(group: str) -> str:
    """The file in groups/ that says that nothing of the group starts."""
    return f"{group}.paused"


def parallel_name(group: str, most: int) -> str:
    """The file in groups/ that says how many of the group may run at once."""
    return f"{group}.parallel.{most}"


def parse_limit(name: str) -> tuple[str, int | None]:
    """(group, how many of it may run at once; None: it is paused) by a name in groups/; raises Malformed."""
    match = _LIMIT.fullmatch(name)
    if not match:
        raise Malformed(f"not a group's limit: {name!r:.160}")
    return match["group"], int(match["most"]) if match["most"] else None


def is_token(name: str) -> bool:
    """True if a lane's token may have had that name before anybody took the lane."""
    return _TOKEN.fullmatch(name) is not None
