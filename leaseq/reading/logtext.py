"""Output of tasks as lines a terminal may show: folded, coloured, and harmless. Any bytes, any size.

A task's output is not to be trusted with the screen: it may not move the cursor, set a title, write to the
clipboard or hide text. Of all control sequences only colours and weights (SGR) are kept, as styles of spans.
"""

from __future__ import annotations

import codecs
import re

from leaseq.dataclass import dataclass

Span = tuple[str, str]
"""(text, style): the style is the parameters of an SGR sequence, like `31;1`; empty is plain."""

LINE_CHARS_MAX = 8192
"""So much of one line is shown: a line of gigabytes is for a pager."""

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, SOS, PM, APC with their payload
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]"
    r"|[\x90\x98\x9d-\x9f][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
)
_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_WEIGHTS = {"1", "2", "3", "4", "7", "9"}
_ENDS = {"22": {"1", "2"}, "23": {"3"}, "24": {"4"}, "27": {"7"}, "29": {"9"}}
TAB_COLUMNS = 8
DIGITS_MAX = 4
"""So much of a number in a sequence is read: no colour has more digits, and a line may hold thousands."""


_ANY_CONTROL = re.compile(_SEQUENCE.pattern + r"|[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
CONTROLS = re.compile(_SEQUENCE.pattern + "|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2060\ufeff\ufe0f]")
"""What is not shown of a line: sequences, and letters that take no room."""
_IN_LINE = re.compile(r"\x1b\[[0-9;:]{0,60}[mCDGK]")
"""Colours, and what a progress bar does within its line."""
_UNFINISHED = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*\Z"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*\x1b?\Z"
    r"|\x1b[ -/]*\Z"
)


class Harmless:
    """Output as a terminal may get it while it comes: text, colours, and moves within a line; nothing else passes."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        """A sequence whose end has not come yet."""

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        """What the terminal may get of the bytes so far; with `final` nothing is kept back."""
        text = self._rest + self._decoder.decode(data, final)
        cut = None if final else _UNFINISHED.search(text)
        at = cut.start() if cut and len(text) - cut.start() <= LINE_CHARS_MAX else len(text)
        self._rest = text[at:]
        return _ANY_CONTROL.sub(_shown, text[:at]).encode()


def _shown(found: re.Match[str]) -> str:
    """What a terminal gets in place of it: a mark that turns letters round is seen, not obeyed."""
    if "\u2000" <= found[0] <= "\u2fff":
        return f"\\u{ord(found[0]):04x}"
    return found[0] if _IN_LINE.fullmatch(found[0]) else ""


def _safe(text: str) -> bool:
    """Printable, and no sign that makes an emoji of the letter before it: terminals disagree on its width."""
    return text.isprintable() and "\ufe0f" not in text


def _harmless(c: str) -> str:
    if _safe(c):
        return c
    if c.isspace():
        return " "
    return "" if c < "\xa0" or c in "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\ufe0f" else "\ufffd"


def sanitise(line: str, style: str = "") -> tuple[tuple[Span, ...], str]:
    """(styled spans of the line, the style that goes on into the next line). Only colours and weights survive."""
    line = line[:LINE_CHARS_MAX]
    if _safe(line):
        return (((line, style),) if line else ()), style
    spans: list[Span] = []
    at = 0
    line = line.expandtabs(TAB_COLUMNS)
    for match in _SEQUENCE.finditer(line):
        _add(spans, line[at : match.start()], style)
        at = match.end()
        colour = _SGR.fullmatch(match[0])
        if colour:
            style = next_style(style, colour[1])
    _add(spans, line[at:], style)
    return tuple(spans), style


def _add(spans: list[Span], text: str, style: str) -> None:
    """What is left of the text without its sequences, tabs and controls; invisible and direction marks go too."""
    if not _safe(text):
        text = "".join(map(_harmless, text))
    if text:
        spans.append((text, style))


def next_style(style: str, parameters: str) -> str:
    """The style after an SGR sequence of those parameters; what it may not do (blink, conceal) changes nothing."""
    weights, ink, paper = _parts(style)
    words = parameters.replace(":", ";").split(";")
    while words:
        word = words.pop(0).lstrip("0")[:DIGITS_MAX]
        if not word:
            weights, ink, paper = set(), "", ""
        elif word in _WEIGHTS:
            weights = weights | {word}
        elif word in _ENDS:
            weights = weights - _ENDS[word]
        elif word in ("38", "48"):
            colour = _extended(words)
            if colour:
                ink, paper = (f"38;{colour}", paper) if word == "38" else (ink, f"48;{colour}")
        elif word == "39":
            ink = ""
        elif word == "49":
            paper = ""
        elif word.isdigit() and (30 <= int(word) <= 37 or 90 <= int(word) <= 97):
            ink = word
        elif word.isdigit() and (40 <= int(word) <= 47 or 100 <= int(word) <= 107):
            paper = word
    return ";".join([*sorted(weights), *([ink] if ink else []), *([paper] if paper else [])])


def _extended(words: list[str]) -> str:
    """`5;N` or `2;R;G;B` taken off the front, or nothing if it is neither."""
    kind = words.pop(0) if words else ""
    count = {"5": 1, "2": 3}.get(kind, 0)
    numbers = [words.pop(0) for _ in range(min(count, len(words)))]
    if not count or len(numbers) != count or not all(n.isdigit() and len(n) <= 3 and int(n) < 256 for n in numbers):
        return ""
    return ";".join([kind, *numbers])


def _parts(style: str) -> tuple[set[str], str, str]:
    weights: set[str] = set()
    ink = paper = ""
    words = style.split(";") if style else []
    while words:
        word = words.pop(0)
        if word in ("38", "48"):
            colour = _extended(words)
            ink, paper = (f"38;{colour}", paper) if word == "38" else (ink, f"48;{colour}")
        elif word in _WEIGHTS:
            weights.add(word)
        elif int(word) % 60 < 40:
            ink = word
        else:
            paper = word
    return weights, ink, paper


@dataclass(frozen=True)
class Line:
    """One line of output."""

    spans: tuple[Span, ...]
    stream: str = "out"
    at: int = 0
    """Where it begins in all that the attempt wrote: what it is known by."""
    came: float = 0.0
    """When it was first seen, by this host's clock; 0 if it was there before anybody looked."""

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.spans)
