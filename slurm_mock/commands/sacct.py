"""sacct as on a site without accounting."""

import sys

from slurm_mock.client import Client


def main(client: Client, argv: list[str]) -> int:
    print("Slurm accounting storage is disabled", file=sys.stderr)
    return 1
