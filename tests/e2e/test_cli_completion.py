"""What bash, zsh and fish complete: in the shells themselves, by what `leaseq completion` prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaseq.cli import complete
from leaseq.cli.completion import SCRIPTS
from leaseq.cli.table import command
from leaseq.commands import COMMANDS
from tests.e2e.cli import Box
from tests.e2e.monitor_screen import Screen

START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(leaseq completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -U compinit && compinit -D; eval "$(leaseq completion zsh)"'),
    "fish": (["fish", "--no-config", "-i"], "leaseq completion fish | source"),
}


SETTINGS = """\
idle: 30m
profiles:
  # the big ones
  a100:  # leaseq add --profile a100
    slurm:
      partition: gpu

  cpu: {slurm: -p cpu}
local: never
"""


class Typing:
    """A shell in a terminal, that has been told to complete leaseq's words."""

    def __init__(self, shell: str, box: Box) -> None:
        self.box = box
        argv, evaluated = START[shell]
        environment = box.environment | {
            "PATH": f"{Path(sys.executable).parent}:{box.environment['PATH']}",
            "HOME": str(box.path),
            "PS1": "$ ",
        }
        self.screen = Screen(argv, environment, columns=120, lines=40)
        self.screen.send(f"cd {box.work}; {evaluated}; echo rea''dy\r")
        self.screen.wait(lambda: any(line.startswith("ready") for line in self.screen.text.splitlines()), "the shell")

    def tab(self, line: str, shown: str) -> None:
        """With Tab behind that line the screen shows this."""
        self.screen.send("\x15")  # Ctrl-U: an empty line
        self.screen.send(f"{line}\t")
        self.screen.shows(shown)


@pytest.fixture(params=START)
def typing(request: pytest.FixtureRequest, box: Box) -> Iterator[Typing]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    made = Typing(request.param, box)
    yield made
    made.screen.close()


def test_a_shell_completes_what_leaseq_knows(typing: Typing) -> None:
    box = typing.box
    task = box.run("submit", "--no-start", "-J", "vit", "-g", "grp", "--", "true").id
    (box.work / "lines of tasks.txt").touch()
    typing.tab("leaseq cance", "leaseq cancel")
    typing.tab("leaseq lease hol", "leaseq lease hold-queue")
    typing.tab(f"leaseq cancel {task[:5]}", f"leaseq cancel {task}")
    typing.tab("leaseq hold --lea", "leaseq hold --lease")
    typing.tab("leaseq tasks --state=DONE,PEN", "--state=DONE,PENDING")
    typing.tab("leaseq tasks -g gr", "leaseq tasks -g grp")
    typing.tab("leaseq info name:v", "leaseq info name:vit")
    typing.tab("leaseq submit -f line", r"lines\ of\ tasks.txt")
    typing.tab("leaseq hook add x --on done,fai", "--on done,failed")
    typing.tab("leaseq hook add x --ready webh", "--ready webhook")
    typing.tab("leaseq hook add x -- unam", "-- uname")
    (box.home / "config.yaml").write_text(SETTINGS)
    typing.tab("leaseq add --profile a1", "--profile a100")
    typing.tab("leaseq submit --cpus 2 -- unam", "-- uname")


@pytest.mark.parametrize("shell", START)
def test_the_script_is_one_that_the_shell_can_read(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n"], input=SCRIPTS[shell], text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_of_what_is_typed_each_option_of_each_command_is_offered() -> None:
    for name in COMMANDS:
        offered = {word for word, _ in complete.candidates([*name.split(), "--"])}
        assert {f"--{option.name}" for option in command(name).options if option.default != "true"} <= offered, name
        assert all(what for _, what in complete.candidates([*name.split(), "--"])), name


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("leaseq ", ["leaseq", ""]),
        ("leaseq info 'a b", ["leaseq", "info", "a b"]),
        ('leaseq info "a b" ', ["leaseq", "info", "a b", ""]),
        ("leaseq info a\\ b", ["leaseq", "info", "a b"]),
    ],
)
def test_a_line_is_parted_though_it_is_not_at_its_end(line: str, words: list[str]) -> None:
    assert complete.split(line) == words


def test_a_tab_asks_no_slurm_and_writes_nothing_and_imports_little(box: Box) -> None:
    fake = box.path / "bin"
    fake.mkdir()
    for name in ("squeue", "scontrol", "sinfo"):
        (fake / name).write_text(f"#!/bin/sh\necho {name} >>{box.path}/asked\n")
        (fake / name).chmod(0o755)
    box.run("submit", "--no-start", "--", "true", code=0)
    (box.home / "config.yaml").write_text(SETTINGS)
    before = {path: path.stat().st_mtime_ns for path in box.home.rglob("*")}
    code = (
        "import sys; from leaseq.cli.main import main; main(['_complete', 'zsh', 'cancel', '']);"
        "main(['_complete', 'zsh', 'submit', '--lease', '']);main(['_complete', 'zsh', 'add', '--profile', '']);"
        "print(sorted({'fire', 'jinja2', 'blessed', 'yaml', 'GPUtil', 'simple_slurm', 'asyncio'} & set(sys.modules)))"
    )
    path = {"PATH": f"{fake}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=box.environment | path, text=True, capture_output=True, check=True
    )
    *offered, imported = done.stdout.splitlines()
    assert any("last" in line for line in offered) and any("local" in line for line in offered)
    assert offered[-2:] == ["a100\ta profile", "cpu\ta profile"]
    assert imported == "[]"
    assert not (box.path / "asked").exists()
    assert {path: path.stat().st_mtime_ns for path in box.home.rglob("*")} == before


def test_a_home_that_is_none_has_nothing_to_offer_and_no_complaint(box: Box) -> None:
    box.home.write_text("")
    done = box.run("_complete", "zsh", "cancel", "", code=0)
    assert (done.out, done.err) == ("", "")
