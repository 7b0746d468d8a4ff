"""A lease in few lines, whatever its queue holds."""

from __future__ import annotations

from tests.e2e.cli import Box
from tests.patience import wait_until

LINES_MAX, BYTES_MAX = 15, 15 * 161
PACKED = ("--gpus", "0")


def test_a_long_queue_is_told_in_15_lines(box: Box) -> None:
    failed = [box.submit("sh", "-c", "exit 3", options=PACKED) for _ in range(5)]
    box.run("wait", *failed, code=3)
    lines = "".join(f'{{"argv": ["sleep", "600"], "name": "{"long" * 60}"}}\n' for _ in range(200))
    ids = box.run("submit", "--json-lines", "-", input=lines.encode(), code=0).out.split()
    box.run("pause", "-g", "eval", code=0)
    box.until(ids[0], "RUNNING")
    wait_until(lambda: "199 pending" in box.run("status", code=0).out, "one that runs")
    said = box.run("status", "--brief", code=0)
    lines_said = said.out.splitlines()
    assert not said.err and len(lines_said) <= LINES_MAX and len(said.out.encode()) <= BYTES_MAX
    assert lines_said[0].startswith("lease local:") and "1 of 1 node serving" in lines_said[0]
    assert lines_said[1] == "tasks: 199 pending, 1 running, 5 failed"
    assert "group eval is paused" in lines_said[2]
    assert any(line.startswith(f"{ids[0]} RUNNING") and line.endswith("..") for line in lines_said)
    bad = [line for line in lines_said if " FAILED " in line]
    assert [line.split()[0] for line in bad] == failed[:1:-1] and all("(exit code 3)" in line for line in bad)
    assert lines_said[-1] == "2 more: leaseq tasks --state failed,timeout,lost,stuck"
    assert len(box.run("tasks", "--state", "failed,timeout,lost,stuck", "-q", code=0).out.split()) == 5


def test_an_empty_home_says_the_next_step_and_json_is_another_form(box: Box) -> None:
    said = box.run("status", "--brief", code=0).out.splitlines()
    assert said[1] == "tasks: none" and "leaseq submit -- COMMAND" in said[2]
    assert "--brief" in box.run("status", "--brief", "--json", code=2).out
