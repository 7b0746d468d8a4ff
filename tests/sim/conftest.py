"""For all simulations."""

from tests.read_once import each_content_is_read_once as each_content_is_read_once
