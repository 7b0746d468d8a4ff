"""The last error of an output, by the lines that programs, shells, launchers and schedulers really write."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaseq.reading import last_error
from leaseq.reading.logfind import errors
from leaseq.reading.output import Log
from leaseq.world import SystemFs

TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n    main()\n'
SAID = {
    "a traceback": (TRACEBACK + "RuntimeError: CUDA out of memory", "RuntimeError: CUDA out of memory"),
    "without words": (TRACEBACK + "AssertionError", "AssertionError"),
    "of a package": (TRACEBACK + "torch.cuda.OutOfMemoryError: CUDA", "torch.cuda.OutOfMemoryError: CUDA"),
    "of a rank": ("[rank0]: " + TRACEBACK + "[rank0]: ValueError: x", "ValueError: x"),
    "of srun -l": ("0: " + TRACEBACK + "0: ValueError: x", "ValueError: x"),
    "of pytest": ("E   ValueError: x\n\ntest_x.py:3: ValueError", "ValueError: x"),
    "the last of two": ("KeyError: 'a'\n\nDuring handling:\n" + TRACEBACK + "TypeError: b", "TypeError: b"),
    "interrupted": (TRACEBACK + "KeyboardInterrupt", "KeyboardInterrupt"),
    "what srun made of it": ("ValueError: x\nsrun: error: n1: task 0: Exited with exit code 1", "ValueError: x"),
    "srun alone": (
        "srun: error: n1: task 0: Exited with exit code 1",
        "srun: error: n1: task 0: Exited with exit code 1",
    ),
    "C++": (
        "terminate called after throwing an instance of 'std::runtime_error'\n  what():  no data\n"
        "bash: line 1:   123 Aborted                 (core dumped) ./a",
        "std::runtime_error: no data",
    ),
    "C++ with one name": ("terminate called after throwing an instance of 'int'\nAborted", "int"),
    "a crash": ("bash: line 1: 42 Segmentation fault      (core dumped) ./a", None),
    "an assertion in C": (
        "a: a.c:3: main: Assertion `x' failed.\nAborted (core dumped)",
        "a: a.c:3: main: Assertion `x' failed.",
    ),
    "a shell": ("bash: line 1: foo: command not found", None),
    "dash": ("sh: 1: foo: not found", None),
    "a file": ("python3: can't open file 'x.py': [Errno 2] No such file or directory", None),
    "a compiler": ("main.c:3:1: error: expected ';' before '}'", None),
    "rustc": ("error[E0308]: mismatched types", None),
    "Rust": ("thread 'main' panicked at src/main.rs:2:5:\nindex out of bounds", None),
    "Go": (
        "panic: runtime error: index out of range\n\ngoroutine 1 [running]:",
        "panic: runtime error: index out of range",
    ),
    "git": ("fatal: not a git repository", None),
    "logging": ("2025-01-01 10:00:00,123 ERROR root: no data", "ERROR root: no data"),
    "memory": ("slurmstepd: error: Detected 1 oom_kill event in StepId=1.0.", None),
    "time": ("slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT 2025-01-01T00:00:00 DUE TO TIME LIMIT ***", None),
    "CUDA": ("CUDA error: device-side assert triggered", None),
    "R": ("Error in library(x) : there is no package called 'x'", None),
    "JavaScript": ("TypeError: x is not a function\n    at a.js:1:1", "TypeError: x is not a function"),
    "Java": (
        'Exception in thread "main" java.lang.RuntimeException: x\n\tat A.main(A.java:3)',
        'Exception in thread "main" java.lang.RuntimeException: x',
    ),
    "the kernel": ("Killed", None),
    "after which it went on": ("ValueError: x\n" + "cleaning\n" * 50, "ValueError: x"),
}
SILENT = {
    "nothing": "",
    "measures": "epoch 1 val error: 0.31\ntest error: 3\nError: 12%\ntrain error: 1e-3, lr 0.1",
    "none": "done, 0 errors\nfinished without error",
    "warnings": "UserWarning: this is slow\nx.py:3: DeprecationWarning: old\nWARNING: Error: retried",
    "words": "no errors were found\nThe exception proves the rule",
}


@pytest.mark.parametrize("name", SAID)
def test_the_last_error_is_found(name: str) -> None:
    text, expected = SAID[name]
    found = last_error.last_error(text.split("\n"))
    if expected is None:
        assert found and found.startswith(text.split("\n")[0][:40]), found
    else:
        assert found == expected


@pytest.mark.parametrize("name", SILENT)
def test_what_is_no_error_is_not_called_one(name: str) -> None:
    assert last_error.last_error(SILENT[name].split("\n")) == ""


@pytest.mark.parametrize("name", SAID)
def test_a_search_for_errors_passes_over_none(name: str) -> None:
    text = SAID[name][0]
    there = [line for line in text.split("\n") if last_error.is_error(line)]
    assert there and len(errors(text.encode() + b"\n", 0)) == len(there)


def test_a_long_output_is_read_at_its_end_alone(tmp_path: Path) -> None:
    err, out = tmp_path / "err", tmp_path / "out"
    err.write_bytes(b"ValueError: old\n" + b"x" * 100_000 + b"\n")
    out.write_bytes(b"KeyError: 'new'\n")
    logs = [Log(SystemFs(remote=False), str(path)) for path in (err, out)]
    assert last_error.read(logs) == "KeyError: 'new'"
    assert last_error.read(logs[:1]) == ""
    assert last_error.read([Log(SystemFs(remote=False), str(tmp_path / "none"))]) == ""
    err.write_bytes(b"\x1b[31mValueError: \x1b]0;title\x07red\x1b[0m\r\n")
    assert last_error.read(logs) == "ValueError: red"


def test_a_line_of_any_length_is_looked_at_quickly() -> None:
    for line in ("A" * 1_000_000, "a." * 500_000, "Error" * 200_000, "srun: error: " + "task 1" * 100_000):
        assert last_error.last_error([line] * 5) == ""
