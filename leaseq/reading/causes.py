"""What probably went wrong with a task that failed, by the last lines that it wrote. Pure; unknown is an answer.

A line that names a cause is an error, too: of those `leaseq.reading.last_error` has no list of its own.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from leaseq.dataclass import dataclass
from leaseq.forms import Form


@dataclass(frozen=True)
class Cause:
    """What a line of output says, in words, and what can be tried."""

    words: str
    way: str = ""
    """A command, or what to change; with `{id}`, `{node}`, `{cwd}` for those of the task."""
    line: str = ""
    """The line that says so."""


_LOOK = "leaseq shell --node {node}"
_FORMS = (
    (
        r"CUDA out of memory|CUDA error: out of memory|HIP out of memory|CUDNN_STATUS_ALLOC_FAILED",
        "a GPU had not enough memory for it",
        "make it need less (a smaller batch), or give it more GPUs: leaseq retry {id} --gpus N",
    ),
    (
        r"No CUDA GPUs are available|no CUDA-capable device is detected|no HIP GPUs are available",
        "it found no GPU",
        "leaseq retry {id} --gpus 1",
    ),
    (
        r"CUDA driver version is insufficient|no kernel image is available|CUDA error: invalid device ordinal",
        "its CUDA does not go with the node's GPU or driver",
        _LOOK + " -- nvidia-smi",
    ),
    (
        r"MemoryError\b|std::bad_alloc|Cannot allocate memory|DefaultCPUAllocator: can't allocate memory",
        "it was given no more memory",
        "let it book more: leaseq retry {id} --mem SIZE",
    ),
    (
        r"(?:ModuleNotFoundError: No module named|ImportError: No module named) '?([\w.]+)",
        "its Python has no module {0}",
        "submit it with the right interpreter's path; look with: " + _LOOK + " -- python -c 'import {0}'",
    ),
    (
        r"No space left on device|Errno 28\b",
        "a file system is full",
        _LOOK + " -- df -h {cwd}",
    ),
    (r"Disk quota exceeded|Errno 122\b", "a quota of files or bytes is used up", _LOOK + " -- df -h {cwd}"),
    (
        r"Address already in use|EADDRINUSE|Errno 98\b",
        "another process on the node has the port that it wanted",
        "take a port by $LEASEQ_SLOT, which no other task on the node has: $((29500 + LEASEQ_SLOT))",
    ),
    (
        r"(\S+): command not found$|command not found: (\S+)$|^\S*sh: \d+: (\S+): not found$",
        "there is no program {0} on the node",
        "",
    ),
    (
        r"No such file or directory: '([^']+)'|(?:can't open file|cannot open) '?([^':]+)'?|"
        r"(?:'([^']+)'|(\S+)): No such file or directory",
        "{0} was not there (it ran in {cwd})",
        _LOOK + " -- ls -l {0}",
    ),
    (
        r"Permission denied: '([^']+)'|(?:'([^']+)'|(\S+)): Permission denied",
        "it may not use {0}",
        _LOOK + " -- ls -l {0}",
    ),
    (r"\bSegmentation fault\b|\bSIGSEGV\b", "it crashed (segmentation fault)", ""),
    (
        r"\bNCCL (?:[eE]rror|ERROR|WARN .*failed)|ncclSystemError|ncclUnhandledCudaError",
        "its processes could not talk (NCCL)",
        "",
    ),
)
FORMS = tuple((Form(pattern), words, way) for pattern, words, way in _FORMS)
ANY = Form("|".join(pattern for pattern, _, _ in _FORMS))
"""A line that names a cause."""


def cause_in(lines: Sequence[str]) -> Cause | None:
    """What the last line that names a known cause says; None if none does."""
    for line in reversed(lines):
        for form, words, way in FORMS:
            if found := form.search(line):
                what = next((text for text in found.groups() if text), "")
                return Cause(words.replace("{0}", what), way.replace("{0}", shlex.quote(what)), line.strip())
    return None


_CODES = {
    126: Cause("its command is there and cannot be run: it is no program, or may not be executed"),
    127: Cause("its command was not found"),
}
_SIGNALS = {
    4: "it crashed (illegal instruction): perhaps it was built for another processor",
    6: "it ended itself (abort)",
    7: "it crashed (bus error)",
    8: "it crashed (arithmetic error)",
    11: "it crashed (segmentation fault)",
}


def cause_of_end(exit_code: int | None, signal: int | None) -> Cause | None:
    """What the way it ended says alone; None if nothing."""
    if signal is not None:
        words = _SIGNALS.get(signal, f"it was ended by signal {signal}; who sent it is not known")
        return Cause(words)
    return _CODES.get(exit_code) if exit_code is not None else None
