"""What a command of the command line is: its options, its help, and how a line becomes a request."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from leaseq.cli.values import SEPARATOR, nearest_hint
from leaseq.errors import UsageError

if TYPE_CHECKING:
    from leaseq.cli.app import App

CO_VARARGS = 0x04
"""inspect.CO_VARARGS: the function takes any number of words."""


class Request(Protocol):
    """A command line that has been accepted whole. Only `perform` does anything."""

    def perform(self, app: App) -> int:
        """The exit code, once the request has been carried out."""
        ...


@dataclass(frozen=True)
class Option:
    """One option of a command. `kind` is `value`, `flag`, or `list` (may be repeated)."""

    name: str
    help: str
    kind: str = "value"
    short: str = ""
    metavar: str = "X"
    blank: bool = False
    """True where an empty value says the same as none."""


@dataclass(frozen=True)
class Command:
    """One command: the method of a Fire component that makes its request, and what its help says."""

    component: type
    method: str
    usage: str
    about: str
    options: tuple[Option, ...] = ()
    examples: tuple[str, ...] = ()
    tail: bool = False
    """True where `--` and a user's command may follow."""
    parse: Callable[[Sequence[str], tuple[str, ...] | None], Request] | None = None
    """Reads the line instead of Fire, where it holds another program's options, which must pass as they are."""


class HelpAsked(Exception):
    """The line asks for the command's help."""


def request_of(name: str, command: Command, words: Sequence[str], *, tail: tuple[str, ...] | None) -> Request:
    """The request that the line makes; raises UsageError. Nothing has been done."""
    if command.parse is not None:
        return command.parse(words, tail)
    if tail is not None and not command.tail:
        raise UsageError(f"`{name}` takes no `--`", hint=f"leaseq {name} {command.usage}")
    options: list[str] = list(words)
    loose: list[str] = []
    if command.tail and tail is None:
        # Without `--` the user's command begins at the first word that is no option of ours.
        options, loose = _parted(name, command, words)
        if any(word.startswith("-") for word in loose):
            raise UsageError(
                f"do the options after {loose[0]!r} belong to it, or to leaseq?",
                hint=f"{shlex.join(['leaseq', name, *options])} -- {shlex.join(loose)}",
            )
    arguments = [*loose, *canonical(name, command, options)]
    component = command.component()
    words_left = [word for word in arguments if not word.startswith("--")]
    if words_left and not getattr(component, command.method).__code__.co_flags & CO_VARARGS:
        # Fire would take a left-over word for an attribute of the request.
        extra_words(words_left, usage=f"{name} {command.usage}".rstrip())
    if command.tail:
        component.tail = tail
    return _through_fire(component, command.method, arguments)


def _parted(name: str, command: Command, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """(our options, with their values; the first other word and all that follow it)"""
    options = {f"--{option.name}": option for option in command.options}
    shorts = {f"-{option.short}": option for option in command.options if option.short}
    at = 0
    while at < len(words) and words[at].startswith("-"):
        option, value = _match(words[at], options, shorts)
        at += 2 if option is not None and option.kind != "flag" and value is None else 1
    return list(words[:at]), list(words[at:])


def canonical(name: str, command: Command, words: Sequence[str]) -> list[str]:
    """The line as `word ... --option=value ...`, every option known, complete and given its value."""
    options = {f"--{option.name}": option for option in command.options}
    shorts = {f"-{option.short}": option for option in command.options if option.short}
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
        matched, value = _match(word, options, shorts)
        if matched is None:
            raise _unknown(name, word, [*options, *shorts])
        option = matched
        if option.kind == "flag":
            value = "true" if value is None else value
        elif value is None:
            value = _value_of(option, rest, options)
        if not value.strip() and not option.blank:
            # An unset variable of a script: what it was to say must not be left out without a word.
            raise UsageError(
                f"the value of --{option.name} is empty", hint=f"--{option.name} {option.metavar}: {option.help}"
            )
        given = values.setdefault(option.name, [])
        if option.kind != "list":
            given.clear()
        given.append(value)
    return plain + [f"--{key.replace('-', '_')}={SEPARATOR.join(given)}" for key, given in values.items()]


def _match(word: str, options: dict[str, Option], shorts: dict[str, Option]) -> tuple[Option | None, str | None]:
    if word.startswith("--"):
        key, equals, value = word.partition("=")
        key = key.replace("_", "-")
        if key not in options and key.startswith("--no-") and f"--{key[5:]}" in options and not equals:
            option = options[f"--{key[5:]}"]
            return (option, "false") if option.kind == "flag" else (None, None)
        return options.get(key), value if equals else None
    found = shorts.get(word[:2])
    if found is None or len(word) == 2:
        return found, None
    if found.kind == "flag":
        return None, None
    return found, word[2:].removeprefix("=")


def _value_of(option: Option, rest: list[str], options: dict[str, Option]) -> str:
    if not rest or rest[0].partition("=")[0] in options:
        raise UsageError(f"--{option.name} needs a value", hint=f"--{option.name} {option.metavar}: {option.help}")
    return rest.pop(0)


def _unknown(name: str, word: str, known: list[str]) -> UsageError:
    near = nearest_hint(word.partition("=")[0], known)
    if not near and len(word) == 2:
        # A letter that is another command's: what it may stand for here.
        near = " or ".join(option for option in known if option.startswith(f"--{word[1]}"))
        near = near and f"did you mean {near}?"
    return UsageError(f"`{name}` has no option {word}", hint=near or f"`leaseq {name} --help` lists them")


def _through_fire(component: object, method: str, arguments: list[str]) -> Request:
    """Fire binds the words to the method's parameters. It sees no user's command, prints and guesses nothing."""
    _import_fire()
    import fire
    from fire import core, decorators

    core.Display = lambda lines, out: print(*lines, sep="\n", file=out)
    decorators.SetParseFn(str)(getattr(type(component), method))
    made: list[Request] = []

    def keep(request: Request) -> str | None:
        made.append(request)
        return None

    # A lone `-` would end the words, and what follows a `--` is Fire's: both are taken from the user.
    line = [method, *arguments, "--", f"--separator={SEPARATOR}"]
    fire.Fire(component, command=line, name="leaseq", serialize=keep)
    return made[0]


def _import_fire() -> None:
    """fire is imported, without asyncio: two thirds of its start-up, to ask whether a function is a coroutine."""
    import inspect
    import sys
    from types import ModuleType

    if "fire" in sys.modules or "asyncio" in sys.modules:
        return
    stand_in = ModuleType("asyncio")
    stand_in.iscoroutinefunction = inspect.iscoroutinefunction  # type: ignore[attr-defined]
    sys.modules["asyncio"] = stand_in
    try:
        import fire  # noqa: F401
    finally:
        del sys.modules["asyncio"]


def extra_words(words: Sequence[str], *, usage: str) -> None:
    """No word is left over; raises UsageError."""
    if words:
        raise UsageError(f"unexpected argument {words[0]!r}", hint=f"leaseq {usage}")
