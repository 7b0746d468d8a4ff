"""Tasks that run in a copy of their repository's tracked files, as those are now or were once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from leaseq import programs
from leaseq.dataclass import dataclass, replace
from leaseq.errors import NotFound, Refused
from leaseq.models import Task
from leaseq.origin import Origin
from leaseq.protocol import code, trees
from leaseq.verbs.access import Access
from leaseq.verbs.code import objects, origin_of, tree_of
from leaseq.verbs.git import git
from leaseq.verbs.origin import DIFF, asked_for


@dataclass(frozen=True)
class Frozen:
    """A copy of the tree of a directory's repository."""

    cwd: str
    """The directory's place in it."""
    origin: Origin
    remarks: tuple[str, ...] = ()
    """What of the repository is not in the copy, or not used from it."""


def freeze(access: Access, task: Task, *, called: Collection[str]) -> Frozen:
    """The tracked files of the task's repository, as they are now, stand in a copy. Raises LeaseqError.

    called: the programs that it runs.
    """
    with asked_for(access.home, replace(task, origin=None), but_differences=True) as asked:
        origin = asked.answer(access.fs, access.home)
    root, commit = git("rev-parse", "--show-toplevel", "HEAD", cwd=task.cwd).decode().rstrip("\n").rsplit("\n", 1)
    with objects(root) as made:
        index = made.index("now")
        theirs = git("rev-parse", "--path-format=absolute", "--git-path", "index", cwd=root).decode().rstrip("\n")
        if os.path.exists(theirs):
            shutil.copy2(theirs, index)  # it knows which files have not changed, by its own time too
        environment = {**made.environment, "GIT_INDEX_FILE": index}
        git("add", "--update", cwd=root, environment=environment)
        tree = git("write-tree", cwd=root, environment=environment).decode().strip()
        diff = git(*DIFF, commit, tree, cwd=root, environment=environment)
        _check_out(access, root, tree, environment)
    kept = ""
    if diff and len(diff) <= code.BYTES_MAX:
        kept = code.keep(access.fs, access.home, commit, diff)
    origin = replace(origin, root=root, commit=commit, dirty=bool(diff), diff=kept, note="", tree=tree)
    return _placed(access, task, origin, called)


def thaw(access: Access, task: Task) -> Frozen:
    """The tracked files, as they were when the task was submitted, stand in a copy. Raises LeaseqError."""
    origin = origin_of(task, task.id)
    if not Path(origin.root).is_dir():
        raise NotFound(f"the repository {origin.root} is not here")
    with objects(origin.root) as made:
        tree = tree_of(access, task.id, origin, made)
        if not os.path.isdir(f"{access.home.trees}/{tree}"):
            _check_out(access, origin.root, tree, {**made.environment, "GIT_INDEX_FILE": made.index(task.id)})
    if origin.tree:
        task = replace(task, cwd=task.cwd.replace(f"{access.home.trees}/{origin.tree}", origin.root, 1))
    return _placed(access, task, replace(origin, tree=tree), () if task.shell else task.argv[:1])


def _check_out(access: Access, root: str, tree: str, environment: dict[str, str]) -> None:
    """The tree, which is that of the index, stands in a copy."""
    home = access.home
    access.fs.mkdir(home.trees)
    hidden = trees.hidden_of(home, tree)
    access.fs.mkdir(hidden)
    try:
        git("checkout-index", "--all", f"--prefix={hidden}/", cwd=root, environment=environment)
        names = git("ls-files", "-z", cwd=root, environment=environment).split(b"\0")
        listed = trees.listing(hidden, [os.fsdecode(name) for name in names if name])
        trees.show(access.fs, home, hidden, tree, listed)
    except BaseException:
        access.fs.remove_tree(hidden)
        raise


def _placed(access: Access, task: Task, origin: Origin, called: Collection[str]) -> Frozen:
    top = f"{access.home.trees}/{origin.tree}"
    below = os.path.relpath(os.path.realpath(task.cwd), os.path.realpath(origin.root))
    cwd = os.path.normpath(os.path.join(top, below))
    if below.startswith("..") or not os.path.isdir(cwd):
        raise Refused(
            f"{task.cwd} holds no tracked file: it is not in the copy of {origin.root}",
            hint="untracked files are not copied; `git add` those that are needed",
        )
    for program in called:
        there, own = (os.path.join(directory, program) for directory in (task.cwd, cwd))
        if "/" in program and os.path.exists(there) and not os.path.exists(own):
            hint = f"name it by its whole path: {os.path.abspath(there)}"
            raise Refused(f"{program} is not tracked: it is not in the copy", hint=hint)
    remarks = [f"{what}: what imports it does not use the copy" for what in past_the_copy(task, called, origin.root)]
    if os.path.exists(os.path.join(top, ".gitmodules")):
        remarks.append("its submodules are not in the copy")
    return Frozen(cwd, origin, tuple(remarks))


def past_the_copy(task: Task, called: Collection[str], root: str) -> list[str]:
    """By what the task's Python finds modules in that directory itself, in words. called: the programs that it runs."""
    found = [f"PYTHONPATH names {each}" for each in task.env.get("PYTHONPATH", "").split(":") if _is_in(each, root)]
    for site in dict.fromkeys(site for top in _environments(task, called) for site in Path(top).glob(SITE)):
        editable = sorted(filter(None, (_editable(path, root) for path in site.glob("*.dist-info/direct_url.json"))))
        found += [f"{name} is installed from {root} itself" for name in editable]
        # What older tools installed so has no other mark; what pip did has both.
        paths = sorted(site.glob("*.pth")) if not editable else []
        found += [f"{path} names {root} itself" for path in paths if _names(path, root)]
    return found


SITE = "lib/python*/site-packages"


def _environments(task: Task, called: Collection[str]) -> Iterator[str]:
    """The Python environments that the task may use: the active one, and that of the Python that it calls."""
    yield from filter(None, (task.env.get(name) for name in ("VIRTUAL_ENV", "CONDA_PREFIX")))
    for path in (*(each for each in called if "/" in each), programs.found("python", task.env)):
        top = Path(task.cwd, path).parent.parent if path else None
        if top and (top / "pyvenv.cfg").exists():
            yield str(top)


def _editable(path: Path, root: str) -> str:
    """The name of the package that was installed with `pip install -e` from that directory; empty if it was not."""
    from urllib.parse import unquote, urlsplit

    try:
        said = json.loads(path.read_bytes())
        own = said["dir_info"]["editable"] and _is_in(unquote(urlsplit(said["url"]).path), root)
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return path.parent.name.partition("-")[0] if own else ""


def _names(path: Path, root: str) -> bool:
    try:
        return any(_is_in(line.strip(), root) for line in path.read_text("utf-8", "replace").splitlines())
    except (OSError, ValueError):
        return False


def _is_in(place: str, root: str) -> bool:
    top = os.path.realpath(root)
    return os.path.isabs(place) and os.path.commonpath([os.path.realpath(place), top]) == top
