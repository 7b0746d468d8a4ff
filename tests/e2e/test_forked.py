"""A forked command does what one does for which a Python starts; one that is killed spoils no later one."""

from __future__ import annotations

import pytest

from tests import forked
from tests.contract.site import umask
from tests.e2e.cli import Box


@pytest.mark.parametrize("words", [["config"], ["submit", "--no-start", "-f", "-"], ["nothing"], ["status", "--json"]])
def test_a_forked_command_does_what_one_that_starts_does(box: Box, words: list[str]) -> None:
    text = b"" if words[0] == "submit" else None
    started = box._run_afresh(*words, input=text)
    assert forked.run(words, box.environment, cwd=box.work, stdin=text) == started


def test_a_forked_command_has_its_own_directory_environment_input_and_umask(box: Box) -> None:
    (box.work / "sub").mkdir()
    line = b"umask; pwd; echo $SEED\n"
    with umask(0o027):
        task = box.run("submit", "-c1", "-f", "-", input=line, env={"SEED": "7"}, cwd=box.work / "sub").id
    box.run("wait", task, code=0)
    assert box.run("logs", task, code=0).out == f"0027\n{box.work / 'sub'}\n7\n"


def test_a_command_that_does_not_end_is_killed_and_the_next_one_is_told_of_its_own_end(box: Box) -> None:
    task = box.submit("true", options=("--no-start",))
    with pytest.raises(AssertionError, match="does not end"):
        forked.run(["wait", task], box.environment, cwd=box.work, seconds=0.5)
    assert box.run("nothing").code == 2
    assert box.run("tasks", code=0).out.count(task) == 1
