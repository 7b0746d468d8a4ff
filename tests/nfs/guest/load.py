"""A person at work: submits, cancels and waits by the command line for five turns, then until /run/enough exists.

Prints {"acknowledged": {id: [[state, exit code], ...]}, "waited": {id: exit code}, "refused": [...], "seconds_max": S}:
what each task may end as, what `wait` gave, what commands that failed had said, and how long the slowest took.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

WORK = "/mnt/leaseq/tests/nfs/guest/work"
LEASEQ = (sys.executable, "-m", "leaseq")
WAIT_EVERY = 3
TURNS_MIN = 5
DONE, FAILED, CANCELLED = "DONE", "FAILED", "CANCELLED"
End = tuple[str, "int | None"]


class Person:
    """What one person was told."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, list[End]] = {}
        self.refused: list[str] = []
        self.waits: dict[str, subprocess.Popen[bytes]] = {}
        self.seconds_max = 0.0
        self.turns = 0

    def say(self, *words: str, input: str = "") -> tuple[int, list[str]]:
        """(exit code, the words on stdout)"""
        began = time.monotonic()
        done = subprocess.run([*LEASEQ, *words], input=input, capture_output=True, text=True)
        self.seconds_max = max(self.seconds_max, time.monotonic() - began)
        if done.returncode:
            self.refused.append(f"{words[:2]}: {done.returncode} {done.stderr.strip()[-300:]}")
        return done.returncode, done.stdout.split()

    def one(self, *command: str, ends: list[End], options: tuple[str, ...] = ()) -> str:
        """The id of that task, or nothing if it was refused."""
        _, ids = self.say("submit", "--cpus", "1", *options, "--", WORK, *command)
        self.acknowledged.update((task_id, ends) for task_id in ids)
        return ids[0] if ids else ""

    def turn(self) -> None:
        """A few tasks of each kind were submitted."""
        self.turns += 1
        self.one("0", "0.2", ends=[(DONE, 0)])
        self.one("5", "0.1", "2", ends=[(DONE, 0)], options=("--retries", "2"))
        self.file()
        key = ("--key", f"k{self.turns}")
        first = self.one("4", "0.1", ends=[(FAILED, 4)], options=key)
        again = self.one("4", "0.1", ends=[(FAILED, 4)], options=key)
        if first and again and first != again:
            raise AssertionError(f"one key stands for {first} and {again}")
        if task_id := self.one("0", "3", ends=[(DONE, 0)]):
            self.acknowledged[task_id] = [(DONE, 0), (CANCELLED, None)]
            self.say("cancel", task_id)
        if self.turns % WAIT_EVERY == 1 and (task_id := self.one("7", "1", ends=[(FAILED, 7)])):
            self.waits[task_id] = subprocess.Popen([*LEASEQ, "wait", task_id], stderr=subprocess.DEVNULL)

    def file(self) -> None:
        """A file of tasks: those whose ids were printed are acknowledged, in the order of the lines."""
        codes = (0, 1, 2, 0, 3, 0, 0, 0) * 5
        lines = "".join(f"{WORK} {code} 0.1\n" for code in codes)
        _, ids = self.say("submit", "--cpus", "1", "--file", "-", input=lines)
        for task_id, code in zip(ids, codes, strict=False):
            self.acknowledged[task_id] = [(FAILED if code else DONE, code)]

    def told(self) -> dict[str, object]:
        """What the person knows at the end."""
        waited = {task_id: wait.wait() for task_id, wait in self.waits.items()}
        facts = {"acknowledged": self.acknowledged, "waited": waited, "refused": self.refused}
        return {**facts, "seconds_max": round(self.seconds_max, 1)}


if __name__ == "__main__":
    person = Person()
    while person.turns < TURNS_MIN or not os.path.exists("/run/enough"):
        person.turn()
    print(json.dumps(person.told()))
