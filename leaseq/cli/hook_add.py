"""`leaseq hook add`: a command hears of what happens in leases."""

from __future__ import annotations

from typing import Any

from leaseq import programs
from leaseq.cli.app import App
from leaseq.cli.command import Command, Option, Words
from leaseq.dataclass import dataclass
from leaseq.errors import UsageError
from leaseq.names import valid_name
from leaseq.protocol import hooks
from leaseq.protocol.hooks import EVENTS, EVERY_SECONDS, Hook
from leaseq.protocol.submission import command_of
from leaseq.values import nearest_hint, seconds

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
class AddHook:
    """A hook that is to be there."""

    hook: Hook
    program: str
    """What a ready one needs; empty: not known."""

    def perform(self, app: App) -> int:
        app.access.make_home()
        hooks.write(app.fs, app.home, self.hook)
        if self.program and programs.found(self.program) is None:
            app.out.talk(f"leaseq: there is no {self.program} here: the nodes must have it")
        on = ", ".join(self.hook.on) or "tasks with --notify alone"
        app.out.talk(
            f"leaseq: hook {self.hook.name} hears of {on}, from now on; runners know of it within a minute\n"
            f"  `leaseq hook test {self.hook.name}` calls it now"
        )
        return 0


def _events(text: str, *, what: str) -> tuple[str, ...]:
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


def _every(text: str, *, what: str) -> float:
    found = seconds(text, what=what)
    if found < FASTEST_SECONDS:
        raise UsageError(f"{what} {text}: at least {FASTEST_SECONDS} s", hint="--every 60s")
    return found


def _request(*, name: str, tail: tuple[str, ...] | None, ready: str, to: str, **fields: Any) -> AddHook:
    valid_name(name, what="hook")
    if ready:
        if tail:
            raise UsageError("a ready hook brings its own command", hint=f"leaseq hook add {name} --ready {ready}")
        line, program, what = READY[ready]
        if bool(to) != bool(what):
            said = f"--to says {what}" if what else "it sends to this desktop, and takes no --to"
            raise UsageError(f"--ready {ready}: {said}", hint=f"leaseq hook add {name} --ready {ready} --to ...")
        if any(letter in to for letter in '"\\\n\r'):
            raise UsageError(f"--to {to!r} holds what no URL and no address does")
        return AddHook(Hook(name, argv=(line,), shell=True, env={TO: to} if to else {}, **fields), program)
    if to:
        raise UsageError("--to goes with --ready", hint=f"leaseq hook add {name} --ready webhook --to URL")
    argv, shell = command_of(tail or ())
    return AddHook(Hook(name, argv=argv, shell=shell, **fields), "")


COMMAND = Command(
    usage="NAME [--on EVENTS] [--every TIME] -- COMMAND... | NAME --ready KIND [--to WHERE]",
    about="A command is called by runners when something happens in any lease of this home: with one JSON document on "
    "stdin, $LEASEQ_TEXT as a line for people, and 10 s of time.\n"
    + "\n".join(f"{event}: {words}" for event, words in EVENTS.items()),
    make=_request,
    words=Words("name", least=1, most=1, ask="what is the hook to be called?", hint="leaseq hook add NAME -- COMMAND"),
    tail=True,
    named=True,
    options=(
        Option(
            "on",
            f"what it hears of: {', '.join(EVENTS)}",
            metavar="EVENTS",
            read=_events,
            default=ON,
            completes="event",
        ),
        Option(
            "every",
            "it is called no more often; what happens meanwhile is told together",
            metavar="TIME",
            read=_every,
            default=f"{EVERY_SECONDS:.0f}",
            field="every_seconds",
        ),
        Option("ready", "a ready one, which needs no command", metavar="KIND", choices=tuple(READY)),
        Option("to", "where a ready one sends: a URL, or an address", metavar="WHERE"),
    ),
    examples=(
        "leaseq hook add desk --ready desktop",
        "leaseq hook add phone --ready webhook --to URL",
        "leaseq hook add log --on done,failed -- 'cat >>~/log'",
    ),
)
