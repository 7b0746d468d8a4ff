"""The keeper, and the runner as a parent, with one thing wrong each, while Slurm's signals that end a job arrive."""

from __future__ import annotations

from leaseq.dataclass import replace
from tests.mutants.runner_mutants import Mutant
from tests.sim.host import Keeper, SimProcs, Work
from tests.sim.scheduler import Process
from tests.sim.service import REAL_PARTS

TERM = "Slurm's TERM"


class FreesAPlaceAtOnce(Keeper):
    def doubts(self, work: Work | None) -> bool:
        return False


class BeginsAllTheSame(Keeper):
    @property
    def may_begin(self) -> bool:
        return True


class BelievesWhoeverServed(Keeper):
    def believes(self, runner: Process) -> bool:
        return True


class NotesAnOrphansEndAtOnce(SimProcs):
    def doubts(self, work: Work) -> bool:
        return False


def _keeper(keeper: type[Keeper], *troubles: str) -> Mutant:
    return Mutant(replace(REAL_PARTS, keeper=keeper), (TERM, *troubles))


MUTANTS: dict[str, Mutant] = {
    "a task that Slurm's TERM ended leaves its place at once": _keeper(FreesAPlaceAtOnce),
    "a keeper that knows of its lease's end begins what it is asked": _keeper(BeginsAllTheSame),
    "a keeper takes an end that is over for one of now": _keeper(BelievesWhoeverServed, "keeper hangs"),
    "the end of a task whose keeper was killed is noted at once": Mutant(
        replace(REAL_PARTS, procs=NotesAnOrphansEndAtOnce), (TERM, "keeper dies")
    ),
}

CAUGHT_BY = {
    "a task that Slurm's TERM ended leaves its place at once": 3,
    "a keeper that knows of its lease's end begins what it is asked": 5,
    "a keeper takes an end that is over for one of now": 7,
    "the end of a task whose keeper was killed is noted at once": 62,
}
"""As in `runner_mutants`."""
