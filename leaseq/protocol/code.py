"""What tracked files differed in when tasks were submitted: one file for each distinct difference, for all leases.

`HOME/code/DIGEST.diff.gz` is written once, before the first task that names it, and never changes.
"""

from __future__ import annotations

from leaseq.errors import Malformed
from leaseq.forms import Form
from leaseq.layout import Home
from leaseq.protocol import files
from leaseq.world import Fs

_NAME = Form(r"[0-9a-f]{40}")
ENDING = ".diff.gz"
_GZIP = 31
"""zlib's word for gzip's form."""
BYTES_MAX = 4 << 20
"""So much of a difference is kept at most, before it is packed."""


def keep(fs: Fs, home: Home, commit: str, diff: bytes) -> str:
    """The difference from the commit is kept, durably; its name. Raises OSError."""
    import hashlib

    name = hashlib.sha256(commit.encode() + b"\0" + diff).hexdigest()[:40]
    path = f"{home.code}/{name}{ENDING}"
    try:
        if fs.read_range(path, 0, 0)[1]:
            return name
    except FileNotFoundError:
        fs.mkdir(home.code)
    import zlib

    packed = zlib.compressobj(wbits=_GZIP)
    files.replace_file(fs, path, packed.compress(diff) + packed.flush())
    return name


def kept(fs: Fs, home: Home, name: str) -> bytes:
    """The difference of that name; raises FileNotFoundError, and Malformed if the file is none."""
    import zlib

    if not _NAME.fullmatch(name):
        raise Malformed(f"no name of a difference: {name!r:.60}")
    data = files.content(fs, f"{home.code}/{name}{ENDING}")
    unpacked = zlib.decompressobj(wbits=_GZIP)
    try:
        diff = unpacked.decompress(data, BYTES_MAX + 1)
    except zlib.error as error:
        raise Malformed(f"{name}{ENDING}: {error}") from None
    if len(diff) > BYTES_MAX or not unpacked.eof:
        raise Malformed(f"{name}{ENDING} is not whole, or too large")
    return diff


def stale(fs: Fs, home: Home, *, seconds: float) -> list[str]:
    """The names of differences that were kept longer ago than that."""
    found = (
        path.rpartition("/")[2].removesuffix(ENDING) for path in fs.older(home.code, seconds=seconds, hidden=False)
    )
    return [name for name in found if _NAME.fullmatch(name)]


def remove(fs: Fs, home: Home, name: str) -> None:
    """The difference is not kept any more."""
    files.discard(fs, f"{home.code}/{name}{ENDING}")
