"""What the GPUs of this node are doing now, and which they are if a driver is slow to tell.

nvidia-smi says it, and if its answer is not understood GPUtil asks it; of AMD's GPUs the kernel says it, of Intel's
xpu-smi. A driver that hangs only makes the answer old.
"""

from __future__ import annotations

import glob
import importlib
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence

from leaseq import programs
from leaseq.heartbeat import GpuUse
from leaseq.node import driver, intel
from leaseq.node.grant import CUDA, LEVEL_ZERO, ROCR, Gpus, amd_devices, installed

FIELDS = "index,uuid,name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw"
DEADLINE_SECONDS = 10.0
PERIOD_SECONDS = 10.0
_PROGRAMS = {CUDA: "nvidia-smi", LEVEL_ZERO: "xpu-smi"}
AGAIN_SECONDS_MAX = 300.0
"""The longest pause before a driver that does not list its GPUs is asked again."""


class GpuWatch:
    """The GPUs of this node and their last known use. A thread asks the driver: one that hangs stops nothing else."""

    def __init__(
        self, gpus: Gpus, *, told: Callable[[], None] = lambda: None, deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        self.gpus = gpus
        self.told = told
        """Called on the thread once the driver has listed its GPUs."""
        self.deadline_seconds = deadline_seconds
        self.answer: tuple[float, tuple[GpuUse, ...]] = (0.0, ())
        """(when the driver was asked, by the monotonic clock; the use of the granted GPUs that it told then)"""
        self.error = ""
        self._began = 0.0
        self._period = PERIOD_SECONDS
        self._thread: threading.Thread | None = None
        self._intel = intel.Meter()

    def look(self) -> tuple[tuple[GpuUse, ...], str]:
        """(use of the granted GPUs, what is wrong with knowing them or their use); returns at once."""
        now = time.monotonic()
        if self.gpus.known and not (self.gpus.tokens and self._measurable):
            return (), self.gpus.trouble
        if self._thread and self._thread.is_alive():
            if now - self._began > self.deadline_seconds:
                if self.gpus.known:
                    self.close()  # it only measures, and is started again
                return self.answer[1], f"{self._driver()} has not answered for {now - self._began:.0f} s"
        elif now - self._began >= self._period or not self._began:
            self.ask()
        return self.answer[1], self.error or self.gpus.trouble

    def ask(self) -> threading.Thread:
        """The thread that asks now."""
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._ask, name="gpus", daemon=True)
        self._thread.start()
        return self._thread

    def close(self) -> None:
        """The driver's programs that this process waits for are ended."""
        if self._thread and self._thread.native_id:
            _end_children(os.getpid(), self._thread.native_id)

    @property
    def _measurable(self) -> bool:
        """True if somebody tells what the GPUs do: the vendor's program, or the kernel of AMD's."""
        return self.gpus.variable == ROCR or programs.found(_PROGRAMS[self.gpus.variable]) is not None

    def _driver(self) -> str:
        return _PROGRAMS.get(self.gpus.variable, "the driver")

    def _ask(self) -> None:
        if self.gpus.known:
            self._measure()
            return
        self.gpus = installed()
        self._period = PERIOD_SECONDS if self.gpus.known else min(2 * self._period, AGAIN_SECONDS_MAX)
        self.told()

    def _measure(self) -> None:
        began = time.monotonic()
        try:
            seen, self.error = self._seen(), ""
        except Exception as error:  # GPUtil's own mistakes among them: no measurement is worth a runner
            seen, self.error = (), f"{self._driver()}: {error}"
        self.answer = began, granted(seen, self.gpus.tokens)

    def _seen(self) -> tuple[GpuUse, ...]:
        if self.gpus.variable == LEVEL_ZERO:
            return self._intel.measure(DEADLINE_SECONDS)
        return amd() if self.gpus.variable == ROCR else measure()


def _end_children(pid: int, thread: int) -> None:
    """What that thread of the process has started, and what that has, was sent KILL (proc(5), children)."""
    try:
        with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
    except OSError:
        return
    for child in children:
        _end_children(child, child)
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended meanwhile


def granted(seen: Sequence[GpuUse], tokens: Sequence[str]) -> tuple[GpuUse, ...]:
    """The use of the granted GPUs in their order, named by their tokens (an index, or a UUID or a start of one)."""
    by_token = []
    for token in tokens:
        for use in seen:
            if use.token == token or (token.startswith(("GPU-", "MIG-")) and use.uuid.startswith(token)):
                by_token.append(GpuUse(**{**vars(use), "token": token}))
                break
    return tuple(by_token)


def amd(*, root: str = "") -> tuple[GpuUse, ...]:
    """Every AMD GPU that this process may use, as the kernel tells it (amdgpu: gpu_busy_percent, mem_info_vram_*)."""
    rows = []
    for place, device in enumerate(amd_devices(root=root)):
        used, total = (_first(f"{device}/mem_info_vram_{word}") for word in ("used", "total"))
        heat = _sensor(device, "temp1_input")
        power = _sensor(device, "power1_average", "power1_input")
        unique = _words(f"{device}/unique_id")
        rows.append(
            GpuUse(
                token=str(place),
                uuid=f"GPU-{unique}" if unique else "",
                name=_words(f"{device}/product_name"),
                utilisation=_first(f"{device}/gpu_busy_percent"),
                mem_used_mb=None if used is None else used / 1048576,
                mem_total_mb=None if total is None else total / 1048576,
                temperature_c=None if heat is None else heat / 1000,
                power_w=None if power is None else power / 1e6,
            )
        )
    return tuple(rows)


def _first(path: str) -> float | None:
    return driver.number_of(_words(path))


def _sensor(device: str, *names: str) -> float | None:
    """What the first of these sensors of the device says."""
    for name in names:
        for path in sorted(glob.glob(f"{glob.escape(device)}/hwmon/hwmon*/{name}"))[:1]:
            return _first(path)
    return None


def _words(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def measure() -> tuple[GpuUse, ...]:
    """Every GPU that the driver lists; raises OSError, ValueError or SubprocessError with the driver's words."""
    program, fields = programs.path_of("nvidia-smi"), f"--query-gpu={FIELDS}"
    answer = driver.run(program, fields, "--format=csv,noheader,nounits", seconds_max=DEADLINE_SECONDS)
    if rows := parse(answer.stdout):
        return rows
    if answer.stdout.strip():  # else there was nothing to understand: the driver hung, and was ended
        try:
            # Imported here: a quarter of a second and ten megabytes that a node whose driver is understood never pays.
            gputil = importlib.import_module("GPUtil")
            if found := gputil.getGPUs():
                return tuple(_from_gputil(gpu) for gpu in found)
        except Exception:
            pass  # what the driver said before tells more
    # The exit code tells nothing here: the runner reaps every child, and may have taken it.
    raise ValueError((answer.stdout + answer.stderr).strip()[:200] or "it lists no GPU")


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
        if len(cells) < 8 or not cells[0].isdigit():
            continue
        index, uuid, name = cells[0], cells[1], ", ".join(cells[2:-5])
        use, mem, total, heat, power = map(driver.number_of, cells[-5:])
        rows.append(GpuUse(index, uuid, name, use, mem, total, heat, power))
    return tuple(rows)
