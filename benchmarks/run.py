"""Every benchmark, one after the other; each prints its table and writes its JSON."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PARTS = ("startup", "throughput", "futures", "operations", "scale", "crowd", "load", "monitor", "slurm")


def main() -> None:
    wanted = sys.argv[1:] or PARTS
    failed = [
        part for part in wanted if subprocess.run([sys.executable, str(HERE / f"{part}.py")], check=False).returncode
    ]
    if failed:
        sys.exit(f"did not finish: {', '.join(failed)}")


if __name__ == "__main__":
    main()
