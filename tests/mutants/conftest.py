"""For all tests of mutants."""

from tests.crash.conftest import counted_names as counted_names
