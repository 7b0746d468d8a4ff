"""How a line becomes a request, by the table of its command's options."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from leaseq.cli.command import Command, Option, Request
from leaseq.errors import UsageError
from leaseq.values import nearest_hint


class HelpAsked(Exception):
    """The line asks for the command's help."""


def request_of(name: str, command: Command, words: Sequence[str], *, tail: tuple[str, ...] | None) -> Request:
    """The request that the line makes; raises UsageError. Nothing has been done."""
    usage = f"leaseq {name} {command.usage}".rstrip()
    if tail is not None and not command.tail:
        raise UsageError(f"`{name}` takes no `--`", hint=usage)
    ours, loose = list(words), list[str]()
    if command.parted is not None:
        ours, theirs = command.parted(words)
        tail = (*theirs, *(tail or ()))
    elif command.tail and tail is None and not command.named:
        # Without `--` the user's command begins at the first word that is no option of ours.
        ours, loose = _parted(command, words)
        if any(word.startswith("-") for word in loose):
            raise UsageError(
                f"do the options after {loose[0]!r} belong to it, or to leaseq?",
                hint=f"{shlex.join(['leaseq', name, *ours])} -- {shlex.join(loose)}",
            )
    plain, given = canonical(name, command, ours)
    plain = (*loose, *plain)
    if not command.quick:
        from leaseq.cli.binding import bound

        plain, given = bound(plain, given)
    fields = command.words.value(plain, usage=usage) | values_of(command, given)
    if command.tail:
        fields["tail"] = tail
    request: Request = command.make(**fields)
    return request


def _parted(command: Command, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """(our options, with their values; the first other word and all that follow it)"""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        option, value = match(words[at], command)
        at += 2 if option is not None and option.kind != "flag" and value is None else 1
    return list(words[:at]), list(words[at:])


def canonical(name: str, command: Command, words: Sequence[str]) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """The words that belong to no option, and the texts of each option: every one known, complete and given a value."""
    plain: list[str] = []
    values: dict[str, list[str]] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in ("-h", "--help"):
            raise HelpAsked
        if not word.startswith("-"):
            plain.append(word)
            continue
        if word == "-":
            raise UsageError("a lone '-' means nothing here", hint=f"leaseq {name} {command.usage}")
        option, value = match(word, command)
        if option is None:
            raise _unknown(name, word, command)
        if option.kind == "flag":
            value = "true" if value is None else value
        elif value is None:
            value = _value_of(option, rest, command)
        if not value.strip() and not option.blank:
            # An unset variable of a script: what it was to say must not be left out without a word.
            raise UsageError(f"the value of --{option.name} is empty", hint=_told(option))
        given = values.setdefault(option.name, [])
        if option.kind != "list":
            given.clear()
        given.append(value)
    return tuple(plain), values


def values_of(command: Command, given: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """Every field that options name, with its value; raises UsageError, also if options do not go together."""
    values: dict[str, object] = {}
    for option in command.options:
        values[option.target] = option.value(given.get(option.name, ()))
        if option.name not in given or (option.kind == "flag" and not values[option.target]):
            continue
        if option.goes_with and option.goes_with not in given:
            raise UsageError(f"--{option.name} goes with --{option.goes_with}", hint=_told(option))
        for other in option.against:
            if other in given:
                raise UsageError(f"--{option.name} and --{other} contradict each other", hint=_told(option))
    return values


def _told(option: Option) -> str:
    value = "" if option.kind == "flag" else f" {option.stands_for}"
    return f"--{option.name}{value}: {option.help}"


def match(word: str, command: Command) -> tuple[Option | None, str | None]:
    """(the option that the word names, the value that stands in the same word)"""
    if word.startswith("--"):
        key, equals, value = word.partition("=")
        key = key[2:].replace("_", "-")
        option = _named(command, key)
        if option is None and key.startswith("no-") and not equals:
            option = _named(command, key[3:])
            return (option, "false") if option is not None and option.kind == "flag" else (None, None)
        return option, value if equals else None
    found = next((option for option in command.options if option.short and option.short == word[1:2]), None)
    if found is None or len(word) == 2:
        return found, None
    if found.kind == "flag":
        return None, None
    return found, word[2:].removeprefix("=")


def _named(command: Command, name: str) -> Option | None:
    return next((option for option in command.options if option.name == name), None)


def _value_of(option: Option, rest: list[str], command: Command) -> str:
    # What is another option's name is no value.
    if not rest or (rest[0].startswith("--") and _named(command, rest[0][2:].partition("=")[0]) is not None):
        raise UsageError(f"--{option.name} needs a value", hint=_told(option))
    return rest.pop(0)


def _unknown(name: str, word: str, command: Command) -> UsageError:
    known = [f"--{option.name}" for option in command.options]
    known += [f"-{option.short}" for option in command.options if option.short]
    near = nearest_hint(word.partition("=")[0], known)
    if not near and len(word) == 2:
        # A letter that is another command's: what it may stand for here.
        near = " or ".join(option for option in known if option.startswith(f"--{word[1]}"))
        near = near and f"did you mean {near}?"
    return UsageError(f"`{name}` has no option {word}", hint=near or f"`leaseq {name} --help` lists them")
