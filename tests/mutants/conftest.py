"""For all tests of mutants."""

from tests.crash.conftest import counted_names as counted_names
from tests.read_once import each_content_is_read_once as each_content_is_read_once
