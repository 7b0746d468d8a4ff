"""`-o "%.18i %T"` and `-O JobID:8,State` as columns, and rows of text from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from slurm_mock.values import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from typing import TypeVar

    R = TypeVar("R")


LONG_WIDTH = 20  # of a column in -O that says none


@dataclass(frozen=True)
class Field:
    """A column's heading and its text for one record."""

    title: str
    text: Callable[[R], str]


@dataclass(frozen=True)
class Column:
    """A field or (None) literal text, with width 0 for as wide as it is."""

    field: Field[R] | None
    literal: str = ""
    width: int = 0
    right: bool = False

    def show(self, text: str) -> str:
        if not self.width:
            return text
        cut = text[: self.width]
        return cut.rjust(self.width) if self.right else cut.ljust(self.width)


class Table:
    """The columns that there are of one kind of record: each by a letter, by a name, or both."""

    def __init__(self, letters: Mapping[str, Field[R]], names: Mapping[str, str | Field[R]] | None = None) -> None:
        """A name stands for the column of a letter, or for one of its own."""
        self.letters = letters
        self.names = {
            name: letters[which] if isinstance(which, str) else which for name, which in (names or {}).items()
        }

    def short(self, spec: str) -> tuple[list[Column[R]], list[str]]:
        """(columns of `%[[.]width]letter`, letters that are unknown); an unknown one is shown as it was written."""
        columns: list[Column[R]] = []
        unknown = []
        index = 0
        while index < len(spec):
            if spec[index] != "%":
                end = spec.find("%", index)
                end = len(spec) if end < 0 else end
                columns.append(Column(None, literal=spec[index:end]))
                index = end
                continue
            end = index + 1
            right = spec[end : end + 1] == "."
            end += right
            digits = ""
            while spec[end : end + 1].isdigit():
                digits += spec[end]
                end += 1
            letter = spec[end : end + 1]
            if letter in self.letters:
                columns.append(Column(self.letters[letter], width=int(digits or 0), right=right))
            else:
                unknown.append(letter)
                columns.append(Column(None, literal=spec[index : end + 1]))
            index = end + 1
        return columns, unknown

    def long(self, spec: str) -> tuple[list[Column[R]], list[str]]:
        """(columns of `name[:[.][width][suffix]]`, names that are unknown); a colon without width: as wide as it is."""
        columns: list[Column[R]] = []
        unknown = []
        for item in filter(None, spec.split(",")):
            name, colon, size = item.lstrip().partition(":")
            key = name.strip().lower().replace("-", "").replace("_", "")
            if key not in self.names:
                unknown.append(name)
                continue
            right = size.startswith(".")
            suffix = size.removeprefix(".").lstrip("0123456789")
            digits = size.removesuffix(suffix).removeprefix(".")
            columns.append(Column(self.names[key], width=int(digits or (0 if colon else LONG_WIDTH)), right=right))
            columns += [Column(None, literal=suffix)] if suffix else []
        return columns, unknown


def header(columns: Iterable[Column[R]]) -> str:
    return "".join(column.show(column.field.title) if column.field else column.literal for column in columns)


def row(columns: Iterable[Column[R]], record: R) -> str:
    return "".join(column.show(column.field.text(record)) if column.field else column.literal for column in columns)
