"""The pages say what the code does: every command, setting, exit code and variable."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from crmops import config
from crmops.binaries import PROGRAMS, environment_name
from crmops.cli import app
from crmops.config import load_config
from crmops.config.frame import ROOM_SECTIONS
from crmops.config.layers import NOT_SETTINGS
from crmops.errors import ExitCode
from crmops.reference import DOCS, REMAKE, commands, commands_page, settings, settings_page
from crmops.rooms import ROOMS

CODE = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
WHERE = (
    *("README.md", "README.zh-CN.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *("docs/*.md", "alerts/runbooks/**/*.md"),
)


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
    for name in ("configuration.md", "exit-codes.md"):
        for hint in re.findall(r"(?m)^ *(hint: .*), \.\.\.$", page(name)):
            assert hint in said


def told_commands() -> Iterator[tuple[str, list[str]]]:
    """Every ``crmops ...`` that a page tells its reader to type, as its words, and where."""
    root = DOCS.parent
    for path in sorted(each for pattern in WHERE for each in root.glob(pattern)):
        for block, span in CODE.findall(path.read_text(encoding="utf-8")):
            for line in (block or span).replace("\\\n", " ").splitlines():
                typed = re.match(r"\s*(?:\.venv/bin/)?crmops ([a-z][^#|;>]*)", line)
                if typed:
                    yield f"{path.relative_to(root)}: {line.strip()}", typed[1].split()


def test_every_command_that_a_page_tells_is_there_with_its_options() -> None:
    everywhere = {option for each in get_command(app).params for option in each.opts}
    known = {
        path: {option for each in made.params for option in (*each.opts, *each.secondary_opts)}
        for path, made in commands()
        if not isinstance(made, TyperGroup)
    }
    groups = {path for path, made in commands() if isinstance(made, TyperGroup)}
    told = list(told_commands())
    assert len(told) > 120
    wrong = []
    for where, words in told:
        paths = [" ".join(("crmops", *words[:n])) for n in (3, 2, 1)]
        path = next((each for each in paths if each in known), "")
        options = {each.partition("=")[0] for each in words if re.match(r"--[a-z]", each)}
        whole = path or " ".join(("crmops", *words)) in groups
        if not whole or options - known.get(path, set()) - everywhere - {"--help"}:
            wrong.append(where)
    assert wrong == []


def test_every_setting_that_a_page_names_is_there() -> None:
    sections = "|".join((*ROOM_SECTIONS, "targets", "history"))
    form = re.compile(rf"`((?:{sections})\.[A-Za-z_.\[\]*]+)`")
    known = {key for key, _ in settings()}
    known |= {key[: dot.start()] for key in known for dot in re.finditer(r"[.\[]", key)}
    wrong = []
    for path in sorted(each for pattern in WHERE for each in DOCS.parent.glob(pattern)):
        for key in form.findall(path.read_text(encoding="utf-8")):
            general = re.sub(r"^targets\.(?:\*|[a-z]+)\.", "targets.NAME.", key)
            wrong += [f"{path.name}: {key}"] if general not in known else []
    assert wrong == []


def test_the_public_face_of_config_is_sorted_and_true() -> None:
    assert config.__all__ == sorted(config.__all__)
    assert all(hasattr(config, name) for name in config.__all__)
    assert config.load_config is load_config
