"""How things look: styles by name, glyphs with an ASCII twin. Colours are the terminal's own sixteen."""

from __future__ import annotations

from leaseq.models import State
from leaseq.reading.views import Health

COLOURS = {
    "": "",
    "dim": "2",
    "bold": "1",
    "focus": "1;36",
    "focused": "1;36",
    "selected": "7",
    "chosen": "1",
    "mark": "1;35",
    "run": "36",
    "good": "32",
    "bad": "31",
    "worse": "1;31",
    "wait": "33",
    "warn": "33",
    "key": "1",
    "find": "30;43",
    "alarm": "1;7;31",
}
MONOCHROME = {
    **dict.fromkeys(COLOURS, ""),
    "dim": "2",
    "bold": "1",
    "focus": "1",
    "focused": "1;7",
    "selected": "7",
    "chosen": "1",
    "mark": "1",
    "worse": "1",
    "bad": "1",
    "warn": "1",
    "key": "1",
    "find": "7",
    "alarm": "1;7",
}
_WEIGHTS = {"1", "2", "3", "4", "7", "9"}

STATE_STYLES = {
    State.PENDING: "wait",
    State.RUNNING: "run",
    State.DONE: "good",
    State.FAILED: "bad",
    State.CANCELLED: "dim",
    State.TIMEOUT: "bad",
    State.LOST: "bad",
    State.STUCK: "worse",
    State.UNKNOWN: "warn",
}
HEALTH_STYLES = {
    Health.OK: "good",
    Health.LATE: "warn",
    Health.DOWN: "worse",
    Health.STOPPED: "dim",
    Health.UNKNOWN: "dim",
}
_HEALTH_GLYPHS = {Health.OK: "●*", Health.LATE: "~~", Health.DOWN: "!!", Health.STOPPED: "○o", Health.UNKNOWN: "··"}

BARS = "▁▂▃▄▅▆▇█"
_TWINS = str.maketrans(
    {
        **dict(zip("─│┌┐└┘├┤┬┴┼", "-|+++++++++", strict=True)),
        **dict(zip("●○✓✗⊘◷▸▾▴•·…×°▏", "*o+x-t>v^*.~x |", strict=True)),
        **dict(zip("⊗◉◐━▶▒╳", "X@:=>%x", strict=True)),
        **dict(zip("▁▂▃▄▅▆▇█░", "..:-=+##.", strict=True)),
        **dict(zip("←→↑↓", "<>^v", strict=True)),
    }
)


def codes(style: str, *, mono: bool) -> str:
    """The parameters of the SGR sequence for the style: a name, or `@` and the parameters a task's output had."""
    if style.startswith("@"):
        words = style[1:].split(";")
        return ";".join(word for word in words[:3] if word in _WEIGHTS) if mono else style[1:]
    return (MONOCHROME if mono else COLOURS)[style]


def to_ascii(text: str) -> str:
    """The text in ASCII, as wide as it was."""
    if text.isascii():
        return text
    from leaseq.widths import cells

    text = text.translate(_TWINS)
    return "".join(c if c.isascii() else "?" * cells(c) for c in text)


def health_glyph(health: Health, *, ascii_only: bool) -> str:
    return _HEALTH_GLYPHS[health][ascii_only]


def state_glyph(state: State, *, ascii_only: bool) -> str:
    return state.ascii_glyph if ascii_only else state.glyph


def bar(percent: float | None) -> str:
    """One character as high as the percentage."""
    if percent is None:
        return "·"
    return BARS[min(7, max(0, int(percent * 8 / 100)))]


def waited(seconds: float | None) -> str:
    """How long a task has waited, to the minute: a hundred clocks that tick are noise, and bytes on the wire."""
    if seconds is None:
        return ""
    return "<1m" if seconds < 60 else f"{seconds // 60:.0f}m" if seconds < 7200 else age(seconds)


def age(seconds: float) -> str:
    """A short age: 3s, 4m, 2h, 5d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(0, int(seconds))}s"
