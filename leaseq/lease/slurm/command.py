"""Running one Slurm command: its answer, with a deadline and without the surrounding job's variables."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from leaseq import programs
from leaseq.dataclass import dataclass
from leaseq.errors import Unavailable
from leaseq.node.scrub import for_commands

SECONDS_MAX = 60.0
"""A controller under load answers late; Slurm's own commands give up after some tens of seconds."""


class Unanswered(Unavailable):
    """The command did not end in time. `out` and `err`: the whole lines that it had printed by then."""

    def __init__(self, message: str, *, hint: str, out: str, err: str) -> None:
        super().__init__(message, hint=hint)
        self.out, self.err = out, err


@dataclass(frozen=True)
class Answer:
    """What a command said; undecodable bytes are kept as surrogates."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """What it complained of, in its own words, or its exit code."""
        return self.err.strip() or self.out.strip() or f"{self.argv[0]} ended with code {self.code}"


Ask = Callable[..., Answer]
"""As `ask`: who runs a command of Slurm's."""


def ask(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    seconds_max: float = SECONDS_MAX,
    umask: int = -1,
    fed: str | None = None,
) -> Answer:
    """The command's answer, whatever its exit code; raises Unavailable if it is missing or does not answer.

    Without an environment the command gets this process's, less what a surrounding job or a user's
    SQUEUE_FORMAT would change. Without a umask it has this process's. fed: what it reads.
    """
    import subprocess  # most commands ask nothing of Slurm

    env = for_commands(os.environ) if environment is None else dict(environment)
    try:
        done = subprocess.run(
            list(argv),
            executable=programs.path_of(argv[0], env),
            input=fed or "",
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            env=env,
            timeout=seconds_max,
            check=False,
            umask=umask,
        )
    except FileNotFoundError:
        raise _missing(argv[0]) from None
    except subprocess.TimeoutExpired as late:
        raise Unanswered(
            f"{argv[0]} has not answered for {seconds_max:.0f} s",
            hint="try again; `sinfo` shows whether Slurm is up",
            out=_whole_lines(late.stdout),
            err=_whole_lines(late.stderr),
        ) from None
    return Answer(tuple(argv), done.returncode, done.stdout, done.stderr)


def path_of(name: str) -> str:
    """The command's path on this host; raises Unavailable if it is missing."""
    path = programs.found(name)
    if path is None:
        raise _missing(name)
    return path


def _missing(name: str) -> Unavailable:
    hint = "Slurm leases are added from a cluster's login node; `leaseq submit` alone uses this machine"
    return Unavailable(f"there is no {name} on this host", hint=hint)


def _whole_lines(printed: bytes | str | None) -> str:
    # As bytes, whatever was asked for: of text that is decoded as it comes, the last piece may be half a letter.
    text = printed.decode("utf-8", "surrogateescape") if isinstance(printed, bytes) else printed or ""
    return text[: text.rfind("\n") + 1]
