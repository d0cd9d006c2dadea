"""Every kind of bad input is a file beside which stands what is said about it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from crmops.cli import run

BAD = Path(__file__).resolve().parents[1] / "data" / "bad" / "load"
CONFIGS = sorted(each.stem for each in (BAD / "config").glob("*.yaml"))
WORKLOADS = sorted(each.stem for each in (BAD / "workload").glob("*.yaml"))
GOOD = """
state: {state}
targets:
  crm:
    connector: refcrm
    url: http://127.0.0.1:1
    accounts: [{{username: rep1, role: rep, password: "env:PLANTED"}}]
    load: {{allowed: true}}
"""


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLANTED", "planted-secret")
    monkeypatch.setenv("CRMOPS_STATE", str(tmp_path / "state"))


@pytest.mark.parametrize("kind", CONFIGS)
def test_bad_configuration(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BAD / "config")
    first = Path(f"{kind}.yaml").read_text().splitlines()[0]
    code = run(["--config", f"{kind}.yaml", *shlex.split(first.removeprefix("# "))])
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert said.err == Path(f"{kind}.txt").read_text()


@pytest.mark.parametrize("kind", WORKLOADS)
def test_bad_workload(
    kind: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(BAD / "workload")
    config = tmp_path / "crmops.yaml"
    config.write_text(GOOD.format(state=tmp_path / "state"))
    code = run(["--config", str(config), "load", "run", f"{kind}.yaml"])
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert said.err == Path(f"{kind}.txt").read_text()


def test_every_file_has_its_message_and_the_reverse() -> None:
    for folder, kinds in (("config", CONFIGS), ("workload", WORKLOADS)):
        assert {each.stem for each in (BAD / folder).glob("*.txt")} == set(kinds)
