"""Settings are written for the first time, or added to those that are there: nothing that stands there changes."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from leaseq import config
from leaseq.config import Config, Profile
from leaseq.dataclass import dataclass, field, replace
from leaseq.errors import Refused, UsageError
from leaseq.forms import Form
from leaseq.layout import Home
from leaseq.protocol import files
from leaseq.verbs.access import Access

if TYPE_CHECKING:
    import yaml

_PLAIN = Form(r"[A-Za-z0-9_./][A-Za-z0-9_./:=+-]*(?<!:)")
"""A value that YAML reads as the text it is without quotation marks."""
INDENT = 2


@dataclass(frozen=True)
class Wanted:
    """What is to stand in the settings."""

    settings: Mapping[str, str] = field(default_factory=dict)
    profile: str = ""
    """The name of a profile; empty if none is wanted."""
    slurm: Mapping[str, str] = field(default_factory=dict)
    """Its options of Slurm, by their long names."""
    idle: str = ""

    def __bool__(self) -> bool:
        return bool(self.settings or self.profile)


@dataclass(frozen=True)
class Planned:
    """A file as it is to be."""

    path: str
    before: str
    """What stands there now; empty if nothing does."""
    text: str
    beside: bool = False
    """True if it is written beside the settings, for a person to move over."""


def said_now(home: Home) -> tuple[str, Config]:
    """The text of the settings, and what it says; empty and the defaults if there is none. Raises UsageError."""
    return config.read_text(home.config) or "", config.load(home)


def plan(home: Home, wanted: Wanted, *, about: str) -> Planned:
    """The settings with what is wanted, all of what is there as it was; beside them, if that cannot be told for sure.

    about: the first line of a new file. Raises UsageError.
    """
    before, _ = said_now(home)
    if not before.strip():
        return Planned(home.config, before, f"# {about}\n" + "".join(_lines(wanted)))
    text = _added(before, wanted, home.config)
    if text is not None:
        return Planned(home.config, before, text)
    free = (f"{home.config}.{word}" for word in itertools.chain(["new"], map("new{}".format, itertools.count(2))))
    path = next(path for path in free if not os.path.lexists(path))
    return Planned(path, "", "".join(_lines(wanted)), beside=True)


def write(access: Access, planned: Planned) -> None:
    """The file is as planned, durably; raises Refused if somebody has changed it since."""
    access.make_home()
    if (config.read_text(planned.path) or "") != planned.before:
        raise Refused(f"{planned.path} has changed meanwhile: nothing was written", hint="`leaseq init` again")
    # Of those who keep their settings elsewhere, the link stays.
    files.replace_file(access.fs, os.path.realpath(planned.path), planned.text.encode())


# -- texts ------------------------------------------------------------------------------------------


def _lines(wanted: Wanted) -> Iterator[str]:
    for name, value in wanted.settings.items():
        yield f"{name}: {_scalar(value)}\n"
    if wanted.profile:
        yield "profiles:\n"
        yield from _profile(wanted, INDENT)


def _profile(wanted: Wanted, indent: int) -> Iterator[str]:
    yield f"{' ' * indent}{wanted.profile}:  # leaseq add --profile {wanted.profile}\n"
    if wanted.slurm:
        yield f"{' ' * (indent + INDENT)}slurm:\n"
        for name, value in wanted.slurm.items():
            yield f"{' ' * (indent + 2 * INDENT)}{name}: {_scalar(value)}\n"
    if wanted.idle:
        yield f"{' ' * (indent + INDENT)}idle: {_scalar(wanted.idle)}\n"


def _scalar(value: str) -> str:
    """The value as YAML reads it back."""
    return value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def _added(before: str, wanted: Wanted, path: str) -> str | None:
    """The text with what is wanted; None if it would say anything else than before and that."""
    import yaml

    if "\ufffd" in before:
        return None  # it was no UTF-8, and would not be what it was
    lines = before.splitlines(keepends=True)
    lines[-1] = lines[-1].rstrip("\r\n") + "\n"
    rest = wanted
    at, indent = _profiles_end(yaml.compose(before, Loader=yaml.BaseLoader), len(lines))
    if at is not None and wanted.profile:
        lines[at:at] = _profile(wanted, indent)
        rest = replace(wanted, profile="")
    text = "".join([*lines, *_lines(rest)])
    try:
        return (
            text if _same(config.parse(text, path=path), _expected(config.parse(before, path=path), wanted)) else None
        )
    except UsageError:
        return None


def _profiles_end(document: yaml.Node | None, end: int) -> tuple[int | None, int]:
    """The line before which another profile can stand, and its indent; None if no block of profiles is there."""
    pairs = document.value if document is not None and isinstance(document.value, list) else []
    for key, value in pairs:
        if key.value == "profiles":
            last = value
            while isinstance(last.value, list) and last.value and not last.flow_style:
                last = last.value[-1][1] if isinstance(last.value[-1], tuple) else last.value[-1]
            mark = last.end_mark
            return min(mark.line + bool(mark.column), end), value.value[0][0].start_mark.column if value.value else 0
    return None, 0


def _expected(before: Config, wanted: Wanted) -> Config:
    own = Profile(slurm=tuple(f"--{name}={value}" for name, value in wanted.slurm.items()), idle=wanted.idle)
    more = {wanted.profile: own} if wanted.profile else {}
    said: dict[str, Any] = {**wanted.settings, "profiles": {**before.profiles, **more}}
    made: Config = replace(before, **said)
    return made


def _same(one: Config, other: Config) -> bool:
    return bool(replace(one, origin={}) == replace(other, origin={}))
