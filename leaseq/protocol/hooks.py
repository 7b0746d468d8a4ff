"""Hooks: commands that are told what happened in leases. Which there are, and what each node has told to whom.

`HOME/hooks/NAME.json` is a hook. `LEASE/notices/NODE.json` is written by that node's runner alone: how much of its
histories it has told to each hook. It writes it after it has called a hook: what a crash comes between
is told again.
"""

from __future__ import annotations

from collections.abc import Mapping

from leaseq.dataclass import dataclass, field
from leaseq.errors import Malformed, UsageError
from leaseq.layout import Home, LeaseDir
from leaseq.names import valid_name
from leaseq.protocol import files
from leaseq.schema import Record, _as, flag, integer, mapping, maybe, number, record, several, text
from leaseq.world import Fs

ENDING = ".json"
EVENTS = {
    "done": "a task ended well",
    "failed": "a task failed, or ran into its time limit",
    "cancelled": "a task was cancelled",
    "lost": "nobody knows how a task ended",
    "empty": "nothing of a lease is pending or runs any more",
    "started": "a job of a lease has its nodes",
    "ending": "a job of a lease ends within ten minutes",
    "idle": "a lease stands unused, or is about to give its nodes back",
}
"""What a hook can hear of."""
EVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Hook(Record):
    """A command that hears of events."""

    name: str = _as(text)
    on: tuple[str, ...] = _as(several(text))
    argv: tuple[str, ...] = _as(several(text))
    shell: bool = _as(flag, default=False)
    """True if the one word is a line for `bash -c`."""
    every_seconds: float = _as(number, default=EVERY_SECONDS)
    """It is called no more often: what happens meanwhile is told together."""
    env: Mapping[str, str] = _as(mapping(text), default_factory=dict)
    """What its environment has beside the runner's."""
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Call(Record):
    """How a hook was called last."""

    time: float = _as(number)
    code: int | None = _as(maybe(integer), default=None)
    """Its exit code; None: it took too long, or did not start."""
    words: str = _as(text, default="")
    """What it said last, or why it did not start."""
    events: int = _as(integer, default=0)
    """How many it was told of."""
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Told(Record):
    """What a node has told to hooks."""

    at: Mapping[str, Mapping[str, int]] = _as(mapping(mapping(integer)), default_factory=dict)
    """By hook and history, how many of its bytes."""
    said: Mapping[str, tuple[str, ...]] = _as(mapping(several(text)), default_factory=dict)
    """By `HOOK.EVENT`, which events of the lease, as `empty`, it has told."""
    calls: Mapping[str, Call] = _as(mapping(record(Call)), default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)


def path_of(home: Home, name: str) -> str:
    return f"{home.hooks}/{valid_name(name, what='hook')}{ENDING}"


def hooks_of(fs: Fs, home: Home) -> dict[str, Hook]:
    """The hooks by name; those that cannot be read are left out."""
    found = {}
    for name in names_of(fs, home):
        try:
            hook = read(fs, home, name)
        except (Malformed, FileNotFoundError):
            continue
        found[name] = hook
    return found


def names_of(fs: Fs, home: Home) -> list[str]:
    """The names of all hooks that there are."""
    return sorted(name.removesuffix(ENDING) for name in files.names_in(fs, home.hooks) if name.endswith(ENDING))


def read(fs: Fs, home: Home, name: str) -> Hook:
    """The hook; raises FileNotFoundError, and Malformed."""
    try:
        hook = Hook.from_json(files.content(fs, path_of(home, name)))
    except UsageError as error:
        raise Malformed(error.message) from None
    if hook.name != name or not hook.argv:
        raise Malformed(f"hook {name!r} is not what its name says")
    return hook


def write(fs: Fs, home: Home, hook: Hook) -> None:
    """The hook is there, durably, in the place of one of its name."""
    fs.mkdir(home.hooks)
    files.replace_file(fs, path_of(home, hook.name), hook.to_json())


def remove(fs: Fs, home: Home, name: str) -> bool:
    """The hook is gone; False if there was none."""
    try:
        fs.unlink(path_of(home, name))
    except FileNotFoundError:
        return False
    fs.sync_dir(home.hooks)
    return True


def told_by(fs: Fs, lease: LeaseDir, node: str) -> Told:
    """What the node has told; nothing if that cannot be read: it is told again."""
    try:
        return Told.from_json(files.content(fs, f"{lease.notices}/{node}{ENDING}"))
    except (FileNotFoundError, NotADirectoryError, Malformed):
        return Told()


def keep(fs: Fs, lease: LeaseDir, node: str, told: Told) -> None:
    """The node, whose runner this is, has told that, durably."""
    fs.mkdir(lease.notices)
    files.replace_file(fs, f"{lease.notices}/{node}{ENDING}", told.to_json())


def told_in(fs: Fs, lease: LeaseDir) -> dict[str, Told]:
    """What each node of the lease has told."""
    names = (name.removesuffix(ENDING) for name in files.names_in(fs, lease.notices) if name.endswith(ENDING))
    return {node: told_by(fs, lease, node) for node in names}


def take(fs: Fs, lease: LeaseDir, event: str, node: str) -> bool:
    """True if that event of the lease is this node's to tell: the first that asks has it, for ever."""
    fs.mkdir(lease.notices)
    path = f"{lease.notices}/{event}"
    staged = files.stage(fs, lease.notices, node.encode())
    try:
        fs.link(staged, path)
    except FileExistsError:
        return files.content(fs, path) == node.encode()
    finally:
        files.discard(fs, staged)
    return True
