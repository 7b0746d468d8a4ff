"""The only file that knows the names in a lease directory.

A pending task's file name carries what choosing needs: `ORDER.ID.NEED.ATTEMPT`, and a claim adds the
incarnation of its owner: `ORDER.ID.NEED.ATTEMPT.INCARNATION`. ORDER sorts by priority, then by submission.
`docs/lease-directory.md` is the specification.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from leaseq.errors import Malformed, Newer, UsageError
from leaseq.models import ANY, Need, whole

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
LEASE_ID = re.compile(r"(local:)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
TASK_ID = re.compile(r"T[0-9a-hjkmnp-tv-z]{11}")
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no letter that reads as a digit."""
_BEAT = ".json"
CLI = "_cli"
"""The owner of claims made by commands (a pending task being cancelled)."""

_ENTRY = re.compile(
    r"(?P<order>[0-9]{25})\.(?P<id>T[0-9a-hjkmnp-tv-z]{11})\.(?P<need>[a-zA-Z0-9]{1,60})\.(?P<attempt>[1-9][0-9]{0,5})"
    r"(?:\.(?P<owner>[0-9a-z]{10}))?"
)
PENDING = re.compile(r"[0-9]{25}\.T[0-9a-hjkmnp-tv-z]{11}\.[a-zA-Z0-9]{1,60}\.[1-9][0-9]{0,5}")
"""The form of a pending task's name, whatever its need: one that a later leaseq spells has it too."""
_COUNT = "0|[1-9][0-9]{0,8}"
_NEED = re.compile(
    rf"(?:x|(?=[gcm])(?:g(?P<gpus>{_COUNT}|A))?(?:c(?P<cpus>{_COUNT}))?(?:m(?P<mem>{_COUNT}))?)"
    r"(?:t(?P<time>0|[1-9][0-9]{0,11}))?"
)
"""One spelling for each need: a runner renames what an entry is called, and would not find it under another."""
_KEY = re.compile(r"(?P<id>T[0-9a-hjkmnp-tv-z]{11})\.(?P<attempt>[1-9][0-9]{0,5})")


def new_task_id() -> str:
    """`T` and 55 random bits in 11 letters; the T keeps it from being read as a number."""
    return "T" + _letters(11)


def new_incarnation() -> str:
    """50 random bits: one start of one runner, or one command."""
    return _letters(10)


def _letters(count: int) -> str:
    return "".join(ALPHABET[byte & 31] for byte in _random_bytes(count))


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
    need: Need
    attempt: int
    owner: str = ""

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
        return f"{self.order}.{self.id}.{code}.{self.attempt}" + (f".{self.owner}" if self.owner else "")

    @property
    def key(self) -> str:
        """`ID.ATTEMPT`, the name of the attempt everywhere."""
        return f"{self.id}.{self.attempt}"

    def pending(self) -> Entry:
        return replace(self, owner="")

    def claimed_by(self, owner: str) -> Entry:
        return replace(self, owner=owner)

    def next_attempt(self) -> Entry:
        return replace(self, owner="", attempt=self.attempt + 1)

    @classmethod
    def parse(cls, name: str) -> Entry:
        """The entry of that file name; raises Malformed, and Newer where only its need is not understood."""
        match = _ENTRY.fullmatch(name)
        if not match:
            raise Malformed(f"not a task file name: {name!r:.160}")
        need = _NEED.fullmatch(match["need"])
        if not need:
            raise Newer(f"not a need that this leaseq knows: {match['need']}", {})
        return cls(
            match["order"],
            match["id"],
            Need(
                gpus=None if need["gpus"] is None else -1 if need["gpus"] == "A" else int(need["gpus"]),
                cpus=None if need["cpus"] is None else int(need["cpus"]),
                mem_mb=None if need["mem"] is None else int(need["mem"]),
                time_seconds=None if need["time"] is None else int(need["time"]),
            ),
            int(match["attempt"]),
            match["owner"] or "",
        )


def order(*, priority: int, micros: int, sequence: int) -> str:
    """25 digits that sort by priority (high first, -499..499), time of submission, place in the batch."""
    return f"{500 - priority:03d}{micros:016d}{sequence:06d}"


def is_node(name: str) -> bool:
    """True where the name can be a node's."""
    return NAME.fullmatch(name) is not None


def _node(name: str) -> str:
    """The name, if a path may be made of it: a node's, or one of the two that stand for none."""
    if name not in (ANY, CLI) and not is_node(name):
        raise Malformed(f"not a node's name: {name!r:.160}")
    return name


def is_key(name: str) -> bool:
    """True if the name is an attempt's: `ID.ATTEMPT`."""
    return _KEY.fullmatch(name) is not None


def parse_key(name: str) -> tuple[str, int]:
    """(task id, attempt) of an attempt's key, which is its outcome's file name too; raises Malformed."""
    match = _KEY.fullmatch(name)
    if not match:
        raise Malformed(f"not the key of an attempt: {name!r:.160}")
    return match["id"], int(match["attempt"])


# -- what a name says that nobody parses: of thousands, and of those whose need a later leaseq spells -----------------


def task_of(name: str) -> str:
    """The task's id in a task file's name that has the form `PENDING`."""
    return name[26:38]


def attempt_of(name: str) -> int:
    """The attempt in such a name, or in a claim's."""
    return int(name.split(".")[3])


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
    return [name[: -len(_BEAT)] for name in names if name.endswith(_BEAT) and is_node(name[: -len(_BEAT)])]


def terms_in(names: Iterable[str]) -> list[tuple[str, int]]:
    """(node, number) of each term among the names in hb/."""
    found = (name.rpartition(".") for name in names)
    return [(node, number) for node, _, digits in found if is_node(node) and (number := whole(digits))]


# -- lanes: see protocol/lanes.py --------------------------------------------------------------------------------------

_LANE = re.compile(
    r"(?P<number>[1-9][0-9]{0,5})(?:\.(?P<generation>[1-9][0-9]{0,11})(?:\.(?P<holder>[A-Za-z0-9][A-Za-z0-9._-]{0,199}))?)?"
)
_TOKEN = re.compile(r"[0-9a-z]{10}")


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

    def freed(self) -> Lane:
        return Lane(self.number, self.generation + 1)

    @classmethod
    def parse(cls, name: str) -> Lane:
        """The lane of that file name; raises Malformed."""
        match = _LANE.fullmatch(name)
        if not match:
            raise Malformed(f"not a lane: {name!r:.160}")
        return cls(int(match["number"]), int(match["generation"] or 0), match["holder"] or "")


def is_token(name: str) -> bool:
    """True if a lane's token may have had that name before anybody took the lane."""
    return _TOKEN.fullmatch(name) is not None


def parse_request(name: str) -> tuple[str, str]:
    """(verb, the attempt's key or nothing) of a request's file name: `VERB[.ID.ATTEMPT].TOKEN`; raises Malformed."""
    verb, _, rest = name.partition(".")
    key = rest.rpartition(".")[0]
    if key and not is_key(key):
        raise Malformed(f"not the key of an attempt: {key!r:.160}")
    return verb, key


@dataclass(frozen=True)
class Home:
    """Paths of one LEASEQ_HOME."""

    root: str

    @property
    def runs(self) -> str:
        return f"{self.root}/runs"

    @property
    def index(self) -> str:
        return f"{self.root}/index.json"

    @property
    def config(self) -> str:
        return f"{self.root}/config.yaml"

    @property
    def cache(self) -> str:
        """Where answers of Slurm are kept for all commands of this user."""
        return f"{self.root}/cache"

    @property
    def scripts(self) -> str:
        """Lease scripts that were handed to Slurm and whose lease has no record yet."""
        return f"{self.root}/scripts"

    @property
    def templates(self) -> str:
        """The user's own templates, found before the packaged ones."""
        return f"{self.root}/templates"

    def lease(self, lease_id: str) -> LeaseDir:
        if not LEASE_ID.fullmatch(lease_id):
            raise UsageError(f"{lease_id!r} is not a lease id", hint="`leaseq lease ls` lists the leases")
        return LeaseDir(lease_id, f"{self.runs}/{lease_id}")


@dataclass(frozen=True)
class AllocDir:
    """Paths of what gives a lease its nodes, and of what its script says."""

    id: str
    root: str

    @property
    def notes(self) -> str:
        """One file per node that has no runner, saying why; written by the lease script."""
        return f"{self.root}/note"

    @property
    def ends(self) -> str:
        """The seconds left to the allocation, as of the moment the file was written; by the lease script."""
        return f"{self.root}/ends"

    @property
    def released(self) -> str:
        """There once Slurm has been told by leaseq to end it."""
        return f"{self.root}/released"

    @property
    def told_to_end(self) -> str:
        """What the lease script wrote when Slurm told it to end: how long it had left."""
        return f"{self.root}/told-to-end"

    @property
    def node_names(self) -> str:
        """Its nodes, one per line, in Slurm's order; by the lease script when it starts."""
        return f"{self.root}/nodes"

    @property
    def script_log(self) -> str:
        """What the lease script and its runners had to say."""
        return f"{self.root}/slurm.log"

    @property
    def script(self) -> str:
        """The script as Slurm was given it."""
        return f"{self.root}/lease.sh"


@dataclass(frozen=True)
class LeaseDir:
    """Paths of one lease. Of a node's name that can be none no path is made: Malformed."""

    id: str
    root: str

    @property
    def record(self) -> str:
        return f"{self.root}/lease.json"

    @property
    def inboxes(self) -> str:
        return f"{self.root}/inbox"

    @property
    def helds(self) -> str:
        return f"{self.root}/held"

    @property
    def claims(self) -> str:
        return f"{self.root}/claimed"

    @property
    def booking(self) -> str:
        """Outcomes decided by commands that no runner has yet put into its history."""
        return f"{self.root}/booking"

    @property
    def lost(self) -> str:
        """Task files of LOST attempts, kept whole so that `recover` can requeue them."""
        return f"{self.root}/lost"

    @property
    def evidence(self) -> str:
        return f"{self.root}/evidence"

    @property
    def heartbeats(self) -> str:
        return f"{self.root}/hb"

    @property
    def controls(self) -> str:
        return f"{self.root}/control"

    @property
    def events_dir(self) -> str:
        return f"{self.root}/events"

    @property
    def keys(self) -> str:
        """One file per `submit --key`, holding the id that key stands for."""
        return f"{self.root}/keys"

    @property
    def redone(self) -> str:
        """One file per `redo`, holding the id of the task that it made."""
        return f"{self.root}/redone"

    @property
    def all_lanes(self) -> str:
        """One directory for each limit that there is, or was: made by whoever needs its first lane."""
        return f"{self.root}/lanes"

    def lanes(self, name: str) -> str:
        """The lanes of what has that name."""
        return f"{self.all_lanes}/{name}"

    @property
    def own(self) -> AllocDir:
        """The allocation that the lease's own record tells of: its files are in the lease's directory."""
        return AllocDir(self.id, self.root)

    @property
    def logs(self) -> str:
        return f"{self.root}/logs"

    def inbox(self, node: str) -> str:
        return f"{self.root}/inbox/{_node(node)}"

    def held(self, node: str) -> str:
        return f"{self.root}/held/{_node(node)}"

    def claimed(self, owner: str) -> str:
        return f"{self.root}/claimed/{_node(owner)}"

    def control(self, node: str) -> str:
        return f"{self.root}/control/{_node(node)}"

    def heartbeat(self, node: str) -> str:
        return f"{self.root}/hb/{_node(node)}{_BEAT}"

    def term(self, node: str, number: int) -> str:
        """The first word of the runner that serves the node in that term."""
        return f"{self.root}/hb/{_node(node)}.{number}"

    def events(self, node: str) -> str:
        return f"{self.root}/events/{_node(node)}.jsonl"

    def done(self, task_id: str) -> str:
        """The directory of that task's outcomes: one of 32, by the first letter of the id."""
        return f"{self.root}/done/{task_id[1]}"

    def outcome(self, task_id: str, attempt: int) -> str:
        return f"{self.done(task_id)}/{task_id}.{attempt}"

    def log_dir(self, task_id: str) -> str:
        return f"{self.logs}/{task_id[1]}"

    def log(self, task_id: str, attempt: int, stream: str) -> str:
        """The log file of one attempt; stream is `out` or `err`."""
        return f"{self.log_dir(task_id)}/{task_id}.{attempt}.{stream}"

    def results(self, task_id: str) -> str:
        """The task's own directory for what its command makes, the same for all its attempts."""
        return f"{self.root}/results/{task_id[1]}/{task_id}"

    def key(self, digest: str) -> str:
        return f"{self.keys}/{digest}"

    def redo(self, task_id: str, number: int) -> str:
        """The file that tells which task is the redo of that number."""
        return f"{self.redone}/{task_id}.{number}"

    def directories(self) -> list[str]:
        """Every directory a lease starts with, parents first."""
        top = [
            "",
            "/inbox",
            "/held",
            "/claimed",
            "/control",
            "/done",
            "/lost",
            "/booking",
            "/evidence",
            "/hb",
        ]
        top += ["/events", "/keys", "/redone", "/logs", "/inbox/_any", "/held/_any", "/claimed/_cli"]
        shards = [f"/{kind}/{letter}" for kind in ("done", "logs") for letter in ALPHABET]
        return [self.root + part for part in top + shards]

    def node_directories(self, node: str) -> list[str]:
        """The directories a node adds."""
        return [self.inbox(node), self.held(node), self.claimed(node), self.control(node)]


def default_home() -> str:
    """LEASEQ_HOME, or ~/.leaseq."""
    return os.path.abspath(os.path.expanduser(os.environ.get("LEASEQ_HOME") or "~/.leaseq"))
