"""Only `lease/` knows which kinds of lease there are: others ask what a lease does, not what it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import leaseq
from leaseq.lease.kinds import is_borrowed
from leaseq.lease.leases import is_own, local_id
from leaseq.models import Lease

PACKAGE = Path(leaseq.__file__).parent
ASKS_THE_KIND = re.compile(
    r"""\.kind\s*(?:==|!=|in)\s*[("'\s]*(?:local|slurm|host)\b   # which kind one is
      | \blocal_id\b | ["']local:                                # ... by what its id looks like
      | \.job\s+or\s                                             # a lease's id as a job's
    """,
    re.VERBOSE,
)
TAKES_A_LEASE_FOR_A_JOB = re.compile(
    r"""(?:sbatch|scancel|squeue|scontrol|srun|--jobid|"-j")[^#]*\blease(?:_id|\.id)\b  # in a command of Slurm's
      | \bjob(?:_id)?\s*[=:]\s*(?:\w+\.)*lease(?:_id|\.id)\b
    """,
    re.VERBOSE,
)
KNOWS = ("lease", "models.py")
"""Those that know: the room, and the record's own reading of its older form."""
OUTSIDE = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in KNOWS)


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_outside_lease_asks_which_kind_a_lease_is(path: Path) -> None:
    said = [line for line in path.read_text().splitlines() if ASKS_THE_KIND.search(line)]
    assert said == []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_takes_the_id_of_a_lease_for_the_number_of_a_job(path: Path) -> None:
    said = [
        line for line in path.read_text().splitlines() if TAKES_A_LEASE_FOR_A_JOB.search(line) and "hint" not in line
    ]
    assert said == []


@pytest.mark.parametrize("line", ['ask(["scancel", lease.id])', 'f"--jobid={record.lease.id}"', "job = alloc.lease_id"])
def test_that_test_sees_it(line: str) -> None:
    assert TAKES_A_LEASE_FOR_A_JOB.search(line)


@pytest.mark.parametrize(
    "line",
    [
        'if record.kind == "slurm":',
        'if self.record.kind != "local":',
        'if row.kind in ("local", "slurm"):',
        "if lease.id == local_id():",
        'if lease.id.startswith("local:"):',
        "job = lease.job or lease.id",
    ],
)
def test_the_test_above_sees_it(line: str) -> None:
    assert ASKS_THE_KIND.search(line)


def test_this_host_is_its_own_lease_and_borrowed_from_nobody() -> None:
    own = Lease(local_id(), "local", 1.0)
    other = Lease("local:elsewhere", "local", 1.0)
    job = Lease("17", "slurm", 1.0)
    assert [is_own(each.id) for each in (own, other, job)] == [True, False, False]
    assert [is_borrowed(each) for each in (own, other, job)] == [False, False, True]
