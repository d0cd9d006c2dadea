"""Workloads fitted from access logs that were made by a known workload."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, strategies

from crmops.cli import run
from crmops.connectors import connect
from crmops.journeys import journeys
from crmops.journeys.base import Person
from crmops.target import Target
from crmops.wire import Call, Think
from loadtests.catalogue import read_workload
from loadtests.fit.cli import masked
from loadtests.fit.lines import BadLine, Reading, parse
from loadtests.fit.operations import paths_of
from loadtests.fit.rehearsal import MemoryCrm, habits
from loadtests.fit.sessions import HOUR, Session, by_hour
from loadtests.fit.shares import mixture

NINE = datetime(2026, 3, 2, 1, 0, tzinfo=UTC).timestamp()
"""Nine in the morning in China."""

WALKED = {"browse_open": 60, "search": 30, "create_lead": 10}
PACE, SPREAD, SESSION = 0.8, 0.4, 1200.0
PATHS = {
    "login": "POST /api/v1/login", "whoami": "GET /api/v1/me", "logout": "POST /api/v1/logout",
    "list": "GET /api/v1/{0}?limit=20", "get": "GET /api/v1/{0}/{1}",
    "search": "GET /api/v1/{0}/search?q=planted&limit=20", "create": "POST /api/v1/{0}",
}  # fmt: skip


def a_day(people: int, seed: int = 1) -> Iterator[tuple[float, str, str]]:
    """Time, person and request of everything that people do in three hours from nine."""
    rng = random.Random(seed)
    for number in range(people):
        now = NINE + rng.uniform(0, 2 * HOUR)
        over = now + SESSION * rng.lognormvariate(0, 0.3)
        names = ["login", *rng.choices(list(WALKED), list(WALKED.values()), k=500)]
        for name in names:
            if now > over:
                break
            for wait, request in steps(name, rng):
                now += wait
                if request:
                    yield now, f"planted{number:03d}", request
            now += think(10.0, rng) if name != "login" else 0.0
        yield now, f"planted{number:03d}", PATHS["logout"]


def steps(name: str, rng: random.Random) -> Iterator[tuple[float, str]]:
    """The requests of one journey with the seconds before each; none after the last thought."""
    wait = 0.0
    person = Person("x", "", "rep", "", rng)
    for order in journeys()[name].walk(MemoryCrm(), person):
        if isinstance(order, Think):
            wait += think(order.seconds, rng)
        elif isinstance(order, Call):
            plural, _, verb = order.name.rpartition(".")
            yield wait + 0.02, PATHS[verb].format(plural, rng.randrange(10**6))
            wait = 0.0
    yield wait, ""


def think(median: float, rng: random.Random) -> float:
    return median * PACE * rng.lognormvariate(0, SPREAD)


def combined(at: float, who: str, request: str) -> str:
    moment = datetime.fromtimestamp(at + 8 * HOUR, UTC).strftime("%d/%b/%Y:%H:%M:%S +0800")
    return f'10.1.2.3 - {who} [{moment}] "{request} HTTP/1.1" 200 512 "-" "Mozilla/5.0"'


def as_json(at: float, who: str, request: str) -> str:
    method, _, path = request.partition(" ")
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    inner = {"method": method, "uri": path}
    return json.dumps({"ts": moment, "remote_user": who, "request": inner, "status": 200})


@pytest.mark.parametrize("form", [combined, as_json])
def test_a_known_day_is_found_again(
    form: object, tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(form)
    lines = [form(*each) for each in sorted(a_day(60))]
    lines[3:3] = ["what is this", "{nor this"]
    log, out = tmp_path / "access.log.gz", tmp_path / "our_day.yaml"
    log.write_bytes(gzip.compress("\n".join(lines).encode()))
    code = run(["--config", str(config), "load", "fit", str(log), "--out", str(out), "--json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    found = json.loads(said.out)
    assert found["bad_lines"] == {
        "it is neither combined format nor JSON": 1,
        "it begins like JSON and is none": 1,
    }
    assert "2 of " in said.err
    assert "(line 4: it is neither" in said.err
    assert found["sessions"] == 60
    assert found["calls_explained"] > 0.93
    for name, share in WALKED.items():
        assert abs(found["journeys"][name] - share) < 6, found["journeys"]
    assert sum(found["journeys"].values()) == pytest.approx(100, abs=0.1)
    assert found["pace"] == pytest.approx(PACE, rel=0.15)
    assert found["spread"] == pytest.approx(SPREAD, abs=0.12)
    assert found["session_median"] == pytest.approx(SESSION, rel=0.15)
    workload = read_workload(out)
    assert (workload.name, workload.users) == ("our_day", found["people_at_once"])
    # The combined format knows the server's own clock, our JSON lines are in UTC.
    first = "h09" if form is combined else "h01"
    assert workload.phases[0].name == first
    assert workload.roles["people"].abandon == 0
    assert "planted" not in said.out + said.err + out.read_text()


def test_the_open_model_and_no_overwriting(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, out = tmp_path / "access.log", tmp_path / "day.yaml"
    log.write_text("\n".join(combined(*each) for each in sorted(a_day(40))))
    command = ["--config", str(config), "load", "fit", str(log), "--out", str(out), "--open"]
    assert run(command) == 0
    workload = read_workload(out)
    assert workload.model == "open"
    assert workload.phases[0].rate is not None
    capsys.readouterr()
    assert run(command) == 2
    assert capsys.readouterr().err.startswith(f"error: '{out}' exists\n")


BAD = Path(__file__).resolve().parents[1] / "data" / "bad" / "load-analysis" / "fit"
KINDS = sorted(each.stem for each in BAD.glob("*.log"))


@pytest.mark.parametrize("kind", KINDS)
def test_bad_logs(
    kind: str,
    tmp_path: Path,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(BAD)
    code, message = (BAD / f"{kind}.txt").read_text().split("\n", 1)
    extra = ["--map", f"{kind}.yaml"] if (BAD / f"{kind}.yaml").exists() else []
    out = tmp_path / "out.yaml"
    command = ["--config", str(config), "load", "fit", f"{kind}.log", "--out", str(out), *extra]
    assert run(command) == int(code)
    assert capsys.readouterr().err == message
    assert not out.exists()


def test_every_bad_log_has_its_message_and_the_reverse() -> None:
    assert {each.stem for each in BAD.glob("*.txt")} == set(KINDS) != set()


def test_a_log_that_is_not_there(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", str(config), "load", "fit", "nowhere.log", "--out", "x.yaml"]) == 2
    assert capsys.readouterr().err == (
        "error: there is no access log 'nowhere.log'\nhint: Give the path of a file.\n"
    )


@given(strategies.text())
def test_any_line_is_read_or_refused_in_words(text: str) -> None:
    try:
        hit = parse(text)
    except BadLine as problem:
        assert str(problem)
    else:
        assert hit.who


@given(strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.floats() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(
        strategies.sampled_from(["time", "request", "status", "user", "method", "uri"]), inner
    ),
))  # fmt: skip
def test_any_json_is_read_or_refused_in_words(value: object) -> None:
    try:
        parse(json.dumps({"request": value, "time": value, "status": value, "user": value}))
    except BadLine as problem:
        assert str(problem)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-03-02T09:00:00+08:00", (NINE, 8 * HOUR)),
        ("2026-03-02T01:00:00Z", (NINE, 0.0)),
        (NINE, (NINE, 0.0)),
        (NINE * 1000, (NINE, 0.0)),
        (f"{NINE:.3f}", (NINE, 0.0)),
        ("02/Mar/2026:09:00:00 +0800", (NINE, 8 * HOUR)),
    ],
)
def test_times_of_many_servers(time: object, expected: tuple[float, float]) -> None:
    line = {"time": time, "request": "GET /x HTTP/1.1", "status": "200", "user": "a"}
    hit = parse(json.dumps(line))
    assert (hit.at, hit.offset) == expected


def target(connector: str, url: str = "http://crm.example") -> Target:
    options = {"profile": "refcrm"} if connector == "rest" else {}
    return Target(name="crm", connector=connector, url=url, options=options)


@pytest.mark.parametrize("connector", ["refcrm", "rest"])
@pytest.mark.parametrize("prefix", ["", "/inside/crm"])
@pytest.mark.parametrize(
    ("request_", "operation"),
    [
        ("GET /api/v1/contacts?limit=50&cursor=x", "contacts.list"),
        ("GET /api/v1/contacts/77", "contacts.get"),
        ("GET /api/v1/contacts/search?q=a&limit=5", "contacts.search"),
        ("PATCH /api/v1/deals/9", "deals.update"),
        ("POST /api/v1/leads/5/convert", "leads.convert"),
        ("GET /api/v1/reports/pipeline?by=owner", "reports.pipeline"),
        ("POST /api/v1/logout", "logout"),
        ("GET /somewhere/else", None),
    ],
)
def test_paths_are_those_of_the_connector(
    connector: str, prefix: str, request_: str, operation: str | None
) -> None:
    method, path = request_.split()
    made = connect(target(connector, f"http://crm.example{prefix}"))
    assert paths_of(made, None).operation(method, f"{prefix}{path}") == operation


def test_a_map_comes_first(tmp_path: Path) -> None:
    mapped = tmp_path / "map.yaml"
    mapped.write_text("GET /crm/person/{id}: contacts.get\n'* /crm/ping*': ignore\n")
    paths = paths_of(connect(target("refcrm")), mapped)
    assert paths.operation("GET", "/crm/person/7?tab=2") == "contacts.get"
    assert paths.operation("POST", "/crm/ping/x") == "ignore"
    assert paths.operation("GET", "/crm/person/7/more") is None


def test_shares_of_a_known_mixture() -> None:
    known = habits(connect(target("refcrm")), 10)
    walks = {"browse_open": 300.0, "move_deal": 100.0, "manager_report": 50.0}
    calls: dict[str, int] = {}
    for each in known:
        for name, number in each.calls.items():
            calls[name] = calls.get(name, 0) + round(number * walks.get(each.journey, 0))
    found = mixture({name: number for name, number in calls.items() if number}, known)
    for name, number in walks.items():
        assert found[name] == pytest.approx(number, rel=0.05)
    assert len(found) == 3


def test_people_at_once_by_hour() -> None:
    sessions = [
        Session(0, 5000, 3, False),
        Session(3000, 3700, 3, False),
        Session(9000, 9100, 2, True),
    ]
    begun, peaks = by_hour(sessions)
    assert begun == {0: 2, 2: 1}
    assert peaks == {0: 2, 1: 2, 2: 1}


def test_unknown_requests_are_shown_without_what_may_name_anybody() -> None:
    assert masked("GET", "/api/v2/contact/4711/x?q=planted") == "GET /api/v2/contact/*/x"
    assert masked("GET", "/u/planted@somewhere.example") == "GET /u/*"


def test_a_line_without_end_is_one_bad_line(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 200_000 + b"\n" + b"\xff\xfe\n" + combined(NINE, "a", "GET /x").encode())
    reading = Reading()
    assert len(list(reading.hits(log))) == 1
    assert reading.named == [(1, "the line is too long"), (2, "it is not UTF-8 text")]
