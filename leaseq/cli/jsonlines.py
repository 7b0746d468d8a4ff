"""`leaseq submit --json-lines`: one JSON object a line is a task, all of them checked before the first is queued."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from leaseq.cli.sheet import after_of, need_of
from leaseq.dataclass import dataclass, replace
from leaseq.errors import UsageError
from leaseq.models import ANY, Need, Task
from leaseq.names import valid_group, valid_name
from leaseq.node.environ import owned_by_node
from leaseq.protocol.submission import command_of
from leaseq.values import integer
from leaseq.verbs.submit_each import Each

NEEDS = ("gpus", "cpus", "mem", "time")
TOLD_MAX = 5
"""So many wrong lines are told at once."""


@dataclass(frozen=True)
class Lines:
    """The tasks of a file, and the line of each."""

    tasks: tuple[Each, ...]
    numbers: tuple[int, ...]


def lines_of(text: str, like: Task, *, priority: int, hold: bool) -> Lines:
    """The tasks of the text; what a line does not say is as in `like`. Raises UsageError that names the wrong lines."""
    tasks: list[Each] = []
    numbers: list[int] = []
    wrong: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            tasks.append(_task(_object(line), like, priority=priority, hold=hold))
            numbers.append(number)
        except UsageError as error:
            wrong.append(f"line {number}: {error.message}" + (f" ({error.hint})" if error.hint else ""))
    if wrong:
        more = f"; and {len(wrong) - TOLD_MAX} more lines" if len(wrong) > TOLD_MAX else ""
        raise UsageError("; ".join(wrong[:TOLD_MAX]) + more, hint="nothing was submitted")
    if not tasks:
        raise UsageError("there is no task in it", hint='one JSON object a line, like {"argv": ["python", "x.py"]}')
    keys = [each.task.key for each in tasks if each.task.key]
    if len(keys) > len(set(keys)):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UsageError(f"the key {twice!r} stands in several lines", hint="nothing was submitted")
    return Lines(tuple(tasks), tuple(numbers))


def _object(line: str) -> Mapping[str, Any]:
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise UsageError("not an object")
    unknown = [name for name in body if name not in FIELDS and name not in ("argv", "line", "need", *NEEDS)]
    if unknown:
        known = ", ".join(["argv", "line", *NEEDS, *FIELDS])
        raise UsageError(f"there is no field {unknown[0]!r:.40}", hint=f"one of {known}")
    return body


def _task(body: Mapping[str, Any], like: Task, *, priority: int, hold: bool) -> Each:
    argv, shell = _command(body)
    task = replace(like, argv=argv, shell=shell, need=_need(body, like.need))
    for name, apply in FIELDS.items():
        if name in body and apply is not None:
            task = apply(task, body[name])
    if "priority" in body:
        priority = integer(str(body["priority"]), what="priority", low=-499, high=499)
    hold = _flag(body["hold"], "hold") if "hold" in body else hold
    return Each(task, priority, hold, after_of(body.get("after", [])))


def _command(body: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    argv, line = body.get("argv"), body.get("line")
    if (argv is None) == (line is None):
        raise UsageError("it has to have either argv, a list of words, or line, which bash is given")
    if line is not None:
        if "\0" in (text := _text(line, "line")):
            raise UsageError("line holds a NUL")
        return command_of([text])
    if not isinstance(argv, list) or not all(isinstance(word, str) and "\0" not in word for word in argv):
        raise UsageError("argv is not a list of words")
    command_of(argv)
    return tuple(argv), False


def _need(body: Mapping[str, Any], like: Need) -> Need:
    said = body.get("need", {})
    if not isinstance(said, dict) or any(name not in NEEDS for name in said):
        raise UsageError(f"need is not an object of {', '.join(NEEDS)}")
    fields = {**said, **{name: body[name] for name in NEEDS if name in body}}
    new = need_of(fields)
    keep = {"gpus": "gpus", "cpus": "cpus", "mem": "mem_mb", "time": "time_seconds"}
    return replace(new, **{field: getattr(like, field) for name, field in keep.items() if name not in fields})


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{what} is not text")
    return value


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{what} is true or false")
    return value


def _env(task: Task, value: object) -> Task:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise UsageError("env is not an object of texts")
    for name in value:
        if not name.isidentifier() or not name.isascii():
            raise UsageError(f"env: {name!r:.40} is not a variable's name")
        if owned_by_node(name) or name == "PWD":
            raise UsageError(f"env: {name} is set by the node for each task")
    given = dict.fromkeys((*task.env_given, *value))
    return replace(task, env={**task.env, **value}, env_given=tuple(given))


def _cwd(task: Task, value: object) -> Task:
    return replace(task, cwd=os.path.normpath(os.path.join(task.cwd, os.path.expanduser(_text(value, "cwd")))))


def _group(task: Task, value: object) -> Task:
    text = _text(value, "group")
    return replace(task, group=valid_group(text, what="group") if text else "")


def _node(task: Task, value: object) -> Task:
    text = _text(value, "node")
    return replace(task, node=ANY if text in ("", "any") else valid_name(text, what="node"))


def _retries(task: Task, value: object) -> Task:
    return replace(task, retries=integer(str(value), what="retries", low=0, high=1000))


def _on_lost(task: Task, value: object) -> Task:
    if value not in ("", "fail", "requeue"):
        raise UsageError("on_lost is fail or requeue")
    return replace(task, on_lost=str(value))


FIELDS: dict[str, Callable[[Task, object], Task] | None] = {
    "name": lambda task, value: replace(task, name=_text(value, "name")),
    "group": _group,
    "env": _env,
    "cwd": _cwd,
    "node": _node,
    "key": lambda task, value: replace(task, key=_text(value, "key")),
    "retries": _retries,
    "on_lost": _on_lost,
    "requeue": lambda task, value: replace(task, requeue=_flag(value, "requeue")),
    "task_dir": lambda task, value: replace(task, task_dir=_flag(value, "task_dir")),
    "after": None,
    "priority": None,
    "hold": None,
}
"""What else a line may say; None: of the submission, not of the task."""
