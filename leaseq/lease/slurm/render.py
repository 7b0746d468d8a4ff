"""Templates to scripts: Jinja2 with delimiters that no shell script contains, checked by `bash -n`.

    #leaseq if prologue         a statement: a line that begins with #leaseq, a comment to bash
    @leaseq{ home | sh }        a value; `sh` quotes it as one word

Jinja's own `{%`, `{{` and `{#` are bash (`${#a[@]}`, awk's braces), and so are most short pairs (`<<`, `<%s>`).
A template is looked for in $LEASEQ_HOME/templates, then in the package; `packaged/NAME` is always the package's,
so that a user's lease.sh.j2 can extend it and replace a block.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import jinja2.sandbox

from leaseq.config import refuse_foreign
from leaseq.errors import Unavailable, UsageError
from leaseq.installation import package_directory
from leaseq.layout import Home

LEASE_SCRIPT = "lease.sh.j2"


def render(home: Home, values: Mapping[str, Any], *, template: str = "") -> str:
    """The script that the lease template makes of the values; bash accepts it. `template` is a file of the user's.

    Raises UsageError that names the template and the line.
    """
    environment = _environment(home, extra=os.path.dirname(os.path.abspath(template)) if template else "")
    name = f"file/{os.path.basename(template)}" if template else LEASE_SCRIPT
    try:
        script = environment.get_template(name).render(**values)
    except jinja2.TemplateNotFound as error:
        raise UsageError(
            f"there is no template {template or error.name}", hint=f"templates are in {home.templates} and {packaged()}"
        ) from None
    except jinja2.TemplateSyntaxError as error:
        raise _bad_template(error.filename or error.name or name, error.lineno, str(error.message)) from None
    except jinja2.TemplateError as error:
        path, line = _place(error, fallback=template or name)
        raise _bad_template(path, line, str(error.message)) from None
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        # An expression in a user's template can fail in any way that Python can.
        path, line = _place(error, fallback=template or name)
        raise _bad_template(path, line, f"{type(error).__name__}: {error}") from None
    check(script, origin=template or f"template {name}")
    return script


def check(script: str, *, origin: str) -> None:
    """Bash can read the script; else UsageError with the line, its text and bash's words."""
    try:
        done = subprocess.run(
            ["/bin/bash", "-n", "/dev/stdin"],
            input=script.encode("utf-8", "surrogateescape"),
            capture_output=True,
            timeout=20,
            check=False,
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "/usr/bin:/bin")},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"/bin/bash cannot check the script of {origin}: {error}") from None
    if done.returncode == 0:
        return
    words = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
    number = _line_number(words[0])
    lines = script.splitlines()
    text = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    raise UsageError(
        f"{origin} makes a script that bash cannot read, at its line {number}: {text}",
        hint=words[0].partition(": ")[2] or words[0],
    )


def snippet(text: str, *, origin: str) -> str:
    """A prologue or epilogue of a setting, alone acceptable to bash, ready to stand in a function."""
    check(text, origin=origin)
    return text.rstrip("\n")


def packaged() -> str:
    """The directory of the packaged templates: in the wheel inside the package, in a checkout beside it."""
    package = package_directory()
    inside = f"{package}/templates"
    return inside if os.path.isdir(inside) else f"{os.path.dirname(package)}/templates"


class _OwnTemplates(jinja2.FileSystemLoader):
    """Templates of the user's, found by their name alone: so nobody else may have put them there."""

    def get_source(self, environment: jinja2.Environment, template: str) -> Any:
        found = super().get_source(environment, template)
        for path in (*map(str, self.searchpath), found[1]):
            refuse_foreign(os.stat(path), path)
        return found


def _environment(home: Home, *, extra: str) -> jinja2.Environment:
    ours = jinja2.FileSystemLoader(packaged())
    loaders: list[jinja2.BaseLoader] = [jinja2.PrefixLoader({"packaged": ours})]
    if extra:
        loaders.append(jinja2.PrefixLoader({"file": jinja2.FileSystemLoader(extra)}))
    loaders += [_OwnTemplates(home.templates), ours]
    environment = jinja2.sandbox.SandboxedEnvironment(
        block_start_string="@leaseq[",
        block_end_string="]@",
        variable_start_string="@leaseq{",
        variable_end_string="}",
        comment_start_string="@leaseq#",
        comment_end_string="#@",
        line_statement_prefix="#leaseq",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.ChoiceLoader(loaders),
    )
    environment.filters["sh"] = quote
    return environment


def quote(value: object) -> str:
    """One word of bash for the value, or one per item of a list."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(shlex.quote(str(item)) for item in value)
    return shlex.quote(str(value))


def _bad_template(path: str, line: int, words: str) -> UsageError:
    return UsageError(f"template {path}, line {line}: {words}", hint=f"the packaged templates are in {packaged()}")


def _place(error: BaseException, *, fallback: str) -> tuple[str, int]:
    """(file, line) of the template that the error comes from; Jinja rewrites its frames to template lines."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith((".j2", ".sh"))]
    return (frames[-1].filename, frames[-1].lineno or 0) if frames else (fallback, 0)


def _line_number(words: str) -> int:
    """The number in bash's `/dev/stdin: line 12: ...`."""
    _, _, rest = words.partition("line ")
    digits = rest.partition(":")[0]
    return int(digits) if digits.isdigit() else 0
