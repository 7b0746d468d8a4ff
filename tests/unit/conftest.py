"""Fixtures of several unit tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.fake_program import on_path
from tests.unit.slurm_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    before = os.environ["PATH"]
    os.environ["PATH"] = on_path(tmp_path / "bin")["PATH"]
    yield World(tmp_path)
    os.environ["PATH"] = before
    del os.environ["SLURM_CONF"]
