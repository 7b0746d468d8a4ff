"""The command line.

What PYTHONPATH names is looked at last by it: a user's project may have a module of the name of one that this needs
(`selectors.py`, `fire.py`), and nothing of the project is wanted here.
"""

import os
import sys

_named = {os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)}
sys.path.sort(key=lambda path: os.path.abspath(path) in _named)
