"""What is written to a terminal makes exactly the frame, whatever was on it before; as seen by an emulator."""

from __future__ import annotations

import itertools
import unicodedata

import pyte
import pytest

from leaseq.dataclass import replace
from leaseq.monitor.arranging import arranged
from leaseq.monitor.filters import Filter
from leaseq.monitor.model import Ui
from leaseq.monitor.overlays import Help
from leaseq.monitor.paint import changes, difference, styled
from leaseq.monitor.pane import Pane
from leaseq.monitor.text import fit, fold, part, short, splice, tail, width, wrap
from leaseq.monitor.view import Frame, frame, plain
from leaseq.widths import cells, cut
from tests.unit import monitor_scenes as situations


def pictures() -> list[Frame]:
    found = []
    for make in situations.SITUATIONS.values():
        for ui in (Ui(), Ui(filter=Filter.ALL, focus=Pane.LOGS, wrap=True), Ui(overlay=Help())):
            found.append(frame(arranged(situations.scene(make(), ui))))
    return found


def shown(screen: pyte.Screen) -> str:
    return unicodedata.normalize("NFC", "\n".join(line.rstrip() for line in screen.display) + "\n")


@pytest.mark.parametrize("mono", [False, True])
def test_an_emulator_shows_the_frame_after_any_other_frame(mono: bool) -> None:
    every = pictures()
    screen = pyte.Screen(80, 24)
    stream = pyte.Stream(screen)
    before: Frame = ()
    for after in [new for pair in itertools.permutations(every[::3], 2) for new in pair] + every:
        stream.feed(changes(before, after, mono=mono))
        assert shown(screen) == unicodedata.normalize("NFC", plain(after))
        before = after


def test_an_equal_frame_writes_nothing_and_a_second_later_little() -> None:
    scene = arranged(situations.scene(situations.busy(), size="200x50"))
    now = frame(scene)
    assert changes(now, frame(scene), mono=False) == ""
    later = frame(replace(scene, now=scene.now + 1, wall=scene.wall + 1))
    # Three running clocks, five waiting ones, three of leases and four ages.
    assert 0 < len(changes(now, later, mono=False).encode()) < 330


def test_only_what_differs_in_a_row_is_written() -> None:
    before = (("nodes 3s", "dim"), ("   same   ", ""))
    after = (("nodes 4s", "dim"), ("   same   ", ""))
    assert difference(before, after) == (6, [("4", "dim")])


def test_monochrome_has_weights_and_no_colours() -> None:
    rows = [styled(row, mono=True) for picture in pictures() for row in picture]
    codes = {code for row in rows for sequence in row.split("\x1b[")[1:] for code in sequence.split("m")[0].split(";")}
    assert codes <= {"", "0", "1", "2", "3", "4", "7", "9"}


WIDE = "ab日本e\u0301語🚀c"


def test_widths_count_columns_not_letters() -> None:
    assert cells(WIDE) == 12 and cells("日本") == 4 and cells("e\u0301") == 1
    assert cut(WIDE, 5) == "ab日" and cut(WIDE, 6) == "ab日本"
    assert short(WIDE, 7) == "ab日本…" and cells(fit(WIDE, 5)) == 5
    assert tail("gpu-node-01", 8) == "…node-01" and cells(tail(WIDE, 6)) <= 6


def test_any_part_of_wide_text_has_exactly_its_columns() -> None:
    spans = [("x" + WIDE, "a"), (WIDE, "b")]
    for start, end in itertools.combinations(range(26), 2):
        assert width(part(spans, start, end)) == min(end, 25) - min(start, 25)


def test_splicing_keeps_the_width_of_the_row() -> None:
    for x in range(10):
        assert width(splice([(WIDE, "")], x, [("##", "y")])) == 12


def test_wrapped_text_loses_nothing() -> None:
    for columns in (1, 2, 7, 20):
        assert all(cells(line) <= max(2, columns) for line in wrap(WIDE * 3, columns))
        assert "".join(wrap(WIDE * 3, columns)) == WIDE * 3
    assert [width(row) for row in fold([("x" * 25, "")], 10)] == [10, 10, 5]
