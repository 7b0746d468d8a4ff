"""What a task runs that is a Python call: the call is read, made, and its result written. The standard library alone.

The exit code is 0 if every call gave a value, and 1 if one raised. `sys.exit` in a call ends the task as it would end
any program: with that code, and without a result.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from leaseq import payload
from leaseq.payload import Failure, Head, Strange

TRACEBACKS_MAX = 20
"""So many of one block's tracebacks are printed."""


def main(words: Sequence[str]) -> int:
    """The exit code of `leaseq _call DIRECTORY`, in a task."""
    if not words or not all(os.environ.get(name) for name in ("LEASEQ_TASK_ID", "LEASEQ_ATTEMPT")):
        return _refuse("`leaseq _call` is what a task of leaseq.Executor runs")
    directory = words[0]
    try:
        with payload.open_own(f"{directory}/{payload.CALL}") as file:
            head = payload.read_head(file)
            _refuse_other_python(head)
            number = int(os.environ["LEASEQ_ARRAY_INDEX"]) if head.mapped else 0
            blobs = payload.blob(file, head, 0), payload.blob(file, head, number + 1)
    except FileNotFoundError:
        return _refuse(f"the call is gone: {directory} was removed, as `leaseq clean` does")
    except (Strange, OSError) as error:
        return _refuse(str(error))
    # What is imported is what the caller would import; this program's own directory is not among it.
    sys.path[:] = head.path
    sys.argv[:] = [head.name]
    calls = _Calls(*blobs)
    name = payload.result_name(os.environ["LEASEQ_TASK_ID"], int(os.environ["LEASEQ_ATTEMPT"]))
    temporary = f"{directory}/.{name}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        return 1 if payload.write_result(f"{directory}/{name}", calls.made(), temporary) else 0
    except SystemExit:
        # TERM may come again, and would kill a Python that is finishing: its exit code would be lost.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise


def _refuse(text: str) -> int:
    print(f"leaseq: {text}", file=sys.stderr)
    return 1


def _refuse_other_python(head: Head) -> None:
    """Raises Strange if what is pickled there may not mean the same here."""
    here = python_version()
    if head.python != here:
        raise Strange(f"Python {head.python} made this call, and {sys.executable} is Python {here} here")


def python_version() -> str:
    """What of the version has to be the same on both sides."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


class _Calls:
    """The calls of a block."""

    def __init__(self, function: bytes, block: bytes) -> None:
        self._function, self._block = function, block
        self._failed = 0

    def made(self) -> Iterator[Failure | Any]:
        """What each of them came to, made one after the other."""
        try:
            function: Callable[..., Any] = pickle.loads(self._function)
            block: list[tuple[tuple[Any, ...], dict[str, Any]]] = pickle.loads(self._block)
        except Exception as error:
            yield self._failure(error)
            return
        self._function = self._block = b""
        while block:
            args, kwargs = block.pop(0)
            try:
                value = function(*args, **kwargs)
            except Exception as error:
                value = self._failure(error)
            del args, kwargs
            yield value
            del value

    def _failure(self, error: Exception) -> Failure:
        import traceback

        self._failed += 1
        # The frame of this function tells nobody anything.
        frames = error.__traceback__.tb_next if error.__traceback__ else None
        text = "".join(traceback.format_exception(type(error), error, frames or error.__traceback__))
        if self._failed <= TRACEBACKS_MAX:
            sys.stderr.write(text)
        return Failure(_pickled(error), type(error).__qualname__, str(error), text)


def _pickled(error: Exception) -> bytes | None:
    """The exception, if it comes out of a pickle as it went in."""
    import io

    file = io.BytesIO()
    try:
        payload.dump(error, file)
        back = pickle.loads(file.getvalue())
    except Exception:
        return None
    return file.getvalue() if type(back) is type(error) else None
