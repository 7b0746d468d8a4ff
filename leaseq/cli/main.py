"""The command line: from sys.argv to an exit code. Nothing else here imports what only some commands need."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from leaseq.cli import exits

if TYPE_CHECKING:
    from leaseq.cli.command import Request
    from leaseq.errors import LeaseqError, Malformed


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of that command line. Never a traceback, unless LEASEQ_DEBUG=1 asks for it."""
    from leaseq.installation import read_as_utf8, starts_runner

    read_as_utf8()
    words = list(sys.argv[1:] if argv is None else argv)
    if starts_runner(words):
        # A runner does without the command line's libraries.
        from leaseq.runner.main import main as run

        return run(words[1:])
    # Starting is nothing but making objects that stay.
    gc.disable()
    umask = os.umask(0o077)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding=_terminal_encoding(), errors="backslashreplace")
    code = _guarded(words, umask)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _broken_pipe()
    except OSError as error:
        print(f"leaseq: standard output: {error.strerror}", file=sys.stderr)
        return code or 1
    return code


def _terminal_encoding() -> str | None:
    """What the locale says that a terminal shows, if Python was told to take UTF-8 for everything; else None."""
    if not sys.flags.utf8_mode:
        return None
    import locale

    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:
        return None
    encoding = locale.nl_langinfo(locale.CODESET)
    # The locale C says ASCII and means that nobody has chosen.
    return None if encoding.startswith("ANSI_") else encoding


def _guarded(words: list[str], umask: int) -> int:
    from leaseq.errors import LeaseqError, Malformed

    try:
        return _run(words, umask)
    except LeaseqError as error:
        return _refuse(error, words)
    except Malformed as error:
        return _refuse(_unreadable(error), words)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return exits.INTERRUPTED
    except BrokenPipeError:
        return _broken_pipe()
    except OSError as error:
        from leaseq.cli.trouble import explained

        return _refuse(explained(error), words)
    except RuntimeError as error:
        from leaseq.cli.trouble import NO_THREAD, no_process

        return _refuse(no_process(), words) if NO_THREAD in str(error) else _bug(error)
    except Exception as error:  # a bug: the person gets one line, the traceback goes where it can be reported from
        return _bug(error)


def _run(words: list[str], umask: int) -> int:
    if words[:1] == ["_complete"]:
        from leaseq.cli.complete import main as complete

        return complete(words[1:])
    head, tail = split(words)
    if head[:1] in (["--version"], ["-V"], ["version"]):
        from leaseq import __version__

        print(f"leaseq {__version__}")
        return 0
    if not head and tail is None:
        head = _bare()
    if head == ["help", "--man"]:
        from leaseq.cli.man import page

        print(page(), end="")
        return 0
    if head[:1] in (["--help"], ["-h"], ["help"]):
        from leaseq.cli.help import show

        return show(head[1:])
    from leaseq.cli.table import command_words

    name, rest = command_words(head)
    request = _accept(name, rest, tail)
    if request is None:
        return 0
    from leaseq.cli.app import App

    gc.freeze()  # what was made to start is looked through neither now nor at the end, which took a tenth of the time
    gc.enable()
    return request.perform(App(umask=umask))


def split(words: list[str]) -> tuple[list[str], tuple[str, ...] | None]:
    """(what is leaseq's, the user's command): the first `--` parts them; None if there is none."""
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], tuple(words[at + 1 :])


def _bare() -> list[str]:
    """What `leaseq` alone means: the monitor if there is one and somebody to look at it."""
    watched = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    return ["tui"] if watched else ["status"]


def _accept(name: str, rest: list[str], tail: tuple[str, ...] | None) -> Request | None:
    """The request that the line makes, or None if its help was asked for and shown."""
    if name.startswith("help "):
        from leaseq.cli.help import show

        show([name[5:]])
        return None
    from leaseq.cli.line import HelpAsked, request_of
    from leaseq.cli.table import command
    from leaseq.commands import readonly

    try:
        request = request_of(name, command(name), rest, tail=tail)
    except HelpAsked:
        from leaseq.cli.help import show

        show(name.split())
        return None
    if readonly():
        from leaseq.verbs.allowed import allow

        allow(name)
    return request


# -- when it does not go well ------------------------------------------------------------------------


def _refuse(error: Exception, words: list[str]) -> int:
    from leaseq.errors import LeaseqError

    assert isinstance(error, LeaseqError)
    if any(word in ("--json", "--json=true") for word in split(words)[0]):
        import json

        body = {"code": error.code, "message": error.message, "hint": error.hint}
        print(json.dumps({"schema": 1, "error": body}))
        return error.exit_code
    sys.stdout.flush()
    from leaseq.words import visible_lines

    print(visible_lines(f"leaseq: {error.message}"), file=sys.stderr)
    if error.hint:
        print(visible_lines(f"  {error.hint}"), file=sys.stderr)
    return error.exit_code


def _unreadable(error: Malformed) -> LeaseqError:
    """A file that a command must read to do what it was asked is not what it must be."""
    from leaseq.errors import LeaseqError, Newer, Refused

    if isinstance(error, Newer):
        return Refused(f"a newer leaseq has written this: {error}", hint="use that one; nothing was changed")
    return LeaseqError(f"a file of the lease cannot be used: {error}", hint="`leaseq status` shows those it knows")


def _broken_pipe() -> int:
    # The interpreter flushes stdout once more at its end, which must not complain either.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return exits.PIPE


def _bug(error: BaseException) -> int:
    import tempfile
    import traceback

    from leaseq.words import visible

    if os.environ.get("LEASEQ_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
        return exits.BUG
    text = "".join(traceback.format_exception(error))
    where = "set LEASEQ_DEBUG=1 to see it"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="leaseq-bug-", suffix=".txt", delete=False) as file:
            file.write(text)
            where = f"written to {file.name}"
    except OSError:
        pass
    print(visible(f"leaseq: a bug: {type(error).__name__}: {error} (traceback {where})"), file=sys.stderr)
    return exits.BUG
