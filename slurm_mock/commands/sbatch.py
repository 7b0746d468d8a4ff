"""sbatch: the script is copied, the job is pending, its id is printed."""

import os
import sys
import time

from slurm_mock import array, grammar, request, units
from slurm_mock.client import Client
from slurm_mock.errors import HINTS
from slurm_mock.hostlist import compress
from slurm_mock.records import Request, to_json

WAIT_SECONDS = 0.1
NO_SHEBANG = """This does not look like a batch script.  The first
line must start with #! followed by the path to an interpreter.
For instance: #!/bin/sh"""


def main(client: Client, argv: list[str]) -> int:
    parser = grammar.Parser("sbatch", grammar.SBATCH)
    given, rest = parser.parse(argv)
    if rest[:1] == [":"]:
        client.fail("heterogeneous jobs: not supported by slurm_mock")
    script, name = _script(client, given, rest)
    words, surplus = _directives(client, parser, script)
    options = {**words, **grammar.from_environment(dict(os.environ), "SBATCH_", parser), **given}
    if surplus:
        client.fail(f"Invalid directive found in batch script: {surplus[0]}", 255)
    asked = client.asked(options, batch=True, name=name)
    asked.arguments = rest[1:]
    asked.command = "" if "wrap" in given or not rest else " ".join([os.path.abspath(rest[0]), *rest[1:]])
    environ = request.environment(dict(os.environ), options.get("export", ""))
    environ |= request.request_variables(asked, options)
    return _submit(client, options, asked, script, environ)


def _submit(client: Client, options: dict[str, str], asked: Request, script: str, environ: dict[str, str]) -> int:
    message = {"op": "submit", "request": to_json(asked), "script": script, "env": environ}
    reply = client.ask({**message, "test_only": "test-only" in options})
    if "error" in reply:
        error = reply["error"]
        if "test-only" in options:
            # Measured: without the command's name before it.
            before = [f"sbatch: error: invalid partition specified: {asked.partition}"] if error == "partition" else []
            print(*before, f"allocation failure: {client.words(reply)}", sep="\n", file=sys.stderr)
            return 1
        if error == "partition":
            client.say(f"error: invalid partition specified: {asked.partition}")
        if error in HINTS:
            client.say(f"error: {HINTS[error]}")
        client.fail(f"Batch job submission failed: {client.words(reply)}")
    if "test-only" in options:
        where = compress(reply["nodes"])
        start = units.stamp(reply["start"])
        client.say(
            f"Job {reply['job']} to start at {start} using {reply['cpus']} processors on nodes {where} "
            f"in partition {asked.partition}"
        )
        return 0
    if "parsable" in options:
        print(reply["job"])
    elif "quiet" not in options:
        print(f"Submitted batch job {reply['job']}")
    sys.stdout.flush()
    return _wait(client, reply["job"]) if "wait" in options else 0


def _wait(client: Client, job_id: int) -> int:
    """The exit code of the job, or the highest of an array's tasks."""
    codes: dict[int, int] = {}
    while True:
        jobs = [job for job in client.cluster.jobs() if array.owns(job, job_id)]
        codes |= {job.id: 128 + job.exit_signal if job.exit_signal else job.exit_code for job in jobs}
        if not any(job.listed for job in jobs):
            return max(codes.values(), default=1)
        time.sleep(WAIT_SECONDS)


def _script(client: Client, given: dict[str, str], rest: list[str]) -> tuple[str, str]:
    """(text, default job name)."""
    if "wrap" in given:
        if rest:
            client.fail("Script arguments not permitted with --wrap option")
        return f"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{given['wrap']}\n", "wrap"
    if rest:
        try:
            with open(rest[0], encoding="utf-8", errors="surrogateescape") as stream:
                text = stream.read()
        except OSError:
            client.fail(f"Unable to open file {rest[0]}")
    else:
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    if not text:
        client.fail("Batch script is empty!")
    if not text.startswith("#!"):
        client.fail(NO_SHEBANG)
    if "\r\n" in text:
        client.fail("Batch script contains DOS line breaks (\\r\\n)\ninstead of expected UNIX line breaks (\\n).")
    return text, os.path.basename(rest[0]) if rest else "sbatch"


def _directives(client: Client, parser: grammar.Parser, script: str) -> tuple[dict[str, str], list[str]]:
    try:
        return parser.parse(grammar.directives(script))
    except ValueError as error:
        client.fail(f"Invalid directive found in batch script: {error}", 255)
