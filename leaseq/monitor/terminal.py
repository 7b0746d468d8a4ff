"""The terminal: entered, left in any case as it was found, and listened to. The only user of blessed, for its keys.

blessed is imported after the first frame stands, because that takes longer than drawing it. It is given no
terminal of its own: its questions to the terminal wait up to a second for an answer and can eat typed keys.
"""

from __future__ import annotations

import base64
import codecs
import io
import os
import re
import select
import sys
import termios
import tty
from typing import Any

from leaseq.monitor.moves import Mouse

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
LEAVE = "\x1b[m\x1b[?7h\x1b[?25h\x1b[?1049l"
TITLE_KEPT, TITLE_BACK = "\x1b[22;2t", "\x1b[23;2t"
"""The terminal puts its title on a stack, and takes it back from there."""
MOUSE_ON, MOUSE_OFF = "\x1b[?1000h\x1b[?1006h", "\x1b[?1006l\x1b[?1000l"
ESCAPE_SECONDS = 0.05
_MOUSE = re.compile(r"\x1b\[<(\d{1,4});(\d{1,5});(\d{1,5})([Mm])")
_NAMES = {
    "KEY_UP": "up",
    "KEY_DOWN": "down",
    "KEY_LEFT": "left",
    "KEY_RIGHT": "right",
    "KEY_HOME": "home",
    "KEY_END": "end",
    "KEY_FIND": "home",
    "KEY_SELECT": "end",
    "KEY_PGUP": "pgup",
    "KEY_PGDOWN": "pgdn",
    "KEY_ENTER": "enter",
    "KEY_TAB": "tab",
    "KEY_BTAB": "backtab",
    "KEY_SHIFT_TAB": "backtab",
    "KEY_BACKSPACE": "backspace",
    "KEY_DELETE": "delete",
    "KEY_ESCAPE": "esc",
}
_CONTROLS = {"\r": "enter", "\n": "enter", "\t": "tab", "\x1b": "esc", "\x7f": "backspace", "\x08": "backspace"}


class Terminal:
    """The terminal on standard input and output."""

    def __init__(self, *, mouse: bool = True, title: bool = False) -> None:
        """title: the monitor sets one, and the terminal's own comes back when it is left."""
        self.fd_in, self.fd_out = 0, 1
        self.written = 0
        """Bytes written so far."""
        self.blank = True
        """Nothing has been drawn since it was entered."""
        self._keep = TITLE_KEPT if title else ""
        self._enter = ENTER + (MOUSE_ON if mouse else "")
        self._leave = (MOUSE_OFF if mouse else "") + LEAVE + (TITLE_BACK if title else "")
        self._before: list[Any] | None = None
        self._keyboard: Any = None

    def enter(self) -> None:
        """Keys come one by one and are not echoed; the screen is the monitor's. Once or again, after a stop."""
        if self._before is None:
            self._before = termios.tcgetattr(self.fd_in)
            self.write(self._keep)
        tty.setcbreak(self.fd_in, termios.TCSANOW)
        # Ctrl-C is a key: it closes a window, and what was typed there is not lost. Ctrl-Z and Ctrl-\ are signals.
        attributes = termios.tcgetattr(self.fd_in)
        attributes[6][termios.VINTR] = os.fpathconf(self.fd_in, "PC_VDISABLE").to_bytes(1, "little")
        termios.tcsetattr(self.fd_in, termios.TCSANOW, attributes)
        self.write(self._enter)
        self.blank = True

    def leave(self) -> None:
        """Everything is as it was found. Never fails: the terminal may be gone."""
        before, self._before = self._before, None
        if before is None:
            return
        try:
            self.write(self._leave)
            termios.tcsetattr(self.fd_in, termios.TCSADRAIN, before)
        except (OSError, termios.error):
            return

    def size(self) -> tuple[int, int]:
        """(columns, lines) now."""
        try:
            size = os.get_terminal_size(self.fd_out)
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24

    def write(self, text: str) -> None:
        """The text is on the terminal."""
        data = memoryview(text.encode("utf-8", "replace"))
        self.written += len(data)
        while data:
            try:
                data = data[os.write(self.fd_out, data) :]
            except BlockingIOError:
                select.select([], [self.fd_out], [])

    def copy(self, text: str) -> None:
        """The text is in the clipboard, if the terminal lets programs write to it (OSC 52)."""
        self.write(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07")

    def prepare(self) -> None:
        """Keys can be read."""
        if self._keyboard is None:
            self._keyboard = _keyboard(self.fd_in)

    def read(self) -> list[str | Mouse]:
        """What was typed, without waiting; empty if standard input has ended."""
        self.prepare()
        data = os.read(self.fd_in, 4096)
        found: list[str | Mouse] = []
        if not data:
            return found
        self._keyboard.feed(data)
        while (event := self._keyboard.next()) is not None:
            found.append(event)
        return [event for event in found if event != ""]


def _keyboard(fd: int) -> Any:
    # blessed takes NO_COLOR for "no sequences at all", and would know no keys either.
    no_color = os.environ.pop("NO_COLOR", None)
    try:
        import blessed
    finally:
        if no_color is not None:
            os.environ["NO_COLOR"] = no_color

    class Keyboard(blessed.Terminal):
        """blessed's decoder of keys, fed with what was read. It never talks to the terminal itself."""

        def __init__(self) -> None:
            no_color = os.environ.pop("NO_COLOR", None)
            try:
                super().__init__(kind=os.environ.get("TERM"), stream=io.StringIO(), force_styling=True)
            finally:
                if no_color is not None:
                    os.environ["NO_COLOR"] = no_color
            self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
            self._typed = ""

        def feed(self, data: bytes) -> None:
            self._typed += self._decoder.decode(data)

        def next(self) -> str | Mouse | None:
            """The next key by its name, or what the mouse did; None if nothing more was typed."""
            while match := _MOUSE.match(self._typed):
                self._typed = self._typed[match.end() :]
                mouse = _mouse_of(match)
                if mouse:
                    return mouse
            if not self._typed:
                return None
            if self._typed[0] != "\x1b":
                c, self._typed = self._typed[0], self._typed[1:]
                return _CONTROLS.get(c) or (c if c.isprintable() else _control(c))
            stroke = self.inkey(timeout=0, esc_delay=ESCAPE_SECONDS)
            # inkey takes all there is and keeps the rest to itself; it comes back for the mouse to be seen.
            self._typed = self.flushinp() + self._typed
            if len(stroke) == 2 and stroke[0] == "\x1b":
                # Alt with a letter means nothing here; Esc and a letter typed fast do, and look the same.
                self._typed = stroke[1] + self._typed
                return "esc"
            return key_name(str(stroke), stroke.name or "")

        def kbhit(self, timeout: float | None = None) -> bool:
            if not self._typed and timeout and select.select([fd], [], [], timeout)[0]:
                self.feed(os.read(fd, 4096))
            return bool(self._typed)

        def getch(self, decode_latin1: bool = False) -> str:
            c, self._typed = self._typed[0], self._typed[1:]
            return c

    return Keyboard()


def key_name(text: str, name: str) -> str:
    """The monitor's name of a key; empty if it has none."""
    if name in _NAMES:
        return _NAMES[name]
    if text in _CONTROLS:
        return _CONTROLS[text]
    if len(text) == 1:
        return text if text.isprintable() else _control(text)
    return ""


def _control(c: str) -> str:
    return f"ctrl-{chr(ord(c) + 96)}" if 0 < ord(c) < 27 else ""


def _mouse_of(match: re.Match[str]) -> Mouse | None:
    button, x, y = int(match[1]), int(match[2]) - 1, int(match[3]) - 1
    if button in (64, 65):
        return Mouse("up" if button == 64 else "down", x, y)
    return Mouse("press", x, y) if button == 0 and match[4] == "M" else None


def usable() -> str:
    """Why no monitor can be shown here; empty if one can."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "the monitor needs a terminal"
    if os.environ.get("TERM", "") in ("", "dumb"):
        return f"the monitor cannot draw on a terminal of type {os.environ.get('TERM') or '(none)'}"
    return ""
