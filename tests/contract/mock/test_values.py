"""Text and values of the mock, without a cluster."""

from pathlib import Path

import pytest

from slurm_mock import control, dependency, grammar, options, units
from slurm_mock.dependency import Term
from slurm_mock.hostlist import compress, expand, repeats
from slurm_mock.records import Job, Request
from slurm_mock.request import file_name, split_commas
from slurm_mock.values import replace


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node[1-3]", ["node1", "node2", "node3"]),
        ("node[1-2,5],x[01-03],login", ["node1", "node2", "node5", "x01", "x02", "x03", "login"]),
        ("", []),
    ],
)
def test_a_hostlist_expands_and_compresses_back(text: str, names: list[str]) -> None:
    assert expand(text) == names
    assert expand(compress(names)) == sorted(names) or expand(compress(names)) == names


def test_counts_per_node_are_written_with_repeats() -> None:
    assert repeats([8, 8, 8, 4]) == "8(x3),4"


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("5", 5), ("5:30", 6), ("1:00:00", 60), ("1-0", 1440), ("1-2:30", 1590), ("2-0:0:1", 2881), ("99:99:99", 6041)],
)
def test_a_time_limit_is_minutes_rounded_up(text: str, minutes: int) -> None:
    assert units.minutes(text) == minutes


@pytest.mark.parametrize("text", ["abc", "1:2:3:4", "5m", "", "1-"])
def test_a_bad_time_limit_is_refused(text: str) -> None:
    with pytest.raises(units.BadValue):
        units.minutes(text)


def test_an_elapsed_time_is_written_as_squeue_does() -> None:
    assert [units.span(seconds) for seconds in (0, 59, 3600, 90061, -1)] == [
        "0:00",
        "0:59",
        "1:00:00",
        "1-01:01:01",
        "INVALID",
    ]


def test_glued_spaced_and_shortened_options_are_the_same() -> None:
    parser = grammar.Parser("sbatch", grammar.SBATCH)
    spellings = (["-pgpu"], ["-p", "gpu"], ["--partition=gpu"], ["--partition", "gpu"], ["--part=gpu"])
    assert all(parser.parse(words) == ({"partition": "gpu"}, []) for words in spellings)


def test_an_optional_value_is_taken_only_when_glued() -> None:
    parser = grammar.Parser("sbatch", grammar.SBATCH)
    assert parser.parse(["--exclusive", "job.sh"]) == ({"exclusive": ""}, ["job.sh"])
    assert parser.parse(["--exclusive=user", "job.sh"]) == ({"exclusive": "user"}, ["job.sh"])


def test_options_after_the_script_are_its_own() -> None:
    parser = grammar.Parser("sbatch", grammar.SBATCH)
    assert parser.parse(["-N2", "job.sh", "-N3"]) == ({"nodes": "2"}, ["job.sh", "-N3"])


def test_directives_end_at_the_first_command_and_join_over_lines() -> None:
    script = '#!/bin/bash\n# a comment\n#SBATCH -t\n#SBATCH 7 # why\n\n#SBATCH --comment="a b"\necho\n#SBATCH -N5\n'
    assert grammar.directives(script) == ["-t", "7", "--comment=a b"]


def test_a_file_pattern_is_filled_in() -> None:
    request = Request(
        name="n", workdir="/w", user="u", uid=1, gid=1, group="g", batch=True, submit_dir="/w", submit_host="h"
    )
    job = Job(id=42, request=request)
    assert file_name(job, "o-%x-%6j-%N-%%-%q-%A", node="node1") == "/w/o-n-000042-node1-%-%q-42"
    assert file_name(job, "%a", node="node1", workdir="/v") == "/v/4294967294"
    task = replace(job, array_job=40, array_task=2)
    assert file_name(task, "%A_%a-%j", node="node1") == "/w/40_2-42"


def test_export_items_are_split_at_commas_outside_quotes() -> None:
    assert split_commas("ALL,A=1,B='x,y'") == ["ALL", "A=1", "B=x,y"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("propagate", ""),
        ("propagate", "NOFILE"),
        ("kill-on-invalid-dep", "yes"),
        ("oversubscribe", ""),
        ("exclusive", "mcs"),
    ],
)
def test_an_option_that_would_not_be_carried_out_is_refused_as_such(option: str, value: str) -> None:
    with pytest.raises(options.Refused, match="not supported by slurm_mock"):
        options.check({option: value})
    options.check({"kill-on-invalid-dep": "no", "exclusive": "user"})


def test_a_bad_dependency_is_refused() -> None:
    with pytest.raises(ValueError, match="foo"):
        dependency.parse("foo:3")
    two = Term("afterany", ((1, None), (2, None))), Term("afterok", ((3, 4),))
    assert dependency.parse("afterany:1:2,afterok:3_4") == ([*two], False)
    late = Term("after", ((3, None), (4, None)), (5, 0)), Term("afterany", ((3, None),))
    assert dependency.parse("after:3+5:4?afterany:3") == ([*late], True)
    for text in ("after:3+", "after:3+x", "afterany:3+5"):
        with pytest.raises(ValueError):
            dependency.parse(text)
    for text in ("afterburstbuffer:3", "expand:3"):
        with pytest.raises(dependency.Unsupported):
            dependency.parse(text)


@pytest.mark.parametrize("words", [["--help"], ["start", "--help"], ["fault", "--help", "x"]])
def test_help_is_told_and_nothing_is_done(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert control.main(words) == 0
    assert capsys.readouterr().out.startswith("usage: mockslurm COMMAND")


def test_an_option_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert control.main(["start", "--dir", str(tmp_path / "c"), "--node", "3"]) == 2
    assert "no option --node" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
