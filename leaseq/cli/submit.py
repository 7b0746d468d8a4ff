"""`leaseq submit`: a command, or a file of them, becomes tasks. The id is printed once the task is saved."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, replace

from leaseq.cli.app import App
from leaseq.cli.changes import (
    AGAIN_OPTIONS,
    ENV,
    NAME,
    NEED_OPTIONS,
    PRIORITY,
    need_of,
    on_lost_of,
    priority_of,
    refuse_owned,
    retries_of,
)
from leaseq.cli.command import Command, Option
from leaseq.cli.fits import refuse_impossible, refuse_strange_node
from leaseq.cli.here import start_if_none
from leaseq.cli.options import JSON, LEASE, NO_START
from leaseq.cli.progress import Progress
from leaseq.cli.retry import tell_of_first
from leaseq.cli.values import listed, yes
from leaseq.errors import Unavailable, UsageError
from leaseq.layout import Entry, LeaseDir, valid_name
from leaseq.lease.host import LocalBackend, refuse_if_forbidden, user_name
from leaseq.lease.leases import living, local_id
from leaseq.models import ANY, Lease, Need, Task
from leaseq.protocol import keys, records, tasks
from leaseq.protocol.submission import (
    chosen_environment,
    command_of,
    commands_in,
    entries,
    export_words,
    given_names,
    is_shell_line,
    publish_batch,
)
from leaseq.words import count
from leaseq.world import hostname

OPTIONS = (
    LEASE,
    Option("node", "run on this node only", short="w", metavar="NODE"),
    *NEED_OPTIONS,
    NAME,
    ENV,
    Option("export", "what of this environment it gets: ALL (default), NONE, or A,B,C=1", metavar="WHAT"),
    Option("cwd", "the directory it runs in (default: this one)", short="D", metavar="DIR"),
    *AGAIN_OPTIONS,
    PRIORITY,
    Option("key", "a repeated submit with this key gives the first task's id", metavar="KEY"),
    Option("unless-done", "with --key: if that first task has ended and is not DONE, retry it", kind="flag"),
    Option("hold", "keep it from starting until `leaseq release`", kind="flag", short="H"),
    Option("file", "one task for each line of FILE, or of stdin (-)", short="f", metavar="FILE"),
    NO_START,
    JSON,
)


@dataclass(frozen=True)
class Submit:
    """Tasks to be queued, as the line says; nothing of the surroundings is looked at yet."""

    command: tuple[str, ...]
    file: str
    lease: str
    node: str
    need: Need
    name: str
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
    start: bool
    json: bool

    def perform(self, app: App) -> int:
        lines = self._lines()
        environment = chosen_environment(self.export, self.env, os.environ)
        cwd = _directory(self.cwd, app)
        backend = LocalBackend(app.fs, app.home, clock=app.clock)
        lease, record = self._lease(app, backend)
        now = app.clock.now()
        named = entries(len(lines), need=self.need, priority=self.priority, now=now)
        first = Task(
            id="",
            argv=(),
            cwd=cwd,
            submitted=now,
            need=self.need,
            env=environment,
            export=export_words(self.export),
            env_given=given_names(self.env),
            name=self.name,
            node=self.node or ANY,
            retries=self.retries,
            on_lost=self.on_lost,
            requeue=self.requeue,
            umask=app.umask,
            key=self.key,
            user=user_name(),
            host=hostname(),
        )
        batch = [
            (entry, replace(first, id=entry.id, argv=argv, shell=shell))
            for entry, (argv, shell) in zip(named, lines, strict=True)
        ]
        progress = Progress(app.out, "submitting", len(batch), quiet=self.json)
        try:
            ids, failure = self._publish(app, lease, batch, progress)
        finally:
            progress.clear()
        try:
            self._tell(app, lease, ids)
            if self.key:
                known = {entry.id for entry, _ in batch}
                tell_of_first(app, [each for each in ids if each not in known], again=self.unless_done)
        finally:
            if self.start and ids and record.kind == "local" and lease.id == local_id():
                start_if_none(app, backend)
        if ids:
            new = [entry for entry, task_id in zip(named, ids, strict=False) if entry.id == task_id]
            self._remark(app, lease, record, new, before=len(ids) - len(new))
        if failure is not None:
            raise Unavailable(
                f"{len(ids)} of {len(batch)} tasks were submitted (their ids are above), then: {failure.strerror}"
                if ids
                else f"nothing was submitted: {failure.strerror or failure}",
                hint=f"submit the lines after the first {len(ids)} again" if ids else "free some space, try again",
            )
        return 0

    def _lines(self) -> list[tuple[tuple[str, ...], bool]]:
        if not self.file:
            return [command_of(self.command)]
        try:
            if self.file == "-":
                data = sys.stdin.buffer.read()
            else:
                with open(self.file, "rb") as file:
                    data = file.read()
        except OSError as error:
            raise UsageError(f"cannot read {self.file}: {error.strerror}") from None
        found = commands_in(data.decode("utf-8", "surrogateescape"))
        if not found:
            raise UsageError(f"{self.file} holds no task", hint="one command per line; blank lines and # are skipped")
        for line in found:
            if "\0" in line:
                raise UsageError(f"{self.file} is not a text file", hint="one command per line")
        return [((line,), True) if is_shell_line(line) else ((line.strip(),), False) for line in found]

    def _lease(self, app: App, backend: LocalBackend) -> tuple[LeaseDir, Lease]:
        """The lease, which can take the tasks. A submit that is refused has made nothing."""
        lease = app.lease(self.lease)
        here = lease.id == local_id()
        if here:
            refuse_if_forbidden(app.home)
        found = backend.record() if here else app.record(lease)
        nodes = (backend.node,) if found is None else living(found).nodes
        refuse_strange_node(lease, nodes, self.node)
        refuse_impossible(app, lease, (self.node,) if self.node else nodes, self.need)
        record = found or backend.ensure()
        if self.node and self.node not in nodes:
            records.prepare_node(app.fs, lease, self.node)
        return lease, record

    def _publish(
        self, app: App, lease: LeaseDir, batch: list[tuple[Entry, Task]], progress: Progress
    ) -> tuple[list[str], OSError | None]:
        node = self.node or ANY
        directory = lease.held(node) if self.hold else lease.inbox(node)
        if not self.key:
            if len(batch) == 1:
                tasks.publish(app.fs, directory, *batch[0])
                return [batch[0][0].id], None
            published = publish_batch(app.fs, directory, batch, at=progress.at)
            return published.ids, published.failure
        ids: list[str] = []
        for number, (entry, task) in enumerate(progress.over(batch)):
            digest = _digest(self.key, number, task, single=not self.file)
            try:
                ids.append(keys.publish_once(app.fs, lease, digest, directory, entry, task))
            except OSError as error:
                return ids, error
        return ids, None

    def _remark(self, app: App, lease: LeaseDir, record: Lease, new: list[Entry], *, before: int) -> None:
        """Whoever watches hears where the new tasks went; anybody that they do not fit into what the lease has left."""
        if sys.stderr.isatty():
            from leaseq.cli.place import place_of

            if before:
                app.out.talk(f"leaseq: {count(before, 'task was', 'tasks were')} submitted before with this key")
            if new:
                app.out.talk(f"leaseq: {place_of(app, lease, record, new[0], count=len(new))}")
        if new and self.need.time_seconds:
            from leaseq.cli.place import tell_if_too_long

            tell_if_too_long(app, [(lease.id, entry.id, self.need) for entry in new])

    def _tell(self, app: App, lease: LeaseDir, ids: list[str]) -> None:
        if self.json:
            app.out.document({"lease": lease.id, "ids": ids})
        elif ids:
            print("\n".join(ids))
        sys.stdout.flush()


def _digest(key: str, number: int, task: Task, *, single: bool) -> str:
    """The file name of a key; in a file of tasks each line has its own, so that a grown file adds what is new."""
    import hashlib

    text = key if single else f"{key}\0{number}\0{task.argv[0]}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:40]


def _directory(chosen: str, app: App) -> str:
    try:
        here = os.getcwd()
    except FileNotFoundError:
        here = ""
    if not here and not os.path.isabs(chosen):
        raise UsageError("the current directory does not exist any more", hint="cd to one that does, or name it: --cwd")
    logical = os.environ.get("PWD", "")
    try:
        if not chosen and os.path.isabs(logical) and os.path.samefile(logical, here):
            # The path that the person sees is the one that every node has; its real one may be a mount of this host.
            return logical
    except OSError:
        pass
    path = os.path.normpath(os.path.join(here, os.path.expanduser(chosen)))
    if not os.path.isdir(path):
        app.out.talk(f"leaseq: there is no directory {path} here; the task fails unless its node has it")
    return path


class Submitting:
    """Fire's component of `submit`."""

    tail: tuple[str, ...] | None = None

    def submit(
        self,
        *words: str,
        lease: str = "",
        node: str = "",
        gpus: str = "",
        cpus: str = "",
        mem: str = "",
        time: str = "",
        name: str = "",
        env: str = "",
        export: str = "",
        cwd: str = "",
        retries: str = "",
        on_lost: str = "",
        requeue: str = "",
        priority: str = "",
        key: str = "",
        unless_done: str = "",
        hold: str = "",
        file: str = "",
        start: str = "true",
        json: str = "",
    ) -> Submit:
        pairs = tuple(listed(env))
        refuse_owned(export, pairs)
        if yes(unless_done, what="--unless-done") and not key:
            raise UsageError("--unless-done goes with --key", hint="leaseq submit --key KEY --unless-done -- COMMAND")
        return Submit(
            command=self._command(words, file),
            file=file,
            lease=lease,
            node=valid_name(node, what="node") if node else "",
            need=need_of(gpus, cpus, mem, time),
            name=name,
            env=pairs,
            export=export or "ALL",
            cwd=cwd,
            retries=retries_of(retries),
            on_lost=on_lost_of(on_lost),
            requeue=yes(requeue, what="--requeue"),
            priority=priority_of(priority),
            key=key,
            unless_done=yes(unless_done, what="--unless-done"),
            hold=yes(hold, what="--hold"),
            start=yes(start, what="--start"),
            json=yes(json, what="--json"),
        )

    def _command(self, words: tuple[str, ...], file: str) -> tuple[str, ...]:
        tail = self.tail
        if file:
            if words or tail:
                raise UsageError("--file brings the commands: no other can stand beside it")
            return ()
        if tail is not None and words:
            joined = shlex.join([*words, *tail])
            raise UsageError(
                f"unexpected argument {words[0]!r} before `--`", hint=f"leaseq submit [OPTIONS] -- {joined}"
            )
        command = words if tail is None else tail
        if not command:
            raise UsageError("there is no command", hint="leaseq submit -- COMMAND, or --file TASKS")
        command_of(command)
        return command


COMMANDS = {
    "submit": Command(
        Submitting,
        "submit",
        "[OPTIONS] -- COMMAND...",
        "Queues a command and prints its id, once it is saved to disk. The words after `--` reach the command exactly "
        "as they are; a single word with blanks or shell characters is a line for `bash -c`, as with ssh.\n"
        "A task that names no need runs alone on its node and sees all its GPUs.",
        OPTIONS,
        (
            "leaseq submit -- python train.py --lr 1e-3",
            "leaseq submit -- 'python train.py | tee log'",
            "leaseq submit --gpus 1 --time 2h -J probe -- ./probe.sh",
            "leaseq submit --file tasks.txt",
        ),
        tail=True,
    )
}
