"""Histories with everything in them, and a way to scrape them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from crmops.history import History, open_history
from crmops.record import Kind, Measure, Run, Unit, Verdict, new_id, new_run, utc_now
from exporter.collect import Collector

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
NUMBERS: dict[Kind, tuple[tuple[str, float, Unit], ...]] = {
    Kind.PROBE: (("duration", 0.3, Unit.SECONDS), ("step.login", 0.2, Unit.SECONDS)),
    Kind.DQ: (
        ("score", 0.97, Unit.RATIO),
        ("score{completeness}", 0.99, Unit.RATIO),
        ("rows", 1000, Unit.COUNT),
        ("rules.failed", 2, Unit.COUNT),
    ),
    Kind.BACKUP: (("size", 1 << 20, Unit.BYTES), ("duration", 12, Unit.SECONDS)),
    Kind.DRILL: (("rto", 40, Unit.SECONDS), ("rpo", 3, Unit.SECONDS)),
    Kind.LOAD: tuple((f"response_time.{p}", 0.2, Unit.SECONDS) for p in ("p50", "p95", "p99")),
    Kind.GATE: (("requirements", 3, Unit.COUNT),),
}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    opened = open_history(f"sqlite:///{tmp_path / 'history.db'}", tmp_path / "artifacts")
    yield opened
    opened.close()


def ended(kind: Kind, subject: str, verdict: Verdict = Verdict.PASS, ago: float = 60.0) -> Run:
    """A run of today with the usual numbers of its kind."""
    now = utc_now()
    measures = tuple(
        Measure(name=name, value=value, unit=unit, observed=1)
        for name, value, unit in NUMBERS.get(kind, ())
    )
    return Run(
        id=new_id(),
        kind=kind,
        target="crm",
        subject=subject,
        begun=now - timedelta(seconds=ago + 1),
        ended=now - timedelta(seconds=ago),
        verdict=verdict,
        reason="so it was",
        measures=measures,
    )


@pytest.fixture
def full(history: History) -> History:
    """Something of every kind, ended with every verdict, and a load test that goes on."""
    for kind in Kind:
        for verdict in Verdict:
            history.record(
                ended(kind, f"a-{kind}", verdict, ago=100 - list(Verdict).index(verdict))
            )
        history.record(ended(kind, f"a-{kind}", ago=5))
    run = history.begin(new_run(Kind.LOAD, "crm", "launch"))
    history.beat(
        run.id,
        [
            Measure(name="users", value=500, unit=Unit.COUNT, observed=1),
            Measure(name="request.rate", value=99.5, unit=Unit.COUNT, observed=1),
            Measure(name="error.ratio", value=0.01, unit=Unit.RATIO, observed=1),
            Measure(name="users{sales_rep}", value=480, unit=Unit.COUNT, observed=1),
            Measure(name="calls{ok}", value=990, unit=Unit.COUNT, observed=1),
            Measure(name="scheduled", value=1000, unit=Unit.COUNT, observed=1),
            Measure(name="on_time", value=999, unit=Unit.COUNT, observed=1),
            Measure(name="dropped", value=3, unit=Unit.COUNT, observed=1),
            Measure(name="response_time.p95", value=0.3, unit=Unit.SECONDS, observed=1),
            Measure(name="instrument.loop_lag.p99", value=0.004, unit=Unit.SECONDS, observed=1),
            Measure(name="verdict{pass}", value=1, unit=Unit.COUNT, observed=1),
            Measure(name="verdict{fail}", value=0, unit=Unit.COUNT, observed=1),
        ],
    )
    return history


@pytest.fixture
def scrape() -> Callable[..., str]:
    """The text that a scrape of a collector gives."""

    def text(collector: Collector) -> str:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(collector)
        return generate_latest(registry).decode()

    return text


def series(text: str) -> Series:
    """A scrape as values by name and labels, read by Prometheus' own parser."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def parsed() -> Callable[[str], Series]:
    return series
