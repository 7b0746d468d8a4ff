"""A hook's process: it is told one JSON document on stdin, and has ten seconds."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

SECONDS_MAX = 10.0
WORDS_MAX = 200
_TAIL_BYTES = 4096


class Ended(NamedTuple):
    """How it ended."""

    code: int | None
    """None: it took too long, or did not start."""
    words: str
    """The last line that it wrote, or why it did not start."""


def call(argv: Sequence[str], *, shell: bool, document: bytes, env: Mapping[str, str]) -> Ended:
    """The command has been told the document, and has ended, with all that it started. No error is raised."""
    line = ["bash", "-c", argv[0]] if shell else list(argv)
    # A runner reaps every child it has: how the command ended comes by a pipe, not by waiting for it.
    code_read, code_write = os.pipe()
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
        told.write(document)
        told.seek(0)
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", '"$@" >&2; echo $?', "leaseq-hook", *line],
                stdin=told,
                stdout=code_write,
                stderr=said,
                env=dict(env),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            os.close(code_read)
            return Ended(None, error.strerror or str(error))
        finally:
            os.close(code_write)
        code, why = None, ""
        try:
            code = _code(code_read)
        except TimeoutError:
            why = f"it took longer than {SECONDS_MAX:.0f} s"
        except EOFError:
            why = "it was killed"
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # nothing of it is left
        process.wait()
        return Ended(code, why or _last_line(said.fileno()))


def _code(fd: int) -> int:
    """The exit code that is written there; raises TimeoutError, and EOFError if none comes. The pipe is closed."""
    until, data = time.monotonic() + SECONDS_MAX, b""
    try:
        while not data.endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise TimeoutError
            part = os.read(fd, 64)
            if not part:
                raise EOFError
            data += part
        return int(data)
    finally:
        os.close(fd)


def _last_line(fd: int) -> str:
    size = os.fstat(fd).st_size
    data = os.pread(fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    lines = [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip()[:WORDS_MAX] if lines else ""
