"""The exporter's output: clean, true, bounded, and there even when the history is not."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_families,
)
from prometheus_client.parser import text_string_to_metric_families

from crmops.binaries import need_binary
from crmops.cli import run as crmops
from crmops.config import load_config
from crmops.history import History, open_history
from crmops.record import Evidence, Finding, Kind, Measure, Unit, Verdict, new_run, utc_now
from exporter.app import create_app
from exporter.catalogue import BY_NAME, CATALOGUE
from exporter.collect import MOST_SUBJECTS, Collector, DrillPlan, ProbePlan
from exporter.settings import Expected

DOCS = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
BAD = Path(__file__).resolve().parents[1] / "data" / "bad" / "exporter"
PLANS = [ProbePlan("crm", "login", 5.0, 15.0)]
EXPECTED = [Expected(kind=Kind.BACKUP, subject="database", target="crm")]
DRILLS = [DrillPlan("crm", 90 * 86400.0)]
Scrape = Callable[[Collector], str]
Parse = Callable[[str], dict[Any, float]]


def of(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def promtool(text: str) -> str:
    done = subprocess.run(
        [need_binary("promtool"), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return f"{done.returncode} {done.stdout}{done.stderr}".strip()


def test_promtool_finds_nothing_wrong(full: History, scrape: Scrape) -> None:
    text = scrape(Collector(full, PLANS, EXPECTED, DRILLS))
    assert promtool(text) == "0"
    families = list(text_string_to_metric_families(text))
    said = {each.name for each in families}
    assert said == {each.name.removesuffix("_total") for each in CATALOGUE}
    assert [each for each in families if not each.documentation] == []


def test_promtool_finds_nothing_wrong_with_an_empty_history(
    history: History, scrape: Scrape, parsed: Parse
) -> None:
    text = scrape(Collector(history))
    assert promtool(text) == "0"
    assert set(parsed(text)) == {of("crm_exporter_info", version="0.1.0"), of("crm_history_up")}


def test_labels_are_those_of_the_catalogue(full: History, scrape: Scrape) -> None:
    text = scrape(Collector(full, PLANS, EXPECTED, DRILLS))
    for family in text_string_to_metric_families(text):
        metric = BY_NAME.get(family.name) or BY_NAME[f"{family.name}_total"]
        assert family.type == metric.type
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), sample


def test_every_metric_is_documented_and_the_reverse() -> None:
    text = DOCS.read_text().partition("## A load test's own metrics")[0]
    rows = re.findall(r"^\| `(crm_\w+)` \| (\w+) \| ([^|]*) \|", text, re.MULTILINE)
    told = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert told == {each.name: (each.type, each.labels) for each in CATALOGUE}


def test_numbers_are_those_of_the_runs(full: History, scrape: Scrape, parsed: Parse) -> None:
    found = parsed(scrape(Collector(full, PLANS)))
    what = {"target": "crm"}
    assert found[of("crm_dq_score_ratio", suite="a-dq", dimension="overall", **what)] == 0.97
    assert found[of("crm_dq_score_ratio", suite="a-dq", dimension="completeness", **what)] == 0.99
    assert found[of("crm_dq_rows", suite="a-dq", **what)] == 1000
    assert found[of("crm_dq_rules", suite="a-dq", state="failed", **what)] == 2
    assert found[of("crm_backup_size_bytes", **what)] == 1 << 20
    assert found[of("crm_drill_rto_seconds", **what)] == 40
    assert found[of("crm_load_users", workload="launch", **what)] == 500
    assert found[of("crm_load_request_rate", workload="launch", **what)] == 99.5
    assert found[of("crm_load_role_users", workload="launch", role="sales_rep", **what)] == 480
    assert found[of("crm_load_calls", workload="launch", outcome="ok", **what)] == 990
    now = {"workload": "launch", "percentile": "p95", **what}
    assert found[of("crm_load_live_response_time_seconds", **now)] == 0.3
    assert found[of("crm_load_verdict", workload="launch", verdict="pass", **what)] == 1
    assert found[of("crm_load_verdict", workload="launch", verdict="fail", **what)] == 0
    p95 = of("crm_load_response_time_seconds", workload="a-load", percentile="p95", **what)
    assert found[p95] == 0.2
    assert found[of("crm_runs_open", kind="load", **what)] == 1
    gate = {"gate": "a-gate", **what}
    assert found[of("crm_gate_verdict", verdict="pass", **gate)] == 1
    assert found[of("crm_gate_verdict", verdict="fail", **gate)] == 0
    probe = {"journey": "a-probe", **what}
    assert found[of("crm_probe_runs_total", result="pass", **probe)] == 2
    assert found[of("crm_probe_duration_seconds_count", **probe)] == 5
    assert found[of("crm_probe_duration_seconds_bucket", le="0.25", **probe)] == 0
    assert found[of("crm_probe_duration_seconds_bucket", le="0.5", **probe)] == 5
    assert found[of("crm_probe_duration_seconds_bucket", le="+Inf", **probe)] == 5
    assert found[of("crm_probe_step_duration_seconds_count", step="login", **probe)] == 5


def test_the_newest_good_backup_counts(history: History, scrape: Scrape, parsed: Parse) -> None:
    from tests.exporter.conftest import ended

    history.record(ended(Kind.BACKUP, "database", ago=600))
    history.record(ended(Kind.BACKUP, "database", Verdict.FAIL, ago=10))
    found = parsed(scrape(Collector(history)))
    assert found[of("crm_backup_size_bytes", target="crm")] == 1 << 20
    what = {"kind": "backup", "target": "crm", "subject": "database"}
    good = found[of("crm_run_last_success_timestamp_seconds", **what)]
    last = found[of("crm_run_last_ended_timestamp_seconds", **what)]
    assert 580 < last - good < 600


def test_the_calendar_of_drills(history: History, scrape: Scrape, parsed: Parse) -> None:
    """Only a drill that passed counts, to a point in time as well; what never passed is due."""
    from tests.exporter.conftest import ended

    def calendar() -> tuple[float, float, float]:
        found = parsed(scrape(Collector(history, drills=DRILLS)))
        interval, due, missed = (
            found[of(f"crm_drill_{name}", target="crm")]
            for name in ("interval_seconds", "due_timestamp_seconds", "missed_periods")
        )
        return interval, due, missed

    day = 86400.0
    assert calendar() == (90 * day, 0, 0)
    for subject, verdict, days in (
        ("restore", Verdict.PASS, 400),
        ("restore", Verdict.FAIL, 300),
        ("mutate", Verdict.PASS, 200),
        ("point-in-time", Verdict.PASS, 50),
        ("restore", Verdict.ERROR, 1),
    ):
        history.record(ended(Kind.DRILL, subject, verdict, ago=days * day))
    interval, due, missed = calendar()
    assert (interval, missed) == (90 * day, 2), "350 days: two whole periods beyond the first"
    assert abs(due - (utc_now().timestamp() + 40 * day)) < 600


def test_the_calendar_comes_from_the_configuration(history: History, tmp_path: Path) -> None:
    from exporter.app import build_collector

    text = "connector: refcrm, url: 'http://127.0.0.1:9'"
    database = "database: {url: 'postgresql://audit@db.example.com/crm'}"
    targets = f"targets: {{crm: {{{text}, {database}}}, saas: {{{text}}}}}\ndefault_target: crm\n"
    for drills, wanted in (
        ("", []),
        ("drills: {keep: 3}\n", []),
        ("drills: {calendar: {every: 90d}}\n", DRILLS),
    ):
        (tmp_path / "crmops.yaml").write_text(targets + drills)
        made = build_collector(load_config(tmp_path / "crmops.yaml"), history)
        assert list(made.drills) == wanted, drills


def test_what_is_planned_exists_from_the_start(
    history: History, scrape: Scrape, parsed: Parse
) -> None:
    found = parsed(scrape(Collector(history, PLANS, EXPECTED)))
    for result in Verdict:
        labels = {"target": "crm", "journey": "login", "result": str(result)}
        assert found[of("crm_probe_runs_total", **labels)] == 0
    assert found[of("crm_probe_limit_seconds", target="crm", journey="login")] == 5
    assert found[of("crm_probe_interval_seconds", target="crm", journey="login")] == 15
    for kind, subject in (("backup", "database"), ("probe", "login")):
        labels = {"kind": kind, "target": "crm", "subject": subject}
        assert found[of("crm_run_last_success_timestamp_seconds", **labels)] == 0
        assert found[of("crm_run_last_ended_timestamp_seconds", **labels)] == 0


def test_what_is_unknown_has_no_series(history: History, scrape: Scrape, parsed: Parse) -> None:
    nothing = Measure(name="score", value=None, unit=Unit.RATIO)
    run = new_run(Kind.DQ, "crm", "contacts", measures=(nothing,))
    history.record(run.with_(ended=utc_now(), verdict=Verdict.UNKNOWN, reason="no rows"))
    names = {name for name, _ in parsed(scrape(Collector(history)))}
    assert "crm_runs_total" in names
    assert not {each for each in names if each.startswith(("crm_dq_", "crm_load_", "crm_drill_"))}


def test_counters_do_not_fall_when_runs_are_forgotten(
    full: History, scrape: Scrape, parsed: Parse
) -> None:
    collector = Collector(full, PLANS)
    before = parsed(scrape(collector))
    assert full.prune(utc_now() + timedelta(days=1)) > 20
    after = parsed(scrape(collector))
    counted = [key for key in before if key[0].endswith(("_total", "_bucket", "_count", "_sum"))]
    assert len(counted) > 50
    assert [key for key in counted if after[key] < before[key]] == []


def test_subjects_without_end_make_no_series_without_end(
    history: History, scrape: Scrape, parsed: Parse
) -> None:
    with_many = MOST_SUBJECTS + 40
    now = utc_now()
    for number in range(with_many):
        run = new_run(Kind.ALERT, "crm", f"alert{number:04d}")
        history.record(run.with_(ended=now, verdict=Verdict.FAIL, reason="firing"))
    found = parsed(scrape(Collector(history)))
    counted = {k: v for k, v in found.items() if k[0] == "crm_runs_total" and v}
    assert len(counted) == MOST_SUBJECTS + 1
    assert sum(counted.values()) == with_many
    rest = of("crm_runs_total", kind="alert", target="other", subject="other", verdict="fail")
    assert counted[rest] == 40


def test_no_secret_and_no_person_is_in_it(history: History, scrape: Scrape) -> None:
    planted = "wang.wei@example.com tr0ub4dor 13800138000"
    run = new_run(
        Kind.PROBE,
        "crm",
        "login",
        measures=(Measure(name="duration", value=1, unit=Unit.SECONDS, observed=1),),
        findings=(Finding(title=planted, detail=planted, subject=planted),),
        evidence=(Evidence(path=planted, sha256="0" * 64, bytes=1),),
        tool_versions={"crm": planted},
        config_digest=planted,
    )
    history.record(run.with_(ended=utc_now(), verdict=Verdict.FAIL, reason=planted))
    text = scrape(Collector(history, PLANS, EXPECTED))
    assert 'subject="login"' in text
    assert not [word for word in planted.split() if word in text]


def test_two_scrapes_at_once_do_not_meet(full: History, scrape: Scrape) -> None:
    collector = Collector(full, PLANS, EXPECTED)
    wanted = scrape(collector)
    got: list[str] = []

    def often() -> None:
        got.extend(scrape(collector) for _ in range(5))

    threads = [threading.Thread(target=often) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(got) == 20
    assert set(got) == {wanted}


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The application, served; and where its history lies."""
    (tmp_path / "crmops.yaml").write_text(
        "targets: {crm: {connector: refcrm, url: 'http://127.0.0.1:1'}}\n"
        "probes: {probes: [{journey: login}]}\n"
        "exporter: {expected: [{kind: drill, subject: restore}]}\n"
    )
    config = load_config(tmp_path / "crmops.yaml", environ={})
    history = open_history(config.history_url, config.artifacts_dir)
    server = uvicorn.Server(
        uvicorn.Config(create_app(config, history), port=0, log_level="error", ws="none")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", config.state_dir / "history.db"
    server.should_exit = True
    thread.join()
    history.close()


def test_it_speaks_both_formats(exporter: tuple[str, Path]) -> None:
    with httpx.Client(base_url=exporter[0], trust_env=False) as http:
        plain = http.get("/metrics")
        assert plain.headers["content-type"].startswith("text/plain; version=")
        assert {each.name for each in text_string_to_metric_families(plain.text)} >= {
            "crm_history_up",
            "crm_probe_runs",
        }
        wanted = {"accept": "application/openmetrics-text; version=1.0.0"}
        other = http.get("/metrics", headers=wanted)
        assert other.headers["content-type"].startswith("application/openmetrics-text")
        families = list(open_families(other.text))  # type: ignore[no-untyped-call]
        assert len(families) > 4
        assert http.get("/other").status_code == 404


def test_a_broken_history_is_a_metric_and_no_failed_scrape(
    exporter: tuple[str, Path], parsed: Parse
) -> None:
    url, database = exporter
    with httpx.Client(base_url=url, trust_env=False) as http:
        assert parsed(http.get("/metrics").text)[of("crm_history_up")] == 1
        for each in database.parent.glob("history.db*"):
            each.write_bytes(b"no database " * 2000)
        answer = http.get("/metrics")
    assert answer.status_code == 200
    assert promtool(answer.text) == "0"
    assert parsed(answer.text) == {
        of("crm_exporter_info", version="0.1.0"): 1,
        of("crm_history_up"): 0,
    }


@pytest.mark.parametrize("kind", sorted(each.stem for each in BAD.glob("*.yaml")))
def test_a_bad_section_is_named_to_the_line(
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("crmops.yaml").write_text((BAD / f"{kind}.yaml").read_text())
    assert crmops(["--quiet", "exporter", "show"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", (BAD / f"{kind}.txt").read_text())


def test_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("crmops.yaml").write_text("exporter: {expected: [{kind: drill, subject: restore}]}\n")
    assert crmops(["exporter", "show"]) == 0
    assert promtool(capsys.readouterr().out) == "0"
    assert crmops(["exporter", "metrics", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["metrics"]
    assert [each["name"] for each in listed] == [each.name for each in CATALOGUE]
