"""What is made of all that is known of a task: the form of one like it, its command in the clipboard. Pure."""

from __future__ import annotations

import json
from typing import Any

from leaseq.dataclass import replace
from leaseq.monitor.actions import on_lease, submit_form
from leaseq.monitor.effects import Answer, Copy, Run, Step
from leaseq.monitor.model import Scene, Ui, say
from leaseq.monitor.overlays import Edit, Form
from leaseq.words import joined


def one_like_it(scene: Scene) -> Step:
    """The form that submits a task is open, filled from the selected one, once that is read."""
    task = scene.chosen[0]
    form = submit_form(scene)

    def filled(ui: Ui, answer: Answer) -> Step:
        known = _known(answer)
        if known is None:
            return Step(say(ui, f"what {task.id} was submitted with is not known any more", "warn"))
        said = f"its variables of --env are not in the form: {', '.join(known['env_given'])}"
        return Step(say(replace(ui, overlay=_filled(form, known)), said if known["env_given"] else "", "warn"))

    return Step(scene.ui, (Run(on_lease(scene, "info", "--json", task.id), shape=filled),))


def copy_command(scene: Scene) -> Step:
    """The task's whole command is in the clipboard, once it is read."""
    task = scene.chosen[0]

    def copied(ui: Ui, answer: Answer) -> Step:
        known = _known(answer)
        return Step(ui, (Copy(_command(known) if known else task.command),))

    return Step(scene.ui, (Run(on_lease(scene, "info", "--json", task.id), shape=copied),))


def _known(answer: Answer) -> dict[str, Any] | None:
    """What `info --json` says of the task; None if no more than its line of history is left."""
    try:
        found: dict[str, Any] = json.loads("\n".join("".join(text for text, _ in line) for line in answer.lines))
        task: dict[str, Any] = found["tasks"][0]
    except (ValueError, LookupError):
        return None
    return task if "argv" in task else None


def _command(known: dict[str, Any]) -> str:
    """As it would be typed after `--`."""
    return str(known["argv"][0]) if known["shell"] else joined(known["argv"])


def _filled(form: Form, known: dict[str, Any]) -> Form:
    need = known["need"] or {}
    texts = {
        "command": _command(known),
        "GPUs": _text(need.get("gpus")),
        "CPUs": _text(need.get("cpus")),
        "memory": _in(need.get("mem_mb"), ((1024, "G"), (1, "M"))),
        "time": _in(need.get("time_seconds"), ((3600, "h"), (60, "m"), (1, "s"))),
        "name": known["name"],
        "node": known["node"] if known["state"] == "PENDING" else "",
        "directory": known["cwd"],
        "more": joined(_more(known)),
    }
    return replace(
        form, fields=tuple(replace(field, edit=Edit.of(texts.get(field.label, ""))) for field in form.fields)
    )


def _more(known: dict[str, Any]) -> list[str]:
    words = [("--group", known["group"]), ("--on-lost", known["on_lost"])]
    words += [("--retries", str(known["retries"]))] if known["retries"] else []
    return [word for pair in words if pair[1] for word in pair] + (["--requeue"] if known["requeue"] else [])


def _in(number: int | None, units: tuple[tuple[int, str], ...]) -> str:
    """The number in the largest unit of which it is a whole one."""
    found = (f"{number // size}{unit}" for size, unit in units if number and number % size == 0)
    return next(found, _text(number))


def _text(value: object) -> str:
    return "" if value is None else str(value)
