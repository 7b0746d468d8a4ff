"""From what a person types of an array (`--array`, `--sweep`, `--each`) to its record, with what is worth a remark."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import prod

from leaseq.arrays import INDEX, LINE, PATH_PARTS, Expansion, steps, variable
from leaseq.dataclass import dataclass, replace
from leaseq.errors import Malformed, UsageError
from leaseq.indices import INDEX_MAX, Indices
from leaseq.models import Array, Task
from leaseq.words import count

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_BRACED = re.compile(r"(?<!\$)\{([A-Za-z_][A-Za-z0-9_. -]*)\}")
_LOG = re.compile(r"log:(.+)\.\.(.+)\.\.([0-9]{1,9})")
_NUMBER = re.compile(r"(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?:[eE][+-]?[0-9]{1,3})?")
DIGITS = 6
"""How many significant digits a value between two on a logarithmic scale has."""
Axis = dict[str, "tuple[str, ...] | str"]


@dataclass(frozen=True)
class Said:
    """What a line says of an array, as it was typed."""

    array: str = ""
    """Which indices, and perhaps after `%` how many at once."""
    sweeps: tuple[str, ...] = ()
    """NAME=VALUES, in order."""
    zip: bool = False
    each: str = ""
    """A file with one line for each index; `-` is stdin."""
    sample: str = ""
    """How many indices of all, and perhaps after `:` the seed by which they are drawn."""
    throttle: int | None = None
    max_fails: int = 0
    logs: str = ""

    def __bool__(self) -> bool:
        """True if the line makes an array."""
        return bool(self.array or self.sweeps or self.each)


def array_of(said: Said, *, read: Callable[[str], bytes]) -> tuple[Array, list[str]]:
    """The array, and what is to be told of it; raises UsageError. read: gives what a file holds, or stdin for `-`."""
    remarks: list[str] = []
    axes = [_lines_of(said.each, read)] if said.each else []
    axes += [_sweep(text, read) for text in said.sweeps]
    _check_names(axes)
    remarks += _dashed(axes)
    if said.zip:
        axes = [_zipped(axes)]
    counts = [len(_counted(next(iter(axis.values())))) for axis in axes]
    total = prod(counts)
    if total > INDEX_MAX + 1:
        raise UsageError(f"{' x '.join(map(str, counts))} combinations are {total:,}: more than {INDEX_MAX + 1:,}")
    chosen, throttle = _chosen(said, total if axes else None)
    if said.array and not axes and len(chosen) == 1 and chosen.first > 0:
        remarks.append(f"-a {chosen} is one index, the {chosen}; -a 0-{chosen.first - 1} are {chosen}")
    if said.sample:
        chosen, remark = _sampled(chosen, said.sample)
        remarks.append(remark)
    array = Array(
        indices=str(chosen),
        axes=tuple(axes),
        throttle=throttle,
        max_fails=said.max_fails,
        logs="" if said.logs == "all" else said.logs,
    )
    return array, remarks


def fitted(task: Task, array: Array) -> tuple[Task, list[str]]:
    """The task with its array, and what is to be told of its words; raises UsageError if a value fits no place."""
    expansion = Expansion(task, array)
    if found := expansion.unquotable():
        hole, value = found
        name = "" if hole[1:-1] in PATH_PARTS else hole[1:-1]
        raise UsageError(
            f"{value!r:.80} cannot stand for {hole} there: the shell would read its characters",
            hint=f'write "${variable(name)}" for it, or give the command as words: -- COMMAND {hole}',
        )
    return replace(task, array=array), [*_unused(task, expansion), *_near_names(task, expansion)]


# -- values ----------------------------------------------------------------------------------------------------------


def _sweep(text: str, read: Callable[[str], bytes]) -> Axis:
    """The parameter of `NAME=VALUES`, as an axis of its own."""
    name, equals, values = text.partition("=")
    if not equals or not NAME.fullmatch(name):
        raise UsageError(
            f"--sweep {text!r:.80} is not NAME=VALUES",
            hint="like lr=1e-3,3e-4 or seed=1..5; a name begins with a letter and has letters, digits and _ . -",
        )
    try:
        return {name: _values(values, read)}
    except Malformed as error:
        raise UsageError(f"--sweep {name}: {error}", hint="like 1e-3,3e-4 or 1..5 or 0..1..0.1 or @FILE") from None


def _values(text: str, read: Callable[[str], bytes]) -> tuple[str, ...] | str:
    """All values, or the rule alone if one makes them; raises Malformed, UsageError."""
    items = [item.replace("\\,", ",") for item in re.split(r"(?<!\\),", text)]
    if len(items) == 1 and steps(items[0]) is not None:
        return items[0]
    found: list[str] = []
    for item in items:
        found += _item(item, read)
    return tuple(found)


def _item(item: str, read: Callable[[str], bytes]) -> Sequence[str]:
    if not item.strip():
        raise Malformed("a value is empty (@FILE holds such ones: one a line)" if item else "a value is missing")
    if item.startswith("@"):
        return _lines(item[1:], read)
    if item.startswith("log:"):
        return _logarithmic(item)
    return steps(item) or (item.removeprefix("\\") if item.startswith("\\@") else item,)


def _logarithmic(item: str) -> list[str]:
    """`log:a..b..n`: n values whose neighbours have one ratio. The ends stay as they were typed."""
    match = _LOG.fullmatch(item)
    if not match or not all(_NUMBER.fullmatch(word) and float(word) > 0 for word in match.groups()[:2]):
        raise Malformed(f"{item} is not log:A..B..N, as in log:1e-5..1e-2..4, with A and B above 0")
    first, last, number = float(match[1]), float(match[2]), int(match[3])
    if number < 2:
        raise Malformed(f"{item}: its two ends are two values at least")
    exponents = "e" in item.removeprefix("log:").lower()
    between = [first * (last / first) ** (at / (number - 1)) for at in range(1, number - 1)]
    return [match[1], *(_short(value, exponents=exponents) for value in between), match[2]]


def _short(value: float, *, exponents: bool) -> str:
    if not exponents:
        return f"{value:.{DIGITS}g}"
    digits, _, exponent = f"{value:.{DIGITS - 1}e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


def _lines(name: str, read: Callable[[str], bytes]) -> tuple[str, ...]:
    """The lines of a file that are not blank."""
    text = _text(name, read)
    found = tuple(line for line in (line.rstrip("\r") for line in text.split("\n")) if line.strip())
    if not found:
        raise UsageError(f"{_called(name)} holds no line")
    return found


def _text(name: str, read: Callable[[str], bytes]) -> str:
    if not name:
        raise UsageError("@ is followed by the name of a file")
    text = read(name).decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    if "\0" in text:
        raise UsageError(f"{_called(name)} is not a text file", hint="one value a line")
    return text


def _called(name: str) -> str:
    return "stdin" if name == "-" else name


def _lines_of(name: str, read: Callable[[str], bytes]) -> Axis:
    """The lines of a file as one parameter, or the columns of a table as several that go together."""
    ending = name.rpartition(".")[2].lower()
    if ending not in ("csv", "tsv"):
        return {LINE: _lines(name, read)}
    import csv

    text = _text(name, read)
    rows = csv.reader(text.splitlines(keepends=True), delimiter="\t" if ending == "tsv" else ",")
    try:
        table = [(rows.line_num, row) for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UsageError(f"{name}, line {rows.line_num}: {error}") from None
    if len(table) < 2:
        raise UsageError(f"{name} holds no row", hint="its first line names the columns, each other one is a task")
    header = [cell.strip() for cell in table[0][1]]
    if len(set(header)) < len(header) or not all(header) or any("{" in cell or "}" in cell for cell in header):
        raise UsageError(
            f"the first line of {name} does not name its columns: {', '.join(header)!r:.80}",
            hint="each column needs a name of its own, without braces; `--each -` takes lines as they are",
        )
    for line, row in table:
        if len(row) != len(header):
            raise UsageError(f"{name}, line {line}: {count(len(row), 'cell')}, but {count(len(header), 'column')}")
    return {column: tuple(row[at] for _, row in table[1:]) for at, column in enumerate(header)}


# -- names and numbers -----------------------------------------------------------------------------------------------


def _check_names(axes: Sequence[Axis]) -> None:
    """Raises UsageError if a name stands for the index, or two have one name or one variable."""
    seen: dict[str, str] = {}
    for name in (name for axis in axes for name in axis):
        if name == INDEX:
            raise UsageError("{i} is the index of each task: give the parameter another name")
        other = seen.setdefault(variable(name), name)
        if other is not name:
            what = f"{name!r} is given twice" if other == name else f"{other!r} and {name!r} are one name"
            raise UsageError(what, hint=f"in the environment it is {variable(name)}: names differ in more than case")
        seen[variable(name)] = name


def _zipped(axes: Sequence[Axis]) -> Axis:
    """All parameters on one axis; raises UsageError if they have different numbers of values."""
    if len(axes) < 2:
        raise UsageError("--zip pairs values: it needs two parameters at least", hint="give --sweep twice")
    together = {name: values for axis in axes for name, values in axis.items()}
    lengths = {name or "--each": len(_counted(values)) for name, values in together.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {number}" for name, number in lengths.items())
        raise UsageError(f"--zip pairs values, but they are not as many: {told}")
    return together


def _counted(values: tuple[str, ...] | str) -> Sequence[str]:
    return (steps(values) or ()) if isinstance(values, str) else values


def _chosen(said: Said, total: int | None) -> tuple[Indices, int]:
    """(which indices there are, how many run at once); total: of how many combinations, None without parameters."""
    text, percent, limit = said.array.partition("%")
    throttle = said.throttle or 0
    if percent:
        if not re.fullmatch("[1-9][0-9]{0,8}", limit):
            raise UsageError(f"--array {said.array!r:.60}: after % stands how many run at once", hint="like 0-99%8")
        if said.throttle is not None and said.throttle != int(limit):
            raise UsageError(f"%{limit} and --throttle {said.throttle} contradict each other")
        throttle = int(limit)
    if not text:
        if said.array or total is None:
            raise UsageError(f"--array {said.array!r} names no index", hint="like 0-99, 0-9:2, 1,5,7-9, 0-99%8")
        return Indices([range(total)]), throttle
    try:
        chosen = Indices.parse(text)
    except Malformed as error:
        raise UsageError(f"--array: {error}", hint="like 0-99, 0-9:2, 1,5,7-9, 0-99%8") from None
    if total is not None and chosen.last >= total:
        raise UsageError(f"--array {text}: there are {count(total, 'combination')}, 0 to {total - 1}")
    return chosen, throttle


def _sampled(chosen: Indices, text: str) -> tuple[Indices, str]:
    """(so many of the indices, what is told of it)"""
    match = re.fullmatch("([1-9][0-9]{0,8})(?::([0-9]{1,9}))?", text)
    if not match:
        raise UsageError(f"--sample {text!r:.60} is not a number", hint="how many, like 20; 20:7 draws with seed 7")
    number, seed = int(match[1]), int(match[2] or 0)
    if number >= len(chosen):
        return chosen, f"--sample {number}: there are no more than {len(chosen):,}, so all are taken"
    import random

    places = random.Random(seed).sample(range(len(chosen)), number)
    other = f"; --sample {number}:{seed + 1} draws others"
    return Indices.of(
        chosen[place] for place in places
    ), f"{number:,} of {len(chosen):,}, drawn with seed {seed}{other}"


# -- remarks ---------------------------------------------------------------------------------------------------------


def _dashed(axes: Sequence[Axis]) -> list[str]:
    """Of each parameter whose one value is a range as indices have them, what it may have been meant to be."""
    found = [(name, values[0]) for axis in axes for name, values in axis.items() if len(values) == 1]
    told = [(name, re.fullmatch("([0-9]+)-([0-9]+)", value)) for name, value in found]
    return [f"{name}={is_one[0]} is one value: a range is {is_one[1]}..{is_one[2]}" for name, is_one in told if is_one]


def _unused(task: Task, expansion: Expansion) -> list[str]:
    """Of each name that no word uses, where its values are nevertheless."""
    told = []
    for name in expansion.names:
        if name not in expansion.used and not any(variable(name) in word for word in task.argv):
            told.append(f"no word uses {{{name}}}: its values are in ${variable(name)} only")
    return told


def _near_names(task: Task, expansion: Expansion) -> list[str]:
    """Of each word in braces that looks like a name, that it stays as it was typed."""
    from difflib import get_close_matches

    names = [name for name in expansion.names if name]
    lowered: Mapping[str, str] = {name.lower(): name for name in names}
    told = []
    for word in dict.fromkeys(match[1] for each in task.argv for match in _BRACED.finditer(each)):
        if word == INDEX or word in names:
            continue
        near = get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.5)
        if near:
            told.append(f"{{{word}}} stays as typed: did you mean {{{lowered[near[0]]}}}?")
    return told
