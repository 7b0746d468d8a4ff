"""`leaseq mcp` where there is no SDK. With one, see tests/clients/test_mcp.py."""

from __future__ import annotations

import pytest

from tests.e2e.cli import Box


@pytest.mark.parametrize("words", [(), ("--allow-changes",)])
def test_without_the_sdk_the_next_step_is_named(box: Box, words: tuple[str, ...]) -> None:
    hidden = box.path / "hidden"
    hidden.mkdir()
    (hidden / "mcp.py").write_text("raise ImportError('not here')\n")
    done = box.run("mcp", *words, env={"PYTHONPATH": str(hidden)}, code=2)
    assert not done.out
    said = "leaseq: the SDK of the Model Context Protocol cannot be imported: not here\n  pip install 'leaseq[mcp]'\n"
    assert done.err == said
