"""What a task is to be other than it was, when it runs once more; and which variables nobody can say for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from leaseq.cli.command import Option
from leaseq.cli.values import gpu_count, integer, listed, mebibytes, one_of, seconds, yes
from leaseq.errors import UsageError
from leaseq.layout import valid_name
from leaseq.models import Need
from leaseq.node.environ import GPU_OWNED, owned_by_node
from leaseq.verbs.changes import Changes

NEED_OPTIONS = (
    Option("gpus", "GPUs it needs, 0 for none, or `all`; packs it beside others", short="G", metavar="N"),
    Option("cpus", "CPUs it needs", short="c", metavar="N"),
    Option("mem", "memory it needs: 8G, 512M", metavar="SIZE"),
    Option("time", "its time limit: 2h, 90m, H:M:S; a bare number is minutes", short="t", metavar="TIME"),
)
NAME = Option("name", "a name for tables", short="J", metavar="NAME", blank=True)
ENV = Option("env", "a variable of its environment (repeatable)", kind="list", metavar="K=V")
AGAIN_OPTIONS = (
    Option("retries", "start it again up to N times when it fails", metavar="N"),
    Option("on-lost", "fail, or requeue, when nobody knows how it ended", metavar="WHAT"),
    Option("requeue", "queue it again if the lease ends while it runs", kind="flag"),
)
PRIORITY = Option("priority", "-499 to 499, higher first (default 0)", metavar="N")
CHANGE_OPTIONS = (
    *NEED_OPTIONS,
    NAME,
    ENV,
    Option("export", "choose its environment anew, from this one: ALL, NONE, or A,B,C=1", metavar="WHAT"),
    Option("node", "run on this node only", short="w", metavar="NODE"),
    Option("cwd", "the directory it runs in", short="D", metavar="DIR"),
    *AGAIN_OPTIONS,
)


def need_of(gpus: str, cpus: str, mem: str, time: str) -> Need:
    """What these words of a command line say that a task needs."""
    return Need(
        gpus=gpu_count(gpus),
        cpus=integer(cpus, what="--cpus", low=1, high=10**6) if cpus else None,
        mem_mb=mebibytes(mem, what="--mem"),
        time_seconds=math.ceil(seconds(time, what="--time", plain=60)) if time else None,
    )


def retries_of(retries: str) -> int:
    return integer(retries, what="--retries", low=0, high=1000) if retries else 0


def on_lost_of(on_lost: str) -> str:
    return one_of(on_lost, what="--on-lost", allowed=("fail", "requeue")) if on_lost else ""


def priority_of(priority: str) -> int:
    return integer(priority, what="--priority", low=-499, high=499) if priority else 0


def refuse_owned(export: str, pairs: Sequence[str]) -> None:
    """Raises UsageError where a variable is said that the node sets for each task."""
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


def changes(
    *,
    gpus: str,
    cpus: str,
    mem: str,
    time: str,
    name: str | None,
    env: str,
    export: str,
    node: str,
    cwd: str,
    retries: str,
    on_lost: str,
    requeue: str,
) -> Changes:
    """What the words of a command line say; raises UsageError."""
    pairs = tuple(listed(env))
    refuse_owned(export, pairs)
    return Changes(
        need=need_of(gpus, cpus, mem, time),
        name=name,
        env=pairs,
        export=export,
        node=valid_name(node, what="node") if node else "",
        cwd=cwd,
        retries=retries_of(retries) if retries else None,
        on_lost=on_lost_of(on_lost),
        requeue=yes(requeue, what="--requeue") if requeue else None,
    )
