"""`leaseq init` where there is no Slurm, or one that does not answer, or one with accounts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from leaseq.config import load
from leaseq.layout import Home
from tests.contract.site import Terminal
from tests.e2e.cli import Box

LEASEQ = (sys.executable, "-m", "leaseq")
SINFO = r"""
case "$*" in
*%N*) echo atlas; echo "$(hostname | cut -d. -f1)";;
*) printf '%s\037' 'gpu*' up 2-00:00:00 4 64 256000; echo 'gpu:a100:8(S:0-1)';;
esac
"""
SACCTMGR = """
echo "$USER|physics|big|physics||normal,high|normal"
echo "$USER|physics|big|bio||normal|"
echo "$USER|physics|other|guests||normal|"
"""


def place(box: Box, **programs: str) -> dict[str, str]:
    """The environment of a host that has these programs alone, as scripts, beside a shell's."""
    bin = box.path / "bin"
    bin.mkdir()
    for name in ("sh", "cut", "hostname", "echo", "printf", "sleep"):
        (bin / name).symlink_to(next(path for each in ("/bin", "/usr/bin") if (path := Path(each, name)).exists()))
    for name, script in programs.items():
        (bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin / name).chmod(0o755)
    return {"PATH": str(bin)}


def settings(box: Box) -> str:
    path = box.home / "config.yaml"
    return path.read_text() if path.exists() else ""


def test_without_a_terminal_it_says_how_and_does_nothing(box: Box) -> None:
    said = box.run("init", env=place(box), code=2)
    assert "nobody is there to answer" in said.err and "--yes" in said.err
    assert not box.home.exists()


def test_on_a_host_without_slurm_little_is_asked_and_without_an_answer_nothing_written(box: Box) -> None:
    alone = place(box)
    said = box.run("init", "--yes", env=alone)
    assert "no Slurm on this host" in said.err and "nothing to write" in said.err
    assert said.err.count("[") == 0 and said.err.count("leaseq: How may the monitor call you") == 1
    assert "python" in said.out and settings(box) == ""
    terminal = Terminal([*LEASEQ, "init"], {**box.environment, **alone, "TERM": "xterm-kitty"}, box.work)
    terminal.expect("How may the monitor call you (bell, osc9, osc777, off)? [osc9] ")
    terminal.type("\n")
    terminal.expect("config.yaml? [yes] ")
    terminal.type("\n")
    terminal.expect("renames, links")
    assert terminal.end() in (0, 1)
    assert settings(box).splitlines()[1:] == ["monitor_notify: osc9"]


def test_who_has_no_lease_is_told_the_ways_that_there_are(box: Box) -> None:
    alone = place(box)
    here, add, init = "`leaseq submit -- COMMAND` uses this host", "`leaseq add` asks Slurm for nodes", "`leaseq init`"

    def said(env: dict[str, str]) -> list[bool]:
        told = box.run("lease", "ls", env=env, code=0).err
        return [words in told for words in (here, add, init)]

    assert said(alone) == [True, False, False]
    (box.path / "bin" / "sbatch").write_text("#!/bin/sh\n")
    (box.path / "bin" / "sbatch").chmod(0o755)
    assert said(alone) == [True, True, True]
    box.home.mkdir(mode=0o700)
    (box.home / "config.yaml").write_text("local: never\n")
    assert said(alone) == [False, True, False]


def test_what_slurm_does_not_say_is_unknown_and_can_be_typed(box: Box) -> None:
    down = "echo 'Unable to contact slurm controller (connect failure)' >&2; exit 1"
    broken = place(box, sbatch="exit 0", sinfo=down, sacctmgr="echo 'sacctmgr: error: Connection refused' >&2; exit 1")
    terminal = Terminal([*LEASEQ, "init"], {**box.environment, **broken, "TERM": "xterm"}, box.work)
    terminal.expect("not known: sinfo: Unable to contact slurm controller")
    terminal.expect("not known: sacctmgr: sacctmgr: error: Connection refused")
    for question, typed in (
        ("Keep tasks off this host (whether it is a node is not known)? [no] ", ""),
        ("Partition (-p) (what there is is not known)? [-] ", "big"),
        ("Account (-A) (what there is is not known)? [-] ", "physics"),
        ("Nodes (-N)? [1] ", ""),
        ("GPUs of each node (--gres) (what there is is not known)? [-] ", "a100:4"),
        ("CPUs of each node (-c) (what there is is not known)? [-] ", ""),
        ("Time limit (-t)? [4:00:00] ", "90"),
        ("(--idle)? [30m] ", "off"),
        ("Name of the profile? [big] ", ""),
        ("How may the monitor call you", "-"),
        ("config.yaml? [yes] ", ""),
    ):
        terminal.expect(question)
        if question.startswith("Account"):
            terminal.type("\x1b[A\n")
            terminal.expect("a key has been pressed that is no letter")
            terminal.expect(question)
        terminal.type(f"{typed}\n")
    terminal.expect("leaseq: wrote ")
    terminal.expect("slurm")
    terminal.end()
    profile = load(Home(str(box.home))).profiles["big"]
    assert profile.idle == "" and profile.slurm == (
        *("--partition=big", "--account=physics", "--nodes=1", "--gres=gpu:a100:4", "--time=1:30:00"),
    )


def test_accounts_qualities_of_service_and_other_clusters_are_those_of_the_user(box: Box) -> None:
    conf = "echo 'ClusterName             = big'; echo 'SLURM_VERSION           = 24.11.5'"
    whole = place(box, sbatch="exit 0", sinfo=SINFO, sacctmgr=SACCTMGR, scontrol=conf)
    said = box.run("init", "--yes", "--dry-run", env=whole, code=0)
    assert "leaseq: cluster big" in said.err and "accounts on other clusters, too: other" in said.err
    assert "Keep tasks off this host (it is one of the cluster's nodes): no" in said.err
    assert said.out.splitlines()[1:] == [
        *("profiles:", "  gpu:  # leaseq add --profile gpu", "    slurm:", "      partition: gpu"),
        *("      account: physics", "      qos: normal", "      nodes: 1", "      gres: gpu:a100:8"),
        *("      cpus-per-task: 64", "      time: 4:00:00", "    idle: 30m"),
    ]
    assert not box.home.exists()


def test_settings_elsewhere_stay_there_and_wrong_ones_are_told_before_anything_is_asked(box: Box) -> None:
    env = place(box, sbatch="exit 0", sinfo=SINFO, sacctmgr=SACCTMGR, scontrol="exit 1")
    box.home.mkdir(mode=0o700)
    own = box.path / "dotfiles.yaml"
    own.write_text("idle: 1h  # mine\n")
    (box.home / "config.yaml").symlink_to(own)
    said = box.run("init", "--yes", env=env)
    assert "leaseq: wrote" in said.err and os.path.islink(box.home / "config.yaml")
    assert own.read_text().startswith("idle: 1h  # mine\nprofiles:\n  gpu:") and "idle: 30m" not in own.read_text()
    own.write_text("idel: 1h\n")
    assert "unknown key 'idel'" in box.run("init", "--yes", env=env, code=2).err
