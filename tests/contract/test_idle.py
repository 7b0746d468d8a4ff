"""A lease that nothing uses gives its nodes back by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from leaseq.layout import LeaseDir
from leaseq.protocol import allocs, leaving, requests
from leaseq.world import SystemFs
from tests.contract.site import Site
from tests.contract.test_allocations import ONE, runs, states

SHORT_SECONDS = 5.0


def shorten(site: Site, lease: str) -> None:
    """The lease may stand unused for some seconds alone, which nobody can ask for."""
    fs, directory = SystemFs(remote=False), LeaseDir(lease, str(site.lease_dir(lease)))
    for each in allocs.living_of(fs, directory):
        leaving.set_limit(fs, allocs.directory(directory, each), SHORT_SECONDS)
        for node in allocs.nodes_of(fs, directory, each):
            requests.ask(fs, directory, node, "idle", {})


def gone(site: Site, lease: str) -> None:
    site.wait_until(lambda: lease not in site.squeue("-o", "%i"), "the end of the job", seconds_max=90)
    site.keep_up(lease)
    site.wait_until(lambda: site.record(lease).get("ended") is not None, "the lease's end")


def told(site: Site, field: str) -> list[Any]:
    """What the nodes of the lease in use say, in their order."""
    return [each[field] for each in json.loads(site.ok("status", "--json"))["nodes"]]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_job_of_two_nodes_leaves_once_nothing_uses_it_and_not_before(site: Site) -> None:
    lease = site.add("--name", "sweep", "--idle", "30m", "-N2", "-c2")
    assert told(site, "idle_limit_seconds") == [1800.0, 1800.0]
    gate = site.directory / "gate"
    task = site.ok(
        "submit", "--node", "node2", "--cpus", "1", "--", "bash", "-c", f"until [ -e {gate} ]; do sleep 0.1; done"
    )
    runs(site, lease, task)
    too_big = site.ok("submit", "--hold", "--", "true")
    shorten(site, lease)
    terminal = site.terminal("shell", "--plain", "--node", "node1")
    terminal.expect("# ")
    gate.touch()
    site.ok("wait", task)
    site.wait_until(lambda: told(site, "used_by") == ["a shell", ""], "only the shell uses the lease")
    site.wait_until(
        lambda: told(site, "unused_seconds")[1] > 3 * SHORT_SECONDS, "the other node stands unused for long"
    )
    assert lease in site.squeue("-o", "%i")
    terminal.type("exit\n")
    assert terminal.end() == 0
    gone(site, lease)
    assert site.record(lease)["end_reason"] == "idle for 5 s"
    assert states(site, lease)[too_big][0] == "PENDING"
    assert '"end_reason": "idle for 5 s"' in site.ok("lease", "info", lease, "--json")


@pytest.mark.timeout(300)
def test_the_limit_is_set_later_and_a_detached_session_keeps_nothing(site: Site) -> None:
    lease = site.add(*ONE)
    done = site.leaseq("lease", "idle", lease, "10m")
    assert f"lease {lease} is given back once nothing has used it for 10 min" in done.stderr
    assert json.loads(site.ok("lease", "idle", lease, "off", "--json"))["idle_limit_seconds"] is None
    refused = site.leaseq("lease", "idle", lease, "30s")
    assert refused.returncode == 2 and "below a minute\n  like 10m" in refused.stderr
    site.ok("submit", "--lease", "local", "--no-start", "--", "true")
    assert "hosts for nodes" in site.leaseq("lease", "idle", "local", "10m").stderr
    shorten(site, lease)
    terminal = site.terminal("shell", "--node", "node1")
    terminal.expect("# ")
    terminal.type("tmux detach-client\n")
    assert terminal.end() == 0
    gone(site, lease)
    assert site.record(lease)["end_reason"] == "idle for 5 s"
