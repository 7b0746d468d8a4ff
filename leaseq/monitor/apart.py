"""What tells the commands of a list apart: what they have in common is left out where the room is short. Pure.

Commands of one program (the words up to its script) are a family. If not all of them fit, each is its script and the
options in which they differ, as values: `train.py lr=1e-3 seed=4`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leaseq.widths import cells

INTERPRETERS = (
    "python",
    "python3",
    "bash",
    "sh",
    "srun",
    "torchrun",
    "accelerate",
    "launch",
    "uv",
    "run",
    "env",
    "exec",
)
"""Words that say nothing of what runs."""
NARROW = 24
"""In fewer cells not even the script is said, but what tells one from the other."""
Options = dict[str, str]
"""By name; what stands without one, by its place: `1.`."""


def apart(commands: Mapping[str, str], room: int) -> dict[str, str]:
    """By id, what is shown of each command in cells so wide; `commands` by id."""
    families: dict[tuple[str, ...], list[str]] = {}
    parsed = {task: parts(command) for task, command in commands.items()}
    for task, (program, _) in parsed.items():
        families.setdefault(program, []).append(task)
    found: dict[str, str] = {}
    for program, tasks in families.items():
        whole = {task: commands[task] for task in tasks}
        if not program or all(cells(text) <= room for text in whole.values()):
            found |= whole
            continue
        if len(set(whole.values())) < 2:
            found |= {task: " ".join(_from_script(program, commands[task])) for task in tasks}
            continue
        differing = _differing([parsed[task][1] for task in tasks])
        for task in tasks:
            options = parsed[task][1]
            said = [_said(name, options[name]) for name in differing if name in options]
            name = [] if said and room < NARROW else _from_script(program, "")
            found[task] = " ".join([*name, *said])
    return found


def parts(command: str) -> tuple[tuple[str, ...], Options]:
    """(the words up to its script, what stands behind them), or nothing and none of what a shell is to read."""
    words = command.split()
    if any(mark in command for mark in "\"'|&;<>`$\n") or not words:
        return (), {}
    at = next((n for n, word in enumerate(words) if _is_script(word)), 0) + 1
    options: Options = {}
    name, place = "", 0
    for word in words[at:]:
        if word.startswith("-") and not _is_number(word):
            name, equals, value = word.lstrip("-").partition("=")
            _add(options, name, value)
            name = "" if equals else name
        elif name:
            _add(options, name, word)
            name = ""
        else:
            place += 1
            options[f"{place}."] = word
    return tuple(words[:at]), options


def _from_script(program: Sequence[str], command: str) -> list[str]:
    """The script without its directories, and what of the command stands behind it."""
    return [program[-1].rpartition("/")[2], *command.split()[len(program) :]]


def _is_script(word: str) -> bool:
    return word not in INTERPRETERS and not word.startswith("-") and not _is_number(word)


def _add(options: Options, name: str, value: str) -> None:
    """One that is said again has all its values."""
    before = options.get(name)
    options[name] = f"{before},{value}" if before and value else before or value


def _said(name: str, value: str) -> str:
    if name.endswith("."):
        return value
    return f"{name}={value}" if value else name


def _differing(options: Sequence[Options]) -> list[str]:
    """The names of those that are not the same in all that have any: those first that have most values."""
    options = [each for each in options if each]
    names = list(dict.fromkeys(name for each in options for name in each))
    values = {name: len({each.get(name) for each in options}) for name in names}
    return sorted((name for name in names if values[name] > 1), key=lambda name: -values[name])


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
