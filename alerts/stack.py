"""Configuration files for Prometheus and Alertmanager that send alerts to our receiver."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from alerts.catalogue import as_people_write, prometheus_duration
from alerts.settings import Settings

RECEIVER_PATH = "/api/v1/alerts"


def alertmanager_config(settings: Settings, url: str, token_file: Path | None = None) -> str:
    """Alertmanager's configuration: everything goes to crmops at ``url``.

    ``token_file`` holds what ``alerts.receiver_token`` refers to.  When crmops itself is gone,
    that is told once, and not once more by everything that it no longer measures.
    """
    webhook: dict[str, Any] = {"url": url.rstrip("/") + RECEIVER_PATH, "send_resolved": True}
    if token_file is not None:
        webhook["http_config"] = {
            "authorization": {"type": "Bearer", "credentials_file": str(token_file)}
        }
    return _dump(
        {
            "route": {
                "receiver": "crmops",
                "group_by": ["alertname", "target"],
                "group_wait": prometheus_duration(settings.group_wait),
                "group_interval": prometheus_duration(settings.group_interval),
                "repeat_interval": prometheus_duration(settings.repeat_interval),
            },
            "inhibit_rules": [
                {
                    "source_matchers": ['alertname="CrmExporterAbsent"'],
                    "target_matchers": ['alertname=~"CrmProbeSilent|CrmAuditOverdue"'],
                }
            ],
            "receivers": [{"name": "crmops", "webhook_configs": [webhook]}],
        }
    )


def prometheus_config(url: str, rules: Path, alertmanager: str, interval: float = 15.0) -> str:
    """Prometheus' configuration: scrape crmops at ``url``, load the rules, notify Alertmanager.

    ``interval`` in seconds is the time between two scrapes and between two looks at the rules.
    """
    every = prometheus_duration(interval)
    return _dump(
        {
            "global": {"scrape_interval": every, "evaluation_interval": every},
            "rule_files": [str(rules)],
            "alerting": {
                "alertmanagers": [
                    {"static_configs": [{"targets": [urlsplit(alertmanager).netloc]}]}
                ]
            },
            "scrape_configs": [
                {"job_name": "crmops", "static_configs": [{"targets": [urlsplit(url).netloc]}]}
            ],
        }
    )


def _dump(data: dict[str, Any]) -> str:
    stream = io.StringIO()
    as_people_write().dump(data, stream)
    return stream.getvalue()
