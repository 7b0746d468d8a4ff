"""Runners that leave with one thing wrong each, as `tests.crash.leaving_world` runs them."""

from __future__ import annotations

from leaseq.runner import leaving
from leaseq.runner.intake import Intake
from leaseq.runner.loop import Runner
from leaseq.runner.phase import Phase, Wanted
from leaseq.runner.ports import Options, Ports
from leaseq.runner.service import Parts
from tests.crash.leaving_world import DEATHS, MEANWHILE


class ClaimsWhileARoundIsOpen(Phase):
    @property
    def may_claim(self) -> bool:
        return self.wanted is Wanted.ASIDE or super().may_claim


class LooksNoMore(Intake):
    def look_once_more(self) -> None:
        """What it saw before it stood aside is enough."""


def having(*, phase: type[Phase] = Phase, intake: type[Intake] = Intake) -> Parts:
    class Altered(Runner):
        def __init__(self, ports: Ports, options: Options) -> None:
            super().__init__(ports, options)
            self.state.phase = phase()
            self.intake = intake(self.state, ports)

    return Parts(runner=Altered)


MUTANTS = {
    "claims while a round is open": (having(phase=ClaimsWhileARoundIsOpen), MEANWHILE),
    "does not look once more": (having(intake=LooksNoMore), MEANWHILE),
    "a new runner knows nothing of an open round": (Parts(begin_to_count=leaving.learn), DEATHS),
}
"""Each with the faults that bring it to light."""
