"""Tasks that come after others, in leases of a cluster."""

from __future__ import annotations

import json

from tests.contract.site import Site


def row(site: Site, task: str) -> dict[str, object]:
    (found,) = json.loads(site.ok("info", task, "--json"))["tasks"]
    assert isinstance(found, dict)
    return found


def test_a_task_of_one_lease_comes_after_one_of_another(site: Site) -> None:
    one, other = site.add("-N1"), site.add("-N1")
    gate = site.directory / "gate"
    line = f"until [ -e {gate} ]; do sleep 0.1; done; test -s {gate}"
    train = site.ok("submit", "--lease", one, "-c1", "--", line)
    judge = site.ok("submit", "--lease", other, "-c1", "--after", train, "--", "true")
    report = site.ok("submit", "--lease", one, "-c1", "--after", judge, "--", "true")
    assert row(site, judge)["reason"] == f"Dependency: {train} in {one}"
    gate.touch()
    assert site.leaseq("wait", report).returncode == 120, "what can never start is cancelled, in both leases"
    assert row(site, judge)["reason"] == f"Dependency: {train} FAILED"
    gate.write_text("well")
    assert json.loads(site.ok("retry", train, "--json"))["revived"] == [judge, report]
    site.ok("wait", train, judge, report)
    assert [row(site, task)["attempt"] for task in (train, judge, report)] == [2, 2, 2]
    assert row(site, judge)["lease"] == other


def test_a_task_of_one_lease_comes_after_one_index_of_an_array_of_another(site: Site) -> None:
    one, other = site.add("-N1"), site.add("-N1")
    begin, end, well = (site.directory / name for name in ("begin", "end", "well"))
    line = f"""
        until [ -e {begin} ]; do sleep 0.1; done
        case {{i}} in 1) test -e {well};; 2) until [ -e {end} ]; do sleep 0.1; done;; esac"""
    sweep = site.ok("submit", "--lease", one, "-c1", "-a", "0-2", "--", line)
    after, cut, last = (
        site.ok("submit", "--lease", other, "-c1", "--after", f"{sweep}_{index}", "--", "true") for index in range(3)
    )
    assert row(site, after)["waits_for"] == [f"ok:{sweep}_0"]
    begin.touch()
    site.ok("wait", after)
    assert site.leaseq("wait", cut).returncode == 120
    assert row(site, cut)["reason"] == f"Dependency: {sweep}_1 FAILED" and row(site, last)["state"] == "PENDING"
    end.touch()
    site.ok("wait", last)
    assert site.leaseq("wait", sweep).returncode == 1
    well.touch()
    assert json.loads(site.ok("retry", f"{sweep}_1", "--json"))["revived"] == [cut]
    site.ok("wait", sweep, cut)


def test_an_array_of_one_lease_waits_index_by_index_for_one_of_another(site: Site) -> None:
    one, other = site.add("-N1"), site.add("-N1")
    end, well, began = (site.directory / name for name in ("end", "well", "began"))
    line = f"case {{i}} in 1) test -e {well};; 2) until [ -e {end} ]; do sleep 0.1; done;; esac"
    sweep = site.ok("submit", "--lease", one, "-c1", "-a", "0-2", "--", line)
    down = site.ok(
        "submit", "--lease", other, "-c1", "-a", "0-2", "-d", f"aftercorr:{sweep}", "--", f"echo {{i}} >> {began}"
    )
    last = site.ok("submit", "--lease", one, "-c1", "-a", "0-2", "--after", f"each:{down}", "--", "true")
    assert row(site, down)["waits_for"] == [f"each:{sweep}"]
    site.ok("wait", f"{down}_0")
    assert site.leaseq("wait", f"{down}_1").returncode == 120, "its own has failed, and the others go on"
    assert row(site, f"{down}_1")["reason"] == f"Dependency: {sweep}_1 FAILED"
    assert row(site, f"{down}_2")["reason"] == f"Dependency: {sweep}_2 RUNNING" and began.read_text() == "0\n"
    end.touch()
    assert site.leaseq("wait", last).returncode == 120
    assert site.leaseq("wait", sweep).returncode == 1
    well.touch()
    assert json.loads(site.ok("retry", sweep, "--json"))["revived"] == [down, last]
    site.ok("wait", sweep, down, last)
    assert began.read_text().split() == ["0", "2", "1"]
    assert [row(site, f"{task}_1")["attempt"] for task in (sweep, down, last)] == [2, 2, 2]
