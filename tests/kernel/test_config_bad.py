"""Every kind of bad configuration is a file beside which stands what is said about it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from crmops.cli import run

BAD = Path(__file__).resolve().parents[1] / "data" / "bad" / "config"
KINDS = sorted(each.stem for each in BAD.glob("*.txt"))
SECRETS = ("tr0ub4dor", "8231947", "planted")


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("CRMOPS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PLANTED", "planted")
    monkeypatch.chdir(BAD)


def test_every_file_has_its_message_and_the_reverse() -> None:
    files = {each.stem for each in BAD.glob("*.yaml")}
    assert files | {"missing_file"} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_is_named_to_the_line(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["--quiet", "--config", f"{kind}.yaml", "config", "check"])
    said = capsys.readouterr()
    assert (code, said.out, said.err) == (2, "", (BAD / f"{kind}.txt").read_text())
    assert said.err.count("error: ") == said.err.count("hint: ")
    assert not any(each in said.err for each in SECRETS)


def test_a_configuration_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["--config", str(tmp_path), "config", "check"]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}: the file cannot be read: is a directory\nhint: Name a readable file.\n"
    )


def test_a_secret_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root reads everything, so root becomes nobody for a moment."""
    monkeypatch.chdir(tmp_path)
    secret = Path("secret")
    secret.write_text("tr0ub4dor\n")
    secret.chmod(0)
    Path("crmops.yaml").write_text(
        "targets:\n  crm:\n    connector: refcrm\n    url: http://127.0.0.1:1\n"
        "    password: file:secret\n"
    )
    root = os.geteuid() == 0
    if root:  # a directory of pytest's is closed to others; the relative path needs no way in
        tmp_path.chmod(0o755)
        os.seteuid(65534)
    try:
        code = run(["config", "check"])
    finally:
        if root:
            os.seteuid(0)
    assert (code, capsys.readouterr().err) == (
        2,
        "error: crmops.yaml:5: targets.crm.password refers to the file secret, which cannot be "
        "read: permission denied\n"
        "hint: Give its owner, who runs crmops, the right to read it.\n",
    )


def test_a_secret_that_everybody_may_read_is_used_and_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("tr0ub4dor\n")
    secret.chmod(secret.stat().st_mode | stat.S_IROTH)
    Path("crmops.yaml").write_text(
        "targets:\n  crm:\n    connector: refcrm\n    url: http://127.0.0.1:1\n"
        "    password: file:secret\n"
    )
    assert run(["config", "check"]) == 0
    said = capsys.readouterr()
    assert f"warning: the secret file {secret} can be read by everybody" in said.err
    assert "tr0ub4dor" not in said.out + said.err
