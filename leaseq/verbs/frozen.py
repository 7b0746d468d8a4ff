"""Tasks that run in a copy of their repository's tracked files, as those are now or were once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

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


def freeze(access: Access, task: Task) -> Frozen:
    """The tracked files of the task's repository, as they are now, stand in a copy. Raises LeaseqError."""
    with asked_for(access.home, replace(task, origin=None)) as asked:
        origin = asked.answer(access.fs, access.home)
    root = git("rev-parse", "--show-toplevel", cwd=task.cwd).decode().rstrip("\n")
    with objects(root) as made:
        index = made.index("now")
        theirs = git("rev-parse", "--path-format=absolute", "--git-path", "index", cwd=root).decode().rstrip("\n")
        if os.path.exists(theirs):
            shutil.copyfile(theirs, index)  # it knows which files have not changed
        environment = {**made.environment, "GIT_INDEX_FILE": index}
        git("add", "--update", cwd=root, environment=environment)
        tree = git("write-tree", cwd=root, environment=environment).decode().strip()
        commit = git("rev-parse", "HEAD", cwd=root).decode().strip()
        diff = git(*DIFF, commit, tree, cwd=root, environment=environment)
        _check_out(access, root, tree, environment)
    kept = ""
    if diff and len(diff) <= code.BYTES_MAX:
        kept = code.keep(access.fs, access.home, commit, diff)
    origin = replace(origin, root=root, commit=commit, dirty=bool(diff), diff=kept, note="", tree=tree)
    return _placed(access, task, origin)


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
    return _placed(access, task, replace(origin, tree=tree))


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


def _placed(access: Access, task: Task, origin: Origin) -> Frozen:
    top = f"{access.home.trees}/{origin.tree}"
    below = os.path.relpath(os.path.realpath(task.cwd), os.path.realpath(origin.root))
    cwd = os.path.normpath(os.path.join(top, below))
    if below.startswith("..") or not os.path.isdir(cwd):
        raise Refused(
            f"{task.cwd} holds no tracked file: it is not in the copy of {origin.root}",
            hint="untracked files are not copied; `git add` those that are needed",
        )
    remarks = [
        f"{name} is installed from {origin.root} itself: what imports it does not use the copy"
        for name in editable(task.env, origin.root)
    ]
    if os.path.exists(os.path.join(top, ".gitmodules")):
        remarks.append("its submodules are not in the copy")
    return Frozen(cwd, origin, tuple(remarks))


def editable(environment: Mapping[str, str], root: str) -> list[str]:
    """The packages that the active Python environment has from that directory itself (`pip install -e`)."""
    top = environment.get("VIRTUAL_ENV") or environment.get("CONDA_PREFIX")
    if not top:
        return []
    from urllib.parse import unquote, urlsplit

    found = []
    for path in sorted(Path(top).glob("lib/python*/site-packages/*.dist-info/direct_url.json")):
        try:
            said = json.loads(path.read_bytes())
            place = unquote(urlsplit(said["url"]).path)
            if said["dir_info"]["editable"] and os.path.realpath(place).startswith(os.path.realpath(root)):
                found.append(path.parent.name.partition("-")[0])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found
