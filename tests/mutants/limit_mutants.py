"""Pauses and limits with one thing wrong each, as `tests.sim` runs them: a replacement of a part of a runner."""

from __future__ import annotations

from typing import Any

from leaseq.dataclass import replace
from leaseq.layout import LeaseDir
from leaseq.limit_names import holder_parts
from leaseq.names import group_of
from leaseq.protocol import groups, lanes
from leaseq.runner import limits
from leaseq.runner.intake import Intake
from leaseq.runner.ledger import Ledger
from leaseq.runner.loop import Runner
from leaseq.runner.node_state import NodeState
from leaseq.runner.ports import Options, Ports
from leaseq.runner.work import Attempt
from tests.mutants.runner_mutants import Mutant, taking_in_by
from tests.sim.service import REAL_PARTS


class LooksAtPollsAlone(Intake):
    """What is paused or limited between a poll and a start is not seen."""

    def hand_over(self) -> None:
        state = self.state
        for key, won in list(state.won.items()):
            if admitted := limits.admitted(state, self.ports, won):
                self.start(admitted)
            del state.won[key]


class NeverLooks(Intake):
    """Pauses and limits are passed over."""

    def fill(self) -> None:
        self.state.look_at_limits = False
        super().fill()

    def hand_over(self) -> None:
        for key, won in list(self.state.won.items()):
            self.start(won)
            del self.state.won[key]


class CountsItsOwnAlone(Intake):
    """A limited group starts where this node runs fewer than it may."""

    def hand_over(self) -> None:
        state = self.state
        limits.learn(state, self.ports)
        for key, won in list(state.won.items()):
            group, allowed = won.claim.entry.group, state.limits
            most = allowed.parallel.get(group)
            own = sum(each.entry.group == group for each in state.running.values())
            if most is not None and own < most:
                state.limits = replace(allowed, parallel={})
            try:
                if admitted := limits.admitted(state, self.ports, won):
                    self.start(admitted)
            finally:
                state.limits = allowed
            del state.won[key]


class ForgetsPausesAtItsStart(Intake):
    """A pause holds for the runner that was there when it was made."""

    def __init__(self, state: NodeState, ports: Ports) -> None:
        super().__init__(state, ports)
        self.found = groups.limits(ports.fs, ports.lease).paused

    def hand_over(self) -> None:
        state = self.state
        limits.learn(state, self.ports)
        state.limits = replace(state.limits, paused=state.limits.paused - self.found)
        for key, won in list(state.won.items()):
            if admitted := limits.admitted(state, self.ports, won):
                self.start(admitted)
            del state.won[key]

    def fill(self) -> None:
        if self.state.look_at_limits:
            limits.learn(self.state, self.ports)
            self.state.limits = replace(self.state.limits, paused=self.state.limits.paused - self.found)
        super().fill()


class FreesEveryLane(Runner):
    """Whoever keeps house frees every lane."""

    def step(self) -> float:
        ports = self.ports
        if ports.clock.monotonic() >= self.state.house_at:
            for group in groups.groups_with_lanes(ports.fs, ports.lease):
                lanes.free_gone(ports.fs, ports.lease.group_lanes(group), stands=lambda holder: False)
        return super().step()


class JudgesByTheLastClaim(Runner):
    """Whoever keeps house frees every lane of a node whose last claim is of no group."""

    def step(self) -> float:
        ports = self.ports

        def stands(holder: str) -> bool:
            claims = ports.fs.names(ports.lease.claimed(holder_parts(holder)[2]))
            return bool(claims) and bool(group_of(claims[-1]))

        if ports.clock.monotonic() >= self.state.house_at:
            for group in groups.groups_with_lanes(ports.fs, ports.lease):
                lanes.free_gone(ports.fs, ports.lease.group_lanes(group), stands=stands)
        return super().step()


class FreesALaneAtTheStart(Intake):
    """Who has started needs his lane no more."""

    def hand_over(self) -> None:
        super().hand_over()
        for each in self.state.running.values():
            self._free(each)

    def _free(self, attempt: Attempt) -> None:
        if attempt.lane is not None:
            lanes.free(self.ports.fs, self.ports.lease.group_lanes(attempt.entry.group), attempt.lane)
            attempt.lane = None


class LetsAllFail(Ledger):
    """Of an array every index begins, however many have failed."""

    def __init__(self, **ports: Any) -> None:
        super().__init__(**ports)
        self.journals._stop_if_too_many_failed = lambda holding, *, everywhere: None  # type: ignore[method-assign]


class _LanesOfANode(LeaseDir):
    def __init__(self, lease: LeaseDir, node: str) -> None:
        super().__init__(lease.id, lease.root)
        object.__setattr__(self, "_node", node)  # frozen as its base is

    def lanes(self, name: str) -> str:
        return super().lanes(name if name.startswith("~") else f"{name}{vars(self)['_node']}")


class ThrottlesItsOwnAlone(Runner):
    """So many of an array may run at once on each node."""

    def __init__(self, ports: Ports, options: Options) -> None:
        super().__init__(replace(ports, lease=_LanesOfANode(ports.lease, ports.node)), options)


class NeverHearsOfAThrottle(Runner):
    """How many of an array may run at once is what its file says, whatever a command has said."""

    def step(self) -> float:
        for lot in self.state.lots.values():
            lot.throttle = lot.task.array.throttle if lot.task.array else 0
        return super().step()


MUTANTS = {
    "pauses are looked at at polls alone": Mutant(
        replace(REAL_PARTS, runner=taking_in_by(LooksAtPollsAlone)), ("hang",), (("rename", "/claimed/"),)
    ),
    "pauses and limits are never looked at": Mutant(replace(REAL_PARTS, runner=taking_in_by(NeverLooks))),
    "each node counts its own alone": Mutant(replace(REAL_PARTS, runner=taking_in_by(CountsItsOwnAlone))),
    "a pause ends with the runner": Mutant(
        replace(REAL_PARTS, runner=taking_in_by(ForgetsPausesAtItsStart)), ("death",)
    ),
    "every lane is free when the house is kept": Mutant(replace(REAL_PARTS, runner=FreesEveryLane)),
    "a lane is free once its attempt has started": Mutant(
        replace(REAL_PARTS, runner=taking_in_by(FreesALaneAtTheStart))
    ),
    "an array goes on however many have failed": Mutant(replace(REAL_PARTS, ledger=LetsAllFail), arrays=True),
    "each node throttles an array alone": Mutant(replace(REAL_PARTS, runner=ThrottlesItsOwnAlone), arrays=True),
    "a throttle is for ever": Mutant(replace(REAL_PARTS, runner=NeverHearsOfAThrottle), arrays=True),
}
CAUGHT_BY = {
    "an array goes on however many have failed": 7,
    "a throttle is for ever": 68,
    "pauses are looked at at polls alone": 26,
    "pauses and limits are never looked at": 6,
    "each node counts its own alone": 10,
    "each node throttles an array alone": 2,
    "a pause ends with the runner": 66,
    "every lane is free when the house is kept": 84,
    "a lane is free once its attempt has started": 10,
}
"""The history that was seen to catch a mutant, if not the first."""
