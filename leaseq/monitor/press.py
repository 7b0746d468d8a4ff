"""A key is pressed, and which keys can be: the table of keys, carried out."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.monitor.effects import Step
from leaseq.monitor.keymap import TABLE, Key
from leaseq.monitor.model import Scene, say
from leaseq.widths import cells

LAST = ("?", "q")
"""Hints that are always there."""


def press(scene: Scene, key: str) -> Step:
    """What the key makes of the scene; what it asks to be done."""
    scene = replace(scene, ui=replace(scene.ui, message=None))
    if scene.ui.overlay is not None:
        from leaseq.monitor import dialogs

        return dialogs.press(scene, key)
    found = next((entry for entry in TABLE if key in entry.keys and means(scene, entry)), None)
    if found is None:
        return Step(say(scene.ui, f"{key} does nothing here; ? lists the keys", "dim"))
    refusal = found.refusal(scene)
    if refusal:
        return Step(say(scene.ui, refusal, "dim"))
    done = found.act(scene)
    return done if isinstance(done, Step) else Step(done)


def means(scene: Scene, entry: Key) -> bool:
    """True if the key has that meaning here and now, unless a line before says another."""
    return scene.ui.focus in entry.panes and entry.when(scene)


def hints(scene: Scene, columns: int) -> list[tuple[str, str, str]]:
    """(label, word, key) of the keys that work here and now, as many as fit; help and quit always."""
    overlay = scene.ui.overlay
    if overlay is not None:
        from leaseq.monitor.overlays import HINTS

        return list(HINTS.get(type(overlay), ()))
    usable = [
        (entry.label.split()[0], entry.hint, entry.keys[0])
        for entry in TABLE
        if entry.hint and scene.ui.focus in entry.hinted and means(scene, entry) and not entry.refusal(scene)
    ]
    usable = list({key: (label, word, key) for label, word, key in reversed(usable)}.values())[::-1]
    last = [hint for hint in usable if hint[2] in LAST]
    room = columns - sum(_hint_width(hint) for hint in last)
    shown = []
    for hint in usable:
        if hint not in last and room >= _hint_width(hint):
            shown.append(hint)
            room -= _hint_width(hint)
    return shown + last


def _hint_width(hint: tuple[str, str, str]) -> int:
    return cells(hint[0]) + cells(hint[1]) + 3
