"""What was typed is kept: lines of prompts come back with Up, a form that was closed with its key. Pure."""

from __future__ import annotations

from leaseq.dataclass import replace
from leaseq.monitor.model import Ui
from leaseq.monitor.overlays import Edit, Form, Prompt

LINES_MAX = 200


def with_line(ui: Ui, prompt: Prompt) -> Ui:
    """The prompt's line is the newest of its kind."""
    text = prompt.edit.text.strip()
    if not text:
        return ui
    before = tuple(line for line in ui.typed.get(prompt.kind, ()) if line != text)
    return replace(ui, typed={**ui.typed, prompt.kind: (*before, text)[-LINES_MAX:]})


def recalled(ui: Ui, prompt: Prompt, by: int) -> Prompt:
    """The prompt with the line before the one that it shows, or the one after; the last one is what was being typed."""
    lines = ui.typed.get(prompt.kind, ())
    back = max(0, min(prompt.back + by, len(lines)))
    fresh = prompt.edit.text if prompt.back == 0 else prompt.fresh
    text = lines[-back] if back else fresh
    return replace(prompt, back=back, fresh=fresh, edit=Edit.of(text))


def with_draft(ui: Ui, form: Form) -> Ui:
    """The form's fields are there when it is opened again, if anything stands in them."""
    drafts = {kind: kept for kind, kept in ui.drafts.items() if kind != form.kind}
    if any(field.edit.text for field in form.fields):
        drafts[form.kind] = form
    return replace(ui, drafts=drafts)


def without_draft(ui: Ui, form: Form) -> Ui:
    return replace(ui, drafts={kind: kept for kind, kept in ui.drafts.items() if kind != form.kind})


def resumed(ui: Ui, form: Form) -> Form:
    """The new form with what was typed into the last one of its kind."""
    draft = ui.drafts.get(form.kind)
    if not isinstance(draft, Form):
        return form
    texts = {field.label: field.edit for field in draft.fields}
    return replace(
        form,
        at=draft.at,
        fields=tuple(replace(field, edit=texts.get(field.label, field.edit)) for field in form.fields),
    )
