"""The file of `srun --multi-prog`: which task runs which command. Single quotes hold words together and are literal."""

from slurm_mock.options import Refused


def read(path: str, ntasks: int) -> list[list[str]]:
    """The argv of each task. Refused in srun's words for a bad line, or a task without one."""
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except OSError:
        raise Refused(f"Could not open multi_prog config file {path}") from None
    found: dict[int, list[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = _words(line)
        if not words or words[0][0].startswith("#"):
            continue
        bad = f"Line {number} of configuration file {path} invalid"
        if len(words) < 2:
            raise Refused(bad)
        if line.endswith("\\"):
            raise Refused(f"{path}: a line that goes on after a backslash: not supported by slurm_mock")
        try:
            tasks = _tasks(words[0][0], ntasks)
        except ValueError:
            raise Refused(f"Invalid task range specification ({words[0][0]})\n{bad}") from None
        for offset, task in enumerate(tasks):
            found.setdefault(task, [_filled(word, quoted, task, offset) for word, quoted in words[1:]])
    for task in range(ntasks):
        if task not in found:
            raise Refused(f"Configuration file {path} invalid, no record for task id {task}")
    return [found[task] for task in range(ntasks)]


def _words(line: str) -> list[tuple[str, bool]]:
    """(word, True if any of it was quoted)."""
    words: list[tuple[str, bool]] = []
    word, inside, quoted = "", False, False
    for char in line + " ":
        if char == "'":
            inside, quoted = not inside, True
        elif char.isspace() and not inside:
            words += [(word, quoted)] if word or quoted else []
            word, quoted = "", False
        else:
            word += char
    return words


def _tasks(text: str, ntasks: int) -> list[int]:
    if text == "*":
        return list(range(ntasks))
    tasks: list[int] = []
    for piece in text.split(","):
        low, dash, high = piece.partition("-")
        tasks += range(int(low), int(high if dash else low) + 1)
    return tasks


def _filled(word: str, quoted: bool, task: int, offset: int) -> str:
    return word if quoted else word.replace("%t", str(task)).replace("%o", str(offset))
