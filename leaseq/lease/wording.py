"""What is said of a lease and of its allocations, by commands and the monitor alike. Values in, words out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from leaseq.lease.base import LeaseState
from leaseq.reading.views import duration
from leaseq.words import about, count, figure, one_line

if TYPE_CHECKING:
    from leaseq.allocation import Allocation
    from leaseq.lease.kept import Kept
    from leaseq.lease.slurm.want import Wanted
    from leaseq.protocol.succession import How
    from leaseq.reading.usage import Held


def of_state(state: LeaseState) -> str:
    """The state and its reason: `PENDING (Priority)`."""
    return state.word + (f" ({one_line(state.reason)})" if state.reason else "")


def start(state: LeaseState) -> str:
    """When it will start, as far as Slurm has a plan; empty if not."""
    return f"expected {state.starts.replace('T', ' ')}" if state.starts else ""


def following(kept: Kept | None, known: Sequence[tuple[Allocation, LeaseState]]) -> str:
    """What comes after the job that runs: `next 48377 pending (Priority, about 02:40)`; empty if that is not said.

    known: the allocations that the lease has now.
    """
    if kept is None:
        return ""
    if kept.how.scale:
        return scales(kept)
    if (found := kept.next_of(known)) is not None:
        alloc, state = found
        about = f"about {state.starts.replace('T', ' ')[11:16]}" if state.starts else ""
        why = ", ".join(word for word in (one_line(state.reason), about) if word)
        return f"next {alloc.job} pending" + (f" ({why})" if why else "")
    if kept.stopped:
        return f"no next job: {one_line(kept.stopped)}"
    if kept.refused is None:
        return ""
    where = "on its nodes, a command on a login host asks" if kept.refused.on_node else "it is asked for again"
    return f"next job refused ({where}): {one_line(kept.refused.words)}"


def scales(kept: Kept) -> str:
    """How many jobs a lease that scales may have, and why none is asked for, if that is so."""
    words = f"scales {kept.how.scale[0]}..{kept.how.scale[1]}"
    if kept.stopped:
        return f"no job is asked for: {one_line(kept.stopped)}"
    if kept.paused:
        return f"{words}, paused: {one_line(kept.paused)}"
    if kept.refused is None:
        return words
    where = "its nodes may not ask" if kept.refused.on_node else "it is asked again"
    return f"{words}, Slurm has refused ({where}): {one_line(kept.refused.words)}"


def of_wanted(told: Wanted, called: str) -> str:
    """What a person must know of a lease that scales as tasks were queued; empty if nodes that run have room."""
    said = [f"{count(number, 'task')} can start on no node of it: {why}" for why, number in told.never.items()]
    if told.more:
        said.append(f"no other job is asked for: {told.why_not}" if told.why_not else "another job is asked for")
    elif told.in_queue:
        said.append(f"{count(told.jobs, 'job')} of it {'is' if told.jobs == 1 else 'are'} queued, or about to start")
    return f"lease {called}: {'; '.join(one_line(each) for each in said)}" if said else ""


def of_lease(state: LeaseState, nodes: Sequence[str], notes: Mapping[str, str], *, following: str = "") -> str:
    """A lease in a line of a list: its nodes, the reason of its state, its start, what its scripts had to say."""
    # What Slurm's commands had to say can be several lines: the first is the reason, `lease info` has them all.
    reason = state.reason.splitlines()[:1]
    where = ",".join(nodes) if state.word != "ENDED" else ""
    words = (where, *reason, start(state), following, *(f"{node}: {note}" for node, note in notes.items()))
    return "  ".join(word for word in words if word)


def of_alloc(state: LeaseState, had: Sequence[str], *, now: float) -> str:
    """An allocation in a line: its state and why, how long it has yet, its nodes; had: what it had if it has ended.

    now: this host's clock.
    """
    nodes = had if state.word == "ENDED" else state.nodes
    left = f"{duration(state.ends - now)} left" if state.ends is not None else ""
    return ", ".join(word for word in (of_state(state), left, start(state), *nodes) if word)


def of_held(held: Held) -> list[str]:
    """What an allocation had and used, in words: its id, from when to when, nodes, node-hours, how many of them ran.

    Then the same of GPU-hours. What of it is not known is blank.
    """
    hours = (held.node_hours, held.node_hours_used, held.gpu_hours, held.gpu_hours_used)
    times = (_moment(held.since, "%m-%d %H:%M"), _moment(held.until, "%m-%d %H:%M"))
    nodes = str(len(held.nodes) or "")
    return [held.alloc.id, *times, nodes, *("" if each is None else figure(each) for each in hours)]


def _moment(epoch: float | None, form: str) -> str:
    return "" if epoch is None else time.strftime(form, time.localtime(epoch))


def until(kept: Kept) -> str:
    """How long it is kept, in words, with when that is over; empty of one that scales."""
    if kept.how.scale:
        return ""
    if kept.until is not None:
        return f"until {_moment(kept.until, '%Y-%m-%d %H:%M')}"
    return how_long(kept.how) + (" from its start" if kept.how.seconds is not None else "")


def how_long(how: How) -> str:
    """How long it is kept, in words."""
    if how.while_busy:
        return "until nothing is left to run"
    if how.seconds is not None:
        return f"for {about(how.seconds)}"
    return "until you say otherwise"
