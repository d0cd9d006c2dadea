"""The gate goes only on measured, sufficient, fresh, whole evidence."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crmops.gate import Decision, Gate, check_gate, decide
from crmops.history import History
from crmops.record import Kind, Measure, Run, Unit, Verdict, new_run, utc_now

P95 = {
    "name": "fast enough",
    "kind": "load",
    "subject": "launch",
    "measure": "response_time.p95",
    "limit": 0.8,
    "minimum_samples": 200,
    "maximum_age": "1h",
}
PASSED = {"name": "restorable", "kind": "drill", "subject": "restore", "maximum_age": "92d"}


def gate(*requirements: dict[str, Any], **more: Any) -> Gate:
    return Gate.model_validate({"requirements": list(requirements), **more})


def store(
    history: History,
    kind: Kind = Kind.LOAD,
    subject: str = "launch",
    *,
    p95: float | None = 0.5,
    observed: int = 1000,
    verdict: Verdict = Verdict.PASS,
    age: timedelta = timedelta(seconds=5),
) -> Run:
    ended = utc_now() - age
    measure = Measure(name="response_time.p95", value=p95, unit=Unit.SECONDS, observed=observed)
    run = new_run(kind, "crm", subject).with_(
        begun=ended - timedelta(seconds=60),
        ended=ended,
        verdict=verdict,
        reason=f"it is {verdict}",
        measures=(measure,),
    )
    evidence = history.attach(run.id, "result.json", "{}")
    return history.record(run.with_(evidence=(evidence,)))


def ruled(history: History, wanted: Gate) -> Decision:
    return decide(history, "launch", wanted, "crm", utc_now())


def test_an_empty_history_is_unknown(lite: History) -> None:
    decision = ruled(lite, gate(P95, PASSED))
    assert (decision.verdict, decision.word) == (Verdict.UNKNOWN, "unknown")
    assert decision.rulings[0].reason == "no load 'launch' on 'crm' yet"


def test_all_met_is_go(lite: History) -> None:
    store(lite)
    store(lite, Kind.DRILL, "restore")
    decision = ruled(lite, gate(P95, PASSED))
    assert decision.word == "go", decision.reason
    assert decision.reason == "all 2 requirements met"


@pytest.mark.parametrize(
    ("evidence", "verdict", "reason"),
    [
        ({"p95": 0.9}, Verdict.FAIL, "response_time.p95 is 0.9, not <= 0.8"),
        ({"p95": None}, Verdict.UNKNOWN, "response_time.p95 has no value"),
        ({"observed": 199}, Verdict.UNKNOWN, "rests on 199 samples, 200 are wanted"),
        ({"observed": 0}, Verdict.UNKNOWN, "rests on 0 samples"),
        ({"age": timedelta(hours=2)}, Verdict.UNKNOWN, "2 h 00 min old"),
        ({"age": timedelta(hours=-1)}, Verdict.UNKNOWN, "ahead of the clock"),
        ({"verdict": Verdict.UNKNOWN}, Verdict.UNKNOWN, "it says unknown"),
        ({"verdict": Verdict.ERROR}, Verdict.ERROR, "it could not run"),
    ],
)
def test_evidence_that_does_not_suffice(
    lite: History, evidence: dict[str, Any], verdict: Verdict, reason: str
) -> None:
    store(lite, **evidence)
    decision = ruled(lite, gate(P95))
    assert decision.verdict is verdict
    assert reason in decision.reason


def test_only_the_newest_run_counts(lite: History) -> None:
    store(lite, age=timedelta(minutes=5))
    store(lite, p95=2.0)
    assert ruled(lite, gate(P95)).word == "no-go"


def test_evidence_that_was_changed_or_removed_is_none(lite: History) -> None:
    run = store(lite)
    path = lite.files.path(run.evidence[0])
    path.write_text('{"better": true}')
    assert "is gone or was changed" in ruled(lite, gate(P95)).reason
    path.unlink()
    assert ruled(lite, gate(P95)).verdict is Verdict.UNKNOWN


def test_a_killed_run_is_an_error(lite: History) -> None:
    store(lite)
    run = store(lite, age=timedelta(seconds=1))
    with lite._write() as connection:
        connection.exec_driver_sql(
            f"UPDATE crmops_runs SET ended=NULL, owner='{_dead()}' WHERE id='{run.id}'"
        )
        body = run.with_(ended=None, verdict=Verdict.UNKNOWN, evidence=()).model_dump_json(
            by_alias=True
        )
        connection.exec_driver_sql("UPDATE crmops_runs SET body=? WHERE id=?", (body, run.id))
    _, decision = check_gate(lite, "launch", gate(P95), "crm")
    assert decision.verdict is Verdict.ERROR
    assert "killed before it could end" in decision.reason


def _dead() -> str:
    import socket

    return f"{socket.gethostname()}/999999/1.0"


def test_a_share_of_passed_runs(lite: History) -> None:
    wanted = {
        "name": "probes",
        "kind": "probe",
        "subject": "login",
        "window": "10m",
        "op": ">=",
        "limit": 0.9,
        "minimum_samples": 10,
    }
    for number in range(9):
        store(lite, Kind.PROBE, "login", age=timedelta(seconds=30 + number))
    assert "rests on 9 samples, 10 are wanted" in ruled(lite, gate(wanted)).reason
    store(lite, Kind.PROBE, "login", verdict=Verdict.ERROR)
    assert ruled(lite, gate(wanted)).word == "go"  # 9 of 10
    store(lite, Kind.PROBE, "login", verdict=Verdict.UNKNOWN)
    assert ruled(lite, gate(wanted)).word == "no-go"  # 9 of 11


def waiver(expires: date, granted: date = date(2020, 1, 1)) -> dict[str, Any]:
    return {
        "requirement": "fast enough",
        "reason": "the new database arrives on Monday",
        "approver": "Li Wei",
        "granted": granted,
        "expires": expires,
    }


def test_a_waiver_lets_go_until_it_expires_and_is_shown(lite: History) -> None:
    store(lite, p95=2.0)
    today = utc_now().date()
    decision = ruled(lite, gate(P95, waivers=[waiver(today)]))
    assert decision.word == "go"
    assert decision.rulings[0].verdict is Verdict.FAIL
    assert decision.rulings[0].waiver is not None
    assert decision.reason == "all 1 requirements met, 1 of them waived"
    late = ruled(lite, gate(P95, waivers=[waiver(today - timedelta(days=1))]))
    assert late.word == "no-go"
    assert late.expired_waivers
    early = gate(P95, waivers=[waiver(date(9999, 1, 1), today + timedelta(days=2))])
    assert ruled(lite, early).word == "no-go"


def test_the_decision_is_a_run_with_its_evidence(lite: History) -> None:
    store(lite, p95=2.0)
    run_id, decision = check_gate(lite, "launch", gate(P95), "crm", config_digest="d")
    run = lite.get(run_id)
    assert run is not None
    assert (run.kind, run.subject, run.verdict) == (Kind.GATE, "launch", Verdict.FAIL)
    assert run.findings[0].title == "fast enough"
    stored = Decision.model_validate_json(lite.files.path(run.evidence[0]).read_text())
    assert stored == decision


@pytest.mark.parametrize(
    ("requirements", "more", "message"),
    [
        ([], {}, "at least 1 item"),
        ([P95, P95], {}, "two requirements are called 'fast enough'"),
        ([{**PASSED, "limit": 3}], {}, "a limit needs a measure or a window"),
        ([{**P95, "limit": None}], {}, "needs a limit"),
        ([{**P95, "window": "5m"}], {}, "give measure or window, not both"),
        ([{**P95, "maximum_age": "soon"}], {}, "'soon' is no duration"),
        ([PASSED], {"waivers": [waiver(date(2026, 1, 1))]}, "which is no requirement"),
        (
            [P95],
            {"waivers": [waiver(date(2019, 1, 1))]},
            "a waiver cannot expire before it is granted",
        ),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(
    requirements: list[dict[str, Any]], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        gate(*requirements, **more)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(Verdict),
            st.one_of(st.none(), st.floats(0, 2)),
            st.integers(0, 400),
            st.integers(-2, 3).map(lambda hours: timedelta(hours=hours)),
        ),
        max_size=4,
    )
)
def test_go_means_that_the_newest_evidence_suffices(
    lite: History, evidence: list[tuple[Verdict, float | None, int, timedelta]]
) -> None:
    subject = f"launch {utc_now().isoformat()}"
    stored = [
        store(lite, Kind.LOAD, subject, p95=p95, observed=observed, verdict=verdict, age=age)
        for verdict, p95, observed, age in evidence
    ]
    decision = ruled(lite, gate({**P95, "subject": subject}))
    if decision.word != "go":
        return
    newest = max(stored, key=lambda run: (run.begun, run.id))
    found = newest.measure("response_time.p95")
    assert found is not None and found.value is not None
    assert found.value <= 0.8 and found.observed >= 200
    assert newest.verdict in (Verdict.PASS, Verdict.FAIL)
    now: datetime = utc_now()
    assert newest.ended is not None
    assert timedelta(seconds=-61) <= now - newest.ended <= timedelta(hours=1, seconds=5)
