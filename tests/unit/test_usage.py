"""What real processes use, by /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from leaseq.node import usage
from leaseq.node.usage import Usage, look
from tests.patience import wait_until

BURNS = "import os\nwhile True: pass"
SLEEPS = "import os, time\nheld = b'x' * (64 << 20)\nmother = os.getppid()\nwhile os.getppid() == mother: time.sleep(1)"
"""It ends with its parent, whatever session it is in."""


class Spawned:
    """Sessions of processes that end with the test."""

    def __init__(self) -> None:
        self.leaders: list[subprocess.Popen[bytes]] = []

    def session(self, line: str) -> int:
        """The pid of a shell that leads a session of its own and runs the line."""
        child = subprocess.Popen(["bash", "-c", line], start_new_session=True)
        self.leaders.append(child)
        return child.pid


@pytest.fixture
def spawned() -> Iterator[Spawned]:
    made = Spawned()
    yield made
    for leader in made.leaders:
        os.killpg(leader.pid, signal.SIGKILL)
        leader.wait()


def test_a_task_uses_what_its_processes_use_and_no_others(spawned: Spawned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "PERIOD_SECONDS", 0.0)
    monkeypatch.setattr(usage, "SHARE", 0)
    busy = spawned.session(f"{sys.executable} -c '{BURNS}' & {sys.executable} -c '{BURNS}' & wait")
    quiet = spawned.session(f'{sys.executable} -c "{SLEEPS}"; true')
    found = Usage()

    def measured() -> bool:
        use = found.of((busy, quiet))
        return (
            len(use) == 2
            and use[quiet].rss_mb > 64
            and (use[busy].cpus or 0.0) > 0.2
            and use[quiet].cpus == 0.0
            and use[busy].rss_mb < 64
        )

    wait_until(measured, "two that compute, one that sleeps on 64 MiB", seen=lambda: found.of((busy, quiet)))


def test_a_process_that_left_the_session_counts_as_long_as_it_descends(spawned: Spawned) -> None:
    leader = spawned.session(f'setsid {sys.executable} -c "{SLEEPS}"; true')
    wait_until(lambda: look(frozenset((leader,)))[leader].pages > (64 << 20) // 4096, "its memory", seen=lambda: leader)


def test_nothing_is_known_of_a_task_that_is_gone_nor_of_its_load_at_the_first_look(spawned: Spawned) -> None:
    leader = spawned.session("sleep 600")
    found = Usage()
    assert found.of((leader,))[leader].cpus is None
    assert found.of(()) == found.of((leader,)), "within the period nothing is looked at again"
    assert look(frozenset((1 << 30,))) == {}
