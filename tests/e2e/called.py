"""Functions that tests have tasks call: a module of its own, which imports nothing that takes time."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

TURN_SECONDS = 0.02


def add(one: int, other: int = 0) -> int:
    return one + other


def capture(*args: object, **kwargs: object) -> tuple[tuple[object, ...], dict[str, object]]:
    return args, kwargs


def raises(message: str) -> NoReturn:
    raise ValueError(message)


def divided(one: int, other: int) -> float:
    return one / other


class Peculiar(Exception):
    """Comes out of no pickle: it takes two words to make, and keeps one."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what)
        self.why = why


def peculiar() -> NoReturn:
    raise Peculiar("what", "why")


def ends_process(code: int) -> NoReturn:
    print("last words", file=sys.stderr, flush=True)
    os._exit(code)


def leaves(code: int) -> NoReturn:
    sys.exit(code)


def saves() -> NoReturn:
    """Waits for TERM, and ends with 75 as a call does that has saved what it had; says how TERM finds it then."""

    def save(number: int, frame: object) -> NoReturn:
        sys.exit(75)

    signal.signal(signal.SIGTERM, save)
    atexit.register(lambda: print(repr(signal.getsignal(signal.SIGTERM)), flush=True))
    print("waits", flush=True)
    while True:
        time.sleep(TURN_SECONDS)


def lock() -> object:
    return threading.Lock()


def until(path: str, value: object = None) -> object:
    """The value, once there is a file of that name."""
    print("waits", flush=True)
    while not os.path.exists(path):
        time.sleep(TURN_SECONDS)
    return value


def seconds(number: float) -> float:
    time.sleep(number)
    return number


def process(number: int) -> int:
    """The process that makes the call of that number."""
    return os.getpid()


def fails_once(path: str) -> str:
    if os.path.exists(path):
        return os.environ["LEASEQ_ATTEMPT"]
    Path(path).touch()
    raise RuntimeError("the first time")


def odd_raises(number: int) -> int:
    if number % 2:
        raise ValueError(number)
    return number
