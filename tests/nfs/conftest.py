"""The machines of these tests, booted once: `make test-nfs` runs them, nothing else does."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.debian import Unavailable
from tests.nfs.cluster import Cluster
from tests.nfs.figures import Figures


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if not os.environ.get("LEASEQ_TEST_NFS"):
        pytest.skip("`make test-nfs` runs this")
    try:
        made = Cluster()
    except Unavailable as error:
        pytest.exit(f"real NFS cannot be tested: {error}", returncode=2)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Iterator[Figures]:
    """What is measured; shown and kept at the end, whatever failed."""
    made = Figures()
    yield made
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(made.text())
    made.keep()
