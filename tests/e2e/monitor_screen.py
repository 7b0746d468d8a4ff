"""A program on a real pseudo-terminal, its screen kept by a terminal emulator. Everything waits for a condition."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import pyte

from tests.patience import PATIENCE_SECONDS


class Screen:
    """One program and its terminal."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], *, columns: int = 80, lines: int = 24) -> None:
        self.display = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.display)
        self.raw = bytearray()
        self.fd, child = pty.openpty()
        self._resize_pty(columns, lines)
        self.before = termios.tcgetattr(self.fd)
        self.process = subprocess.Popen(
            list(argv),
            stdin=child,
            stdout=child,
            stderr=child,
            env={"TERM": "xterm-256color", **env},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(child)

    def _resize_pty(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        """The terminal has another size, and the program is told so by the kernel."""
        self.display.resize(lines, columns)
        self._resize_pty(columns, lines)
        os.killpg(self.process.pid, signal.SIGWINCH)

    def read(self, seconds: float = 0.05) -> bytes:
        """What the program has written lately is on the screen."""
        found = b""
        while select.select([self.fd], [], [], seconds if not found else 0.01)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # Linux says EIO once the other end is closed
                break
            if not data:
                break
            found += data
            # pyte has no second screen: leaving it for the first is seen as a screen wiped.
            self._stream.feed(data.replace(b"\x1b[?1049l", b"\x1b[2J\x1b[H"))
        self.raw += found
        return found

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.display.display)

    def send(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait(self, condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """The condition holds; else the test fails with what was last on the screen."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not within {seconds:.0f} s: {what}\n{self.text}\n--- tail: {bytes(self.raw[-300:])!r}"
                )
            self.read()

    def shows(self, words: str, seconds: float = PATIENCE_SECONDS) -> None:
        self.wait(lambda: words in self.text, f"{words!r} on the screen", seconds)

    def ages(self, least: int) -> None:
        """What is said of the nodes is that many seconds old, or more."""

        def is_old() -> bool:
            said = re.search(r"nodes (\d+)(s|m)", self.text)
            return said is not None and (said[2] == "m" or int(said[1]) >= least)

        self.wait(is_old, f"an age of {least} s and more")

    def hides(self, words: str) -> None:
        self.wait(lambda: words not in self.text, f"no {words!r} on the screen")

    def press(self, key: str, words: str) -> None:
        """The key brings the words onto the screen."""
        self.send(key)
        self.shows(words)

    def ended(self, seconds: float = PATIENCE_SECONDS) -> int:
        """The program's exit code, once it has ended."""
        self.wait(lambda: self.process.poll() is not None, "the program ends", seconds)
        self.read()
        assert self.process.returncode is not None
        return self.process.returncode

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.fd)


@contextlib.contextmanager
def on_terminal(argv: Sequence[str], env: Mapping[str, str], *, columns: int = 80, lines: int = 24) -> Iterator[Screen]:
    screen = Screen(argv, env, columns=columns, lines=lines)
    try:
        yield screen
    finally:
        screen.close()
