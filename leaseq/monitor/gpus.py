"""The GPUs of nodes, as rows: load and heat in colours; what is not as it should be has a sign, too. Pure."""

from __future__ import annotations

from leaseq.heartbeat import GpuUse, Heartbeat
from leaseq.monitor.model import Scene
from leaseq.monitor.text import Span
from leaseq.monitor.theme import bar, waited
from leaseq.reading.used import idle_gpus, left_idle
from leaseq.reading.views import NodeView, TaskView
from leaseq.words import about, memory

LOW_PERCENT = 50.0
WARM_C, HOT_C = 80.0, 88.0
MARK = "!"
OTHERS = "other"
"""In the place of a task: a GPU that is free, and used."""
METER_MAX, STRIP_MAX = 8, 30


def owner(beat: Heartbeat | None, token: str) -> str:
    """The task that the GPU belongs to now."""
    return next((run.id for run in beat.running if token in run.gpus), "") if beat else ""


def is_marked(use: GpuUse) -> bool:
    """True if a person is to look at it: a task has it and does not use it, or none has it and it is used."""
    return left_idle(use) or use.stranger_mb is not None


def any_marked(beat: Heartbeat) -> bool:
    return any(map(is_marked, beat.gpu_use))


def meter(beat: Heartbeat) -> str:
    """How busy the first GPUs are, a sign for each."""
    return "".join(bar(use.utilisation) for use in beat.gpu_use[:METER_MAX])


def history(scene: Scene, node: str, token: str, columns: int) -> str:
    samples = scene.data.lease.gpus.get((node, token), ())[-columns:] if columns > 0 else ()
    return "".join(bar(value) for value in samples).rjust(columns)


def _mark(use: GpuUse) -> Span:
    return (MARK, "warn") if is_marked(use) else (" ", "")


def _load(use: GpuUse, task: str) -> str:
    """The style of how busy it is."""
    if is_marked(use):
        return "warn"
    if not task or use.utilisation is None:
        return "dim"
    return "good" if use.utilisation >= LOW_PERCENT else "wait"


def _heat(use: GpuUse) -> Span:
    if use.temperature_c is None:
        return "", ""
    hot, warm = use.temperature_c >= HOT_C, use.temperature_c >= WARM_C
    return f"{use.temperature_c:.0f}{MARK if hot else '°'}", "worse" if hot else "warn" if warm else ""


def _whose(use: GpuUse, task: str, letters: int) -> Span:
    if use.stranger_mb is not None:
        return OTHERS, "warn"
    return (task[:letters] or "free"), "warn" if is_marked(use) else "" if task else "dim"


def row(scene: Scene, view: NodeView, use: GpuUse, columns: int) -> list[Span]:
    """A GPU in the list of nodes."""
    task = owner(view.heartbeat, use.token)
    used = "" if use.mem_used_mb is None else memory(use.mem_used_mb)
    percent = "" if use.utilisation is None else f"{use.utilisation:.0f}%"
    token = use.token if len(use.token) <= 2 else use.token[-2:]
    heat, heat_style = _heat(use)
    whose, whose_style = _whose(use, task, 5)
    plain = "" if task else "dim"
    strip = max(0, min(12, columns - 24))
    return [
        _mark(use),
        (f"{token:>2} ", "dim"),
        (history(scene, view.node, use.token, strip), _load(use, task)),
        (f" {percent:>4}", _load(use, task)),
        (f" {used:>4}", "warn" if use.stranger_mb is not None else plain),
        (f" {heat:>3}", heat_style or plain),
        (f" {whose}", whose_style),
    ]


def detail_row(scene: Scene, view: NodeView, token: str, columns: int) -> list[Span]:
    """A GPU where there is room for all that is known of it."""
    beat = view.heartbeat
    assert beat is not None
    use = next(use for use in beat.gpu_use if use.token == token)
    task = owner(beat, token)
    percent = "" if use.utilisation is None else f"{use.utilisation:.0f}%"
    used = "" if use.mem_used_mb is None else memory(use.mem_used_mb)
    total = "" if use.mem_total_mb is None else f"/{memory(use.mem_total_mb)}"
    power = "" if use.power_w is None else f"{use.power_w:.0f}W"
    power = f" {power:>5}" if any(each.power_w is not None for each in beat.gpu_use) else ""
    strip = max(0, min(STRIP_MAX, columns - 35 - len(power)))
    heat, heat_style = _heat(use)
    whose, whose_style = _whose(use, task, 8)
    idle = f" idle {waited(use.idle_seconds)}" if left_idle(use) else ""
    return [
        _mark(use),
        (f"{token[-4:]:<4}", "bold"),
        (history(scene, view.node, token, strip), _load(use, task)),
        (f" {percent:>4}", _load(use, task)),
        (f" {used:>4}{total:<5}", "warn" if use.stranger_mb is not None else ""),
        (f" {heat:>3}", heat_style),
        (f"{power} ", ""),
        (f"{whose}{idle}", whose_style),
    ]


def left_unused(scene: Scene, task: TaskView) -> str:
    """Which of its GPUs the task has left idle, and for how long; empty if none."""
    idle = _idle(scene, task)
    return f"{', '.join(use.token for use in idle)}: at 0 % for {about(_for(idle))}" if idle else ""


def idle_code(scene: Scene, task: TaskView) -> str:
    """The same in few letters, for a list."""
    idle = _idle(scene, task)
    return f"GPU idle {waited(_for(idle))}" if idle else ""


def _idle(scene: Scene, task: TaskView) -> list[GpuUse]:
    return idle_gpus(task, scene.heartbeat(task.node)) if task.gpus and not task.state.ended else []


def _for(idle: list[GpuUse]) -> float:
    return min(use.idle_seconds or 0.0 for use in idle)
