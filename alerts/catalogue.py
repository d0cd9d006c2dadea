"""The alerts: rule, promtool test and runbook, three files of one name.

A rule is YAML with two placeholders, ``${window}`` and ``${hold}``; everything else is plain
Prometheus.  The link to the runbook is put in here, so that it cannot be forgotten.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from ruamel.yaml import YAML

from alerts.settings import Settings
from crmops.errors import CannotRun

HERE = Path(__file__).parent
RULES, TESTS, RUNBOOKS = HERE / "rules", HERE / "tests", HERE / "runbooks"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of the catalogue; ``rule`` is the rendered Prometheus rule."""

    name: str
    rule: dict[str, Any]
    runbook: str
    test: str

    @property
    def severity(self) -> str:
        """``page``, ``ticket`` or ``none``."""
        return str(self.rule["labels"]["severity"])

    @property
    def summary(self) -> str:
        """One line, with Prometheus' own placeholders."""
        return str(self.rule["annotations"]["summary"])


def prometheus_duration(seconds: float) -> str:
    """Seconds as Prometheus writes them."""
    whole = round(seconds * 1000)
    return f"{whole // 1000}s" if whole % 1000 == 0 else f"{whole}ms"


def load_alerts(settings: Settings) -> list[Alert]:
    """Every alert, rendered.  Raises CannotRun when one lacks a file or names itself otherwise."""
    return [_load(path, settings) for path in sorted(RULES.glob("*.yml"))]


def _load(path: Path, settings: Settings) -> Alert:
    text = Template(path.read_text(encoding="utf-8")).safe_substitute(
        window=prometheus_duration(settings.window), hold=prometheus_duration(settings.hold)
    )
    rule = YAML(typ="safe", pure=True).load(text)
    name = path.stem
    if rule.get("alert") != name:
        raise CannotRun(f"{path.name} calls its alert {rule.get('alert')!r}")
    for partner in (RUNBOOKS / f"{name}.md", TESTS / f"{name}.yml"):
        if not partner.is_file():
            raise CannotRun(
                f"alert {name} has no {partner.parent.name}/{partner.name}",
                hint="An alert is three files of one name: rule, test and runbook.",
            )
    rule["annotations"]["runbook_url"] = f"{settings.runbook_base.rstrip('/')}/{name}"
    runbook = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    return Alert(name, rule, runbook, (TESTS / f"{name}.yml").read_text(encoding="utf-8"))


def render_rules(settings: Settings) -> str:
    """The rules file for Prometheus."""
    groups = [{"name": "crmops", "rules": [each.rule for each in load_alerts(settings)]}]
    stream = io.StringIO()
    as_people_write().dump({"groups": groups}, stream)
    return stream.getvalue()


def as_people_write() -> YAML:
    """A writer of YAML: lists are indented, and an expression stays on its line."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 1000
    return yaml
