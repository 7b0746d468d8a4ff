"""What stands over the panes for a while: prompt, menu, question, form, help, an answer. Values and their look."""

from __future__ import annotations

from collections.abc import Callable

from leaseq.dataclass import dataclass, field
from leaseq.monitor.deed import Undo
from leaseq.monitor.effects import Step
from leaseq.monitor.model import Scene
from leaseq.monitor.panes import Rows
from leaseq.monitor.text import Span, fit, fold, pad, part, restyle, short, width, wrap
from leaseq.widths import cells


@dataclass(frozen=True)
class Edit:
    """A line that is being typed, and where the cursor is in it."""

    text: str = ""
    at: int = 0

    @classmethod
    def of(cls, text: str) -> Edit:
        return cls(text, len(text))

    def key(self, key: str) -> Edit | None:
        """The line after the key; None if the key edits nothing."""
        left, right = self.text[: self.at], self.text[self.at :]
        if len(key) == 1 and key.isprintable():
            return Edit(left + key + right, self.at + 1)
        if key == "backspace":
            return Edit(left[:-1] + right, max(0, self.at - 1))
        if key == "delete":
            return Edit(left + right[1:], self.at)
        if key == "ctrl-u":
            return Edit(right, 0)
        if key == "ctrl-k":
            return Edit(left, self.at)
        if key == "ctrl-w":
            kept = left.rstrip()
            kept = kept[: kept.rfind(" ") + 1]
            return Edit(kept + right, len(kept))
        moves = {"left": self.at - 1, "right": self.at + 1, "home": 0, "ctrl-a": 0}
        moves |= {"end": len(self.text), "ctrl-e": len(self.text)}
        if key in moves:
            return Edit(self.text, max(0, min(moves[key], len(self.text))))
        return None

    def spans(self, columns: int) -> list[Span]:
        """The line with its cursor, scrolled so that the cursor is in sight."""
        before, under, after = self.text[: self.at], self.text[self.at : self.at + 1] or " ", self.text[self.at + 1 :]
        spans = [(before, ""), (under, "selected"), (after, "")]
        start = max(0, cells(before) + cells(under) - columns)
        return pad(part(spans, start, start + columns), columns)


@dataclass(frozen=True)
class Prompt:
    """A line typed at the bottom. `kind` is filter, find, command or priority."""

    kind: str
    edit: Edit = Edit()
    before: str = ""
    """What stood there before, for Esc."""
    back: int = 0
    """Which line typed earlier it shows, counted from the newest; 0: what is being typed."""
    fresh: str = ""
    """What was being typed, while it shows another line."""
    about: str = ""
    """What is asked for."""

    @property
    def sign(self) -> str:
        return self.about or (":" if self.kind == "command" else "/")


@dataclass(frozen=True)
class Item:
    """A line of a menu: a letter, what it does, the doing, and why it cannot be done now."""

    key: str
    label: str
    act: Callable[[Scene], Step]
    why_not: str = ""


_CHOICES = "123456789bcdefgimnoprstuvwxyz"
"""Keys of lines that have none of their own; what moves in a menu or closes it is none."""


def choice(number: int) -> str:
    """The key of that line, from 0 on; a sign that is no key if there are more than keys."""
    return _CHOICES[number] if number < len(_CHOICES) else "·"


@dataclass(frozen=True)
class Menu:
    title: str
    items: tuple[Item, ...]
    at: int = 0


@dataclass(frozen=True)
class Confirm:
    """A question that names the exact consequence. `then` is the command line that carries it out."""

    title: str
    lines: tuple[str, ...]
    then: tuple[str, ...]
    undo: Undo | None = None
    """What takes it back, once it is done."""
    undoes: str = ""
    """What is taken back by it."""


@dataclass(frozen=True)
class Field:
    label: str
    edit: Edit = Edit()
    hint: str = ""


@dataclass(frozen=True)
class Form:
    """Fields that make a command line. `kind` is submit or add; `lease` is where submit submits to."""

    kind: str
    title: str
    fields: tuple[Field, ...]
    at: int = 0
    lease: str = ""
    trouble: str = ""

    def value(self, label: str) -> str:
        return next(field.edit.text for field in self.fields if field.label == label).strip()


@dataclass(frozen=True)
class Help:
    top: int = 0


@dataclass(frozen=True)
class Output:
    """The answer of a command that is longer than a line. `back` is what stood there before."""

    title: str
    lines: tuple[tuple[Span, ...], ...]
    top: int = 0
    back: object = field(default=None, compare=False)


Window = Prompt | Menu | Confirm | Form | Help | Output

HINTS: dict[type, tuple[tuple[str, str, str], ...]] = {
    Menu: (("j/k", "choose", "j"), ("Enter", "do it", "enter"), ("Esc", "back", "esc")),
    Confirm: (("y", "yes", "y"), ("n", "no", "n")),
    Form: (("Tab", "next field", "tab"), ("Enter", "do it", "enter"), ("Esc", "back", "esc")),
    Help: (("j/k", "scroll", "j"), ("Esc", "back", "esc")),
    Output: (("j/k", "scroll", "j"), ("Esc", "back", "esc")),
}
"""(label, word, key) of the keys that work in each window."""


def box(title: str, rows: Rows, columns: int, foot: str = "") -> Rows:
    """The rows in a frame that is `columns` wide."""
    inner = columns - 2
    head = short(f" {title} ", inner - 2) if title else ""
    tail = short(f" {foot} ", inner - 2) if foot else ""
    top = [("┌─", "dim"), (head, "focus"), ("─" * (inner - 1 - cells(head)) + "┐", "dim")]
    bottom = [("└" + "─" * (inner - 1 - cells(tail)), "dim"), (tail, "dim"), ("─┘", "dim")]
    middle = [[("│", "dim"), *pad(row, inner), ("│", "dim")] for row in rows]
    return [top, *middle, bottom]


def menu_rows(menu: Menu, columns: int) -> Rows:
    rows: Rows = []
    for index, item in enumerate(menu.items):
        style = "dim" if item.why_not else ""
        row = [(f" {item.key} ", "dim" if item.why_not else "key"), (f" {item.label}", style)]
        row += [(f"  ({item.why_not})", "dim")] if item.why_not else []
        row = pad(row, columns)
        rows.append(restyle(row, "selected") if index == menu.at else row)
    return rows


def confirm_rows(confirm: Confirm, columns: int) -> Rows:
    rows: Rows = [[]]
    for line in confirm.lines:
        rows += [[(f"  {part}", "")] for part in wrap(line, columns - 4)]
    return [*rows, [], [("  y", "key"), (" yes     ", ""), ("n", "key"), (" no", "")]]


def form_rows(form: Form, columns: int, preview: str) -> Rows:
    label = max(len(field.label) for field in form.fields) + 2
    rows: Rows = []
    for index, entry in enumerate(form.fields):
        here = index == form.at
        room = max(4, columns - label - 2)
        if here:
            body = entry.edit.spans(room)
        elif entry.edit.text:
            body = [(fit(entry.edit.text, room), "")]
        else:
            body = [(fit(entry.hint, room), "dim")]
        rows.append([(f" {entry.label:<{label}}", "focus" if here else "dim"), *body])
        if here and entry.hint and not entry.edit.text:
            rows[-1] = [(f" {entry.label:<{label}}", "focus"), (" ", "selected"), (fit(entry.hint, room - 1), "dim")]
    rows.append([])
    rows += [[(f" {part}", "bold")] for part in wrap(preview, columns - 2)[:4]]
    rows += [[(f" {part}", "bad")] for part in wrap(form.trouble, columns - 2)] if form.trouble else []
    return rows


def output_width(output: Output, most: int) -> int:
    """Columns of the window: as wide as its lines, within bounds."""
    return min(most, max(40, cells(output.title) + 8, *(width(line) + 4 for line in output.lines)))


def output_content(output: Output, columns: int) -> Rows:
    """Every row of the answer; long lines are broken."""
    return [row for line in output.lines for row in fold(line, max(1, columns - 4))]
