"""Fire binds the words of a line, which `line` has put into one form. It sees no user's command."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

SEPARATOR = "\x00"
"""Joins the values of an option that was given several times: no word of a command line can hold it."""

Bound = tuple[tuple[str, ...], dict[str, list[str]]]
"""The words that belong to no option, and the texts of each option."""


def bound(words: Sequence[str], given: Mapping[str, Sequence[str]]) -> Bound:
    """The words and the options' texts, as Fire hands them to a function."""
    import_fire()
    import fire
    from fire import decorators

    made: list[Bound] = []

    def bind(*words: str, **values: str) -> None:
        made.append((words, {name.replace("_", "-"): text.split(SEPARATOR) for name, text in values.items()}))

    options = [f"--{name.replace('-', '_')}={SEPARATOR.join(texts)}" for name, texts in given.items()]
    decorators.SetParseFn(str)(bind)
    # A lone `-` would end the words, and what follows a `--` is Fire's: both are taken from the user.
    fire.Fire(bind, command=[*words, *options, "--", f"--separator={SEPARATOR}"], name="leaseq")
    return made[0]


def import_fire() -> None:
    """fire is imported, without asyncio: two thirds of its start-up, to ask whether a function is a coroutine."""
    if "fire" in sys.modules or "asyncio" in sys.modules:
        return
    stand_in = ModuleType("asyncio")
    stand_in.iscoroutinefunction = inspect.iscoroutinefunction  # type: ignore[attr-defined]
    sys.modules["asyncio"] = stand_in
    try:
        import fire  # noqa: F401
    finally:
        del sys.modules["asyncio"]
