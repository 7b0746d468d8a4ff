"""squeue of a mock cluster in this process: for looks that come again and again, if no command is what is tested."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from slurm_mock.__main__ import main


def squeue(cluster: Path, *options: str) -> str:
    """What `squeue` prints of the cluster in that directory; it has succeeded."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(str(cluster), "squeue", list(options))
    assert code == 0, f"squeue {options}: {code} {out.getvalue()} {err.getvalue()}"
    return out.getvalue()
