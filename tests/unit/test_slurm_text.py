"""Slurm's texts as values. The samples are what Slurm 22.05 printed."""

from __future__ import annotations

import pytest

from leaseq.hostlist import expand_hosts
from leaseq.lease.slurm.text import SEPARATOR, parse_duration, parse_job_id, parse_rows


def line(**given: str) -> str:
    values = {
        "id": "12",
        "state": "RUNNING",
        "left": "29:58",
        "limit": "30:00",
        "starts": "2026-11-24T00:52:32",
        "submitted": "2026-11-24T00:52:31",
        "count": "2",
        "partition": "gpu",
        "cpus": "2",
        "nodes": "node[1-2]",
        "reason": "None",
        "user": "u",
        "script": "/home/u/.leaseq/scripts/x.sh",
        "comment": "(null)",
        "name": "leaseq",
    }
    return SEPARATOR.join({**values, **given}.values())


def test_a_running_job_is_read() -> None:
    (row,) = parse_rows(line() + "\n")
    assert (row.id, row.state, row.left_seconds, row.nodes, row.reason) == ("12", "RUNNING", 1798.0, "node[1-2]", "")
    assert (row.user, row.script, row.comment) == ("u", "/home/u/.leaseq/scripts/x.sh", "")
    assert not row.ended


def test_a_pending_job_has_a_reason_and_no_nodes() -> None:
    (row,) = parse_rows(line(state="PENDING", left="1:00", starts="N/A", nodes="", reason="Resources"))
    assert (row.reason, row.nodes, row.starts) == ("Resources", "", "")


def test_banners_and_warnings_are_no_jobs() -> None:
    text = f"*** maintenance on Monday ***\n{line()}\nslurm_load_jobs error: nothing\n12|RUNNING\n"
    assert [row.id for row in parse_rows(text)] == ["12"]


def test_a_name_may_hold_anything_that_slurm_lets_pass() -> None:
    (row,) = parse_rows(line(name="a|b, c\td"))
    assert row.name == "a|b, c\td"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0:00", 0),
        ("4:48", 288),
        ("1:00:00", 3600),
        ("2-03:04:05", 183845),
        ("59", 59),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("NOT_SET", None),
        ("N/A", None),
        ("", None),
        ("1:2:3:4", None),
    ],
)
def test_a_duration_is_seconds_or_unknown(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("output", "job"),
    [
        ("123\n", ("123", "")),
        ("123;cluster2\n", ("123", "cluster2")),
        ("Welcome! 2 users, 17 jobs\n\n4711\n", ("4711", "")),
        ("4711\nYour project has 12 hours left\n", ("4711", "")),
        ("1\n2\n", ("2", "")),
        ("", None),
        ("Submitted batch job 5\n", None),
        ("sbatch: error: 12\n", None),
    ],
)
def test_the_job_id_is_found_among_banners(output: str, job: tuple[str, str] | None) -> None:
    assert parse_job_id(output) == job


@pytest.mark.parametrize(
    ("folded", "names"),
    [
        ("node3", ["node3"]),
        ("node[1-3]", ["node1", "node2", "node3"]),
        ("n[01-03,7],login", ["n01", "n02", "n03", "n7", "login"]),
        ("a[1-2]b[3,5]", ["a1b3", "a1b5", "a2b3", "a2b5"]),
        ("rack[098-101]", ["rack098", "rack099", "rack100", "rack101"]),
        ("", []),
    ],
)
def test_a_host_list_unfolds_as_scontrol_does(folded: str, names: list[str]) -> None:
    assert list(expand_hosts(folded)) == names


@pytest.mark.parametrize("folded", ["n[1-", "n]1[", "n[a-b]", "n[1-99999999]", "n[[1]]"])
def test_what_is_no_host_list_is_said_to_be_none(folded: str) -> None:
    with pytest.raises(ValueError, match="host list"):
        expand_hosts(folded)
