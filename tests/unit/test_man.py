"""The manual page that the wheel has is what the tables of the help say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from leaseq.cli.help import TOPICS
from leaseq.cli.man import page
from leaseq.cli.table import command
from leaseq.commands import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / "leaseq.1"


def test_the_page_in_the_wheel_is_the_one_that_the_help_prints() -> None:
    assert PAGE.read_text() == page(), "`leaseq help --man >docs/leaseq.1` writes it anew"


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_a_reader_finds_each_command_option_and_topic_as_they_are_typed() -> None:
    words = ["groff", "-ww", "-man", "-Tutf8", "-P-cbou", str(PAGE)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    shown = " ".join(done.stdout.split())
    for name in COMMANDS:
        assert f"leaseq {name}" in shown
        for option in command(name).options:
            assert f"--{'no-' if option.default == 'true' else ''}{option.name}" in shown
        for example in command(name).examples:
            assert " ".join(example.split()) in shown
    assert all(topic.upper() in shown for topic in TOPICS)
