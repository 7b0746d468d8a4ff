"""A runner whose home was removed ends with its keeper, once nothing of it runs; one that cannot reach it does not."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from leaseq.runner.homewatch import HomeWatch
from tests.e2e.harness import Node, processes
from tests.patience import wait_until


def left(node: Node) -> list[int]:
    mark = f"LEASEQ_HOME={node.home}\0".encode()
    return [pid for pid in processes(lambda environ: mark in environ) if pid != os.getpid()]


@pytest.mark.slow
@pytest.mark.parametrize("removed", ["home", "lease"])
def test_a_runner_and_its_keeper_end_with_their_home_once_no_task_runs(node: Node, removed: str) -> None:
    node.gone = "2"
    runner = node.start()
    go_on = node.path / "go-on"
    os.mkfifo(go_on)
    task = node.shell(f"touch {node.path}/began; cat {go_on}; touch {node.path}/ended")
    wait_until(lambda: (node.path / "began").exists(), f"the start of {task}")
    shutil.rmtree(node.home if removed == "home" else node.lease.root)
    wait_until(lambda: not os.path.exists(node.lease.root), "the removal")
    began = time.monotonic()
    # Longer than it takes until a home counts as gone: heartbeats every 5 s, three looks.
    wait_until(lambda: time.monotonic() - began > 25 or runner.poll() is not None, "a while", seconds=60)
    assert runner.poll() is None, "while a task runs, the runner stays"
    go_on.write_text("")
    wait_until(lambda: (node.path / "ended").exists(), "the end of the task: it went on", seconds=60)
    wait_until(lambda: runner.poll() is not None, "the end of the runner", seconds=60)
    assert "is gone: nothing is left to serve" in node.said.read_text()
    wait_until(lambda: not left(node), "the end of the keeper", seconds=60)


# -- what is no removal ------------------------------------------------------------------------------


class Watch:
    def __init__(self, path: Path) -> None:
        self.root = path / "h" / "runs" / "1"
        self.root.mkdir(parents=True)
        self.told = 0
        self.watch = HomeWatch(str(self.root), gone_seconds=0.05, told=self.tell)

    def tell(self) -> None:
        self.told += 1

    def looks(self, count: int = 4) -> bool:
        for _ in range(count):
            self.watch.look()
            time.sleep(0.03)
        return self.watch.gone


def test_absence_counts_only_at_several_looks_over_the_time(tmp_path: Path) -> None:
    each = Watch(tmp_path)
    each.root.rmdir()
    each.watch.look()
    assert not each.watch.gone
    assert each.looks(8) and each.told == 1, "told at each look, the runner never rested while a task ran"


def test_a_directory_that_comes_back_was_never_gone(tmp_path: Path) -> None:
    each = Watch(tmp_path)
    each.root.rmdir()
    each.looks(2)
    each.root.mkdir()
    each.watch.look()
    each.root.rmdir()
    each.watch.look()
    assert not each.watch.gone, "the time counts anew"


def test_what_cannot_be_listed_is_not_gone(tmp_path: Path) -> None:
    each = Watch(tmp_path / "mount")
    shutil.rmtree(tmp_path / "mount")
    assert not each.looks(), "the directory above the home is not there either"


def test_an_empty_directory_of_another_file_system_is_an_unmounted_one(tmp_path: Path) -> None:
    each = Watch(tmp_path)
    other = "/dev/shm"
    if os.stat(other).st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("one file system")
    shutil.rmtree(tmp_path / "h")
    os.rmdir(tmp_path)
    os.symlink(other, tmp_path)
    try:
        assert not each.looks()
    finally:
        os.unlink(tmp_path)
