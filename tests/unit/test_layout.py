"""Names: each is read as it was written, sorts as tasks are to run, and never leads out of its directory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseq.array_names import ArrayNames
from leaseq.dataclass import replace
from leaseq.errors import Malformed, UsageError
from leaseq.layout import Home, LeaseDir
from leaseq.models import Need
from leaseq.names import (
    ALPHABET,
    NAME,
    TASK_ID,
    Entry,
    is_chunk,
    new_incarnation,
    new_task_id,
    order,
    parse_key,
    valid_name,
)

counts = st.none() | st.integers(0, 999_999_999)
needs = st.builds(
    Need, gpus=counts | st.just(-1), cpus=counts, mem_mb=counts, time_seconds=st.none() | st.integers(0, 10**12 - 1)
)
ids = st.text(ALPHABET, min_size=11, max_size=11).map("T".__add__)
owners = st.text(ALPHABET, min_size=10, max_size=10)
micros = st.integers(0, 10**16 - 1)
places = st.tuples(st.integers(-499, 499), micros, st.integers(0, 999_999))
orders = places.map(lambda each: order(priority=each[0], micros=each[1], sequence=each[2]))
parts = st.none() | st.integers(0, 999_999_999)
whole_entries = st.builds(Entry, orders, ids, needs, st.integers(1, 999_999), st.just("") | owners)
array_entries = st.builds(
    lambda entry, count, chunk, each, grouped: replace(entry, count=count, chunk=chunk, each=each, grouped=grouped),
    whole_entries,
    st.integers(1, 1_000_000_000),
    parts,
    st.booleans(),
    st.booleans(),
)
entries = whole_entries | array_entries

GOOD = "5001700000000000000000000.T0123456789a.g1c4m8192t60.1"
HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc/passwd",
    "-rf",
    "_any",
    "_cli",
    ".hidden",
    "a\nb",
    "a\n",
    "a b",
    "a\0b",
    "é",
    "١",
    "a" * 129,
    "$(id)",
    "\udc80",
]


@given(entries)
def test_an_entry_is_read_as_it_was_written(entry: Entry) -> None:
    assert Entry.parse(str(entry)) == entry
    assert len(str(entry)) <= 255


@given(
    st.text(max_size=60)
    | st.from_regex(r"[0-9]{25}\.T[0-9a-z]{11}\.[xgcmtA0-9]{1,9}\.[0-9]{1,3}(\.[0-9a-z]{10})?", fullmatch=True)
)
def test_a_name_is_malformed_or_the_only_name_of_its_entry(name: str) -> None:
    """A runner renames what the entry is called: a second spelling would stay in the inbox for ever."""
    try:
        entry = Entry.parse(name)
    except Malformed:
        return
    assert str(entry) == name


@pytest.mark.parametrize(
    "need", ["xg1", "g01", "t60", "x01", "c00", "g", "m1c1", "gA1", "xA", "X", "xx", "g1g1", "x60"]
)
def test_a_need_in_a_second_spelling_is_malformed(need: str) -> None:
    with pytest.raises(Malformed):
        Entry.parse(GOOD.replace("g1c4m8192t60", need))


@pytest.mark.parametrize(
    "name",
    [
        *HOSTILE,
        GOOD + "\n",
        GOOD + ".",
        GOOD + ".0123456789\n",
        GOOD + ".short",
        GOOD.replace(".1", ".0"),
        GOOD.replace(".1", ".01"),
        GOOD.replace("T0", "TI"),
        GOOD.replace("500170", "٥٠٠١٧٠"),
        GOOD[1:],
        "." + GOOD,
        GOOD + ".tmp",
    ],
)
def test_a_name_that_is_no_entry_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        Entry.parse(name)


@given(places, places, ids, ids)
def test_names_sort_by_priority_then_time_then_place_in_the_batch(
    one: tuple[int, int, int], two: tuple[int, int, int], id_one: str, id_two: str
) -> None:
    names = []
    for (priority, when, sequence), task_id in ((one, id_one), (two, id_two)):
        names.append(str(Entry(order(priority=priority, micros=when, sequence=sequence), task_id, Need(), 1)))
    wanted = [(-priority, when, sequence) for priority, when, sequence in (one, two)]
    if wanted[0] != wanted[1]:
        assert (names[0] < names[1]) == (wanted[0] < wanted[1])


@given(entries, owners)
def test_a_claim_keeps_the_attempt_and_a_retry_drops_the_owner(entry: Entry, owner: str) -> None:
    claim = entry.claimed_by(owner)
    assert (claim.key, claim.owner, claim.pending()) == (entry.key, owner, entry.pending())
    following = claim.next_attempt()
    assert (following.id, following.order, following.owner) == (entry.id, entry.order, "")
    assert following.attempt == entry.attempt + 1


@given(ids, st.integers(1, 999_999))
def test_an_outcome_is_found_under_the_name_that_is_read(task_id: str, attempt: int) -> None:
    path = LeaseDir("1", "/runs/1").outcome(task_id, attempt)
    assert parse_key(path.rpartition("/")[2]) == (task_id, attempt)
    assert path.rpartition("/")[0] in LeaseDir("1", "/runs/1").directories()


@pytest.mark.parametrize("name", [*HOSTILE, "T0123456789a", "T0123456789a.0", "T0123456789a.1\n", "T0123456789a.1.x"])
def test_a_name_that_is_no_outcome_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        parse_key(name)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_where_it_enters(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        valid_name(name, what="node")
    assert refused.value.hint
    with pytest.raises(UsageError):
        Home("/home").lease(name)
    with pytest.raises(UsageError):
        Home("/home").lease(f"local:{name}")


@given(st.from_regex(NAME.pattern, fullmatch=True))
def test_a_valid_name_stays_in_its_directory(name: str) -> None:
    assert valid_name(name, what="node") == name
    lease = Home("/home").lease(name)
    for path in (lease.root, lease.inbox(name), lease.heartbeat(name), lease.events(name)):
        parts = path.split("/")
        assert ".." not in parts
        assert "." not in parts
        assert len(parts[-1]) <= 255


def test_ids_are_what_their_patterns_say_and_do_not_repeat() -> None:
    tasks = {new_task_id() for _ in range(2000)}
    assert len(tasks) == 2000
    assert all(TASK_ID.fullmatch(task_id) for task_id in tasks)
    assert set("".join(tasks)) == {"T", *ALPHABET}
    assert Entry.parse(f"{GOOD}.{new_incarnation()}").owner


def test_every_directory_comes_after_its_parent() -> None:
    lease = LeaseDir("1", "/runs/1")
    seen = {"/runs"}
    for path in [*lease.directories(), *lease.node_directories("n1")]:
        assert path.rpartition("/")[0] in seen, path
        seen.add(path)


def test_a_chunk_has_the_name_of_its_array_and_a_number() -> None:
    entry = Entry.parse("5001700000000000000000000.T0123456789a.g1t60a50000.2")
    assert (entry.count, entry.chunk, entry.key) == (50_000, None, "T0123456789a.2")
    chunk = entry.of_chunk(7).claimed_by("0123456789")
    assert str(chunk) == "5001700000000000000000000.T0123456789a.g1t60a50000k7.2.0123456789"
    assert chunk.of_array() == entry
    with pytest.raises(Malformed):
        parse_key(chunk.key)


def test_a_name_says_whether_chunks_of_its_array_have_groups() -> None:
    entry = Entry.parse("5001700000000000000000000.T0123456789a.g1pa500.1")
    assert entry.grouped and entry.of_chunk(7).grouped and is_chunk(str(entry.of_chunk(7)))
    assert not Entry.parse("5001700000000000000000000.T0123456789a.g1a500.1").grouped


def test_an_attempt_of_an_index_has_a_key_and_logs_beside_a_thousand_others() -> None:
    entry = Entry.parse("5001700000000000000000000.T0123456789a.xa50000.1").of_index(12345, 3)
    assert entry.key == "T0123456789a_12345.3"
    assert parse_key(entry.key) == ("T0123456789a_12345", 3)
    assert (
        LeaseDir("1", "/r").log(entry.id, entry.attempt, "out") == "/r/logs/0/T0123456789a/12/T0123456789a_12345.3.out"
    )


@pytest.mark.parametrize(
    "need", ["a5", "xa0", "xa05", "xk1", "xa5k01", "xa5k", "xa5t60", "xa5k1k1", "xp", "xwpa5", "xppa5"]
)
def test_a_number_of_indices_or_of_a_chunk_has_one_spelling(need: str) -> None:
    with pytest.raises(Malformed):
        Entry.parse(f"5001700000000000000000000.T0123456789a.{need}.1")


def test_what_an_arrays_directory_holds_is_read_from_its_names() -> None:
    names = ["c.0", "c.12", "e.0", "h.0.0123456789", "s.0.0123456789", "o.n.1.0123456789", "o._cli.0123456789"]
    found = ArrayNames.parse([*names, "x.0123456789", "c.01", "c.x", "o.0123456789", "held"])
    assert (found.taken, found.ended, found.over) == ({0, 12}, {0}, False)
    assert found.handed == found.cut == {(0, "0123456789")}
    assert found.journals == [("_cli", "0123456789"), ("n.1", "0123456789")]
    assert found.stops == ["x.0123456789"]
    assert ArrayNames.parse(["index"]).over


def test_a_part_of_an_array_is_told_from_other_names() -> None:
    entry = Entry("5" * 25, "T00000000001", Need(gpus=1, time_seconds=60), 3, count=100, group="kind-k1")
    for whole in (entry, entry.claimed_by("k1k2k3k4k5")):
        assert not is_chunk(str(whole))
    for part in (entry.of_chunk(7), entry.of_chunk(0).claimed_by("k1k2k3k4k5")):
        assert is_chunk(str(part))
