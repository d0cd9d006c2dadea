"""Every kind of bad suite and bad ``dq:`` section is a file beside which stands what is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crmops.cli import run
from crmops.errors import ConfigError
from dq_checks.catalogue import find_suites, read_suite

BAD = Path(__file__).resolve().parents[1] / "data" / "bad" / "dq"
SUITES = sorted(each.stem for each in BAD.glob("suite_*.yaml"))
CONFIGS = sorted(each.stem for each in BAD.glob("config_*.yaml"))
FILES = sorted(each.stem for each in BAD.glob("file_*"))


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [each for each in os.environ if each.startswith("CRMOPS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CRMOPS_STATE", str(tmp_path))
    monkeypatch.chdir(BAD)


def test_every_file_has_its_message_and_the_reverse() -> None:
    assert {each.stem for each in BAD.glob("*.txt")} == {*SUITES, *CONFIGS, *FILES}


@pytest.mark.parametrize("kind", SUITES)
def test_a_bad_suite_is_named_to_the_line(kind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_suite(BAD / f"{kind}.yaml", f"{kind}.yaml")
    problems = getattr(caught.value, "problems", (caught.value,))
    said = "".join(f"error: {each}\nhint: {each.hint}\n" for each in problems)
    assert said == (BAD / f"{kind}.txt").read_text()


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_bad_section_is_named_to_the_line(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["--quiet", "--config", f"{kind}.yaml", "dq", "run"])
    said = capsys.readouterr()
    expected = (BAD / f"{kind}.txt").read_text()
    assert (code, said.out, said.err.replace(f"{BAD}/", "")) == (2, "", expected)


def test_an_unknown_suite_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", "config_no_replica.yaml", "dq", "run", "contatcs"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: there is no suite 'contatcs'\nhint: Did you mean 'contacts'? ")


def test_two_files_of_one_name(tmp_path: Path) -> None:
    text = Path(find_suites.__globals__["SHIPPED"], "contacts.yaml").read_text()
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=r"b\.yaml and a\.yaml are both called 'contacts'"):
        find_suites([tmp_path])
