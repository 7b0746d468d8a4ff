"""`leaseq _complete SHELL WORD...`: what may stand in the place of the last word, for a shell that asks.

Each line is a candidate, a tab, and what it is. A line that begins with a tab is an order to the shell: `files` and
`directories` are its own to complete, and after `command N` what stands behind the N-th word is a command of its own.
Slurm is not asked, nothing is written but the cache of ended leases, and whatever goes wrong, there are no candidates.
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterable, Iterator, Sequence

from leaseq.cli.command import Command, Option
from leaseq.cli.line import match
from leaseq.cli.table import command, command_words
from leaseq.commands import COMMANDS, GROUP_DEFAULTS
from leaseq.errors import UsageError

SECONDS_MAX = 1.0
"""A file system that does not answer keeps nobody from typing for longer."""
Candidate = tuple[str, str]
"""A word, and what it is; an empty word: what the shell is to complete itself."""


def main(arguments: Sequence[str]) -> int:
    """0; the candidates are on stdout. Of bash the words are its line so far and what breaks words there."""
    signal.signal(signal.SIGALRM, lambda number, frame: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, SECONDS_MAX)
    shell, *words = arguments
    cut = 0
    if shell == "bash":
        line, breaks = words
        words = split(line)[1:] or [""]
        # What stands before the last of these, bash has taken for another word.
        cut = max((words[-1].rfind(each) + 1 for each in breaks if each in "=:"), default=0)
    found = [(word[cut:] if word else "", what) for word, what in candidates(words)]
    print("".join(f"{word}\t{what}\n" for word, what in found), end="", flush=True)
    return 0


def split(line: str) -> list[str]:
    """The words of a line that is being typed; the last is the one that the cursor is at, perhaps empty."""
    for end in ("", "'", '"'):
        try:
            words = shlex.split(line + end)
        except ValueError:
            continue
        return words if not line[-1:].isspace() or end else [*words, ""]
    return [""]


def candidates(words: Sequence[str]) -> Iterator[Candidate]:
    """What may stand in the place of the last of these words, which follow `leaseq`."""
    *before, now = words
    if not before:
        yield from _beginning(now, _first_words())
        return
    if before == ["help"]:
        yield from _beginning(now, {**_first_words(), **_topics()})
        return
    if before[0] in GROUP_DEFAULTS and not before[1:] and not now.startswith("-"):
        members = [known for known in COMMANDS if known.startswith(f"{before[0]} ")]
        yield from _beginning(now, {known.split()[1]: COMMANDS[known].about for known in members})
        return
    try:
        name, rest = command_words(before)
    except UsageError:
        return
    if name in COMMANDS:
        yield from _of_command(name, rest, now, at=len(before) - len(rest))


def _first_words() -> dict[str, str]:
    about = {known: COMMANDS[known].about for known in COMMANDS if " " not in known}
    groups = {each: f"commands on {each}" for each in GROUP_DEFAULTS if each not in about}
    return {**about, **groups, "help": "the list of commands, one command, or a topic"}


def _topics() -> dict[str, str]:
    from leaseq.cli.help import TOPICS

    return dict.fromkeys(TOPICS, "a topic")


def _beginning(now: str, known: dict[str, str]) -> Iterator[Candidate]:
    return ((word, what) for word, what in known.items() if word.startswith(now))


def _of_command(name: str, rest: Sequence[str], now: str, *, at: int) -> Iterator[Candidate]:
    """at: how many words stand before `rest`."""
    found = command(name)
    given: list[str] = []
    values: dict[str, str] = {}
    needs: Option | None = None
    for number, word in enumerate(rest):
        if needs is not None:
            values[needs.name], needs = word, None
        elif word == "--" or (found.any_word_begins_tail and not word.startswith("-")):
            if found.tail:
                yield "", f"command {at + number + (word == '--')}"
            return
        elif word.startswith("-"):
            option, value = match(word, found)
            if option is not None:
                given.append(option.name)
                values[option.name] = value or ""
                needs = option if option.kind != "flag" and value is None else None
    if needs is not None:
        yield from _values(name, needs.completes, needs.choices, now, values)
    elif now.startswith("--") and "=" in now:
        option, _ = match(now, found)
        if option is not None and option.kind != "flag":
            head, _, begun = now.partition("=")
            for word, what in _values(name, option.completes, option.choices, begun, values):
                yield (f"{head}={word}" if word else ""), what
    elif now.startswith("-"):
        yield from _options(found, given, now)
    elif found.any_word_begins_tail:
        yield "", f"command {at + len(rest)}"
    elif found.words.most is None or found.words.most > 0:
        yield from _values(name, found.words.completes, (), now, values)


def _options(found: Command, given: Sequence[str], now: str) -> Iterator[Candidate]:
    for option in found.options:
        if (option.kind == "list" or option.name not in given) and option.typed.startswith(now):
            yield option.typed, option.help
    if "--help".startswith(now):
        yield "--help", "what it does, and its options"


def _values(name: str, kind: str, choices: Iterable[str], now: str, values: dict[str, str]) -> Iterator[Candidate]:
    """values: of the options that have been given."""
    from leaseq.cli import candidates as known

    if kind in ("file", "directory"):
        yield "", {"file": "files", "directory": "directories"}[kind]
        return
    # Of several that are joined by commas, the last.
    head, comma, begun = now.rpartition(",")
    pairs = [(choice, "") for choice in choices] or known.of_kind(kind, name, begun, values.get("lease", ""))
    for word, what in pairs:
        if word.startswith(begun):
            yield f"{head}{comma}{word}", what
