"""What a task is to be other than it was, when it runs once more; and which variables nobody can say for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from leaseq.cli.command import Option
from leaseq.cli.options import NODE
from leaseq.dataclass import fields as fields_of
from leaseq.dataclass import replace
from leaseq.errors import UsageError
from leaseq.models import Need
from leaseq.node.environ import GPU_OWNED, owned_by_node
from leaseq.values import gpu_count, integer, mebibytes, seconds, text_itself, yes
from leaseq.verbs.changes import Changes


def _limit(text: str, *, what: str) -> int:
    return math.ceil(seconds(text, what=what, plain=60))


NEED_OPTIONS = (
    Option(
        "gpus", "GPUs it needs, 0 for none, or `all`; packs it beside others", short="G", metavar="N", read=gpu_count
    ),
    Option("cpus", "CPUs it needs", short="c", metavar="N", read=partial(integer, low=1, high=10**6)),
    Option("mem", "memory it needs: 8G, 512M", metavar="SIZE", read=mebibytes, field="mem_mb"),
    Option(
        "time",
        "its time limit: 2h, 90m, H:M:S; a bare number is minutes",
        short="t",
        metavar="TIME",
        read=_limit,
        field="time_seconds",
    ),
)
NAME = Option("name", "a name for tables", short="J", metavar="NAME", blank=True)
ENV = Option("env", "a variable of its environment (repeatable)", kind="list", metavar="K=V")
CWD = Option("cwd", "the directory it runs in", short="D", completes="directory")
RETRIES = Option(
    "retries",
    "start it again up to N times when it fails",
    metavar="N",
    read=partial(integer, low=0, high=1000),
    default="0",
)
ON_LOST = Option("on-lost", "what happens if nobody knows how it ended", metavar="WHAT", choices=("fail", "requeue"))
REQUEUE = Option("requeue", "queue it again if the lease ends while it runs", kind="flag")
TASK_DIR = Option("task-dir", "make its own directory for results, $LEASEQ_TASK_DIR, before it starts", kind="flag")
SNAPSHOT = Option(
    "snapshot",
    "run in a copy of the repository's tracked files as they are now: later edits do not reach it",
    kind="flag",
)
PRIORITY = Option(
    "priority",
    "-499 to 499, higher first",
    metavar="N",
    read=partial(integer, low=-499, high=499),
    default="0",
)
CHANGE_OPTIONS = (
    *NEED_OPTIONS,
    replace(NAME, read=text_itself),
    ENV,
    Option("export", "choose its environment again, from this one: ALL, NONE, or A,B,C=1", metavar="WHAT"),
    NODE,
    CWD,
    replace(RETRIES, default=""),
    ON_LOST,
    replace(REQUEUE, read=yes),
)
"""What is not said stays as it was: the request hears None, or an empty text."""


def need_of(fields: dict[str, Any]) -> Need:
    """What the options say that a task needs; they are taken out of the fields."""
    return Need(**{option.target: fields.pop(option.target) for option in NEED_OPTIONS})


def refuse_owned(export: str, pairs: Sequence[str]) -> None:
    """Raises UsageError if a variable is said that the node sets for each task."""
    said = [("--env", pair) for pair in pairs] + [("--export", word.strip()) for word in export.split(",")]
    for option, word in said:
        name = word.partition("=")[0]
        if name == "PWD":
            raise UsageError(f"{option} PWD: the task's directory sets it", hint="--cwd DIR says where the task runs")
        if not owned_by_node(name):
            continue
        hint = f"the command can set it for itself: -- env {name}=VALUE COMMAND"
        if name in GPU_OWNED:
            hint = f"--gpus N books some for the task, and it sees those; {hint}"
        raise UsageError(f"{option} {name}: the node sets it for each task, so it cannot be said here", hint=hint)


def with_changes(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a line, those that are changes of a task as one; raises UsageError."""
    refuse_owned(fields["export"], fields["env"])
    need = need_of(fields)
    fields.setdefault("anyway", False)  # what is pending waits as long as it is not released
    said = {each.name: fields.pop(each.name) for each in fields_of(Changes) if each.name != "need"}
    return {**fields, "changes": Changes(need=need, **said)}
