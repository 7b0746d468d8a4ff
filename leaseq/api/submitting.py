"""Commands become tasks, for a program: the ids come back once they are saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

from leaseq.api.options import Options, asked
from leaseq.api.queueing import lease_of, queued
from leaseq.dataclass import replace
from leaseq.errors import Malformed, UsageError
from leaseq.indices import Indices
from leaseq.models import Array
from leaseq.protocol.submission import command_of
from leaseq.sweep import NAME, fitted

if TYPE_CHECKING:
    from typing_extensions import Unpack

Command = Sequence[str] | str
"""Words, or a line for bash."""


def submit(command: Command, **options: Unpack[Options]) -> str:
    """The id of a task that runs the command, queued, durably. The options are those of `leaseq submit`."""
    (task_id,) = submit_many([command], **options)
    return task_id


def submit_many(commands: Sequence[Command], **options: Unpack[Options]) -> list[str]:
    """The ids of tasks that run these commands, in order, and are otherwise alike; all are queued, or none."""
    said = asked(options)
    words = [words_of(command) for command in commands]
    return list(queued(said, lease_of(said), words).ids) if words else []


def submit_array(
    command: Command,
    *,
    indices: str = "",
    sweep: Mapping[str, Sequence[object]] | None = None,
    throttle: int = 0,
    max_fails: int = 0,
    **options: Unpack[Options],
) -> str:
    """The id of an array, which runs the command once for each index: `{i}` in it is the index, `{NAME}` a value.

    sweep: the values of each parameter; an index is a combination, the last parameter fastest. indices: which ones, as
    `0-9`; of a sweep all, if they are not said. throttle: so many run at once. max_fails: with so many failed ones no
    other starts.
    """
    axes = tuple({name: tuple(map(str, values))} for name, values in (sweep or {}).items())
    if not axes and not indices:
        raise UsageError("which indices?", hint='indices="0-9", or sweep={"lr": [1e-3, 3e-4]}')
    for name in sweep or ():
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name of a parameter", hint="a letter, then letters, digits and _ . -")
    total = prod(len(values) for axis in axes for values in axis.values())
    if not total:
        raise UsageError("a parameter of the sweep has no value")
    said = asked(options)
    argv, shell = words_of(command)
    try:
        chosen = Indices.parse(indices or f"0-{total - 1}")
        array = Array(str(chosen), axes, throttle=throttle, max_fails=max_fails)
        like, _ = fitted(replace(said.like, argv=argv, shell=shell), array)
    except Malformed as error:
        raise UsageError(str(error)) from None
    (task_id,) = queued(replace(said, like=like), lease_of(said), [(argv, shell)]).ids
    return task_id


def words_of(command: Command) -> tuple[tuple[str, ...], bool]:
    """(the words, whether they are one line for bash); raises UsageError."""
    return command_of([command] if isinstance(command, str) else list(command))
