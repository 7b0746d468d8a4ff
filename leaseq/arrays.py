"""What each index of an array runs: its values, its words, its variables. Pure, and the standard library alone.

An array's parameters stand on axes. Indices go through all combinations, the last axis fastest; parameters of one axis
go together. `{NAME}` in a word of the command is replaced by the value, if the array has a parameter of that name;
`${NAME}` and every other brace stay as they are. In a line for bash a value is quoted for where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from leaseq.errors import Malformed
from leaseq.forms import Form
from leaseq.indices import INDEX_MAX, Indices
from leaseq.models import Array, Task

LINE = ""
"""The name of the parameter that is a line of a file: `{}`, and the parts of a path that it may be."""
INDEX = "i"
PATH_PARTS = ("", ".", "/", "//", "/.")
"""What may stand in braces for a line: itself, without extension, its base name, its directory, both of the first."""
_NUMBER = r"[+-]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?:[eE][+-]?[0-9]{1,3})?"
_RANGE = Form(rf"({_NUMBER})\.\.({_NUMBER})(?:\.\.({_NUMBER}))?")
_WHOLE = Form(r"[+-]?[0-9]{1,15}")
_PLAIN = Form(r"[A-Za-z0-9_@%+:,./-]*")
"""Values that mean the same wherever they stand in a line for bash."""


class Instance(NamedTuple):
    """What one index runs."""

    argv: tuple[str, ...]
    env: dict[str, str]
    """`LEASEQ_ARRAY_INDEX`, `LEASEQ_ARRAY_SIZE`, and `LEASEQ_PARAM_*` of its values."""


class Expansion:
    """From the indices of one array to what they run."""

    def __init__(self, task: Task, array: Array) -> None:
        """Raises Malformed if the array's record means nothing."""
        self.indices = Indices.parse(array.indices)
        self.axes = [{name: _values(said) for name, said in axis.items()} for axis in array.axes]
        self._counts = [_count(axis) for axis in self.axes]
        self.combinations = prod(self._counts)
        """How many there are; 1 if the array has no parameters."""
        if self.axes and self.indices.last >= self.combinations:
            raise Malformed(f"index {self.indices.last} of {self.combinations} combinations")
        self.names = tuple(name for axis in self.axes for name in axis)
        self._variables = {name: variable(name) for name in self.names}
        self._size = str(array.size or len(self.indices))
        known = placeholders(self.names)
        self._words = [_pieces(word, known, shell=task.shell) for word in task.argv]

    def values(self, index: int) -> dict[str, str]:
        """The values of that index by their names."""
        found: dict[str, str] = {}
        rest = index
        for axis, count in zip(reversed(self.axes), reversed(self._counts), strict=True):
            rest, at = divmod(rest, count)
            found = {name: values[at] for name, values in axis.items()} | found
        return found

    def at(self, index: int) -> Instance:
        """What that index runs."""
        values = self.values(index)
        env = {"LEASEQ_ARRAY_INDEX": str(index), "LEASEQ_ARRAY_SIZE": self._size}
        env.update((self._variables[name], value) for name, value in values.items())
        values[INDEX] = str(index)
        return Instance(tuple(_filled(word, values) for word in self._words), env)

    @property
    def used(self) -> set[str]:
        """The names whose values are in some word."""
        return {piece.name for word in self._words for piece in word if isinstance(piece, Hole)}

    def unquotable(self) -> tuple[str, str] | None:
        """A placeholder and a value that cannot stand in its place of a line for bash; None if all can."""
        for hole in (piece for word in self._words for piece in word if isinstance(piece, Hole)):
            if hole.where in (_WORD, _BARE) or hole.name == INDEX:
                continue
            values = next(axis[hole.name] for axis in self.axes if hole.name in axis)
            if isinstance(values, Steps):
                continue
            for value in values:
                if not _stands(part_of(hole.part, value), hole.where):
                    return hole.text, value
        return None


def _count(axis: Mapping[str, Sequence[str]]) -> int:
    counts = {len(values) for values in axis.values()}
    if len(counts) != 1 or 0 in counts:
        raise Malformed("the parameters of an axis have different numbers of values, or none")
    return counts.pop()


def _values(said: Sequence[str] | str) -> Sequence[str]:
    if not isinstance(said, str):
        return said
    found = steps(said)
    if found is None:
        raise Malformed(f"not a rule: {said!r:.60}")
    return found


def variable(name: str) -> str:
    """The environment variable that holds the parameter."""
    return "LEASEQ_PARAM_" + ("LINE" if name == LINE else re.sub("[^A-Z0-9_]", "_", name.upper()))


def placeholders(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """What may stand in braces, with (name, which part of its value)."""
    known = {INDEX: (INDEX, "")}
    for name in names:
        known |= {part: (LINE, part) for part in PATH_PARTS} if name == LINE else {name: (name, "")}
    return known


# -- ranges of numbers -----------------------------------------------------------------------------------------------


class Steps(Sequence[str]):
    """The numbers of `a..b..step` as texts, each made when it is asked for, without an error that adds up."""

    def __init__(self, first: Any, step: Any, many: int, width: int = 0) -> None:
        self._first, self._step, self._many, self._width = first, step, many, width

    def __len__(self) -> int:
        return self._many

    def __getitem__(self, at):  # type: ignore[no-untyped-def]
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(self._many))]
        if not -self._many <= at < self._many:
            raise IndexError(at)
        number = self._first + at % self._many * self._step
        if isinstance(number, int):
            return f"{number:0{self._width}d}"
        return format(number, "f") if -7 < number.adjusted() < 16 or not number else str(number).lower()


def steps(text: str) -> Steps | None:
    """The numbers of a range `a..b[..step]`; None if the text is none. Raises Malformed if it leads nowhere."""
    match = _RANGE.fullmatch(text)
    if not match:
        return None
    if all(word is None or _WHOLE.fullmatch(word) for word in match.groups()):
        return _steps(text, int(match[1]), int(match[2]), None if match[3] is None else int(match[3]), _width(match))
    from decimal import Decimal

    if match[3] is None:
        raise Malformed(f"{text}: a range of numbers that are not whole says its step, as in 0.1..0.5..0.1")
    return _steps(text, Decimal(match[1]), Decimal(match[2]), Decimal(match[3]), 0)


def _steps(text: str, first: Any, last: Any, step: Any, width: int) -> Steps:
    """The numbers, which are all whole or all Decimal."""
    if step is None:
        step = 1 if last >= first else -1
    if last < first and step > 0:
        step = -step  # as bash counts down
    if not step or (last != first and (last > first) != (step > 0)):
        raise Malformed(f"{text}: its step never leads to its end")
    # How far it is in steps, before it is divided: the quotient of numbers that are far apart is no exact one.
    if abs(last - first) > abs(step) * INDEX_MAX:
        raise Malformed(f"{text}: more than {INDEX_MAX:,} values")
    return Steps(first, step, int((last - first) // step) + 1, width)


def _width(match: re.Match[str]) -> int:
    """How wide whole numbers are written: as wide as the ends, if one of them begins with 0."""
    ends = [word.lstrip("+") for word in match.groups()[:2]]
    padded = any(len(word.lstrip("-")) > 1 and word.lstrip("-").startswith("0") for word in ends)
    return max(map(len, ends)) if padded else 0


# -- words with placeholders -----------------------------------------------------------------------------------------

_WORD, _BARE, _DOUBLE, _SINGLE, _UNSURE = "word", "bare", "double", "single", "unsure"


class Hole(NamedTuple):
    """A placeholder in a word."""

    text: str
    """As it was typed, with its braces."""
    name: str
    part: str
    where: str
    """What stands around it: a word (no shell reads it), or in a line for bash nothing, or quotes."""


def _pieces(word: str, known: Mapping[str, tuple[str, str]], *, shell: bool) -> list[str | Hole]:
    """The word's texts and placeholders, in order."""
    longest = sorted(known, key=len, reverse=True)
    found: list[str | Hole] = []
    at = 0
    for match in re.finditer(r"(?<!\$)\{(" + "|".join(map(re.escape, longest)) + r")\}", word):
        found.append(word[at : match.start()])
        where = _around(word[: match.start()]) if shell else _WORD
        found.append(Hole(match[0], *known[match[1]], where))
        at = match.end()
    return [*found, word[at:]]


def _filled(word: Sequence[str | Hole], values: Mapping[str, str]) -> str:
    return "".join(
        piece if isinstance(piece, str) else _quoted(part_of(piece.part, values[piece.name]), piece.where)
        for piece in word
    )


def part_of(part: str, value: str) -> str:
    """The value, or that part of the path that it is: as GNU parallel's {.}, {/}, {//} and {/.} say."""
    if not part:
        return value
    directory, _, base = value.rpartition("/")
    if part == "//":
        return directory or ("/" if value.startswith("/") else ".")
    dot = base.rfind(".")
    bare = base[:dot] if dot > 0 else base
    if part == "/":
        return base
    return bare if part == "/." else value[: len(value) - len(base)] + bare


def _around(line: str) -> str:
    """What quotes stand open at the end of that part of a line for bash."""
    if re.search(r"<<|`|\$'|\$\"", line):
        return _UNSURE
    where, at = _BARE, 0
    while at < len(line):
        c = line[at]
        if c == "\\" and where != _SINGLE:
            at += 1
        elif c == "'" and where != _DOUBLE:
            where = _BARE if where == _SINGLE else _SINGLE
        elif c == '"' and where != _SINGLE:
            where = _BARE if where == _DOUBLE else _DOUBLE
        elif c == "$" and where == _DOUBLE and line[at + 1 : at + 2] in ("(", "{"):
            return _UNSURE
        at += 1
    return _UNSURE if at > len(line) else where


def _stands(value: str, where: str) -> bool:
    """True if the value means itself there, as it is."""
    if where == _DOUBLE:
        return not re.search(r'["$`\\!]', value)
    return "'" not in value if where == _SINGLE else bool(_PLAIN.fullmatch(value))


def _quoted(value: str, where: str) -> str:
    """The value as it stands there. In quotes it stands as it is: `unquotable` has told of one that cannot."""
    if where != _BARE or (value and _PLAIN.fullmatch(value)):
        return value
    return "'" + value.replace("'", "'\"'\"'") + "'"
