"""When a job would start, by Slurm's answers to --test-only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaseq.layout import Home
from leaseq.lease.slurm import estimate, sbatch
from leaseq.lease.slurm.args import check
from leaseq.lease.slurm.estimate import Estimate, limit_of, minutes_of
from leaseq.world import SystemClock
from tests.unit.fake_program import FakeProgram, on_path

SAYS = "sbatch: Job 7 to start at 2026-11-29T{} using 1 processors on nodes node1 in partition gpu\n"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeProgram]:
    before = os.environ["PATH"]
    os.environ["PATH"] = on_path(tmp_path / "bin")["PATH"]
    yield FakeProgram(tmp_path / "bin", "sbatch")
    os.environ["PATH"] = before


def estimates(tmp_path: Path, *tokens: str) -> list[Estimate]:
    request = sbatch.LeaseRequest(tokens=tokens, checked=check(tokens))
    prepared = sbatch.prepare(Home(str(tmp_path / "home")), request, clock=SystemClock(), user="u", host="login")
    return estimate.estimates(prepared, request)


def test_less_time_is_named_if_it_would_start_earlier(tmp_path: Path, fake: FakeProgram) -> None:
    fake.answer(err=SAYS.format("14:20:00"))
    fake.answer(err=SAYS.format("14:19:30"), given="--time=6:00:00")
    fake.answer(err=SAYS.format("11:05:00"), given="--time=3:00:00")
    found = estimates(tmp_path, "-N2", "-t", "12:00:00", "--")
    assert found == [Estimate("12:00:00", "2026-11-29T14:20:00"), Estimate("3:00:00", "2026-11-29T11:05:00")]
    assert fake.calls()[1] == ["--test-only", "-N2", "-t", "12:00:00", "--time=6:00:00"]


def test_what_slurm_does_not_say_is_not_said(
    tmp_path: Path, fake: FakeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.answer(err="allocation failure: Node count specification invalid\n", code=1)
    assert estimates(tmp_path, "-N9", "-t", "10") == []
    fake.answer(err=SAYS.format("14:20:00"))
    fake.answer(err="allocation failure: Socket timed out on send/recv operation\n", code=1, given="--time=5")
    assert estimates(tmp_path, "-t", "10") == [Estimate("10", "2026-11-29T14:20:00")]
    monkeypatch.setattr(estimate, "SECONDS_MAX", 0.3)
    fake.answer(err=SAYS.format("14:20:00"), hangs=30)
    assert estimates(tmp_path, "-t", "10") == []


def test_a_job_without_a_time_limit_is_asked_for_once(tmp_path: Path, fake: FakeProgram) -> None:
    fake.answer(err=SAYS.format("14:20:00"))
    assert estimates(tmp_path, "-N1") == [Estimate("", "2026-11-29T14:20:00")]
    assert len(fake.calls()) == 1


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [
        ("90", 90),
        ("90:30", 90),
        ("2:30:00", 150),
        ("1-12", 2160),
        ("1-12:30", 2190),
        ("2-0:0:0", 2880),
        ("UNLIMITED", None),
    ],
)
def test_every_form_of_a_time_limit_is_understood(limit: str, minutes: int | None) -> None:
    assert minutes_of(limit) == minutes
    assert minutes is None or minutes_of(limit_of(minutes)) == minutes
