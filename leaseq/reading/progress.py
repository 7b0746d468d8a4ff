"""How far a task is, by the last progress line of its own output: rows of text in, a part of the whole out. Pure.

A bar, a counter behind a word (`epoch 5/50`, `step 2,050 of 5,005`) or a percentage that says what it is of; any other
number is none. Of bars that stand below each other the topmost that is not full counts, and an epoch before what stands
below it. A bar that is full, and other words after it, is over. What is left is what the line itself says is left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from leaseq.dataclass import dataclass, replace
from leaseq.forms import Form
from leaseq.reading.rewritten import Rows
from leaseq.reading.views import Progress

LABEL_MAX = 24
"""So many letters of a bar's description are said."""
LOOKED_AT = 60
"""So many rows are looked at from the last one up."""


@dataclass(frozen=True)
class Mark:
    """What one row says of how far it is."""

    fraction: float
    left_seconds: float | None = None
    key: tuple[str, str] = ("", "")
    """What tells this bar or counter from another: its description, and of how many."""
    part: str = ""
    """What it is of, if that is known to be a part of the whole only: `epoch 3`."""
    epochs: tuple[int, int] | None = None
    """Of a row that counts epochs: which, of how many."""
    bare: bool = False
    """True if that is all that the row says: it stands above its epoch's own bar."""


# -- rows into marks ---------------------------------------------------------------------------------

_NUMBER = r"\d+(?:,\d{3})*"
_COUNT = rf"({_NUMBER})\s*(?:/|of|out of)\s*({_NUMBER})(?![\d/]|[.,]\d|\.\w)"
_PERCENT = r"(\d{1,3}(?:\.\d+)?)\s?%"
_GLYPHS = "━╸╺█▉▊▋▌▍▎▏░▒▓■□▰▱"
_BAR = Form(
    rf"\|[{_GLYPHS} ]{{3,}}\||[{_GLYPHS}](?:[{_GLYPHS} ]*[{_GLYPHS}])?(?<=..)"
    r"|\[(?=[^\]]*[=#*>])[=#*>\-. ]{4,}\]|\|[\d#=\->█ ]{4,}\|"
)
_BEFORE = Form(rf"(?:^|[\s:(]){_PERCENT}\s*(?:\(\s*\d+ of \d+\)\s*)?$|(?:^|\s)(\d+)/(\d+)\s*$")
_AFTER = Form(rf"^[^\w%]{{0,12}}(?:(\d+(?:\.\d+)?)/(\d+(?:\.\d+)?)\b\s*(?:[kKMGT]?i?B\b)?\s*[\[(]?\s*)?(?:{_PERCENT})?")
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_TIME = (
    r"(?:(?:\d+ ?d(?:ays?)?,? ?)?(?:\d+:)?\d{1,3}:\d\d(?![\d:])"
    r"|(?:\d+(?:\.\d+)? ?(?:days?|d|hours?|h|min|m|s)(?![a-zA-Z]) ?){1,4})"
)
_LEFT = Form(
    rf"(?i)<\s*({_TIME})\s*[,\]]|\beta\b[\s:=]*({_TIME})|\(~\s*({_TIME})|({_TIME})\s*(?:left|remaining)\b"
    rf"|\b(?:remaining|time left)\b[\s:=]+({_TIME})"
)
_CLICK = Form(rf"^\s*\d{{1,3}}%\s+({_TIME})\s*$")
_KERAS = Form(
    rf"^\s*(\d+)/(\d+)\s+(?:-|[{_GLYPHS}]+|\[[=>.]+\] - (?:ETA: )?(?={_TIME}))\s*({_TIME})"
    r"\s+(?:-\s+)?(?:\d+[mun]?s/(?:step|epoch|sample)|[a-z_]+:|$)"
)
_EPOCH_LABEL = Form(r"(?i)\bepoch\s+(\d+)(?:/(\d+))?\W*$")
_EPOCH_OF_STEPS = Form(rf"(?i)\bepoch\b[^\[\d/]{{0,12}}\[?\s*(\d+)\s*\]?,?\s*\[\s*({_NUMBER})\s*/\s*({_NUMBER})\b")
_EPOCH = Form(rf"(?i)(?<![?&/.\w-])epochs?[\s:=#\[(]{{1,4}}{_COUNT}")
_BARE_EPOCH = Form(rf"(?i)^[\W_]*epochs?[\s:=#\[(]{{1,4}}{_COUNT}[\W_]*$")
_AN_EPOCH = Form(r"(?i)\bepochs?[\s:=#\[(]{1,4}\d+\b")
_STEPS = Form(
    rf"(?i)(?<![?&/.\w-])(?:steps?|iter(?:ation)?s?|batch(?:es)?|rounds?|episodes?|generations?|progress|processed|processing|completed)"
    rf"[\s:=#\[(]{{1,4}}{_COUNT}"
)
_SAID = Form(
    rf"(?i)(?<![?&/.\w-])progress\b[\s:=(]*{_PERCENT}|(?<![\d.,]){_PERCENT}\s*(?:complete|completed|done|finished)\b"
    r"|^\[\s*(\d{1,3})%\]\s|^(?:\S+ )?[.FEsxX]+\s+\[\s*(\d{1,3})%\]$"
    r"|^\s*[\d,.]+[kMGT]?\s+(\d{1,3})%\s+[\d.,]+[kMGT]?B/s\s+\d+:\d\d:\d\d"
)
_RSYNC_LEFT = Form(r"^\s*[\d,.]+[kMGT]?\s+\d{1,3}%\s+[\d.,]+[kMGT]?B/s\s+(\d+:\d\d:\d\d)")


def mark_of(row: str, own: re.Pattern[str] | None = None) -> Mark | None:
    """What the row says; None if it says nothing of that."""
    if own is not None and (found := own.search(row)):
        mark = _own(found.groupdict())
        if mark is not None:
            return mark
    # Most rows say nothing, and each expression costs: what a form cannot do without is looked for first.
    percent, count = "%" in row, "/" in row or " of " in row
    bar = (percent or count) and ("|" in row or "]" in row or " - " in row or not row.isascii())
    return (_bar(row) if bar else None) or (_counter(row) if count else None) or (_said(row) if percent else None)


def _own(groups: Mapping[str, str | None]) -> Mark | None:
    """By the expression of the settings."""
    percent, done, total = (_number(groups.get(name)) for name in ("percent", "done", "total"))
    if percent is not None:
        return _mark(percent, 100.0, key=("own", ""))
    return None if done is None or total is None else _mark(done, total, key=("own", str(groups["total"])))


def _bar(row: str) -> Mark | None:
    if keras := _KERAS.search(row):
        return _mark(_number(keras[1]), _number(keras[2]), key=("keras", keras[2]), part="its epoch")
    bar = _BAR.search(row)
    if bar is None:
        return None
    before, after = row[: bar.start()], row[bar.end() :]
    epoch = _EPOCH_LABEL.search(before)
    behind, ahead = _AFTER.search(after), None if epoch else _BEFORE.search(before)
    label = before[: ahead.start()] if ahead else before
    done, total, percent = (behind[1], behind[2], behind[3]) if behind else (None, None, None)
    if ahead and percent is None:
        percent, done, total = ahead[1], done or ahead[2], total or ahead[3]
    key = re.sub(r"[\W\d]+", " ", label).strip()[:LABEL_MAX], total or ""
    left = _left(row)
    if left is None and (click := _CLICK.search(after)):
        left = seconds_of(click[1])
    counts = _mark(_number(done), _number(total), left_seconds=left, key=key) if _same_unit(after) else None
    found = counts or _mark(_number(percent), 100.0, left_seconds=left, key=key)
    epoch = epoch or _EPOCH_LABEL.search(label)
    return _of_epoch(found, epoch, row) if found and epoch else found


def _same_unit(after: str) -> bool:
    """False if a count behind a bar has units that may differ: `1.01G/2.79G`, `980k/1.2M`."""
    return not re.match(r"[^\w%]{0,12}[\d.]+[kKMGTP]", after)


def _of_epoch(mark: Mark, epoch: re.Match[str], row: str) -> Mark:
    """A bar that says of which epoch it is, perhaps of how many."""
    number = int(epoch[1])
    if epoch[2] is None:
        return replace(mark, part=f"epoch {number}")
    # Lightning counts epochs from 0 up to the last one's number, and says both times with a dot between them.
    zero = "•" in row or not number
    begun, every = (number, int(epoch[2]) + ("•" in row)) if zero else (number - 1, int(epoch[2]))
    whole = _mark(begun + mark.fraction, every, key=mark.key)
    return whole or replace(mark, part=f"epoch {number}")


def _counter(row: str) -> Mark | None:
    left = _left(row)
    if part := _EPOCH_OF_STEPS.search(row):
        return _mark(
            _number(part[2]), _number(part[3]), left_seconds=left, key=("epoch", part[3]), part=f"epoch {part[1]}"
        )
    steps = _STEPS.search(row)
    inner = _mark(_number(steps[1]), _number(steps[2]), left_seconds=left, key=("step", steps[2])) if steps else None
    epoch = _EPOCH.search(row)
    if epoch is None:
        if inner is not None and steps and _AN_EPOCH.search(row):
            return replace(inner, part=f"{steps[2]} steps")  # of each epoch, or of all: nobody knows
        return inner
    number, every = _whole(epoch[1]), _whole(epoch[2])
    if every < 1 or number > every:
        return inner
    done = number if inner is None else max(0, number - 1) + inner.fraction
    bare = bool(_BARE_EPOCH.search(row))
    return _mark(done, every, left_seconds=left, key=("epoch", epoch[2]), epochs=(number, every), bare=bare)


def _said(row: str) -> Mark | None:
    found = _SAID.search(row)
    if found is None:
        return None
    percent = next((group for group in found.groups() if group is not None), None)
    rsync = _RSYNC_LEFT.search(row)
    return _mark(_number(percent), 100.0, left_seconds=seconds_of(rsync[1]) if rsync else _left(row), key=("%", ""))


def _mark(
    done: float | None,
    total: float | None,
    *,
    left_seconds: float | None = None,
    key: tuple[str, str],
    part: str = "",
    epochs: tuple[int, int] | None = None,
    bare: bool = False,
) -> Mark | None:
    """None if no part of a whole is more than the whole."""
    if done is None or total is None or not 0 <= done <= total or not total:
        return None
    return Mark(done / total, left_seconds, key, part, epochs, bare)


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _whole(text: str) -> int:
    return int(text.replace(",", ""))


def _left(row: str) -> float | None:
    found = _LEFT.search(row)
    return seconds_of(next(group for group in found.groups() if group is not None)) if found else None


def seconds_of(text: str) -> float | None:
    """`1:12`, `1 day, 2:03:04`, `1h2m`, `3 min`, `12s` in seconds."""
    total = sum(float(number) * _UNITS[unit[0]] for number, unit in re.findall(r"(\d+(?:\.\d+)?) ?(d|h|m|s)", text))
    if clock := re.search(r"(?:(\d+):)?(\d+):(\d+)", text):
        total += int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + int(clock[3])
    return total


# -- marks into one ----------------------------------------------------------------------------------

PART, PLAIN, EPOCHS = 0, 1, 2
Found = tuple[int, Progress]
"""What is known, and how much of the task it is about: a part, perhaps all, all its epochs."""


def progress_of(screens: Sequence[Rows], own: re.Pattern[str] | None = None) -> Progress | None:
    """How far it is, by what stands last in its outputs, of which later ones count first; None if none says so."""
    best: Found | None = None
    silent = False
    for screen in screens:
        found = _found(screen, own)
        silent |= found is None and any(row.strip() for row in screen.rows)
        if found is not None and (best is None or found[0] >= best[0]):
            best = found
    if best is None or (silent and best[1].fraction >= 1):
        return None  # of a full bar and other words it is not known which came last
    return best[1]


def _found(screen: Rows, own: re.Pattern[str] | None) -> Found | None:
    rows, words_below = screen.rows, False
    over: set[tuple[str, str]] = set()
    for place in range(len(rows) - 1, max(-1, len(rows) - 1 - LOOKED_AT), -1):
        mark = mark_of(rows[place], own)
        if mark is None:
            words_below |= bool(rows[place].strip())
        elif mark.fraction >= 1 and words_below:
            over.add(mark.key)
        elif mark.key not in over:
            return _in_context(mark, place, screen, own)
    return None


def _in_context(last: Mark, place: int, screen: Rows, own: re.Pattern[str] | None) -> Found:
    """The last mark, or what stands above it and is of more."""
    above = _above(last, screen.rows[max(0, place - LOOKED_AT) : place], own)
    if last.epochs is not None:
        return EPOCHS, _progress(last, "")
    if above.epoch is not None and above.epoch.epochs and last.key[0] != "own":
        number, every = above.epoch.epochs
        if above.epoch.bare:
            return EPOCHS, Progress((max(0, number - 1) + last.fraction) / every)
        return EPOCHS, _progress(above.epoch, "")
    if above.outer is not None:
        return PART if above.outer.part else PLAIN, _progress(above.outer, above.outer.part)
    part = last.part or ("this pass" if above.again else "")
    if not part and screen.cut and screen.row < place and not screen.rows[screen.row].strip():
        # The cursor stands above it, on a bar that was not read.
        part = last.key[0] or "an inner bar"
    return PART if part else PLAIN, _progress(last, part)


def _progress(mark: Mark, part: str) -> Progress:
    """What is left of a part is not what is left of the task."""
    return Progress(mark.fraction, None if part else mark.left_seconds, part)


@dataclass(frozen=True)
class _Above:
    """What stands above a mark."""

    outer: Mark | None
    """The topmost other bar that stands right above it and is not full."""
    epoch: Mark | None
    """The nearest row that counts epochs."""
    again: bool
    """True if the same bar stands there and is full: this is not the first of them."""


def _above(last: Mark, rows: Sequence[str], own: re.Pattern[str] | None) -> _Above:
    outer: Mark | None = None
    adjacent, again = True, False
    for row in reversed(rows):
        mark = mark_of(row, own)
        adjacent = adjacent and mark is not None
        if mark is None:
            continue
        if mark.epochs is not None:
            return _Above(outer, mark, again)
        again |= mark.key == last.key and mark.fraction >= 1 > last.fraction
        if adjacent and mark.key != last.key and mark.fraction < 1:
            outer = mark
    return _Above(outer, None, again)
