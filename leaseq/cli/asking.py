"""Questions on the terminal, one at a time: each shows its default, and `?` explains it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from leaseq.cli.app import App
from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.words import visible

NONE = "-"
"""What is typed to say nothing, where something is the default."""


def as_typed(answer: str) -> str:
    """The answer, as it is."""
    return answer


@dataclass(frozen=True)
class Question:
    """One question. `read` makes the value of an answer; raises UsageError, and it is asked again."""

    words: str
    default: str
    """What Enter stands for; empty: nothing is said."""
    explained: str
    read: Callable[[str], str] = as_typed


Ask = Callable[[Question], str]
"""Gives the value of the answer; empty if nothing is said."""


def by_default(app: App) -> Ask:
    """Each question has its default for an answer, and that is said."""

    def ask(question: Question) -> str:
        app.out.talk(f"leaseq: {question.words}: {question.default or NONE}")
        return _value(question, "")

    return ask


def on_terminal(app: App) -> Ask:
    """A person answers. Ctrl-D is as Ctrl-C: raises KeyboardInterrupt."""

    def ask(question: Question) -> str:
        while True:
            answer = _typed(f"{question.words}? [{question.default or NONE}] ")
            if answer == "?":
                app.out.talk(f"  {question.explained}")
                continue
            try:
                return _value(question, answer)
            except UsageError as error:
                app.out.talk(f"  {error.message}{f' ({error.hint})' if error.hint else ''}")

    return ask


def agreed(ask: Ask, words: str, explained: str, *, default: bool = True) -> bool:
    """Yes or no."""
    return ask(Question(words, "yes" if default else "no", explained, _yes_or_no)) == "yes"


def _value(question: Question, answer: str) -> str:
    if not answer.isprintable():
        raise UsageError("a key has been pressed that is no letter: Ctrl-U takes the line back")
    answer = answer or question.default
    return "" if answer in ("", NONE) else question.read(answer)


def _yes_or_no(answer: str) -> str:
    for word in ("yes", "no"):
        if word.startswith(answer.lower()):
            return word
    raise UsageError(f"{answer!r} is neither yes nor no")


def _typed(prompt: str) -> str:
    sys.stdout.flush()
    print(visible(prompt), end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line.endswith("\n"):
        raise KeyboardInterrupt
    return line.strip()
