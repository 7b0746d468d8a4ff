"""The user's Slurm options: read as sbatch reads them, checked, never changed.

Every spelling passes (`-pgpu`, `-p gpu`, `--partition=gpu`, `--part gpu`, `-QO`). simple-slurm's model of sbatch
says which options exist; one that it does not know passes with a note, since sites add their own and Slurm grows.
Only what cannot belong to a lease is refused.
"""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from leaseq.dataclass import dataclass, field
from leaseq.errors import UsageError

SHORT = {
    "A": "account", "a": "array", "b": "begin", "B": "extra-node-info", "c": "cpus-per-task", "C": "constraint",
    "d": "dependency", "D": "chdir", "e": "error", "F": "nodefile", "G": "gpus", "h": "help", "H": "hold",
    "i": "input", "J": "job-name", "k": "no-kill", "L": "licenses", "m": "distribution", "M": "clusters",
    "n": "ntasks", "N": "nodes", "o": "output", "O": "overcommit", "p": "partition", "q": "qos", "Q": "quiet",
    "s": "oversubscribe", "S": "core-spec", "t": "time", "v": "verbose", "V": "version", "w": "nodelist",
    "W": "wait", "x": "exclude",
}  # fmt: skip

BARE = frozenset(
    "contiguous help hold ignore-pbs no-requeue overcommit oversubscribe share parsable quiet reboot requeue "
    "spread-job test-only usage use-min-nodes verbose version wait external stepmgr spread-segments "
    "consolidate-segments".split()
)
"""Options that take no value."""
OPTIONAL = frozenset("exclusive get-user-env nice no-kill propagate resv-ports oom-kill-step".split())
"""Options whose value, if there is one, is glued on by `=` (or to the letter)."""
NEWER = frozenset(
    "batch consolidate-segments container-id export-file external gpus-per-socket jobid mcs-label oom-kill-step "
    "resv-ports segment share spread-segments stepmgr tres-bind tres-per-job tres-per-task version help usage "
    "kill-on-invalid-dep".split()
)
"""Options of sbatch that simple-slurm's list lacks."""

_CANNOT = {
    "array": ("an array would be many leases", "add one lease, then `leaseq submit` as many tasks as you like"),
    "wrap": ("a lease runs no command of its own", "`leaseq add ...`, then `leaseq submit -- COMMAND`"),
    "wait": (
        "sbatch's --wait would hold this command until the lease has ended",
        "leaseq add waits for the start by itself; `leaseq add --wait 10m -- ...` limits how long, --detach not at all",
    ),
    "parsable": ("leaseq reads sbatch's answer itself", "`leaseq add --detach` prints the bare id, --json the record"),
    "test-only": ("no lease would come of --test-only", "`leaseq add --dry-run` shows the script and the command"),
    "help": ("sbatch would print its help and allocate nothing", "`sbatch --help`, or `leaseq add --help`"),
    "usage": ("sbatch would print its usage and allocate nothing", "`sbatch --usage`, or `leaseq add --help`"),
    "version": ("sbatch would print its version and allocate nothing", "`sbatch --version`"),
    "clusters": (
        "a lease on another cluster than later commands ask is lost from sight",
        "set SLURM_CLUSTERS=NAME for leaseq as a whole: `export SLURM_CLUSTERS=NAME; leaseq add ...`",
    ),
}


@dataclass(frozen=True)
class Checked:
    """What the user's tokens ask for."""

    options: Mapping[str, str]
    """Long option names to values as sbatch will take them; the last of a repeated option; "" if it has none."""
    notes: tuple[str, ...] = ()
    """What the user should hear although nothing is refused."""
    suggestions: Mapping[str, str] = field(default_factory=dict)
    """Unknown options to the known one each looks like."""


def check(tokens: Sequence[str]) -> Checked:
    """The tokens, understood; raises UsageError for what cannot belong to a lease."""
    known = known_options()
    options: dict[str, str] = {}
    unknown: list[str] = []
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        if token == "--":
            if rest:
                _refuse_script(rest[0])
        elif token.startswith("--"):
            name, glued, value = token[2:].partition("=")
            full = _full_name(name, known)
            if full is None:
                unknown.append(name)
                # Whether it takes a value cannot be known; sbatch knows.
                if not glued and rest and not rest[0].startswith("-"):
                    rest.pop(0)
                continue
            options[full] = value if glued or not _takes_word(full) else _next_word(rest, f"--{full}")
        elif token.startswith("-") and len(token) > 1:
            _letters(token[1:], rest, options, unknown)
        else:
            _refuse_script(token)
    for name in options:
        if name in _CANNOT:
            message, hint = _CANNOT[name]
            raise UsageError(f"--{name} makes no sense for a lease: {message}", hint=hint)
    return _with_notes(options, unknown, known)


def takes_next(token: str, following: str) -> bool:
    """True if sbatch takes the following word as the value of this token."""
    if token.startswith("--"):
        name, glued, _ = token[2:].partition("=")
        full = _full_name(name, known_options())
        return not glued and (_takes_word(full) if full else not following.startswith("-"))
    if not token.startswith("-") or len(token) < 2:
        return False
    rest, options = ["value"], dict[str, str]()
    _letters(token[1:], rest, options, [])
    return not rest


def without(tokens: Sequence[str], names: frozenset[str]) -> tuple[str, ...]:
    """The tokens less these options, for others to be added behind them."""
    left: list[str] = []
    rest = [token for token in tokens if token != "--"]
    while rest:
        taken = 2 if len(rest) > 1 and takes_next(rest[0], rest[1]) else 1
        words, rest = rest[:taken], rest[taken:]
        options = check(words).options
        if names.isdisjoint(options):
            left += words
        else:
            left += [
                f"--{name}={value}" if value else f"--{name}" for name, value in options.items() if name not in names
            ]
    return tuple(left)


def _letters(letters: str, rest: list[str], options: dict[str, str], unknown: list[str]) -> None:
    """A cluster of one-letter options has been read: `N2`, `QO`, `Qpgpu`."""
    while letters:
        letter, letters = letters[0], letters[1:]
        name = SHORT.get(letter)
        if name is None:
            unknown.append(letter)
            return
        if name in BARE:
            options[name] = ""
        elif name in OPTIONAL:
            options[name] = letters
            return
        else:
            options[name] = letters or _next_word(rest, f"-{letter}")
            return


def _takes_word(name: str) -> bool:
    return name not in BARE and name not in OPTIONAL


def _next_word(rest: list[str], option: str) -> str:
    if not rest:
        raise UsageError(f"{option} needs a value", hint=f"`leaseq add ... {option} VALUE`, as for sbatch")
    return rest.pop(0)


def _refuse_script(word: str) -> None:
    if word == ":":
        raise UsageError(
            "a lease is one job of nodes that are asked for alike, and ':' parts several",
            hint="`leaseq add [SLURM OPTIONS]` once for each part makes a lease of each",
        )
    raise UsageError(
        f"{word!r} is not an option: a lease runs leaseq's own script",
        hint=f"`leaseq add [SLURM OPTIONS]` first, then `leaseq submit -- {word} ...`",
    )


def _full_name(name: str, known: frozenset[str]) -> str | None:
    """The option that the name is, or the only one that it abbreviates (as getopt_long has it); None if unknown."""
    if name in known:
        return name
    longer = [each for each in known if each.startswith(name)]
    return longer[0] if name and len(longer) == 1 else None


def _with_notes(options: dict[str, str], unknown: list[str], known: frozenset[str]) -> Checked:
    notes, suggestions = [], {}
    for name in unknown:
        dashed = f"-{name}" if len(name) == 1 else f"--{name}"
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.75) if len(name) > 1 else []
        if near:
            suggestions[dashed] = f"--{near[0]}"
        notes.append(
            f"{dashed} is no sbatch option known here; passed on as it is"
            + (f" (did you mean --{near[0]}?)" if near else "")
        )
    return Checked(options, tuple(notes), suggestions)


# -- simple-slurm ----------------------------------------------------------------------------------


@functools.cache
def known_options() -> frozenset[str]:
    """The long names of sbatch's options: simple-slurm's, and those that are newer."""
    spelled = (option for action in _model().parser._actions for option in action.option_strings)
    return frozenset(option[2:].replace("_", "-") for option in spelled if option.startswith("--")) | NEWER


def _model() -> Any:
    """simple-slurm's Slurm object; made without SQUEUE_FORMAT, whose usual values make its constructor raise."""
    import logging

    taken = os.environ.pop("SQUEUE_FORMAT", None)
    level, handlers = logging.root.level, list(logging.root.handlers)
    try:
        from simple_slurm import Slurm

        return Slurm()
    finally:
        # Importing it configures the root logger.
        logging.root.setLevel(level)
        logging.root.handlers[:] = handlers
        if taken is not None:
            os.environ["SQUEUE_FORMAT"] = taken
