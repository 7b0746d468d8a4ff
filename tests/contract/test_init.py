"""leaseq init on a cluster: what it finds there, asks a person on a terminal, and writes; `add` takes the profile."""

from __future__ import annotations

import pytest

from leaseq.config import load
from leaseq.layout import Home
from tests.contract.site import Site, Terminal


def answer(terminal: Terminal, question: str, text: str = "") -> None:
    terminal.expect(question)
    terminal.type(f"{text}\n")


def test_init_finds_what_there_is_and_a_lease_can_be_asked_for_by_the_profile(site: Site) -> None:
    terminal = site.terminal("init")
    terminal.expect("gpu (default): at most 1:00:00; 3 x 8 CPUs, ")
    terminal.expect(", gpu:4")
    answer(terminal, "Keep tasks off this host (it is none of the cluster's nodes)? [yes] ")
    answer(terminal, "Partition (-p)? [gpu] ", "?")
    terminal.expect("A set of nodes, with limits of its own: gpu, long")
    answer(terminal, "Partition (-p)? [gpu] ", "short")
    terminal.expect("Partition 'short' is not known")
    answer(terminal, "Partition (-p)? [gpu] ", "long")
    answer(terminal, "Nodes (-N)? [1] ", "2")
    answer(terminal, "GPUs of each node (--gres)? [gpu:4] ", "5")
    terminal.expect("a node has 4")
    answer(terminal, "GPUs of each node (--gres)? [gpu:4] ", "2")
    answer(terminal, "CPUs of each node (-c)? [4] ")
    answer(terminal, "Time limit (-t, at most 4:00:00)? [4:00:00] ", "1d")
    terminal.expect("at most 4:00:00")
    answer(terminal, "Time limit (-t, at most 4:00:00)? [4:00:00] ", "20m")
    answer(terminal, "Give the nodes back after so long without use (--idle)? [30m] ", "5s")
    terminal.expect("is below a minute")
    answer(terminal, "Give the nodes back after so long without use (--idle)? [30m] ")
    answer(terminal, "Name of the profile? [long] ", "two")
    answer(terminal, "How may the monitor call you (bell, osc9, osc777, off)? [bell] ")
    terminal.expect("  two:")
    assert not site.home.exists()
    answer(terminal, "config.yaml? [yes] ")
    terminal.expect("leaseq: wrote ")
    terminal.expect("renames, links")
    assert terminal.end() in (0, 1)
    said = load(Home(str(site.home)))
    assert (said.local, said.profiles["two"].idle) == ("never", "30m")
    job = site.job(site.add("--profile", "two"))
    assert {name: job[name] for name in ("Partition", "NumNodes", "TimeLimit", "NumCPUs")} == {
        "Partition": "long",
        "NumNodes": "2",
        "TimeLimit": "00:20:00",
        "NumCPUs": "8",
    }


def test_init_without_questions_takes_the_defaults_and_a_second_one_changes_nothing(site: Site) -> None:
    shown = site.ok("init", "--dry-run")
    assert not site.home.exists()
    done = site.leaseq("init", "--yes")
    assert done.returncode in (0, 1) and "leaseq: GPUs of each node (--gres): gpu:4" in done.stderr
    config = site.home / "config.yaml"
    assert config.read_text().strip() == shown
    said = load(Home(str(site.home)))
    slurm = ("--partition=gpu", "--nodes=1", "--gres=gpu:4", "--cpus-per-task=8", "--time=1:00:00")
    assert (said.local, said.profiles["gpu"].slurm) == ("never", slurm)
    before = config.read_text()
    again = site.leaseq("init", "--yes")
    assert "nothing to write" in again.stderr and config.read_text() == before


def test_another_profile_is_added_and_what_is_there_stays(site: Site) -> None:
    site.home.mkdir(mode=0o700)
    config = site.home / "config.yaml"
    before = "# of mine\nlocal: allow\nprofiles:\n  gpu:  # the usual one\n    slurm: {partition: gpu}\n"
    config.write_text(before)
    terminal = site.terminal("init")
    answer(terminal, "Add a profile to those that are there (gpu)? [no] ", "y")
    for question in ("Partition", "Nodes", "GPUs", "CPUs", "Time", "Give"):
        answer(terminal, f"{question} ")
    answer(terminal, "Name of the profile? [gpu-2] ", "gpu")
    terminal.expect("there is a profile gpu already")
    answer(terminal, "Name of the profile? [gpu-2] ")
    answer(terminal, "How may the monitor call you")
    terminal.expect("+  gpu-2:")
    answer(terminal, "config.yaml? [yes] ", "no")
    terminal.expect("nothing was written")
    assert terminal.end() == 2
    assert config.read_text() == before
    terminal = site.terminal("init")
    answer(terminal, "Add a profile to those that are there (gpu)? [no] ", "y")
    for question in ("Partition", "Nodes", "GPUs", "CPUs", "Time", "Give", "Name", "How", "Write"):
        answer(terminal, f"{question} ")
    terminal.expect("leaseq: wrote ")
    assert terminal.end() in (0, 1)
    assert config.read_text().startswith(before)
    assert list(load(Home(str(site.home))).profiles) == ["gpu", "gpu-2"]


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_who_ends_it_leaves_nothing_behind(site: Site, key: str) -> None:
    terminal = site.terminal("init")
    answer(terminal, "Keep tasks off this host")
    terminal.expect("Partition")
    terminal.type(key)
    terminal.expect("nothing was written")
    assert terminal.end() == 130
    assert not site.home.exists()
