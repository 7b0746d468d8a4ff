"""git, asked what it knows of a working tree: with a limit of time and of bytes, and in the user's name alone."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Mapping, Sequence

from leaseq import programs
from leaseq.errors import Refused, Unavailable

_OPTIONS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false")
_DROPPED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_EXTERNAL_DIFF", "GIT_PREFIX")
SECONDS_MAX = 60.0
"""How long a command may take that a person waits for."""


class Asked:
    """A git command that is running. Its answer is read by `answer`, or it is dropped."""

    def __init__(self, words: Sequence[str], cwd: str) -> None:
        """Raises OSError if there is no git, or it cannot be started."""
        line = _line(words, cwd)
        self._out, theirs = os.pipe()
        # subprocess takes longer to be imported than git takes to answer.
        try:
            self._pid: int | None = os.posix_spawn(
                line[0],
                line,
                _environment(None),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, theirs, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
            )
        except OSError:
            os.close(self._out)
            raise
        finally:
            os.close(theirs)

    def answer(self, *, until: float, bytes_max: int) -> bytes | None:
        """What it says, if it ends well; None if it does not. `until`: of the monotonic clock. It has ended then.

        Raises TimeoutError if it takes longer, and OverflowError if it says more.
        """
        said = b""
        try:
            while True:
                left = until - time.monotonic()
                if left <= 0 or not select.select([self._out], [], [], left)[0]:
                    raise TimeoutError
                data = os.read(self._out, 1 << 16)
                if not data:
                    break
                said += data
                if len(said) > bytes_max:
                    raise OverflowError
            assert self._pid is not None
            code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            self._pid = None
            return said if code == 0 else None
        finally:
            self.drop()

    def drop(self) -> None:
        """It has ended."""
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = None
        if self._out >= 0:
            os.close(self._out)
            self._out = -1


def git(*words: str, cwd: str, environment: Mapping[str, str] | None = None, data: bytes = b"") -> bytes:
    """What the command says, for a person who waits; raises Refused with git's words, and Unavailable."""
    import subprocess

    try:
        done = subprocess.run(
            _line(words, cwd), env=_environment(environment), input=data, capture_output=True, timeout=SECONDS_MAX
        )
    except FileNotFoundError:
        raise Refused("there is no git here", hint="it is needed to make, and to compare, the code of tasks") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"git has not answered for {SECONDS_MAX:.0f} s", hint=f"it was asked in {cwd}") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Refused(f"git {words[0]}: {said[-1] if said else f'exit code {done.returncode}'}", hint=f"in {cwd}")
    return done.stdout


def _line(words: Sequence[str], cwd: str) -> list[str]:
    return [programs.path_of("git"), *_OPTIONS, "-C", cwd, *words]


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    """The user's, for an answer that is the same whatever that says, and that waits for nobody."""
    kept = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(more or {})}
