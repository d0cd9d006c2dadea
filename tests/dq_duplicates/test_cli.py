"""``crmops dq duplicates`` as a person runs it: files good and bad, Runs, kills, secrets."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from crmops.cli import run as crmops
from crmops.history import History, open_history
from crmops.record import Kind, Verdict
from dq_checks.duplicates.store import scratch
from dq_checks.duplicates.truth import labelled

BAD = Path(__file__).resolve().parents[1] / "data" / "bad" / "duplicates"
FILES = sorted(each.name for each in BAD.iterdir() if each.suffix != ".txt")
PEOPLE = """姓名,公司,手机,邮箱
張 偉強,北京市华信科技有限公司,+86 138 0013 8000,weiqiang@huaxin.com.cn
张伟强,华信科技,13800138000,WEIQIANG@huaxin.com.cn
李娜,上海恒源贸易有限公司,13900139001,lina@hengyuan.com
王芳,广州瑞丰食品有限公司,13700137002,wangfang@ruifeng.com
"""


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [each for each in os.environ if each.startswith("CRMOPS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _history(place: Path) -> History:
    return open_history(
        f"sqlite:///{place / '.crmops' / 'history.db'}", place / ".crmops" / "artifacts"
    )


def test_a_file_alone_gives_clusters_pairs_and_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("people.csv").write_text(PEOPLE, encoding="utf-8")
    assert crmops(["dq", "duplicates", "people.csv", "--out", "c.csv", "--json"]) == 0
    told = capsys.readouterr()
    result = json.loads(told.out)["result"]
    assert (result["settings"], result["rows"], result["clusters"]) == ("contact-chinese", 4, 1)
    lines = list(csv.DictReader(Path("c.csv").read_text("utf-8").splitlines()))
    assert [(each["cluster"], each["row"]) for each in lines] == [("1", "1"), ("1", "2")]
    assert all(float(each["probability"]) > 0.9 for each in lines)
    pairs = list(csv.DictReader(Path("c.pairs.csv").read_text("utf-8").splitlines()))
    assert [(each["row_a"], each["row_b"]) for each in pairs] == [("1", "2")]
    history = _history(tmp_path)
    run = history.latest(Kind.DQ, "file", "duplicates:people")
    history.close()
    assert run is not None
    assert run.verdict is Verdict.PASS
    values = {each.name: each.value for each in run.measures}
    assert (values["pairs"], values["clusters"], values["rows.clustered"]) == (1, 1, 2)
    assert values["candidate.pairs"] == 1
    assert run.tool_versions["splink"]
    kept = [
        each.read_bytes()
        for each in tmp_path.rglob("*")
        if each.name != "people.csv" and each.is_file()
    ]
    for secret in ("13800138000", "weiqiang", "华信", "李娜"):
        assert not any(secret.encode() in each for each in kept)
        assert secret not in told.out + told.err


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        ("name,phone\n", 3, "the file has no data rows"),
        (
            "name,phone\nAcme,1\n",
            3,
            "the file has one data row; there is nothing to compare it with",
        ),
        ("name,phone\n" + " , \n" * 5, 3, "only 0 of 5 rows hold anything to compare"),
    ],
)
def test_no_data_is_no_good_news(
    text: str, code: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.csv").write_text(text)
    assert crmops(["dq", "duplicates", "a.csv", "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["run"]["reason"]) == ("unknown", why)


def test_too_many_copies_fail(capsys: pytest.CaptureFixture[str]) -> None:
    Path("people.csv").write_text(PEOPLE, encoding="utf-8")
    assert crmops(["dq", "duplicates", "people.csv", "--at-most", "0.05"]) == 1
    assert "duplicates.ratio is 0.25, not <= 0.05" in capsys.readouterr().out
    assert crmops(["dq", "duplicates", "people.csv", "--at-most", "0.3"]) == 0


def test_every_bad_file_has_its_message() -> None:
    assert {each.stem for each in BAD.glob("*.txt")} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert crmops(["--quiet", "dq", "duplicates", str(BAD / name)]) == 2
    told = capsys.readouterr()
    said = told.err.replace(f"{BAD}/", "")
    assert (told.out, said) == ("", (BAD / f"{name}.txt").read_text())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["gone.csv"], "gone.csv does not exist"),
        (["."], ". is no file"),
        (["people.csv", "--entity", "deal"], "entity 'deal' has no settings"),
        (["people.csv", "--keep", "../x"], "'../x' is no name of a store"),
        (["people.csv", "--id", "姓名"], "--id is of use with --keep only"),
        (["people.csv", "--keep", "x", "--id", "No"], "--id 'No': people.csv has no such column"),
        (["people.csv", "--against", "x"], "no records were kept as 'x'"),
        (["people.csv", "--against", "x", "--keep", "x"], "--against compares and keeps nothing"),
        (["people.csv", "--script", "runes"], "script 'runes' has no settings"),
        (["people.csv", "--threshold", "1.5"], "--threshold 1.5 is no share"),
        (["people.csv", "--out", "no/where.csv"], "no/where.csv cannot be written: "),
        (["people.csv", "--out", "."], ". is a directory"),
    ],
)
def test_a_wrong_option_is_refused(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("people.csv").write_text(PEOPLE, encoding="utf-8")
    assert crmops(["dq", "duplicates", *options]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_a_killed_run_is_an_error(tmp_path: Path) -> None:
    made = labelled("contact-chinese", 40_000, 5)
    made.write(tmp_path / "many.csv")
    command = [sys.executable, "-m", "crmops", "dq", "duplicates", "many.csv", "--out", "c.csv"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        database = tmp_path / ".crmops" / "history.db"
        until = time.monotonic() + 90
        while not (database.exists() and _open_runs(tmp_path)):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    history = _history(tmp_path)
    (run,) = history.reap()
    history.close()
    assert (run.verdict, run.subject) == (Verdict.ERROR, "duplicates:many")
    assert not Path("c.csv").exists()
    with scratch():
        left = [each.name for each in Path(tempfile.gettempdir()).glob("crmops-duplicates-*")]
    assert not [each for each in left if each.startswith(f"crmops-duplicates-{process.pid}-")]


def _open_runs(place: Path) -> int:
    history = _history(place)
    try:
        return len(history.live())
    finally:
        history.close()
