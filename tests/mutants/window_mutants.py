"""What a runner does with windows, with one thing wrong each."""

from __future__ import annotations

from collections.abc import Callable, Collection

from leaseq.dataclass import dataclass, replace
from leaseq.models import Task
from leaseq.names import Entry
from leaseq.node.window import Window, WindowRequest
from leaseq.room import Booking
from leaseq.runner.intake import Intake
from tests.mutants.runner_mutants import taking_in_by
from tests.sim.host import SimProcs
from tests.sim.plan import Plan, draw_quick, draw_short
from tests.sim.service import REAL_PARTS, Parts

TAKE_OVER = ("death", "runner and keeper die", "keeper hangs")


class DoesNotLookForWindows(SimProcs):
    """A new runner takes what has no record of its own for what never began."""

    def find_windows(self) -> None:
        self._pause()


class LeavesWhatIsAskedFor(SimProcs):
    """A window that no keeper has yet is taken for none."""

    def find_windows(self) -> None:
        withdraw, self.members.records.withdraw = self.members.records.withdraw, lambda name: None  # type: ignore[method-assign]
        super().find_windows()
        self.members.records.withdraw = withdraw  # type: ignore[method-assign]


class ReadsBeforeItIsOver(SimProcs):
    """What has not begun yet is taken for what never will."""

    def window(self, name: str) -> Window | None:
        found = super().window(name)
        if found is not None and found.begun:
            found.over = True
        return found


class TakesTheRoomTooEarly(SimProcs):
    """A window that runs is taken for one of which nothing runs."""

    def is_done(self, name: str) -> bool:
        self._pause()
        found = self.host.windows.get(name)
        return found is not None and bool(found.begun)


class ForgetsTooEarly(SimProcs):
    """What a window says is gone before it stands in the array's journal."""

    def leave_window(self, name: str, keys: Collection[str]) -> None:
        super().leave_window(name, ())


class StartsAgainWhatHasBegun(SimProcs):
    """The attempt of a window that has a record of its own by now may start again."""

    def window(self, name: str) -> Window | None:
        found = super().window(name)
        if found is not None and found.over:
            for place in found.own:
                del found.begun[place]
            found.own = set()
        return found


class TakesAWindowAgain(SimProcs):
    """The keeper is asked again for a window whose record is there: it begins it anew."""

    def start_window(self, request: WindowRequest) -> str:
        name = super().start_window(request)
        self.host.scheduler.at(0.01, lambda: self._again(name, request))
        return name

    def _again(self, name: str, request: WindowRequest) -> None:
        host = self.host
        if host.windows.pop(name, None) is not None:
            host.asks.append(("window", name, {**request.to_json(), "boot": host.boot_id}))
            host.keeper_soon()


class BelievesWhatOneWindowNeverBegan(SimProcs):
    """What a window that is over has not begun is taken for what never ran, though a later one may have."""

    def find_windows(self) -> None:
        self.members._tells = lambda found, place: place not in found.own  # type: ignore[method-assign]
        super().find_windows()


class ForgetsWhatWasToFollow(Intake):
    """Short tasks that did not begin in their window, or were to follow it, stay claimed, and nobody knows of them."""

    def let_go(self, *, everything: bool = False) -> None:
        for won in self.state.claimed_ahead():
            del self.state.won[won.claim.entry.key]


class StartsBesideWhatItShouldFollow(Intake):
    """A short task that is to have the room of another once that has ended starts at once."""

    def _claim(self, entry: Entry, booking: Booking, *, task: Task | None, behind: str = "") -> bool:
        return super()._claim(entry, booking, task=task)


@dataclass(frozen=True)
class Mutant:
    """Parts of a runner, one of them wrong, and the troubles in which that shows."""

    procs: type[SimProcs] = SimProcs
    troubles: tuple[str, ...] = ()
    intake: type[Intake] = Intake
    draw: Callable[..., Plan] = draw_quick

    @property
    def parts(self) -> Parts:
        return replace(REAL_PARTS, procs=self.procs, runner=taking_in_by(self.intake))


MUTANTS = {
    "windows: a new runner does not look for them": Mutant(DoesNotLookForWindows, TAKE_OVER),
    "windows: what was asked for is not withdrawn": Mutant(LeavesWhatIsAskedFor, ("keeper hangs",)),
    "windows: read before they are over": Mutant(ReadsBeforeItIsOver),
    "windows: forgotten before the journal is durable": Mutant(ForgetsTooEarly, TAKE_OVER),
    "windows: their room is taken before they are over": Mutant(TakesTheRoomTooEarly),
    "windows: what goes on alone starts again": Mutant(StartsAgainWhatHasBegun),
    "windows: one is taken again": Mutant(TakesAWindowAgain),
    "windows: what one never began is believed of all": Mutant(BelievesWhatOneWindowNeverBegan, TAKE_OVER),
    "short tasks: what does not begin is forgotten": Mutant(intake=ForgetsWhatWasToFollow, draw=draw_short),
    "short tasks: what is to follow starts at once": Mutant(intake=StartsBesideWhatItShouldFollow, draw=draw_short),
}
CAUGHT_BY = {
    "windows: a new runner does not look for them": 6,
    "windows: what was asked for is not withdrawn": 71,
    "windows: forgotten before the journal is durable": 39,
    "windows: what one never began is believed of all": 99,
}
"""The history that was seen to catch a mutant, if not the first: it is tried first, then all others."""
