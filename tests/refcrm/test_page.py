"""The page about the reference CRM names everything there is."""

from __future__ import annotations

import re
from pathlib import Path

from refcrm.__main__ import _parser
from refcrm.app import PUBLIC, ROUTES
from refcrm.faults import NONE

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "refcrm.md").read_text(encoding="utf-8")


def test_every_route_is_on_the_page_and_no_other() -> None:
    told = {
        tuple(one.split(" ")) for one in re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /\S+)`", PAGE)
    }
    assert told == {(route.method, route.path) for route in (*PUBLIC, *ROUTES)}


def test_every_knob_is_on_the_page() -> None:
    for name in NONE.document():
        assert f"`{name}`" in PAGE


def test_every_option_is_on_the_page() -> None:
    commands = _parser()._subparsers
    assert commands is not None
    choices = commands._group_actions[0].choices
    assert isinstance(choices, dict)
    for command in choices.values():
        for option in re.findall(r"--[a-z-]+", command.format_help()):
            assert option == "--help" or option in PAGE


def test_every_code_is_on_the_page() -> None:
    sources = (Path(__file__).resolve().parents[2] / "refcrm").glob("*.py")
    text = "".join(source.read_text(encoding="utf-8") for source in sources)
    codes = set(re.findall(r'(?:ApiError|_unauthorized)\(\s*(?:\d+, )?"(\w+)"', text))
    assert len(codes) > 8
    assert {code for code in codes if f"`{code}`" not in PAGE} == set()
