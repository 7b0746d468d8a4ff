"""What hostile input is made of: names, texts, bytes and JSON that once broke something somewhere."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import strategies as st

NAMES = [
    "../../../../tmp/out",
    "..",
    "-rf",
    "--help",
    "a\nb",
    "a b",
    "'\"\\",
    "$(touch /tmp/leaseq-hostile)",
    "`touch /tmp/leaseq-hostile`",
    ";touch /tmp/leaseq-hostile;",
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[6n",
    "\x9b31m",
    "%s%n{0}{x.__class__}",
    "é١²\u202e\u200b",
    os.fsdecode(b"\xff\xfe\x80"),
    "x" * 255,
]
"""Each can be an argument of a process, and but for slashes a file's name."""
FILE_NAMES = [name for name in NAMES if "/" not in name and name != ".."]

numbers = st.sampled_from(["0", "-1", "1", "00", "²", "١", "9" * 20, "9" * 5000, "1e999", "NaN", "0x10", "1_0", ""])
pieces = st.sampled_from(NAMES) | numbers | st.text(max_size=8) | st.binary(max_size=6).map(os.fsdecode)
words = st.lists(pieces, max_size=3).map("".join)
arguments = words.filter(lambda word: "\0" not in word)

plain: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | words
    | st.sampled_from([10**400, -(10**15), 1e14, 2**64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
blobs = st.sampled_from([b"", b"{", b"null", b"[]", b"[" * 2000, b"9" * 5000, b"\xff\xfe", b"{}\n{}", b"\0" * 64]) | (
    st.binary(max_size=40)
)


@st.composite
def broken(draw: st.DrawFn, body: dict[str, Any]) -> bytes:
    """A record's bytes, of which something is not what it must be; or something else altogether."""
    if draw(st.integers(0, 4)) == 0:
        return draw(blobs)
    changed = dict(body)
    for _ in range(draw(st.integers(1, 3))):
        field = draw(st.sampled_from(sorted(changed)) if changed else st.just("x"))
        if draw(st.booleans()):
            changed[field] = draw(plain)
        else:
            changed.pop(field, None)
    data = json.dumps(changed).encode()
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 3)) == 0 else data
