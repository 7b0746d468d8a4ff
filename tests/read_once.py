"""Records are read once: simulated worlds ask for the same few contents thousands of times."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from unittest import mock

import pytest

from leaseq.schema import Record

_read: Any = lru_cache(maxsize=8192)(vars(Record)["from_json"].__func__)


@pytest.fixture(autouse=True)
def each_content_is_read_once() -> Iterator[None]:
    """A record does not change, so whoever reads the same content gets the same one."""
    with mock.patch.object(Record, "from_json", classmethod(lambda cls, data: _read(cls, data))):
        yield
