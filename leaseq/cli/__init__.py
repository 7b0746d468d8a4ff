"""The command line.

Directories on PYTHONPATH are searched last: a user's project may have a module that is named like one of those that
leaseq needs (`selectors.py`, `fire.py`).
"""

import os
import sys

_named = {os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)}
sys.path.sort(key=lambda path: os.path.abspath(path) in _named)
