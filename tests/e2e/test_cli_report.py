"""What leases held and tasks booked, by the command, and its page in a real browser."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess

import pytest

from tests.e2e.cli import Box
from tests.patience import PATIENCE_SECONDS

PACKED = ("--gpus", "0")


def ran(box: Box) -> None:
    """Two tasks that ended, an array, and one that failed."""
    tasks = [box.submit("sleep", "0.3", options=(*PACKED, "-J", "short")) for _ in range(2)]
    tasks += [box.submit("true {i}", options=(*PACKED, "-a", "0-4", "-J", "many", "-g", "eval"))]
    tasks += [box.submit("exit 3", options=(*PACKED, "-J", "<b>bad</b>"))]
    box.run("wait", *tasks, code=3)


def test_what_was_held_is_told_in_words_rows_and_json(box: Box) -> None:
    assert "nothing was held" in box.run("report", code=0).out
    ran(box)
    said = box.run("report", "--since", "1h", code=0).out
    assert "1 lease: " in said and "node-hours held" in said and "8 attempts ran: 7 done, 1 failed" in said
    body = box.run("report", "--by", "name", "--json", code=0).json
    node = body["seconds"]["node"]
    assert node["held"] == pytest.approx(node["busy"] + node["idle"] + node["down"]) and node["busy"] >= 0.3
    rows = {row["name"]: row for row in body["rows"]}
    assert {name: row["attempts"] for name, row in rows.items()} == {"short": 2, "many": 5, "<b>bad</b>": 1}
    assert rows["<b>bad</b>"]["failed"] == 1 and body["waits"]["tasks"] == 3
    table = list(csv.DictReader(box.run("report", "--by", "group", "--csv", code=0).out.splitlines()))
    assert {row["group"]: row["attempts"] for row in table} == {"": "3", "eval": "5"}
    (day,) = [
        row
        for row in csv.DictReader(box.run("report", "--by", "day", "--csv").out.splitlines())
        if row["attempts"] == "8"
    ]
    assert float(day["held_hours"]) >= float(day["idle_hours"])


def test_what_waits_is_said_with_what_it_may_cost(box: Box) -> None:
    tasks = [box.submit("sleep", "0.2", options=(*PACKED, "-J", "short")) for _ in range(3)]
    box.run("wait", *tasks, code=0)
    box.submit("sleep", "0.2", options=(*PACKED, "-J", "short", "--hold"))
    assert "1 task pending; they may take about 0.0 hours in all" in box.run("report", code=0).out
    box.submit("sleep", "0.2", options=("--hold",))
    assert "2 tasks pending; 1 of them may take" in box.run("report", code=0).out


def test_wrong_words_are_refused(box: Box) -> None:
    for line in (("--by", "colour"), ("--since", "soon"), ("--csv", "--json"), ("--lease", "nosuch")):
        assert box.run("report", *line).code == 2, line


def test_the_timeline_fits_the_width(box: Box) -> None:
    ran(box)
    lines = box.run("report", "--since", "10m", "--gantt", code=0).out.splitlines()
    (row,) = [line for line in lines if line.endswith(("█", "▒", "╳", "·"))]
    assert len(row) <= 100
    week = box.run("report", "--since", "7d", "--gantt", code=0).out.splitlines()
    (row,) = [line for line in week if line.endswith(("█", "▒", "╳", "·"))]
    assert len(row.split()[-1]) > 50, "a lease of some seconds fills the line"
    assert any("booked" in line and "idle" in line for line in lines)


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
def test_the_page_stands_alone_in_a_real_browser(box: Box) -> None:
    ran(box)
    assert box.run("report", "--since", "10m", "--html", "report.html", code=0).out == "report.html\n"
    page = box.work / "report.html"
    text = page.read_text()
    assert not re.search(r"(?:src|href)\s*=|url\(|@import", text), "it needs nothing else"
    own = f"--user-data-dir={box.path}/browser"
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", own, "--dump-dom", f"file://{page}"],
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE_SECONDS,
    )
    drawn = done.stdout
    assert done.returncode == 0 and "<svg" in drawn and "&lt;b&gt;bad&lt;/b&gt;: FAILED" in drawn
    assert drawn.count("<rect") >= 3 and "<b>bad" not in drawn
