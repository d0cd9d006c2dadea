"""What the tests of audits share: databases, an auditor, rules and suites."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import psycopg

from crmops.history import History
from crmops.record import Run
from crmops.secret import Secret
from crmops.target import DatabaseAccess, Target
from dq_checks.client import AuditWorker
from dq_checks.ledgers import Ledgers
from dq_checks.run import Audit, Told, database_url, run_suites
from dq_checks.settings import Settings
from dq_checks.suite import Suite


@dataclass(frozen=True)
class Database:
    """A scratch database: the owner's address and the auditor's."""

    owner: str
    auditor: str

    @property
    def admin(self) -> str:
        """The address of the superuser."""
        return self.owner.replace("crm@", "postgres@", 1)

    def do(self, *statements: str, role: str = "crm") -> None:
        with psycopg.connect(self.admin if role == "postgres" else self.owner) as connection:
            for each in statements:
                connection.execute(each)

    def ids(self, query: str) -> set[str]:
        with psycopg.connect(self.owner) as connection:
            return {str(row[0]) for row in connection.execute(query)}


@dataclass
class Auditor:
    """Audits one database and reads what came of it."""

    history: History
    worker: AuditWorker
    told: Told | None = None

    def target(self, url: str) -> Target:
        access = DatabaseAccess(url=Secret(url))
        return Target(name="crm", connector="refcrm", url="http://127.0.0.1:1", database=access)

    def runs(
        self, url: str, *suites: Suite, ledgers: Ledgers | None = None, **settings: Any
    ) -> list[Run]:
        chosen = Settings(**settings)
        found = database_url(self.target(url), chosen)
        audit = Audit("crm", found, chosen, self.history, told=self.told, ledgers=ledgers)
        return run_suites(audit, suites, self.worker)

    def run(self, url: str, suite: Suite, **settings: Any) -> Run:
        return self.runs(url, suite, **settings)[0]

    def file(self, run: Run, name: str) -> str:
        found = next(each for each in run.evidence if each.path.endswith(f"/{name}"))
        return self.history.files.path(found).read_text(encoding="utf-8")

    def rules(self, run: Run) -> dict[str, dict[str, Any]]:
        """The rules of result.json by id."""
        document = json.loads(self.file(run, "result.json"))
        return {each["rule"]["id"]: each for each in document["rules"]}

    def listed(self, run: Run) -> dict[str, set[str]]:
        """The records of the worklist by rule."""
        found: dict[str, set[str]] = {}
        for line in self.file(run, "worklist.csv").splitlines()[1:]:
            cells = line.split(",")
            found.setdefault(cells[2], set()).add(cells[3])
        return found


def rule(name: str, check: str, **fields: Any) -> dict[str, Any]:
    """A rule with whatever a rule needs."""
    return {
        "id": name, "title": f"the rule {name}", "check": check, "dimension": "validity",
        "code": "0302", "threshold": 1.0, **fields,
    }  # fmt: skip


def suite(*rules: dict[str, Any], **fields: Any) -> Suite:
    """A suite on the table ``people``."""
    head = {"name": "people", "entity": "contact", "table": "people"}
    return Suite.model_validate({**head, **fields, "rules": list(rules)})
