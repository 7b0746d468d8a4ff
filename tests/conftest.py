"""For all tests: Hypothesis tries the same examples each time, untimed; LEASEQ_HYPOTHESIS=long tries many new ones."""

from __future__ import annotations

import os

from hypothesis import settings

LONG = os.environ.get("LEASEQ_HYPOTHESIS") == "long"

settings.register_profile(
    "leaseq", derandomize=not LONG, database=None, deadline=None, max_examples=2000 if LONG else 40
)
settings.load_profile("leaseq")
