"""The manual page, from the same tables as the help: `leaseq help --man`."""

from __future__ import annotations

from leaseq import __version__
from leaseq.cli.help import INTRO, TOPICS, of_option
from leaseq.cli.table import command
from leaseq.commands import COMMANDS


def page() -> str:
    """The page in the language of man(7)."""
    name, about = INTRO.split("\n", 1)[0].split(": ", 1)
    lines = [f'.TH LEASEQ 1 "" "leaseq {__version__}"', ".SH NAME", f"{_text(name)} \\- {_text(about)}"]
    lines += [".SH SYNOPSIS", ".B leaseq", ".I COMMAND", "[options]", ".SH COMMANDS"]
    for known in COMMANDS:
        lines += _command(known)
    for topic, text in TOPICS.items():
        lines += [f".SH {topic.upper()}", *_as_typed(text)]
    return "\n".join(lines) + "\n"


def _command(name: str) -> list[str]:
    found = command(name)
    lines = [f".SS {_text(f'leaseq {name} {found.usage}'.rstrip())}"]
    for paragraph in found.about.rstrip().split("\n"):
        lines += [_text(paragraph), ".br"]
    for option in found.options:
        typed, means = of_option(option)
        lines += [".TP", f".B {_text(typed)}", _text(means)]
    if found.examples:
        lines += [".PP", "Examples:", *_as_typed("\n".join(f"  {each}" for each in found.examples))]
    return lines


def _as_typed(text: str) -> list[str]:
    return [".PP", ".nf", *(_text(line) for line in text.rstrip("\n").split("\n")), ".fi"]


def _text(line: str) -> str:
    """The line as it is to be read: nothing in it is a request or an escape."""
    plain = line.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    plain = plain.replace("^", "\\(ha").replace("~", "\\(ti").replace('"', "\\(dq")
    return f"\\&{plain}" if plain.startswith((".", " ")) else plain
