"""Hooks are added, tried and removed; and what became of their last calls."""

from __future__ import annotations

import os
from collections.abc import Sequence

from leaseq.dataclass import dataclass
from leaseq.errors import Malformed, NotFound, UsageError
from leaseq.layout import LeaseDir
from leaseq.lease import homes, leases
from leaseq.models import Event, State
from leaseq.names import new_task_id, valid_name
from leaseq.node import hook as process
from leaseq.protocol import hooks
from leaseq.protocol.hooks import EVENTS, Call, Hook
from leaseq.protocol.notices import Notice, document, environment
from leaseq.protocol.submission import command_of
from leaseq.values import nearest_hint, seconds
from leaseq.verbs.access import Access
from leaseq.world import hostname

TO = "LEASEQ_HOOK_TO"
"""Where a ready hook sends: in its environment, which nobody else sees."""
READY = {
    "desktop": ('notify-send leaseq "$LEASEQ_TEXT"', "notify-send", ""),
    "webhook": (
        'printf \'url = "%s"\\n\' "$LEASEQ_HOOK_TO" | curl -fsS -m 8 -K - -d "$LEASEQ_TEXT"',
        "curl",
        "the URL that gets the text, as of an ntfy topic",
    ),
    "slack": (
        'printf \'url = "%s"\\n\' "$LEASEQ_HOOK_TO" | curl -fsS -m 8 -K - -H "Content-Type: application/json" '
        '-d "{\\"text\\": $LEASEQ_TEXT_JSON}"',
        "curl",
        "the URL of an incoming webhook that takes Slack's form",
    ),
    "mail": (
        'printf "To: %s\\nSubject: %.120s\\n\\n%s\\n" "$LEASEQ_HOOK_TO" "$LEASEQ_TEXT" "$LEASEQ_TEXT" | '
        '"$(command -v sendmail || echo /usr/sbin/sendmail)" -t',
        "sendmail",
        "the address",
    ),
}
"""(the line for bash, the program that it needs, what `--to` says) of each ready hook."""
ON = "failed,lost,empty,ending"
FASTEST_SECONDS = 10


@dataclass(frozen=True)
class Listed:
    """A hook, and how it was called last."""

    hook: Hook | None
    """None: its file cannot be read."""
    name: str
    last: Call | None = None
    lease: str = ""
    node: str = ""
    """Where it was called then."""


def listed(access: Access) -> list[Listed]:
    """Every hook, with its last call by any node of any lease."""
    homes.check_home(access.home)
    last: dict[str, tuple[Call, str, str]] = {}
    for record in leases.list_leases(access.fs, access.home):
        for node, told in hooks.told_in(access.fs, access.home.lease(record.id)).items():
            for name, call in told.calls.items():
                if name not in last or last[name][0].time < call.time:
                    last[name] = call, record.id, node
    found = []
    for name in hooks.names_of(access.fs, access.home):
        try:
            hook: Hook | None = hooks.read(access.fs, access.home, name)
        except (Malformed, FileNotFoundError):
            hook = None
        found.append(Listed(hook, name, *last.get(name, (None, "", ""))))
    return found


def known(access: Access, name: str) -> Hook:
    """The hook of that name; raises NotFound and UsageError."""
    try:
        return hooks.read(access.fs, access.home, name)
    except FileNotFoundError:
        raise NotFound(f"there is no hook {name!r}", hint="`leaseq hook` lists them") from None
    except Malformed as error:
        raise NotFound(f"hook {name!r} cannot be read: {error}", hint="add it again, or remove it") from None


def tried(access: Access, hook: Hook, lease: LeaseDir) -> process.Ended:
    """The hook was called here, with a made-up failure, and `empty`."""
    made_up = Event(
        id=new_task_id(),
        attempt=1,
        state=State.FAILED,
        ended=access.clock.now(),
        node=hostname(),
        name="a test of this hook",
        command="false",
        exit_code=1,
    )
    notices: Sequence[Notice] = [Notice("failed", task=made_up), Notice("empty", "nothing is pending or runs any more")]
    record = leases.read_record(access.fs, lease)
    body = document(hook.name, lease, record, hostname(), notices, now=access.clock.now())
    env = environment(hook, access.home, lease, body, os.environ)
    return process.call(hook.argv, shell=hook.shell, document=body, env=env)


def events(text: str, *, what: str) -> tuple[str, ...]:
    """The events that the words name; raises UsageError."""
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if words == ("none",):
        return ()
    for word in words:
        if word not in EVENTS:
            near = nearest_hint(word, EVENTS)
            raise UsageError(f"{what}: there is no event {word!r}", hint=near or f"one of {', '.join(EVENTS)}, or none")
    if not words:
        raise UsageError(f"{what} names no event", hint=f"one of {', '.join(EVENTS)}, or none")
    return words


def every(text: str, *, what: str) -> float:
    """How often a hook is called at most, in seconds; raises UsageError."""
    found = seconds(text, what=what)
    if found < FASTEST_SECONDS:
        raise UsageError(f"{what} {text}: at least {FASTEST_SECONDS} s", hint="--every 60s")
    return found


def made(
    name: str, command: Sequence[str], *, on: tuple[str, ...], every_seconds: float, ready: str = "", to: str = ""
) -> tuple[Hook, str]:
    """(the hook, not yet there; the program that a ready one needs, else empty); raises UsageError."""
    valid_name(name, what="hook")
    if ready:
        if command:
            raise UsageError("a ready hook brings its own command", hint=f"leaseq hook add {name} --ready {ready}")
        line, program, what = READY[ready]
        if bool(to) != bool(what):
            said = f"--to says {what}" if what else "it sends to this desktop, and takes no --to"
            raise UsageError(f"--ready {ready}: {said}", hint=f"leaseq hook add {name} --ready {ready} --to ...")
        if any(letter in to for letter in '"\\\n\r'):
            raise UsageError(f"--to {to!r} holds what no URL and no address does")
        env = {TO: to} if to else {}
        return Hook(name, argv=(line,), shell=True, env=env, on=on, every_seconds=every_seconds), program
    if to:
        raise UsageError("--to goes with --ready", hint=f"leaseq hook add {name} --ready webhook --to URL")
    argv, shell = command_of(command)
    return Hook(name, argv=argv, shell=shell, on=on, every_seconds=every_seconds), ""


def add(access: Access, hook: Hook) -> None:
    """The hook is there, in the place of one of its name."""
    access.make_home()
    hooks.write(access.fs, access.home, hook)


def remove(access: Access, name: str) -> None:
    """The hook is gone; raises NotFound if there is none of that name."""
    homes.check_home(access.home)
    if not hooks.remove(access.fs, access.home, name):
        raise NotFound(f"there is no hook {name!r}", hint="`leaseq hook` lists them")
