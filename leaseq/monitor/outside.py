"""What keys ask for and the monitor itself does: commands, other programs on the terminal, the clipboard."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from leaseq.commands import READONLY
from leaseq.dataclass import replace
from leaseq.layout import Home
from leaseq.monitor import clipboard
from leaseq.monitor.completing import asked
from leaseq.monitor.doings import noted
from leaseq.monitor.effects import Answer, Pager, Run, Step, command_line
from leaseq.monitor.model import Message, Ui
from leaseq.monitor.overlays import Form, Output
from leaseq.monitor.reader import Readers
from leaseq.monitor.run import answer_of, foreground, page
from leaseq.monitor.terminal import Terminal

SHORT_LINES = 3
"""A longer answer has a window of its own."""


class World:
    """The real thing: this terminal, these readers, leaseq's own commands. `answered` is called from another thread."""

    def __init__(
        self,
        *,
        home: Home,
        umask: int,
        terminal: Terminal,
        readers: Readers,
        quit: Callable[[int], None],
        answered: Callable[[Answer], None],
        completed: Callable[[str, tuple[str, ...]], None],
        readonly: bool,
    ) -> None:
        self._home, self._umask, self._terminal, self._readers = home, umask, terminal, readers
        self._readonly = readonly
        self.quit, self._answered, self._completed = quit, answered, completed

    def now(self) -> float:
        return self._readers.clock.now()

    def refresh(self) -> None:
        self._readers.refresh()

    def watch(self, lease: str) -> None:
        self._readers.watch(lease)
        self._readers.refresh()

    def copy(self, text: str) -> tuple[bool, str]:
        sent, remark = clipboard.verdict(text, os.environ)
        if sent:
            self._terminal.copy(text)
        return sent, remark

    def begin(self, run: Run) -> None:
        environment = self._environment()

        def work() -> None:
            self._answered(answer_of(run, environment, umask=self._umask))

        threading.Thread(target=work, daemon=True).start()

    def complete(self, text: str) -> None:
        environment = self._environment()

        def work() -> None:
            self._completed(text, asked(text, environment, umask=self._umask))

        threading.Thread(target=work, daemon=True).start()

    def in_front(self, words: tuple[str, ...], *, pause: bool) -> str:
        return self._away(lambda: foreground(words, self._environment(), pause=pause, umask=self._umask))

    def page(self, pager: Pager) -> str:
        return self._away(lambda: page(self._home, pager, umask=self._umask))

    def _away(self, run: Callable[[], str]) -> str:
        """Something else has had the terminal until it ended; its words."""
        self._terminal.leave()
        try:
            return run()
        finally:
            self._terminal.enter()
            self._readers.refresh()

    def _environment(self) -> dict[str, str]:
        """Commands mean this home and, if they name none, the lease that is looked at."""
        forbids = {READONLY: "1"} if self._readonly else {}
        lease = self._readers.data.lease_id
        return {**os.environ, "LEASEQ_HOME": self._home.root, "LEASEQ_LEASE": lease, **forbids}


def answered(ui: Ui, answer: Answer, *, now: float) -> Step:
    """The answer of a command is on the screen, and among what was done here; or what is made of it is done."""
    run = answer.run
    if run.shape is not None and not answer.code:
        return run.shape(replace(ui, message=None), answer)
    ui = noted(ui, now, command_line(run.words), code=answer.code, answer=answer.text)
    if run.undo is not None and (not answer.code or len(run.undo.tasks) > 1):
        from leaseq.monitor.undo import done

        ui = done(ui, run.undo)
    return Step(_said(ui, answer))


def _said(ui: Ui, answer: Answer) -> Ui:
    """The answer is in a window or in the last lines."""
    back = answer.run.back
    if (answer.run.whole or len(answer.lines) > SHORT_LINES) and (ui.overlay is None or ui.overlay == back):
        output = Output(command_line(answer.run.words), answer.lines, back=back)
        return replace(ui, overlay=output, message=None)
    if answer.code and isinstance(back, Form) and ui.overlay is None:
        # What was typed is not lost: the form comes back with what is wrong with it.
        return replace(ui, overlay=replace(back, trouble=answer.text), message=None)
    text = answer.text or "done"
    if answer.run.undoes:
        text = f"{'not undone' if answer.code else 'undone'}: {answer.run.undoes}: {text}"
    elif answer.run.undo is not None and not answer.code:
        text += " (u: undo)"
    return replace(ui, message=Message(text, "bad" if answer.code else ""))
