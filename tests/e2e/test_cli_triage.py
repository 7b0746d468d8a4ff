"""What went wrong with a task, and what to try."""

from __future__ import annotations

from typing import Any

from tests.e2e.cli import Box

PACKED = ("--gpus", "0")


def triage(box: Box, task: str) -> dict[str, Any]:
    (said,) = box.run("triage", task, "--json", code=0).json["tasks"]
    text = box.run("triage", task, code=0).out
    assert said["id"] in text and said["state"] in text
    for line in said["last_lines"]:
        assert f"  {line}".rstrip() in text
    assert not said["try"] or " ".join(said["try"].split()) in " ".join(text.split())
    return dict(said)


def test_a_line_of_its_output_says_why(box: Box) -> None:
    module = box.submit("python3", "-c", "import nosuchmodule", options=PACKED)
    missing = box.submit("echo hi; cat nosuchfile", options=PACKED)
    box.run("wait", module, missing, code=1)
    said = triage(box, module)
    assert said["cause"] == "its Python has no module nosuchmodule" and said["likely"]
    assert said["last_lines"][-1].startswith("ModuleNotFoundError") and said["stream"] == "err"
    said = triage(box, missing)
    assert said["cause"].startswith(f"nosuchfile was not there (it ran in {box.work}") and said["likely"]


def test_how_it_ended_says_why_and_what_to_try_is_a_command(box: Box) -> None:
    slow = box.submit("sleep", "600", options=(*PACKED, "--time", "1s"))
    bad = box.submit("false", options=PACKED)
    after = box.submit("true", options=(*PACKED, "--after", f"any:{slow}", "--after", slow))
    box.run("wait", slow, bad, after)
    said = triage(box, slow)
    assert (said["cause"], said["likely"]) == ("it ran into its time limit", False)
    said_after = triage(box, after)
    assert said_after["try"] == f"leaseq triage {slow}" and "TIMEOUT" in said_after["cause"]
    said_bad = triage(box, bad)
    assert (said_bad["cause"], said_bad["try"], said_bad["last_lines"]) == ("", "", [])
    assert "not known" in box.run("triage", bad, code=0).out
    box.run(*said["try"].split()[1:], code=0)
    box.until(slow, "RUNNING", "TIMEOUT")


def test_of_an_array_an_index_that_went_wrong_is_shown(box: Box) -> None:
    script = "test {i} -ne 3 || { echo 'RuntimeError: CUDA out of memory'; exit 1; }"
    array = box.submit(script, options=(*PACKED, "-a", "0-5"))
    fine = box.submit("true", options=(*PACKED, "-a", "0-1"))
    box.run("wait", array, fine, code=1)
    said = triage(box, array)
    assert said["id"] == f"{array}_3" and said["cause"] == "a GPU had not enough memory for it"
    assert said["try"].endswith(f"leaseq retry {array}_3 --gpus N")
    assert "5 done, 1 failed" in box.run("triage", array, code=0).out
    assert "none of its indices went wrong" in box.run("triage", fine, code=0).out


def test_of_one_that_waits_it_is_said_for_what(box: Box) -> None:
    held = box.submit("true", options=("--hold", "--no-start"))
    assert "is held" in triage(box, held)["cause"]
    box.run("triage", "Tnosuchtask1", code=2)


def test_a_coloured_line_is_understood_and_shown_without_its_colours(box: Box) -> None:
    said = r"printf '\033[31m/opt/run.sh: line 3: nvcc: command not found\033[0m\n' >&2; exit 1"
    task = box.submit(said, options=("--gpus", "0"))
    box.run("wait", task, code=1)
    (found,) = box.run("triage", task, "--json", code=0).json["tasks"]
    assert found["cause"] == "there is no program nvcc on the node"
    assert found["last_lines"] == ["/opt/run.sh: line 3: nvcc: command not found"]
