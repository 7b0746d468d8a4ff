"""What a key asks of the world outside the scene, as values; each is done through a narrow port."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Protocol

from leaseq.dataclass import dataclass, replace
from leaseq.monitor.deed import Undo
from leaseq.monitor.doings import noted
from leaseq.monitor.filters import Filter
from leaseq.monitor.model import Ui, say
from leaseq.monitor.text import Span
from leaseq.words import visible


class Outside(Protocol):
    """What the monitor can do besides drawing."""

    def quit(self, code: int) -> None:
        """The monitor ends with that exit code."""

    def refresh(self) -> None:
        """Everything is read again, now."""

    def watch(self, lease: str) -> None:
        """That lease is read from now on."""

    def copy(self, text: str) -> tuple[bool, str]:
        """(whether the text was sent to the terminal's clipboard, what a person has to know of that)"""

    def complete(self, text: str) -> None:
        """The line is completed in the background."""

    def begin(self, run: Run) -> None:
        """The command runs in the background; its answer comes later."""

    def now(self) -> float:
        """The time."""

    def in_front(self, words: tuple[str, ...], *, pause: bool) -> str:
        """The command has had the terminal; words for the person if it did not end well."""

    def page(self, pager: Pager) -> str:
        """The person has seen the output; words if there was none to see, or no pager."""


class Effect(Protocol):
    """One thing to be done outside."""

    def do(self, outside: Outside, ui: Ui) -> Ui:
        """The effect is done, or begun; what the person sees then."""


@dataclass(frozen=True)
class Step:
    """The state after a key, and what is to be done outside."""

    ui: Ui
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True)
class Run:
    """A leaseq command runs in the background, and its answer is shown. `whole`: in a window, however short."""

    words: tuple[str, ...]
    whole: bool = False
    back: object = None
    """What stands there again when the answer is closed."""
    undo: Undo | None = None
    """What takes it back, once it is done."""
    undoes: str = ""
    """What is taken back by it, in words."""
    shape: Callable[[Ui, Answer], Step] | None = None
    """What is made of the answer, if it is not for the person."""

    def do(self, outside: Outside, ui: Ui) -> Ui:
        outside.begin(self)
        return say(ui, f"{command_line(self.words)} …", "dim")


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    run: Run
    code: int
    lines: tuple[tuple[Span, ...], ...]

    @property
    def text(self) -> str:
        """In a few words: without the `leaseq: ` that every line of talk begins with."""
        plain = ["".join(text for text, _ in line) for line in self.lines]
        return "\n".join(line.removeprefix("leaseq: ") for line in plain)


@dataclass(frozen=True)
class Foreground:
    """A leaseq command has the terminal until it ends."""

    words: tuple[str, ...]
    pause: bool = False
    """Its last words are to be read before the monitor comes back."""

    def do(self, outside: Outside, ui: Ui) -> Ui:
        said = outside.in_front(self.words, pause=self.pause)
        return say(noted(ui, outside.now(), command_line(self.words), code=bool(said), answer=said), said, "warn")


@dataclass(frozen=True)
class Pager:
    """A pager shows the whole output of an attempt."""

    lease: str
    task: str
    attempt: int
    streams: tuple[str, ...]

    def do(self, outside: Outside, ui: Ui) -> Ui:
        return say(ui, outside.page(self), "warn")


@dataclass(frozen=True)
class Copy:
    """The text is in the terminal's clipboard, if the terminal takes it."""

    text: str

    def do(self, outside: Outside, ui: Ui) -> Ui:
        sent, remark = outside.copy(self.text)
        if not sent:
            return say(ui, f"not copied: {remark}", "warn")
        return say(ui, f"copied {visible(self.text)[:200]}" + (f" ({remark})" if remark else ""))


@dataclass(frozen=True)
class Watch:
    """Another lease is shown."""

    lease: str
    task: str = ""
    """Which is under the cursor then."""

    def do(self, outside: Outside, ui: Ui) -> Ui:
        outside.watch(self.lease)
        fresh = Ui(readonly=ui.readonly, ascii=ui.ascii, lease=self.lease, task=self.task)
        if self.task:
            fresh = replace(fresh, filter=Filter.ALL, text=self.task)
        return replace(fresh, doings=ui.doings, undos=ui.undos, typed=ui.typed, drafts=ui.drafts)


@dataclass(frozen=True)
class Refresh:
    """Everything is read again, now."""

    def do(self, outside: Outside, ui: Ui) -> Ui:
        outside.refresh()
        return ui


@dataclass(frozen=True)
class Quit:
    """The monitor ends."""

    code: int = 0

    def do(self, outside: Outside, ui: Ui) -> Ui:
        outside.quit(self.code)
        return ui


@dataclass(frozen=True)
class Complete:
    """What may stand at the end of a command line is looked up, and put there."""

    text: str

    def do(self, outside: Outside, ui: Ui) -> Ui:
        outside.complete(self.text)
        return ui


def command_line(words: tuple[str, ...]) -> str:
    """The command as a person would type it."""
    return "leaseq " + shlex.join(words)
