"""For all tests here and of mutants: names are counted, so that worlds can be alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from leaseq.names import names_drawn_from
from tests.crash.alike import NAMES
from tests.read_once import each_content_is_read_once as each_content_is_read_once


@pytest.fixture(autouse=True)
def counted_names() -> Iterator[None]:
    with names_drawn_from(NAMES):
        yield
