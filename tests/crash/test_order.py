"""Two who submit and two who decide, at once: in hundreds of orders of all their operations nobody is missed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from leaseq.world import Fs
from tests.crash import actors
from tests.crash.actors import World
from tests.crash.check import check_always, check_ended
from tests.crash.order import check_prompt
from tests.crash.sweep import ended, report, submitted
from tests.faults import FaultFs
from tests.sim.scheduler import Process, Scheduler

ORDERS = 150


class Taking(FaultFs):
    """A file system each of whose calls takes a while, so that others make theirs in between."""

    def __init__(self, inner: Fs, scheduler: Scheduler, chance: Random) -> None:
        super().__init__(inner)
        self.scheduler, self.chance = scheduler, chance

    def _call(self, operation: str, *args: Any, **options: Any) -> Any:
        self.scheduler.pause(self.chance.expovariate(1.0))
        return super()._call(operation, *args, **options)


def at_once(world: World, acts: list[Callable[[World, Fs], object]], seed: str) -> None:
    """All acts are done, their operations in an order that the seed gives."""
    scheduler, process = Scheduler(), Process("all")
    for number, act in enumerate(acts):
        fs = Taking(world.fs(), scheduler, Random(f"{seed} {number}"))
        scheduler.spawn(process, f"actor {number}", lambda act=act, fs=fs: act(world, fs))  # type: ignore[misc]
    while process.actors:
        scheduler.pause(1.0)
    scheduler.close()
    assert not scheduler.failures, scheduler.failures


@pytest.mark.parametrize("codes", [(0, 0), (0, 3), (3, 0), (3, 3)])
def test_of_two_submitters_and_two_deciders_nobody_misses_the_other(codes: tuple[int, int]) -> None:
    for number in range(ORDERS):
        world = World()
        first = ended(world, codes[0])
        submitted(world)
        second = world.runner("n2")
        held = second.take()
        assert held is not None
        second.start(held)
        second.host.end((held.entry.id, held.entry.attempt), codes[1])
        one, other = sorted(world.truth.acknowledged)
        known = actors.submit_after(world, world.fs(), one).id

        def submit(world: World, fs: Fs, known: str = known, one: str = one, other: str = other) -> None:
            actors.submit_after(world, fs, one, other)
            actors.submit_after(world, fs, known, kind="any")

        at_once(world, [submit, submit, report(first), report(second)], f"{codes} {number}")
        check_always(world)
        check_prompt(world, world.fs())
        if not number % 10:
            check_ended(world)
