"""What the newest run of each kind says in metrics: name, labels and value, None where unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from crmops.record import Kind, Measure, Run, Verdict

Reading = Iterator[tuple[str, tuple[str, ...], float | None]]


def _value(run: Run, name: str) -> float | None:
    found = run.measure(name)
    return found.value if found else None


def _read_dq(run: Run) -> Reading:
    suite = (run.target, run.subject)
    for measure in run.measures:
        if measure.name == "score":
            yield "crm_dq_score_ratio", (*suite, "overall"), measure.value
        elif measure.name.startswith("score{"):
            dimension = measure.name.removeprefix("score{").removesuffix("}")
            yield "crm_dq_score_ratio", (*suite, dimension), measure.value
        elif measure.name.startswith("rules."):
            yield "crm_dq_rules", (*suite, measure.name.removeprefix("rules.")), measure.value
    yield "crm_dq_rows", suite, _value(run, "rows")


def _read_backup(run: Run) -> Reading:
    yield "crm_backup_size_bytes", (run.target,), _value(run, "size")
    yield "crm_backup_duration_seconds", (run.target,), _value(run, "duration")


def _read_drill(run: Run) -> Reading:
    yield "crm_drill_rto_seconds", (run.target,), _value(run, "rto")
    yield "crm_drill_rpo_seconds", (run.target,), _value(run, "rpo")


def _read_load(run: Run) -> Reading:
    for percentile in ("p50", "p95", "p99"):
        labels = (run.target, run.subject, percentile)
        yield "crm_load_response_time_seconds", labels, _value(run, f"response_time.{percentile}")


def _read_gate(run: Run) -> Reading:
    for verdict in Verdict:
        yield "crm_gate_verdict", (run.target, run.subject, verdict), float(run.verdict is verdict)


READERS: Mapping[Kind, Callable[[Run], Reading]] = {
    Kind.DQ: _read_dq,
    Kind.BACKUP: _read_backup,
    Kind.DRILL: _read_drill,
    Kind.LOAD: _read_load,
    Kind.GATE: _read_gate,
}
"""Kinds whose newest run has numbers worth a metric."""

GOOD_ONLY = frozenset({Kind.BACKUP})
"""Kinds of which only a run that passed says anything."""

_LIVE_LOAD: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "users": ("crm_load_users", ()),
    "request.rate": ("crm_load_request_rate", ()),
    "error.ratio": ("crm_load_error_ratio", ()),
    "scheduled": ("crm_load_scheduled", ()),
    "on_time": ("crm_load_on_time", ()),
    "dropped": ("crm_load_dropped", ()),
    "instrument.loop_lag.p99": ("crm_load_loop_lag_seconds", ()),
    "response_time.p95": ("crm_load_live_response_time_seconds", ("p95",)),
}
"""Measures of a load test that is going on: their metrics, and labels besides what it is."""

_LIVE_LOAD_EACH: Mapping[str, str] = {
    "users": "crm_load_role_users",
    "calls": "crm_load_calls",
    "verdict": "crm_load_verdict",
}
"""Likewise those with a selector, ``calls{ok}``, which becomes a label."""


def read_live_load(run: Run, measures: Sequence[Measure]) -> Reading:
    """What a load test that is going on says."""
    what = (run.target, run.subject)
    for measure in measures:
        stem, _, inside = measure.name.removesuffix("}").partition("{")
        if inside and stem in _LIVE_LOAD_EACH:
            yield _LIVE_LOAD_EACH[stem], (*what, inside), measure.value
        elif not inside and stem in _LIVE_LOAD:
            name, labels = _LIVE_LOAD[stem]
            yield name, (*what, *labels), measure.value
