"""Runs what the host asks for, in the guest: one JSON object per line on a serial line, each way.

{"number": 1, "argv": [...], "environment": {...}, "input": ""}  is answered, once the command has ended, by
{"number": 1, "code": 0, "out": "...", "err": "...", "at": 1.0}; commands run side by side.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import tty
from typing import Any

OUTPUT_BYTES_MAX = 4 << 20


def main(device: str) -> None:
    """Serves until the line is closed."""
    fd = os.open(device, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd)
    lock = threading.Lock()

    def answer(body: dict[str, Any]) -> None:
        with lock:
            data = json.dumps({**body, "at": time.time()}).encode() + b"\n"
            while data:
                data = data[os.write(fd, data) :]

    def serve(request: dict[str, Any]) -> None:
        try:
            answer({"number": request["number"], **run(request)})
        except OSError as error:
            answer({"number": request["number"], "code": 127, "out": "", "err": str(error)})

    answer({"number": 0, "code": 0, "out": "", "err": ""})
    with open(fd, "rb", buffering=0, closefd=False) as file:
        rest = b""
        while part := file.read(4096):
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                threading.Thread(target=serve, args=(json.loads(line),), daemon=True).start()


def run(request: dict[str, Any]) -> dict[str, Any]:
    """How the command ended, and the end of what it said."""
    done = subprocess.run(
        request["argv"],
        env={**os.environ, **request["environment"]},
        input=request["input"].encode(),
        capture_output=True,
        cwd="/",
    )
    out, err = (data[-OUTPUT_BYTES_MAX:].decode("utf-8", "replace") for data in (done.stdout, done.stderr))
    return {"code": done.returncode, "out": out, "err": err}


if __name__ == "__main__":
    main(sys.argv[1])
