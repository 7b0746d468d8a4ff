"""What a terminal would show of output that writes over itself: its last rows. Bytes in, rows out."""

from __future__ import annotations

import codecs
import re

ROWS_MAX = 100
ROW_MAX = 400
"""So many letters of a row are kept: no progress bar is longer."""

_PIECE = re.compile(
    r"[\r\n]|\x08+"
    r"|\x1b\[(?P<numbers>[0-?]*)[ -/]*(?P<act>[@-~])"
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
    r"|[^\r\n\x08\x1b]+"
)
_UP = re.compile(r"\x1b\[\d*[ABHf]")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*)?\Z")
STATES_MAX = 4
"""So many of the states of a row that is written over are looked at, the last ones."""
CYAN = "36"
"""rich writes what is left in this colour, and what has gone by in another."""


class Rows:
    """The rows that the output stands in, the last ones.

    cut: what came before is not known. wide: more of it was read than its last lines.
    """

    def __init__(self, *, cut: bool = False, wide: bool = False) -> None:
        self.rows = [""]
        self.row = self._column = 0
        self.cut, self.wide = cut, wide
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._is_left = False
        """True if what is written next is in the colour of what is left."""

    def feed(self, data: bytes) -> None:
        """The bytes are written, too."""
        text = self._rest + self._decoder.decode(data)
        unfinished = _UNFINISHED.search(text)
        at = unfinished.start() if unfinished and len(text) - unfinished.start() < ROW_MAX else len(text)
        text, self._rest = _last_of(text[:at]), text[at:]
        for piece in _PIECE.finditer(text):
            found = piece[0]
            if found == "\n":
                self._down(1)
                self._column = 0
            elif found == "\r":
                self._column = 0
            elif found[0] == "\x08":
                self._column = max(0, self._column - len(found))
            elif found[0] != "\x1b":
                self._write(f" eta {found}" if self._is_left and found[0].isdigit() else found)
                self._is_left = False
            elif piece["act"]:
                self._move(piece["act"], piece["numbers"])

    def _write(self, text: str) -> None:
        line, at = self.rows[self.row], self._column
        text = text[: max(0, ROW_MAX - at)]
        self.rows[self.row] = line[:at].ljust(at) + text + line[at + len(text) :]
        self._column = at + len(text)

    def _move(self, act: str, numbers: str) -> None:
        number = int(numbers[:3]) if numbers[:3].isdigit() else 0
        if act == "m":
            self._is_left = numbers == CYAN
        elif act == "A":
            self._up(max(1, number))
        elif act == "B":
            self._down(max(1, number))
        elif act == "C":
            self._column = min(ROW_MAX, self._column + max(1, number))
        elif act == "D":
            self._column = max(0, self._column - max(1, number))
        elif act == "G":
            self._column = min(ROW_MAX, max(1, number) - 1)
        elif act == "K":
            line = self.rows[self.row]
            self.rows[self.row] = {1: "".ljust(self._column) + line[self._column :], 2: ""}.get(
                number, line[: self._column]
            )
        elif act == "J" and not number:
            del self.rows[self.row + 1 :]
            self.rows[self.row] = self.rows[self.row][: self._column]

    def _up(self, number: int) -> None:
        above = number - self.row
        if above > 0 and self.cut:
            # There are rows above those that were read.
            self.rows[:0] = [""] * min(above, ROWS_MAX)
            self.row += min(above, ROWS_MAX)
            del self.rows[ROWS_MAX:]
        self.row = max(0, min(self.row - number, len(self.rows) - 1))

    def _down(self, number: int) -> None:
        self.row += number
        self.rows += [""] * (self.row + 1 - len(self.rows))
        over = len(self.rows) - ROWS_MAX
        if over > 0:
            del self.rows[:over]
            self.row, self.cut = max(0, self.row - over), True


def _last_of(text: str) -> str:
    """What of the text can still stand on the last rows."""
    if len(text) < ROW_MAX or _UP.search(text):
        return text
    return "\n".join("\r".join(row.split("\r")[-STATES_MAX:]) for row in text.split("\n")[-ROWS_MAX:])
