"""Copies of trees in which tasks run: `HOME/trees/TREE` is whole once it is there, and `TREE.files` says what it was.

Tasks may write in a copy: it is removed only if that has left nothing of its own there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from leaseq.forms import Form
from leaseq.layout import Home
from leaseq.protocol import files
from leaseq.world import Fs

TREE = Form(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
LIST = ".files"
_DERIVED = "__pycache__"
"""What Python makes beside a program stands for nothing."""


def hidden_of(home: Home, tree: str) -> str:
    """Where that copy is made, by this process, before it is shown."""
    return files.hidden(home.trees) + f".{tree}"


def show(fs: Fs, home: Home, hidden: str, tree: str, listed: bytes) -> str:
    """The copy stands at its place, which is given; if it stood there before, that one stays."""
    path = f"{home.trees}/{tree}"
    files.replace_file(fs, path + LIST, listed)
    try:
        fs.rename(hidden, path)
    except OSError:
        if not os.path.isdir(path):
            raise
        fs.remove_tree(hidden)
    fs.sync_dir(home.trees)
    return path


def stale(fs: Fs, home: Home, *, seconds: float) -> list[str]:
    """The ids of trees that were made, or asked for, longer ago than that."""
    found = fs.older(home.trees, seconds=seconds, hidden=False)
    names = [path.rpartition("/")[2] for path in found if path.endswith(LIST)]
    return [name.removesuffix(LIST) for name in names if TREE.fullmatch(name.removesuffix(LIST))]


def own_files(fs: Fs, home: Home, tree: str) -> Iterator[str]:
    """What stands in the copy that is not, or not as it was, of its tree, by path."""
    root = f"{home.trees}/{tree}"
    listed = dict(_listed(files.content(fs, root + LIST)))
    for directory, names, others in os.walk(root):
        names[:] = [name for name in names if name != _DERIVED]
        for name in others:
            path = os.path.join(directory, name)
            about = os.lstat(path)
            size = listed.get(os.path.relpath(path, root))
            if size is None or (stat.S_ISREG(about.st_mode) and about.st_size != size):
                yield path


def remove(fs: Fs, home: Home, tree: str) -> None:
    """The copy is gone."""
    fs.remove_tree(f"{home.trees}/{tree}")
    files.discard(fs, f"{home.trees}/{tree}{LIST}")


def listing(root: str, names: list[str]) -> bytes:
    """The files of a copy with their sizes, as they are kept."""
    lines = []
    for name in names:
        try:
            size = os.lstat(os.path.join(root, name)).st_size
        except FileNotFoundError:
            continue  # a submodule: a directory that is not filled
        lines.append(f"{size} ".encode() + os.fsencode(name))
    return b"\0".join(lines)


def _listed(data: bytes) -> Iterator[tuple[str, int]]:
    for line in data.split(b"\0"):
        size, _, name = line.partition(b" ")
        if size.isdigit():
            yield os.fsdecode(name), int(size)
