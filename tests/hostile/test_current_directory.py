"""Who stands in somebody else's directory, with `.` in PATH, runs none of its programs by a command of leaseq's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leaseq import programs
from tests.e2e.cli import Box

SLURM = ("squeue", "sbatch", "srun", "scontrol", "scancel", "sinfo")
NAMES = (*SLURM, "tmux", "env", "sh", "bash", "busctl", "nvidia-smi", "xpu-smi", "less", "redact")


def plant(directory: Path, mark: Path) -> None:
    directory.mkdir(exist_ok=True)
    for name in NAMES:
        (directory / name).write_text(f"#!/bin/sh\necho {name} >>{mark}\n")
        (directory / name).chmod(0o755)


@pytest.mark.parametrize(("entry", "place"), [(".", "."), ("", "."), ("bin", "bin")])
def test_no_command_runs_a_program_of_the_current_directory(box: Box, entry: str, place: str) -> None:
    mark = box.path / "ran"
    plant(box.work / place, mark)
    path = {"PATH": f"{entry}:{os.environ['PATH']}", "EDITOR": "redact"}
    found = {each["what"]: each for each in box.run("doctor", "--json", env=path).json["findings"]}
    assert repr(entry) in found["PATH"]["words"]
    box.run("add", "-t", "10", "-y", "--", "-N1", env=path)
    box.run("lease", "ls", env=path)
    box.run("shell", "--plain", "--", "/bin/true", env=path)
    done = box.run("submit", "--", "/bin/true", env=path).id
    box.run("wait", done, env=path, code=0)
    held = box.run("submit", "--hold", "--", "/bin/true", env=path).id
    assert "cannot be started" in box.run("edit", held, env=path).err
    assert not mark.exists(), mark.read_text()


def test_a_task_is_looked_up_as_its_user_says(box: Box) -> None:
    (box.work / "mine").write_text("#!/bin/sh\necho mine\n")
    (box.work / "mine").chmod(0o755)
    done = box.run("submit", "--", "mine", env={"PATH": f".:{os.environ['PATH']}"}).id
    assert box.run("wait", done).code == 0
    assert box.run("logs", done).out == "mine\n"


def test_a_path_is_for_itself_and_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plant(tmp_path, tmp_path / "ran")
    assert programs.found("squeue", {"PATH": f":.:{tmp_path}"}) == f"{tmp_path}/squeue"
    assert programs.found("squeue", {"PATH": ".:"}) is None
    assert programs.found("./squeue", {"PATH": ""}) == "./squeue"
    with pytest.raises(FileNotFoundError, match="squeue"):
        programs.path_of("squeue", {"PATH": "."})
