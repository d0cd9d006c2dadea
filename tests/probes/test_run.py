"""One probe against a real CRM: what passes, what fails, what is unknown, what is left behind."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from crmops import execute
from crmops.cli import run as crmops
from crmops.drivers import client
from crmops.errors import ConfigError, UsageError
from crmops.history import History
from crmops.record import Kind, Run, Verdict, utc_now
from crmops.secret import Secret
from crmops.target import Target
from probes.run import run_probe

Factory = Callable[..., Target]


def probe(target: Target, name: str, history: History, limit: float = 20.0) -> Run:
    run = run_probe(target, name, history, limit=limit, config_digest="d")
    assert history.latest(Kind.PROBE, target.name, name) == run
    assert history.live() == []
    return run


@pytest.mark.parametrize("name", ["login", "search", "browse_open", "manager_report"])
def test_a_journey_that_works_passes(target_factory: Factory, history: History, name: str) -> None:
    run = probe(target_factory(), name, history)
    assert (run.verdict, run.reason) == (Verdict.PASS, "all 1 objectives met")
    assert (run.kind, run.target, run.config_digest) == (Kind.PROBE, "crm", "d")
    names = [each.name for each in run.measures]
    assert names[:3] == ["duration", "step.login", "step.home"]
    assert all(each.value is not None and each.observed > 0 for each in run.measures)


def test_the_login_before_a_journey_is_no_part_of_its_duration(
    target_factory: Factory, history: History, refcrm_server: Any
) -> None:
    with refcrm_server.faults(latency_seconds=0.4, latency_paths=["/api/v1/login"]):
        run = probe(target_factory(), "search", history)
    duration, login = run.measure("duration"), run.measure("step.login")
    assert login is not None and login.value is not None and login.value >= 0.4
    assert duration is not None and duration.value is not None
    steps = [m.value or 0 for m in run.measures if m.name not in ("duration", "step.login")]
    assert duration.value <= sum(steps) + 0.4


def test_a_slow_crm_fails(target_factory: Factory, history: History, refcrm_server: Any) -> None:
    with refcrm_server.faults(latency_seconds=0.3):
        run = probe(target_factory(), "login", history, limit=0.25)
    assert run.verdict is Verdict.FAIL
    assert run.reason.startswith("duration is ")
    assert run.reason.endswith(", not <= 0.25")


def test_a_wrong_password_fails(target_factory: Factory, history: History) -> None:
    run = probe(target_factory(password=Secret("tr0ub4dor")), "search", history)
    assert (run.verdict, run.reason) == (Verdict.FAIL, "auth at login: invalid_credentials")
    assert [each.severity for each in run.findings] == ["critical"]
    assert "tr0ub4dor" not in json.dumps(run.dump())


def test_a_crm_that_is_not_there_fails(target_factory: Factory, history: History) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    run = probe(target_factory(url=url), "login", history)
    assert run.verdict is Verdict.FAIL
    assert run.reason == "transport at login: ConnectError: [Errno 111] Connection refused"


def test_a_crm_that_says_nothing_fails(
    target_factory: Factory, history: History, hanging: str
) -> None:
    run = probe(target_factory(url=hanging, timeout=0.3), "login", history)
    assert (run.verdict, run.reason) == (
        Verdict.FAIL,
        "timeout at login: no answer in time (ReadTimeout)",
    )


def test_too_many_requests_are_unknown(
    target_factory: Factory, history: History, throttling: str
) -> None:
    run = probe(target_factory(url=throttling), "login", history)
    assert (run.verdict, run.reason) == (Verdict.UNKNOWN, "throttled at login: throttled")


def test_a_lost_write_fails(target_factory: Factory, history: History, refcrm_server: Any) -> None:
    """A CRM that says yes and keeps nothing."""
    with refcrm_server.faults(lost_write_ratio=1.0):
        run = probe(target_factory(), "create_lead", history)
    assert run.verdict is Verdict.FAIL
    assert run.reason.startswith(("missing at ", "invalid at "))


@pytest.mark.parametrize("name", ["create_lead", "convert_lead", "move_deal", "case_lifecycle"])
def test_nothing_is_left_behind(
    target_factory: Factory, history: History, refcrm_server: Any, name: str
) -> None:
    run = probe(target_factory(), name, history)
    assert run.verdict is Verdict.PASS, run.reason
    assert run.findings == ()
    headers = {"authorization": f"Bearer {refcrm_server.admin_token}"}
    with httpx.Client(base_url=refcrm_server.url, headers=headers, trust_env=False) as http:
        for entity in ("leads", "contacts", "accounts", "deals", "cases"):
            answer = http.get(f"/api/v1/{entity}", params={"source_tag": run.id})
            answer.raise_for_status()
            assert answer.json()["records"] == []


def test_what_cannot_be_removed_is_a_finding(
    target_factory: Factory, history: History, refcrm_server: Any
) -> None:
    """A representative may create leads and not delete them."""
    target = target_factory(username=refcrm_server.username("rep"))
    run = probe(target, "create_lead", history)
    assert run.verdict is Verdict.PASS, run.reason
    left = [each for each in run.findings if each.title == "a probe's lead was left behind"]
    with client(target_factory()) as http:
        headers = {"authorization": f"Bearer {refcrm_server.admin_token}"}
        for each in left:
            key = each.detail.removeprefix("id ").partition(":")[0]
            http.delete(f"/api/v1/leads/{key}", headers=headers).raise_for_status()


def test_a_step_of_the_clock_is_told_and_times_hold(
    target_factory: Factory, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall clock jumps back an hour while the walk goes on."""
    monkeypatch.setattr(execute, "utc_now", lambda: utc_now() - timedelta(hours=1))
    run = probe(target_factory(), "login", history)
    assert run.verdict is Verdict.PASS
    assert [each.title for each in run.findings] == ["the clock stepped"]
    duration = run.measure("duration")
    assert run.seconds is not None and duration is not None and duration.value is not None
    assert duration.value <= run.seconds < 60


def test_what_cannot_be_probed_leaves_no_run(target_factory: Factory, history: History) -> None:
    with pytest.raises(UsageError, match="there is no journey 'logon'") as unknown:
        run_probe(target_factory(), "logon", history, limit=1)
    assert unknown.value.hint.startswith("Did you mean 'login'? Known: ")
    with pytest.raises(ConfigError, match="target 'crm' has no username and password for probes"):
        run_probe(target_factory(password=None), "login", history, limit=1)
    assert history.find() == []


def test_tls_is_set_up_once_a_process(target_factory: Factory) -> None:
    """Reading the authorities costs 30 ms of CPU, a login costs a tenth of that."""
    from crmops.trust import trust

    assert trust(target_factory()) is trust(target_factory(name="other"))


def test_the_command(
    configured: Any,
    refcrm_server: Any,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    config = configured(
        refcrm_server.url,
        "probes: {probes: [{journey: login, limit: 15s}]}",
        refcrm_server.password,
    )
    arguments = ["--quiet", "--config", str(config.path), "probe", "run", "login"]
    assert crmops([*arguments, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["kind"], said["subject"], said["verdict"]) == ("probe", "login", "pass")
    assert crmops([*arguments, "--limit", "0.0001"]) == 1
    assert "fail probe login on crm: duration is " in capsys.readouterr().out
    assert refcrm_server.password not in (tmp_path / "crmops.yaml").read_text()
    assert crmops(["probe", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"login", "search"} <= {each["name"] for each in listed["journeys"]}
