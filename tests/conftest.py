"""For all tests: Hypothesis tries the same examples each time, untimed; LEASEQ_HYPOTHESIS=long tries many new ones."""

from __future__ import annotations

import gc
import os
import signal
import sys
from zlib import crc32

import pytest
from hypothesis import settings

from tests.patience import LONG

# A background job of a shell has it ignored, and every program that a test starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Else each of some ten thousand processes compiles all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Else each shell does what the files of whoever tests say, and one that is killed while it does leaves a lock behind.
os.environ["HOME"] = "/nonexistent"

# Else a test's cluster has the leases of whoever tests.
TESTS_OWN = ("LEASEQ_TEST_", "LEASEQ_CLIENTS", "LEASEQ_BLESS", "LEASEQ_HYPOTHESIS")
for name in [name for name in os.environ if name.startswith("LEASEQ_") and not name.startswith(TESTS_OWN)]:
    del os.environ[name]

settings.register_profile(
    "leaseq", derandomize=not LONG, database=None, deadline=None, max_examples=2000 if LONG else 40
)
settings.load_profile("leaseq")


# Histories make and drop many small values: a fifth of their time is the collector's.
gc.set_threshold(10_000, 10, 10)


def pytest_collection_finish() -> None:
    """What was collected stays for the whole run: the collector need not look at it again."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """What is left is looked through once; pytest does so five times."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each worker begins with its share of the slow tests: what waits long is no one's last, nor all one's.

    Files follow each other in no order of their names: then at any time some tests wait and some reckon.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    slow = [item for item in items if item.get_closest_marker("slow")]
    rest = [item for item in items if not item.get_closest_marker("slow")]
    rest.sort(key=lambda item: crc32(bytes(item.path)))
    bounds = [len(rest) * each // workers for each in range(workers + 1)]
    items[:] = [
        item for n in range(workers) for item in (*_turned(slow[n::workers], n), *rest[bounds[n] : bounds[n + 1]])
    ]


def _turned(slow: list[pytest.Item], worker: int) -> list[pytest.Item]:
    """Every other worker begins elsewhere: the first of them wait for clusters, and the next ones reckon."""
    first = len(slow) // 3 if worker % 2 else 0
    return slow[first:] + slow[:first]
