"""The alerts as they are shipped: three files each, proven; and the files for servers."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from alerts.catalogue import RULES, RUNBOOKS, TESTS, load_alerts, render_rules
from alerts.promtool import test_alerts as prove
from alerts.settings import Settings
from alerts.stack import alertmanager_config, prometheus_config
from crmops.binaries import need_binary
from crmops.cli import run as crmops
from crmops.config import load_config

ROOT = Path(__file__).resolve().parents[2]
BAD = ROOT / "tests" / "data" / "bad" / "alerts"
GOLDEN = ROOT / "tests" / "data" / "alerts"
HEADINGS = ["Meaning", "Impact", "Why this threshold", "Diagnosis", "Mitigation", "When to silence"]
HEADINGS_ZH = ["含义", "影响", "阈值依据", "诊断", "处置", "何时静默"]
SHORT = Settings(window=10, hold=3, group_wait=0, group_interval=1)


def check(program: str, *arguments: object) -> None:
    done = subprocess.run(
        [need_binary(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_three_files() -> None:
    names = {each.stem for each in RULES.glob("*.yml")}
    assert len(names) >= 10
    assert {each.stem for each in TESTS.glob("*.yml")} == names
    assert {each.stem for each in RUNBOOKS.glob("*.md")} == names
    assert {each.name for each in load_alerts(Settings())} == names


def test_every_alert_says_what_on_call_needs() -> None:
    for each in load_alerts(Settings()):
        assert each.severity in ("page", "ticket", "none")
        assert each.rule["annotations"]["runbook_url"] == f"/runbooks/{each.name}"
        assert re.findall(r"^## (.*)$", each.runbook, re.MULTILINE) == HEADINGS, each.name
        assert each.runbook.startswith(f"# {each.name}\n")
        assert "```" in each.runbook.partition("## Diagnosis")[2], "a command to paste"


def test_every_runbook_is_there_in_chinese() -> None:
    """With the same headings in their order, and the very same commands."""
    translated = RUNBOOKS / "zh"
    assert {each.name for each in translated.glob("*")} == {f.name for f in RUNBOOKS.glob("*.md")}
    for each in load_alerts(Settings()):
        text = (translated / f"{each.name}.md").read_text(encoding="utf-8")
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS_ZH, each.name
        assert text.startswith(f"# {each.name}\n")
        assert _commands(text) == _commands(each.runbook), each.name
        figures = re.findall(r"\d+ (?:%|s\b)", each.runbook)
        assert re.findall(r"\d+ (?:%|s\b)", text) == figures, each.name


def _commands(text: str) -> list[str]:
    return re.findall(r"^```$(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_every_metric_of_a_rule_exists() -> None:
    known = set(re.findall(r"`(crm_\w+)`", (ROOT / "docs/metrics.md").read_text()))
    for each in load_alerts(Settings()):
        used = set(re.findall(r"\bcrm_\w+", each.rule["expr"]))
        assert {re.sub(r"_(sum|count|bucket)$", "", name) for name in used} <= known, each.name


def test_promtool_passes_every_test() -> None:
    done = prove()
    assert [each.alert for each in done if not each.passed] == []
    assert [each.alert for each in done] == sorted(each.stem for each in RULES.glob("*.yml"))


def test_every_test_sees_its_alert_fire_and_stay_silent() -> None:
    for each in load_alerts(Settings()):
        assert each.test.count("exp_labels") >= 1, each.name
        if each.severity != "none":
            assert "exp_alerts: []" in each.test, each.name


@pytest.mark.parametrize("name", ["rules.yml", "alertmanager.yml", "prometheus.yml"])
def test_files_for_servers_are_golden_and_right(name: str, tmp_path: Path) -> None:
    url = "http://127.0.0.1:9464"
    made = {
        "rules.yml": render_rules(SHORT),
        "alertmanager.yml": alertmanager_config(SHORT, url, Path("token")),
        "prometheus.yml": prometheus_config(url, Path("rules.yml"), "http://127.0.0.1:9093", 1.5),
    }
    for each, text in made.items():
        (tmp_path / each).write_text(text)
    (tmp_path / "token").write_text("t")
    assert made[name] == (GOLDEN / name).with_suffix(".golden").read_text()
    if name == "alertmanager.yml":
        check("amtool", "check-config", tmp_path / name)
    else:
        kind = "rules" if name == "rules.yml" else "config"
        check("promtool", "check", kind, tmp_path / name)


def test_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("crmops.yaml").write_text("alerts: {window: 1m}\n")
    url = ["--url", "http://127.0.0.1:9464"]
    assert crmops(["alerts", "rules", "--out", "rules.yml"]) == 0
    assert "[60s]" in Path("rules.yml").read_text()
    scrape = [*url, "--rules", "rules.yml", "--alertmanager", "http://127.0.0.1:9093"]
    assert crmops(["alerts", "prometheus", *scrape, "--out", "prometheus.yml"]) == 0
    check("promtool", "check", "config", "prometheus.yml")
    assert crmops(["alerts", "config", *url]) == 0
    assert "credentials" not in capsys.readouterr().out
    assert crmops(["alerts", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["alerts"]) >= 10
    assert crmops(["alerts", "runbook", "CrmProbeSlow"]) == 0
    assert "## Diagnosis" in capsys.readouterr().out
    assert crmops(["alerts", "runbook", "CrmProbeSlo"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: there is no alert 'CrmProbeSlo'\nhint: Did you mean 'CrmProbeSlow'? Known: Crm"
    )
    assert crmops(["alerts", "config", "--url", "crm"]) == 2
    assert capsys.readouterr().err == (
        "error: 'crm' is not a web address\nhint: Write it like http://127.0.0.1:9464.\n"
    )


def test_a_token_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", "s3cret")
    Path("crmops.yaml").write_text("alerts: {receiver_token: 'env:TOKEN'}\n")
    config = ["alerts", "config", "--url", "http://127.0.0.1:9464"]
    assert crmops(config) == 2
    assert capsys.readouterr().err == (
        "error: the receiver wants a token, and Alertmanager would not have it\n"
        "hint: Put the token into a file that Alertmanager may read, and name it: --token-file.\n"
    )
    assert crmops([*config, "--token-file", "token"]) == 0
    said = capsys.readouterr().out
    assert "credentials_file: token" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("kind", sorted(each.stem for each in BAD.glob("*.yaml")))
def test_a_bad_section_is_named_to_the_line(
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("crmops.yaml").write_text((BAD / f"{kind}.yaml").read_text())
    assert crmops(["--quiet", "alerts", "rehearse"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", (BAD / f"{kind}.txt").read_text())


def test_defaults_need_no_section(tmp_path: Path) -> None:
    (tmp_path / "crmops.yaml").write_text("targets: {}\n")
    config = load_config(tmp_path / "crmops.yaml", environ={})
    assert config.parse("alerts", Settings) == Settings()
