"""All that is tried on a protocol, cheapest first: what a mutant has to survive."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests import patience
from tests.crash import sweep
from tests.crash.actors import Protocol
from tests.crash.answers import ends_of_one, foreign_answers, lines_of_another
from tests.crash.check import Violated
from tests.crash.meetings import MEETINGS, meetings, meetings_with_lost_replies
from tests.crash.sweep import LONG, NOT_DURABLE, SCENES, Scene

Tries = Callable[[Protocol, Scene], Iterator[str]]

SWEEPS: tuple[Tries, ...] = (
    sweep.lost_replies,
    sweep.deaths,
    sweep.repeats,
    sweep.power_losses,
    sweep.recovery_power_losses,
    sweep.failures,
    sweep.double_deaths,
)
POWER = (sweep.power_losses, sweep.recovery_power_losses)
RECOVERY = (sweep.recovery_power_losses, sweep.double_deaths)
MEET = (meetings, meetings_with_lost_replies)


def is_left_out(scene: str, tries: Tries) -> bool:
    """True for what means nothing, or takes minutes: that is tried with LEASEQ_HYPOTHESIS=long."""
    return (scene in NOT_DURABLE and tries in POWER) or (not patience.LONG and scene in LONG and tries in RECOVERY)


def cases(p: Protocol) -> Iterator[tuple[str, Iterator[str]]]:
    """(what is tried, its cases), each to be run to its end."""
    for tries in SWEEPS[:4]:
        yield from _sweep(p, tries)
    for meet in MEET:
        for name in MEETINGS:
            yield f"{meet.__name__}: {name}", meet(p, name)
    yield "new_leases", sweep.new_leases(p)
    yield "keyed_moves", sweep.keyed_moves(p)
    yield "strangers", sweep.strangers(p)
    yield "foreign_answers", foreign_answers(p)
    yield "ends_of_one", ends_of_one(p)
    yield "lines_of_another", lines_of_another(p)
    for tries in SWEEPS[4:]:
        yield from _sweep(p, tries)


def _sweep(p: Protocol, tries: Tries) -> Iterator[tuple[str, Iterator[str]]]:
    for name, scene in SCENES.items():
        if not is_left_out(name, tries):
            yield f"{tries.__name__}: {name}", tries(p, scene)


def first_violation(p: Protocol, *, first: str = "") -> tuple[str, str] | None:
    """(what was tried, the case and the rule it broke) of the first case that fails, or None.

    first: what is tried first, or how its name begins.
    """
    for tried, each in sorted(cases(p), key=lambda case: not case[0].startswith(first)):
        try:
            for _ in each:
                pass
        except Violated as violated:
            return tried, str(violated)
    return None
