"""Making tasks out of what a submitter said, and publishing many of them with shared syncs."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence

from leaseq.dataclass import dataclass, replace
from leaseq.errors import Malformed, UsageError
from leaseq.forms import Form
from leaseq.models import Need, Task
from leaseq.names import Entry, new_task_id, order
from leaseq.protocol import files, tasks
from leaseq.protocol.abreast import abreast
from leaseq.world import Fs

THREADS = 16
"""Syncs of several threads share commits of the journal: measured on ext4, more threads than this gain nothing."""
SEQUENCES_MAX = 999_999
_SHELL = Form(r"[\s|&;<>()$`\\\"'*?\[\]{}]|^[~#]")


def is_shell_line(word: str) -> bool:
    """True if a single word is a line for `bash -c`: it holds blanks or what a shell reads (as with ssh)."""
    return bool(_SHELL.search(word))


def command_of(words: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """(argv, whether it is one line for `bash -c`); raises UsageError."""
    if not words or not words[0]:
        raise UsageError("there is no command", hint="leaseq submit -- COMMAND")
    if not any(word.strip() for word in words):
        raise UsageError("the command is blank", hint="leaseq submit -- COMMAND")
    return tuple(words), len(words) == 1 and is_shell_line(words[0])


def commands_in(text: str) -> list[str]:
    """The lines that are tasks: blank ones and those that start with # are not."""
    lines = (line.rstrip("\r") for line in text.split("\n"))
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def chosen_environment(export: str, pairs: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """What of the submitter's environment goes with the task: ALL, NONE, or names and NAME=VALUE; then the pairs."""
    chosen: dict[str, str] = {}
    for item in export.split(","):
        word = item.strip()
        if word.upper() == "ALL":
            chosen.update(environ)
        elif word and word.upper() != "NONE":
            chosen.update(_variable(word, environ, what="--export"))
    for pair in pairs:
        chosen.update(_variable(pair, environ, what="--env"))
    return chosen


def export_words(export: str) -> str:
    """What `--export` said, without the values."""
    names = [item.strip().partition("=")[0] for item in export.split(",")]
    return ",".join(name.upper() if name.upper() in ("ALL", "NONE") else name for name in names if name)


def given_names(pairs: Sequence[str]) -> tuple[str, ...]:
    """The names of the variables that `--env` said, each once."""
    return tuple(dict.fromkeys(pair.partition("=")[0] for pair in pairs))


def environment_known(task: Task) -> bool:
    """False if the record is of a leaseq that did not keep a task's environment with its outcome."""
    return bool(task.env) or (task.export == "NONE" and not task.env_given)


def with_environment(old: Task, export: str, pairs: Sequence[str], environ: Mapping[str, str]) -> Task:
    """The task as it is to run once more: with the variables it had, and what `--export` and `--env` say now on top.

    export: empty if nothing was said. Else it chooses again from this environment; what `--env` had said for the
    task stays, unless `--env` says it again. If the task's environment is not known, export is `ALL`.
    """
    if not export and environment_known(old):
        env, export = dict(old.env), old.export
    else:
        export = export or "ALL"
        env = chosen_environment(export, (), environ)
        env.update((name, old.env[name]) for name in old.env_given if name in old.env)
        export = export_words(export)
    env.update(chosen_environment("NONE", pairs, environ))
    names = [name for name in (*old.env_given, *given_names(pairs)) if name in env]
    return replace(old, env=env, export=export, env_given=tuple(dict.fromkeys(names)))


def _variable(word: str, environ: Mapping[str, str], *, what: str) -> dict[str, str]:
    name, equals, value = word.partition("=")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise UsageError(f"{what} {word!r}: {name!r} is not a variable's name", hint=f"{what} NAME=VALUE, or NAME")
    if equals:
        return {name: value}
    if name not in environ:
        raise UsageError(f"{what} {name}: there is no such variable here", hint=f"{what} {name}=VALUE sets one")
    return {name: environ[name]}


def entries(
    count: int,
    *,
    need: Need,
    priority: int,
    now: float,
    group: str = "",
    indices: int = 0,
    ids: Sequence[str] = (),
    each: bool = False,
) -> list[Entry]:
    """Names for so many new tasks that keep their order. indices: how many each has, if they are arrays.

    ids: theirs, if the submitter has made them. each: whether indices may have to wait one by one.
    """
    if count > SEQUENCES_MAX:
        raise UsageError(f"{count:,} tasks at once are too many", hint=f"at most {SEQUENCES_MAX} in one file")
    micros = int(now * 1e6)
    try:
        first = order(priority=priority, micros=micros, sequence=0)
        Entry.parse(str(Entry(first, new_task_id(), need, 1, count=indices)))
    except Malformed:
        raise UsageError("no node has as much as this task needs", hint="ask for less") from None
    places = [order(priority=priority, micros=micros, sequence=n) for n in range(count)]
    ids = ids or [new_task_id() for _ in places]
    return [
        Entry(place, task_id, need, 1, group=group, count=indices, each=each, grouped=indices > 0)
        for place, task_id in zip(places, ids, strict=True)
    ]


@dataclass
class Published:
    """How far a batch got: the ids that stand, durably, and what stopped the rest."""

    ids: list[str]
    failure: OSError | None = None


def publish_batch(
    fs: Fs,
    directory: str,
    batch: Sequence[tuple[Entry, Task]],
    *,
    at: Callable[[int], None] = lambda number: None,
    threads: int = THREADS,
) -> Published:
    """All tasks of the batch are published, durably; or none if their files could not be written.

    Every file is written and synced under a hidden name before the first becomes visible. at: is told now and then, by
    one thread at a time, how many files were begun. threads: how many write files beside this one.
    """
    staged, failure = _stage(fs, directory, batch, at, threads)
    if failure is not None:
        for path in staged:
            if path:
                files.discard(fs, path)
        return Published([], failure)
    shown: list[str] = []
    try:
        for path, (entry, _) in zip(staged, batch, strict=True):
            tasks.show_pending(fs, path, directory, entry)
            shown.append(entry.id)
    except OSError as error:
        failure = error
    fs.sync_dir(directory)
    for path in staged[len(shown) :]:
        files.discard(fs, path)
    return Published(shown, failure)


def _encoder(batch: Sequence[tuple[Entry, Task]]) -> Callable[[int], bytes]:
    """The JSON of each task; the environment, the greater part and the same for all, is encoded once."""
    if not batch:
        return lambda number: b""
    shared = batch[0][1].env
    environment = b',"env":' + json.dumps(shared, separators=(",", ":")).encode("ascii") + b"}\n"

    def encode(number: int) -> bytes:
        task = batch[number][1]
        if not shared or task.env is not shared:
            return task.to_json()
        # Inside a JSON string the quotes would be escaped, so this is the field itself.
        return replace(task, env={}).to_json()[:-2].replace(b',"env":{}', b"", 1) + environment

    return encode


def _stage(
    fs: Fs, directory: str, batch: Sequence[tuple[Entry, Task]], at: Callable[[int], None], most: int
) -> tuple[list[str], OSError | None]:
    staged = [""] * len(batch)
    lock = threading.Lock()
    encode = _encoder(batch)

    def work(number: int) -> None:
        with lock:
            at(number)
        staged[number] = files.stage(fs, directory, encode(number))

    try:
        abreast(len(batch), work, threads=most)
    except OSError as error:
        return staged, error
    return staged, None
