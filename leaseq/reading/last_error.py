"""What a task said last of why it failed: the last line of its output that is an error, if one is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from leaseq.dataclass import replace
from leaseq.errors import LeaseqError
from leaseq.reading import causes
from leaseq.reading.logtail import as_shown
from leaseq.reading.output import Log, log_of
from leaseq.reading.snapshot import Reader
from leaseq.reading.views import TaskView

TAIL_BYTES = 16 << 10
"""So much of the end of an output is looked at."""
LINES_MAX = 400
CHARS_MAX = 200

_PREFIX = re.compile(r"^\s*(?:\[rank ?\d+\]:?|\[\d+\]:|\d+:|E(?= ))\s+(?=\S)")
"""What torchrun, `srun -l` and pytest put before a line."""
_STAMP = re.compile(r"^\[?\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?\]?\s+")

_RAISED = re.compile(
    r"^(?:Exception in thread \S+ )?(?:[A-Za-z_][\w$]*\.)*"
    r"[A-Z]\w*(?:Error|Exception|Interrupt|Timeout|Failure|Exit)(?::\s.*|)$"
    r"|^KeyboardInterrupt$"
)
"""The line that ends a traceback of Python; of Java and JavaScript, the line that begins one."""
_WARNED = re.compile(r"\b\w*Warning\b|\bWARN(?:ING)?\b")


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_STRONG = _any(
    # programs that fall over, by what their runtimes and shells write
    r"^terminate called |^thread '.*' panicked at|^panic: |^fatal: |^fatal error: ",
    r"\bBus error\b|\bIllegal instruction\b|\bFloating point exception\b|\bcore dumped\b",
    r"\bstack smashing detected\b|\bdouble free\b|\bfree\(\): invalid|\bmalloc\(\): ",
    r"^Assertion .* failed|: Assertion .* failed\.|^Killed$|:\s+\d+ Killed\b|:\s+\d+ Aborted\b|^Aborted\b",
    # GPUs and their libraries
    r"\bCUDA error\b|\bcu(?:BLAS|DNN|FFT|SOLVER) error\b",
    # memory and limits, by the kernel and Slurm
    r"\bOut [oO]f [mM]emory\b|\boom[-_ ]kill|\bDUE TO (?:TIME LIMIT|PREEMPTION|NODE FAILURE)\b",
    # what a shell could not run, or a program could not open
    r": not found$|: cannot execute|: Exec format error$|: syntax error\b|: unbound variable$",
    r"undefined symbol: |cannot open shared object file",
)
_SAYS = _any(
    r"(?:^|[\s\]|:(])(?:fatal )?[Ee]rror(?:\[\w+\])?:\s+(?![-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?%?(?:\s|,|;|$))\S",
    r"(?:^|[\s\[|:(])(?:ERROR|FATAL|CRITICAL)(?=[\s\]|:)])[\s\]|:)]+\S",
    r"^Error in \S.* : ",
)
"""A line that calls itself an error. `val error: 0.31` is a measure."""
_WRAPPED = _any(
    r"^srun: error: .*(?:Exited with exit code|task \d+.*: (?:Terminated|Killed))|^make(?:\[\d+\])?: \*\*\* ",
    r"\bCalledProcessError\b|\bChildFailedError\b|^SystemExit\b|\bSIGTERM received\b",
    r"^srun: error: .*step .*(?:CANCELLED|cancelled)|\bJob step aborted\b|^slurmstepd: error: \*\*\* STEP",
)
"""What only tells that something else has failed."""
MAYBE = re.compile(
    rb"rror|xception|Interrupt|raceback|ERROR|FATAL|CRITICAL|fatal|panic|terminate called|Segmentation|Bus error|"
    rb"Illegal instruction|Floating point|core dumped|stack smashing|double free|free\(\)|malloc\(\)|Assertion|CUDA|"
    rb"NCCL|cuFFT|ut [oO]f [mM]emory|oom|DUE TO|not found|No such file|denied|No space|quota|cannot|Killed|Aborted|"
    rb"unbound|undefined symbol|Timeout|Failure|Exit|make|SIGTERM|SIGSEGV|CANCELLED|cancelled|Errno|in use|can't|"
    rb"Cannot|CUDNN|HIP GPUs|kernel image|bad_alloc|nccl"
)
"""Of any line that is an error something of this is in it: most blocks are passed over by one look."""
_ABORTED = re.compile(r"^Aborted\b|:\s+\d+ Aborted\b")
_WHAT = re.compile(r"^\s*what\(\):\s*(.*)$")
_OPENS = "Traceback (most recent call last):"


def plain(line: str) -> str:
    """The line without what launchers put before it."""
    for _ in range(2):
        line = _PREFIX.sub("", line)
    return line.rstrip()


def weight(line: str) -> int:
    """2 if the line says what went wrong, 1 if it only tells that something did, 0 if it is no error."""
    if not MAYBE.search(line.encode("utf-8", "replace")):
        return 0
    text = plain(line)
    if not text or len(text) > 10 * CHARS_MAX:
        return 0
    if _WRAPPED.search(text):
        return 1
    if _RAISED.match(text) and not _WARNED.match(text):
        return 2
    if _STRONG.search(text) or (causes.ANY.search(text) and "Warning:" not in text):
        return 2
    return 2 if _SAYS.search(text) and not _WARNED.search(_STAMP.sub("", text).partition(":")[0]) else 0


def is_error(line: str) -> bool:
    """True if somebody who looks for what went wrong wants to see this line."""
    return weight(line) > 0 or plain(line) == _OPENS


def last_error(lines: Sequence[str]) -> str:
    """What went wrong, by the last lines of an output; empty if none of them says it.

    What a program said goes before what a launcher made of it. Of a C++ exception its `what()`.
    """
    spare = ""
    last = len(lines)
    for place in range(last - 1, max(-1, last - 1 - LINES_MAX), -1):
        found = weight(lines[place])
        if found == 2:
            return _whole(lines, place)
        if found and not spare:
            spare = plain(lines[place])
    return spare[:CHARS_MAX]


def _whole(lines: Sequence[str], place: int) -> str:
    text = plain(lines[place])
    after = plain(lines[place + 1]) if place + 1 < len(lines) else ""
    if _ABORTED.search(text):
        # The shell says so after what the program itself said.
        before = next((n for n in range(place - 1, max(-1, place - 6), -1) if weight(lines[n]) == 2), None)
        return _whole(lines, before) if before is not None else text
    if text.startswith("terminate called "):
        thrown = re.search(r"instance of '(.+)'", text)
        what = _WHAT.match(after)
        said = dict.fromkeys([thrown[1] if thrown else "", what[1] if what else ""])
        text = ": ".join(part for part in said if part) or text
    elif text.startswith("thread '") and text.endswith(":") and after:
        text = f"{text} {after}"
    return _STAMP.sub("", text.strip())[:CHARS_MAX]


def read(streams: Sequence[Log]) -> str:
    """The last error in the ends of these logs; the first of them that has one counts. Raises OSError."""
    for log in streams:
        rows = log.last_lines(TAIL_BYTES)[-LINES_MAX:]
        found = last_error(_texts(rows)) if MAYBE.search(b"\n".join(rows)) else ""
        if found:
            return found
    return ""


def _texts(rows: Sequence[bytes]) -> list[str]:
    """The lines that may be an error, and those after them, as they are shown; others are empty: they tell nothing."""
    maybe = [bool(MAYBE.search(row)) for row in rows]
    return [as_shown(row) if maybe[n] or (n and maybe[n - 1]) else "" for n, row in enumerate(rows)]


def error_of(reader: Reader, task_id: str, attempt: int) -> str:
    """The last error in the output of that attempt; empty if it names none, or cannot be read."""
    try:
        return read([log_of(reader, task_id, attempt, stream) for stream in ("err", "out")])
    except (OSError, LeaseqError):
        return ""


def with_errors(reader: Reader, rows: Sequence[TaskView], *, most: int) -> list[TaskView]:
    """The rows; the first of those that failed with their last errors."""
    failed = [row for row in rows if row.unexplained][:most]
    errors = {row.id: error_of(reader, row.id, row.attempt) for row in failed}
    return [replace(row, error=errors[row.id]) if errors.get(row.id) else row for row in rows]
