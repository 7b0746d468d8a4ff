"""Commands of one list are told apart where the room is short."""

from __future__ import annotations

import pytest

from leaseq.monitor.apart import apart, parts


def shown(*commands: str, room: int = 30) -> list[str]:
    return list(apart({str(n): command for n, command in enumerate(commands)}, room).values())


SWEEP = [f"python train.py --model resnet50 --lr {n}e-4 --seed {n} --epochs 50" for n in (3, 4)]

TORCHRUN, TRAIN = "torchrun --nproc 4 pretrain.py", "train --set a=1"


def test_a_sweep_is_its_script_and_the_values_that_differ() -> None:
    assert shown(*SWEEP) == ["train.py lr=3e-4 seed=3", "train.py lr=4e-4 seed=4"]


def test_what_tells_most_apart_stands_first_and_in_very_little_room_alone() -> None:
    rows = [f"python train.py --model {model} --seed {n}" for n, model in enumerate(("vit", "vit", "resnet"))]
    assert shown(*rows) == ["train.py seed=0 model=vit", "train.py seed=1 model=vit", "train.py seed=2 model=resnet"]
    assert shown(*rows, room=12) == ["seed=0 model=vit", "seed=1 model=vit", "seed=2 model=resnet"]


def test_one_that_says_nothing_makes_no_difference_of_what_all_others_share() -> None:
    assert shown(*SWEEP, "python train.py") == ["train.py lr=3e-4 seed=3", "train.py lr=4e-4 seed=4", "train.py"]


def test_where_all_fit_nothing_is_left_out() -> None:
    assert shown(*SWEEP, room=80) == SWEEP
    assert shown("./run.sh 3 4", "./run.sh 3 5") == ["./run.sh 3 4", "./run.sh 3 5"]


def test_one_alone_and_equal_ones_are_shown_from_their_script_on() -> None:
    assert shown("python -u x/fit.py --fold 3 --epochs 100") == ["fit.py --fold 3 --epochs 100"]
    assert shown(SWEEP[0], SWEEP[0]) == ["train.py --model resnet50 --lr 3e-4 --seed 3 --epochs 50"] * 2
    assert shown("python fit.py --fold 3") == ["python fit.py --fold 3"]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (
            "python -m foo.train --neg -1 --fast",
            "python -m foo.train --neg -2",
            "foo.train neg=-1 fast|foo.train neg=-2",
        ),
        ("python -u /long/way/to/sim.py 12 0.3", "python -u /long/way/to/sim.py 13 0.3", "sim.py 12|sim.py 13"),
        (f"{TORCHRUN} --ctx=8192", f"{TORCHRUN} --ctx=4096", "pretrain.py ctx=8192|pretrain.py ctx=4096"),
        (f"{TRAIN} --set b=2 --epochs 100", f"{TRAIN} --set b=3 --epochs 100", "train set=a=1,b=2|train set=a=1,b=3"),
        ("train --epochs 100 --deterministic -x", "train --epochs 100 --deterministic", "train x|train"),
    ],
)
def test_options_of_all_kinds_are_told_apart(one: str, other: str, words: str) -> None:
    assert shown(one, other) == words.split("|")


def test_programs_of_different_kinds_are_families_of_their_own() -> None:
    assert shown(*SWEEP, "python eval.py --checkpoint run01/best.pt") == [
        "train.py lr=3e-4 seed=3",
        "train.py lr=4e-4 seed=4",
        "eval.py --checkpoint run01/best.pt",
    ]


@pytest.mark.parametrize("line", ["for i in 1 2; do train $i; done", "cd x && train --lr 1", "train 'a b'", ""])
def test_a_line_for_a_shell_is_left_as_it_is(line: str) -> None:
    assert parts(line) == ((), {})
    assert shown(line, f"{line} --and-something-else-that-is-long")[0] == line
