"""What the locustfile works with: the CRM, the people's accounts, and what they do.

Either from variables (``CRMOPS_LOAD_USERS_FILE``, ``CRMOPS_LOAD_PASSWORD_FILE``), for one who has
locust and no crmops.yaml, or from the configuration.  Nothing here imports locust.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from crmops.config import load_config
from crmops.connectors import connect
from crmops.errors import ConfigError, UsageError
from crmops.secret import Secret
from crmops.target import Account, LoadPermission, Target
from loadtests.catalogue import find_workload
from loadtests.guard import guard
from loadtests.people import account_roles, repertoire
from loadtests.settings import Settings
from loadtests.workload import Workload

USERS_FILE, PASSWORD_FILE = "CRMOPS_LOAD_USERS_FILE", "CRMOPS_LOAD_PASSWORD_FILE"
CONNECTOR, WORKLOAD = "CRMOPS_LOAD_CONNECTOR", "CRMOPS_LOAD_WORKLOAD"
TARGET, CONFIRM = "CRMOPS_LOAD_TARGET", "CRMOPS_LOAD_CONFIRM"
CLIENT = "CRMOPS_LOAD_CLIENT"
CLIENTS = ("lean", "fasthttp")
NO_HOST = "http://localhost"
"""Stands in for the CRM's address until locust's ``--host`` or its web page gives one."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Who does what where.  ``typed`` says that whoever starts locust names the host."""

    target: Target
    workload: Workload
    settings: Settings
    journeys: dict[str, dict[str, float]]
    typed: bool
    confirm: str

    def at(self, host: str) -> Target:
        """The target at locust's host, its own address if that is empty.

        Raises UsageError unless load may be sent there.
        """
        if not host and self.typed:
            raise UsageError("no host is given", hint="Add --host https://... to the command.")
        target = self.target.model_copy(update={"url": (host or self.target.url).rstrip("/")})
        parts = urlsplit(target.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"the host {host!r} is no address", hint="Write it as http://crm.example:8080."
            )
        settings = self.settings
        if self.typed:
            settings = settings.model_copy(update={"allowed_hosts": (parts.hostname,)})
        one = self.workload.changed(users=1, seconds=1.0)
        guard(target, one, settings, self.confirm)
        return target

    def accounts(self, worker: int, workers: int) -> dict[str, list[Account]]:
        """The accounts of one of several processes, by role: each account has one process only.

        A process that nobody reckoned with has none.
        """
        if worker >= workers:
            return {}
        found: dict[str, list[Account]] = {}
        for each in self.target.accounts:
            found.setdefault(each.role, []).append(each)
        return {role: mine[worker::workers] for role, mine in found.items()}

    def account_roles(self, role: str) -> tuple[str, ...]:
        """The account roles that a role of the workload may use."""
        return account_roles(role, self.workload.roles[role])


def read_terms(environ: Mapping[str, str]) -> Terms:
    """The terms that the variables or the configuration give.  Raises ConfigError, UsageError."""
    typed = bool(environ.get(USERS_FILE))
    if typed:
        settings, target = Settings(), _typed_target(environ)
    else:
        config = load_config()
        settings, target = config.parse("load", Settings), config.target(environ.get(TARGET))
    settings = with_client(settings, environ.get(CLIENT, ""))
    workload = find_workload(environ.get(WORKLOAD) or "workday", settings)
    journeys, _ = repertoire(workload, connect(target))
    if not target.accounts:
        raise UsageError(
            f"target {target.name!r} has no accounts for simulated people",
            hint=f"Add targets.{target.name}.accounts, or set {USERS_FILE} and {PASSWORD_FILE}.",
        )
    return Terms(target, workload, settings, journeys, typed, environ.get(CONFIRM, ""))


def with_client(settings: Settings, name: str) -> Settings:
    """The settings with another client, if one is named.  Raises UsageError for an unknown one."""
    if name and name not in CLIENTS:
        raise UsageError(f"there is no client {name!r}", hint=f"Known: {', '.join(CLIENTS)}.")
    return settings.model_copy(update={"client": name}) if name else settings


def _typed_target(environ: Mapping[str, str]) -> Target:
    path = environ.get(PASSWORD_FILE, "")
    if not path:
        raise ConfigError(
            f"{USERS_FILE} is set, {PASSWORD_FILE} is not",
            hint="It names a file with the one password of all of them.",
        )
    password = Secret(_read(Path(path), PASSWORD_FILE).strip())
    rows = csv.DictReader(_read(Path(environ[USERS_FILE]), USERS_FILE).splitlines())
    if not {"username", "role"} <= set(rows.fieldnames or ()):
        raise ConfigError(
            f"{environ[USERS_FILE]} has no columns username and role", where=USERS_FILE
        )
    accounts = tuple(
        Account(username=row["username"], role=row["role"] or "rep", password=password)
        for row in rows
        if row["username"]
    )
    return Target(
        name="crm",
        connector=environ.get(CONNECTOR) or "refcrm",
        url=NO_HOST,
        accounts=accounts,
        load=LoadPermission(allowed=True, max_users=max(len(accounts), 1), max_rate=1e6),
    )


def _read(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = str(getattr(error, "strerror", "")).lower() or "it is not UTF-8"
        raise ConfigError(f"{path} cannot be read: {why}", where=where) from None
