"""What is to be done that one allocation of a lease follows the other: from what is known to the next step, pure.

One is asked for when the one before it has started. One that ended before it started is asked for again. Nothing
follows once the time is over, the lease is released, nothing is left to run, or three in a row have failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leaseq.allocation import Allocation
from leaseq.dataclass import dataclass, replace
from leaseq.lease.slurm.args import check, without
from leaseq.node.scrub import for_sbatch
from leaseq.protocol.succession import How
from leaseq.words import count

SHORT_SECONDS = 300.0
"""One that lived less, and neither came to its time limit nor was preempted, has failed."""
FAILED_MAX = 3
"""So many in a row that failed, or never started, are enough."""
LOST_SECONDS = 240.0
"""How old an ask must be to be given up of which Slurm knows nothing: longer than sbatch may take."""
EMPTY_SECONDS = 90.0
"""How long nothing must have been left to run."""
AGAIN_SECONDS_MAX = 1800.0
FIRST_ALONE = frozenset({"dependency", "begin", "hold", "deadline"})
"""Options that say when a job may start: they are for the first."""
NOT_ITS_FAULT = ("TIMEOUT", "time limit", "PREEMPTED", "DEADLINE")
"""With these words ends one that has not failed."""


@dataclass(frozen=True)
class Link:
    """One of the allocations that follow each other, as it was asked for last."""

    place: int
    """1 for the first."""
    asks: int
    """How often it was asked for."""
    alloc: Allocation | None = None
    """None as long as it is not known that Slurm has queued it."""
    started: bool = False
    lived_seconds: float | None = None
    """From its start to its end; None: not known."""
    never_started: int = 0
    """So many of its jobs have ended before they started, and not by leaseq."""
    given_up: bool = False
    """True if Slurm, asked long after, knows nothing of it."""

    @property
    def waits(self) -> bool:
        """True if Slurm has it queued."""
        return self.alloc is not None and not self.started and self.alloc.ended is None

    @property
    def failed(self) -> bool:
        """True if it ended soon after its start, and for no reason that is Slurm's."""
        if self.alloc is None or self.alloc.ended is None or self.lived_seconds is None:
            return False
        return self.lived_seconds < SHORT_SECONDS and not self.alloc.end_reason.startswith(NOT_ITS_FAULT)


@dataclass(frozen=True)
class Known:
    """What is known of a kept lease."""

    links: tuple[Link, ...]
    """Its allocations that follow each other, in order; not empty."""
    forgiven: int = 0
    """What went wrong with the first so many does not count."""
    stopped: bool = False
    late: tuple[Allocation, ...] = ()
    """Those that are queued, and in whose place another was asked for."""
    over: str = ""
    """Why none is to follow now; empty if one is."""
    for_good: bool = True
    """False if that may be otherwise while one runs."""
    next_is_over: bool = False
    """True if the next would begin when none is to follow any more, as far as is known."""
    again_in_seconds: float = 0.0
    """So long Slurm is not asked, for it has refused."""


@dataclass(frozen=True)
class Step:
    """What is to be done next; nothing if all is empty."""

    ask: tuple[int, int] | None = None
    """Which of the allocations is to be asked for, and for which time."""
    after: Allocation | None = None
    """The one that it follows, if that has not ended."""
    cancel: tuple[Allocation, ...] = ()
    stop: str = ""
    stays: bool = False
    """True if the one that is asked for keeps its nodes when nothing uses them, whatever the others do."""


NOTHING = Step()


def next_step(known: Known) -> Step:
    """What is to be done now."""
    last = known.links[-1]
    if known.late:
        return Step(cancel=known.late)
    if known.stopped:
        return Step(cancel=(last.alloc,)) if last.alloc and last.waits and last.place > 1 else NOTHING
    if last.alloc is None:
        return _ask(known, last.place, last.asks + 1) if last.given_up else NOTHING
    goes_on = any(each.alloc is not None and each.started and each.alloc.ended is None for each in known.links)
    if last.waits:
        if not known.over or last.place == 1:
            return NOTHING
        return Step(stop=known.over) if known.for_good or not goes_on else Step(cancel=(last.alloc,))
    if last.alloc.ended is not None and (words := _failures(known)):
        return Step(stop=words)
    if known.over:
        return Step(stop=known.over) if known.for_good or not goes_on else NOTHING
    if goes_on and known.next_is_over:
        return NOTHING
    return _ask(known, last.place + 1, 1) if last.started else _ask(known, last.place, last.asks + 1)


def _ask(known: Known, place: int, number: int) -> Step:
    if known.again_in_seconds > 0:
        return NOTHING
    before = next((each.alloc for each in reversed(known.links) if each.place < place), None)
    return Step(ask=(place, number), after=before if before and before.ended is None else None)


def _failures(known: Known) -> str:
    """Why those that have ended are enough; empty if they are not."""
    last, links = known.links[-1], [each for each in known.links if each.place > known.forgiven]
    assert last.alloc is not None
    if not last.started:
        if last.place == 1:
            return f"its first job ended before it started: {last.alloc.end_reason}"
        often = count(last.never_started, "time", "times")
        words = f"the next job ended {often} before it started, the last by {last.alloc.end_reason}"
        return words if last.never_started >= FAILED_MAX else ""
    if len(links) < FAILED_MAX or not all(each.failed for each in links[-FAILED_MAX:]):
        return ""
    reasons = dict.fromkeys(each.alloc.end_reason for each in links[-FAILED_MAX:] if each.alloc)
    return f"the last {FAILED_MAX} jobs ended in less than {SHORT_SECONDS / 60:.0f} min: {', '.join(reasons)}"


def again_in(times: int, age_seconds: float) -> float:
    """How long Slurm is not asked that has refused so often in a row, for the last time so long ago."""
    return min(60.0 * (1 << min(times - 1, 10)), AGAIN_SECONDS_MAX) - age_seconds


def like(how: How, *, tokens: Sequence[str], name: str, umask: int, environment: Mapping[str, str]) -> How:
    """How a lease is kept, with what Slurm is asked for each time: what it was asked for at first."""
    argv = without(tokens, FIRST_ALONE)
    options, environment = dict(check(argv).options), for_sbatch(environment)
    return replace(how, argv=argv, options=options, name=name, umask=umask, environment=environment)
