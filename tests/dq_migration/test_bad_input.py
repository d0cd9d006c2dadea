"""Every kind of bad plan and bad file lies beside the message that it is answered with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crmops.cli import run
from crmops.errors import ConfigError
from crmops.record import Verdict
from tests.dq_migration.support import Migrator

BAD = Path(__file__).resolve().parents[1] / "data" / "bad" / "migration"
PLANS = sorted(each.stem for each in BAD.glob("*.yaml"))
FILES = sorted(each.name for each in BAD.glob("file_*") if each.suffix != ".txt")


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [each for each in os.environ if each.startswith("CRMOPS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CRMOPS_STATE", str(tmp_path))
    (tmp_path / "crmops.yaml").write_text("targets: {}\n")
    monkeypatch.setenv("CRMOPS_CONFIG", str(tmp_path / "crmops.yaml"))
    monkeypatch.chdir(BAD)


def test_every_file_has_its_message_and_the_reverse() -> None:
    stems = {*PLANS, *(Path(each).stem for each in FILES)}
    assert {each.stem for each in BAD.glob("*.txt")} == stems


@pytest.mark.parametrize("kind", PLANS)
def test_a_bad_plan_is_named_to_the_line(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = "reconcile" if kind.startswith("reconcile") else "migration"
    code = run(["--quiet", "dq", command, f"{kind}.yaml"])
    said = capsys.readouterr()
    assert (code, said.out, said.err) == (2, "", (BAD / f"{kind}.txt").read_text())


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_named_and_recorded(migrator: Migrator, name: str) -> None:
    (migrator.directory / name).write_bytes((BAD / name).read_bytes())
    (migrator.directory / "good.csv").write_text("id,name\n1,a\n")
    expected = (BAD / f"{Path(name).stem}.txt").read_text()
    try:
        migrator.run(source={"file": "good.csv"}, target={"file": name})
    except ConfigError as error:
        said = f"{error}".replace(f"{migrator.directory}/", "")
        hint = error.hint
    else:
        hint = ""
        said = ""
    (ran,) = migrator.history.find()
    assert ran.verdict is Verdict.ERROR
    assert (ran.measures, ran.evidence) == ((), ())
    reason = ran.reason.replace(f"{migrator.directory}/", "")
    assert f"error: {reason}\nhint: {hint or ran.findings[0].detail}\n" == expected
    assert said in ("", reason)


def test_a_file_that_is_not_there(migrator: Migrator) -> None:
    (migrator.directory / "good.csv").write_text("id,name\n1,a\n")
    ran = migrator.run(source={"file": "good.csv"}, target={"file": "gone.csv"})
    assert ran.reason == "target: gone.csv cannot be read: no such file or directory"
