"""A first suite for an entity, drawn from what the CRM itself says about its fields."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from crmops.connectors import connect
from crmops.connectors.base import Describes, FieldInfo
from crmops.drivers import client, converse
from crmops.errors import CannotRun, ConfigError, TargetUnreachable, UsageError
from crmops.model import COMMON, ENTITIES, PLURALS
from crmops.outcome import CallFailed, Outcome
from crmops.target import Target
from dq_checks.suite import Column, Rule, Suite

_COLUMN: TypeAdapter[str] = TypeAdapter(Column)
_LEFT_OUT = {*COMMON, "version", "password"} - {"owner_id"}
_HEAD = """\
# Drawn from the CRM's own metadata: what it requires, holds unique, limits and offers for choice.
# Review it: that columns are called like fields, thresholds, weights, owners, and what the
# metadata cannot know (formats, ages, references).  docs/data-quality.md explains every key.
"""


def fields_of(target: Target, entity: str) -> tuple[FieldInfo, ...]:
    """What a CRM says about an entity's fields.

    Raises UsageError for an entity that there is not, ConfigError for a connector that cannot
    describe any, TargetUnreachable or CannotRun when the CRM does not answer as it should.
    """
    if entity not in ENTITIES:
        raise UsageError(
            f"{entity!r} is no entity", hint=f"There are: {', '.join(sorted(ENTITIES))}."
        )
    connector = connect(target)
    if not isinstance(connector, Describes):
        raise ConfigError(
            f"connector {target.connector!r} cannot describe the CRM's fields",
            hint="Write the suite by hand; those shipped are examples.",
        )
    if not target.username or target.password is None:
        raise ConfigError(
            f"target {target.name!r} has no username and password",
            hint=f"Give targets.{target.name}.username and password.",
        )
    try:
        with client(target) as http:
            converse(connector.login(target.username, target.password.reveal()), http)
            return converse(connector.describe(entity), http)
    except CallFailed as problem:
        kind = TargetUnreachable if problem.outcome is Outcome.TRANSPORT else CannotRun
        raise kind(
            f"the fields of {entity} were not described: {problem.outcome}",
            hint="Look at the target's url, username and password; `crmops doctor` tries them.",
        ) from None


def suite_of(entity: str, fields: Sequence[FieldInfo], owner: str = "") -> Suite:
    """The suite.  Raises UsageError when the metadata has nothing to check."""
    plural = PLURALS[entity]
    usable = [each for each in fields if each.name not in _LEFT_OUT and _fits(each.name)]
    rules = [rule for each in usable for rule in _rules(plural, each, owner)]
    if not rules:
        raise UsageError(
            f"the metadata of {entity} has nothing to check",
            hint="No field is required, unique, limited or a choice; write the suite by hand.",
        )
    names = {each.name for each in fields}
    return Suite(
        name=plural,
        entity=entity,
        table=plural,
        owner_column="owner_id" if "owner_id" in names else None,
        rules=tuple(rules),
    )


def as_yaml(suite: Suite) -> str:
    """The suite as a person would write it, with a head that says what to review."""
    plain = suite.model_dump(mode="json", exclude_defaults=True, by_alias=True)
    rules = plain.pop("rules")
    parts = [_HEAD + _dumped(plain) + "rules:\n"]
    parts += ["\n".join(f"  {line}" for line in _dumped([each]).splitlines()) for each in rules]
    return parts[0] + "\n\n".join(parts[1:]) + "\n"


def write(path: Path, text: str) -> None:
    """Write a file that is not there yet.  Raises UsageError if it is, CannotRun if it cannot."""
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise UsageError(
            f"{path} is there already", hint="Name another file; drafts overwrite nothing."
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CannotRun(f"{path} cannot be written: {reason}", hint="Name another place.") from None


def _fits(name: str) -> bool:
    try:
        _COLUMN.validate_python(name)
    except ValidationError:
        return False
    return True


def _rules(plural: str, field: FieldInfo, owner: str) -> Iterator[Rule]:
    if field.required:
        yield _rule(
            plural, field, owner, "filled", f"{field.name} is filled: the CRM requires it",
            dimension="completeness", code="0201", threshold=0.99,
        )  # fmt: skip
    if field.unique:
        yield _rule(
            plural, field, owner, "unique", f"{field.name} is unique: the CRM says so",
            dimension="uniqueness", code="0304", threshold=1.0, optional=True,
        )  # fmt: skip
    values = tuple(dict.fromkeys(each for each in field.values if each.strip()))
    if values:
        yield _rule(
            plural, field, owner, "one_of", f"{field.name} is a value that the CRM offers",
            dimension="validity", code="0105", threshold=0.99, optional=True, values=values,
        )  # fmt: skip
    elif field.max_length and field.type not in ("number", "date", "time", "bool"):
        yield _rule(
            plural, field, owner, "length",
            f"{field.name} has at most {field.max_length} characters",
            dimension="validity", code="0302", threshold=0.99, optional=True,
            maximum=field.max_length,
        )  # fmt: skip


def _rule(plural: str, field: FieldInfo, owner: str, check: str, title: str, **keys: Any) -> Rule:
    name = re.sub(r"[^a-z0-9_]", "_", field.name.lower())
    where = {"columns": (field.name,)} if check == "unique" else {"column": field.name}
    made = {"id": f"{plural}.{name}.{check}", "title": title, "check": check, "owner": owner}
    return Rule.model_validate({**made, **where, **keys})


def _dumped(value: object) -> str:
    writer: Any = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False
    writer.width = 96
    out = io.StringIO()
    writer.dump(value, out)
    return out.getvalue()
