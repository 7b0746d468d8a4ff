"""Words for people that all of leaseq says alike: counts with their nouns, amounts, what a terminal may show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leaseq.forms import Form

_REASON_CODES = {
    "its time limit": "TimeLimit",
    "time limit": "TimeLimit",
    "the node was rebooted": "Rebooted",
}
CODE_MAX = 13


def count(number: int, noun: str, plural: str = "") -> str:
    """The number with its noun: `1 task`, `12,400 tasks`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def one_line(text: str) -> str:
    """The lines of a program's answer as one."""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def memory(mebibytes: float) -> str:
    """An amount of memory: 512M, 1.5G, 80G."""
    if mebibytes < 1024:
        return f"{mebibytes:.0f}M"
    return f"{mebibytes / 1024:.1f}G" if mebibytes < 10240 else f"{mebibytes / 1024:.0f}G"


def about(seconds: float) -> str:
    """A duration for prose: 29 s, 5 min, 3 h 59 min, 2 d 4 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds) // 60
    for size, unit, part, smaller in ((1440, "d", 60, "h"), (60, "h", 1, "min")):
        if minutes >= size:
            rest = minutes % size // part
            return f"{minutes // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{minutes} min"


def figure(number: float) -> str:
    """A number as exact as a table needs it: 0.25, 3.50, 12.0."""
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def filled(fraction: float, columns: int, *, ascii: bool = False) -> str:
    """A bar of that many characters, full up to the fraction."""
    full = min(columns, max(0, int(fraction * columns + 1e-9)))
    some, none = ("#", ".") if ascii else ("█", "░")
    return some * full + none * (columns - full)


def per_time(per_second: float) -> str:
    """How many things in how much time: `2.5 a second`, `12 a minute`, `3 a day`."""
    units = ((1, "second"), (60, "minute"), (3600, "hour"), (86400, "day"))
    seconds, unit = next((each for each in units if per_second * each[0] >= 1), units[-1])
    number = per_second * seconds
    return f"{number:,.0f} a {unit}" if number >= 10 else f"{number:.1f} a {unit}".replace(".0 ", " ")


def reason_code(reason: str) -> str:
    """The reason as one word for a narrow column; words that are codes already stay as they are."""
    if reason in _REASON_CODES:
        return _REASON_CODES[reason]
    if "command not found" in reason:
        return "not found"
    head = reason.partition(":")[0].partition(" (")[0]
    return head if len(head) <= CODE_MAX else head.partition(" ")[0][:CODE_MAX]


def visible(text: str) -> str:
    """One line of which a terminal acts on nothing: what a record holds must not move a cursor, or hide.

    Without the sign that makes an emoji of the letter before it: terminals disagree on its width.
    """
    if text.isprintable() and "\ufe0f" not in text:
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text.replace("\ufe0f", ""))


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no text, as Python keeps it
        code -= 0xDC00
    named = {0x09: " ", 0x0A: "\\n", 0x0D: "\\r"}
    return named.get(code) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )


def visible_lines(text: str) -> str:
    """The same of several lines: what a message quotes must not move a cursor either."""
    return "\n".join(map(visible, text.split("\n")))


_PLAIN = Form(r"(?:[A-Za-z0-9_@%+=:,./-]|\{(?:[A-Za-z0-9_-]+|//?|/?\.)?\})+")
"""Words that a shell reads as they are; braces without a comma in them, too."""
_READ_IN_QUOTES = frozenset('"$`\\!')
"""What bash reads between double quotes."""


def command_line(argv: Sequence[str], *, shell: bool) -> str:
    """The command as a person would type it; shell: its one word is a line for bash."""
    return argv[0] if shell else joined(argv)


def joined(words: Iterable[str]) -> str:
    """The words as a line that a shell parts into them again, with the quotes that a person would choose."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    if "'" not in word:
        return f"'{word}'"
    if not _READ_IN_QUOTES.intersection(word):
        return f'"{word}"'
    return "'" + word.replace("'", "'\"'\"'") + "'"
