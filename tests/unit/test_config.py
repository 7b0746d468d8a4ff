"""Settings: what config.yaml may say, and what is said of a mistake in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaseq.config import Config, Profile, load, parse
from leaseq.errors import UsageError
from leaseq.layout import Home


def test_without_a_file_every_setting_is_its_default(tmp_path: Path) -> None:
    found = load(Home(str(tmp_path)))
    assert found.slurm_poll_seconds == 30
    assert set(found.origin.values()) == {"default"}


def test_a_time_stays_the_text_that_was_written() -> None:
    found = parse("profiles: {long: {slurm: {time: 4:00:00, partition: on}}}", path="c")
    assert found.profiles["long"].slurm == ("--time=4:00:00", "--partition=on")


def test_slurm_options_may_be_one_line_a_list_or_a_mapping() -> None:
    lines = ["'-p gpu --comment=\"a b\"'", "[-p, gpu, --comment=a b]"]
    for text in lines:
        assert parse(f"profiles: {{x: {{slurm: {text}}}}}", path="c").profiles["x"].slurm == (
            "-p",
            "gpu",
            "--comment=a b",
        )
    assert parse("profiles: {x: {slurm: {exclusive: ''}}}", path="c").profiles["x"].slurm == ("--exclusive",)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("proflies: {}", "unknown key 'proflies'", "profiles"),
        ("profiles: {x: {slrum: -p gpu}}", "unknown key 'slrum'", "slurm"),
        ("slurm_poll_seconds: soon", "slurm_poll_seconds must be a whole number", ""),
        ("warning_signal: SIGNOPE", "is no signal", "USR1"),
        ("prologue_failure: ignore", "must be stop or go, not 'ignore'", "go: it takes tasks all the same"),
        ("profiles: {x: {prologue_failure: yes}}", "must be stop or go, not 'yes'", ""),
        ("- a\n- b", "must be `key: value` lines", ""),
        ("a: [", "not YAML", "quote"),
        ("profiles: {'../x': {}}", "not a valid name", ""),
    ],
)
def test_a_mistake_is_named_with_its_key(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, path="config.yaml")
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_an_unknown_profile_names_those_that_exist() -> None:
    config = Config(profiles={"gpu": Profile()})
    with pytest.raises(UsageError) as caught:
        config.profile("cpu")
    assert "gpu" in caught.value.hint


def test_a_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    home = Home(str(tmp_path))
    os.mkfifo(home.config)
    with pytest.raises(UsageError, match="not a regular file"):
        load(home)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    home = Home(str(tmp_path))
    with open(home.config, "wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        load(home)


@given(st.text(max_size=200))
def test_any_text_is_settings_or_a_usage_error(text: str) -> None:
    try:
        found = parse(text, path="c")
    except UsageError as error:
        assert error.message
    else:
        assert isinstance(found, Config)
