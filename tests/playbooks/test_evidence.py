"""Signed evidence: what verifies, what does not, and what is said about it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmops.cli import run
from crmops.errors import CannotRun, UsageError
from crmops.record import Verdict
from playbooks.signing import examine, load_key, public_pem, sign
from tests.playbooks.conftest import Taken

DOCUMENT = {
    "kind": "drill", "target": "crm", "run": "R", "begun": "2026-01-01T00:00:00+00:00",
    "verdict": "pass", "reason": "all 6 objectives met", "backup": "B", "客户": "值",
}  # fmt: skip


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "evidence.pem"


def test_signed_evidence_verifies_with_its_key(key_file: Path) -> None:
    key = load_key(key_file)
    text = sign(DOCUMENT, key)
    assert examine(text, public_pem(key)).verdict is Verdict.PASS
    assert public_pem(load_key(key_file)) == public_pem(key), "the key is kept"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_without_a_key_nobody_is_vouched_for(key_file: Path) -> None:
    found = examine(sign(DOCUMENT, load_key(key_file)), None)
    assert found.verdict is Verdict.UNKNOWN and "no key was given" in found.reason


def test_another_key_is_said_to_be_another(key_file: Path, tmp_path: Path) -> None:
    found = examine(sign(DOCUMENT, load_key(key_file)), public_pem(load_key(tmp_path / "other")))
    assert found.verdict is Verdict.FAIL and found.reason.startswith("it was signed by SHA256:")


def test_a_changed_word_is_noticed(key_file: Path) -> None:
    key = load_key(key_file)
    text = sign({**DOCUMENT, "verdict": "fail"}, key).replace('"fail"', '"pass"')
    found = examine(text, public_pem(key))
    assert found.verdict is Verdict.FAIL
    assert found.reason == "the document was changed after it was signed"


@given(st.text() | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps))
def test_anything_else_is_no_evidence(text: str) -> None:
    assert examine(text, None).verdict is Verdict.FAIL


def test_a_key_that_is_none_is_refused(key_file: Path) -> None:
    with pytest.raises(UsageError, match="this is no ed25519 public key in PEM"):
        examine("{}", "no key")
    key_file.parent.mkdir()
    key_file.write_text("no key")
    with pytest.raises(CannotRun, match="cannot be used: ValueError"):
        load_key(key_file)


def test_evidence_of_a_real_backup(
    taken: Taken, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = taken.room.state / "artifacts" / taken.run.id
    for name in ("evidence.json", "playbook.log"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "key.pem").write_text(public_pem(load_key(taken.room.signing_key)))
    command = ["drill", "verify", str(tmp_path / "evidence.json"), "--json"]
    assert run([*command, "--key", str(tmp_path / "key.pem")]) == 0
    assert json.loads(capsys.readouterr().out)["facts"]["run"] == taken.run.id
    assert run(command) == 3
    (tmp_path / "playbook.log").write_text("nothing went wrong")
    assert run([*command, "--key", str(tmp_path / "key.pem")]) == 1
    assert "the log beside it is not the one" in capsys.readouterr().out
