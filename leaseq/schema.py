"""Values with a JSON form: the checks of their fields, the version of their schema, and what is not known of them.

Values are frozen. Records are JSON objects with a schema version; a field this version does not know
is kept in `extra` and written back, and a record that is not what it must be raises `Malformed`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from leaseq.dataclass import MISSING, Field, field, fields
from leaseq.errors import Malformed, Newer

SCHEMA = 1
NUMBER_MAX = 1e15

_TEXT = frozenset((str,))
"""The types of what is text at a glance: an environment is all text, and of many words."""
_encode = json.JSONEncoder(separators=(",", ":")).encode

if TYPE_CHECKING:
    R = TypeVar("R", bound="Record")


def whole(text: str) -> int | None:
    """The whole number that the text is, in ASCII digits; None if it is none, or larger than any that is meant."""
    return int(text) if len(text) <= 15 and text.isascii() and text.isdigit() else None


def json_lines(data: bytes) -> list[Any]:
    """The values of those lines that are JSON: a torn one is passed over."""
    lines = [line for line in data.split(b"\n") if line]
    try:
        # One call for all is several times faster, and lines are torn seldom.
        values: list[Any] = json.loads(b"[" + b",".join(lines) + b"]")
    except (ValueError, RecursionError):
        values = []
    return values if len(values) == len(lines) else [value for line in lines for value in _json_line(line)]


def _json_line(line: bytes) -> tuple[Any, ...]:
    try:
        return (json.loads(line),)
    except (ValueError, RecursionError):
        return ()


# -- converters: a JSON value, checked -------------------------------------------------------------


def text(value: object) -> str:
    if not isinstance(value, str):
        raise Malformed(f"not a string: {value!r:.60}")
    return value


def number(value: object) -> float:
    # Not NaN, not infinite (neither is JSON), and nothing that a float or a date cannot hold.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -NUMBER_MAX < value < NUMBER_MAX:
        raise Malformed(f"not a number: {value!r:.60}")
    return value


def integer(value: object) -> int:
    # Bounded as numbers are: what is counted is divided and shown.
    if isinstance(value, bool) or not isinstance(value, int) or not -NUMBER_MAX < value < NUMBER_MAX:
        raise Malformed(f"not an integer: {value!r:.60}")
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Malformed(f"not true or false: {value!r:.60}")
    return value


def maybe(convert: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value is None else convert(value)


def several(convert: Callable[[object], Any]) -> Callable[[object], Any]:
    def check(value: object) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise Malformed(f"not a list: {value!r:.60}")
        if convert is text and _TEXT.issuperset(map(type, value)):
            return tuple(value)
        return tuple(convert(item) for item in value)

    return check


def mapping(convert: Callable[[object], Any]) -> Callable[[object], Any]:
    def check(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Malformed(f"not an object: {value!r:.60}")
        if convert is text and _TEXT.issuperset(map(type, value)) and _TEXT.issuperset(map(type, value.values())):
            return dict(value)
        return {text(key): convert(item) for key, item in value.items()}

    return check


def axis(value: object) -> dict[str, tuple[str, ...] | str]:
    """Parameters that go together: of each all its values, or the rule by which they are made."""
    checked: dict[str, tuple[str, ...] | str]
    checked = mapping(lambda said: said if isinstance(said, str) else several(text)(said))(value)
    return checked


def check_schema(value: Mapping[str, object]) -> None:
    """The JSON object is of a schema that this leaseq reads; raises Malformed, Newer."""
    version = value.get("v", SCHEMA)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise Malformed(f"schema version {version!r:.20}")
    if version > SCHEMA:
        raise Newer(f"schema version {version!r:.20} is newer than this leaseq's {SCHEMA}", value)


def record(cls: type[Record]) -> Callable[[object], Any]:
    return lambda value: cls.from_record(value)


def _as(convert: Callable[[object], Any], **options: Any) -> Any:
    """A field whose JSON form `convert` checks."""
    return field(metadata={"as": convert}, **options)


class Record:
    """A value with a JSON form that carries a schema version and keeps fields it does not know."""

    extra: Mapping[str, object]
    _fields: ClassVar[dict[type, tuple[tuple[str, Callable[[object], Any], Any], ...]]] = {}
    """(name, check, default) of the fields of each class but `extra`: asking for them is much of the time to read."""

    def as_record(self) -> dict[str, Any]:
        """A JSON object of this value; defaults are left out, `v` is the schema."""
        out: dict[str, Any] = {"v": SCHEMA, **self.extra}
        for name, _, default in self._own_fields():
            value = getattr(self, name)
            if value is not default and value != default:
                out[name] = value if type(value) in _AS_IT_IS else _plain(value)
        return out

    def to_json(self) -> bytes:
        """One line of ASCII JSON with a newline; lone surrogates of undecodable bytes survive the round trip."""
        return _encode(self.as_record()).encode("ascii") + b"\n"

    @classmethod
    def from_record(cls: type[R], value: object) -> R:
        if not isinstance(value, dict):
            raise Malformed(f"not an object: {value!r:.60}")
        check_schema(value)
        known: dict[str, Any] = {}
        for name, check, default in cls._own_fields():
            if name in value:
                try:
                    known[name] = check(value[name])
                except Malformed as error:
                    raise Malformed(f"{name}: {error}") from None
            elif default is MISSING:
                raise Malformed(f"{name} is missing")
        if len(known) + ("v" in value) < len(value):
            known["extra"] = {name: item for name, item in value.items() if name not in known and name != "v"}
        return cls(**known)

    @classmethod
    def _own_fields(cls) -> tuple[tuple[str, Callable[[object], Any], Any], ...]:
        if cls not in cls._fields:
            own = [each for each in fields(cls) if each.name != "extra"]  # type: ignore[arg-type]
            cls._fields[cls] = tuple((each.name, each.metadata["as"], _default(each)) for each in own)
        return cls._fields[cls]

    @classmethod
    def from_json(cls: type[R], data: bytes) -> R:
        try:
            return cls.from_record(json.loads(data))
        except (ValueError, RecursionError) as error:
            raise error if isinstance(error, Malformed) else Malformed(f"not JSON: {error}") from None


def _default(each: Field[Any]) -> Any:
    """The field's default, to compare with; MISSING if it has none."""
    return each.default if each.default_factory is MISSING else each.default_factory()


_AS_IT_IS = frozenset((str, int, float, bool, type(None)))
"""Types of values that are their own JSON form: most are."""


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        plain = value.as_record()
        del plain["v"]
        return plain
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, tuple):
        return [item if type(item) in _AS_IT_IS else _plain(item) for item in value]
    if isinstance(value, dict):
        return {key: item if type(item) in _AS_IT_IS else _plain(item) for key, item in value.items()}
    return value
