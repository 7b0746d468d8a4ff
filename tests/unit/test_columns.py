"""Lines fit: every table, every help and every wrapped text, at every width, whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wcwidth import wcswidth

from leaseq.cli import config_show, lease_ls, recover, rows, status
from leaseq.cli.columns import GAP, Column, fitted, shortened, whole, wrapped
from leaseq.cli.help import PIPE_COLUMNS, TOPICS, text_for
from leaseq.commands import COMMANDS
from leaseq.widths import cells
from leaseq.words import visible

TABLES = {
    "tasks": rows.TASK_COLUMNS,
    "status": status.NODE_COLUMNS,
    "lease ls": lease_ls.COLUMNS,
    "config show": config_show.COLUMNS,
    "recover": recover.COLUMNS,
}
LETTERS = st.sampled_from("abcxyz019 -_/.:'\"") | st.sampled_from("äß漢字한🙂…\n\t\x1b\x00\udcff\u200b")
TEXTS = st.text(LETTERS, max_size=60) | st.just("") | st.just("node-" + "x" * 300) | st.just("漢" * 100)
WORST = "cancelled while pending (attempt 3)"


def columns_of(line: str) -> int:
    """Columns of a terminal, as a library that is not leaseq's counts them."""
    size = int(wcswidth(line))
    assert size >= 0, f"{line!r} holds what a terminal does not print"
    return size


@st.composite
def tables(draw: st.DrawFn) -> tuple[tuple[Column, ...], list[list[str]]]:
    columns = TABLES[draw(st.sampled_from(sorted(TABLES)))]
    cell = TEXTS.map(visible)
    return columns, draw(st.lists(st.lists(cell, min_size=len(columns), max_size=len(columns)), max_size=6))


@given(tables(), st.integers(1, 200), st.sampled_from(["…", "..."]))
def test_no_line_of_a_table_is_wider_than_the_terminal(
    table: tuple[tuple[Column, ...], list[list[str]]], room: int, ellipsis: str
) -> None:
    fits = fitted(*table, room, ellipsis=ellipsis)
    assert sum(fits.widths) + GAP * (len(fits.kept) - 1) <= room
    for row in fits.rows:
        assert len(row) == len(fits.kept) == len(fits.widths)
        assert [max(0, columns_of(cell) - size) for cell, size in zip(row, fits.widths, strict=True)] == [0] * len(row)
    assert len(fits.rows) == len(table[1]) + 1


@given(tables())
def test_a_table_with_room_enough_is_whole(table: tuple[tuple[Column, ...], list[list[str]]]) -> None:
    columns, cells = table
    fits = fitted(columns, cells, 10**6)
    assert [list(row) for row in fits.rows[1:]] == [[row[n] for n in fits.kept] for row in cells]
    left_out = set(range(len(columns))) - set(fits.kept)
    assert not any(row[n] for row in cells for n in left_out)


@given(tables())
def test_a_pipe_gets_every_column_of_a_table_and_every_letter(
    table: tuple[tuple[Column, ...], list[list[str]]],
) -> None:
    columns, cells = table
    assert [list(row) for row in whole(columns, cells).rows] == [[column.title for column in columns], *cells]


def test_a_table_of_tasks_gives_up_what_matters_least_first() -> None:
    row = [
        "Tj1mb43rcfzz",
        "✗F",
        WORST,
        "gpu-node-01",
        "0,1",
        "1-02:03:04",
        "1",
        "sweep-lr-1e-3",
        "python3 train.py " * 5,
    ]
    kept = {}
    for room in (200, 120, 80, 60, 40):
        fits = fitted(rows.TASK_COLUMNS, [row], room)
        kept[room] = dict(zip([rows.TASK_COLUMNS[n].title for n in fits.kept], fits.rows[1], strict=True))
    assert (kept[200]["ID"], kept[200]["REASON"], kept[200]["NAME"]) == (row[0], WORST, "sweep-lr-1e-3")
    assert (kept[80]["ID"], kept[80]["REASON"]) == ("Tj1mb43r", "cancelled #3")
    assert "EXIT" not in kept[80] and "NAME" not in kept[80]
    assert kept[80]["COMMAND"].startswith("sweep-lr-1e-3: python3")
    assert list(kept[60]) == ["ID", "ST", "REASON", "COMMAND"]
    assert list(kept[40]) == ["ID", "ST", "COMMAND"]


def test_the_end_of_a_long_node_name_is_what_is_left_of_it() -> None:
    row = [
        "T1",
        "R",
        "",
        "a-very-long-cluster-name-and-node-0042",
        "",
        "0:01",
        "",
        "",
        "python train.py --seed 1 --lr 2",
    ]
    fits = fitted(rows.TASK_COLUMNS, [row], 60)
    assert any(cell.startswith("…") and cell.endswith("0042") for cell in fits.rows[1])


@given(st.text(LETTERS, max_size=200).map(visible), st.integers(2, 90), st.integers(0, 40))
@example("漢字" * 40, 2, 5)
def test_wrapped_text_fits_and_loses_no_letter(text: str, size: int, indent: int) -> None:
    lines = wrapped(text, size, indent=" " * indent)
    assert max(map(columns_of, lines)) <= size
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.text(LETTERS, max_size=80).map(visible), st.integers(0, 90), st.booleans())
def test_a_shortened_text_fits_and_is_whole_where_it_can_be(text: str, size: int, ending: bool) -> None:
    short = shortened(text, size, ellipsis="…", ending=ending)
    assert columns_of(short) <= size
    assert short == text or cells(text) > size


@pytest.mark.parametrize("room", [60, PIPE_COLUMNS, 80, 120])
@pytest.mark.parametrize("name", ["", *COMMANDS, *TOPICS, "lease", "daemon", "config"])
def test_every_help_fits(name: str, room: int) -> None:
    lines = text_for(name.split(), room)
    assert any(lines)
    assert [line for line in lines if columns_of(line) > room] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_is_never_broken(name: str) -> None:
    from leaseq.cli.table import command

    lines = text_for(name.split(), 60)
    assert [example for example in command(name).examples if f"  {example}" not in lines] == []
