"""What commands do there is a function for: `import leaseq` gives one for every command but those named here."""

from __future__ import annotations

import inspect
import re

import pytest

import leaseq
from leaseq.commands import COMMANDS
from tests.e2e.harness import ROOT

FUNCTIONS = {
    "submit": ("submit", "submit_many", "submit_array", "Executor"),
    "add": ("add", "wait_for_lease"),
    "status": ("snapshot",),
    "tasks": ("tasks", "task", "index_rows"),
    "info": ("details", "outcome"),
    "why": ("why",),
    "triage": ("triage",),
    "diff": ("diff",),
    "logs": ("log", "last_error"),
    "follow": ("follow",),
    "wait": ("wait", "future", "results"),
    "cancel": ("cancel",),
    "hold": ("hold",),
    "release": ("release",),
    "set": ("change",),
    "signal": ("send_signal",),
    "pause": ("pause",),
    "resume": ("resume",),
    "group": ("groups", "set_parallel"),
    "redo": ("redo",),
    "retry": ("retry",),
    "recover": ("recover",),
    "lease ls": ("leases",),
    "lease info": ("lease_info",),
    "lease use": ("use_lease",),
    "lease idle": ("idle_lease",),
    "lease release": ("release_lease",),
    "lease keep": ("keep_lease",),
    "lease scale": ("scale_lease", "scaling"),
    "lease hold-queue": ("hold_queue",),
    "lease adopt": ("adopt_lease",),
    "move": ("move",),
    "ssh-config": ("ssh_config",),
    "daemon start": ("start_runner",),
    "daemon stop": ("stop_runner",),
    "daemon status": ("host_runner",),
    "daemon restart": ("start_runner",),
    "report": ("report",),
    "clean": ("clean",),
    "hook ls": ("hooks",),
    "hook add": ("add_hook",),
    "hook test": ("try_hook",),
    "hook remove": ("remove_hook",),
    "doctor": ("doctor",),
    "config show": ("settings",),
}
WITHOUT = {
    "init": "asks a person questions",
    "tui": "a person looks at it",
    "edit": "a person types in an editor: `change` is for programs",
    "shell": "a person's terminal: what a program wants to run there it submits",
    "forward": "lasts as long as somebody uses it, at a terminal",
    "mcp": "a server for a client that starts it",
    "skill": "a text for agents, not a value",
    "completion": "a text for shells, not a value",
}
"""Commands that make no sense from a program, and why."""
VALUES = {"Future", "Results", "Lost", "RemoteError", "RemoteTraceback", "TaskFailed", "TaskTimeout", "LeaseqError"}
VALUES |= {"Outcome", "State", "__version__"}
FOR_OTHERS = {"register_joblib"}
"""What is there for another library, and no command's."""


def test_every_command_has_a_function_or_a_reason_why_it_has_none() -> None:
    assert FUNCTIONS.keys() | WITHOUT.keys() == COMMANDS.keys()
    assert not FUNCTIONS.keys() & WITHOUT.keys()
    assert {name for names in FUNCTIONS.values() for name in names} == set(leaseq.__all__) - VALUES - FOR_OTHERS


@pytest.mark.parametrize("name", sorted({name for names in FUNCTIONS.values() for name in names} - {"Executor"}))
def test_a_function_is_documented_typed_and_named_on_the_page(name: str) -> None:
    function = getattr(leaseq, name)
    signature = inspect.signature(function)
    assert inspect.getdoc(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(each.annotation is not inspect.Parameter.empty for each in signature.parameters.values())
    page = (ROOT / "docs" / "python.md").read_text().partition("\n## Functions\n")[2].partition("\n## ")[0]
    assert re.search(rf"`(?:leaseq\.)?{name}\b", page), f"docs/python.md, Functions, does not name {name}"


@pytest.mark.parametrize("command", sorted(name for name in FUNCTIONS if COMMANDS[name].changes))
def test_a_function_that_changes_something_asks_whether_it_may(command: str) -> None:
    """Its module asks by the command's name, so that LEASEQ_READONLY refuses it with that."""
    acts = [getattr(leaseq, name) for name in FUNCTIONS[command] if name not in ("Executor", "wait_for_lease")]
    sources = "\n".join(inspect.getsource(inspect.getmodule(act) or act) for act in acts)
    if command == "submit":  # in `lease_of`, which everything that queues asks for a lease
        from leaseq.api import queueing

        sources = inspect.getsource(queueing)
    assert re.search(rf'(?:allow|_each)\([^)]*"{command}"', sources)
