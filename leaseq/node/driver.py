"""What the programs that come with GPUs say: nvidia-smi, xpu-smi."""

from __future__ import annotations

import re
import subprocess

from leaseq import programs


def run(program: str, *words: str, seconds_max: float) -> subprocess.CompletedProcess[str]:
    """The program has ended; raises OSError, and TimeoutExpired."""
    return subprocess.run(
        [program, *words], capture_output=True, text=True, errors="replace", timeout=seconds_max, check=False
    )


def ask(name: str, *words: str, seconds_max: float) -> tuple[str, str]:
    """(what the program lists, what it says beside, never empty if it lists nothing); both empty if there is none."""
    program = programs.found(name)
    if program is None:
        return "", ""
    try:
        answer = run(program, *words, seconds_max=seconds_max)
    except subprocess.TimeoutExpired:
        return "", f"{name} has not answered for {seconds_max:.0f} s"
    except OSError as error:
        return "", f"{name}: {error.strerror}"
    lines = [line.strip() for line in (answer.stderr + "\n" + answer.stdout).splitlines()]
    told = [line for line in lines if line and not re.match(r"GPU \d+:|MIG |\d+$|Device ID", line)]
    if not told and not answer.stdout.strip():
        told = ["it lists no GPU"]
    return answer.stdout, f"{name}: {told[0][:200]}" if told else ""


def number_of(cell: str) -> float | None:
    """The number that a program has written, or None; NaN is none."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if number == number else None
