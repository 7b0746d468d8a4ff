"""leaseq's tools, as an agent's client calls them over stdio, with the SDK of the Model Context Protocol."""

import asyncio
import json
import os
import sys
import time

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

BYTES_MAX = 16_000
MANY = 10_000


class Agent:
    """A session, and how many calls it has made."""

    def __init__(self, session):
        self.session, self.calls, self.longest = session, 0, 0

    async def ask(self, tool, **words):
        """(the answer's document or text, whether it is an error)"""
        self.calls += 1
        said = await self.session.call_tool(tool, words)
        (content,) = said.content
        self.longest = max(self.longest, len(content.text.encode()))
        return (content.text, True) if said.is_error else (json.loads(content.text), False)

    async def told(self, tool, **words):
        answer, wrong = await self.ask(tool, **words)
        assert not wrong, answer
        return answer


async def loop(agent, tools):
    """A sweep is submitted, waited for, its failed run found and mended, in few calls."""
    line = "[ {lr} != 0.3 ] || [ -e mended ] || { echo 'RuntimeError: CUDA out of memory' >&2; exit 1; }"
    sweep = await agent.told("submit", command=line, sweep={"lr": [0.1, 0.3, 1]}, cpus=1, name="sweep")
    after = await agent.told("submit", command=["echo", "collected"], after=[sweep["id"]], cpus=1)
    ended = await agent.told("wait", ids=[sweep["id"]], timeout_seconds=120)
    assert (ended["late"], ended["ended"][0]["state"]) == (False, "FAILED"), ended
    found = await agent.told("triage", id=sweep["id"])
    assert found["id"] == f"{sweep['id']}_1" and "a GPU had not enough memory" in found["cause"], found
    assert found["lines"] == "RuntimeError: CUDA out of memory" and f"leaseq retry {sweep['id']}" in found["try"], found
    open("mended", "w").close()
    await agent.told("retry", ids=[sweep["id"]])
    ended = await agent.told("wait", ids=[sweep["id"], after["id"]], timeout_seconds=120)
    assert [each["state"] for each in ended["ended"]] == ["DONE", "DONE"], ended
    assert (await agent.told("logs", id=after["id"]))["out"] == "collected"
    print(agent.calls)


async def acts(agent, tools):
    """Every tool does what it says, and what cannot be is told with the next step."""
    held = (await agent.told("submit", command=["true"], hold=True, cpus=1, group="g", env={"A": "b"}))["id"]
    assert "is held" in (await agent.told("why", id=held))["words"][0]
    changed = await agent.told("change", ids=[held], priority=7, mem="64M")
    assert changed["tasks"][0]["id"] == held
    assert (await agent.told("info", id=held))["need"] == {"cpus": 1, "mem_mb": 64}
    late = await agent.told("wait", ids=[held], timeout_seconds=0.1)
    assert late == {"late": True, "ended": [], "left": [held]}, late
    await agent.told("pause", group="g")
    assert (await agent.told("status"))["paused"] == ["g"]
    await agent.told("release", ids=[held])
    await agent.told("resume", group="g")
    assert (await agent.told("wait", ids=[held], timeout_seconds=60))["ended"][0]["exit_code"] == 0
    slow = (await agent.told("submit", command="sleep 600", cpus=1))["id"]
    pending = (await agent.told("submit", command="true", after=[slow], cpus=1))["id"]
    await agent.told("hold", ids=[pending])
    assert (await agent.told("tasks", states=["pending"]))["tasks"][0]["id"] == pending
    await agent.told("cancel", ids=[slow, pending])
    ended = await agent.told("wait", ids=[slow, pending], timeout_seconds=60)
    assert {each["state"] for each in ended["ended"]} == {"CANCELLED"}, ended
    grouped = (await agent.told("submit", command="true", hold=True, cpus=1, group="some", indices="0-3"))["id"]
    assert len((await agent.told("tasks", ids=["group:some"], states=["pending"]))["tasks"]) == 4
    assert (await agent.told("cancel", ids=[f"{grouped}_1"]))["tasks"][0]["state"] == "CANCELLED"
    assert (await agent.told("cancel", ids=["group:some"]))["tasks"][0]["counts"] == {"CANCELLED": 4}
    (lease,) = (await agent.told("leases"))["leases"]
    assert lease["state"] == "RUNNING", lease
    for tool, words, said in (
        ("info", {"id": "T00000000000"}, "no task 'T00000000000'"),
        ("cancel", {"ids": [slow]}, "has ended already"),
        ("submit", {"command": ["true"], "cpus": 10**5}, "can ever run this"),
        ("submit", {"command": ["true"], "time": "soon"}, "not a duration"),
        ("tasks", {"states": ["dnoe"]}, "did you mean done"),
        ("logs", {"id": held, "stream": "both"}, "no stream"),
    ):
        answer, wrong = await agent.ask(tool, **words)
        assert wrong and said in answer, (tool, answer)
    print("all")


async def many(agent, tools):
    """Whatever is asked of very many tasks, the answer is short; one that is waited for can be given up."""
    import leaseq

    queued = leaseq.submit_many([["sh", "-c", f"exit 3 # {'long ' * 100}"]] * MANY, hold=True, name="x" * 64, cpus=1)
    array = leaseq.submit_array("echo {i} >&2; seq 100000; exit 4", indices=f"0-{MANY - 1}", hold=True, cpus=1)
    some = leaseq.submit_array("seq -f 'é%.0f' 100000; seq 100000 >&2; exit 4", indices="0-2", cpus=1)
    leaseq.wait(some)
    for tool, words in (
        ("status", {}),
        ("leases", {}),
        ("tasks", {"limit": 10**6}),
        ("tasks", {"ids": [array], "limit": 10**6}),
        ("tasks", {"ids": queued[:500], "limit": 10**6}),
        ("tasks", {"states": ["pending"], "limit": 100}),
        ("tasks", {"ids": [some], "states": ["failed"]}),
        ("info", {"id": array}),
        ("info", {"id": queued[0]}),
        ("why", {"id": queued[-1]}),
        ("triage", {"id": some}),
        ("logs", {"id": f"{some}_1", "lines": 10**6}),
        ("wait", {"ids": [*queued[:1000], array], "timeout_seconds": 0}),
    ):
        answer = await agent.told(tool, **words)
        assert answer, tool
    try:
        await asyncio.wait_for(agent.ask("wait", ids=[array], timeout_seconds=500), 1)
    except TimeoutError:
        began = time.monotonic()
        await agent.told("status")
        print(time.monotonic() - began < 30)
    print(agent.longest <= BYTES_MAX)


async def only_looks(agent, tools):
    """What changes something is not there, and nothing is changed."""
    named = {tool.name: tool.annotations.read_only_hint for tool in tools}
    print(*sorted(named), set(named.values()))
    for tool in ("submit", "cancel", "retry", "hold", "release", "change", "pause", "resume"):
        answer, wrong = await agent.ask(tool, ids=["last"], command=["true"])
        assert wrong and "Unknown tool" in answer, answer
    (task,) = (await agent.told("tasks"))["tasks"]
    assert (await agent.told("wait", ids=[task["id"]], timeout_seconds=0))["late"]


async def main(what, *words):
    variables = ("LEASEQ_HOME", "LEASEQ_NODE_DIR", "LEASEQ_READONLY", "PYTHONPATH")
    env = {name: os.environ[name] for name in variables if name in os.environ}
    server = StdioServerParameters(command=sys.executable, args=["-m", "leaseq", "mcp", *words], env=env)
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        about = await session.initialize()
        tools = (await session.list_tools()).tools
        assert about.server_info.name == "leaseq" and "do not look again and again" in about.instructions
        assert all(tool.description and len(tool.description) < 700 for tool in tools)
        await globals()[what](Agent(session), tools)


asyncio.run(main(*sys.argv[1:]))
