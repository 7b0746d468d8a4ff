"""How many columns of a terminal a text takes: a wide character takes two, a combining one none."""

from __future__ import annotations

from functools import lru_cache

_NARROW = frozenset("─│┌┐└┘├┤┬┴┼╴╶●○✓✗⊘◷▸▾▴•·…→←↑↓×▁▂▃▄▅▆▇█░▏°")


@lru_cache(maxsize=4096)
def _columns(c: str) -> int:
    if c < "\u0300" or c in _NARROW:
        return 1
    # Imported here: its tables take longer to load than the first frame to draw. blessed brings it.
    from wcwidth import wcwidth

    return max(0, wcwidth(c))


@lru_cache(maxsize=16384)
def cells(text: str) -> int:
    """Columns of a terminal."""
    return len(text) if text.isascii() else sum(map(_columns, text))


@lru_cache(maxsize=4096)
def narrow(text: str) -> bool:
    """True if each character is one column."""
    return text.isascii() or all(_columns(c) == 1 for c in text)


def cut(text: str, columns: int) -> str:
    """The start of the text in at most that many columns."""
    if columns <= 0:
        return ""
    if narrow(text):
        return text[:columns]
    used = 0
    for index, c in enumerate(text):
        used += _columns(c)
        if used > columns:
            return text[:index]
    return text
