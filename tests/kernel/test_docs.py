"""The pages say what the code does: every command, setting, exit code and variable."""

from __future__ import annotations

import re

import pytest

from crmops import config
from crmops.binaries import PROGRAMS, environment_name
from crmops.config import load_config
from crmops.config.layers import NOT_SETTINGS
from crmops.errors import ExitCode
from crmops.reference import DOCS, REMAKE, commands, commands_page, settings, settings_page
from crmops.rooms import ROOMS


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_page_of_commands_is_the_one_that_the_code_writes() -> None:
    assert page("commands.md") == commands_page(), f"run `{REMAKE}`"


def test_the_tables_of_settings_are_those_that_the_code_writes() -> None:
    assert page("configuration.md") == settings_page(page("configuration.md")), f"run `{REMAKE}`"


def test_every_command_and_option_says_what_it_is_for() -> None:
    silent = []
    for path, command in commands():
        silent += [path] if not command.help else []
        options = [each for each in command.params if not getattr(each, "help", "")]
        silent += [f"{path} {each.name}" for each in options]
    assert not silent


def test_every_setting_says_what_it_is_for() -> None:
    assert not [key for key, meaning in settings() if not meaning]


def test_every_command_is_in_the_help_of_the_first_level_with_its_own_words() -> None:
    for name, room in ROOMS.items():
        assert room.name == name
        assert room.help.endswith(".")
        assert len(room.help) <= 60


@pytest.mark.parametrize("code", list(ExitCode))
def test_every_exit_code_is_documented(code: ExitCode) -> None:
    assert re.search(rf"(?m)^\| {int(code)} \| {code.name.lower()} \|", page("exit-codes.md"))


def test_every_variable_is_documented() -> None:
    text = page("configuration.md")
    for name in {*NOT_SETTINGS, *map(environment_name, PROGRAMS)}:
        assert f"`{name}`" in text


def test_what_the_page_says_about_errors_is_what_is_said() -> None:
    said = (DOCS.parent / "tests/data/bad/config/several.txt").read_text()
    shown = re.findall(r"(?m)^error: crmops\.yaml:(.*)$", page("configuration.md"))
    assert shown
    for line in shown:
        assert f"several.yaml:{line}\n" in said


def test_the_public_face_of_config_is_sorted_and_true() -> None:
    assert config.__all__ == sorted(config.__all__)
    assert all(hasattr(config, name) for name in config.__all__)
    assert config.load_config is load_config
