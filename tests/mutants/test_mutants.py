"""Every mutant of the protocol is caught; `pytest -s` prints by what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.crash.actors import REAL
from tests.crash.suite import first_violation
from tests.mutants.mutants import MUTANTS


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_of_the_protocol_is_caught(name: str) -> None:
    violation = first_violation(replace(REAL, **MUTANTS[name]))
    assert violation is not None, f"{name}: nothing is caught"
    print(f"\n{name:42} {violation[0]:28} {violation[1][:200]}")
