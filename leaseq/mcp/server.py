"""A server of the tools on stdio, by the official SDK, which is imported here alone and by whoever starts it."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Awaitable, Callable
from typing import Any

from leaseq import __version__
from leaseq.commands import READONLY, readonly
from leaseq.errors import LeaseqError, Malformed, UsageError
from leaseq.mcp.documents import Document, text_of
from leaseq.mcp.tools import CHANGES, ENDING, LOOKS

INSTRUCTIONS = """\
leaseq runs commands, parameter sweeps and experiments from a queue, on GPUs or Slurm nodes that it holds (leases), or
on this host. Tasks go on when this session ends. `wait` waits: do not look again and again. `triage` says what went
wrong, `retry` runs it again under its own id."""
ONLY_LOOKS = "\nThis server only looks: `leaseq mcp --allow-changes` has tools that submit, cancel and retry."


def serve(*, changes: bool) -> None:
    """The tools are served until stdin ends; those that change something with `changes`, unless that is forbidden.

    Raises UsageError if there is no SDK.
    """
    try:
        from mcp.server.mcpserver import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
        from mcp.types import ToolAnnotations
    except ImportError as error:
        raise UsageError(
            f"the SDK of the Model Context Protocol cannot be imported: {error}", hint="pip install 'leaseq[mcp]'"
        ) from None
    changes = changes and not readonly()
    if not changes:
        os.environ[READONLY] = "1"  # whatever a tool does, nothing is changed
    said = INSTRUCTIONS + ("" if changes else ONLY_LOOKS)
    server = MCPServer("leaseq", version=__version__, instructions=said, log_level="WARNING")
    for tool in (*LOOKS, *(CHANGES if changes else ())):
        looks = tool in LOOKS
        server.add_tool(
            _answering(tool, ToolError),
            name=tool.__name__,
            description=inspect.getdoc(tool),
            annotations=ToolAnnotations(
                read_only_hint=looks, destructive_hint=tool in ENDING, idempotent_hint=looks, open_world_hint=False
            ),
            structured_output=False,
        )
    server.run("stdio")


def _answering(tool: Callable[..., Any], refused: type[Exception]) -> Callable[..., Any]:
    """The tool, with its answer as text; what cannot be done is said with the next step."""

    def said(error: Exception) -> Exception:
        hint = error.hint if isinstance(error, LeaseqError) else ""
        return refused(f"{error}\n  {hint}" if hint else str(error))

    @functools.wraps(tool)
    def answer(**words: Any) -> str:
        try:
            found: Document = tool(**words)
        except (LeaseqError, Malformed, OSError) as error:
            raise said(error) from error
        return text_of(found)

    @functools.wraps(tool)
    async def answer_later(**words: Any) -> str:
        awaited: Awaitable[Document] = tool(**words)
        try:
            found = await awaited
        except (LeaseqError, Malformed, OSError) as error:
            raise said(error) from error
        return text_of(found)

    return answer_later if inspect.iscoroutinefunction(tool) else answer
