"""For all tests here and of mutants: names are counted, so that worlds can be alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from leaseq.names import names_drawn_from
from tests.crash.alike import NAMES


@pytest.fixture(autouse=True)
def counted_names() -> Iterator[None]:
    with names_drawn_from(NAMES):
        yield
