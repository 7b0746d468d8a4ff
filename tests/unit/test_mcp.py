"""What agents' tools answer: short, whatever there is to say. How they are served, see tests/clients/test_mcp.py."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable

import pytest

from leaseq.commands import COMMANDS
from leaseq.mcp import documents, tools
from leaseq.mcp.documents import BYTES_MAX, lines, text_of, within
from leaseq.models import State
from leaseq.reading.views import ArrayView, TaskView

LONG = "ü" * 5000
ROW = TaskView(
    "T0123456789a",
    2,
    State.FAILED,
    reason=LONG,
    node="n1",
    name="x" * 64,
    command=LONG + "\n\x1b[31m",
    exit_code=3,
    elapsed_seconds=1.25,
    values={f"p{n}": LONG for n in range(100)},
    array=ArrayView(3, {State.DONE: 1, State.FAILED: 2, State.RUNNING: 0}),
)


LONG_AND_SHORT: dict[str, Callable[[], documents.Document]] = {
    "tasks": lambda: documents.some([ROW] * 1000, 1000),
    "a text": lambda: {"text": LONG * 10},
    "texts": lambda: {"one": LONG, "other": [LONG] * 10},
    "rows": lambda: {"rows": [{"a": 1}] * 10_000, "left_out": 5},
    "short": lambda: {"short": [1, 2]},
}


@pytest.mark.parametrize("kind", LONG_AND_SHORT)
def test_an_answer_is_json_and_never_too_long(kind: str) -> None:
    document = LONG_AND_SHORT[kind]()
    text = text_of(document)
    assert len(text.encode()) <= BYTES_MAX
    found = json.loads(text)
    assert found.keys() >= document.keys()
    lists = [name for name, value in document.items() if isinstance(value, list)]
    shown = sum(len(found[name]) for name in lists)
    there = sum(len(document[name]) for name in lists) + document.get("left_out", 0)
    assert shown + found.get("left_out", 0) == there


def test_a_row_says_what_is_known_in_a_line() -> None:
    row = documents.row(ROW)
    assert (row["state"], row["attempt"], row["exit_code"], row["seconds"]) == ("FAILED", 2, 3, 1.2)
    assert (row["indices"], row["counts"]) == (3, {"DONE": 1, "FAILED": 2})
    assert len(row["command"]) == len(row["reason"]) == documents.WORDS_MAX and len(row["values"]) == 20
    assert documents.row(TaskView("T1", 1, State.PENDING, node="*")) == {"id": "T1", "state": "PENDING", "node": "*"}


def test_the_last_lines_are_shown_as_a_terminal_would_have_left_them() -> None:
    assert lines("one\n 1 %\r 50 %\r100 %\nred \x1b[31m\n\n", 2) == ["100 %", "red \\x1b[31m"]
    assert lines("", 5) == []
    assert lines("x" * 1000, 1) == ["x" * documents.LINE_MAX]
    assert within(["aaaa", "bbbb", "cccc"], 15) == ["bbbb", "cccc"]


def test_each_tool_says_what_it_is_for_and_is_named_as_a_command_or_function() -> None:
    names = [tool.__name__ for tool in (*tools.LOOKS, *tools.CHANGES)]
    assert len(set(names)) == len(names)
    for tool in (*tools.LOOKS, *tools.CHANGES):
        assert inspect.getdoc(tool) and tool.__annotations__["return"]
    changing = {name for name, known in COMMANDS.items() if known.changes}
    assert not {tool.__name__ for tool in tools.LOOKS} & changing
    assert {tool.__name__ for tool in tools.CHANGES} - {"change"} <= changing  # that is `set`
