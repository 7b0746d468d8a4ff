"""The monitor's loop: one wait for keys, news and the next second; one place where effects happen."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from leaseq.dataclass import dataclass, replace
from leaseq.layout import Home
from leaseq.monitor.arranging import arranged
from leaseq.monitor.calls import Caller, Calling
from leaseq.monitor.data import Data
from leaseq.monitor.model import Scene, Ui
from leaseq.monitor.paint import changes, styled
from leaseq.monitor.press import press
from leaseq.monitor.reader import REFRESH_SECONDS, Readers, read_once
from leaseq.monitor.stage import laid_out
from leaseq.monitor.terminal import Terminal
from leaseq.monitor.view import Frame, frame
from leaseq.monitor.wants import want
from leaseq.world import Clock, Fs

if TYPE_CHECKING:
    from leaseq.monitor.effects import Answer
    from leaseq.monitor.outside import World

TICK_SECONDS = 1.0
AWAY_SECONDS = 900.0
AWAY_SLOWNESS = 5.0
"""While nobody has touched a key for a quarter of an hour, everything is read five times less often."""


@dataclass(frozen=True)
class Options:
    """How the monitor was asked for."""

    lease: str
    refresh: float = REFRESH_SECONDS
    readonly: bool = False
    ascii: bool = False
    mono: bool = False
    mouse: bool = True
    progress: re.Pattern[str] | None = None
    """What the settings say of progress lines."""
    calling: Calling = Calling()
    umask: int = -1
    """That of the commands that it runs; -1: this process's."""


def once(fs: Fs, home: Home, clock: Clock, options: Options, *, columns: int, lines: int, color: bool) -> str:
    """One frame as text."""
    ui = Ui(readonly=options.readonly, ascii=options.ascii)
    own = options.progress
    data = read_once(fs, home, clock, want(Scene(Data(lease_id=options.lease), ui)), own=own)
    scene = arranged(Scene(data, ui, columns, lines, clock.monotonic(), clock.now()))
    if scene.task:
        data = read_once(fs, home, clock, want(scene), own=own)
        scene = arranged(replace(scene, data=data, now=clock.monotonic()))
    rows = frame(scene)
    if color:
        return "".join(styled(row, mono=options.mono) + "\n" for row in rows)
    return "".join("".join(text for text, _ in row).rstrip() + "\n" for row in rows)


class Monitor:
    """One run of the monitor on a terminal."""

    def __init__(self, fs: Fs, home: Home, clock: Clock, options: Options) -> None:
        self.home, self.clock, self.options = home, clock, options
        self.terminal = Terminal(mouse=options.mouse, title=options.calling.title)
        self.caller = Caller(options.calling)
        self.ui = Ui(readonly=options.readonly, ascii=options.ascii)
        self._shown: Frame = ()
        self._awake, self._waker = os.pipe()
        os.set_blocking(self._awake, False)
        os.set_blocking(self._waker, False)
        self.readers = Readers(
            fs,
            home,
            clock,
            lease=options.lease,
            wake=self.wake,
            refresh=options.refresh,
            progress=options.progress,
        )
        self._answers: list[Answer] = []
        self._completions: list[tuple[str, tuple[str, ...]]] = []
        self._code = 0
        self._ended = self._stopped = self._continued = self._resized = False
        self._touched = clock.monotonic()

    def run(self) -> int:
        """The exit code, once the person has quit: 0, or 130 for Ctrl-C."""
        before = self._handle_signals()
        try:
            self.readers.start()
            self.terminal.enter()
            self._first_frame()
            self.terminal.prepare()
            while not self._ended:
                self._turn()
        finally:
            self.terminal.leave()
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._code

    def wake(self) -> None:
        """The loop looks for news, from whatever thread or signal handler this is called."""
        try:
            os.write(self._waker, b".")
        except BlockingIOError:
            pass  # it is about to wake anyway

    # -- one turn ------------------------------------------------------------------------------------

    def _first_frame(self) -> None:
        """What can be read at once is in the first frame; a slow file system does not delay it for long."""
        deadline = self.clock.monotonic() + 0.15
        while self.readers.data.lease.snapshot is None and self.readers.crash is None:
            left = deadline - self.clock.monotonic()
            if left <= 0 or not select.select([self._awake], [], [], left)[0]:
                break
            self._drain()
        self._draw()

    def _turn(self) -> None:
        ready = select.select([self.terminal.fd_in, self._awake], [], [], TICK_SECONDS)[0]
        if self._awake in ready:
            self._drain()
        if self.readers.crash is not None:
            raise self.readers.crash
        if self._stopped:
            self._stop()
        if self._continued:
            self._continued = False
            self.terminal.enter()
        if self.terminal.fd_in in ready:
            self._keys()
        while self._answers:
            self._show(self._answers.pop(0))
        while self._completions:
            from leaseq.monitor.completing import completed

            self.ui = completed(self.ui, *self._completions.pop(0))
        away = self.clock.monotonic() - self._touched > AWAY_SECONDS
        self.readers.slowness = AWAY_SLOWNESS if away else 1.0
        if not self._ended:
            self._draw()

    def _drain(self) -> None:
        try:
            while len(os.read(self._awake, 4096)) == 4096:
                pass
        except BlockingIOError:
            pass

    def _scene(self) -> Scene:
        columns, lines = self.terminal.size()
        scene = Scene(self.readers.data, self.ui, columns, lines, self.clock.monotonic(), self.clock.now())
        return arranged(scene)

    def _draw(self) -> None:
        scene = self._scene()
        self.ui = scene.ui
        self.readers.want(want(scene, laid_out(scene).panes))
        new = frame(scene)
        out = changes(() if self.terminal.blank else self._shown, new, mono=self.options.mono)
        out += self.caller.look(scene, fresh=self.terminal.blank)
        if out:
            self.terminal.write(out)
        self._shown, self.terminal.blank = new, False

    def _keys(self) -> None:
        typed = self.terminal.read()
        if not typed and not os.isatty(self.terminal.fd_in):
            self._ended = True
        self._touched = self.clock.monotonic()
        from leaseq.monitor import mouse
        from leaseq.monitor.moves import Mouse

        for event in typed:
            scene = self._scene()
            step = mouse.moved(scene, event) if isinstance(event, Mouse) else press(scene, event)
            self.ui = step.ui
            for effect in step.effects:
                self.ui = effect.do(self._world, self.ui)
            if self._ended:
                return

    @cached_property
    def _world(self) -> World:
        """Made for the first effect: no first frame needs it."""
        from leaseq.monitor.outside import World

        return World(
            home=self.home,
            umask=self.options.umask,
            terminal=self.terminal,
            readers=self.readers,
            quit=self._quit,
            answered=self._answered,
            completed=self._completed,
            readonly=self.options.readonly,
        )

    def _quit(self, code: int) -> None:
        self._ended, self._code = True, code

    def _completed(self, text: str, words: tuple[str, ...]) -> None:
        """As with answers: called from the thread that waited for it."""
        self._completions.append((text, words))
        self.wake()

    def _answered(self, answer: Answer) -> None:
        """The answer is shown in the next turn; called from the thread that waited for it."""
        self._answers.append(answer)
        self.wake()

    def _show(self, answer: Answer) -> None:
        """The answer is on the screen, and what it changed soon is."""
        from leaseq.monitor.outside import answered

        self.readers.refresh()
        step = answered(self.ui, answer, now=self.clock.now())
        self.ui = step.ui
        for effect in step.effects:
            self.ui = effect.do(self._world, self.ui)

    # -- signals -------------------------------------------------------------------------------------

    def _handle_signals(self) -> dict[int, Any]:
        def note(name: str) -> Callable[[int, object], None]:
            def handler(number: int, _: object) -> None:
                setattr(self, name, True)
                self.wake()

            return handler

        def end(number: int, _: object) -> None:
            sys.exit(128 + number)

        handlers = {
            signal.SIGTSTP: note("_stopped"),
            signal.SIGCONT: note("_continued"),
            signal.SIGWINCH: note("_resized"),
            signal.SIGTERM: end,
            signal.SIGHUP: end,
        }
        return {number: signal.signal(number, handler) for number, handler in handlers.items()}

    def _stop(self) -> None:
        """The shell has the terminal until `fg`."""
        self._stopped = False
        self.terminal.leave()
        ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, ours)
        self.terminal.enter()
