"""The user's Slurm options are read as sbatch reads them, and only what no lease can have is refused."""

from __future__ import annotations

import logging
import os
import shlex

import pytest

from leaseq.errors import UsageError
from leaseq.lease.slurm.args import check


@pytest.mark.parametrize(
    "spelled",
    ["-pgpu", "-p gpu", "--partition=gpu", "--partition gpu", "--part=gpu", "--par=x -pgpu", "-Qpgpu", "-p x -p gpu"],
)
def test_every_spelling_of_an_option_is_understood(spelled: str) -> None:
    checked = check(shlex.split(spelled))
    assert checked.options["partition"] == "gpu"


@pytest.mark.parametrize(
    ("spelled", "options"),
    [
        ("-N2", {"nodes": "2"}),
        ("--exclusive -N2", {"exclusive": "", "nodes": "2"}),
        ("--exclusive=user", {"exclusive": "user"}),
        ("--no-requeue --requeue", {"no-requeue": "", "requeue": ""}),
        ("--no-kill=off", {"no-kill": "off"}),
        ("--nice=-5", {"nice": "-5"}),
        ("--comment 'a b' -H", {"comment": "a b", "hold": ""}),
        ("--comment=", {"comment": ""}),
        ("--dependency --odd", {"dependency": "--odd"}),
        ("-N2 --", {"nodes": "2"}),
    ],
)
def test_values_go_where_sbatch_takes_them(spelled: str, options: dict[str, str]) -> None:
    checked = check(shlex.split(spelled))
    assert dict(checked.options) == options
    assert checked.notes == ()


def test_an_unknown_option_passes_with_a_note() -> None:
    checked = check(["--site-project=abc", "--segment=4", "-pgpu"])
    assert checked.options == {"segment": "4", "partition": "gpu"}
    assert len(checked.notes) == 1
    assert "--site-project" in checked.notes[0]
    assert "did you mean" not in checked.notes[0]


def test_a_misspelt_option_names_its_neighbour() -> None:
    checked = check(["--partiton", "gpu"])
    assert checked.suggestions == {"--partiton": "--partition"}
    assert "did you mean --partition?" in checked.notes[0]


@pytest.mark.parametrize(
    "spelled",
    ["--wrap=hostname", "-a 1-3", "--array=1-3", "-W", "--wait", "--parsable", "--test-only", "-h", "--help", "-Mc2"],
)
def test_what_makes_no_sense_for_a_lease_says_what_to_do_instead(spelled: str) -> None:
    with pytest.raises(UsageError, match="makes no sense for a lease") as caught:
        check(shlex.split(spelled))
    assert caught.value.hint


@pytest.mark.parametrize("spelled", ["train.sh", "-N2 python train.py", "-N2 -- ./job.sh", "-"])
def test_a_script_is_refused_with_the_way_to_run_it(spelled: str) -> None:
    with pytest.raises(UsageError, match="not an option") as caught:
        check(shlex.split(spelled))
    assert "leaseq submit" in caught.value.hint


def test_parts_of_a_heterogeneous_job_are_leases_of_their_own() -> None:
    with pytest.raises(UsageError, match="a lease is one job") as caught:
        check(["-N1", "-pgpu", ":", "-N1"])
    assert "once for each part" in caught.value.hint and "submit" not in caught.value.hint


def test_an_option_without_its_value_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="-p needs a value"):
        check(["-N2", "-p"])


def test_a_squeue_format_of_the_users_and_logging_are_left_alone() -> None:
    # simple-slurm's constructor raises on a usual SQUEUE_FORMAT, and importing it configures logging.
    os.environ["SQUEUE_FORMAT"] = "%.18i %.9P"
    try:
        check(["-N2"])
        assert os.environ["SQUEUE_FORMAT"] == "%.18i %.9P"
    finally:
        del os.environ["SQUEUE_FORMAT"]
    assert logging.root.level == logging.WARNING
