"""Durations, stamps, memory, signal names and id lists as Slurm writes and reads them."""

import signal
import time

UNLIMITED = "UNLIMITED"


class BadValue(ValueError):
    """A text that Slurm would refuse; the caller names the option."""


def _whole(text: str) -> int:
    if not text.isdigit():
        raise BadValue(text)
    return int(text)


def minutes(text: str) -> int | None:
    """Minutes of `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S`, seconds rounded up; None for unlimited."""
    if text.lower() in ("unlimited", "infinite", "-1"):
        return None
    days_text, dash, rest = text.partition("-")
    days, clock = (_whole(days_text), rest) if dash else (0, text)
    fields = [_whole(field) for field in clock.split(":")]
    if len(fields) > 3:
        raise BadValue(text)
    if dash:
        hours, mins, secs = [*fields, 0, 0][:3]
    elif len(fields) == 3:
        hours, mins, secs = fields
    else:
        mins, secs = [*fields, 0][:2]
        hours = 0
    return days * 1440 + hours * 60 + mins + -(-secs // 60)


def span(seconds: int, *, hours: bool = False) -> str:
    """`M:SS`, `H:MM:SS` or `D-HH:MM:SS`; with hours=True always at least `HH:MM:SS`, as scontrol prints."""
    if seconds < 0:
        return "INVALID"
    days, rest = divmod(seconds, 86400)
    hour, rest = divmod(rest, 3600)
    minute, second = divmod(rest, 60)
    if days:
        return f"{days}-{hour:02d}:{minute:02d}:{second:02d}"
    if hours:
        return f"{hour:02d}:{minute:02d}:{second:02d}"
    if hour:
        return f"{hour}:{minute:02d}:{second:02d}"
    return f"{minute}:{second:02d}"


def limit_text(limit_minutes: int | None, *, hours: bool = False) -> str:
    return UNLIMITED if limit_minutes is None else span(limit_minutes * 60, hours=hours)


def stamp(epoch: float | None, time_format: str = "", *, missing: str = "N/A") -> str:
    """Local time as SLURM_TIME_FORMAT asks: standard (default), relative, or a strftime format."""
    if not epoch:
        return missing
    local = time.localtime(epoch)
    if time_format == "relative":
        return _relative(local)
    if "%" in time_format:
        return time.strftime(time_format, local)
    return time.strftime("%Y-%m-%dT%H:%M:%S", local)


def _relative(local: time.struct_time) -> str:
    today = time.localtime()
    days = (local.tm_year - today.tm_year) * 365 + local.tm_yday - today.tm_yday
    clock = time.strftime("%H:%M", local)
    if days in (-1, 0, 1):
        return {-1: "Ystday ", 0: "", 1: "Tomorr "}[days] + (time.strftime("%H:%M:%S", local) if not days else clock)
    if -6 <= days <= 6:
        return time.strftime("%a %H:%M", local)
    return time.strftime("%-d %b %H:%M", local)


_UNITS = {"": 1, "second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}


def moment(text: str, now: float) -> float:
    """Epoch of a `--begin` text: now, now+2hours, tomorrow, midnight, noon, teatime, HH:MM[:SS], ISO date."""
    base, plus, offset = text.strip().partition("+")
    word = base.strip().lower()
    if word in ("now", ""):
        epoch = now
    elif word in ("today", "tomorrow", "midnight", "noon", "teatime"):
        epoch = _named(word, now)
    else:
        epoch = _dated(word.upper(), now)
    return epoch + _offset(offset) if plus else epoch


def _offset(text: str) -> int:
    digits = text.strip().rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text.strip()[len(digits) :]
    unit = unit[:-1] if unit.endswith("s") and len(unit) > 1 else unit
    names = [name for name in _UNITS if name.startswith(unit)] if unit else [""]
    if not names:
        raise BadValue(text)
    return _whole(digits) * _UNITS[names[0]]


def _named(word: str, now: float) -> float:
    local = time.localtime(now)
    day = time.mktime((local.tm_year, local.tm_mon, local.tm_mday, 0, 0, 0, 0, 0, -1))
    if word == "today":
        return now
    if word == "tomorrow":
        return day + 86400
    at = day + {"midnight": 86400, "noon": 43200, "teatime": 57600}[word]
    return at if at > now else at + 86400


def _dated(text: str, now: float) -> float:
    for pattern in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"):
        try:
            return time.mktime(time.strptime(text, pattern))
        except ValueError:
            continue
    local = time.localtime(now)
    for pattern in ("%H:%M:%S", "%H:%M"):
        try:
            parsed = time.strptime(text, pattern)
        except ValueError:
            continue
        clock = (local.tm_year, local.tm_mon, local.tm_mday, parsed.tm_hour, parsed.tm_min, parsed.tm_sec)
        at = time.mktime((*clock, 0, 0, -1))
        return at if at >= now else at + 86400
    raise BadValue(text)


def megabytes(text: str) -> int:
    """Megabytes of `4000`, `4G`, `512K`, `1T`."""
    digits = text.rstrip("bBkKmMgGtT")
    unit = text[len(digits) :].upper().rstrip("B")
    count = _whole(digits)
    if unit == "K":
        return -(-count // 1024)
    if unit not in ("", "M", "G", "T"):
        raise BadValue(text)
    return count * {"": 1, "M": 1, "G": 1024, "T": 1024 * 1024}[unit]


def signal_number(text: str) -> int:
    """The number of `USR1`, `SIGUSR1`, `10`, any case."""
    if text.isdigit() and 0 < int(text) < 65:
        return int(text)
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    try:
        return int(signal.Signals[name])
    except KeyError:
        raise BadValue(text) from None
