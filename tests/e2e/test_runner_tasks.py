"""What a task gets: its words, its place, its environment, its logs. One runner serves all of these tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaseq.models import Need, State
from tests.e2e.harness import Node, a_node, environment_of, program

PLAIN = {"PATH": os.environ["PATH"]}


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with a_node(SLURM_CPUS_ON_NODE="4") as made:
        made.start(
            RUNNER_ONLY="of the node", SLURM_CONF="/etc/slurm.conf", SLURM_NTASKS="9", LANG="node", LEASEQ_TASK_ID="Tx"
        )
        yield made


# -- words -------------------------------------------------------------------------------------------


def test_the_words_of_a_command_arrive_exactly(node: Node) -> None:
    odd = [
        "",
        " ",
        "a b",
        "$HOME",
        "`id`",
        "'",
        '"',
        "\\",
        "*",
        "--",
        "-x",
        "{}",
        "line\nfeed",
        "tab\t",
        "é",
        "日本",
        "\udcff\udc80",
    ]
    printed = node.submit("printf", r"%s\0", *odd)
    assert node.result(printed).exit_code == 0
    assert node.out(printed) == b"".join(os.fsencode(word) + b"\0" for word in odd)


def test_a_shell_line_is_run_by_bash(node: Node) -> None:
    line = node.shell('x=(1 2 3); echo "${x[@]}" | tr " " "+"; [[ abc == a* ]] && echo bash; echo $0 $#')
    assert node.said_by(line) == "1+2+3\nbash\n/bin/bash 0\n"


@pytest.mark.parametrize("length", [131_071, 131_072, 1_000_000])
def test_a_shell_line_may_be_longer_than_a_word_of_a_command_line(node: Node, length: int) -> None:
    start, end = "x='", "'; echo ${#x} ${x: -3} $0 $#"
    blanks = length - len(start) - len("  é\\") - len(end)
    line = node.shell(f"{start}{' ' * blanks}  é\\{end}", env={**PLAIN, "LC_ALL": "C.UTF-8"})
    assert node.said_by(line) == f"{blanks + 4} é\\ /bin/bash 0\n"


def test_one_word_that_is_no_line_is_not_split(node: Node) -> None:
    outcome = node.result(node.submit("echo hello"))
    assert (outcome.state, outcome.exit_code, outcome.reason) == (State.FAILED, 127, "command not found: echo hello")


# -- what cannot start -------------------------------------------------------------------------------


def test_a_command_that_is_not_found_fails_with_127(node: Node) -> None:
    outcome = node.result(node.submit("no-such-program", "x"))
    assert (outcome.state, outcome.exit_code) == (State.FAILED, 127)
    assert outcome.reason == "command not found: no-such-program"


def test_an_empty_word_as_command_fails_with_127(node: Node) -> None:
    outcome = node.result(node.submit(""))
    assert (outcome.state, outcome.exit_code, outcome.reason) == (State.FAILED, 127, "the command is an empty word")


def test_a_file_that_is_not_executable_fails_with_126(node: Node) -> None:
    path = node.path / "plain"
    path.write_text("#!/bin/sh\n")
    outcome = node.result(node.submit(str(path)))
    assert (outcome.state, outcome.exit_code, outcome.reason) == (State.FAILED, 126, f"{path}: Permission denied")


def test_a_missing_interpreter_is_named_as_such(node: Node) -> None:
    path = program(node.path / "script", "#!/no/such/interpreter\n")
    outcome = node.result(node.submit(path))
    assert (outcome.exit_code, outcome.reason) == (127, f"interpreter not found: {path}")


def test_a_script_without_an_interpreter_line_is_run_by_sh(node: Node) -> None:
    path = program(node.path / "bare", 'echo "$# $1"\n')
    assert node.said_by(node.submit(path, "a b")) == "1 a b\n"


def test_a_script_without_an_interpreter_line_is_found_along_the_path_of_the_task(node: Node) -> None:
    program(node.path / "bin" / "bare2", 'echo "$1"\n')
    env = {"PATH": f"{node.path}/bin:{os.environ['PATH']}"}
    assert node.said_by(node.submit("bare2", "found", env=env)) == "found\n"


def test_a_missing_cwd_fails_with_that_reason_and_the_command_does_not_run_elsewhere(node: Node) -> None:
    gone, witness = node.path / "gone", node.path / "witness"
    outcome = node.result(node.submit("touch", str(witness), cwd=str(gone)))
    assert (outcome.state, outcome.exit_code) == (State.FAILED, 1)
    assert outcome.reason == f"cwd {gone}: No such file or directory"
    assert not witness.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"cwd": "/\0"},
        {"env": {"A=B": "x", "PATH": "/bin"}},
        {"env": {"A": "\0"}},
        {"umask": 1 << 70},
        {"cwd": "/\ud800"},
    ],
    ids=["nul in cwd", "equals sign in a name", "nul in a value", "umask of 70 bits", "cwd no file system can hold"],
)
def test_what_no_kernel_accepts_fails_and_the_queue_goes_on(node: Node, wrong: dict[str, Any]) -> None:
    keeper = node.keeper()
    outcome = node.result(node.submit("true", **wrong))
    assert outcome.state is State.FAILED
    assert outcome.reason
    assert node.result(node.submit("true")).state is State.DONE
    assert node.keeper() == keeper


# -- place and environment ---------------------------------------------------------------------------


def test_a_task_runs_in_its_submitters_cwd(node: Node) -> None:
    place = node.path / "wo rk"
    place.mkdir()
    assert node.said_by(node.shell("pwd; echo $PWD", cwd=str(place))) == f"{place}\n{place}\n"


def test_a_task_leads_a_session_of_its_own_and_reads_nothing(node: Node) -> None:
    line = "echo $$ $(ps -o sid= -p $$) $(ps -o pgid= -p $$); readlink /proc/self/fd/0; wc -c"
    said = node.said_by(node.shell(line)).split()
    assert said[0] == said[1] == said[2]
    assert said[3:] == ["/dev/null", "0"]


def test_a_task_inherits_no_open_file_and_no_blocked_or_ignored_signal(node: Node) -> None:
    said = node.said_by(node.submit("sh", "-c", "ls /proc/self/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status"))
    lines = said.splitlines()
    assert lines[:3] == ["0", "1", "2"]
    assert len(lines[3:-2]) == 1, "ls itself opens one"
    # Above 31 are real-time signals, two of them the C library's own.
    assert [int(line.split()[1], 16) & 0x7FFFFFFF for line in lines[-2:]] == [0, 0]


def test_a_task_has_its_submitters_umask_and_its_logs_are_private(node: Node) -> None:
    made = node.path / "made"
    task = node.submit("touch", str(made), umask=0o027)
    assert node.result(task).exit_code == 0
    assert made.stat().st_mode & 0o777 == 0o640
    assert os.stat(node.lease.log(task, 1, "out")).st_mode & 0o777 == 0o600


def test_a_task_has_its_submitters_environment_under_what_the_node_set(node: Node) -> None:
    env = {
        **PLAIN,
        "MINE": "x=y\nz",
        "LANG": "mine",
        "SLURM_CONF": "mine",
        "CUDA_VISIBLE_DEVICES": "7",
        "PMI_RANK": "3",
    }
    seen = environment_of(node.said_by(node.submit("env", "-0", env={**env, "LEASEQ_LEASE": "mine"})))
    assert seen["MINE"] == "x=y\nz"
    assert seen["LANG"] == "mine"
    assert seen["SLURM_CONF"] == "/etc/slurm.conf"
    assert seen["LEASEQ_LEASE"] == node.lease_id
    assert {"RUNNER_ONLY", "SLURM_NTASKS", "PMI_RANK", "CUDA_VISIBLE_DEVICES"}.isdisjoint(seen)


def test_a_task_that_was_given_no_environment_gets_the_nodes_basics(node: Node) -> None:
    seen = environment_of(node.said_by(node.submit("env", "-0", env={})))
    assert seen["PATH"] == os.environ["PATH"]
    assert seen["LANG"] == "node"
    assert "RUNNER_ONLY" not in seen


def test_a_task_is_told_who_it_is(node: Node) -> None:
    task = node.submit("env", "-0")
    seen = environment_of(node.said_by(task))
    marks = {name: value for name, value in seen.items() if name.startswith("LEASEQ_")}
    assert marks == {
        "LEASEQ_TASK_ID": task,
        "LEASEQ_ATTEMPT": "1",
        "LEASEQ_LEASE": node.lease_id,
        "LEASEQ_NODE": node.name,
        "LEASEQ_GPUS": "",
        "LEASEQ_SLOT": "0",
        "LEASEQ_TASK_DIR": node.lease.results(task),
        "LEASEQ_HOME": node.home,
    }


# -- what comes out ----------------------------------------------------------------------------------


def test_standard_output_and_error_have_a_file_each(node: Node) -> None:
    task = node.shell(r"printf 'out\377\0'; printf err >&2; exit 3")
    assert node.result(task).exit_code == 3
    assert node.out(task) == b"out\xff\0"
    assert node.out(task, stream="err") == b"err"


def test_exit_codes_and_signals_are_true(node: Node) -> None:
    for code in (0, 1, 75, 127, 255):
        outcome = node.result(node.submit("sh", "-c", f"exit {code}", need=Need(cpus=1)))
        assert (outcome.exit_code, outcome.signal) == (code, None)
        assert outcome.state is (State.FAILED if code else State.DONE)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGUSR1):
        outcome = node.result(node.submit("sh", "-c", f"kill -{int(number)} $$"))
        assert (outcome.state, outcome.exit_code, outcome.signal) == (State.FAILED, 128 + number, number)
        assert outcome.reason == f"signal {int(number)}"


def test_an_outcome_tells_times_memory_and_node_and_keeps_what_a_rerun_needs(node: Node) -> None:
    task = node.submit(
        "python3", "-c", "x = bytearray(60 << 20); import time; time.sleep(0.3)", env={**PLAIN, "SECRET": "hush-hush"}
    )
    outcome = node.result(task)
    assert outcome.started and outcome.elapsed_seconds and outcome.max_rss_mb and outcome.cpu_seconds
    assert 0.3 <= outcome.elapsed_seconds < 10
    assert abs(outcome.ended - outcome.started - outcome.elapsed_seconds) < 0.5
    assert outcome.max_rss_mb > 60
    assert outcome.node == node.name
    assert outcome.task.env == {**PLAIN, "SECRET": "hush-hush"}
    assert Path(node.lease.outcome(task, 1)).stat().st_mode & 0o777 == 0o600


def test_a_task_has_a_directory_of_its_own_that_all_its_attempts_share(node: Node) -> None:
    line = (
        'mkdir -p "$LEASEQ_TASK_DIR"; cd "$LEASEQ_TASK_DIR" && echo $LEASEQ_ATTEMPT >>tries; test $LEASEQ_ATTEMPT = 2'
    )
    task = node.shell(line, retries=1)
    node.result(task, attempt=2)
    assert Path(node.lease.results(task), "tries").read_text() == "1\n2\n"
    made = node.shell('test -d "$LEASEQ_TASK_DIR"', task_dir=True)
    assert node.result(made).exit_code == 0
