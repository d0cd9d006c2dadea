"""docs/alerts.md and docs/probes.md say what is there."""

from __future__ import annotations

import re
from pathlib import Path

from alerts.catalogue import load_alerts
from alerts.settings import Rehearsal, Settings
from probes.settings import Probe

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_alert_is_listed_and_the_reverse() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(\S+\) \| (\w+) \|", (DOCS / "alerts.md").read_text(), re.M)
    assert rows == [(each.name, each.severity) for each in load_alerts(Settings())]


def test_every_setting_is_explained() -> None:
    alerts, probes = (DOCS / "alerts.md").read_text(), (DOCS / "probes.md").read_text()
    for name in (*Settings.model_fields, *Rehearsal.model_fields):
        assert re.search(rf"^ +{name}:", alerts, re.MULTILINE), name
    for name in Probe.model_fields:
        assert re.search(rf"^ +(- )?{name}:", probes, re.MULTILINE), name
