"""The frame of the configuration: the sections, and the targets in full."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
)
from pydantic_core import PydanticCustomError

from crmops.config.references import LITERAL, is_open_address, is_reference, names_a_secret, refuse
from crmops.config.types import LocalPath
from crmops.secret import Secret
from crmops.target import Account, BackupAccess, DatabaseAccess, Environment, LoadPermission
from crmops.units import Seconds

ROOM_SECTIONS: dict[str, str] = {
    "load": "loadtests.settings:Settings",
    "probes": "probes.settings:Settings",
    "dq": "dq_checks.settings:Settings",
    "drills": "playbooks.settings:Settings",
    "alerts": "alerts.settings:Settings",
    "exporter": "exporter.settings:Settings",
    "console": "console.settings:Settings",
    "gates": "crmops.gate.settings:Gates",
    "schedule": "crmops.schedule_settings:Settings",
}
"""The section of each room and, by dotted name, the model it is checked with."""


def wrong(problem: str, hint: str = "") -> PydanticCustomError:
    """A setting that is wrong in a way of its own."""
    return PydanticCustomError("setting", "{problem}", {"problem": problem, "hint": hint})


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", value):
        raise wrong(
            "a name has letters, digits, - and _, begins with a letter or digit, "
            "and is 63 characters long at most"
        )
    return value


Name = Annotated[str, AfterValidator(_name)]


def _web_address(value: str) -> str:
    hint = "Write it like https://crm.example.com or http://127.0.0.1:8080."
    try:
        parts = urlsplit(value.strip())
        port = parts.port
    except ValueError:
        raise wrong("this is not a web address", hint) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise wrong("this is not a web address", hint)
    if "@" in parts.netloc:
        raise refuse(
            "holds a user or password; an address is given without them",
            "Use username: and password: beside it.",
        )
    if parts.query or parts.fragment:
        raise wrong("an address ends with its path; ? and # do not belong in it", hint)
    return value.strip().rstrip("/")


def _history_address(value: str) -> str:
    if is_reference(value):
        return value
    if not value.startswith(("sqlite:", "postgresql:", "postgresql+psycopg:")):
        raise wrong(
            "a history is kept in SQLite or PostgreSQL",
            "Write sqlite:///PATH, postgresql://USER@HOST/NAME, env:NAME or file:PATH.",
        )
    if not is_open_address(value):
        raise refuse("holds a password; only a reference to it is allowed")
    return value


def _options(value: dict[str, Any]) -> dict[str, Any]:
    """An option that is named like a secret is only ever a reference."""
    _no_literal_secrets(value, ())
    return value


def _no_literal_secrets(value: Mapping[str, Any], inside: tuple[str, ...]) -> None:
    for name, each in value.items():
        if isinstance(each, Mapping):
            _no_literal_secrets(each, (*inside, name))
        elif names_a_secret(name) and each is not None and not is_reference(each):
            raise refuse(LITERAL, inside=(*inside, name))


class Part(BaseModel):
    """A part of the frame: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AccountsFile(Part):
    """The logins of simulated people in a CSV file with the columns username and role."""

    file: LocalPath = Field(description="CSV with username, role and, optionally, password")
    password: Secret | None = Field(
        default=None, description="the password of everybody whose row has none"
    )


def _accounts_form(value: object) -> str:
    return "as a file" if isinstance(value, Mapping | AccountsFile) else "as a list"


Accounts = Annotated[
    Annotated[AccountsFile, Tag("as a file")] | Annotated[tuple[Account, ...], Tag("as a list")],
    Discriminator(_accounts_form),
]


class TargetSettings(Part):
    """One CRM as the file describes it.  ``Config.target`` makes a Target of it."""

    connector: Annotated[str, Field(min_length=1, description="which CRM it is: refcrm, rest, ...")]
    url: Annotated[str, AfterValidator(_web_address), Field(description="its web address")]
    environment: Environment = Field(
        default="test", description="production asks for its typed name before anything heavy"
    )
    username: str = Field(default="", description="the login of crmops itself")
    password: Secret | None = Field(default=None, description="of that login, by reference")
    options: Annotated[dict[str, Any], AfterValidator(_options)] = Field(
        default_factory=dict, description="what the connector asks for; see its page"
    )
    accounts: Accounts = Field(default=(), description="logins of simulated people")
    load: LoadPermission = Field(
        default_factory=LoadPermission, description="whether load may be sent, and how much"
    )
    database: DatabaseAccess | None = Field(
        default=None, description="the CRM's own database, for audits and drills"
    )
    backup: BackupAccess = Field(
        default_factory=BackupAccess, description="what takes the backups of that database"
    )
    timeout: Annotated[Seconds, Field(gt=0, le=3600, description="the time for one call")] = 30.0
    ca_file: LocalPath | None = Field(
        default=None, description="PEM file of authorities to trust besides the system's"
    )


class HistorySettings(Part):
    """Where Runs and their artifacts are kept."""

    url: Annotated[str, AfterValidator(_history_address)] = Field(
        default="", description="sqlite:///PATH or postgresql://...; by default below state"
    )
    artifacts: LocalPath | None = Field(
        default=None, description="directory of reports and logs; by default below state"
    )


class Frame(Part):
    """The whole file.  Each room checks its own section."""

    history: HistorySettings = Field(
        default_factory=HistorySettings, description="where runs and their artifacts are kept"
    )
    state: Path = Field(default=Path(".crmops"), description="directory of everything we keep")
    targets: dict[Name, TargetSettings] = Field(
        default_factory=dict, description="the CRMs, each under its name"
    )
    default_target: str = Field(default="", description="the target when --target is not given")
    load: dict[str, Any] = Field(default_factory=dict, description="load tests")
    probes: dict[str, Any] = Field(default_factory=dict, description="synthetic probes")
    dq: dict[str, Any] = Field(default_factory=dict, description="data-quality audits")
    drills: dict[str, Any] = Field(default_factory=dict, description="backups and restore drills")
    alerts: dict[str, Any] = Field(default_factory=dict, description="alert rules and receivers")
    exporter: dict[str, Any] = Field(default_factory=dict, description="metrics for Prometheus")
    console: dict[str, Any] = Field(default_factory=dict, description="the web pages")
    gates: dict[str, Any] = Field(default_factory=dict, description="launch gates by name")
    schedule: dict[str, Any] = Field(default_factory=dict, description="what runs when")
