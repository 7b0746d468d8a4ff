"""A machine under User Mode Linux: it boots in two seconds, runs commands, and loses its power by SIGKILL."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sysconfig
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.harness import ROOT
from tests.nfs import bed

BOOT_SECONDS_MAX = 60.0
RUN_SECONDS_MAX = 120.0


@dataclass(frozen=True)
class Said:
    """How a command in a guest ended."""

    code: int
    out: str
    err: str
    at: float
    """When it had ended, by the guest's clock."""

    @property
    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)


class Switch:
    """The wire between the machines: a process that passes frames on."""

    def __init__(self, directory: Path) -> None:
        self.control = directory / "switch"
        self.process = subprocess.Popen(
            ["uml_switch", "-unix", str(self.control)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        with self.process:  # closes its stdin, too
            self.process.kill()


@dataclass
class Machine:
    """One guest. Its root is shared and read-only; what it writes outside of its disks ends with it."""

    name: str
    address: str
    directory: Path
    switch: Switch
    root: Path
    disks: Sequence[Path] = ()
    memory: str = "256M"
    process: subprocess.Popen[bytes] | None = None
    _line: socket.socket | None = None
    _answers: dict[int, Future[Said]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _number: int = 0
    _listener: threading.Thread | None = None

    def boot(self) -> None:
        """The machine answers."""
        ours, theirs = socket.socketpair()
        words = ["linux.uml", f"mem={self.memory}", "root=/dev/root", "rootfstype=hostfs", f"rootflags={self.root}"]
        words += ["ro", "init=/init", "quiet", "con=null", "con0=null,fd:1", "ssl=null", f"ssl0=fd:{theirs.fileno()}"]
        words += [f"ubd{number}={disk}" for number, disk in enumerate(self.disks)]
        words += [f"eth0=daemon,{self._hardware_address()},unix,{self.switch.control}"]
        words += [f"uml_dir={self.directory}/", f"umid={self.name}", f"name={self.name}", f"address={self.address}"]
        words += [
            f"repository={ROOT}",
            f"exchange={self.directory}",
            f"packages={sysconfig.get_path('purelib')}",
            f"modules={bed.MODULES}",
        ]
        with open(self.directory / f"{self.name}.console", "ab") as console:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=[theirs.fileno()],
                env=bed.environment(),
                start_new_session=True,
            )
        theirs.close()
        self._line = ours
        up = self._expect(0)
        self._listener = threading.Thread(target=self._listen, args=(ours,), daemon=True)
        self._listener.start()
        up.result(BOOT_SECONDS_MAX)

    def _hardware_address(self) -> str:
        return "02:00:00:00:00:{:02x}".format(int(self.address.rpartition(".")[2]))

    def run(self, *argv: str, input: str = "", seconds: float = RUN_SECONDS_MAX, **environment: str) -> Said:
        """What the command said."""
        try:
            return self.begin(*argv, input=input, **environment).result(seconds)
        except FutureTimeout:
            raise AssertionError(f"{argv} goes on for {seconds:.0f} s on {self.name}: {self.processes()}") from None

    def good(self, *argv: str, **options: Any) -> str:
        """The standard output of a command that ended well."""
        said = self.run(*argv, **options)
        assert said.code == 0, (self.name, argv, said)
        return said.out

    def shell(self, line: str, **options: Any) -> str:
        """The standard output of a line of sh that ended well."""
        return self.good("sh", "-ec", line, **options)

    def begin(self, *argv: str, input: str = "", **environment: str) -> Future[Said]:
        """The command runs; what it says comes later, or ConnectionError if the machine lost its power."""
        with self._lock:
            self._number += 1
            answer = self._answers[self._number] = Future()
            request = {"number": self._number, "argv": argv, "environment": environment, "input": input}
            assert self._line is not None, f"{self.name} is not up"
            self._line.sendall(json.dumps(request).encode() + b"\n")
        return answer

    def processes(self) -> str:
        """What its processes wait for, and the end of what its kernel said."""
        look = (
            'for each in /proc/[0-9]*; do echo "$(tr "\\0" " " <$each/cmdline) $(cat $each/wchan)"; done | grep python'
        )
        try:
            said = self.begin("sh", "-c", look).result(20)
        except (FutureTimeout, ConnectionError) as error:
            return f"it does not answer ({error!r})\n{self.console()}"
        return f"{said.out}{said.err}\n{self.console()}"

    def _expect(self, number: int) -> Future[Said]:
        self._answers[number] = Future()
        return self._answers[number]

    def _listen(self, line: socket.socket) -> None:
        with line, line.makefile("rb") as file, contextlib.suppress(ConnectionError, ValueError):
            for each in file:
                body: Mapping[str, Any] = json.loads(each)
                with self._lock:
                    answer = self._answers.pop(body["number"])
                answer.set_result(Said(body["code"], body["out"], body["err"], body["at"]))
        with self._lock:
            left, self._answers = self._answers, {}
        for answer in left.values():
            answer.set_exception(ConnectionError(f"{self.name} has no power; its console: {self.console()}"))

    def console(self) -> str:
        """The end of what its kernel said."""
        return (self.directory / f"{self.name}.console").read_text("utf-8", "replace")[-2000:]

    def freeze(self) -> None:
        """The machine does nothing, and its connections stay."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """The machine goes on."""
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        # To the kernel's process alone: it traces the others, and takes a signal of theirs for a guest's.
        assert self.process is not None
        os.kill(self.process.pid, number)

    def cut_power(self) -> None:
        """The machine is off; what was not on its disks is lost."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self._listener is not None:
            self._listener.join()
