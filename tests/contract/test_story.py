"""`lease info` tells the story of a lease: its jobs in time, what they held and what of that was used."""

from __future__ import annotations

import json

import pytest

from tests.contract.site import Site
from tests.contract.test_allocations import ONE, OTHER


def story(site: Site, lease: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(site.ok("lease", "info", lease, "--json"))["lease"]["history"]
    return found


def hours(row: dict[str, object], name: str) -> float:
    value = row[name]
    assert isinstance(value, float), row
    return value


@pytest.mark.timeout(300)
def test_each_job_of_a_lease_has_held_and_used_so_much_and_ended_for_its_reason(site: Site) -> None:
    lease = site.add("--gres=gpu:2", *ONE)
    job = site.join(lease, "--gres=gpu:1", *OTHER)
    waits = site.ok("add", "--detach", "--to", lease, "--hold", *ONE)
    used = site.ok("submit", "--node", "node1", "--gpus", "1", "--", "sleep", "2")
    swept = site.ok("submit", "--node", "node2", "--gpus", "1", "-a", "0-1", "--", "sleep", "1")
    site.ok("wait", used, swept)
    held = site.ok("submit", "--hold", "--", "true")
    site.ok("lease", "release", lease, "--job", job, "--yes")
    site.wait_until(lambda: job not in site.squeue("-o", "%i"), "the end of the second job", seconds_max=90)
    site.keep_up(lease)
    site.wait_until(lambda: (site.lease_dir(lease) / "allocs" / f"_{job}").exists(), "its end is known")
    first, second, third = story(site, lease)
    assert [row["job"] for row in (first, second, third)] == [lease, job, waits]
    assert (first["nodes"], second["nodes"], third["nodes"]) == (["node1"], ["node2"], [])
    assert (second["end_reason"], first["until"], third["since"], third["node_hours"]) == ("released", None, None, None)
    assert hours(first, "node_hours") > hours(first, "node_hours_used") >= 2 / 3600
    assert hours(first, "gpu_hours") == pytest.approx(2 * hours(first, "node_hours"), rel=0.01)
    assert hours(first, "gpu_hours_used") == pytest.approx(hours(first, "node_hours_used"), rel=0.01)
    assert hours(second, "gpu_hours") > hours(second, "gpu_hours_used") >= 2 / 3600
    fourth = site.join(lease, "--gres=gpu:2", *OTHER)
    for name in ("gpu_hours", "gpu_hours_used"):
        told = hours(story(site, lease)[1], name)
        assert told == pytest.approx(hours(second, name), rel=0.05), "it stays, though another job has its node now"
    text = site.ok("lease", "info", lease)
    assert "waits:" in text and "1 Held" in text
    (line,) = [line for line in text.splitlines() if line.startswith(job)]
    assert line.endswith("ENDED (released), node2")
    site.ok("cancel", held)
    site.ok("lease", "release", lease, "--yes")
    site.wait_until(lambda: not site.squeue("-o", "%i"), "the end of all", seconds_max=90)
    site.keep_up(lease)
    site.wait_until(lambda: site.record(lease).get("ended"), "the lease's end")
    again = story(site, lease)
    assert [row["job"] for row in again] == [lease, job, waits, fourth]
    assert again[0]["until"] is not None and hours(again[0], "gpu_hours_used") == hours(first, "gpu_hours_used")
    assert again[0]["end_reason"] == "released"
