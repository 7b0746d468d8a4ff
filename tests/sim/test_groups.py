"""Histories with arrays whose chunks are taken in groups, as a whole or divided, and every kind of trouble."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import pytest

from leaseq.errors import Malformed
from leaseq.names import Entry
from leaseq.protocol.plan import Plan
from tests.sim.history import in_groups, run
from tests.sim.plan import draw_groups

SEEDS = 36
PART = 6
SEEN = (12, 32)
"""Among these it was seen, and they are looked at first."""
WANTED = {"whole", "divided", "given away", "inherited", "ended", "cancelled"}
_CHANGE = re.compile(r": (?P<call>link|rename) (?P<source>\S+) (?P<target>\S+)")


def what_became_of_groups(log: Iterable[str]) -> Counter[str]:
    """How often a group was divided, or taken as a whole, and what became of such then."""
    found: Counter[str] = Counter()
    for match in filter(None, map(_CHANGE.search, log)):
        source, target = match["source"].split("/"), match["target"].split("/")
        if match["call"] == "link" and source[-1].startswith(".") and target[-1].startswith("c."):
            found["divided"] += 1
        elif _is_of_a_group(source[-1]) and "claimed" in (source[-3], target[-3], source[-2]):
            word = {"inbox": "given away", "held": "held", "claimed": "taken over"}.get(target[-3], "")
            if target[-1].startswith("c."):
                word = "whole"
            elif target[-1].startswith("e."):
                word = "ended"
            elif word == "taken over":
                word = "inherited" if source[-3] == "claimed" else "taken again"
            found[word] += 1
        elif _is_of_a_group(source[-1]) and target[-1].startswith("e."):
            found["cancelled"] += 1
    return found


def _is_of_a_group(name: str) -> bool:
    try:
        entry = Entry.parse(name)
    except Malformed:
        return False
    return entry.chunk is not None and entry.chunk in Plan(entry.count).groups


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_no_history_with_groups_of_chunks_breaks_a_promise(first: int) -> None:
    for number in range(first, first + PART):
        plan = draw_groups(f"groups {number}")
        result = run(plan)
        assert not result.violation, f"{result.violation}\n{plan}"


ONCE_BROKEN = {
    "k2 112": "an index counted twice: a call failed after its line was written, and the line was written again",
    "h1 654": "a node was given back with a claim of which its runner did not know whether it was made",
    "h2 456": "the check took a runner that Slurm's TERM had ended for one that had given its node back",
    "k1 522": "the same, while what it had taken was about to begin",
    "k2 564": "an answer of Slurm counted against a runner that was heard after Slurm was asked, and had stopped since",
}
"""By its seed, what a history had shown."""


@pytest.mark.parametrize("seed", ONCE_BROKEN)
def test_a_history_that_was_broken_breaks_no_promise_any_more(seed: str) -> None:
    assert not run(draw_groups(seed)).violation, ONCE_BROKEN[seed]


def test_groups_are_whole_and_divided_given_away_inherited_and_cancelled_in_these_histories() -> None:
    """Drawn is not enough: it has to come to that."""
    seen: Counter[str] = Counter()
    for number in (*SEEN, *range(SEEDS)):
        log = run(draw_groups(f"groups {number}")).log
        with in_groups():
            seen += what_became_of_groups(log)
        if seen.keys() >= WANTED:
            return
    pytest.fail(f"never: {WANTED - seen.keys()}, but {seen}")
