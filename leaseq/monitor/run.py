"""leaseq's own commands, run by the monitor as a person would type them, so that nothing is done in two ways."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping

from leaseq import programs
from leaseq.installation import main_file
from leaseq.layout import Home
from leaseq.monitor.effects import Answer, Pager, Run
from leaseq.reading.logtext import sanitise

LINES_MAX = 5000


def argv(words: tuple[str, ...]) -> list[str]:
    """This very leaseq, wherever it is installed."""
    return [sys.executable, main_file(), *words]


def answer_of(run: Run, environment: Mapping[str, str], *, umask: int) -> Answer:
    """The command has run; both of its outputs are its answer."""
    try:
        done = _in_background(run.words, environment, umask=umask, stderr=subprocess.STDOUT)
    except (OSError, ValueError) as error:
        return Answer(run, 1, (((str(error), ""),),))
    text = done.stdout.decode("utf-8", "replace").rstrip("\n")
    lines = [sanitise(line)[0] for line in text.split("\n")[:LINES_MAX]] if text else []
    return Answer(run, done.returncode, tuple(tuple((text, "") for text, _ in line) for line in lines))


def output_of(words: tuple[str, ...], environment: Mapping[str, str], *, umask: int) -> str:
    """What the command has written to stdout; nothing if it could not run."""
    try:
        done = _in_background(words, environment, umask=umask, stderr=subprocess.DEVNULL)
    except (OSError, ValueError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _in_background(
    words: tuple[str, ...], environment: Mapping[str, str], *, umask: int, stderr: int
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        argv(words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**environment, "NO_COLOR": "1"},
        start_new_session=True,
        umask=umask,
        check=False,
    )


def foreground(words: tuple[str, ...], environment: Mapping[str, str], *, pause: bool, umask: int) -> str:
    """The command has had the terminal; words for the person if it did not end well."""
    code = _in_front(argv(words), environment, umask=umask)
    if pause:
        print("\n-- Enter goes back to the monitor --", end="", flush=True)
        sys.stdin.readline()
    return "" if code == 0 else f"leaseq {words[0]} ended with {code}"


def page(home: Home, effect: Pager, *, umask: int) -> str:
    """The person has seen the output; words if there was none to see, or no pager."""
    lease = home.lease(effect.lease)
    paths = [lease.log(effect.task, effect.attempt, stream) for stream in effect.streams]
    pager = shlex.split(os.environ.get("PAGER", "")) or ["less"]
    if programs.found(pager[0]) is None:
        return f"there is no pager {pager[0]}: set PAGER"
    # Colours pass, every other control sequence is shown as text.
    code = _in_front([*pager, *paths], {"LESS": "-R", **os.environ, "LESSSECURE": "1"}, umask=umask)
    return "" if code == 0 else f"{pager[0]} ended with {code}"


def _in_front(words: list[str], env: Mapping[str, str], *, umask: int) -> int:
    """The program's exit code. Ctrl-C is the program's, not ours; Ctrl-Z stops both, and `fg` continues both."""
    ignored = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGQUIT)}
    ignored[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        program = programs.path_of(words[0])
        child = subprocess.Popen(words, executable=program, env=env, preexec_fn=_default_signals, umask=umask)
        return child.wait()
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr)
        return 127
    finally:
        for each, handler in ignored.items():
            signal.signal(each, handler)


def _default_signals() -> None:
    for each in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(each, signal.SIG_DFL)
