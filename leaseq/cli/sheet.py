"""Tasks as a sheet of YAML that a person edits: every field that may be changed, and back, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from leaseq.dataclass import dataclass, replace
from leaseq.errors import UsageError
from leaseq.models import ALL_GPUS, ANY, Need, Task
from leaseq.names import Entry, valid_group, valid_name
from leaseq.protocol.edges import BEGIN, OK, After, after
from leaseq.protocol.submission import command_of
from leaseq.upstream import Upstream
from leaseq.values import gpu_count, integer, mebibytes, one_of, seconds

HEAD = """\
# Change what you like, save, and leave the editor. What you leave as it is stays as it is; so does a task whose
# lines you remove. Nothing is locked: a task that has started by then is named, and left.
# command: a line for bash, or a list of words. gpus, cpus, mem, time: empty is not named. env: what --env said.
"""
AFTER_HEAD = "# after: what it comes after, as --after says it: T3k9, any:T3k9, last; [] is nothing.\n"
UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


@dataclass(frozen=True)
class Line:
    """A task as it is to be."""

    task: Task
    priority: int
    after: tuple[After, ...] | None = None
    """What it is to come after instead; None: as it is."""


def sheet_of(tasks: Sequence[tuple[Task, Entry]], *, pending: bool) -> str:
    """The text that an editor is given. pending: they wait, and it may be changed for what."""
    import yaml

    body = {task.id: fields_of(task, entry, pending=pending) for task, entry in tasks}
    return (
        HEAD + (AFTER_HEAD if pending else "") + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=10**6)
    )


def fields_of(task: Task, entry: Entry, *, pending: bool) -> dict[str, Any]:
    """What of the task may be changed, as it is."""
    need = task.need
    ups = [up for up in map(Upstream.parse, task.after) if up.kind != BEGIN]
    return {
        "command": task.argv[0] if task.shell else list(task.argv),
        "name": task.name,
        "group": task.group,
        "priority": 500 - int(entry.order[:3]),
        "gpus": "all" if need.gpus == ALL_GPUS else need.gpus,
        "cpus": need.cpus,
        "mem": None if need.mem_mb is None else _memory(need.mem_mb),
        "time": None if need.time_seconds is None else _time(need.time_seconds),
        "cwd": task.cwd,
        "node": "any" if task.node == ANY else task.node,
        "retries": task.retries,
        "on_lost": task.on_lost,
        "requeue": task.requeue,
        **({"after": [up.id if up.kind == OK else up.word for up in ups]} if pending else {}),
        "env": {name: task.env[name] for name in task.env_given if name in task.env},
    }


def lines_of(text: str, opened: Mapping[str, tuple[Task, Entry]], *, every: bool = False) -> dict[str, Line]:
    """The tasks of the sheet that are different from what was opened, or every one that stands there.

    Raises UsageError that says where it is wrong.
    """
    import yaml

    try:
        body = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise UsageError(f"{where}this is not YAML: {getattr(error, 'problem', None) or error}") from None
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise UsageError("this is no list of tasks by their ids")
    found = {}
    for task_id, fields in body.items():
        if task_id not in opened:
            raise UsageError(f"{task_id!r:.40} was not opened: ids stay as they are")
        if not isinstance(fields, dict):
            raise UsageError(f"{task_id}: no fields under it")
        task, entry = opened[task_id]
        line = changed(task, fields_of(task, entry, pending=not every), fields)
        if every or line != Line(task, 500 - int(entry.order[:3])):
            found[task_id] = line
    return found


def changed(task: Task, was: Mapping[str, Any], fields: Mapping[str, Any]) -> Line:
    """The task with these fields; one that is missing stays as it was. Raises UsageError."""
    unknown = [name for name in fields if name not in was]
    if unknown:
        raise UsageError(f"{task.id}: there is no field {unknown[0]!r:.40}", hint=f"one of {', '.join(was)}")
    new = {**was, **fields}
    try:
        comes = after_of(new["after"]) if new.get("after") != was.get("after") else None
        return Line(_task(task, was, new), int(_number(new["priority"], "priority", low=-499, high=499)), comes)
    except UsageError as error:
        raise UsageError(f"{task.id}: {error.message}", hint=error.hint) from None


def _task(task: Task, was: Mapping[str, Any], new: Mapping[str, Any]) -> Task:
    argv, shell = task.argv, task.shell
    if new["command"] != was["command"]:
        argv, shell = _command(new["command"])
    env = dict(task.env)
    given = {name: _variable(name, value) for name, value in (new["env"] or {}).items()}
    for name in task.env_given:
        env.pop(name, None)
    group, node = _text(new["group"], "group"), _text(new["node"], "node")
    return replace(
        task,
        argv=argv,
        shell=shell,
        name=_text(new["name"], "name"),
        group=valid_group(group, what="group") if group else "",
        need=need_of(new),
        cwd=_path(_text(new["cwd"], "cwd")),
        node=ANY if node in ("", "any", ANY) else valid_name(node, what="node"),
        retries=_number(new["retries"] or 0, "retries", low=0, high=1000),
        on_lost=one_of(_text(new["on_lost"], "on_lost"), what="on_lost", allowed=("", "fail", "requeue")),
        requeue=_flag(new["requeue"], "requeue"),
        env={**env, **given},
        env_given=tuple(given),
    )


def need_of(fields: Mapping[str, Any]) -> Need:
    """What such fields say that a task needs."""

    def value(name: str, read: Callable[..., Any]) -> Any:
        said = fields.get(name)
        if said is None or said == "":
            return None
        if isinstance(said, bool) or not isinstance(said, (int, float, str)):
            raise UsageError(f"{name} {said!r:.40} is not a value")
        return read(str(said), what=name)

    limit = value("time", partial(seconds, plain=60))
    return Need(
        gpus=value("gpus", gpu_count),
        cpus=value("cpus", partial(integer, low=1, high=10**6)),
        mem_mb=value("mem", mebibytes),
        time_seconds=None if limit is None else -int(-limit // 1),
    )


def after_of(value: object) -> tuple[After, ...]:
    """What such a field says that a task comes after."""
    words = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UsageError("after is neither a word nor a list of words", hint="as with --after: T3k9, any:T3k9")
    return after(words, what="after")


def _command(value: object) -> tuple[tuple[str, ...], bool]:
    if isinstance(value, str):
        return command_of([value])
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return tuple(command_of(value)[0]), False
    raise UsageError("the command is neither a line nor a list of words", hint='a word like 1 or yes needs quotes: "1"')


def _variable(name: object, value: object) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise UsageError(f"env: {name!r:.40} is not a variable's name")
    if not isinstance(value, str):
        raise UsageError(f"env: the value of {name} is not text", hint=f'quotes make it so: {name}: "{value}"')
    return value


def _text(value: object, what: str) -> str:
    if value is None:
        return ""
    if isinstance(value, (bool, float, list, dict)):
        raise UsageError(f"{what} {value!r:.40} is not text", hint="quotes make it so")
    return str(value)


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise UsageError(f"cwd {text!r:.80} is not a whole path", hint="it begins with /")
    return text


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{what} is true or false, not {value!r:.40}")
    return value


def _number(value: object, what: str, *, low: int, high: int) -> int:
    if isinstance(value, bool):
        raise UsageError(f"{what} {value!r} is not a number")
    return integer(str(value), what=what, low=low, high=high)


def _memory(mib: int) -> str:
    return f"{mib // 1024}G" if mib and mib % 1024 == 0 else f"{mib}M"


def _time(limit: int) -> str:
    for length, unit in UNITS:
        if limit and limit % length == 0:
            return f"{limit // length}{unit}"
    return f"{limit}s"
