"""Keys while something stands over the panes: prompt, menu, question, form, help, answer."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.monitor import actions, acts, kept
from leaseq.monitor.cursor import FAR
from leaseq.monitor.effects import Complete, Run, Step
from leaseq.monitor.help import help_rows
from leaseq.monitor.model import Scene, Ui, say
from leaseq.monitor.overlays import Confirm, Form, Help, Menu, Output, Prompt, output_content, output_width
from leaseq.monitor.windows import help_columns, room_over

SCROLL = {"j": 1, "down": 1, "k": -1, "up": -1, "pgdn": 15, " ": 15, "ctrl-f": 15, "ctrl-d": 15, "pgup": -15}
SCROLL |= {"ctrl-b": -15, "ctrl-u": -15, "g": -FAR, "home": -FAR, "G": FAR, "end": FAR}


def press(scene: Scene, key: str) -> Step:
    """What the key does to what is open."""
    overlay = scene.ui.overlay
    if isinstance(overlay, Prompt):
        return _prompt(scene, overlay, key)
    if isinstance(overlay, Menu):
        return _menu(scene, overlay, key)
    if isinstance(overlay, Confirm):
        return _confirm(scene, overlay, key)
    if isinstance(overlay, Form):
        return _form(scene, overlay, key)
    assert isinstance(overlay, (Help, Output))
    return _text(scene, overlay, key)


def _closed(scene: Scene, overlay: object = None) -> Ui:
    return replace(scene.ui, overlay=overlay)


def _prompt(scene: Scene, prompt: Prompt, key: str) -> Step:
    ui = scene.ui
    if key in ("esc", "ctrl-c"):
        ui = replace(kept.with_line(ui, prompt), overlay=None)
        if prompt.kind == "filter":
            return Step(replace(ui, text=prompt.before))
        return Step(replace(ui, log_find=prompt.before) if prompt.kind == "find" else ui)
    if key == "enter":
        return _entered(replace(scene, ui=kept.with_line(ui, prompt)), prompt)
    if key == "tab" and prompt.kind == "command":
        return Step(ui, (Complete(prompt.edit.text[: prompt.edit.at]),))
    if key == "backspace" and not prompt.edit.text:
        return _prompt(scene, prompt, "esc")
    by = {"up": 1, "ctrl-p": 1, "down": -1, "ctrl-n": -1}.get(key)
    edit = prompt.edit.key(key)
    if by is None and edit is None:
        return Step(ui)
    prompt = replace(prompt, edit=edit, back=0) if edit is not None else kept.recalled(ui, prompt, by or 0)
    edit = prompt.edit
    ui = replace(ui, overlay=prompt)
    if prompt.kind == "filter":
        ui = replace(ui, text=edit.text)
    elif prompt.kind == "find":
        ui = replace(ui, log_find=edit.text)
    return Step(ui)


def _entered(scene: Scene, prompt: Prompt) -> Step:
    closed = replace(scene, ui=_closed(scene))
    if prompt.kind == "command":
        done = actions.typed(prompt.edit.text, readonly=scene.ui.readonly)
        return acts.opened(closed, done) if done else Step(closed.ui)
    if prompt.kind == "priority":
        from leaseq.monitor.changing import with_priority

        return acts.opened(closed, with_priority(closed, prompt.edit.text)) if prompt.edit.text else Step(closed.ui)
    if prompt.kind == "find" and prompt.edit.text:
        return Step(acts.next_match(closed, -1))
    return Step(closed.ui)


def _menu(scene: Scene, menu: Menu, key: str) -> Step:
    if key in ("esc", "q", "ctrl-c", "h", "left"):
        return Step(_closed(scene))
    if key in ("j", "down", "tab", "k", "up", "backtab"):
        by = 1 if key in ("j", "down", "tab") else -1
        return Step(_closed(scene, replace(menu, at=(menu.at + by) % len(menu.items))))
    if key in ("enter", "l", "right"):
        item = menu.items[menu.at]
    else:
        found = next((item for item in menu.items if item.key == key), None)
        if found is None:
            return Step(scene.ui)
        item = found
    if item.why_not:
        return Step(say(scene.ui, f"{item.label}: {item.why_not}", "warn"))
    return item.act(replace(scene, ui=_closed(scene)))


def _confirm(scene: Scene, confirm: Confirm, key: str) -> Step:
    if key in ("y", "Y"):
        run = Run(confirm.then, undo=confirm.undo, undoes=confirm.undoes)
        return Step(replace(scene.ui, overlay=None, marks=frozenset()), (run,))
    if key in ("n", "N", "esc", "q", "ctrl-c"):
        return Step(say(_closed(scene), "nothing was done", "dim"))
    return Step(say(scene.ui, "y: yes, n: no", "dim"))


def _form(scene: Scene, form: Form, key: str) -> Step:
    if key in ("esc", "ctrl-c"):
        ui = kept.with_draft(_closed(scene), form)
        letter = "a" if form.kind == "submit" else "n"
        return Step(
            say(ui, f"what was typed is kept: {letter} brings it back", "dim") if form.kind in ui.drafts else ui
        )
    if key in ("tab", "down", "backtab", "up"):
        by = 1 if key in ("tab", "down") else -1
        return Step(_closed(scene, replace(form, at=(form.at + by) % len(form.fields), trouble="")))
    if key in ("enter", "ctrl-p"):
        trouble = actions.form_trouble(form)
        if trouble:
            return Step(_closed(scene, replace(form, trouble=trouble)))
        if key == "enter":
            return Step(kept.without_draft(_closed(scene), form), (Run(actions.form_words(form), back=form),))
        return Step(scene.ui, (actions.preview(form),) if form.kind == "add" else ())
    edit = form.fields[form.at].edit.key(key)
    if edit is None:
        return Step(scene.ui)
    fields = list(form.fields)
    fields[form.at] = replace(fields[form.at], edit=edit)
    return Step(_closed(scene, replace(form, fields=tuple(fields), trouble="")))


def _text(scene: Scene, shown: Help | Output, key: str) -> Step:
    if key in ("esc", "q", "enter", "?", "ctrl-c"):
        return Step(_closed(scene, shown.back if isinstance(shown, Output) else None))
    if key not in SCROLL:
        return Step(scene.ui)
    most, high = room_over(scene)
    rows = (
        help_rows(scene, help_columns(scene))
        if isinstance(shown, Help)
        else output_content(shown, output_width(shown, most))
    )
    top = max(0, min(shown.top + SCROLL[key], len(rows) - (high - 2)))
    return Step(_closed(scene, replace(shown, top=top)))
