"""Settings: `$LEASEQ_HOME/config.yaml` as a frozen Config. An unknown key names its nearest neighbour.

Every scalar is read as the text it is: YAML 1.1 would make 14400 of `4:00:00`, which sbatch takes for ten days.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from leaseq.dataclass import dataclass, field, fields
from leaseq.errors import UsageError
from leaseq.layout import Home
from leaseq.names import valid_name
from leaseq.schema import whole
from leaseq.world import user_name

SIZE_MAX = 1 << 20
NOTIFY_ON = ("failed", "starts", "ends", "empty")
"""What the monitor may call for: a task fails, a lease starts, it is about to end, its queue is empty."""
CHOICES = {
    "warning_to": ("leader", "all"),
    "local": ("allow", "never"),
    "provenance": ("on", "off"),
    "monitor_title": ("on", "off"),
    "monitor_notify": ("bell", "osc9", "osc777", "off"),
    "monitor_in_tmux": ("off", "pass"),
}
"""Settings that have one of a few words."""
TEXTS = ("warning_signal", "prologue", "epilogue", "prologue_failure", "idle", "progress", *CHOICES)


@dataclass(frozen=True)
class Profile:
    """A named way to ask for a lease: `leaseq add --profile NAME`."""

    slurm: tuple[str, ...] = ()
    """Slurm options, before those on the command line."""
    name: str = ""
    template: str = ""
    prologue: str = ""
    """bash, run on each node before its first runner."""
    epilogue: str = ""
    prologue_failure: str = ""
    """As the setting of that name, which it overrides."""
    keep: str = ""
    """As `leaseq add --keep` takes it, and `overlap` as --overlap."""
    overlap: str = ""
    idle: str = ""
    """As the setting of that name, which it overrides."""
    scale: str = ""
    """As `leaseq add --scale` takes it."""


@dataclass(frozen=True)
class Config:
    """All settings, each with where it came from in `origin` (`default`, or the file)."""

    slurm_poll_seconds: int = 30
    """How often Slurm is asked at most, for all of a user's commands together. A site may demand more."""
    warning_seconds: int = 120
    """How long before a lease's end Slurm warns it."""
    warning_signal: str = ""
    """The signal that running tasks get then; none unless it is set."""
    warning_to: str = "leader"
    """Who gets it: `leader`, the task's own process, or `all` of its processes."""
    local: str = "allow"
    """`never` if no task may run on the host where leaseq is typed, as on a login node."""
    prologue: str = ""
    epilogue: str = ""
    prologue_failure: str = "stop"
    """What follows on a node whose prologue failed: `stop`, it takes no task; `go`, it does."""
    idle: str = ""
    """As `leaseq add --idle` takes it: how long a lease may stand unused before it gives its nodes back."""
    progress: str = ""
    """A regular expression for progress lines of tasks, with groups `done` and `total`, or `percent`."""
    provenance: str = "on"
    """`off` if it is not recorded from which commit and with which changes tasks are submitted."""
    monitor_title: str = "on"
    """`off`: the monitor leaves the terminal's title as it is."""
    monitor_notify: str = "bell"
    """How the monitor calls: `bell`, `osc9`, `osc777`, or `off`."""
    monitor_notify_on: tuple[str, ...] = NOTIFY_ON
    """What it calls for."""
    monitor_in_tmux: str = "off"
    """`pass`: title and notification are sent inside tmux, too."""
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)

    def profile(self, name: str) -> Profile:
        """The profile of that name, or the empty one if none is asked for; raises UsageError."""
        if not name:
            return Profile()
        if name not in self.profiles:
            known = ", ".join(sorted(self.profiles))
            hint = f"profiles in config.yaml: {known}" if known else "config.yaml has no `profiles:`"
            raise UsageError(f"there is no profile {name!r}", hint=hint)
        return self.profiles[name]


def load(home: Home) -> Config:
    """The settings of that home; the defaults if it has no file. Raises UsageError that names file and key."""
    text = read_text(home.config)
    if text is None:
        return Config(origin={each.name: "default" for each in fields(Config) if each.name != "origin"})
    return parse(text, path=home.config)


def refuse_foreign(info: os.stat_result, path: str) -> None:
    """Raises UsageError if somebody else wrote what will run as this user, or could have; root is trusted."""
    if info.st_uid not in (os.getuid(), 0):
        raise UsageError(f"{path} belongs to {user_name(info.st_uid)}", hint="what it says would run as you: remove it")
    if info.st_mode & 0o022:
        raise UsageError(f"others can write in {path}: what it says would run as you", hint=f"chmod go-w {path}")


def read_text(path: str) -> str | None:
    """What the file says; None if there is none. Raises UsageError if it cannot be read, or is not to be trusted."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise UsageError(f"{path} is not a regular file", hint="remove it, or write settings into it")
        if info.st_size > SIZE_MAX:
            raise UsageError(f"{path} is larger than 1 MiB", hint="settings are some lines of YAML")
        refuse_foreign(info, path)
        return os.read(fd, SIZE_MAX).decode("utf-8", "replace")
    finally:
        os.close(fd)


def parse(text: str, *, path: str) -> Config:
    """The settings in that text; path is for messages."""
    import yaml

    try:
        found = yaml.load(text, Loader=yaml.BaseLoader)  # BaseLoader makes nothing but text
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        # An escape like "\UFFFFFFFF" is a ValueError of PyYAML's.
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise UsageError(
            f"{path}{line}: not YAML: {getattr(error, 'problem', None) or error}",
            hint="quote values that hold : # % @ * or begin with a dash",
        ) from None
    if found in (None, ""):
        found = {}
    values = _mapping(found, path)
    known = [each.name for each in fields(Config) if each.name != "origin"]
    _refuse_unknown(values, known, path)
    made: dict[str, Any] = {}
    for name in ("slurm_poll_seconds", "warning_seconds"):
        if name in values:
            made[name] = _number(values[name], f"{path}: {name}", low=1)
    for name in TEXTS:
        if name in values:
            made[name] = _text(values[name], f"{path}: {name}")
    if "warning_signal" in made:
        made["warning_signal"] = _signal(made["warning_signal"], f"{path}: warning_signal")
    for name, words in CHOICES.items():
        if made.get(name, words[0]) not in words:
            choice = ", ".join(f"`{word}`" for word in words[:-1]) + f" or `{words[-1]}`"
            raise UsageError(f"{path}: {name} must be {choice}, not {shown(made[name])}")
    if "monitor_notify_on" in values:
        made["monitor_notify_on"] = _notify_on(values["monitor_notify_on"], f"{path}: monitor_notify_on")
    if "prologue_failure" in made:
        _stop_or_go(made["prologue_failure"], f"{path}: prologue_failure")
    if made.get("progress"):
        _progress(made["progress"], f"{path}: progress")
    if "profiles" in values:
        profiles = _mapping(values["profiles"], f"{path}: profiles")
        made["profiles"] = {name: _profile(name, value, path) for name, value in profiles.items()}
    return Config(**made, origin={name: path if name in made else "default" for name in known})


def says(home: Home, setting: str, value: str) -> bool:
    """True if that setting has that value, which is not its default."""
    return bool(getattr(_said(home, setting), setting) == value)


def local_is_forbidden(home: Home) -> bool:
    """True if the settings keep tasks off this host."""
    return says(home, "local", "never")


def progress_pattern(home: Home) -> re.Pattern[str] | None:
    """What the settings say of progress lines."""
    said = _said(home, "progress").progress
    return re.compile(said) if said else None


def of_monitor(home: Home) -> Config:
    """The settings as far as the monitor asks for them."""
    return _said(home, "progress", "monitor_")


def _said(home: Home, *words: str) -> Config:
    """The settings; the defaults if none of the words stands there: YAML is read only if it may say something."""
    text = read_text(home.config)
    if text is None or not any(word in text for word in words):
        return Config()
    return parse(text, path=home.config)


def _notify_on(value: object, what: str) -> tuple[str, ...]:
    """Words, as a list or in one line."""
    words = [_text(each, what) for each in value] if isinstance(value, list) else _text(value, what).split(",")
    words = [word.strip() for word in words if word.strip()]
    for word in words:
        if word not in NOTIFY_ON:
            raise UsageError(f"{what}: {word!r:.40} is nothing to call for", hint=f"some of {', '.join(NOTIFY_ON)}")
    return tuple(words)


def _progress(value: str, what: str) -> None:
    try:
        groups = re.compile(value).groupindex
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"{what}: not a regular expression: {error}", hint=_PROGRESS_HINT) from None
    if "percent" not in groups and not {"done", "total"} <= set(groups):
        raise UsageError(f"{what}: no group says how far a task is", hint=_PROGRESS_HINT)


_PROGRESS_HINT = (
    r"""like 'sample (?P<done>\d+) of (?P<total>\d+)', or with a group (?P<percent>...), in single quotes"""
)


def _profile(name: str, value: object, path: str) -> Profile:
    what = f"{path}: profiles: {name}"
    valid_name(name, what="profile")
    values = _mapping(value, what)
    _refuse_unknown(values, [each.name for each in fields(Profile)], what)
    texts = {key: _text(item, f"{what}: {key}") for key, item in values.items() if key != "slurm"}
    if "prologue_failure" in texts:
        _stop_or_go(texts["prologue_failure"], f"{what}: prologue_failure")
    return Profile(slurm=_tokens(values.get("slurm", []), f"{what}: slurm"), **texts)


def _tokens(value: object, what: str) -> tuple[str, ...]:
    """Slurm options as a list of words, one line of words, or a mapping of long options to values."""
    if isinstance(value, str):
        import shlex

        try:
            return tuple(shlex.split(_text(value, what)))
        except ValueError as error:
            raise UsageError(f"{what}: {error}") from None
    if isinstance(value, Mapping):
        pairs = [(_text(key, what), _text(item, f"{what}: {key}")) for key, item in value.items()]
        return tuple(f"--{key}={item}" if item else f"--{key}" for key, item in pairs)
    if isinstance(value, Sequence):
        return tuple(_text(item, what) for item in value)
    raise UsageError(f"{what} must be options", hint="slurm: {partition: gpu, time: 4:00:00}, or one line of options")


def _mapping(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{what} must be `key: value` lines, not {shown(value)}")
    return value


def shown(value: object) -> str:
    """The value as a message may hold it: a list can hold itself a million times over by YAML's aliases."""
    return f"{value!r:.40}" if isinstance(value, str) else f"a {type(value).__name__}"


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{what} must be text")
    if "\0" in value or (not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value)):
        raise UsageError(f"{what} holds what no script can: {value!r:.40}")
    return value


def _number(value: object, what: str, *, low: int) -> int:
    number = whole(value) if isinstance(value, str) else None
    if number is None or number < low:
        raise UsageError(f"{what} must be a whole number of at least {low}, not {shown(value)}")
    return number


def _signal(value: str, what: str) -> str:
    import signal

    name = value.upper().removeprefix("SIG")
    if value and f"SIG{name}" not in signal.Signals.__members__:
        raise UsageError(f"{what}: {value!r} is no signal", hint="USR1, USR2, INT, HUP ...")
    return name


def _stop_or_go(value: str, what: str) -> None:
    if value not in ("stop", "go"):
        raise UsageError(
            f"{what} must be stop or go, not {value!r:.40}",
            hint="stop: a node whose prologue failed takes no task; go: it takes tasks all the same",
        )


def _refuse_unknown(values: Mapping[str, object], known: Sequence[str], what: str) -> None:
    import difflib

    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise UsageError(f"{what}: unknown key {str(key)!r:.60}", hint=hint)
