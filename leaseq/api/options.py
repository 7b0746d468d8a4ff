"""What a program says of a task, as values: the same words as the options of `leaseq submit`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, cast

from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.models import ALL_GPUS, ANY, Need, Task
from leaseq.names import valid_group, valid_name
from leaseq.node.environ import owned_by_node
from leaseq.protocol.edges import OK, After, after
from leaseq.protocol.submission import chosen_environment, export_words
from leaseq.values import gpu_count, integer, mebibytes, nearest_hint, one_of, seconds
from leaseq.verbs.submit import working_directory

if TYPE_CHECKING:
    from leaseq.api.futures import Future

    Upstream = str | Future[Any]


class Options(TypedDict, total=False):
    """What may be said of a task; what is not said is as with `leaseq submit`."""

    lease: str
    node: str
    gpus: int | str
    """How many, or `all`. A task that names neither GPUs, CPUs nor memory has its node alone."""
    cpus: int
    mem: int | str
    """`8G`, `512M`; a bare number is MiB."""
    time: int | str | timedelta
    """Its time limit: `2h`, `90m`; a bare number is minutes."""
    name: str
    group: str
    env: Mapping[str, str]
    export: str
    cwd: str | os.PathLike[str]
    retries: int
    on_lost: str
    requeue: bool
    priority: int
    hold: bool
    after: Upstream | Iterable[Upstream]
    """Futures, ids, or words like `any:T3k9`."""
    on_dep: str
    begin: datetime | timedelta
    task_dir: bool
    start: bool
    """False: nobody is started who would run it."""


@dataclass(frozen=True)
class Asked:
    """A task that is to be queued, but for its command."""

    like: Task
    lease: str
    """The word that names its lease; empty: the default one."""
    priority: int
    hold: bool
    after: tuple[After, ...]
    begin: datetime | timedelta | None
    start: bool


def asked(options: Options) -> Asked:
    """What the options say; raises UsageError."""
    known = Options.__annotations__
    for option in options:
        if option not in known:
            raise UsageError(f"there is no option {option!r}", hint=nearest_hint(option, known) or ", ".join(known))
    said = cast("dict[str, Any]", {name: value for name, value in options.items() if value is not None})
    pairs = [f"{name}={value}" for name, value in said.get("env", {}).items()]
    for name in said.get("env", {}):
        if owned_by_node(name) or name == "PWD":
            raise UsageError(f"env {name}: the node sets it for each task, so it cannot be said here")
    export = said.get("export", "ALL")
    like = Task(
        id="",
        argv=(),
        cwd=working_directory(os.fspath(said.get("cwd", ""))),
        submitted=0.0,
        need=need_of(said),
        env=chosen_environment(export, pairs, os.environ),
        export=export_words(export),
        env_given=tuple(said.get("env", {})),
        name=valid_name(said["name"], what="name") if said.get("name") else "",
        group=valid_group(said["group"], what="group") if said.get("group") else "",
        node=said.get("node") or ANY,
        retries=integer(str(said.get("retries", 0)), what="retries", low=0, high=1000),
        on_lost=one_of(said.get("on_lost", ""), what="on_lost", allowed=("", "fail", "requeue")),
        requeue=bool(said.get("requeue", False)),
        umask=umask(),
        on_dep=one_of(said.get("on_dep", ""), what="on_dep", allowed=("", "cancel", "hold")).replace("cancel", ""),
        task_dir=bool(said.get("task_dir", False)),
    )
    return Asked(
        like,
        said.get("lease", ""),
        priority=integer(str(said.get("priority", 0)), what="priority", low=-499, high=499),
        hold=bool(said.get("hold", False)),
        after=upstreams(said.get("after", ())),
        begin=said.get("begin"),
        start=bool(said.get("start", True)),
    )


def need_of(said: Mapping[str, Any]) -> Need:
    """What of a need is said; raises UsageError."""
    time, gpus = said.get("time"), said.get("gpus")
    if isinstance(time, timedelta):
        limit: int | None = math.ceil(time.total_seconds())
    else:
        limit = None if time is None else math.ceil(seconds(str(time), what="time", plain=60))
    return Need(
        gpus=None if gpus is None else ALL_GPUS if gpus == ALL_GPUS else gpu_count(str(gpus), what="gpus"),
        cpus=None if said.get("cpus") is None else integer(str(said["cpus"]), what="cpus", low=1, high=10**6),
        mem_mb=None if said.get("mem") is None else mebibytes(str(said["mem"]), what="mem"),
        time_seconds=limit,
    )


def upstreams(said: object) -> tuple[After, ...]:
    """What is to have come before: futures, and words as `--after` takes them."""
    found: list[After] = []
    for each in [said] if isinstance(said, str) or hasattr(said, "id") else cast("Iterable[object]", said):
        if isinstance(each, str):
            found += after([each], what="after")
        else:
            found.append(After(OK, str(getattr(each, "id"))))  # noqa: B009
    return tuple(found)


def umask() -> int:
    """This process's umask. Asking the kernel for it would set it, for all threads."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next((int(line.split()[1], 8) for line in file if line.startswith("Umask:")), 0o022)
