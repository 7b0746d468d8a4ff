"""What an answer of squeue means for leases: who has ended, who is there again, and of whom nothing is known.

An answer can be empty, partial, an old one, or another cluster's, and says so nowhere. So a lease has ended only

* by a line that is its own by cluster and token and tells a final state, or
* by its absence from two answers some time apart that lack no lease that is heard, if Slurm, asked for that very job,
  then says that there is none, and the cluster that says so is the lease's;

and in either case only once its runners are silent. Who is seen again has not ended, whatever its record says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leaseq.errors import LeaseqError
from leaseq.hostlist import expand_hosts
from leaseq.layout import Home, LeaseDir
from leaseq.lease import leases
from leaseq.lease.settle import LEASE_END, settle_claims
from leaseq.lease.slurm import squeue
from leaseq.lease.slurm.identity import Match
from leaseq.lease.slurm.squeue import Queue
from leaseq.lease.slurm.text import Row
from leaseq.models import Lease
from leaseq.protocol import files, records
from leaseq.reading import beats
from leaseq.reading.views import NODE_DOWN
from leaseq.world import Clock, Fs

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
    """Draws from an answer of the cluster what follows for the leases of the home."""

    def __init__(
        self, fs: Fs, home: Home, cluster: str, *, clock: Clock, unknown_to_slurm: Callable[[str], bool]
    ) -> None:
        self.fs, self.home, self.cluster, self.clock = fs, home, cluster, clock
        self.cache = squeue.cache_of(home, cluster)
        self.unknown_to_slurm = unknown_to_slurm
        """True where Slurm says now that there is no such job."""

    def learn(self, kept: Queue, rows: Sequence[Row]) -> Queue:
        """The answer with what is remembered of earlier ones; what it means is in the records of the leases."""
        mine = [lease for lease in leases.list_leases(self.fs, self.home) if self._may_be_here(lease)]
        jobs = {lease.job or lease.id for lease in mine}
        ours = [row for row in rows if row.id in jobs]
        others = [row for row in rows if row.id not in jobs and not row.ended][: squeue.OTHERS_MAX]
        now = {row.id: row for row in (*ours, *others)}
        before = {**kept.gone, **kept.rows}
        gone = {job: row for job, row in before.items() if job in jobs and job not in now}
        fresh = Queue(now, gone, 0.0, cluster=self.cluster)
        missed = {name for name in self.fs.names(self.cache) if name.startswith("missed.")}
        absent = []
        for lease in mine:
            if not self._seen(lease, fresh):
                absent += [lease] if lease.ended is None else []
            elif f"missed.{lease.id}" in missed:
                files.discard(self.fs, self._miss_path(lease))
        self._miss(absent, fresh)
        return fresh

    def _may_be_here(self, lease: Lease) -> bool:
        return lease.kind == "slurm" and lease.cluster in ("", self.cluster)

    # -- who is in the answer ------------------------------------------------------------------------

    def _seen(self, lease: Lease, fresh: Queue) -> bool:
        """True where a line may be the lease's; what its own line says is in its record."""
        row = fresh.row(lease)
        if row is None:
            return False
        if not self.is_its_own(lease, row, fresh):
            return True
        if row.ended:
            if lease.ended is None:
                self._end(lease, row)
        elif lease.ended is not None:
            self._quietly(lambda: leases.revive(self.fs, self.home, lease.id))
        if row.state == RUNNING_NOW and row.nodes:
            self._quietly(lambda: self._let_nodes_go(lease, frozenset(expand_hosts(row.nodes))))
        if not lease.cluster and self.cluster:
            self._quietly(lambda: records.learn_cluster(self.fs, self.home.lease(lease.id), self.cluster))
        return True

    def _let_nodes_go(self, lease: Lease, nodes: frozenset[str]) -> None:
        """The lease's nodes are those; what another held that is silent is decided: Slurm has taken it from the job.

        A node that has lost its slurmd alone is taken, too, and its tasks run on: its runner is heard.
        """
        directory = self.home.lease(lease.id)
        if not records.learn_nodes(self.fs, directory, nodes):
            return
        why = f"{NODE_DOWN}: no longer part of the allocation"
        settle_claims(self.fs, directory, clock=self.clock, reason=why, spared=nodes, is_silent=self.is_silent)

    def is_its_own(self, lease: Lease, row: Row, answer: Queue) -> bool:
        """True where the line is the lease's for certain."""
        return answer.match(lease, row) is Match.SAME

    # -- who is not ----------------------------------------------------------------------------------

    def _miss(self, absent: Sequence[Lease], fresh: Queue) -> None:
        absent = [lease for lease in absent if self._age(lease) > NEW_SECONDS]
        if not self.is_to_be_believed(absent, fresh):
            return
        asked_for = 0
        for lease in absent:
            if self.is_missed_again(lease) and self._all_silent(lease) and asked_for < ASKED_FOR_MAX:
                asked_for += 1
                if self.is_denied(lease):
                    self._end(lease, fresh.gone.get(lease.job or lease.id))

    def is_to_be_believed(self, absent: Sequence[Lease], fresh: Queue) -> bool:
        """True where an absence can mean an end: the answer is this cluster's, and lacks nobody who is heard."""
        for lease in absent:
            last = fresh.gone.get(lease.job or lease.id)
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
        return self.unknown_to_slurm(lease.job or lease.id)

    def is_silent(self, lease: LeaseDir, node: str) -> bool:
        """True where no runner of the node can be alive by what is heard of it."""
        return beats.silent(self.fs, lease, node)

    def _all_silent(self, lease: Lease) -> bool:
        directory = self.home.lease(lease.id)
        return all(self.is_silent(directory, node) for node in beats.nodes(self.fs, directory))

    def _miss_path(self, lease: Lease) -> str:
        return f"{self.cache}/missed.{lease.id}"

    def _age(self, lease: Lease) -> float:
        try:
            return self.fs.age(self.home.lease(lease.id).record, self.cache)
        except OSError:
            return 0.0

    # -- what follows --------------------------------------------------------------------------------

    def _end(self, lease: Lease, row: Row | None) -> None:
        """What its silent nodes held is settled; once all are silent its record says that it has ended.

        In this order: a command that dies in between leaves it all to the next answer.
        """

        def end() -> None:
            directory = self.home.lease(lease.id)
            reason = end_reason(self.fs, directory, row)
            why = f"{LEASE_END}: {reason}"
            settle_claims(self.fs, directory, clock=self.clock, reason=why, is_silent=self.is_silent)
            if self._all_silent(lease):
                records.mark_ended(self.fs, directory, ended=self.clock.now(), reason=reason)
                files.discard(self.fs, self._miss_path(lease))

        self._quietly(end)

    def _quietly(self, act: Callable[[], object]) -> None:
        """It is done, or is left to the next answer: a record may be damaged, or just being written."""
        try:
            act()
        except (LeaseqError, OSError, ValueError):
            return


def end_reason(fs: Fs, lease: LeaseDir, row: Row | None) -> str:
    """Why a lease ended, as far as it is known: Slurm's final word, what leaseq did, what its script was told.

    row: how Slurm showed it last; None where it never did.
    """
    if row is not None and row.ended and row.state != "CANCELLED":
        return f"{row.state} ({row.reason})" if row.reason else row.state
    if records.is_released(fs, lease):
        return "released"
    if row is not None and row.ended:
        return f"{row.state} ({row.reason})" if row.reason else row.state
    if (left := records.left_at_end(fs, lease)) is not None:
        return (
            "time limit"
            if left <= AT_THE_LIMIT_SECONDS
            else f"told to end by Slurm {left / 60:.0f} min before its time limit"
        )
    if _lived_to_its_limit(fs, lease):
        return "time limit"
    return "no longer known to Slurm" + (f", {row.state} when seen last" if row is not None else "")


def _lived_to_its_limit(fs: Fs, lease: LeaseDir) -> bool:
    left, heard = records.seconds_left(fs, lease), beats.newest(fs, lease)
    return left is not None and left <= 0 and heard is not None and heard + left <= LAST_HEARD_SECONDS
