"""What the last lines of a task say of why it failed."""

from __future__ import annotations

import pytest

from leaseq.reading import last_error
from leaseq.reading.causes import cause_in, cause_of_end

KNOWN = [
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "a GPU had not enough memory for it"),
    ("RuntimeError: CUDA error: out of memory", "a GPU had not enough memory for it"),
    ("RuntimeError: No CUDA GPUs are available", "it found no GPU"),
    ("RuntimeError: CUDA error: no kernel image is available for execution on the device", "its CUDA does not go"),
    ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 3 TiB", "it was given no more"),
    ("MemoryError", "it was given no more memory"),
    ("terminate called after throwing an instance of 'std::bad_alloc'", "it was given no more memory"),
    ("ModuleNotFoundError: No module named 'torch.nn.tools'", "its Python has no module torch.nn.tools"),
    ("OSError: [Errno 28] No space left on device", "a file system is full"),
    ("cp: error writing 'x': Disk quota exceeded", "a quota of files or bytes is used up"),
    ("OSError: [Errno 98] Address already in use", "another process on the node has the port"),
    ("bash: line 1: nvcc: command not found", "there is no program nvcc on the node"),
    ("/home/a b/run.sh: line 3: nvcc: command not found", "there is no program nvcc on the node"),
    ("zsh: command not found: nvcc", "there is no program nvcc on the node"),
    ("sh: 1: nvcc: not found", "there is no program nvcc on the node"),
    ("/bin/sh: 1: ./go: Permission denied", "it may not use ./go"),
    ("ls: cannot access 'a b': No such file or directory", "a b was not there"),
    ("rm: cannot remove 'a b': Permission denied", "it may not use a b"),
    ("node1:12:34 [0] NCCL WARN Call to connect returned Connection refused, failed", "its processes could not talk"),
    ("FileNotFoundError: [Errno 2] No such file or directory: 'data/train.csv'", "data/train.csv was not there"),
    (
        "python3: can't open file '/home/a/train.py': [Errno 2] No such file or directory",
        "/home/a/train.py was not there",
    ),
    ("cat: /nosuch/file: No such file or directory", "/nosuch/file was not there"),
    ("PermissionError: [Errno 13] Permission denied: '/root/x'", "it may not use /root/x"),
    ("Segmentation fault (core dumped)", "it crashed"),
]
NOT_KNOWN = [
    "NCCL WARN MSCCL is off",
    "",
    "epoch 3/50 loss 0.31",
    "ValueError: shapes do not match",
    "wrote memory.csv",
    "see CUDA notes below",
]


@pytest.mark.parametrize(("line", "words"), KNOWN)
def test_a_line_that_says_why_is_understood(line: str, words: str) -> None:
    found = cause_in(["first line", line, "", "Traceback ends"])
    assert found is not None and found.words.startswith(words)
    assert found.line == line


@pytest.mark.parametrize("line", [line for line, _ in KNOWN])
def test_a_line_that_says_why_is_an_error(line: str) -> None:
    assert last_error.weight(line) == 2 and last_error.last_error(["first", line, "last"])


@pytest.mark.parametrize("line", NOT_KNOWN)
def test_of_other_lines_nothing_is_concluded(line: str) -> None:
    assert cause_in([line]) is None


def test_a_name_with_blanks_is_quoted_in_what_is_to_be_typed() -> None:
    found = cause_in(["ls: cannot access 'a b': No such file or directory"])
    assert found is not None and found.way.endswith("ls -l 'a b'")


def test_the_last_line_that_says_why_counts() -> None:
    found = cause_in(["bash: nvcc: command not found", "MemoryError", "goodbye"])
    assert found is not None and found.line == "MemoryError"


def test_the_end_alone_says_something_or_nothing() -> None:
    assert cause_of_end(1, None) is None and cause_of_end(None, None) is None
    crashed, killed, missing = cause_of_end(139, 11), cause_of_end(137, 9), cause_of_end(127, None)
    assert crashed and "segmentation fault" in crashed.words
    assert killed and "who sent it is not known" in killed.words
    assert missing and "was not found" in missing.words
