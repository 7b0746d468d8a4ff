"""What keys ask for and the monitor itself does: commands, other programs on the terminal, the clipboard."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from leaseq.monitor import actions, keys
from leaseq.monitor.model import Message, Ui
from leaseq.monitor.overlays import Form, Output
from leaseq.monitor.run import Answer, answer_of, foreground, page

if TYPE_CHECKING:
    from leaseq.monitor.main import Monitor

SHORT_LINES = 3
"""A longer answer has a window of its own."""


def perform(monitor: Monitor, effect: actions.Effect) -> None:
    """The effect is done, or begun."""
    if isinstance(effect, actions.Quit):
        monitor.ended = True
    elif isinstance(effect, actions.Refresh):
        monitor.readers.refresh()
    elif isinstance(effect, actions.Copy):
        monitor.terminal.copy(effect.text)
    elif isinstance(effect, actions.Watch):
        monitor.readers.watch(effect.lease)
        monitor.ui = Ui(readonly=monitor.ui.readonly, ascii=monitor.ui.ascii, lease=effect.lease)
        monitor.readers.refresh()
    elif isinstance(effect, actions.Run):
        monitor.ui = keys.say(monitor.ui, f"{actions.command_line(effect.words)} …", "dim")
        environment, umask = monitor.environment(), monitor.options.umask
        work = threading.Thread(
            target=lambda: monitor.answered(answer_of(effect, environment, umask=umask)), daemon=True
        )
        work.start()
    elif isinstance(effect, actions.Foreground):
        _outside(monitor, lambda: foreground(effect, monitor.environment(), umask=monitor.options.umask))
    else:
        assert isinstance(effect, actions.Pager)
        _outside(monitor, lambda: page(monitor.home, effect, umask=monitor.options.umask))


def show(monitor: Monitor, answer: Answer) -> None:
    """The answer of a command is on the screen, and what it changed soon is."""
    monitor.readers.refresh()
    ui, back = monitor.ui, answer.run.back
    if (answer.run.whole or len(answer.lines) > SHORT_LINES) and (ui.overlay is None or ui.overlay == back):
        output = Output(actions.command_line(answer.run.words), answer.lines, back=back)
        monitor.ui = replace(ui, overlay=output, message=None)
    elif answer.code and isinstance(back, Form) and ui.overlay is None:
        # What was typed is not lost: the form comes back with what is wrong with it.
        monitor.ui = replace(ui, overlay=replace(back, trouble=answer.text), message=None)
    else:
        monitor.ui = replace(ui, message=Message(answer.text or "done", "bad" if answer.code else ""))


def _outside(monitor: Monitor, run: Callable[[], str]) -> None:
    """Something else has the terminal until it ends."""
    monitor.terminal.leave()
    try:
        said = run()
    finally:
        monitor.terminal.enter()
        monitor.shown = ()
    monitor.ui = keys.say(monitor.ui, said, "warn")
    monitor.readers.refresh()
