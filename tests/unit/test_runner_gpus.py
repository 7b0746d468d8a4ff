"""What the GPUs do now, as programs named nvidia-smi on PATH tell it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leaseq.heartbeat import GpuUse
from leaseq.node.gpus import GpuWatch, granted, measure, parse
from leaseq.node.grant import LEVEL_ZERO, Gpus
from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
ROWS = """\
0, GPU-aa, NVIDIA A100-SXM4, 93, 100, 40960, 61, 312.5
1, GPU-bb, Odd, name, [N/A], [Not Supported], 24576, ERR!, [N/A]
"""
FIRST = GpuUse("0", "GPU-aa", "NVIDIA A100-SXM4", 93.0, 100.0, 40960.0, 61.0, 312.5)
SECOND = GpuUse("1", "GPU-bb", "Odd, name", None, None, 24576.0, None)


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "nvidia-smi"


def says(driver: Path, script: str) -> None:
    driver.write_text(f"#!/bin/sh\n{script}\n")
    driver.chmod(0o755)


def looked(watch: GpuWatch) -> tuple[tuple[GpuUse, ...], str]:
    """What the watch tells once it tells something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (told := watch.look())[0] and not told[1]:
        assert time.monotonic() < deadline, told
        time.sleep(0.01)
    return told


def test_rows_are_read_and_what_the_driver_does_not_say_is_none() -> None:
    assert parse(ROWS + "\nNo devices were found\n,,,\n0\n") == (FIRST, SECOND)


def test_only_the_granted_are_told_by_the_names_they_were_granted_under() -> None:
    seen = (FIRST, SECOND)
    assert [use.token for use in granted(seen, ("GPU-bb", "0"))] == ["GPU-bb", "0"]
    assert granted(seen, ("GPU-b",))[0].uuid == "GPU-bb"
    assert granted(seen, ("7", "MIG-1")) == ()


def test_one_bad_row_does_not_hide_the_others(driver: Path) -> None:
    says(driver, f"cat <<'END'\n{ROWS}END")
    assert granted(measure(), ("0", "1"))[1].token == "1"
    assert len(measure()) == 2


def test_the_words_of_a_failing_driver_are_told(driver: Path) -> None:
    says(driver, "echo 'NVIDIA-SMI has failed'; exit 9")
    assert looked(GpuWatch(Gpus(("0",)))) == ((), "nvidia-smi: NVIDIA-SMI has failed")


def test_the_granted_cards_of_intels_are_told_and_its_tools_words(driver: Path) -> None:
    tool = driver.with_name("xpu-smi")
    rows = "06:14:46.000, 0, 0.00, 14.61, 35, 24\\n06:14:46.000, 1, 93, 301, 61, 9000\\n"
    says(tool, f"case $* in dump*) printf '{rows}';; *--dump*) printf '0\\n1\\n';; *) echo Device;; esac")
    assert looked(GpuWatch(Gpus(("1",), LEVEL_ZERO))) == ((GpuUse("1", "", "", 93.0, 9000.0, None, 61.0, 301.0),), "")
    says(tool, "echo 'Level Zero Initialization Error'; exit 250")
    assert looked(GpuWatch(Gpus(("1",), LEVEL_ZERO))) == ((), "xpu-smi: Level Zero Initialization Error")


def test_a_driver_that_says_nothing_is_told_as_such(driver: Path) -> None:
    says(driver, "exit 0")
    assert looked(GpuWatch(Gpus(("0",)))) == ((), "nvidia-smi: it lists no GPU")


def test_a_driver_that_hangs_makes_no_caller_wait(driver: Path, tmp_path: Path) -> None:
    """In a process of its own, which leaves the hanging thread behind, and the driver, which holds its stderr."""
    says(driver, "exec sleep 30")
    code = (
        "import time; from leaseq.node.gpus import GpuWatch; from leaseq.node.grant import Gpus\n"
        "w = GpuWatch(Gpus(('0',)), deadline_seconds=0.2); b = time.monotonic()\n"
        "assert w.look() == ((), '')\n"
        "while not w.look()[1] and time.monotonic() - b < 10: time.sleep(0.01)\n"
        "print(w.look()[1], time.monotonic() - b < 5, flush=True); import os; os._exit(0)"
    )
    with open(tmp_path / "stderr", "w") as said:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
    assert done.stdout.split(" for ")[0] == "nvidia-smi has not answered", (tmp_path / "stderr").read_text()
    assert done.stdout.endswith("True\n")


def test_no_driver_to_ask_is_a_normal_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert GpuWatch(Gpus(("0",))).look() == ((), "")


def children(pid: int) -> list[str]:
    """The processes that it has started and that are alive."""
    return subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("known", [True, False], ids=["measuring", "listing"])
def test_a_driver_that_hangs_is_ended_with_whoever_asks_it(driver: Path, tmp_path: Path, known: bool) -> None:
    says(driver, f"echo $$ >{tmp_path}/pid; sleep 600")
    watch = GpuWatch(Gpus(("0",), known=known), deadline_seconds=3600)
    thread = watch.ask()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (tmp_path / "pid").exists() or not (said := (tmp_path / "pid").read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    inner = children(int(said))
    watch.close()
    while any(os.path.exists(f"/proc/{pid}") for pid in (said, *inner)):
        assert time.monotonic() < deadline, "the driver's program outlives its asker"
        time.sleep(0.01)
    thread.join(60)
    assert not thread.is_alive()


def test_a_slow_driver_is_asked_until_it_tells_and_whoever_waits_is_told(driver: Path, tmp_path: Path) -> None:
    says(driver, f"[ -e {tmp_path}/warm ] || {{ echo warming up; exit 9; }}; echo 'GPU 0: Tesla (UUID: GPU-a)'")
    told: list[bool] = []
    watch = GpuWatch(Gpus(known=False), told=lambda: told.append(watch.gpus.known))
    watch.ask().join(60)
    assert (watch.gpus.known, watch.look(), told) == (False, ((), "nvidia-smi: warming up"), [False])
    (tmp_path / "warm").touch()
    watch.ask().join(60)
    assert (watch.gpus.tokens, told) == (("0",), [False, True])
