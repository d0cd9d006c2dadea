"""Every kind of bad input is a file beside which stands what is said about it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crmops.cli import run
from tests.playbooks.conftest import Taken

BAD = Path(__file__).resolve().parents[1] / "data" / "bad" / "drills"
KINDS = sorted(each.stem for each in BAD.glob("*.yaml"))


@pytest.fixture
def place(taken: Taken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a command, with the secrets that the files refer to."""
    access = taken.room.target.database
    assert access is not None and access.backup_url is not None
    for name, text in (
        ("address", access.backup_url.reveal()),
        ("nonsense", "this is no address=but it has a Secr3t"),
        ("nobody_there", f"postgresql://crm:Secr3t@/crm?host={tmp_path}"),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input(
    kind: str, place: Path, taken: Taken, capsys: pytest.CaptureFixture[str]
) -> None:
    access = taken.room.target.database
    assert access is not None
    words = {
        "@ARCHIVE@": access.archive_directory,
        "@PGDATA@": access.data_directory,
        "@BACKUPS@": str(taken.room.state / "backups"),
        "@BACKUP@": taken.run.id,
    }
    text = (BAD / f"{kind}.yaml").read_text()
    for word, value in words.items():
        text = text.replace(word, value)
    (place / f"{kind}.yaml").write_text(text)
    command = text.splitlines()[0].removeprefix("# crmops ").split()
    code = run(["--config", f"{kind}.yaml", *command])
    said = capsys.readouterr().err
    for word, value in (*words.items(), ("@PLACE@", str(place))):
        said = said.replace(value, word)
    said = re.sub(r"crmops-[0-9a-z]{16}", "crmops-@ID@", said)
    kept = [e for e in said.splitlines() if e.startswith(("error:", "hint:", "critical:"))]
    wanted = (BAD / f"{kind}.txt").read_text().splitlines()
    assert [f"exit code {code}", *kept] == wanted
    assert "Traceback" not in said and "Secr3t" not in said


def test_every_message_has_its_input() -> None:
    assert KINDS and sorted(each.stem for each in BAD.glob("*.txt")) == KINDS
