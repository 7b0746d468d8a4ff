"""Records: what is written is read again, and what cannot be read is Malformed and nothing else."""

from __future__ import annotations

import json
import os
import typing
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseq import schema
from leaseq.dataclass import fields
from leaseq.errors import Malformed
from leaseq.heartbeat import GpuUse, Heartbeat, Running
from leaseq.lease.slurm.text import Row
from leaseq.models import Array, Event, Lease, Need, Outcome, State, Task
from leaseq.schema import Record

RECORDS = [Array, Need, Task, Outcome, Event, Running, GpuUse, Heartbeat, Lease, Row]

undecodable = st.binary(max_size=12).map(os.fsdecode)
words = st.text(max_size=12) | undecodable
numbers = st.floats(-1e12, 1e12) | st.integers(-(10**12), 10**12)
plain: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
anything = plain | st.floats() | st.integers() | st.just(10**400)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field with that type."""
    simple = {str: words, int: st.integers(-(10**9), 10**9), float: numbers, bool: st.booleans()}
    if hint in simple:
        return simple[hint]
    if hint is State:
        return st.sampled_from(State)
    if isinstance(hint, type) and issubclass(hint, Record):
        return records(hint)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return st.lists(values(inner[0]), max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(words, values(inner[1]), max_size=3)
    return st.one_of(*(st.none() if each is type(None) else values(each) for each in inner))


def records(cls: type[Record]) -> st.SearchStrategy[Any]:
    """Any value of the class, with fields that this version does not know."""
    hints = typing.get_type_hints(cls)
    known = {each.name: values(hints[each.name]) for each in fields(cls) if each.name != "extra"}  # type: ignore[arg-type]
    unknown = st.dictionaries(words.filter(lambda name: name not in known and name != "v"), plain, max_size=2)
    return st.builds(cls, **known, extra=unknown)


@pytest.mark.parametrize("cls", RECORDS)
@given(data=st.data())
def test_a_record_is_read_as_it_was_written(cls: type[Record], data: st.DataObject) -> None:
    value = data.draw(records(cls))
    line = value.to_json()
    assert cls.from_json(line) == value
    assert line.isascii()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert cls.from_json(line).to_json() == line


@pytest.mark.parametrize("cls", RECORDS)
@given(data=st.data())
def test_a_record_with_a_strange_value_is_malformed_or_can_be_written_again(
    cls: type[Record], data: st.DataObject
) -> None:
    record = data.draw(records(cls)).as_record()
    record[data.draw(st.sampled_from([*record, "v"]))] = data.draw(anything)
    if data.draw(st.booleans()):
        del record[data.draw(st.sampled_from(sorted(record, key=repr)))]
    line = json.dumps(record).encode()
    try:
        value = cls.from_json(line)
    except Malformed as malformed:
        assert str(malformed)
        str(malformed).encode()
    else:
        assert cls.from_json(value.to_json()) == value


@pytest.mark.parametrize("cls", RECORDS)
@given(data=st.binary(max_size=60) | st.sampled_from([b"", b"{", b"[" * 100_000, b"9" * 10_000, b"\xff\xfe", b"null"]))
def test_bytes_that_are_no_record_are_malformed(cls: type[Record], data: bytes) -> None:
    try:
        cls.from_json(data)
    except Malformed:
        return
    assert cls is Need, "every other record has a field that must be there"
    assert isinstance(json.loads(data), dict)


def test_fields_of_a_later_version_survive_at_every_depth() -> None:
    line = b'{"v":1,"id":"T","argv":["a"],"cwd":"/","submitted":1,"need":{"gpus":1,"tpus":2},"colour":{"a":[1]}}\n'
    task = Task.from_json(line)
    assert task.extra == {"colour": {"a": [1]}}
    assert task.need.extra == {"tpus": 2}
    assert json.loads(task.to_json()) == json.loads(line)


@pytest.mark.parametrize("version", [2, 0, -1, "1", None, True, 1.0])
def test_a_record_of_another_schema_is_malformed(version: object) -> None:
    with pytest.raises(Malformed, match="schema version"):
        Need.from_record({"v": version})


def test_a_record_without_a_version_is_read_as_the_first() -> None:
    assert Need.from_record({"gpus": 2}) == Need(gpus=2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 10**400, True, "1", None, [1]])
def test_a_time_that_no_clock_shows_is_malformed(value: object) -> None:
    with pytest.raises(Malformed):
        schema.number(value)


def test_defaults_are_left_out() -> None:
    assert Need().as_record() == {"v": 1}
    assert Need(gpus=0).as_record() == {"v": 1, "gpus": 0}


def test_an_argument_that_is_not_utf_8_comes_back_as_the_same_bytes() -> None:
    argument = bytes(range(1, 256))
    task = Task(id="T", argv=(os.fsdecode(argument),), cwd="/", submitted=0.0)
    assert os.fsencode(Task.from_json(task.to_json()).argv[0]) == argument


@pytest.mark.parametrize("state", State)
def test_a_state_is_found_by_its_word_and_its_code_in_any_case(state: State) -> None:
    assert State.parse(state.name.lower()) is state
    assert State.parse(f" {state.code} ") is state


def test_a_state_that_there_is_not_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        State.parse("sleeping")


def test_just_the_states_of_outcomes_have_ended() -> None:
    assert {state for state in State if state.ended} == {
        State.DONE,
        State.FAILED,
        State.CANCELLED,
        State.TIMEOUT,
        State.LOST,
    }
