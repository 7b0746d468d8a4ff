"""The command line on a queue that no runner serves: what is refused, what is queued, what is shown."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leaseq.dataclass import replace
from leaseq.layout import LeaseDir
from leaseq.models import Lease, Task
from leaseq.protocol import records
from leaseq.world import SystemFs
from tests.e2e.cli import Box, on_terminal
from tests.patience import PATIENCE_SECONDS


def queued(box: Box, *words: str, env: dict[str, str] | None = None) -> Task:
    """The one task that this line makes, as its file tells it."""
    said = box.run("submit", "--no-start", *words, env=env)
    (path,) = [path for path in box.home.glob("runs/*/*/*/*") if said.id in path.name]
    return Task.from_json(path.read_bytes())


# -- the user's command is the user's ----------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["python", "train.py", "--lr", "1e-3"],
        ["python", "-i", "-v", "-h", "--help", "--trace", "--completion"],
        ["x", "--", "y", "-", "--lease", "nope", "--json"],
        ["x", "", "a  b", "'", '"', "\\", "*", "$HOME", "`date`", "\n", "é", "1,2", "None", "{a: 1}", "012"],
        ["run", "--hold"],
    ],
)
def test_the_words_after_the_dashes_reach_the_task_exactly(box: Box, command: list[str]) -> None:
    task = queued(box, "--", *command)
    assert (task.argv, task.shell) == (tuple(command), False)


def test_undecodable_bytes_of_a_command_survive(box: Box) -> None:
    assert os.fsencode(queued(box, "--", "cat", os.fsdecode(b"caf\xe9")).argv[1]) == b"caf\xe9"
    assert "'caf\\xe9'" in box.run("tasks", code=0).out


ASCII = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
"""Python takes the words of its command line for ASCII, as in any locale without UTF-8."""


def test_names_and_words_are_the_same_in_every_locale(box: Box) -> None:
    task_id = box.run("submit", "--name", "Größe", "--", "printf", "漢字 \\n", env=ASCII).id
    assert box.run("wait", task_id, code=0, env=ASCII).err == ""
    task = box.task(task_id)
    assert (task["name"], task["argv"]) == ("Größe", ["printf", "漢字 \\n"])
    assert box.run("logs", task_id, code=0, env=ASCII).out == "漢字 \n"
    assert "Größe" in box.run("tasks", code=0, env=ASCII).out


@pytest.mark.parametrize("line", ["echo a | cat", "sleep 1; true", "FOO=1 ./x", "~/x", "a && b", "echo $X", "ls *.txt"])
def test_one_word_that_a_shell_must_read_is_a_line_for_bash(box: Box, line: str) -> None:
    task = queued(box, "--", line)
    assert (task.argv, task.shell) == ((line,), True)


@pytest.mark.parametrize("word", ["./run.sh", "true", "/bin/true", "run-lr=0.1.sh"])
def test_one_plain_word_is_a_command(box: Box, word: str) -> None:
    assert queued(box, "--", word).shell is False


# -- what a line may be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (["submit"], "leaseq submit -- COMMAND"),
        (["submit", "--"], "leaseq submit -- COMMAND"),
        (["submit", "--", ""], "no command"),
        (["submit", "python", "x.py", "--lr", "1"], "leaseq submit -- python x.py --lr 1"),
        (["submit", "--gpus", "1", "python", "x y.py", "-v"], "leaseq submit --gpus 1 -- python 'x y.py' -v"),
        (["submit", "echo", "--", "hi"], "leaseq submit [OPTIONS] -- echo hi"),
        (["submit", "--gpu", "1", "--", "x"], "--gpus"),
        (["submit", "--gpus", "many", "--", "x"], "whole number"),
        (["submit", "--gpus", "-1", "--", "x"], "whole number"),
        (["submit", "--gpus", "1e3", "--", "x"], "whole number"),
        (["submit", "--gpus", "--hold", "--", "x"], "needs a value"),
        (["submit", "--gpus"], "needs a value"),
        (["submit", "--time", "soon", "--", "x"], "duration"),
        (["submit", "--mem", "lots", "--", "x"], "memory"),
        (["submit", "--on-lost", "retry", "--", "x"], "fail, requeue"),
        (["submit", "--priority", "1000", "--", "x"], "499"),
        (["submit", "--node", "../x", "--", "x"], "valid name"),
        (["submit", "--node", "elsewhere", "--", "x"], "no node elsewhere"),
        (["submit", "--lease", "nope", "--", "x"], "no lease 'nope'"),
        (["submit", "--lease", "../..", "--", "x"], "no lease"),
        (["submit", "--env", "1X=2", "--", "x"], "variable"),
        (["submit", "--export", "NO_SUCH_VARIABLE", "--", "x"], "no such variable"),
        (["submit", "--file", "missing.txt"], "cannot read"),
        (["submit", "--file", "x", "--", "y"], "--file brings"),
        (["submit", "--hold=maybe", "--", "x"], "--hold"),
        (["submit", "-", "--", "x"], "lone '-'"),
        (["sbmit", "--", "x"], "submit"),
        (["--", "x"], "leaseq submit --"),
        (["--lease", "status"], "options follow the command"),
        (["tasks", "T0"], "leaseq tasks --search T0"),
        (["tasks", "--state", "brunning"], "running (R)"),
        (["tasks", "-n", "0"], "at least 1"),
        (["tasks", "--all", "-n", "3"], "contradict"),
        (["tasks", "--limit=-3"], "--limit '-3'"),
        (["move", "T0c4"], "leaseq move --to LEASE T0c4"),
        (["move", "--from", "local"], "leaseq move --to LEASE --from local"),
        (["lease", "use", "local", "x"], "unexpected argument 'x'"),
        (["lease", "adopt", "abc"], "'abc' is not the number of a job"),
        (["lease", "release", "--job", "5"], "no lease has a job 5"),
        (["submit", "--gpus", "two", "--", "x"], "nor `all`"),
        (["group", "a", "--parallel", "x"], "nor `off`"),
        (["add", "--profile", "x"], "config.yaml has no `profiles:`"),
        (["--versoin"], "did you mean --version"),
        (["status", "--", "x"], "takes no `--`"),
        (["daemon", "strt"], "start"),
        (["daemon", "status", "json"], "unexpected argument 'json'"),
        (["info"], "which task?"),
        (["wait", "last", "--timeout", "x"], "duration"),
        (["cancel"], "leaseq cancel ID"),
        (["cancel", "last", "--signal", "SIGFOO"], "not a signal"),
        (["help", "sbmit"], "submit"),
        (["status", "--color", "blue"], "auto, always"),
    ],
)
def test_a_line_that_cannot_be_accepted_says_what_to_type_and_does_nothing(
    box: Box, words: list[str], needle: str
) -> None:
    said = box.run(*words, code=2)
    assert needle in said.err and said.out == ""
    assert not list(box.home.glob("runs/*/inbox/*/*"))


@pytest.mark.parametrize("words", [["submit", "--nope", "--", "x"], ["info", "T00000000000"], ["tasks", "-t", "x"]])
def test_an_error_of_a_json_command_is_one_document(box: Box, words: list[str]) -> None:
    said = box.run(words[0], "--json", *words[1:], code=2)
    assert said.json["schema"] == 1
    assert set(said.json["error"]) == {"code", "message", "hint"}


def test_options_of_the_user_s_command_do_not_make_errors_json(box: Box) -> None:
    assert "leaseq: " in box.run("submit", "--nope", "--", "x", "--json", code=2).err


@pytest.mark.parametrize(
    "words", [["--help"], ["-h"], ["help"], ["submit", "--help"], ["help", "states"], ["lease", "-h"]]
)
def test_help_is_on_stdout_and_ends_at_once(box: Box, words: list[str]) -> None:
    said = box.run(*words, code=0)
    assert said.out and not said.err


def test_every_command_has_help_with_an_entry_for_each_option(box: Box) -> None:
    from leaseq.commands import COMMANDS

    for name in COMMANDS:
        assert f"leaseq {name}" in box.run(*name.split(), "--help", code=0).out


def test_the_version_is_told(box: Box) -> None:
    assert box.run("--version", code=0).out.startswith("leaseq ")


# -- what a submitted task holds ---------------------------------------------------------------------


def test_options_stand_before_the_dashes_in_any_form(box: Box) -> None:
    task = queued(box, "-G0", "-c", "1", "--mem=1.5G", "-t", "1:30:00", "-Jname", "--retries", "3", "--", "x")
    assert (task.need.gpus, task.need.cpus, task.need.mem_mb, task.need.time_seconds) == (0, 1, 1536, 5400)
    assert (task.name, task.retries) == ("name", 3)


def test_the_environment_goes_along_as_export_says(box: Box) -> None:
    env = {"SECRET": "s", "KEPT": "k"}
    everything = queued(box, "--", "x", env=env).env
    assert everything["SECRET"] == "s" and everything["HOME"]
    assert queued(box, "--export", "NONE", "--", "x", env=env).env == {}
    assert queued(box, "--export=NONE", "--env", "A=1,2", "--env=B= c", "--", "x", env=env).env == {
        "A": "1,2",
        "B": " c",
    }
    assert queued(box, "--export", "KEPT,X=1", "--", "x", env=env).env == {"KEPT": "k", "X": "1"}
    both = queued(box, "--export", "ALL,KEPT=new", "--", "x", env=env).env
    assert (both["KEPT"], both["SECRET"]) == ("new", "s")


def test_the_directory_is_the_one_the_person_sees(box: Box) -> None:
    real = box.path / "real"
    real.mkdir()
    os.symlink(real, box.path / "link")
    said = box.run("submit", "--no-start", "--", "x", cwd=box.path / "link", env={"PWD": str(box.path / "link")})
    assert box.task(said.id)["cwd"] == str(box.path / "link")
    assert queued(box, "--cwd", "sub", "--", "x").cwd == str(box.work / "sub")
    assert "no directory" in box.run("submit", "--no-start", "-D", "/nope", "--", "x", code=0).err


def test_the_umask_of_the_person_is_the_task_s_and_never_that_of_our_files(box: Box) -> None:
    said = box.run("submit", "--no-start", "--", "x", preexec_fn=lambda: os.umask(0o27))
    (path,) = [path for path in box.home.glob("runs/*/inbox/_any/*") if said.id in path.name]
    assert Task.from_json(path.read_bytes()).umask == 0o27
    odd = Box(_directory(box.path / "odd"))
    odd.run("submit", "--no-start", "--", "x", code=0, preexec_fn=lambda: os.umask(0o777))
    for root, directories, files in os.walk(odd.home):
        modes = {stat.S_IMODE(os.stat(os.path.join(root, name)).st_mode) for name in directories}
        assert modes <= {0o700}
        assert {stat.S_IMODE(os.stat(os.path.join(root, name)).st_mode) for name in files} <= {0o600}
    assert stat.S_IMODE(odd.home.stat().st_mode) == 0o700


def _directory(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_home_that_others_can_write_is_refused(box: Box) -> None:
    box.home.mkdir()
    box.home.chmod(0o777)
    for words in (["submit", "--", "x"], ["status"], ["tasks"], ["lease", "ls"], ["daemon", "start"]):
        assert "others can write" in box.run(*words, code=2).err
    assert not list(box.home.iterdir())


def test_a_home_below_nothing_and_a_home_that_is_a_file_are_refused(box: Box) -> None:
    assert "does not exist" in box.run("submit", "--", "x", code=2, env={"LEASEQ_HOME": "/nowhere/at/all"}).err
    box.home.write_text("x")
    assert "not a directory" in box.run("submit", "--", "x", code=2).err


def test_a_need_that_this_host_can_never_meet_is_refused_with_the_reason(box: Box) -> None:
    said = box.run("submit", "--no-start", "--cpus", "99999", "--", "x", code=2)
    assert "needs 99,999 CPUs" in said.err
    assert not list(box.home.glob("runs/*/inbox/*/*"))


def test_a_refused_submit_leaves_nothing_behind(box: Box) -> None:
    for words in (["--gpus", "99"], ["--cpus", "99999"], ["--node", "elsewhere"]):
        box.run("submit", *words, "--", "true", code=2)
        assert not box.home.exists()
        assert "nothing was ever submitted here" in box.run("status", code=0).err
    assert box.run("status", "--json", code=0).json["nodes"] == []


@pytest.mark.parametrize("verb", ["redo", "retry"])
def test_nothing_runs_again_with_a_need_that_its_lease_can_never_meet(box: Box, verb: str) -> None:
    task = box.submit("false", options=("--cpus", "1"))
    box.until(task, "FAILED")
    before = sorted(box.home.glob("runs/*/inbox/*/*"))
    for words, why in (
        (["--gpus", "9999"], "needs 9,999 GPUs, the node has"),
        (["--cpus", "99999"], "needs 99,999 CPUs, the node has"),
        (["--node", "elsewhere"], "has no node elsewhere"),
    ):
        said = box.run(verb, *words, task, code=2)
        assert why in said.err and said.out == ""
        assert sorted(box.home.glob("runs/*/inbox/*/*")) == before
    submitted = box.run("submit", "--gpus", "9999", "--", "false", code=2).err.splitlines()[0]
    assert submitted in box.run(verb, "--gpus", "9999", task, code=2).err
    lease = next(box.home.glob("runs/*/lease.json"))
    record = Lease.from_json(lease.read_bytes())
    lease.write_bytes(replace(record, ended=2.0).to_json())
    box.run(verb, "--no-start", "--gpus", "9999", task, code=0)


@pytest.mark.parametrize("verb", ["redo", "retry"])
def test_a_lease_whose_nodes_are_not_known_yet_takes_any_need_again(box: Box, verb: str) -> None:
    lease = box.home / "runs" / "77"
    box.run("submit", "--no-start", "--", "true", code=0)
    records.prepare(SystemFs(remote=False), LeaseDir("77", str(lease)))
    (lease / "lease.json").write_bytes(Lease(id="77", kind="slurm", job="77", created=1.0).to_json())
    task = box.run("submit", "--lease", "77", "--gpus", "1", "--", "true", code=0).id
    box.run("cancel", task, code=0)
    box.run(verb, "--gpus", "99", task, code=0)


def test_a_task_longer_than_its_lease_lasts_is_queued_and_that_is_said(box: Box) -> None:
    lease = box.home / "runs" / "77"
    box.run("submit", "--no-start", "--", "true", code=0)
    records.prepare(SystemFs(remote=False), LeaseDir("77", str(lease)))
    (lease / "lease.json").write_bytes(Lease(id="77", kind="slurm", job="77", created=1.0).to_json())
    (lease / "nodes").write_text("n1\n")
    (lease / "ends").write_text("3600\n")
    said = box.run("submit", "--lease", "77", "--time", "5h", "--", "true", code=0)
    words = f"{said.id} waits: its time limit \\(5:00:00\\) is longer than lease 77 lasts \\((1:00:00|59:..) left\\)"
    assert re.fullmatch(f"leaseq: {words}; `leaseq move` carries it to another\n", said.err), said
    assert box.task(said.id)["state"] == "PENDING"
    many = box.run("submit", "--lease", "77", "--time", "5h", "--file", "-", input=b"true\ntrue\n", code=0)
    assert many.err.startswith("leaseq: 2 tasks wait: their time limit (5:00:00) is longer than lease 77 lasts (")
    assert many.err.endswith("`leaseq move` carries them to another\n")
    box.run("cancel", said.id, code=0)
    again = box.run("redo", said.id, code=0)
    assert again.err.startswith(f"leaseq: {again.id} waits: its time limit (5:00:00) is longer than lease 77 lasts (")
    assert box.run("redo", said.id, "--time", "30m", code=0).err == ""
    third = box.run("retry", said.id, "--time", "4h", code=0)
    assert f"leaseq: {said.id} waits: its time limit (4:00:00) is longer than lease 77 lasts (" in third.err
    box.run("cancel", said.id, code=0)
    assert "waits" not in box.run("retry", said.id, "--time", "30m", code=0).err
    box.run("cancel", said.id, code=0)
    record = Lease(id="77", kind="slurm", job="77", created=1.0)
    (lease / "lease.json").write_bytes(replace(record, ended=2.0).to_json())
    assert "waits" not in box.run("redo", said.id, code=0).err, "it has ended, which is said"
    (lease / "lease.json").write_bytes(record.to_json())
    for options in (["--time", "30m"], []):
        assert box.run("submit", "--lease", "77", *options, "--", "true", code=0).err == ""
    assert box.run("submit", "--no-start", "--time", "5h", "--", "true", code=0).err == "", "this host has no end"


def test_a_repeated_key_gives_the_first_id_and_one_task(box: Box) -> None:
    first = box.run("submit", "--no-start", "--key", "k", "--", "x").id
    assert box.run("submit", "--no-start", "--key", "k", "--", "x").id == first
    assert box.run("submit", "--no-start", "--key", "other", "--", "x").id != first
    assert len(list(box.home.glob("runs/*/inbox/_any/*"))) == 2


# -- files of tasks ----------------------------------------------------------------------------------


def test_a_file_of_tasks_is_queued_in_its_order(box: Box) -> None:
    text = b"# a comment\n\necho 1 | cat\r\n  \n./plain\n  # another\necho '3'\n"
    said = box.run("submit", "--no-start", "--file", "-", input=text, code=0)
    ids = said.out.split()
    rows = box.run("tasks", "--json", "--all", code=0).json["tasks"]
    assert [row["id"] for row in rows] == ids
    assert [row["command"] for row in rows] == ["echo 1 | cat", "./plain", "echo '3'"]
    assert [box.task(task_id)["shell"] for task_id in ids] == [True, False, True]


def test_a_file_without_tasks_is_refused(box: Box) -> None:
    assert "holds no task" in box.run("submit", "--file", "-", input=b"\n# nothing\n", code=2).err


def test_a_file_submitted_again_with_its_key_adds_only_new_lines(box: Box) -> None:
    words = ["submit", "--no-start", "--key", "sweep", "--file", "-"]
    first = box.run(*words, input=b"echo 1\necho 2\n", code=0).out.split()
    again = box.run(*words, input=b"echo 1\necho 2\necho 3\n", code=0).out.split()
    assert again[:2] == first and len(set(again)) == 3
    assert len(list(box.home.glob("runs/*/inbox/_any/*"))) == 3


def test_json_of_submit_is_one_document(box: Box) -> None:
    body = box.run("submit", "--no-start", "--json", "--", "x", code=0).json
    assert body["schema"] == 1 and len(body["ids"]) == 1 and body["lease"].startswith("local:")


# -- what is shown -----------------------------------------------------------------------------------


def test_looking_at_nothing_is_no_error_and_creates_nothing(box: Box) -> None:
    for words in (["status"], ["tasks"], ["lease", "ls"], ["recover"], ["daemon", "status"], []):
        assert box.run(*words).code in (0, 1, 3)
    assert not box.home.exists()
    assert "leaseq submit" in box.run("status").err


def test_a_failure_without_another_reason_tells_its_exit_code(box: Box) -> None:
    task = box.submit("sh", "-c", "exit 3", options=("--cpus", "1"))
    box.run("wait", task, code=3)
    assert "state:      FAILED (F): exit code 3\n" in box.run("info", task, code=0).out
    assert box.task(task)["reason"] == ""
    assert f"{task[:8]}  ✗F  exit 3" in on_terminal(box, "tasks", "--color", "never", columns=60)


def test_silence_of_a_task_is_told_to_a_person_only(box: Box) -> None:
    task = box.submit("true", options=("--cpus", "1"))
    box.run("wait", task, code=0)
    assert f"leaseq: {task} has written nothing; it is DONE" in on_terminal(box, "logs", task)
    said = box.run("logs", task, code=0)
    assert (said.out, said.err) == ("", "")


def test_a_reason_in_a_pipe_is_whole(box: Box) -> None:
    task = box.submit("/no/such/directory/with/a/long/name/program", options=("--cpus", "1"))
    box.run("wait", task, code=127)
    reason = box.task(task)["reason"]
    assert len(reason) > 32 and reason in box.run("tasks", code=0).out


def test_a_lease_that_has_not_started_says_so_where_its_tasks_wait(box: Box) -> None:
    lease = box.home / "runs" / "77"
    box.run("submit", "--no-start", "--", "true", code=0)
    records.prepare(SystemFs(remote=False), LeaseDir("77", str(lease)))
    (lease / "lease.json").write_bytes(Lease(id="77", kind="slurm", job="77", created=1.0).to_json())
    task = box.run("submit", "--lease", "77", "--", "true").id
    assert box.task(task)["reason"] == "NoRunner: the lease has no node yet"
    assert "it has no node yet: `leaseq lease info 77`" in box.run("status", "--lease", "77", code=0).err


def test_a_table_in_a_pipe_is_whole_and_plain(box: Box) -> None:
    line = "echo " + "x" * 300 + "; printf '\033[2J\n'"
    box.submit(line, options=("--no-start",))
    said = box.run("tasks", code=0)
    header, row = said.out.splitlines()
    assert header.startswith("ID")
    assert "x" * 300 in row and "\033" not in said.out
    assert len(box.run("tasks", "--no-header", code=0).out.splitlines()) == 1


def test_colour_is_only_where_it_is_wanted(box: Box) -> None:
    box.submit("x", options=("--no-start",))
    assert "\033[" not in box.run("tasks").out
    assert "\033[" in box.run("tasks", "--color", "always").out
    assert "\033[" in box.run("tasks", env={"CLICOLOR_FORCE": "1"}).out
    assert "\033[" not in box.run("tasks", env={"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}).out


def test_states_are_understood_in_both_spellings(box: Box) -> None:
    waiting, gone = (box.submit(name, options=("--no-start",)) for name in ("alpha", "beta"))
    box.run("cancel", gone, code=0)
    for word in ("pending", "PD", "pd", "PENDING"):
        assert box.run("tasks", "-q", "--state", word, code=0).out.split() == [waiting]
    for word in ("cancelled", "CA", "canceled"):
        assert box.run("tasks", "-q", "-t", word, code=0).out.split() == [gone]
    assert set(box.run("tasks", "-q", "-t", "PD,CA", code=0).out.split()) == {waiting, gone}
    assert box.run("tasks", "-q", "--search", "BETA", code=0).out.split() == [gone]


def test_a_long_list_is_cut_and_says_so(box: Box) -> None:
    text = "".join(f"echo {n}\n" for n in range(60)).encode()
    ids = box.run("submit", "--no-start", "-f", "-", input=text, code=0).out.split()
    said = box.run("tasks", "-q", "-n", "5", code=0)
    assert said.out.split() == ids[:5]
    assert "5 of 60" in box.run("tasks", "-n", "5").err
    assert len(box.run("tasks", "--all", "-q").out.split()) == 60


def test_a_pending_task_without_a_runner_says_so(box: Box) -> None:
    task_id = box.submit("x", options=("--no-start",))
    assert box.task(task_id)["reason"] == "NoRunner"
    assert "daemon start" in box.run("status").err


def test_ids_may_be_shortened_and_last_is_the_newest(box: Box) -> None:
    first, second = (box.submit(name, options=("--no-start",)) for name in ("a", "b"))
    assert box.task("last")["id"] == second
    assert box.task("last-1")["id"] == first
    assert box.task(first[:9].lower())["id"] == first
    said = box.run("info", "T", code=2)
    assert first in said.err and second in said.err


def test_json_of_every_command_that_reads_is_one_document_with_a_schema(box: Box) -> None:
    box.submit("x", options=("--no-start",))
    commands = ["status", "tasks", "info last", "logs last", "lease ls", "lease info", "recover", "config show"]
    for command in [*commands, "daemon status"]:
        assert box.run(*command.split(), "--json").json["schema"] == 1, command


# -- what is changed ---------------------------------------------------------------------------------


def test_a_cancelled_pending_task_is_cancelled_and_stays_listed(box: Box) -> None:
    task_id = box.submit("x", options=("--no-start",))
    box.run("cancel", task_id, code=0)
    assert box.task(task_id)["state"] == "CANCELLED"
    assert box.run("wait", task_id).code == 120
    said = box.run("cancel", task_id, code=1)
    assert "ended already: CANCELLED" in said.err


def test_all_pending_tasks_are_cancelled_at_once(box: Box) -> None:
    box.run("submit", "--no-start", "-f", "-", input=b"a\nb\nc\n", code=0)
    box.run("cancel", "--pending", code=0)
    counts = box.run("status", "--json").json["tasks"]
    assert (counts["PENDING"], counts["CANCELLED"]) == (0, 3)
    assert "no task is pending" in box.run("cancel", "--pending", code=2).err


def test_a_held_task_is_held_until_it_is_released(box: Box) -> None:
    task_id = box.submit("x", options=("--no-start", "--hold"))
    assert box.task(task_id)["reason"] == "Held"
    assert "held already" in box.run("hold", task_id, code=0).err
    box.run("release", task_id, code=0)
    assert box.task(task_id)["reason"] != "Held"
    box.run("hold", task_id, code=0)
    assert box.task(task_id)["reason"] == "Held"
    box.run("cancel", task_id, code=0)
    assert "only a pending task" in box.run("hold", task_id, code=1).err


def test_wait_gives_up_after_its_timeout(box: Box) -> None:
    task_id = box.submit("x", options=("--no-start",))
    before = time.monotonic()
    said = box.run("wait", task_id, "--timeout", "0.3s", code=124)
    assert time.monotonic() - before >= 0.3
    assert task_id in said.err
    assert box.task(task_id)["state"] == "PENDING"


def test_logs_of_a_task_that_has_not_started_say_so(box: Box) -> None:
    task_id = box.submit("x", options=("--no-start",))
    said = box.run("logs", task_id, code=2)
    assert "has not started" in said.err and "follow" in said.err


def test_redo_takes_what_has_ended_and_nothing_else(box: Box) -> None:
    task_id = box.submit("echo", "a  b", options=("--no-start", "-J", "n", "-c", "1"))
    assert "has not ended" in box.run("redo", task_id, code=2).err
    box.run("cancel", task_id, code=0)
    new = box.run("redo", task_id, "--no-start").id
    assert new != task_id
    old, made = box.task(task_id), box.task(new)
    assert made["redo_of"] == task_id
    assert all(made[key] == old[key] for key in ("argv", "cwd", "name", "need"))
    assert made["state"] == "PENDING"


# -- leases ------------------------------------------------------------------------------------------


def test_the_index_is_a_cache_that_is_made_again(box: Box) -> None:
    box.submit("x", options=("--no-start",))
    before = box.run("lease", "ls", "--json").json["leases"]
    index = box.home / "index.json"
    for damage in (b"", b"{", b"[1]", b'{"leases": 3}'):
        index.write_bytes(damage)
        assert box.run("lease", "ls", "--json", code=0).json["leases"] == before


def test_the_chosen_lease_is_the_one_that_commands_mean(box: Box) -> None:
    box.submit("x", options=("--no-start",))
    (local,) = box.run("lease", "ls", "--json").json["leases"]
    other = box.home / "runs" / "local:elsewhere"
    subprocess.run(["cp", "-r", box.home / "runs" / local["id"], other], check=True)
    record = json.loads((other / "lease.json").read_bytes())
    (other / "lease.json").write_text(json.dumps({**record, "id": "local:elsewhere", "name": "far"}))
    box.run("lease", "use", "far", code=0)
    assert box.run("status", "--json").json["lease"] == "local:elsewhere"
    assert box.run("status", "--json", "--lease", "local").json["lease"] == local["id"]
    assert box.run("status", "--json", env={"LEASEQ_LEASE": local["id"]}).json["lease"] == local["id"]
    assert "no lease 'nope'" in box.run("lease", "use", "nope", code=2).err
    subprocess.run(["rm", "-r", other], check=True)
    for words in (["status"], ["submit", "--no-start", "--", "x"], ["tasks", "--json"]):
        said = box.run(*words, code=2)
        assert "no lease local:elsewhere" in said.err + said.out
    box.run("lease", "use", "local", code=0)
    assert box.run("status", "--json").json["lease"] == local["id"]


# -- pipes -------------------------------------------------------------------------------------------


def test_a_reader_that_goes_away_is_no_error(box: Box) -> None:
    box.run("submit", "--no-start", "-f", "-", input=b"echo x\n" * 3000, code=0)
    process = box.popen("tasks", "--all")
    assert process.stdout and process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(timeout=PATIENCE_SECONDS)


def test_a_full_disk_behind_stdout_is_told(box: Box) -> None:
    with open("/dev/full", "wb") as full:
        said = box.run("status", stdout=full)
    assert said.code != 0
    assert "leaseq: " in said.err


def test_a_bug_is_one_line_and_its_traceback_is_kept(box: Box) -> None:
    box.submit("x", options=("--no-start",))
    (box.path / "tmp").mkdir()
    broken = "import leaseq.cli.status as status; status.Status.perform = None"
    script = f"import sys; {broken}; from leaseq.cli.main import main; sys.exit(main(['status']))"
    process = subprocess.run(
        [sys.executable, "-c", script],
        env={**box.environment, "TMPDIR": str(box.path / "tmp")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 70
    assert len(process.stderr.splitlines()) == 1
    (kept,) = (box.path / "tmp").iterdir()
    assert "Traceback" in kept.read_text()


def test_a_tasks_own_directory_is_made_shown_and_cleaned(box: Box) -> None:
    task = box.submit('mkdir "$LEASEQ_TASK_DIR/x"', options=("--task-dir",))
    box.run("wait", task, code=0)
    (said,) = box.run("info", task, "--json", code=0).json["tasks"]
    assert os.path.isdir(f"{said['task_dir']}/x") and said["task_dir"] in box.run("info", task).out
    assert box.run("clean", "--older-than", "0", "--json", code=0).json["problems"] == []
    assert not os.path.exists(said["task_dir"])
