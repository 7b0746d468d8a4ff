from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cli import Box
from tests.e2e.harness import Node


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory with a short name: sockets below it have a limit of 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="lq-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.fixture
def node(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setenv("LEASEQ_NODE_DIR", str(short_path / "n"))
    made = Node(short_path)
    yield made
    made.close()


@pytest.fixture
def box(short_path: Path) -> Iterator[Box]:
    made = Box(short_path)
    yield made
    made.close()
