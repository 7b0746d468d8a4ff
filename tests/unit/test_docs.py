"""Documents cannot lie: what they name exists, and what exists is named."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaseq.alloc_layout import AllocDir
from leaseq.allocation import Allocation
from leaseq.commands import ALIASES, COMMANDS
from leaseq.dataclass import fields
from leaseq.heartbeat import Heartbeat, Running
from leaseq.layout import Home, LeaseDir
from leaseq.models import Array, Event, Lease, Need, Outcome, State, Task
from leaseq.names import Entry
from leaseq.node import record, window
from leaseq.origin import Origin
from leaseq.protocol import records
from leaseq.protocol.hooks import Call, Hook, Told
from leaseq.protocol.succession import How, Refusal
from leaseq.protocol.terms import down_seconds, late_seconds
from leaseq.room import Room
from leaseq.runner.decide import LOOKAHEAD
from leaseq.runner.ledger import Ledger
from leaseq.runner.loop import Runner
from leaseq.runner.ports import Options, Ports
from leaseq.schema import Record
from tests.build import Clock, Keeper, make_alloc
from tests.memoryfs import Disk, MemoryFs

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
SPECIFICATION = (ROOT / "docs/lease-directory.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
INTERFACE = (ROOT / "docs/exit-codes-and-json.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
COVERED_WHOLE = ("leaseq/cli/", "leaseq/monitor/")
"""Packages that the table of modules names by one line: their own modules are many and alike."""
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
ANYWHERE = ("help", "version", "_run", "tui", *ALIASES)
"""Words after `leaseq` that stand in no family."""


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


# -- the specification -----------------------------------------------------------------------------


def test_every_directory_of_a_lease_is_in_the_specification() -> None:
    lease = LeaseDir("L", "")
    places = [*lease.directories()[1:], *lease.node_directories("NODE")]
    named = {re.sub(r"^(done|logs)/.$", r"\1/L", place[1:]) for place in places}
    assert [place for place in sorted(named) if f"{place}/" not in SPECIFICATION] == []


def test_every_path_of_a_home_and_of_a_lease_is_in_the_specification() -> None:
    lease, alloc, home = LeaseDir("L", ""), AllocDir(""), Home("")
    properties = [(kind, name) for kind in (lease, alloc, home) for name in vars(type(kind))]
    values = [getattr(kind, name) for kind, name in properties if isinstance(vars(type(kind))[name], property)]
    paths = [value for value in values if isinstance(value, str)]
    assert len(paths) > 20
    assert [value for value in paths if value.strip("/") not in SPECIFICATION] == []


@pytest.mark.parametrize(
    "kind",
    [Task, Origin, Array, Need, Outcome, Event, Running, Heartbeat, Lease, Allocation, How, Refusal, Hook, Told, Call],
    ids=lambda kind: kind.__name__,
)
def test_every_field_of_a_record_is_in_the_specification(kind: type[Record]) -> None:
    names = [each.name for each in fields(kind) if each.name != "extra"]  # type: ignore[arg-type]
    assert [name for name in names if f"`{name}`" not in SPECIFICATION] == []


def test_every_stored_state_and_every_shown_one_is_in_the_specification() -> None:
    words = {"UNKNOWN": "`?` (cannot tell now)"}
    assert [state.name for state in State if words.get(state.name, state.name) not in SPECIFICATION] == []


def test_the_specified_examples_of_needs_are_names_that_leaseq_writes() -> None:
    row = next(line for line in SPECIFICATION.splitlines() if line.startswith("| NEED |"))
    examples = re.findall(r"`([a-zA-Z0-9]+)`", row.rpartition("|")[0].rpartition("|")[2])
    assert len(examples) > 2
    for need in examples:
        name = f"{'5':0<25}.T00000000000.{need}.1"
        assert str(Entry.parse(name)) == name


def test_every_line_of_a_nodes_record_is_in_the_specification_and_no_other() -> None:
    facts = re.compile(r'"e":"(\w+)"')
    said = f"{record.__doc__}{window.__doc__}"
    assert set(facts.findall(SPECIFICATION)) == set(facts.findall(said))


def test_the_specified_limits_are_those_of_the_code() -> None:
    beat = Heartbeat(lease="1", node="n", incarnation="0" * 10, counter=1, time=0.0, interval_seconds=5.0)
    assert f"| LATE | {late_seconds(beat):.0f} to {down_seconds(beat):.0f} s |" in SPECIFICATION
    assert f"behind a blocked one | {LOOKAHEAD} |" in SPECIFICATION


# -- the requests: a runner is asked each of them ------------------------------------------------------


def served(request: str) -> tuple[list[str], list[str]]:
    """(what is left in control/, what is in evidence/) after a runner met the request."""
    fs, lease = MemoryFs(Disk("/home")), LeaseDir("L", "/home/L")
    records.prepare(fs, lease)
    records.prepare_node(fs, lease, "n1")
    body = {"v": 1, "signal": "USR1" if request.startswith("ending") else 10, "alloc": "1", "round": "r"}
    fs.create(f"{lease.control('n1')}/{request}", json.dumps(body).encode())
    procs = Keeper()
    ledger = Ledger(fs=fs, procs=procs, lease=lease, node="n1", totals={})
    runner = Runner(Ports(fs, Clock(), procs, lease, "n1", "0123456789", ledger, make_alloc()), Options(Room(1, 1, ())))
    runner.step()
    return fs.names(lease.control("n1")), fs.names(lease.evidence)


def specified_requests() -> list[str]:
    names = re.findall(r"^\| `(\w+(?:\.ID\.ATTEMPT)?\.INCARNATION)` \|", SPECIFICATION, re.MULTILINE)
    return [
        name.replace("ID", "T00000000000").replace("ATTEMPT", "1").replace("INCARNATION", "abcdefghjk")
        for name in names
    ]


def test_the_specification_names_requests() -> None:
    assert len(specified_requests()) >= 7


@pytest.mark.parametrize("request_name", specified_requests())
def test_a_runner_serves_every_specified_request(request_name: str) -> None:
    assert served(request_name) == ([], [])


def test_a_request_that_is_not_specified_goes_to_evidence() -> None:
    left, evidence = served("dance.abcdefghjk")
    assert left == []
    assert len(evidence) == 2


# -- the map -----------------------------------------------------------------------------------------


def modules() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("leaseq/**/*.py"))


def test_every_module_is_in_the_map() -> None:
    own = [name for name in modules() if not name.startswith(COVERED_WHOLE)]
    named = [name for name in own if not re.fullmatch(r"leaseq/(\w+/)+__init__\.py", name)]
    assert len(named) > 40
    assert [name for name in named if f"| `{name}` |" not in ARCHITECTURE] == []
    for package in COVERED_WHOLE:
        assert f"| `{package}` |" in ARCHITECTURE


def test_everything_in_the_map_exists() -> None:
    listed = re.findall(r"^\| `([\w./]+)` \|", ARCHITECTURE, re.MULTILINE)
    paths = [name for name in listed if "/" in name]
    assert len(paths) > 40
    assert [name for name in paths if not (ROOT / name).exists()] == []


def test_every_module_has_a_layer() -> None:
    top = {Path(name).parts[1].removesuffix(".py") for name in modules()} - {"__init__"}
    assert top - {room for floor in floors() for room in floor} == set()


def floors() -> list[list[str]]:
    """The rooms of each floor, top first, as the linter of imports holds them."""
    lines = (ROOT / ".importlinter").read_text().partition("layers =\n")[2].partition("\n\n")[0].splitlines()
    return [re.findall(r"\w+", line) for line in lines]


def test_the_picture_shows_the_floors_that_imports_are_held_to() -> None:
    picture = ARCHITECTURE.partition("## The house\n\n```\n")[2].partition("```")[0]
    drawn = [re.findall(r"\w+", re.split(r" {6,}(?=\w+ .*$)", line.strip())[0]) for line in picture.splitlines()]
    assert drawn == floors()


# -- make --------------------------------------------------------------------------------------------


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_make_target_is_told_to_contributors() -> None:
    assert [name for name in targets() - {"help"} if f"| `make {name}` |" not in CONTRIBUTING] == []


# -- every page --------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ +(.*?) *$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return (link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_relative_link_resolves(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_no_page_names_a_path_of_the_machine_it_was_written_on(page: Path) -> None:
    assert [
        line for line in page.read_text().splitlines() if re.search(r"(?<![\w.])/(work|root|home/\w+/\w)\b", line)
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_pages_use_no_long_dashes(page: Path) -> None:
    assert [line for line in page.read_text().splitlines() if "\u2014" in line or "\u2013" in line] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"(?:`|^\$ |^)make ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert named - targets() == set()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    known = {name.split()[0] for name in COMMANDS} | set(ANYWHERE)
    named = set(re.findall(r"(?:`|^\$ |^ {4}|\$\()leaseq ([a-z]+(?:-[a-z]+)*)", page.read_text(), re.MULTILINE))
    assert named - known == set()


def test_the_picture_in_the_readme_is_a_frame_of_the_monitor() -> None:
    """`make bless` draws the golden frames again; the README shows one of them, to the letter."""
    frame = (ROOT / "tests/golden/monitor/busy.80x24.txt").read_text().rstrip("\n")
    assert frame in (ROOT / "README.md").read_text()
