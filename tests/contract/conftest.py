"""The cluster of the contract suite: LEASEQ_TEST_SLURM is `mock` (default), `real`, `real:cgroup`, or `required`.

`required` is a real Slurm with each way of tracking processes, and a missing one is a failure and not a skip.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.clusters import Cluster, MockCluster, run
from tests.contract.site import Site

KIND = os.environ.get("LEASEQ_TEST_SLURM", "mock")
CLUSTERS = {"mock": ["mock"], "real": ["linuxproc"], "real:cgroup": ["cgroup"], "required": ["cgroup", "linuxproc"]}
HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The contract's tests count as tests of a real Slurm if they run on one."""
    for item in items:
        if KIND != "mock" and item.path.parent == HERE:
            item.add_marker(pytest.mark.real_slurm)


@pytest.fixture(scope="session", params=CLUSTERS[KIND])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster, for all tests of the process."""
    with tempfile.TemporaryDirectory(prefix="lqc-") as name:
        directory = Path(name)
        if request.param == "mock":
            mock = MockCluster(directory)
            yield mock
            mock.stop()
        else:
            yield from real(directory, request.param)


def real(directory: Path, proctrack: str, **shape: object) -> Iterator[Cluster]:
    """A real Slurm of that shape while the caller needs it; skips, or fails if it is required, if there is none."""
    import real_slurm  # type: ignore[import-not-found]

    try:
        real_slurm.require_available(proctrack)
    except real_slurm.Unavailable as reason:
        if KIND == "required":
            pytest.fail(f"LEASEQ_TEST_SLURM=required, but {reason}")
        pytest.skip(str(reason))
    with real_slurm.RealCluster(directory / "c", proctrack=proctrack, **shape) as running:
        running.kind = proctrack
        yield running


@pytest.fixture
def site(cluster: Cluster) -> Iterator[Site]:
    """A user's home on the cluster; every job of the test is gone afterwards, and every process of the home."""
    yield from site_of(cluster)


def site_of(cluster: Cluster) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(dir=cluster.shared, prefix="u") as name:
        site = Site(cluster, Path(name))
        yield site

        def all_gone() -> bool:
            if site.squeue("-t", "PENDING", "-o", "%i"):
                run(["scancel", "--me"], cluster.env, cwd=cluster.shared)  # one was queued again meanwhile
            return not site.squeue("-o", "%i")

        try:
            run(["scancel", "--me"], cluster.env, cwd=cluster.shared)
            site.wait_until(all_gone, "the end of all jobs")
        finally:
            site.end_processes()
