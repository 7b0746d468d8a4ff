"""Fire binds the words of a line, which `line` has put into one form. It sees no user's command."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

SEPARATOR = "\x00"
"""Joins the values of an option that was given several times: no word of a command line can hold it."""

LATER = frozenset(
    "fire.completion fire.console.console_io fire.docstrings fire.formatting fire.helptext fire.interact "
    "bz2 lzma zlib".split()
)
"""What of fire prints, with what it imports (ctypes, platform, subprocess); and what packs archives for shutil."""

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
    """fire is imported, less what a binding does not touch.

    asyncio would be two thirds of it, to ask whether a function is a coroutine. What prints fire's own help, pages and
    errors is imported where fire touches it.
    """
    if "fire" in sys.modules:
        return
    stands_in = "asyncio" not in sys.modules
    sys.meta_path.insert(0, _Later)
    try:
        import inspect
        import shutil  # noqa: F401 (argparse asks it how wide the terminal is)

        if stands_in:
            stand_in = ModuleType("asyncio")
            stand_in.iscoroutinefunction = inspect.iscoroutinefunction  # type: ignore[attr-defined]
            sys.modules["asyncio"] = stand_in
        import fire  # noqa: F401
    finally:
        sys.meta_path.remove(_Later)
        if stands_in:
            sys.modules.pop("asyncio", None)


class _Later:
    """Finds modules as the path has them, of which some are executed where something of them is used."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in LATER else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec
