"""The documentation names every measure, setting, check and key that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from dq_checks.formats import FORMATS
from dq_checks.messages import Count
from dq_checks.scores import Result, measures
from dq_checks.settings import Settings
from dq_checks.suite import Check, Condition, Dimension, Rule, Suite
from tests.dq_checks.support import rule

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "data-quality.md").read_text("utf-8")
MADE = measures(
    1,
    [
        Result(
            Rule.model_validate(rule("r.r", "filled", column="c")),
            Count(rule="r.r", status="counted", checked=1, good=1),
        )
    ],
)
NAMES = [
    *Settings.model_fields,
    *get_args(Check),
    *get_args(Dimension),
    *FORMATS,
    *(each.partition("{")[0] for each in (one.name for one in MADE)),
    *Rule.model_fields,
    *(field.alias or name for name, field in Condition.model_fields.items()),
    *Suite.model_fields,
]


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_it_is_documented(name: str) -> None:
    assert re.search(rf"(?<![A-Za-z_.]){re.escape(name)}(?![A-Za-z_])", TEXT)
