"""A hostlist expression such as `node[1-3,5],x[01-02]` and the list of names it stands for, both ways."""

import itertools

HOSTS_MAX = 65536  # Slurm's MAX_RANGE is 64 k as well


def _split(expression: str) -> list[str]:
    """Comma-separated parts, commas inside brackets left alone."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(expression):
        depth += {"[": 1, "]": -1}.get(char, 0)
        if char == "," and depth == 0:
            parts.append(expression[start:index])
            start = index + 1
    return [part for part in [*parts, expression[start:]] if part]


def _numbers(ranges: str) -> list[str]:
    numbers: list[str] = []
    for piece in ranges.split(","):
        low, _, high = piece.partition("-")
        for number in range(int(low), int(high or low) + 1):
            numbers.append(str(number).zfill(len(low)))
            if len(numbers) > HOSTS_MAX:
                raise ValueError(f"more than {HOSTS_MAX} hosts in {ranges}")
    return numbers


def expand(expression: str) -> list[str]:
    """The names in order, each once. ValueError if the brackets hold no numbers."""
    names: dict[str, None] = {}
    for part in _split(expression):
        prefix, bracket, rest = part.partition("[")
        if not bracket:
            names[part] = None
            continue
        ranges, closed, suffix = rest.partition("]")
        if not closed:
            raise ValueError(expression)
        for number in _numbers(ranges):
            for name in expand(suffix) if "[" in suffix else [suffix]:
                names[f"{prefix}{number}{name}"] = None
    return list(names)


def _key(name: str) -> tuple[str, int, int]:
    """(prefix, width of a zero-padded number or 0, number or -1)."""
    digits = len(name) - len(name.rstrip("0123456789"))
    if digits == 0:
        return name, 0, -1
    number = name[-digits:]
    return name[:-digits], len(number) if number.startswith("0") else 0, int(number)


def compress(names: list[str]) -> str:
    """The shortest usual spelling, numbers sorted: `node[1-3,5]`; a name without a number stays alone."""
    parts = []
    keys = sorted({_key(name) for name in names}, key=lambda key: (key[0], key[2], key[1]))
    for prefix, group in itertools.groupby(keys, key=lambda key: key[0]):
        members = list(group)
        if members[0][2] < 0:
            parts.append(prefix)
            members = members[1:]
        ranges = _ranges(members)
        if len(members) == 1:
            parts.append(prefix + ranges)
        elif members:
            parts.append(f"{prefix}[{ranges}]")
    return ",".join(parts)


def _ranges(members: list[tuple[str, int, int]]) -> str:
    ranges: list[list[tuple[str, int, int]]] = []
    for member in members:
        if ranges and ranges[-1][-1][2] + 1 == member[2]:
            ranges[-1].append(member)
        else:
            ranges.append([member])
    texts = []
    for run in ranges:
        low, high = (str(number).zfill(width) for _, width, number in (run[0], run[-1]))
        texts.append(low if low == high else f"{low}-{high}")
    return ",".join(texts)


def ranges(numbers: list[int]) -> str:
    """`0-3,7`: numbers without a name."""
    return _ranges([("", 0, number) for number in numbers])


def repeats(values: list[int]) -> str:
    """`8(x3),4`: how Slurm writes one number per node, as in SLURM_TASKS_PER_NODE."""
    texts = []
    for value, group in itertools.groupby(values):
        count = len(list(group))
        texts.append(f"{value}(x{count})" if count > 1 else str(value))
    return ",".join(texts)
