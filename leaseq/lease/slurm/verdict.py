"""What an answer of squeue means for leases: who has ended, who is there again, and of whom nothing is known.

An answer can be empty, partial, an old one, or another cluster's, and says so nowhere. So a lease has ended only

* by a line that is its own by cluster and token and tells a final state, or
* by its absence from two answers some time apart that lack no lease that is heard, if Slurm, asked for that very job,
  then says that there is none, and the cluster that says so is the lease's;

and in either case only once its runners are silent. Who is seen again has not ended, whatever its record says.

Here that is only known, as verdicts that are kept with the answer; `leaseq.lease.upkeep` does what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leaseq.dataclass import replace
from leaseq.hostlist import expand_hosts
from leaseq.layout import Home, LeaseDir
from leaseq.lease import leases
from leaseq.lease.settle import LEASE_END
from leaseq.lease.slurm.answer import Queue, Verdict, cache_of
from leaseq.lease.slurm.identity import Match
from leaseq.lease.slurm.text import Row
from leaseq.models import Lease
from leaseq.names import is_node
from leaseq.protocol import allocs, files
from leaseq.reading import beats
from leaseq.reading.views import NODE_DOWN
from leaseq.world import Fs

OTHERS_MAX = 500
"""Jobs that are no leases are kept for `lease adopt`, but not without bound."""
LOST_NODE = f"{NODE_DOWN}: no longer part of the allocation"
RUNNING_NOW = "RUNNING"
"""The one state of Slurm's in which a job's nodes are all that it has: one that ends or moves may show fewer."""
NEW_SECONDS = 60.0
"""How old a lease must be before its absence from an answer means anything."""
APART_SECONDS = 60.0
"""How far the two answers must be apart that a lease is absent from."""
ASKED_FOR_MAX = 5
"""How many jobs Slurm is asked for by themselves after one answer; the others wait for the next."""
AT_THE_LIMIT_SECONDS = 5
"""What a lease has left at most that Slurm ends because its time is over."""
LAST_HEARD_SECONDS = 60.0
"""A lease whose runner was heard so shortly before its limit has lived to it."""


class Judge:
    """Draws from an answer of the cluster what follows for the leases of the home. It does nothing of that.

    What it writes is the asker's own, in the cache: since when a lease is missed.
    """

    def __init__(self, fs: Fs, home: Home, cluster: str, *, unknown_to_slurm: Callable[[str], bool]) -> None:
        self.fs, self.home, self.cluster = fs, home, cluster
        self.cache = cache_of(home, cluster)
        self.unknown_to_slurm = unknown_to_slurm
        """True where Slurm says now that there is no such job."""

    def learn(self, kept: Queue, rows: Sequence[Row]) -> Queue:
        """The answer with what is remembered of earlier ones, and with what all of it means for leases."""
        mine = [lease for lease in leases.list_leases(self.fs, self.home) if self._may_be_here(lease)]
        jobs = {lease.allocation.job for lease in mine}
        ours = [row for row in rows if row.id in jobs]
        others = [row for row in rows if row.id not in jobs and not row.ended][:OTHERS_MAX]
        now = {row.id: row for row in (*ours, *others)}
        before = {**kept.gone, **kept.rows}
        gone = {job: row for job, row in before.items() if job in jobs and job not in now}
        fresh = Queue(now, gone, 0.0, cluster=self.cluster)
        seen = [lease for lease in mine if fresh.row(lease.allocation) is not None]
        absent = [lease for lease in mine if lease.ended is None and fresh.row(lease.allocation) is None]
        self._forget_missed(seen)
        found = [self._of_line(lease, fresh) or self._of_before(lease, kept, fresh) for lease in seen]
        found += self._of_absent(absent, kept, fresh)
        return replace(fresh, verdicts={each.lease: each for each in found if each is not None})

    def _may_be_here(self, lease: Lease) -> bool:
        return lease.kind == "slurm" and lease.cluster in ("", self.cluster)

    def _forget_missed(self, seen: Sequence[Lease]) -> None:
        missed = {name for name in self.fs.names(self.cache) if name.startswith("missed.")}
        for lease in seen:
            if f"missed.{lease.id}" in missed:
                files.discard(self.fs, self._miss_path(lease))

    # -- who is in the answer ------------------------------------------------------------------------

    def _of_line(self, lease: Lease, fresh: Queue) -> Verdict | None:
        """What its line says of the lease; None where it says nothing new, or may be another's."""
        row = fresh.row(lease.allocation)
        if row is None or not self.is_its_own(lease, row, fresh):
            return None
        if row.ended:
            found = self._end(lease, row) if lease.ended is None else Verdict(lease.id)
        else:
            found = Verdict(lease.id, alive=lease.ended is not None)
            if row.state == RUNNING_NOW and row.nodes:
                found = self._lost_nodes(found, row)
        if not lease.cluster:
            found = replace(found, cluster=self.cluster)
        return found if found.says_something else None

    def _lost_nodes(self, found: Verdict, row: Row) -> Verdict:
        """With the nodes that Slurm has taken from the job, as far as nothing is heard of them.

        A node that has lost its slurmd alone is taken, too, and its tasks run on: its runner is heard.
        """
        directory = self.home.lease(found.lease)
        try:
            counted = frozenset(expand_hosts(row.nodes))
        except ValueError:
            return found
        known = allocs.node_names(self.fs, directory.own)
        left = tuple(node for node in known if node in counted)
        if not left:
            return found  # the lease has not started, or all of its nodes are new
        lost = tuple(node for node in self._nodes(directory) if node not in counted and self.is_silent(directory, node))
        return replace(found, nodes=left if left != known else (), lost=lost, why=LOST_NODE if lost else "")

    def is_its_own(self, lease: Lease, row: Row, answer: Queue) -> bool:
        """True where the line is the lease's for certain."""
        return answer.match(lease.allocation, row) is Match.SAME

    # -- who is not ----------------------------------------------------------------------------------

    def _of_absent(self, absent: Sequence[Lease], kept: Queue, fresh: Queue) -> list[Verdict | None]:
        found = [self._of_before(lease, kept, fresh) for lease in absent]
        told = {each.lease for each in found if each is not None}
        doubted = [lease for lease in absent if lease.id not in told and self._age(lease) > NEW_SECONDS]
        if not self.is_to_be_believed(doubted, fresh):
            return found
        asked_for = 0
        for lease in doubted:
            if self.is_missed_again(lease) and self._all_silent(lease) and asked_for < ASKED_FOR_MAX:
                asked_for += 1
                if self.is_denied(lease):
                    found.append(self._end(lease, fresh.gone.get(lease.allocation.job)))
        return found

    def _of_before(self, lease: Lease, kept: Queue, fresh: Queue) -> Verdict | None:
        """That it is over by an earlier answer, where this one says nothing of the lease and nothing is heard of it."""
        before, row = kept.verdicts.get(lease.id), fresh.row(lease.allocation)
        if before is None or not before.over or lease.ended is not None:
            return None
        if (row is not None and self.is_its_own(lease, row, fresh)) or not self._all_silent(lease):
            return None
        return before

    def is_to_be_believed(self, absent: Sequence[Lease], fresh: Queue) -> bool:
        """True where an absence can mean an end: the answer is this cluster's, and lacks nobody who is heard."""
        for lease in absent:
            last = fresh.gone.get(lease.allocation.job)
            if lease.cluster and not (last and last.ended):
                heard = beats.newest(self.fs, self.home.lease(lease.id))
                if heard is not None and heard < beats.RECENT_SECONDS:
                    return False
        return bool(self.cluster)

    def is_missed_again(self, lease: Lease) -> bool:
        """True where the lease was absent from an answer long enough before this one, and from all since."""
        path = self._miss_path(lease)
        try:
            return self.fs.age(path, self.cache) >= APART_SECONDS
        except FileNotFoundError:
            self.fs.create(path, b"", durable=False)
            return False

    def is_denied(self, lease: Lease) -> bool:
        """True where Slurm, asked for the lease's job alone, says that there is none."""
        return self.unknown_to_slurm(lease.allocation.job)

    def is_silent(self, lease: LeaseDir, node: str) -> bool:
        """True if no runner of the node can be alive by what is heard of it."""
        return beats.silent(self.fs, lease, node)

    def _all_silent(self, lease: Lease) -> bool:
        directory = self.home.lease(lease.id)
        return all(self.is_silent(directory, node) for node in beats.nodes(self.fs, directory))

    def _nodes(self, lease: LeaseDir) -> list[str]:
        """The nodes that were ever heard, or hold tasks."""
        try:
            owners = self.fs.names(lease.claims)
        except FileNotFoundError:
            owners = []
        return sorted({*beats.nodes(self.fs, lease), *filter(is_node, owners)})

    def _miss_path(self, lease: Lease) -> str:
        return f"{self.cache}/missed.{lease.id}"

    def _age(self, lease: Lease) -> float:
        try:
            return self.fs.age(self.home.lease(lease.id).record, self.cache)
        except OSError:
            return 0.0

    def _end(self, lease: Lease, row: Row | None) -> Verdict:
        """It has ended. Over it is once all of its nodes are silent; what the silent ones held is lost before."""
        directory = self.home.lease(lease.id)
        reason = end_reason(self.fs, directory, row)
        lost = tuple(node for node in self._nodes(directory) if self.is_silent(directory, node))
        return Verdict(lease.id, reason, over=self._all_silent(lease), lost=lost, why=f"{LEASE_END}: {reason}")


def end_reason(fs: Fs, lease: LeaseDir, row: Row | None) -> str:
    """Why a lease ended, as far as it is known: Slurm's final word, what leaseq did, what its script was told.

    row: how Slurm showed it last; None where it never did.
    """
    if row is not None and row.ended and row.state != "CANCELLED":
        return f"{row.state} ({row.reason})" if row.reason else row.state
    if allocs.is_released(fs, lease.own):
        return "released"
    if row is not None and row.ended:
        return f"{row.state} ({row.reason})" if row.reason else row.state
    if (left := allocs.left_at_end(fs, lease.own)) is not None:
        return (
            "time limit"
            if left <= AT_THE_LIMIT_SECONDS
            else f"told to end by Slurm {left / 60:.0f} min before its time limit"
        )
    if _lived_to_its_limit(fs, lease):
        return "time limit"
    return "no longer known to Slurm" + (f", {row.state} when seen last" if row is not None else "")


def _lived_to_its_limit(fs: Fs, lease: LeaseDir) -> bool:
    left, heard = allocs.seconds_left(fs, lease.own), beats.newest(fs, lease)
    return left is not None and left <= 0 and heard is not None and heard + left <= LAST_HEARD_SECONDS
