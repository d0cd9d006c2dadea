"""Which standards an evidence page names, and what of a drill it shows beside each: data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from crmops.errors import ConfigError

SHIPPED = Path(__file__).with_name("standards.yaml")

Part = Literal[
    "date", "participants", "objectives", "restore", "integrity", "findings", "follow_up"
]


class Text(BaseModel):
    """The same in English and in Chinese."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: str = ""
    zh: str = ""


class Standard(BaseModel):
    """One standard.  ``read`` says whether somebody compared this entry with the text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    standard: str = Field(min_length=1)
    part: Text
    note: Text = Text()
    source: str = Field(min_length=1)
    read: bool
    evidence: tuple[Part, ...] = Field(min_length=1)


_ALL = TypeAdapter(tuple[Standard, ...])


def load_standards(path: str = "") -> tuple[Standard, ...]:
    """The standards of a file, or those that come with crmops.  Raises ConfigError."""
    file = Path(path) if path else SHIPPED
    hint = f"Copy {SHIPPED.name} of crmops and change that; drills.standards names the file."
    try:
        return _ALL.validate_python(YAML(typ="safe").load(file.read_text(encoding="utf-8")))
    except OSError as error:
        reason = f"it cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    except YAMLError as error:
        reason = f"it is no YAML: {str(error).splitlines()[0]}"
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
    raise ConfigError(reason, hint=hint, where=str(file)) from None


def given(part: str, document: dict[str, Any]) -> bool | None:
    """Whether an evidence document holds a part; None for what people add by hand."""
    return None if part == "follow_up" else _GIVEN[part](document)


def _number(document: dict[str, Any], name: str) -> float:
    found = [each["value"] for each in document["measures"] if each["name"] == name]
    return float(found[0] or 0) if found else 0.0


_GIVEN: dict[str, Callable[[dict[str, Any]], bool]] = {
    "date": lambda document: bool(document["begun"]),
    "participants": lambda document: all(
        document.get(each) for each in ("operator", "approver", "owner")
    ),
    "objectives": lambda document: (
        bool(document["objectives"])
        and all(each["value"] is not None for each in document["objectives"])
    ),
    "restore": lambda document: _number(document, "tables.compared") > 0,
    "integrity": lambda document: bool(document.get("log_sha256")),
    "findings": lambda document: "findings" in document,
}
