"""``crmops dq duplicates --keep`` and ``--against``: new records, and leads beside contacts."""

from __future__ import annotations

import csv
import json
import os
import random
from pathlib import Path

import pytest

from crmops.cli import run as crmops
from crmops.history import open_history
from crmops.record import Kind
from dq_checks.duplicates.against import stores_in
from dq_checks.duplicates.truth import labelled

KNOWN = """编号,姓名,公司,手机,邮箱
K-1,張 偉強,北京市华信科技有限公司,+86 138 0013 8000,weiqiang@huaxin.com.cn
K-2,李娜,上海恒源贸易有限公司,13900139001,lina@hengyuan.com
K-3,王芳,广州瑞丰食品有限公司,13700137002,wangfang@ruifeng.com
"""
NEW = """联系人,单位,手机
张伟强,华信科技,13800138000
刘洋,大连智飞实业,18663906854
刘洋,大连智飞实业公司,186 6390 6854
"""


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [each for each in os.environ if each.startswith("CRMOPS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("known.csv").write_text(KNOWN, encoding="utf-8")
    Path("new.csv").write_text(NEW, encoding="utf-8")


def test_new_records_against_kept_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crmops(["dq", "duplicates", "known.csv", "--keep", "people", "--id", "编号"]) == 0
    assert stores_in(tmp_path / ".crmops") == ["people"]
    capsys.readouterr()
    command = ["dq", "duplicates", "new.csv", "--against", "people", "--out", "m.csv"]
    assert crmops([*command, "--json"]) == 0
    told = capsys.readouterr()
    result = json.loads(told.out)["result"]
    assert (result["rows"], result["rows_known"], result["rows_again"]) == (3, 1, 2)
    lines = list(csv.DictReader(Path("m.csv").read_text("utf-8").splitlines()))
    assert [(each["row"], each["known"], each["other_row"]) for each in lines] == [
        ("1", "K-1", ""), ("3", "", "2"),
    ]  # fmt: skip
    assert lines[0]["reasons"] == "person same, rare; mobile same; company same"
    history = open_history("sqlite:///.crmops/history.db", tmp_path / ".crmops" / "artifacts")
    run = history.latest(Kind.DQ, "file", "duplicates:new:people")
    history.close()
    assert run is not None
    assert run.reason == "1 of 3 rows are among 3 known records"
    artifacts = [each for each in (tmp_path / ".crmops" / "artifacts").rglob("*") if each.is_file()]
    kept = [each.read_text("utf-8") for each in artifacts]
    for secret in ("13800138000", "华信", "刘洋"):
        assert not any(secret in each for each in kept)
        assert secret not in told.out + told.err
    assert crmops([*command, "--at-most", "0.5", "--json"]) == 1
    reason = json.loads(capsys.readouterr().out)["run"]["reason"]
    assert reason.startswith("1 of 3 rows are among 3 known records; duplicates.ratio is 0.666")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name,phone\n", "the file has no data rows"),
        ("姓名,手机\n" + " , \n" * 4, "only 0 of 4 rows hold anything to compare"),
    ],
)
def test_no_data_is_no_good_news(text: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert crmops(["dq", "duplicates", "known.csv", "--keep", "people"]) == 0
    Path("a.csv").write_text(text, encoding="utf-8")
    capsys.readouterr()
    assert crmops(["dq", "duplicates", "a.csv", "--against", "people", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["run"]["reason"] == why


def test_another_kind_of_records_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert crmops(["dq", "duplicates", "known.csv", "--keep", "people"]) == 0
    capsys.readouterr()
    command = ["dq", "duplicates", "new.csv", "--against", "people", "--entity", "account"]
    assert crmops(command) == 2
    said = "error: the store people is of contact-chinese, not of account-chinese"
    assert capsys.readouterr().err.startswith(said)


def _leads(rows: list[dict[str, str]]) -> str:
    lines = ["lead name,company,mobile,email,source"]
    lines += [f"{each['姓名']},{each['公司']},{each['手机']},{each['邮箱']},web" for each in rows]
    return "\n".join(lines)


def test_leads_that_are_contacts_already(capsys: pytest.CaptureFixture[str]) -> None:
    """Lead and contact are linked with the settings as shipped: copies of contacts as leads."""
    made = labelled("contact-chinese", 4000, 31)
    rng = random.Random(1)
    first: dict[int, int] = {}
    contacts: list[dict[str, str]] = []
    leads: list[tuple[dict[str, str], int]] = []
    wanted = set()
    for row, who in zip(made.rows, made.who, strict=True):
        if who not in first:
            first[who] = len(contacts) + 1
            contacts.append(row)
        else:
            leads.append((row, who))
    strangers = [contacts.pop() for _ in range(300)]
    leads += [(row, 0) for row in strangers]
    rng.shuffle(leads)
    for number, (_, who) in enumerate(leads, 1):
        if who and first[who] <= len(contacts):
            wanted.add((str(number), str(first[who])))
    Path("leads.csv").write_text(_leads([row for row, _ in leads]), encoding="utf-8")
    lines = [list(contacts[0]), *(list(each.values()) for each in contacts)]
    with Path("contacts.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(lines)
    assert crmops(["dq", "duplicates", "contacts.csv", "--keep", "contacts"]) == 0
    command = ["dq", "duplicates", "leads.csv", "--entity", "lead", "--against", "contacts"]
    assert crmops([*command, "--out", "m.csv"]) == 0
    capsys.readouterr()
    found = csv.DictReader(Path("m.csv").read_text("utf-8").splitlines())
    linked = {(each["row"], each["known"]) for each in found if each["known"]}
    assert len(linked & wanted) >= 0.97 * len(linked)
    assert len(linked & wanted) >= 0.90 * len(wanted)
