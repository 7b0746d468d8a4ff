"""Which lease a word means: an id, a job's number, a name, or the start of an id, also after the lease has ended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leaseq.errors import NotFound, UsageError
from leaseq.layout import Home
from leaseq.lease.leases import local_id, resolve
from leaseq.models import Lease
from leaseq.protocol import records
from leaseq.world import SystemFs

FS = SystemFs(remote=False)
OLD, NEW = "aaaaaaaaaa", "bbbbbbbbbb"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(str(tmp_path))
    os.mkdir(home.runs)
    return home


def lease(home: Home, job: str, token: str, *, created: float, name: str = "", ended: bool = False) -> str:
    """The id of a lease that Slurm has given that number."""
    record = Lease(job, "slurm", created, name=name, cluster="here", job=job, token=token)
    made = records.register(FS, home, record)
    if ended:
        records.mark_ended(FS, home.lease(made.id), ended=created + 1, reason="TIMEOUT")
    return made.id


def test_a_lease_is_meant_by_its_jobs_number_and_its_name_while_it_lives_and_afterwards(home: Home) -> None:
    made = lease(home, "17", OLD, created=1.0, name="night")
    assert [resolve(FS, home, word) for word in ("17", "night", "1")] == [made] * 3
    records.mark_ended(FS, home.lease(made), ended=2.0, reason="TIMEOUT")
    assert [resolve(FS, home, word) for word in ("17", "night", "1")] == [made] * 3


def test_a_number_that_came_again_means_the_living_lease_and_else_the_one_of_that_id(home: Home) -> None:
    old = lease(home, "17", OLD, created=1.0, name="night", ended=True)
    new = lease(home, "17", NEW, created=2.0, name="night")
    assert (old, new) == ("17", f"17.{NEW}")
    assert [resolve(FS, home, word) for word in ("17", "night", new)] == [new] * 3
    records.mark_ended(FS, home.lease(new), ended=3.0, reason="TIMEOUT")
    assert (resolve(FS, home, "17"), resolve(FS, home, "night")) == (old, new)


def test_what_several_living_leases_are_called_is_no_answer(home: Home) -> None:
    lease(home, "17", OLD, created=1.0, name="night")
    lease(home, "18", NEW, created=2.0, name="night")
    for word in ("night", "1"):
        with pytest.raises(UsageError, match=r"17, 18|18, 17"):
            resolve(FS, home, word)
    with pytest.raises(NotFound, match="no lease '9'"):
        resolve(FS, home, "9")
    assert resolve(FS, home, "local") == local_id()
