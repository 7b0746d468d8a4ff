"""The names in a lease directory, parsed and made: of tasks, claims, attempts, nodes, requests.

A pending task's file name carries what choosing needs: `ORDER.ID.NEED.ATTEMPT`, and a claim adds the
incarnation of its owner: `ORDER.ID.NEED.ATTEMPT.INCARNATION`. ORDER sorts by priority, then by submission. The NEED of
an array says how many indices it has, that of a chunk of it which one it is, too.
`docs/lease-directory.md` is the specification.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from leaseq.dataclass import dataclass, replace
from leaseq.errors import Malformed, Newer, UsageError
from leaseq.forms import Form
from leaseq.models import ANY, Need
from leaseq.schema import whole

NAME = Form(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
LEASE_ID = Form(r"(local:)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
TASK_ID = Form(r"T[0-9a-hjkmnp-tv-z]{11}")
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no letter that reads as a digit."""
_LETTER_OF = ALPHABET.encode() * 8
"""The letter of each byte."""
BEAT = ".json"
OVER = "_"
"""Before an allocation's id: it has ended."""
CLI = "_cli"
"""The owner of claims made by commands (a pending task being cancelled)."""
EDIT = "_edit"
"""The owner of claims on pending tasks that are being changed."""
ARRAYS = "_array"
"""The owner of the claim on an array of which nothing is left to take: its chunks are its nodes'."""
LOGS_IN_BLOCK = 1000
"""The logs of so many indices of an array share a directory."""
PARSED_MAX = 1024
"""So many names are known parsed: a runner looks at the first of its queue at each turn."""

GROUP_FORM = "[A-Za-z0-9][A-Za-z0-9_-]{0,31}"
GROUP = Form(GROUP_FORM)
"""What a group may be called: no dot is in it, for names are parted at dots."""
ENTRY = Form(
    r"(?P<order>[0-9]{25})\.(?P<id>T[0-9a-hjkmnp-tv-z]{11})\.(?P<need>[a-zA-Z0-9]{1,60})"
    rf"(?:~(?P<group>{GROUP_FORM}))?\.(?P<attempt>[1-9][0-9]{{0,5}})"
    r"(?:\.(?P<owner>[0-9a-z]{10}))?"
)
PENDING = Form(rf"[0-9]{{25}}\.T[0-9a-hjkmnp-tv-z]{{11}}\.[a-zA-Z0-9]{{1,60}}(?:~{GROUP_FORM})?\.[1-9][0-9]{{0,5}}")
"""The form of a pending task's name, whatever its need: one that a later leaseq spells has it too."""
COUNT = "0|[1-9][0-9]{0,8}"
_NEED = Form(
    rf"(?:x|(?=[gcm])(?:g(?P<gpus>{COUNT}|A))?(?:c(?P<cpus>{COUNT}))?(?:m(?P<mem>{COUNT}))?)"
    r"(?:t(?P<time>0|[1-9][0-9]{0,11}))?"
    rf"(?:(?P<grouped>p)?(?P<each>w)?a(?P<count>[1-9][0-9]{{0,9}})(?:k(?P<chunk>{COUNT}))?)?"
    r"(?:e(?P<edited>[1-9][0-9]{0,5}))?"
)
"""One spelling for each need: a runner renames what an entry is called, and would not find it under another."""
_CHUNK = Form(rf"a[0-9]+k[0-9]+(?:~{GROUP_FORM})?\.[0-9]+(?:\.[0-9a-z]{{10}})?$")
_KEY = Form(r"(?P<id>T[0-9a-hjkmnp-tv-z]{11}(?:_(?:0|[1-9][0-9]{0,8}))?)\.(?P<attempt>[1-9][0-9]{0,5})")


def new_task_id() -> str:
    """`T` and 55 random bits in 11 letters; the T keeps it from being read as a number."""
    return "T" + _letters(11)


def new_lease_id() -> str:
    """`L` and 40 random bits in 8 letters: the id of a lease that no job's number can be."""
    return "L" + _letters(8)


def new_incarnation() -> str:
    """50 random bits: one start of one runner, or one command."""
    return _letters(10)


def _letters(count: int) -> str:
    return _random_bytes(count).translate(_LETTER_OF).decode("ascii")


_random_bytes: Callable[[int], bytes] = os.urandom


@contextmanager
def names_drawn_from(random_bytes: Callable[[int], bytes]) -> Iterator[None]:
    """Inside, this process draws new ids and names from that source, so that a simulation can be repeated."""
    global _random_bytes
    before, _random_bytes = _random_bytes, random_bytes
    try:
        yield
    finally:
        _random_bytes = before


def valid_group(name: str, *, what: str) -> str:
    """The name, if a group can be called so; raises UsageError that says what it was for."""
    if not GROUP.fullmatch(name):
        raise UsageError(
            f"{what} {name!r} is not a group's name",
            hint="letters, digits, '_' and '-', starting with a letter or digit, at most 32",
        )
    return name


def valid_name(name: str, *, what: str) -> str:
    """The name, if it can be a file's; raises UsageError that says what it was for."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{what} {name!r} is not a valid name",
            hint="letters, digits, '.', '_' and '-', starting with a letter or digit, at most 128",
        )
    return name


@dataclass(frozen=True)
class Entry:
    """A task's file name, parsed. `owner` is empty while it is pending."""

    order: str
    id: str
    """Of an attempt of an index, which has no file of its own, `ID_INDEX`."""
    need: Need
    attempt: int
    owner: str = ""
    count: int = 0
    """How many indices the array has; 0: it is none."""
    chunk: int | None = None
    """Which chunk, or group of them, of its array it stands for; None: all that nobody has taken yet."""
    group: str = ""
    """What it is limited and paused with; empty: nothing."""
    edited: int = 0
    """How often its task was changed while it was pending: a name stands for one content."""
    each: bool = False
    """True of an array whose indices may have to wait, each for the same index of another: see `edges`."""
    grouped: bool = False
    """True of an array whose chunks may be taken in groups: an older leaseq, which knows of none, leaves it alone."""

    def __str__(self) -> str:
        need = self.need
        code = "x" if need.alone else ""
        if need.gpus is not None:
            code += "gA" if need.gpus < 0 else f"g{need.gpus}"
        if need.cpus is not None:
            code += f"c{need.cpus}"
        if need.mem_mb is not None:
            code += f"m{need.mem_mb}"
        if need.time_seconds is not None:
            code += f"t{need.time_seconds}"
        if self.count:
            code += f"{'p' * self.grouped}{'w' * self.each}a{self.count}"
        if self.chunk is not None:
            code += f"k{self.chunk}"
        if self.edited:
            code += f"e{self.edited}"
        code += f"~{self.group}" if self.group else ""
        return f"{self.order}.{self.id}.{code}.{self.attempt}" + (f".{self.owner}" if self.owner else "")

    @property
    def key(self) -> str:
        """`ID.ATTEMPT`, the name of the attempt everywhere. A chunk is no attempt, and its key is no such name."""
        return f"{self.id}.{self.attempt}" if self.chunk is None else f"{self.id}k{self.chunk}.{self.attempt}"

    def holder(self, node: str) -> str:
        """What this attempt is called where it holds a lane: an index's owner is the incarnation that has begun it."""
        return f"{self.key}.{self.owner}.{node}"

    def chunk_lane(self, node: str) -> str:
        """What the node's claim on this chunk is called where it holds a lane of its array, whichever runner has it."""
        return f"{self.id}_k{self.chunk}.{self.attempt}.any.{node}"

    def pending(self) -> Entry:
        return replace(self, owner="")

    def claimed_by(self, owner: str) -> Entry:
        return replace(self, owner=owner)

    def next_attempt(self) -> Entry:
        return replace(self, owner="", attempt=self.attempt + 1)

    def of_chunk(self, number: int) -> Entry:
        """The entry of that chunk of the array, pending."""
        return replace(self, owner="", chunk=number)

    def of_array(self) -> Entry:
        """The array's own entry, pending, from a chunk's."""
        return replace(self, owner="", chunk=None)

    def of_index(self, index: int, attempt: int) -> Entry:
        """What stands for that attempt of one of the array's indices."""
        return Entry(self.order, f"{self.id}_{index}", self.need, attempt, self.owner, group=self.group)

    @classmethod
    @functools.lru_cache(maxsize=PARSED_MAX)
    def parse(cls, name: str) -> Entry:
        """The entry of that file name; raises Malformed, and Newer if only its need is not understood."""
        match = ENTRY.fullmatch(name)
        if not match:
            raise Malformed(f"not a task file name: {name!r:.160}")
        need, count, chunk, edited, each, grouped = _read_need(match["need"])
        return cls(
            match["order"],
            match["id"],
            need,
            int(match["attempt"]),
            match["owner"] or "",
            count,
            chunk,
            group=match["group"] or "",
            edited=edited,
            each=each,
            grouped=grouped,
        )


@functools.lru_cache(maxsize=PARSED_MAX)
def _read_need(code: str) -> tuple[Need, int, int | None, int, bool, bool]:
    """(what it books, how many indices, which chunk, how often it was changed, whether indices wait, whether its chunks
    have groups) by that part.

    One value for all names that say the same.
    """
    need = _NEED.fullmatch(code)
    if not need:
        raise Newer(f"not a need that this leaseq knows: {code}", {})
    return (
        Need(
            gpus=None if need["gpus"] is None else -1 if need["gpus"] == "A" else int(need["gpus"]),
            cpus=None if need["cpus"] is None else int(need["cpus"]),
            mem_mb=None if need["mem"] is None else int(need["mem"]),
            time_seconds=None if need["time"] is None else int(need["time"]),
        ),
        int(need["count"] or 0),
        None if need["chunk"] is None else int(need["chunk"]),
        int(need["edited"] or 0),
        need["each"] is not None,
        need["grouped"] is not None,
    )


def with_priority(order: str, priority: int) -> str:
    """The order of the same submission with another priority."""
    return f"{500 - priority:03d}{order[3:]}"


def order(*, priority: int, micros: int, sequence: int) -> str:
    """25 digits that sort by priority (high first, -499..499), time of submission, place in the batch."""
    return f"{500 - priority:03d}{micros:016d}{sequence:06d}"


def is_node(name: str) -> bool:
    """True if the name can be a node's."""
    return NAME.fullmatch(name) is not None


def node_part(name: str) -> str:
    """The name, if a path may be made of it: a node's, or one of the two that stand for none."""
    if name not in (ANY, CLI, EDIT, ARRAYS) and not is_node(name):
        raise Malformed(f"not a node's name: {name!r:.160}")
    return name


def is_key(name: str) -> bool:
    """True if the name is an attempt's: `ID.ATTEMPT`, or of an index `ID_INDEX.ATTEMPT`."""
    return _KEY.fullmatch(name) is not None


def parse_key(name: str) -> tuple[str, int]:
    """(task id, attempt) of an attempt's key, which is its outcome's file name too; raises Malformed.

    Of an attempt of an index the id is `ID_INDEX`.
    """
    match = _KEY.fullmatch(name)
    if not match:
        raise Malformed(f"not the key of an attempt: {name!r:.160}")
    return match["id"], int(match["attempt"])


def parse_id(task_id: str) -> tuple[str, int | None]:
    """(the task's id, the index) of an id that may be an index's, `ID_INDEX`."""
    task, _, index = task_id.partition("_")
    return task, whole(index) if index else None


# -- what a name says that nobody parses: of thousands, and of those whose need a later leaseq spells -----------------


def task_of(name: str) -> str:
    """The task's id in a task file's name that has the form `PENDING`."""
    return name[26:38]


def is_chunk(name: str) -> bool:
    """True if such a name is that of a part of an array."""
    return "k" in name[39:] and _CHUNK.search(name) is not None


def is_each(name: str) -> bool:
    """True if such a name is an array's whose indices may wait one by one; seldom of another's, by its group."""
    return "wa" in name[39:].partition(".")[0]


def attempt_of(name: str) -> int:
    """The attempt in such a name, or in a claim's."""
    return int(name.split(".")[3])


def group_of(name: str) -> str:
    """The group in such a name; empty if it is of none."""
    return name[39:].partition(".")[0].partition("~")[2]


def need_of(name: str) -> str:
    """What such a name says between id and attempt: it changes with each edit, and no content does without it."""
    return name[39:].partition(".")[0]


def priority_of(name: str) -> str:
    """How such a name begins: names of one priority have it alike, and those of a higher one sort first."""
    return name[:3]


def submission_of(order: str) -> int:
    """A number that grows with the order of submission, whatever the priority, from an order or such a name."""
    return int(order[3:25])


def submitted_at(order: str) -> float:
    """The time of submission, in seconds since the epoch, from an order or such a name."""
    return int(order[3:19]) / 1e6


def of_submission(seconds: float) -> int:
    """What `submission_of` gives for a first task submitted then."""
    return int(seconds * 1e6) * 10**6


def ids_in(names: Iterable[str]) -> set[str]:
    """The ids in those of the names that may be task files', or begin with an id as `ID.N`."""
    found: set[str] = set()
    for name in names:
        parts = name.split(".")
        found.update(part for part in (parts[0], parts[1] if len(parts) > 3 else "") if TASK_ID.fullmatch(part))
    return found


def beating(names: Iterable[str]) -> list[str]:
    """The nodes that have a heartbeat among the names in hb/."""
    return [name[: -len(BEAT)] for name in names if name.endswith(BEAT) and is_node(name[: -len(BEAT)])]


def histories_in(names: Iterable[str]) -> list[tuple[str, int]]:
    """(node, term) of each history among the names in events/, the earlier ones of a node first."""
    found = []
    for name in names:
        node, _, last = name.rpartition(".")
        term = 0 if last == "jsonl" else whole(last)
        if is_node(node) and term is not None and name == history_name(node, term):
            found.append((node, term))
    return sorted(found)


def history_name(node: str, term: int) -> str:
    """The name of the node's history, or of the one that the runner of that term began; see `LeaseDir.events`."""
    return f"{node}.{term or 'jsonl'}"


def allocations_in(names: Iterable[str]) -> tuple[list[str], set[str]]:
    """(the ids of allocations, those that have ended) among the names in allocs/."""
    listed = list(names)
    return [name for name in listed if is_node(name)], {name[1:] for name in listed if name.startswith(OVER)}


def terms_in(names: Iterable[str]) -> list[tuple[str, int]]:
    """(node, number) of each term among the names in hb/."""
    found = (name.rpartition(".") for name in names)
    return [(node, number) for node, _, digits in found if is_node(node) and (number := whole(digits))]


def parse_request(name: str) -> tuple[str, str]:
    """(verb, the attempt's key or nothing) of a request's file name: `VERB[.ID.ATTEMPT].TOKEN`; raises Malformed."""
    verb, _, rest = name.partition(".")
    key = rest.rpartition(".")[0]
    if key and not is_key(key):
        raise Malformed(f"not the key of an attempt: {key!r:.160}")
    return verb, key
