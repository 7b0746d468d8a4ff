"""Python calls as tasks: pickled, put into the directory of their task, queued."""

from __future__ import annotations

import io
import os
import pickle
import re
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from leaseq import payload
from leaseq.api import home
from leaseq.api.options import Asked
from leaseq.api.queueing import lease_of, queued
from leaseq.callee import python_version
from leaseq.dataclass import replace
from leaseq.errors import LeaseqError, Malformed, NotFound, UsageError
from leaseq.models import Array
from leaseq.names import new_task_id
from leaseq.protocol import calls
from leaseq.verbs.submit import opened

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""The arguments of one call."""
CLOUDPICKLE = "`pip install cloudpickle` sends functions that are not in a module that can be imported"


def queue_call(
    asked: Asked,
    function: Callable[..., Any],
    blocks: Sequence[Sequence[Call]],
    *,
    mapped: bool,
    told: Callable[[str, str], None],
) -> str:
    """The id of a task that makes these calls, queued; raises LeaseqError, and then nothing is queued.

    mapped: the task has an index for each block. told: hears the lease and the id before the task is queued.
    """
    name = name_of(function)
    blobs = [pickled(function, name), *(pickled(block, f"the arguments of {name}") for block in blocks)]
    data = payload.call_bytes(name, _path(), python_version(), blobs, mapped=mapped)
    access, lease = home.access(), lease_of(asked)
    task_id = new_task_id()
    array = Array(indices=f"0-{len(blocks) - 1}") if mapped else None
    like = replace(asked.like, array=array, name=asked.like.name or table_name(name))
    opened(access, lease, like)
    directory = calls.put(access.fs, lease, task_id, data)
    command = calls.command(sys.executable, directory, name)
    try:
        told(lease.id, task_id)
        queued(replace(asked, like=like), lease, [(command, False)], ids=[task_id])
    except BaseException:
        if not _is_queued(task_id):
            calls.take_back(access.fs, lease, task_id)
        raise
    return task_id


def _is_queued(task_id: str) -> bool:
    """False if certainly no lease has the task."""
    try:
        home.access().find([task_id], lease="")
    except NotFound:
        return False
    except (LeaseqError, OSError, Malformed):
        pass
    return True


def name_of(function: Callable[..., Any]) -> str:
    """What the function is called, with its module."""
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    module = getattr(function, "__module__", None) or type(function).__module__
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return name if module in ("__main__", "builtins") else f"{module}.{name}"


def table_name(name: str) -> str:
    """The last part of it as a task may be called."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name.rpartition(".")[2]).strip("-._")[:64] or "call"


def _path() -> tuple[str, ...]:
    """Where modules are found here, for a process that is started elsewhere."""
    return tuple(os.path.abspath(part) for part in sys.path if isinstance(part, str))


def pickled(value: object, what: str) -> bytes:
    """The value as bytes that another process can read; raises UsageError that says why it cannot."""
    try:
        import cloudpickle
    except ImportError:
        kind: type[pickle.Pickler] = _ByReference
        hint = CLOUDPICKLE
    else:
        kind = cloudpickle.Pickler
        hint = "no open files, connections, locks and generators can be"
    file = io.BytesIO()
    try:
        kind(file, payload.PROTOCOL).dump(value)
        return file.getvalue()
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{what} cannot be pickled: {error}", hint=hint) from error


class _ByReference(pickle.Pickler):
    """Refuses what only this program's main module has: there is none of that name where a task runs."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, (type, types.FunctionType)) and value.__module__ == "__main__":
            raise UsageError(
                f"{value.__qualname__} is of the program itself (__main__), and a task cannot import it",
                hint=f"put it into a module, or {CLOUDPICKLE}",
            )
        return NotImplemented
