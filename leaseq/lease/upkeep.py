"""What follows from Slurm's news, done: called by commands that act or wait, and by runners; never by a look.

An ended lease's record says so, and what it held is decided; one that is there again has not ended; nodes that it has
lost are let go; a lease whose command died before it had a record gets one. Each step is left to the next upkeep if
a process dies before it. Looks show all of this as if it were done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from leaseq.errors import LeaseqError
from leaseq.layout import Home, LeaseDir
from leaseq.lease import leases
from leaseq.lease.keeping import NOW_SECONDS
from leaseq.lease.private import owner_of
from leaseq.lease.settle import settle_claims
from leaseq.lease.slurm import answer
from leaseq.lease.slurm.answer import Queue, Verdict, cache_of, missed_name
from leaseq.models import Lease
from leaseq.names import is_node
from leaseq.protocol import allocs, files, records, succession
from leaseq.reading import beats
from leaseq.world import Clock, Fs, SystemClock, SystemFs, is_remote

PERIOD_SECONDS = 30.0
"""How old an answer may be that a runner asks for."""
Silent = Callable[[LeaseDir, str], bool]


def main(arguments: Sequence[str]) -> int:
    """`ask HOME`: what Slurm says now is known to all commands of the home, and what follows from it is done."""
    (home,) = arguments
    remote = is_remote(home)
    fs = SystemFs(remote=remote, owner=owner_of(Home(home), remote=remote))
    keep_up(fs, Home(home), clock=SystemClock(), period_seconds=PERIOD_SECONDS, on_node=True)
    return 0


def keep_up_for(fs: Fs, home: Home, lease: LeaseDir, *, clock: Clock) -> bool:
    """What is known of a Slurm lease is done; True if that was news.

    Slurm is asked if a node of it holds tasks and is not heard, or if another job is to follow the one that it has: its
    nodes may not be allowed to ask for that. If Slurm does not answer all stays as it is.
    """
    record = leases.read_record(fs, lease)
    if record is None or record.kind != "slurm":
        return False
    if record.ended is not None or not (_is_in_doubt(fs, lease) or succession.is_kept(succession.names(fs, lease))):
        return learn_kept(fs, home, record, clock=clock)
    try:
        return bool(keep_up(fs, home, clock=clock).of_lease(lease.id))
    except (OSError, LeaseqError):
        return False


def keep_up_now(fs: Fs, home: Home, *, clock: Clock) -> None:
    """What Slurm says now is known, and what follows from it is done; if it says nothing all stays as it is."""
    with contextlib.suppress(OSError, LeaseqError):
        keep_up(fs, home, clock=clock, period_seconds=NOW_SECONDS)


def heal_waiting(fs: Fs, home: Home, *, clock: Clock) -> bool:
    """True if a command may have died before its lease had a record; it has one now if Slurm knows the lease."""
    try:
        if not fs.names(home.scripts):
            return False
        keep_up(fs, home, clock=clock)
    except (OSError, LeaseqError):
        return False
    return True


def _is_in_doubt(fs: Fs, lease: LeaseDir) -> bool:
    try:
        owners = [node for node in fs.names(lease.claims) if is_node(node)]
        return any(fs.names(lease.claimed(node)) and not beats.lives(fs, lease, node) for node in owners)
    except (FileNotFoundError, NotADirectoryError):
        return False


def learn_kept(fs: Fs, home: Home, lease: Lease, *, clock: Clock) -> bool:
    """What the last answer of Slurm says of a lease is done; True if it says something. Nobody is asked."""
    if lease.kind != "slurm":
        return False
    news = False
    known = allocs.living_of(fs, home.lease(lease.id), lease)
    for cluster in dict.fromkeys(each.cluster for each in known):
        queue = answer.read(fs, home, cluster)
        apply_all(fs, home, queue, clock=clock)
        news = news or bool(queue.of_lease(lease.id))
    return news


def keep_up(fs: Fs, home: Home, *, clock: Clock, period_seconds: float | None = None, on_node: bool = False) -> Queue:
    """What follows from an answer of Slurm that is at most that old (None: as the settings say) is done.

    on_node: a lease's node asks.
    """
    # Most commands never get here, and would feel these at their start.
    from leaseq import config
    from leaseq.lease.slurm import squeue
    from leaseq.lease.slurm.follow import follow
    from leaseq.lease.slurm.sbatch import heal

    period = config.load(home).slurm_poll_seconds if period_seconds is None else period_seconds
    queue = squeue.refresh(fs, home, clock=clock, period_seconds=period)
    apply_all(fs, home, queue, clock=clock)
    heal(fs, home, queue)
    follow(fs, home, queue, clock=clock, on_node=on_node)
    return queue


def apply_all(fs: Fs, home: Home, queue: Queue, *, clock: Clock, is_silent: Silent | None = None) -> None:
    """Every verdict of the answer is done, or left to the next: a record may be damaged, or just being written."""
    silent = is_silent or _silent_since(fs, clock, clock.monotonic() - queue.age_seconds)
    for verdict in queue.verdicts:
        try:
            _apply(fs, home, verdict, clock=clock, is_silent=silent, cache=cache_of(home, queue.cluster))
        except (LeaseqError, OSError, ValueError):
            continue


def _silent_since(fs: Fs, clock: Clock, asked: float) -> Silent:
    """Whether a node is silent, and has been since Slurm was asked."""
    return lambda lease, node: beats.silent(fs, lease, node, within=clock.monotonic() - asked)


def _apply(fs: Fs, home: Home, verdict: Verdict, *, clock: Clock, is_silent: Silent, cache: str) -> None:
    """In this order: who dies in between leaves the rest to the next."""
    directory = home.lease(verdict.lease)
    alloc = allocs.find(fs, directory, verdict.alloc)
    if alloc is None:
        return
    others = [each for each in allocs.living_of(fs, directory) if each.ended is None and each.id != alloc.id]
    if verdict.alive:
        allocs.mark_alive(fs, directory, alloc)
        leases.revive(fs, home, verdict.lease)
    if verdict.nodes:
        allocs.learn_nodes(fs, allocs.directory(directory, alloc), verdict.nodes)
    if verdict.lost:
        settle_claims(fs, directory, clock=clock, reason=verdict.why, nodes=verdict.lost, is_silent=is_silent)
    its = beats.nodes_of(fs, directory, alloc, others, left=True).all if verdict.over else ()
    if verdict.over and all(is_silent(directory, node) for node in its):
        allocs.mark_ended(fs, directory, alloc, ended=clock.now(), reason=verdict.end)
        if not others and not succession.is_kept(succession.names(fs, directory)):
            records.mark_ended(fs, directory, ended=clock.now(), reason=allocs.last_end(fs, directory))
        files.discard(fs, f"{cache}/{missed_name(alloc)}")
    if verdict.cluster and not allocs.learn_cluster(fs, directory, alloc, verdict.cluster):
        records.learn_cluster(fs, directory, verdict.cluster)
