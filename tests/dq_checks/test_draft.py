"""Suites drawn from the CRM's own metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crmops.connectors.base import FieldInfo
from crmops.errors import CannotRun, ConfigError, TargetUnreachable, UsageError
from crmops.model import ENTITIES
from crmops.secret import Secret
from crmops.target import Target
from dq_checks.catalogue import read_suite
from dq_checks.draft import as_yaml, fields_of, suite_of, write
from tests.dq_checks.support import Auditor, Database

FIELDS = (
    FieldInfo("id", "number", required=True, unique=True),
    FieldInfo("owner_id", "number", required=True),
    FieldInfo("Name", "text", required=True, max_length=80),
    FieldInfo("number", "text", unique=True),
    FieldInfo("stage", "text", max_length=20, values=("new", " ", "won", "new")),
    FieldInfo("amount", "number", max_length=12),
    FieldInfo("no column", "text", required=True),
)


def test_each_promise_of_the_metadata_is_a_rule(tmp_path: Path) -> None:
    made = suite_of("deal", FIELDS, "sales-operations")
    assert {each.id: each.check for each in made.rules} == {
        "deals.owner_id.filled": "filled",
        "deals.name.filled": "filled",
        "deals.name.length": "length",
        "deals.number.unique": "unique",
        "deals.stage.one_of": "one_of",
    }
    assert {each.owner for each in made.rules} == {"sales-operations"}
    (choice,) = [each for each in made.rules if each.values]
    assert choice.values == ("new", "won")
    path = tmp_path / "deals.yaml"
    write(path, as_yaml(made))
    assert read_suite(path) == made
    assert path.read_text().startswith("# Drawn from the CRM's own metadata")
    with pytest.raises(UsageError, match="is there already"):
        write(path, "")
    with pytest.raises(CannotRun, match="cannot be written: no such file"):
        write(tmp_path / "nowhere" / "deals.yaml", "")
    with pytest.raises(UsageError, match="the metadata of deal has nothing to check"):
        suite_of("deal", FIELDS[:1])


def test_the_drafts_of_a_real_crm_are_met_by_its_own_table(
    target_factory: Any, auditor: Auditor, seeded: Database, tmp_path: Path
) -> None:
    target = target_factory()
    for entity in ("contact", "deal"):
        made = suite_of(entity, fields_of(target, entity))
        path = tmp_path / f"{entity}.yaml"
        write(path, as_yaml(made))
        run = auditor.run(seeded.auditor, read_suite(path), objectives=[])
        rows = auditor.rules(run).values()
        assert rows and {each["status"] for each in rows} <= {"good", "failed", "unknown"}
        assert not [each["reason"] for each in rows if each["reason"]]


def test_what_cannot_be_described(target_factory: Any) -> None:
    with pytest.raises(UsageError, match="'kontact' is no entity") as caught:
        fields_of(target_factory(), "kontact")
    assert all(each in caught.value.hint for each in ENTITIES)
    wrong: Target = target_factory(password=Secret("planted-pw"))
    with pytest.raises(CannotRun, match="the fields of contact were not described: auth"):
        fields_of(wrong, "contact")
    with pytest.raises(ConfigError, match="target 'crm' has no username and password"):
        fields_of(target_factory(username="", password=None), "contact")
    with pytest.raises(TargetUnreachable, match="were not described: transport"):
        fields_of(target_factory(url="http://127.0.0.1:1"), "contact")


def test_a_connector_without_metadata(target_factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dq_checks.draft.connect", lambda _target: object())
    with pytest.raises(ConfigError, match="connector 'refcrm' cannot describe the CRM's fields"):
        fields_of(target_factory(), "contact")
