"""The user's own parts on a node: prologue and epilogue, in shells of their own."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.contract.site import Site, umask


def settings(site: Site, text: str) -> None:
    """The user's config.yaml."""
    site.home.mkdir(mode=0o700, exist_ok=True)
    (site.home / "config.yaml").write_text(text)


def prologue(site: Site, *lines: str, more: str = "") -> None:
    settings(site, "prologue: |\n" + "".join(f"  {line}\n" for line in lines) + more)


def runner_of(site: Site, lease: str, node: str = "node1") -> int:
    (pid,) = [pid for pid, line in site.cluster.processes(node) if f"run --lease {lease} --node {node}" in line]
    return pid


def state(site: Site, *tasks: str) -> list[str]:
    return [json.loads(site.ok("info", "--json", task))["tasks"][0]["state"] for task in tasks]


HOSTILE = {
    "options": ("set -euo pipefail", "IFS=x", "export FROM_PROLOGUE=yes"),
    "traps": ("tmp=$(mktemp -d)", "trap 'rm -rf \"$tmp\"' EXIT TERM USR1", "export FROM_PROLOGUE=yes"),
    "ignored": ("trap '' TERM INT USR1", "export FROM_PROLOGUE=yes"),
    "functions": (
        "wait() { exit 1; }; kill() { exit 1; }; exec() { exit 1; }; sleep() { exit 1; }; cd() { exit 1; }",
        "export -f wait kill sleep cd; export FROM_PROLOGUE=yes lease=x job=y python=z home=w BASH_ENV=/nowhere",
    ),
    "exit": ("export FROM_PROLOGUE=yes", "trap 'true' EXIT", "exit 0"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_prologue_changes_nothing_of_what_keeps_its_node(site: Site, kind: str) -> None:
    prologue(site, *HOSTILE[kind])
    lease = site.add("-N1")
    gate, ready = site.directory / "gate", site.directory / "ready"
    line = f'touch {ready}; until [ -e {gate} ]; do command sleep 0.1; done; echo "$FROM_PROLOGUE"'
    first = site.ok("submit", "--cpus", "1", "--", line)
    site.wait_until(ready.exists, "the task")
    before = site.beats(lease)["node1"]["incarnation"]
    os.kill(runner_of(site, lease), signal.SIGKILL)
    site.wait_until(lambda: site.beats(lease)["node1"]["incarnation"] != before, "another runner")
    gate.touch()
    assert site.ok("follow", first) == "yes"
    told = site.directory / "told"
    line = f'trap "echo TERM >{told}; exit 0" TERM; touch {gate}.2; while :; do command sleep 0.2; done'
    last = site.ok("submit", "--cpus", "1", "--", "bash", "-c", line)
    site.wait_until(lambda: Path(f"{gate}.2").exists(), "the last task")
    site.release(lease)
    site.wait_until(told.exists, "TERM at the task")
    site.wait_until(lambda: state(site, last) == ["DONE"], "its outcome")


def test_what_a_prologue_exports_and_limits_reaches_tasks_and_nothing_else_of_it(site: Site) -> None:
    prologue(
        site,
        "export PLAIN=$'two\\nlines \\'\"$'",
        "declare -x DECLARED=yes",
        "export EMPTY=",
        "unexported=no",
        'greet() { echo "hello $1"; }; export -f greet',
        "ulimit -n 512; ulimit -c 0; umask 777; cd /",
    )
    lease = site.add("-N1")
    line = 'printf "%s|" "$PLAIN" "$DECLARED" "${EMPTY-unset}" "${unexported-unset}"; greet you; ulimit -Hn'
    task = site.ok("submit", "--", "bash", "-c", line)
    assert site.ok("follow", task) == "two\nlines '\"$|yes||unset|hello you\n512"
    assert [path.name for path in site.lease_dir(lease).rglob("*") if "prologue" in path.name] == []


FAILED = {
    "a command on the way": (
        ("nosuchcommand --with words", "export LATER=yes"),
        "`nosuchcommand --with words` ended with 127",
    ),
    "the last": (("source /nope/bin/activate",), "`source /nope/bin/activate` ended with 1"),
    "exit": (("exit 3",), "it ended with 3"),
    "return": (("return 4",), "it ended with 4"),
    "set -e": (("set -e", "trap 'true' EXIT", "false", "export LATER=yes"), "`false` ended with 1"),
    "set -u": (("set -u", 'echo "$NOT_SET"'), "it ended with 1"),
}


@pytest.mark.parametrize("kind", FAILED)
def test_a_node_whose_prologue_failed_takes_no_task_and_says_why(site: Site, kind: str) -> None:
    lines, words = FAILED[kind]
    prologue(site, *lines)
    done = site.leaseq("add", "-N1")
    assert words in done.stderr
    lease = site.squeue("-o", "%i")[0]
    assert words in site.notes(lease)
    assert words in site.ok("lease", "info", lease)
    assert words in site.ok("status", "--lease", lease)
    task = site.ok("submit", "--lease", lease, "--", "true")
    assert site.beats(lease)["node1"]["state"] == "draining"
    assert state(site, task) == ["PENDING"]
    # A user who has looked, and is content, loses no allocation.
    assert site.leaseq("shell", "--lease", lease, "--", "true").returncode == 0
    site.ok("lease", "hold-queue", lease, "--off")
    site.ok("wait", task)


@pytest.mark.parametrize("where", ["settings", "profile"])
def test_a_setting_lets_tasks_run_after_a_prologue_that_failed(site: Site, where: str) -> None:
    wish = "prologue_failure: go\n"
    more = wish if where == "settings" else f"prologue_failure: stop\nprofiles:\n  mine:\n    {wish}"
    prologue(site, "export EARLY=yes", "false", more=more)
    lease = site.add("-N1", *(() if where == "settings" else ("--profile", "mine")))
    task = site.ok("submit", "--", "bash", "-c", "echo $EARLY")
    assert site.ok("follow", task) == "yes"
    assert "`false` ended with 1" in site.ok("status", "--lease", lease)


def test_conditions_and_the_inside_of_what_a_prologue_sources_are_no_failures(site: Site) -> None:
    sourced = site.directory / "sourced.sh"
    sourced.write_text("grep -q nothing /dev/null\nexport SOURCED=yes\n")
    prologue(
        site,
        "if grep -q x /dev/null; then false; fi",
        "false || true",
        "helper() { false; true; }; helper",
        f". {sourced}",
        "[ -d /nowhere ] && cd /nowhere",
    )
    lease = site.add("-N1")
    task = site.ok("submit", "--", "bash", "-c", "echo $SOURCED")
    assert site.ok("follow", task) == "yes"
    assert site.notes(lease) == ""


def test_an_epilogue_runs_in_a_shell_of_its_own_once_the_runner_has_ended(site: Site) -> None:
    wrote = site.directory / "wrote"
    beat = "$LEASEQ_HOME/runs/$LEASEQ_LEASE/hb/$LEASEQ_NODE.json"
    script = (
        "set -u",
        f"echo $FROM_PROLOGUE $LEASEQ_NODE $(umask) $(grep -c stopped {beat}) ${{unexported-unset}} >{wrote}",
        "nosuch",
    )
    more = "epilogue: |\n" + "".join(f"  {line}\n" for line in script)
    prologue(site, "export FROM_PROLOGUE=yes; unexported=no", more=more)
    with umask(0o027):
        lease = site.add("-N1")
    site.release(lease)
    site.wait_until(lambda: "the epilogue failed: `nosuch` ended with 127" in site.script_log(lease), "its failure")
    assert wrote.read_text().split() == ["yes", "node1", "0027", "1", "unset"]


def test_no_command_line_holds_a_word_of_the_users_parts(site: Site) -> None:
    prologue(
        site, "export WANDB_API_KEY=secret-of-the-prologue", more="epilogue: export HF_TOKEN=secret-of-the-epilogue\n"
    )
    lease = site.add("-N2")
    site.ok("submit", "--cpus", "1", "--", "sleep", "60")
    lines = [line for node in site.nodes(lease) for _, line in site.cluster.processes(node)]
    assert [line for line in lines if "srun" in line or "run --lease" in line], "the lease's processes"
    assert [line for line in lines if "secret-of" in line] == []
    modes = [path.stat().st_mode & 0o077 for path in site.lease_dir(lease).rglob("*")]
    assert not any(modes)
