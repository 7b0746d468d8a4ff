"""`leaseq submit`: a command, or a file of them, becomes tasks. The id is printed once the task is saved."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from leaseq.cli.after import AFTER_OPTIONS, Begin
from leaseq.cli.app import App
from leaseq.cli.changes import (
    CWD,
    ENV,
    NAME,
    NEED_OPTIONS,
    ON_LOST,
    PRIORITY,
    REQUEUE,
    RETRIES,
    SNAPSHOT,
    TASK_DIR,
    need_of,
    refuse_owned,
)
from leaseq.cli.command import Command, Option, Words
from leaseq.cli.here import see_to_capacity
from leaseq.cli.options import GROUP, JSON, LEASE, NO_START, NODE
from leaseq.cli.progress import Progress
from leaseq.cli.sweeping import ARRAY_OPTIONS, content, said, tell_dry_run, with_array
from leaseq.dataclass import dataclass, replace
from leaseq.errors import Unavailable, UsageError
from leaseq.layout import LeaseDir
from leaseq.models import ANY, Array, Need, Task
from leaseq.protocol.edges import After
from leaseq.protocol.submission import (
    chosen_environment,
    command_of,
    commands_in,
    export_words,
    given_names,
    is_shell_line,
)
from leaseq.verbs.submit import Submitted, Wanted, submit, working_directory
from leaseq.words import count

if TYPE_CHECKING:
    from leaseq.sweep import Said


@dataclass(frozen=True)
class Submit:
    """Tasks to be queued, as the line says; nothing of the surroundings is looked at yet."""

    command: tuple[str, ...]
    file: str
    json_lines: str
    lease: str
    node: str
    need: Need
    name: str
    group: str
    env: tuple[str, ...]
    export: str
    cwd: str
    retries: int
    on_lost: str
    requeue: bool
    priority: int
    key: str
    unless_done: bool
    hold: bool
    after: tuple[After, ...]
    on_dep: str
    begin: Begin | None
    task_dir: bool
    notify: bool
    array: Said | None
    """What the line says of indices, if the task runs once for each."""
    snapshot: bool
    dry_run: bool
    start: bool
    json: bool

    def perform(self, app: App) -> int:
        if self.json_lines:
            return self._each(app)
        wanted = self._wanted(app)
        if self.dry_run:
            tell_dry_run(app, wanted.like, list(wanted.commands), json=self.json)
            return 0
        lease = app.access.lease(self.lease, acts=True)
        if self.after or self.begin:
            wanted = replace(wanted, like=replace(wanted.like, after=self._upstreams(app, lease, wanted.like.array)))
        progress = Progress(app.out, "submitting", len(wanted.commands), quiet=self.json)
        try:
            done = submit(app.access, lease, wanted, told=progress.at)
        finally:
            progress.clear()
        return self._done(app, done, len(wanted.commands))

    def _each(self, app: App) -> int:
        """The same, for tasks of which each says what it is."""
        from leaseq.cli.jsonlines import lines_of
        from leaseq.verbs.submit_each import Wrong, submit_each

        text = content(self.json_lines).decode("utf-8", "surrogateescape")
        like = self._wanted(app).like
        lines = lines_of(text, like, priority=self.priority, hold=self.hold)
        lease = app.access.lease(self.lease, acts=True)
        progress = Progress(app.out, "submitting", len(lines.tasks), quiet=self.json)
        try:
            done = submit_each(app.access, lease, lines.tasks, told=progress.at)
        except Wrong as error:
            where = f"line {lines.numbers[error.number]}"
            raise UsageError(f"{where}: {error.message}", hint=f"nothing was submitted; {error.hint}") from None
        finally:
            progress.clear()
        return self._done(app, done, len(lines.tasks))

    def _done(self, app: App, done: Submitted, total: int) -> int:
        """It is said what was queued, and seen to that somebody runs it."""
        try:
            self._tell(app, done)
            if self.key:
                from leaseq.cli.retry import tell_of_first

                new = {entry.id for entry in done.new}
                tell_of_first(app, [each for each in done.ids if each not in new], again=self.unless_done)
        finally:
            if self.start and done.ids:
                see_to_capacity(app, [done.lease], done.record)
        if done.ids:
            self._remark(app, done)
        if done.failure is not None:
            raise _unsaved(done, total)
        return 0

    def _wanted(self, app: App) -> Wanted:
        """What is to be queued, from the line, the file and the surroundings."""
        commands = self._lines()
        environment = chosen_environment(self.export, self.env, os.environ)
        like = Task(
            id="",
            argv=(),
            cwd=_directory(self.cwd, app),
            submitted=0.0,
            need=self.need,
            env=environment,
            export=export_words(self.export),
            env_given=given_names(self.env),
            name=self.name,
            group=self.group,
            node=self.node or ANY,
            retries=self.retries,
            on_lost=self.on_lost,
            requeue=self.requeue,
            umask=app.umask,
            key=self.key,
            on_dep="hold" if self.on_dep == "hold" else "",
            task_dir=self.task_dir,
            notify=self.notify,
        )
        if self.snapshot and not self.dry_run:
            from leaseq.cli.freezing import frozen

            like = frozen(app, like, called=dict.fromkeys(words[0] for words, shell in commands if not shell))
        if self.array:
            argv, shell = commands[0]
            like = with_array(app, replace(like, argv=argv, shell=shell), self.array)
        return Wanted(like, commands, priority=self.priority, hold=self.hold, file=bool(self.file))

    def _upstreams(self, app: App, lease: LeaseDir, array: Array | None) -> tuple[str, ...]:
        """What the tasks are to come after, as their records say it. array: if they are one."""
        from leaseq.protocol.edges import begins_at
        from leaseq.verbs.upstreams import resolve

        found = [up for up, _ in resolve(app.access, lease, self.after, array=array)]
        if self.begin:
            found.append(begins_at(self.begin.at(app.clock.now()), lease))
        return tuple(dict.fromkeys(map(str, found)))

    def _lines(self) -> list[tuple[tuple[str, ...], bool]]:
        if self.json_lines:
            return []
        if not self.file:
            return [command_of(self.command)]
        found = commands_in(content(self.file).decode("utf-8", "surrogateescape"))
        if not found:
            raise UsageError(f"{self.file} holds no task", hint="one command per line; blank lines and # are skipped")
        for line in found:
            if "\0" in line:
                raise UsageError(f"{self.file} is not a text file", hint="one command per line")
        return [((line,), True) if is_shell_line(line) else ((line.strip(),), False) for line in found]

    def _remark(self, app: App, done: Submitted) -> None:
        """A person who watches hears where the new tasks went; everybody, that they are longer than the lease lasts."""
        new, before = done.new, len(done.ids) - len(done.new)
        if sys.stderr.isatty():
            from leaseq.cli.place import place_of

            if before:
                app.out.talk(f"leaseq: {count(before, 'task was', 'tasks were')} submitted before with this key")
            if new:
                app.out.talk(f"leaseq: {place_of(app, done.lease, done.record, new[0], count=len(new))}")
        if new and self.need.time_seconds:
            from leaseq.cli.place import tell_if_too_long

            tell_if_too_long(app, [(done.lease.id, entry.id, self.need) for entry in new])

    def _tell(self, app: App, done: Submitted) -> None:
        if self.json:
            app.out.document({"lease": done.lease.id, "ids": list(done.ids)})
        elif done.ids:
            print("\n".join(done.ids))
        sys.stdout.flush()


def _unsaved(done: Submitted, total: int) -> Unavailable:
    """Why not all tasks were saved."""
    failure, saved = done.failure, len(done.ids)
    assert failure is not None
    if not saved:
        return Unavailable(f"nothing was submitted: {failure.strerror or failure}", hint="free some space, try again")
    return Unavailable(
        f"{saved} of {total} tasks were submitted (their ids are above), then: {failure.strerror}",
        hint=f"submit the lines after the first {saved} again",
    )


def _directory(chosen: str, app: App) -> str:
    path = working_directory(chosen)
    if not os.path.isdir(path):
        app.out.talk(f"leaseq: there is no directory {path} here; the task fails unless its node has it")
    return path


def _request(
    *, words: tuple[str, ...], tail: tuple[str, ...] | None, file: str, export: str, env: tuple[str, ...], **fields: Any
) -> Submit:
    refuse_owned(export, env)
    need = need_of(fields)
    brings = "json-lines" if fields["json_lines"] else "file" if file else ""
    fields["array"] = said(fields, file=file or fields["json_lines"])
    fields["after"] += fields.pop("dependency")
    return Submit(command=_command(words, tail, brings), file=file, need=need, env=env, export=export, **fields)


def _command(words: tuple[str, ...], tail: tuple[str, ...] | None, brings: str) -> tuple[str, ...]:
    """The user's command, whether or not `--` stands before it; nothing if that option brings the commands."""
    if brings:
        if words or tail:
            raise UsageError(f"--{brings} brings the commands: no other can stand beside it")
        return ()
    if tail is not None and words:
        joined = shlex.join([*words, *tail])
        raise UsageError(f"unexpected argument {words[0]!r} before `--`", hint=f"leaseq submit [OPTIONS] -- {joined}")
    command = words if tail is None else tail
    if not command:
        raise UsageError("there is no command", hint="leaseq submit -- COMMAND, or --file TASKS")
    command_of(command)
    return command


COMMAND = Command(
    usage="[OPTIONS] -- COMMAND...",
    about="Queues a command and prints its id, once it is saved to disk. The words after `--` reach the command "
    "exactly as they are; a single word with blanks or shell characters is a line for `bash -c`, as with ssh.\n"
    "With --array, --sweep or --each it is one task that runs once for each index: in its words {i} is the index, "
    "{NAME} a value, {} a line; every other brace stays as it is.\n"
    "A task that names no need runs alone on its node and sees all its GPUs.",
    make=_request,
    words=Words("words"),
    tail=True,
    options=(
        LEASE,
        NODE,
        *NEED_OPTIONS,
        NAME,
        GROUP,
        ENV,
        Option(
            "export", "which environment variables it inherits: ALL, NONE, or A,B,C=1", metavar="WHAT", default="ALL"
        ),
        replace(CWD, help="the directory it runs in (default: this one)"),
        SNAPSHOT,
        TASK_DIR,
        Option("notify", "tell every hook how it ended, whatever else the hook hears of", kind="flag"),
        RETRIES,
        ON_LOST,
        REQUEUE,
        PRIORITY,
        Option("key", "a repeated submit with this key gives the first task's id", metavar="KEY"),
        Option(
            "unless-done",
            "with --key: if that first task has ended and is not DONE, retry it",
            kind="flag",
            goes_with="key",
        ),
        *AFTER_OPTIONS,
        Option("hold", "keep it from starting until `leaseq release`", kind="flag", short="H"),
        Option("file", "one task for each line of FILE, or of stdin (-)", short="f", completes="file"),
        Option(
            "json-lines",
            "one task for each line of FILE, or of stdin (-), a JSON object; options are for what it does not say",
            metavar="FILE",
            completes="file",
            against=("file", "key", "dry-run", "snapshot", "after", "dependency", "begin", "on-dep"),
        ),
        *ARRAY_OPTIONS,
        NO_START,
        JSON,
    ),
    examples=(
        "leaseq submit -- python train.py --lr 1e-3",
        "leaseq submit -- 'python train.py | tee log'",
        "leaseq submit --gpus 1 --time 2h -J probe -- ./probe.sh",
        "leaseq submit --file tasks.txt",
        "leaseq submit --sweep lr=1e-3,3e-4 -- ./train.py {lr}",
        "leaseq submit --after last -- python evaluate.py",
    ),
)
