"""What the GPUs of this node are doing now. GPUtil asks nvidia-smi; a driver that hangs only makes the answer old."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence

from leaseq.models import GpuUse

FIELDS = "index,uuid,name,utilization.gpu,memory.used,memory.total,temperature.gpu"
DEADLINE_SECONDS = 10.0
PERIOD_SECONDS = 10.0


class GpuWatch:
    """The last known use of the GPUs, refreshed by a thread that a wedged driver may keep for ever."""

    def __init__(self, tokens: Sequence[str], *, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self.tokens = tuple(tokens)
        self.deadline_seconds = deadline_seconds
        self.use: tuple[GpuUse, ...] = ()
        self.error = ""
        self._began = 0.0
        self._thread: threading.Thread | None = None
        self._present = shutil.which("nvidia-smi") is not None

    def look(self) -> tuple[tuple[GpuUse, ...], str]:
        """(use of the granted GPUs, what is wrong with knowing it); returns at once."""
        now = time.monotonic()
        if not self._present:
            return (), ""
        if self._thread and self._thread.is_alive():
            if now - self._began > self.deadline_seconds:
                return (), f"nvidia-smi has not answered for {now - self._began:.0f} s"
        elif now - self._began >= PERIOD_SECONDS or not self._began:
            self._began = now
            self._thread = threading.Thread(target=self._measure, name="gpus", daemon=True)
            self._thread.start()
        return self.use, self.error

    def _measure(self) -> None:
        try:
            seen, self.error = measure(), ""
        except Exception as error:  # GPUtil's own mistakes among them: no measurement is worth a runner
            seen, self.error = (), f"nvidia-smi: {error}"
        self.use = granted(seen, self.tokens)


def granted(seen: Sequence[GpuUse], tokens: Sequence[str]) -> tuple[GpuUse, ...]:
    """The use of the granted GPUs in their order, named by their tokens (an index, or a UUID or a start of one)."""
    by_token = []
    for token in tokens:
        for use in seen:
            if use.token == token or (token.startswith(("GPU-", "MIG-")) and use.uuid.startswith(token)):
                by_token.append(GpuUse(**{**vars(use), "token": token}))
                break
    return tuple(by_token)


def measure() -> tuple[GpuUse, ...]:
    """Every GPU that the driver lists; raises OSError, ValueError or SubprocessError with the driver's words."""
    try:
        # Imported here: a quarter of a second and ten megabytes that a node without GPUs never pays.
        gputil = importlib.import_module("GPUtil")
        found = gputil.getGPUs()
        if found:
            return tuple(_from_gputil(gpu) for gpu in found)
    except Exception:
        pass  # one unreadable row makes GPUtil give up on all of them; the driver is asked again below
    answer = subprocess.run(
        ["nvidia-smi", f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    rows = parse(answer.stdout)
    if not rows:
        # The exit code tells nothing here: the runner reaps every child, and may have taken it.
        raise ValueError((answer.stdout + answer.stderr).strip()[:200] or "it lists no GPU")
    return rows


def _from_gputil(gpu: object) -> GpuUse:
    def value(name: str, scale: float = 1.0) -> float | None:
        number = getattr(gpu, name, None)
        # GPUtil says NaN for what the driver does not tell (MIG, unified memory).
        return None if not isinstance(number, (int, float)) or number != number else number * scale

    return GpuUse(
        token=str(getattr(gpu, "id", "")),
        uuid=str(getattr(gpu, "uuid", "")),
        name=str(getattr(gpu, "name", "")),
        utilisation=value("load", 100.0),
        mem_used_mb=value("memoryUsed"),
        mem_total_mb=value("memoryTotal"),
        temperature_c=value("temperature"),
    )


def parse(text: str) -> tuple[GpuUse, ...]:
    """The rows of nvidia-smi's CSV in the order of FIELDS; a row that is none is passed over, `[N/A]` is None."""
    rows = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) < 7 or not cells[0].isdigit():
            continue
        index, uuid, name = cells[0], cells[1], ", ".join(cells[2:-4])
        use, mem, total, heat = map(_number, cells[-4:])
        rows.append(GpuUse(index, uuid, name, use, mem, total, heat))
    return tuple(rows)


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if number == number else None
