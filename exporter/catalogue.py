"""Every metric there is: name, type, labels, meaning.  docs/metrics.md lists the same.

Labels are bounded: targets, subjects, steps and dimensions come from configuration and code,
never from records, addresses or people.  An unknown number is an absent series, never a 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family."""

    name: str
    type: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    help: str


_WHAT = ("target", "subject")

CATALOGUE: tuple[Metric, ...] = (
    Metric("crm_exporter_info", "gauge", ("version",), "The version of crmops; always 1."),
    Metric("crm_history_up", "gauge", (), "1 if the history could be read for this scrape."),
    Metric(
        "crm_runs_total",
        "counter",
        ("kind", *_WHAT, "verdict"),
        "Ended runs of anything, by verdict; pruning never lowers it.",
    ),
    Metric(
        "crm_run_last_ended_timestamp_seconds",
        "gauge",
        ("kind", *_WHAT),
        "When the newest run ended, whatever its verdict; 0 if it is expected and never ran.",
    ),
    Metric(
        "crm_run_last_success_timestamp_seconds",
        "gauge",
        ("kind", *_WHAT),
        "When a run last passed; 0 if it is expected or ran and never passed.",
    ),
    Metric("crm_runs_open", "gauge", ("kind", "target"), "Runs that are going on now."),
    Metric(
        "crm_probe_runs_total",
        "counter",
        ("target", "journey", "result"),
        "Walks of a journey by result; every result exists from the start.",
    ),
    Metric(
        "crm_probe_duration_seconds",
        "histogram",
        ("target", "journey"),
        "Seconds of a walk, without the login that precedes it.",
    ),
    Metric(
        "crm_probe_step_duration_seconds",
        "histogram",
        ("target", "journey", "step"),
        "Seconds spent in the calls of one step; the steps of the login come first.",
    ),
    Metric(
        "crm_probe_limit_seconds",
        "gauge",
        ("target", "journey"),
        "The configured limit of a walk.",
    ),
    Metric(
        "crm_probe_interval_seconds",
        "gauge",
        ("target", "journey"),
        "The configured time from the begin of one walk to the next.",
    ),
    Metric(
        "crm_dq_score_ratio",
        "gauge",
        ("target", "suite", "dimension"),
        "Score of the newest audit; dimension overall is the weighted whole.",
    ),
    Metric("crm_dq_rows", "gauge", ("target", "suite"), "Rows that the newest audit saw."),
    Metric(
        "crm_dq_rules",
        "gauge",
        ("target", "suite", "state"),
        "Rules of the newest audit that failed, errored or saw no rows.",
    ),
    Metric("crm_backup_size_bytes", "gauge", ("target",), "Size of the newest good backup."),
    Metric(
        "crm_backup_duration_seconds",
        "gauge",
        ("target",),
        "Seconds that the newest good backup took.",
    ),
    Metric(
        "crm_drill_rto_seconds",
        "gauge",
        ("target",),
        "Recovery time that the newest drill measured.",
    ),
    Metric(
        "crm_drill_rpo_seconds", "gauge", ("target",), "Data loss that the newest drill measured."
    ),
    Metric(
        "crm_drill_interval_seconds",
        "gauge",
        ("target",),
        "The agreed time from one drill that passes to the next.",
    ),
    Metric(
        "crm_drill_due_timestamp_seconds",
        "gauge",
        ("target",),
        "When the next drill must have passed; 0 if none has passed yet.",
    ),
    Metric(
        "crm_drill_missed_periods",
        "gauge",
        ("target",),
        "Whole periods without a drill that passed, since the first one.",
    ),
    Metric(
        "crm_load_users",
        "gauge",
        ("target", "workload"),
        "People at work in the running load test.",
    ),
    Metric(
        "crm_load_request_rate",
        "gauge",
        ("target", "workload"),
        "Requests per second in the running load test.",
    ),
    Metric(
        "crm_load_error_ratio",
        "gauge",
        ("target", "workload"),
        "Share of failed requests in the running load test.",
    ),
    Metric(
        "crm_load_role_users",
        "gauge",
        ("target", "workload", "role"),
        "People at work in the running load test, by role.",
    ),
    Metric(
        "crm_load_calls",
        "gauge",
        ("target", "workload", "outcome"),
        "Calls of the running load test since its beginning, by how they ended.",
    ),
    Metric(
        "crm_load_scheduled",
        "gauge",
        ("target", "workload"),
        "Moments at which the running load test meant to send something.",
    ),
    Metric(
        "crm_load_on_time",
        "gauge",
        ("target", "workload"),
        "Of these, how many were kept within 0.1 s.",
    ),
    Metric(
        "crm_load_dropped",
        "gauge",
        ("target", "workload"),
        "Arrivals of the running load test that nobody took up in time.",
    ),
    Metric(
        "crm_load_live_response_time_seconds",
        "gauge",
        ("target", "workload", "percentile"),
        "Response time in the running load test over the last five seconds.",
    ),
    Metric(
        "crm_load_loop_lag_seconds",
        "gauge",
        ("target", "workload"),
        "How late the generator's event loop wakes (p99 of the last five seconds).",
    ),
    Metric(
        "crm_load_verdict",
        "gauge",
        ("target", "workload", "verdict"),
        "1 for the verdict that the running load test would have by now, 0 for the others.",
    ),
    Metric(
        "crm_load_response_time_seconds",
        "gauge",
        ("target", "workload", "percentile"),
        "Response time of the newest ended load test.",
    ),
    Metric(
        "crm_gate_verdict",
        "gauge",
        ("target", "gate", "verdict"),
        "1 for the newest verdict of a gate, 0 for the others.",
    ),
)

BY_NAME: dict[str, Metric] = {each.name: each for each in CATALOGUE}
