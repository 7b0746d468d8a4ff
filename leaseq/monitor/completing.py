"""Tab in a command line: what leaseq itself would offer a shell there. Asked in the background, as a command is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from leaseq.dataclass import replace
from leaseq.monitor.model import Ui, say
from leaseq.monitor.overlays import Edit, Prompt
from leaseq.monitor.run import output_of

SHOWN = 30
"""So many candidates are shown at once."""


def asked(text: str, environment: Mapping[str, str], *, umask: int) -> tuple[str, ...]:
    """The words that may stand in the place of the last one of this line."""
    said = output_of(("_complete", "bash", f"leaseq {text}", ""), environment, umask=umask)
    return tuple(word for word in (line.partition("\t")[0] for line in said.split("\n")) if word)


def completed(ui: Ui, text: str, words: Sequence[str]) -> Ui:
    """The line with what all candidates have in common, and the candidates if they are several."""
    prompt = ui.overlay
    if not isinstance(prompt, Prompt) or prompt.kind != "command" or prompt.edit.text[: prompt.edit.at] != text:
        return ui  # it was typed on meanwhile
    if not words:
        return say(ui, "nothing can be completed here", "dim")
    start = text.rfind(" ") + 1
    shared = _shared(words)
    last = shlex.quote(shared) + " " if len(words) == 1 and not shared.endswith(("=", "/")) else shared
    if len(last) < len(text) - start:
        last = text[start:]
    left, right = text[:start] + last, prompt.edit.text[prompt.edit.at :]
    ui = replace(ui, overlay=replace(prompt, edit=Edit(left + right, len(left)), back=0), message=None)
    more = f"  … {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return say(ui, "  ".join(words[:SHOWN]) + more, "dim") if len(words) > 1 else ui


def _shared(words: Sequence[str]) -> str:
    """What all of them begin with."""
    first, last = min(words), max(words)
    size = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:size]
