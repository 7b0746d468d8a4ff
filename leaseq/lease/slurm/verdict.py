"""What an answer of squeue means for allocations: who has ended, who is there again, of whom nothing is known.

An answer can be empty, partial, an old one, or another cluster's, and says so nowhere. So an allocation has ended only

* by a line that is its own by cluster and token and tells a final state, or
* by its absence from two answers some time apart that lack none that is heard, if Slurm, asked for that very job,
  then says that there is none, and the cluster that says so is the allocation's;

and in either case only if its runners are silent, and have been since Slurm was asked. A lease has ended if all of its
allocations have. One that is seen again has not ended, whatever its record says.

Here that is only known, as verdicts that are kept with the answer; `leaseq.lease.upkeep` does what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leaseq.alloc_layout import AllocDir
from leaseq.allocation import Allocation
from leaseq.dataclass import replace
from leaseq.hostlist import expand_hosts
from leaseq.layout import Home, LeaseDir
from leaseq.lease import leases
from leaseq.lease.leases import Holding
from leaseq.lease.settle import LEASE_END
from leaseq.lease.slurm.answer import Queue, Verdict, cache_of, missed_name
from leaseq.lease.slurm.identity import Match
from leaseq.lease.slurm.text import Row
from leaseq.protocol import allocs, files, leaving
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
    """Draws from an answer of the cluster what follows for the allocations of the home. It does nothing of that.

    What it writes is the asker's own, in the cache: since when an allocation is missed.
    """

    def __init__(
        self,
        fs: Fs,
        home: Home,
        cluster: str,
        *,
        unknown_to_slurm: Callable[[str], bool],
        asked_ago: Callable[[], float],
    ) -> None:
        self.fs, self.home, self.cluster = fs, home, cluster
        self.cache = cache_of(home, cluster)
        self.unknown_to_slurm = unknown_to_slurm
        """True if Slurm says now that there is no such job."""
        self.asked_ago = asked_ago
        """How many seconds ago Slurm was asked for the answer."""
        self.known: dict[str, Holding] = {}

    def learn(self, kept: Queue, rows: Sequence[Row]) -> Queue:
        """The answer with what is remembered of earlier ones, and with what all of it means for allocations."""
        self.known = {each.lease.id: each for each in leases.list_holdings(self.fs, self.home)}
        mine = [alloc for each in self.known.values() for alloc in each.allocs if self._may_be_here(alloc)]
        jobs = {alloc.job for alloc in mine}
        ours = [row for row in rows if row.id in jobs]
        others = [row for row in rows if row.id not in jobs and not row.ended][:OTHERS_MAX]
        now = {row.id: row for row in (*ours, *others)}
        before = {**kept.gone, **kept.rows}
        gone = {job: row for job, row in before.items() if job in jobs and job not in now}
        fresh = Queue(now, gone, 0.0, cluster=self.cluster)
        seen = [alloc for alloc in mine if fresh.row(alloc) is not None]
        absent = [alloc for alloc in mine if alloc.ended is None and fresh.row(alloc) is None]
        self._forget_missed(seen)
        found = [self._of_line(alloc, fresh) or self._of_before(alloc, kept, fresh) for alloc in seen]
        found += self._of_absent(absent, kept, fresh)
        told = [each for each in found if each is not None]
        return replace(fresh, verdicts=(*told, *self._of_records(mine, told)))

    def _may_be_here(self, alloc: Allocation) -> bool:
        return alloc.kind == "slurm" and alloc.cluster in ("", self.cluster)

    def _forget_missed(self, seen: Sequence[Allocation]) -> None:
        missed = {name for name in self.fs.names(self.cache) if name.startswith("missed.")}
        for alloc in seen:
            if (name := missed_name(alloc)) in missed:
                files.discard(self.fs, f"{self.cache}/{name}")

    # -- who is in the answer ------------------------------------------------------------------------

    def _of_line(self, alloc: Allocation, fresh: Queue) -> Verdict | None:
        """What its line says of it; None if it says nothing new, or may be another's."""
        row = fresh.row(alloc)
        if row is None or not self.is_its_own(alloc, row, fresh):
            return None
        if row.ended:
            found = self._end(alloc, row) if alloc.ended is None else Verdict(alloc.lease, alloc.id)
        else:
            is_over = alloc.ended is not None or self.known[alloc.lease].lease.ended is not None
            found = Verdict(alloc.lease, alloc.id, alive=is_over)
            if row.state == RUNNING_NOW and row.nodes:
                found = self._lost_nodes(found, alloc, row)
        if not alloc.cluster:
            found = replace(found, cluster=self.cluster)
        return found if found.says_something else None

    def _lost_nodes(self, found: Verdict, alloc: Allocation, row: Row) -> Verdict:
        """With the nodes that Slurm has taken from the job, as far as nothing is heard of them.

        A node that has lost its slurmd alone is taken, too, and its tasks run on: its runner is heard.
        """
        directory = self.home.lease(alloc.lease)
        try:
            counted = frozenset(expand_hosts(row.nodes))
        except ValueError:
            return found
        known = allocs.hosts(self.fs, allocs.directory(directory, alloc))
        left = tuple(node for node, host in known.items() if host in counted)
        if not left:
            return found  # it has not started, or all of its nodes are new
        lost = tuple(node for node in self._nodes(alloc).own if node not in left and self.is_silent(directory, node))
        return replace(found, nodes=left if len(left) < len(known) else (), lost=lost, why=LOST_NODE if lost else "")

    def is_its_own(self, alloc: Allocation, row: Row, answer: Queue) -> bool:
        """True if the line is the allocation's for certain."""
        return answer.match(alloc, row) is Match.SAME

    # -- who is not ----------------------------------------------------------------------------------

    def _of_absent(self, absent: Sequence[Allocation], kept: Queue, fresh: Queue) -> list[Verdict | None]:
        found = [self._of_before(alloc, kept, fresh) for alloc in absent]
        told = {(each.lease, each.alloc) for each in found if each is not None}
        silent = [alloc for alloc in absent if (alloc.lease, alloc.id) not in told]
        doubted = [alloc for alloc in silent if self._age(alloc) > NEW_SECONDS]
        if not self.is_to_be_believed(doubted, fresh):
            return found
        asked_for = 0
        for alloc in doubted:
            if self.is_missed_again(alloc) and self._all_silent(alloc) and asked_for < ASKED_FOR_MAX:
                asked_for += 1
                if self.is_denied(alloc):
                    found.append(self._end(alloc, fresh.gone.get(alloc.job)))
        return found

    def _of_before(self, alloc: Allocation, kept: Queue, fresh: Queue) -> Verdict | None:
        """That it is over by an earlier answer, if this one says nothing of it and nothing is heard of it."""
        before, row = kept.verdict(alloc), fresh.row(alloc)
        if before is None or not before.over or alloc.ended is not None:
            return None
        if (row is not None and self.is_its_own(alloc, row, fresh)) or not self._all_silent(alloc):
            return None
        return before

    def _of_records(self, mine: Sequence[Allocation], told: Sequence[Verdict]) -> list[Verdict]:
        """The ends of leases whose allocations have all ended by their records: who was to write it has died."""
        spoken_of = {each.lease for each in told}
        found = {}
        for alloc in mine:
            of = self.known[alloc.lease]
            if of.lease.ended is None and alloc.lease not in spoken_of and all(each.ended for each in of.allocs):
                found[alloc.lease] = Verdict(alloc.lease, alloc.id, alloc.end_reason, over=True)
        return list(found.values())

    def is_to_be_believed(self, absent: Sequence[Allocation], fresh: Queue) -> bool:
        """True if an absence can mean an end: the answer is this cluster's, and lacks nobody who is heard."""
        for alloc in absent:
            last = fresh.gone.get(alloc.job)
            if alloc.cluster and not (last and last.ended):
                heard = beats.newest(self.fs, self.home.lease(alloc.lease), self._nodes(alloc).all)
                if heard is not None and heard < beats.RECENT_SECONDS:
                    return False
        return bool(self.cluster)

    def is_missed_again(self, alloc: Allocation) -> bool:
        """True if it was absent from an answer long enough before this one, and from all since."""
        path = f"{self.cache}/{missed_name(alloc)}"
        try:
            return self.fs.age(path, self.cache) >= APART_SECONDS
        except FileNotFoundError:
            self.fs.create(path, b"", durable=False)
            return False

    def is_denied(self, alloc: Allocation) -> bool:
        """True if Slurm, asked for its job alone, says that there is none."""
        return self.unknown_to_slurm(alloc.job)

    def is_silent(self, lease: LeaseDir, node: str) -> bool:
        """True if no runner of the node can be alive by what is heard of it, nor was after Slurm was asked.

        One that has stopped since then was there, whatever Slurm had said: the next answer tells.
        """
        return beats.silent(self.fs, lease, node, within=self.asked_ago())

    def _all_silent(self, alloc: Allocation) -> bool:
        directory = self.home.lease(alloc.lease)
        return all(self.is_silent(directory, node) for node in self._nodes(alloc, left=True).all)

    def _nodes(self, alloc: Allocation, *, left: bool = False) -> beats.Nodes:
        """Its nodes that were ever heard, or hold tasks; left: see `beats.nodes_of`."""
        return beats.nodes_of(self.fs, self.home.lease(alloc.lease), alloc, self.known[alloc.lease].allocs, left=left)

    def _age(self, alloc: Allocation) -> float:
        try:
            return allocs.age(self.fs, self.home.lease(alloc.lease), alloc, self.cache)
        except OSError:
            return 0.0

    def _end(self, alloc: Allocation, row: Row | None) -> Verdict:
        """It has ended. Over it is once all of its nodes are silent; what the silent ones held is lost before."""
        directory, nodes = self.home.lease(alloc.lease), self._nodes(alloc, left=True)
        reason = end_reason(
            self.fs, allocs.directory(directory, alloc), row, beats.newest(self.fs, directory, nodes.all)
        )
        lost = tuple(node for node in nodes.own if self.is_silent(directory, node))
        why = f"{LEASE_END}: {reason}"
        return Verdict(alloc.lease, alloc.id, reason, over=self._all_silent(alloc), lost=lost, why=why)


def end_reason(fs: Fs, place: AllocDir, row: Row | None, heard: float | None) -> str:
    """Why an allocation ended, as far as it is known: Slurm's final word, what leaseq did, what its script was told.

    row: how Slurm showed it last; None if it never did. heard: how long ago a runner of it was heard last.
    """
    if (why := leaving.why_left(fs, place)) and (row is None or not row.ended or row.state == "COMPLETED"):
        return why
    if row is not None and row.ended and row.state != "CANCELLED":
        return f"{row.state} ({row.reason})" if row.reason else row.state
    if allocs.is_released(fs, place):
        return "released"
    if row is not None and row.ended:
        return f"{row.state} ({row.reason})" if row.reason else row.state
    if (left := allocs.left_at_end(fs, place)) is not None:
        return (
            "time limit"
            if left <= AT_THE_LIMIT_SECONDS
            else f"told to end by Slurm {left / 60:.0f} min before its time limit"
        )
    left_seconds = allocs.seconds_left(fs, place)
    if (
        left_seconds is not None
        and left_seconds <= 0
        and heard is not None
        and heard + left_seconds <= LAST_HEARD_SECONDS
    ):
        return "time limit"
    return "no longer known to Slurm" + (f", {row.state} when seen last" if row is not None else "")
