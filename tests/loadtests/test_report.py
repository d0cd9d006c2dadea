"""A real run's report in a real browser: it asks nobody, and shows what the JSON says.

The same run serves its metrics while it goes on, and asks a real Prometheus for what that saw.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from crmops.binaries import prometheus_command
from crmops.units import human_value
from loadtests.buckets import MICROS, middle
from loadtests.live_metrics import CATALOGUE
from tests.alerts.test_end_to_end import free_port, server
from tests.conftest import RefcrmServer

from .browsing import Table, Watched, chromium
from .conftest import SMALL
from .test_live_metrics import promtool

CONFIG = """
state: {state}
targets:
  crm:
    connector: refcrm
    url: {url}
    username: admin
    password: file:password
    accounts: {{file: '{users}', password: 'file:password'}}
    load: {{allowed: true, max_users: 50, max_rate: 500, max_duration: 60}}
load:
  samples: {{p50: 5, p95: 20, p99: 50, ratio: 20}}
  objectives:
    - {{measure: response_time.p95, limit: 0.000001}}
    - {{measure: error.ratio, limit: 0.5}}
    - {{measure: data.lost, limit: 0}}
  prometheus:
    url: {prometheus}
    window: 3s
    queries:
      planted broken: 'sum('
      planted unknown: nobody_exports_this
      "memory, share": ""
"""
SCRAPING = """
global: {{scrape_interval: 500ms}}
scrape_configs: [{{job_name: refcrm, static_configs: [{{targets: ['{address}']}}]}}]
"""


@dataclass
class Told:
    """Everything that a run has left and said."""

    folder: Path
    document: dict[str, Any]
    run: dict[str, Any]
    said: list[str]
    scrapes: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def prometheus(refcrm_server: RefcrmServer) -> Iterator[str]:
    """A Prometheus that watches the reference CRM; as nobody if we are root."""
    with tempfile.TemporaryDirectory(prefix="crmops-watching-") as name:
        folder, address = Path(name), f"127.0.0.1:{free_port()}"
        folder.chmod(0o755)
        (folder / "data").mkdir()
        nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        who = (nobody.pw_uid, nobody.pw_gid) if nobody else None
        if who:
            os.chown(folder / "data", *who)
        target = refcrm_server.url.removeprefix("http://")
        (folder / "prometheus.yml").write_text(SCRAPING.format(address=target))
        options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        options += [f"--web.listen-address={address}"]
        with server(prometheus_command(options, run_as=who), f"http://{address}"):
            yield f"http://{address}"


@pytest.fixture(scope="module")
def told(
    refcrm_server: RefcrmServer, prometheus: str, tmp_path_factory: pytest.TempPathFactory
) -> Told:
    """One short run by the command, from beginning to end."""
    folder = tmp_path_factory.mktemp("told")
    ready = refcrm_server.ready
    (folder / "password").write_text(refcrm_server.password)
    (folder / "password").chmod(0o600)
    (folder / "small.yaml").write_text(json.dumps(SMALL.model_dump(mode="json")))
    (folder / "crmops.yaml").write_text(
        CONFIG.format(
            state=folder / "state",
            url=refcrm_server.url,
            users=ready["users_file"],
            prometheus=prometheus,
        )
    )
    command = [sys.executable, "-m", "crmops", "--config", str(folder / "crmops.yaml")]
    command += ["load", "run", str(folder / "small.yaml"), "--metrics-port", "0", "--json"]
    with (folder / "out.json").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True)
    said, scrapes, metrics = [], [], ""
    try:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line.rstrip())
            metrics = metrics or line.removeprefix("metrics on ").strip() * ("metrics on" in line)
            if "so far" in line and metrics:
                scrapes.append(httpx.get(metrics, trust_env=False, timeout=30).text)
        assert process.wait(120) == 1, said
    finally:
        process.kill()
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]
    run = json.loads((folder / "out.json").read_text())
    kept = folder / "state" / "artifacts" / run["id"]
    return Told(kept, json.loads((kept / "result.json").read_text()), run, said, scrapes)


@pytest.fixture(scope="module")
def shown(told: Told) -> Iterator[Watched]:
    """The report, open in Chromium, which may ask for nothing but files."""
    with chromium("file://") as watched:
        watched.page.goto((told.folder / "report.html").as_uri())
        yield watched


def percentile(cells: list[tuple[float, int]], share: float) -> str:
    """Nearest rank over the middles of the buckets, worked out here once more."""
    spread = [value for value, count in sorted(cells) for _ in range(count)]
    rank = max(-int(-share * len(spread) // 1), 1)
    return human_value(spread[rank - 1] / MICROS if spread else None, "seconds")


def expected(rows: list[list[Any]], label: int) -> dict[str, list[str]]:
    """The numbers of each operation (0), role (1) or phase (2) from the packed buckets."""
    found = {}
    for name in sorted({row[label] for row in rows}):
        mine = [row for row in rows if row[label] == name]
        sizes = {id(row): sum(row[7][1::2]) for row in mine}
        good = [row for row in mine if row[3] in ("ok", "expected")]
        low, high = min((row[5] for row in good), default=0), max([row[6] for row in good] or [0])
        cells = [
            (min(max(middle(key), low), high), count)
            for row in good
            for key, count in zip(row[7][::2], row[7][1::2], strict=True)
        ]
        calls = sum(sizes.values())
        neutral = ("ok", "expected", "throttled")
        failed = sum(sizes[id(row)] for row in mine if row[3] not in neutral)
        throttled = sum(sizes[id(row)] for row in mine if row[3] == "throttled")
        counts = [str(calls), str(failed), human_value(failed / calls, "ratio"), str(throttled)]
        times = [percentile(cells, share) for share in (0.5, 0.95, 0.99)]
        largest = human_value(high / MICROS if good else None, "seconds")
        found[name] = [*counts, *times, largest]
    return found


def plain(table: Table) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in table[1:]}


@pytest.mark.browser
def test_the_tables_say_what_the_result_says(told: Told, shown: Watched) -> None:
    document = told.document
    assert shown.page.inner_text("#verdict") == document["run"]["verdict"] == "fail"
    assert shown.page.inner_text("#reason") == document["run"]["reason"]
    checks = [
        [
            each["objective"]["measure"],
            each["verdict"],
            f"{each['value']:.6g}",
            f"{each['objective']['op']} {each['objective']['limit']:g}",
            str(each["observed"]),
            each["reason"],
        ]
        for each in document["checks"]
    ]
    assert len(checks) == 3
    assert shown.table("checks")[1:] == checks
    for table, key, label in (
        ("operation", "response", 0),
        ("role", "response", 1),
        ("journey", "journey_times", 0),
    ):
        assert plain(shown.table(table)) == expected(document[key], label), table
    measures = [
        [each["name"], human_value(each["value"], each["unit"]), str(each["observed"])]
        for each in document["measures"]
    ]
    assert shown.table("measures")[1:] == measures
    assert measures == [
        [each["name"], human_value(each["value"], each["unit"]), str(each["observed"])]
        for each in told.run["measures"]
    ]


@pytest.mark.browser
def test_the_steps_say_what_the_result_says(told: Told, shown: Watched) -> None:
    document = told.document
    seen = expected(document["response"], 2)
    wanted = [
        [
            each["name"],
            "yes" if each["judged"] else "no",
            f"{each['seconds']:g}",
            str(each["users"]),
            human_value(each["rate"], "count"),
            *seen[each["name"]],
            human_value(each["lag"], "seconds"),
            human_value(each["cpu"], "ratio"),
        ]
        for each in document["phases"]
    ]
    assert [row[0] for row in wanted] == ["arrival", "work"]
    assert shown.table("steps")[1:] == wanted
    assert [each["seconds"] for each in document["phases"]] == [1.5, 3.5]
    calls = sum(each["requests"] for each in document["phases"])
    assert calls == sum(each["requests"] for each in document["seconds"])
    assert calls == sum(int(row[5]) for row in wanted)


@pytest.mark.browser
def test_the_findings_say_what_to_do(told: Told, shown: Watched) -> None:
    findings = told.document["findings"]
    assert findings == told.run["findings"]
    wanted = [
        [
            each["subject"] or "run",
            each["title"],
            each["detail"] or "-",
            each["suggestion"] or "-",
            each["severity"],
        ]
        for each in findings
    ]
    table = shown.table("findings")
    assert table[0] == ["module", "what", "seen", "suggestion", "severity"]
    assert table[1:] == wanted
    missed = next(each for each in findings if each["title"].startswith("objective missed"))
    assert re.fullmatch(
        r"begin with (\S+ \(\d+%\)(, )?){3} of all the time waited", missed["suggestion"]
    )
    broken = next(each for each in findings if "'planted broken'" in each["title"])
    assert broken["detail"].startswith("status 400: ")
    assert "parse error" in broken["detail"]
    unknown = next(each for each in findings if "'planted unknown'" in each["title"])
    assert (unknown["detail"], unknown["severity"]) == ("nobody_exports_this", "info")


@pytest.mark.browser
def test_the_instrument_and_the_data_are_shown(told: Told, shown: Watched) -> None:
    document = told.document
    measured = {each["name"]: each for each in document["measures"]}
    rows = plain(shown.table("health"))
    lag, limit = measured["instrument.loop_lag.p99"], document["settings"]["instrument"]
    assert rows["event loop's lag, p99"] == [
        human_value(lag["value"], "seconds"),
        f"<= {human_value(limit['loop_lag'], 'seconds')}",
        str(lag["observed"]),
    ]
    assert len(rows) == 5
    kept = document["generators"]
    assert shown.table("generators")[1:] == [
        [
            "0",
            human_value(kept["resident_bytes"][0], "bytes"),
            str(kept["descriptors"][0]),
            str(kept["descriptor_limit"]),
        ]
    ]
    volume = document["data_volume"]
    assert volume["contacts"] >= 300
    assert volume["users"] >= 30
    assert plain(shown.table("volume")) == {name: [str(held)] for name, held in volume.items()}
    slowest = [
        [each["operation"], human_value(each["seconds"], "seconds"), f"{each['at']:.0f}"]
        for each in document["slowest"]
    ]
    assert [row[:3] for row in shown.table("slowest")[1:]] == slowest


@pytest.mark.browser
def test_what_prometheus_saw_is_kept_and_drawn(told: Told, shown: Watched) -> None:
    snapshot = json.loads((told.folder / "prometheus.json").read_text())
    assert snapshot == told.document["prometheus"]
    by_name = {each["name"]: each for each in snapshot["queries"]}
    assert "memory, share" not in by_name
    busy = by_name["refcrm requests a second"]["series"]
    assert all(set(each["labels"]) == {"status"} for each in busy)
    most = max(v for each in busy for v in each["values"] if v is not None)
    assert most > 1
    headings = shown.page.locator("h2").all_inner_texts()
    drawn = [each.removeprefix("Prometheus: ") for each in headings if "Prometheus: " in each]
    assert drawn == [each["name"] for each in snapshot["queries"] if each["series"]]
    assert "refcrm database connections in use" in drawn
    answers = {row[0]: row[2] for row in shown.table("silent")[1:]}
    assert answers["planted unknown"] == answers["CPU, share"] == "no series"
    assert answers["planted broken"].startswith("status 400: ")
    assert "127.0.0.1" not in json.dumps(told.document["settings"])


def test_metrics_of_the_run_itself(told: Told) -> None:
    assert len(told.scrapes) >= 4
    assert all("so far" in each for each in told.said if each.endswith("unknown"))
    last = told.scrapes[-1]
    assert promtool(last) == "0"
    assert {each.name for each in CATALOGUE} <= set(re.findall(r"# HELP (\w+) ", last))
    recorded = sum(sum(row[7][1::2]) for row in told.document["response"])
    counted = re.findall(r"^crm_load_run_requests_total\{.*\} (\S+)$", last, re.MULTILINE)
    assert sum(map(float, counted)) == recorded
    assert f'run="{told.run["id"]}"' in last
    assert 'crm_load_run_verdict{verdict="fail"} 1.0' in last
    for secret in ("rep0001", "127.0.0.1"):
        assert secret not in last
