"""A person at a terminal, for the demo: `terminal.py COMMAND...` with what is seen and typed on standard input.

    expect TEXT    wait until the program has printed the text
    type TEXT      type the text and Enter
    kill           the connection is lost: the program and all it started here get KILL
    end            wait until the program ends; its exit code is this one's

What is typed and what is waited for is written to standard output; a whole screen inside another would be no sight.
Exit code 99 if the program does not print what is expected within a minute.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

SECONDS_MAX = 60.0


class Terminal:
    """A program on a pseudo-terminal of its own, 80x24."""

    def __init__(self, argv: list[str]) -> None:
        self.unseen = b""
        self.open = True
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def expect(self, text: str) -> bool:
        """True once the program has printed the text since the last one; False if it has ended or takes too long."""
        wanted, until = text.encode(), time.monotonic() + SECONDS_MAX
        while wanted not in self.unseen:
            if not self.open or time.monotonic() > until:
                return False
            self._read()
        self.unseen = self.unseen.partition(wanted)[2]
        return True

    def end(self) -> int:
        while self.open:
            self._read()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self) -> None:
        for pid in _tree(self.pid):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def _read(self) -> None:
        if not select.select([self.fd], [], [], 0.2)[0]:
            return
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.open = bool(data)
        self.unseen += data


def _tree(pid: int) -> list[int]:
    """The process and all that descends from it."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = [int(child) for child in file.read().split()]
    except OSError:
        children = []
    return [pid, *(each for child in children for each in _tree(child))]


def main() -> int:
    terminal = Terminal(sys.argv[1:])
    for line in sys.stdin:
        verb, _, text = line.rstrip("\n").partition(" ")
        if verb == "type":
            print(f"    typed: {text}", flush=True)
            os.write(terminal.fd, text.encode() + b"\n")
        elif verb == "expect":
            if not terminal.expect(text):
                print(f"waited for {text!r} in vain; seen: {terminal.unseen!r}", file=sys.stderr)
                terminal.kill()
                return 99
            print(f"    seen:  {text}", flush=True)
        elif verb == "kill":
            terminal.kill()
            return 0
        elif verb == "end":
            return terminal.end()
    return 2


if __name__ == "__main__":
    sys.exit(main())
