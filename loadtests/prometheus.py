"""What Prometheus saw of the servers while the load was on: asked for once, kept with the run."""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from crmops.execute import Execution
from loadtests.settings import Prometheus

MOST_POINTS = 300
MOST_SERIES = 12
"""Series of one query that are kept: those that reach highest."""

MOST_BYTES = 8 << 20
PATIENCE = 30.0
"""Seconds for all queries together."""


@dataclass(slots=True)
class Figure:
    """The answer to one query: a line for each series, with a value or None for each moment."""

    name: str
    query: str
    series: list[dict[str, Any]] = field(default_factory=list)
    left_off: int = 0
    problem: str = ""


@dataclass(slots=True)
class Snapshot:
    """All answers.  The moments are ``step`` seconds apart, the first when the load began."""

    begun: datetime
    step: int
    figures: list[Figure]

    def document(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "begun": self.begun.isoformat(),
            "step": self.step,
            "queries": [
                {
                    "name": each.name,
                    "query": each.query,
                    "series": each.series,
                    "left_off": each.left_off,
                    "problem": each.problem,
                }
                for each in self.figures
            ],
        }


class _Series(BaseModel):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Data(BaseModel):
    result: list[_Series]


class _Answer(BaseModel):
    data: _Data


class _Refused(Exception):
    """Prometheus gave no figures; its words say why."""


def take_snapshot(settings: Prometheus, ended: datetime, seconds: float) -> Snapshot | None:
    """The range of every query over the load's time; None if no Prometheus is configured.

    Whatever goes wrong is noted with its query: a run is never lost for it.
    """
    if not settings.url:
        return None
    begun = ended - timedelta(seconds=seconds)
    step = max(math.ceil(seconds / MOST_POINTS), 1)
    window = f"{max(round(settings.window), 1)}s"
    figures = [
        Figure(name, query.replace("$window", window)) for name, query in settings.chosen().items()
    ]
    snapshot = Snapshot(begun, step, figures)
    until = time.monotonic() + PATIENCE
    with _client(settings) as http:
        for each in figures:
            left = until - time.monotonic()
            try:
                if left <= 0:
                    raise _Refused(f"not asked: the others took {PATIENCE:g} s")
                span = {"start": begun.timestamp(), "end": ended.timestamp(), "step": step}
                answer = _ask(http, {"query": each.query, **span}, min(settings.timeout, left))
                _keep(each, answer, snapshot, int(seconds // step) + 1)
            except _Refused as refusal:
                each.problem = str(refusal)
    return snapshot


def _client(settings: Prometheus) -> httpx.Client:
    secret = settings.password.reveal() if settings.password else ""
    auth = (settings.username, secret) if settings.username else None
    return httpx.Client(
        base_url=settings.url, auth=auth, trust_env=False, verify=ssl.create_default_context()
    )


def _ask(http: httpx.Client, form: Mapping[str, Any], timeout: float) -> _Answer:
    """Raises _Refused unless it answers in time, in the form of its HTTP API, and not too much."""
    until = time.monotonic() + timeout
    body = b""
    try:
        with http.stream("POST", "/api/v1/query_range", data=form, timeout=timeout) as answer:
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    raise _Refused(f"more than {MOST_BYTES >> 20} MiB")
                if time.monotonic() > until:
                    raise _Refused(f"no whole answer in {timeout:g} s")
        if answer.status_code != 200:
            raise _Refused(f"status {answer.status_code}: {body[:200].decode(errors='replace')}")
        return _Answer.model_validate_json(body)
    except ValidationError:
        raise _Refused("the answer is not one of Prometheus's API") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _Refused(f"{type(error).__name__}: {error}"[:200]) from None


def _keep(figure: Figure, answer: _Answer, snapshot: Snapshot, moments: int) -> None:
    start, step = snapshot.begun.timestamp(), snapshot.step
    lines = []
    for series in answer.data.result:
        values: list[float | None] = [None] * moments
        for moment, text in series.values:
            at = round((moment - start) / step)
            if 0 <= at < moments:
                values[at] = _number(text)
        labels = {key: value for key, value in series.metric.items() if key != "__name__"}
        lines.append({"labels": dict(sorted(labels.items())), "values": values})
    lines.sort(key=_highest, reverse=True)
    figure.series, figure.left_off = lines[:MOST_SERIES], max(len(lines) - MOST_SERIES, 0)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _highest(line: dict[str, Any]) -> float:
    return max((each for each in line["values"] if each is not None), default=-math.inf)


def snapshot_findings(
    execution: Execution, snapshot: Snapshot | None, settings: Prometheus
) -> None:
    """What could not be had, and what was asked for in vain."""
    if snapshot is None:
        return
    failed = [each for each in snapshot.figures if each.problem]
    if len(failed) == len(snapshot.figures) and len({each.problem for each in failed}) == 1:
        execution.finding(
            "Prometheus gave no figures", failed[0].problem, "warning", "prometheus",
            suggestion="check load.prometheus.url; the run's own numbers do not need it",
        )  # fmt: skip
        return
    for each in failed:
        execution.finding(
            f"Prometheus did not answer {each.name!r}", each.problem, "warning", "prometheus",
            suggestion=f"check load.prometheus.queries: {each.query}",
        )  # fmt: skip
    for each in snapshot.figures:
        if not each.problem and not each.series and each.name in settings.queries:
            execution.finding(
                f"Prometheus has no series for {each.name!r}", each.query, "info", "prometheus",
                suggestion="is the server scraped, and is it the right name?",
            )  # fmt: skip
