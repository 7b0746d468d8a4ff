"""`python -m leaseq`, and `python .../leaseq/__main__.py` if the package is not on the path.

The lease script starts runners by this file's absolute path, so that what runs on a node is the installation
that asked for the lease. The directory of the file itself must not be on the path: its modules would shadow others.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """The command line's exit code. What runs on nodes does without the command line's libraries."""
    from leaseq.installation import read_as_utf8, starts_runner

    read_as_utf8()
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    if starts_runner(sys.argv[1:]):
        from leaseq.runner.main import main as run

        return run(sys.argv[2:])
    if verb == "_call":
        from leaseq.callee import main as call

        return call(sys.argv[2:])
    if verb == "session":
        from leaseq.runner.enter import main as session

        return session(sys.argv[2:])
    if verb == "settle":
        from leaseq.lease.settle import main as settle

        return settle(sys.argv[2:])
    if verb == "ask":
        from leaseq.lease.upkeep import main as ask

        return ask(sys.argv[2:])
    from leaseq.cli.main import main as command

    return command()


if __name__ == "__main__":
    if not __package__:
        parent = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        if parent in sys.path[1:]:
            del sys.path[0]
        else:
            sys.path[0] = parent
    sys.exit(main())
