"""Every path in a home and in a lease directory, but those of an allocation; what the names in them are is in `names`.

`docs/lease-directory.md` is the specification.
"""

from __future__ import annotations

import os

from leaseq.alloc_layout import AllocDir
from leaseq.dataclass import dataclass
from leaseq.errors import Malformed, UsageError
from leaseq.names import ALPHABET, ARRAYS, BEAT, LEASE_ID, LOGS_IN_BLOCK, OVER, history_name, node_part, parse_id


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
    def code(self) -> str:
        """What tracked files differed in when tasks were submitted, one file for each difference; made on demand."""
        return f"{self.root}/code"

    @property
    def hooks(self) -> str:
        """The user's hooks, one file for each; made on demand."""
        return f"{self.root}/hooks"

    @property
    def trees(self) -> str:
        """Copies of trees in which tasks run, one directory for each tree; made on demand."""
        return f"{self.root}/trees"

    @property
    def templates(self) -> str:
        """The user's own templates, found before the packaged ones."""
        return f"{self.root}/templates"

    def lease(self, lease_id: str) -> LeaseDir:
        if not LEASE_ID.fullmatch(lease_id):
            raise UsageError(f"{lease_id!r} is not a lease id", hint="`leaseq lease ls` lists the leases")
        return LeaseDir(lease_id, f"{self.runs}/{lease_id}")


@dataclass(frozen=True)
class ArrayDir:
    """Paths of one attempt of an array."""

    root: str

    def taken(self, chunk: int) -> str:
        """There once that chunk is no longer the array's: a link to the file of whoever took it."""
        return f"{self.root}/c.{chunk}"

    def ended(self, chunk: int) -> str:
        """The file of that chunk once all its indices have ended."""
        return f"{self.root}/e.{chunk}"

    def handed(self, chunk: int, owner: str) -> str:
        """There once that chunk was taken away from that incarnation, which is gone."""
        return f"{self.root}/h.{chunk}.{owner}"

    def cut(self, chunk: int, owner: str) -> str:
        """How much of its journal counts of that chunk."""
        return f"{self.root}/s.{chunk}.{owner}"

    def journal(self, node: str, owner: str) -> str:
        """What that incarnation of the node's runner has begun and ended of the array."""
        return f"{self.root}/o.{node_part(node)}.{owner}"

    def stop(self, name: str) -> str:
        """A file that ends indices."""
        return f"{self.root}/{name}"

    def again(self, up_id: str) -> str:
        """There once that other array was retried, while this one went on: see `protocol.each_again`."""
        return f"{self.root}/r.{up_id}"

    @property
    def index(self) -> str:
        """There once the array has ended: what its chunks left, swept together."""
        return f"{self.root}/index"

    @property
    def throttle(self) -> str:
        """How many may run at once, as a command has said since the array was submitted."""
        return f"{self.root}/throttle"

    @property
    def held(self) -> str:
        """Why a runner has held the array."""
        return f"{self.root}/held"


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
    def waitings(self) -> str:
        return f"{self.root}/waiting"

    @property
    def edges(self) -> str:
        """One name for each thing that a pending task of this lease waits for, and one for each lease where tasks wait
        for tasks of this one.
        """
        return f"{self.root}/edges"

    @property
    def broken(self) -> str:
        """Which tasks were cancelled because another one had ended as it had."""
        return f"{self.root}/broken"

    @property
    def claims(self) -> str:
        return f"{self.root}/claimed"

    @property
    def booking(self) -> str:
        """Outcomes decided by commands that no runner has yet put into its history."""
        return f"{self.root}/booking"

    @property
    def told(self) -> str:
        """Which node's history tells an outcome that did not come from its own runner; made on demand."""
        return f"{self.root}/told"

    @property
    def notices(self) -> str:
        """What each node has told to hooks; made by the first that has something to tell."""
        return f"{self.root}/notices"

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
    def groups(self) -> str:
        """Which groups are paused, and how many of each may run at once; made by the first command that says so."""
        return f"{self.root}/groups"

    @property
    def edits(self) -> str:
        """Changed tasks that wait to stand in the place of pending ones, and where they go; made on demand."""
        return f"{self.root}/edits"

    @property
    def all_lanes(self) -> str:
        """One directory for each limit that there is, or was: made by whoever needs its first lane."""
        return f"{self.root}/lanes"

    def lanes(self, name: str) -> str:
        """The lanes of what has that name."""
        return f"{self.all_lanes}/{name}"

    def group_lanes(self, group: str) -> str:
        """The lanes of a group. No task's id begins so."""
        return self.lanes(f"~{group}")

    @property
    def own(self) -> AllocDir:
        """The allocation of a lease of the first leaseq: its files are in the lease's directory."""
        return AllocDir(self.root)

    @property
    def allocs(self) -> str:
        """A directory for each allocation that the lease has, or has had."""
        return f"{self.root}/allocs"

    def alloc(self, alloc_id: str) -> AllocDir:
        return AllocDir(f"{self.allocs}/{node_part(alloc_id)}")

    def alloc_over(self, alloc_id: str) -> str:
        """There if that allocation has ended: who lists them need not read its record."""
        return f"{self.allocs}/{OVER}{node_part(alloc_id)}"

    @property
    def keep(self) -> str:
        """How long one allocation is to follow the other, and which were asked for; made by who says so."""
        return f"{self.root}/keep"

    @property
    def logs(self) -> str:
        return f"{self.root}/logs"

    def inbox(self, node: str) -> str:
        return f"{self.root}/inbox/{node_part(node)}"

    def held(self, node: str) -> str:
        return f"{self.root}/held/{node_part(node)}"

    def waiting(self, node: str) -> str:
        return f"{self.root}/waiting/{node_part(node)}"

    def pointer(self, lease_id: str) -> str:
        """The file that says: in that lease are tasks that wait for tasks of this one."""
        return f"{self.edges}/@{lease_id}"

    def beside(self, lease_id: str) -> LeaseDir:
        """Another lease of the same home."""
        if not LEASE_ID.fullmatch(lease_id):
            raise Malformed(f"not a lease's id: {lease_id!r:.160}")
        return LeaseDir(lease_id, f"{self.root.rpartition('/')[0]}/{lease_id}")

    def claimed(self, owner: str) -> str:
        return f"{self.root}/claimed/{node_part(owner)}"

    def control(self, node: str) -> str:
        return f"{self.root}/control/{node_part(node)}"

    def heartbeat(self, node: str) -> str:
        return f"{self.root}/hb/{node_part(node)}{BEAT}"

    def term(self, node: str, number: int) -> str:
        """The first word of the runner that serves the node in that term."""
        return f"{self.root}/hb/{node_part(node)}.{number}"

    def events(self, node: str, term: int = 0) -> str:
        """The node's history, or the one that the runner of that term began because an earlier one might live."""
        return f"{self.root}/events/{history_name(node_part(node), term)}"

    def done(self, task_id: str) -> str:
        """The directory of that task's outcomes: one of 32, by the first letter of the id."""
        return f"{self.root}/done/{task_id[1]}"

    def outcome(self, task_id: str, attempt: int) -> str:
        return f"{self.done(task_id)}/{task_id}.{attempt}"

    @property
    def arrays(self) -> str:
        return f"{self.root}/arrays"

    def array(self, task_id: str, attempt: int) -> ArrayDir:
        return ArrayDir(f"{self.arrays}/{task_id}.{attempt}")

    def log_dir(self, task_id: str) -> str:
        """The directory of that task's logs; of an index (`ID_INDEX`) one that its array has for a block of them."""
        task, index = parse_id(task_id)
        directory = f"{self.logs}/{task_id[1]}"
        return directory if index is None else f"{directory}/{task}/{index // LOGS_IN_BLOCK}"

    def logs_of(self, task_id: str) -> str:
        """The directory of the logs of an array's indices."""
        return f"{self.logs}/{task_id[1]}/{task_id}"

    def pack(self, task_id: str, attempt: int, node: str, owner: str) -> str:
        """Logs of ended indices of that attempt of the array, put together by that incarnation of the node's runner."""
        return f"{self.logs_of(task_id)}/pack.{attempt}.{node_part(node)}.{owner}"

    def log(self, task_id: str, attempt: int, stream: str) -> str:
        """The log file of one attempt; stream is `out` or `err`."""
        return f"{self.log_dir(task_id)}/{task_id}.{attempt}.{stream}"

    def results(self, task_id: str) -> str:
        """The task's own directory for what its command makes, the same for all its attempts; of an index one in it."""
        task, index = parse_id(task_id)
        directory = f"{self.root}/results/{task_id[1]}/{task}"
        return directory if index is None else f"{directory}/{index // LOGS_IN_BLOCK}/{index}"

    def call(self, task_id: str) -> str:
        """The directory of the Python call that the task makes, and of its results: see `payload`."""
        return f"{self.results(task_id)}/.leaseq"

    def key(self, digest: str) -> str:
        return f"{self.keys}/{digest}"

    def redo(self, task_id: str, number: int) -> str:
        """The file that tells which task is the redo of that number."""
        return f"{self.redone}/{task_id}.{number}"

    def cancelled_after(self, task_id: str, number: int) -> str:
        """The file that tells which tasks were cancelled because of that one."""
        return f"{self.broken}/{task_id}.{number}"

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
            "/arrays",
            "/allocs",
        ]
        top += ["/events", "/keys", "/redone", "/logs", "/waiting", "/edges"]
        top += ["/inbox/_any", "/held/_any", "/waiting/_any", "/claimed/_cli", "/claimed/_array"]
        shards = [f"/{kind}/{letter}" for kind in ("done", "logs") for letter in ALPHABET]
        return [self.root + part for part in top + shards]

    def node_directories(self, node: str) -> list[str]:
        """The directories a node adds, and those that a lease of an older leaseq has not."""
        own = [self.inbox(node), self.held(node), self.claimed(node), self.control(node)]
        return [*own, self.arrays, self.claimed(ARRAYS)]


def default_home() -> str:
    """LEASEQ_HOME, or ~/.leaseq."""
    return os.path.abspath(os.path.expanduser(os.environ.get("LEASEQ_HOME") or "~/.leaseq"))
