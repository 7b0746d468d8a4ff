"""The colours of load and heat, and what stands there without them."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.heartbeat import GpuUse
from leaseq.monitor.gpus import any_marked, idle_code, left_unused, row
from leaseq.monitor.model import Scene
from leaseq.monitor.text import Span
from tests.unit import monitor_scenes as situations


def styles(number: int, **fields: object) -> tuple[str, dict[str, str]]:
    """(the text of the row of a GPU of the first node, which is otherwise; the style of each of its words)"""
    scene = situations.scene(situations.gpu_truth(), size="200x50")
    beat = scene.nodes[0].heartbeat
    assert beat
    use: GpuUse = replace(beat.gpu_use[number], **fields)  # type: ignore[arg-type]
    spans: list[Span] = row(scene, scene.nodes[0], use, 36)
    return "".join(text for text, _ in spans), {word: style for text, style in spans for word in text.split()}


def test_load_is_green_from_half_on_and_yellow_below_and_of_a_free_gpu_dim() -> None:
    assert styles(0)[1]["97%"] == "good"
    assert styles(0, utilisation=50.0)[1]["50%"] == "good"
    assert styles(0, utilisation=49.0)[1]["49%"] == "wait"
    assert styles(3, stranger_mb=None)[1]["31%"] == "dim"


def test_heat_is_yellow_then_red_and_then_has_a_sign_too() -> None:
    assert styles(0, temperature_c=79.0)[1]["79°"] == ""
    assert styles(0, temperature_c=80.0)[1]["80°"] == "warn"
    assert styles(0, temperature_c=88.0)[1]["88!"] == "worse"


def test_what_the_driver_does_not_say_is_left_out() -> None:
    text, _ = styles(0, utilisation=None, mem_used_mb=None, temperature_c=None)
    assert "%" not in text
    assert "°" not in text
    assert "None" not in text


def test_marked_gpus_have_a_sign_at_the_start_of_their_rows() -> None:
    text, found = styles(2)
    assert (text[0], found["0%"], found["Twxwc"]) == ("!", "warn", "warn")
    text, found = styles(3)
    assert (text[0], found["30G"], found["other"]) == ("!", "warn", "warn")
    assert styles(2, idle_seconds=299.0)[0][0] == " "


def scene() -> Scene:
    return situations.scene(situations.gpu_truth(), size="120x40")


def test_a_task_is_told_of_its_own_idle_gpus_alone_and_only_while_it_runs() -> None:
    first, second, *_ = scene().tasks
    assert (idle_code(scene(), first), left_unused(scene(), first)) == ("", "")
    assert (idle_code(scene(), second), left_unused(scene(), second)) == ("GPU idle 6m", "2: at 0 % for 6 min")
    done = next(task for task in scene().tasks if task.state.ended)
    assert idle_code(scene(), replace(done, gpus=("2",), node="gpu-node-01")) == ""
    one, two = (view.heartbeat for view in scene().nodes)
    assert one and two
    assert (any_marked(one), any_marked(two)) == (True, False)
