"""A person's own file: read as it is, mapped, and every row accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import xlsxwriter

from crmops.demo.data import OwnData, import_own_data, read_own_data
from crmops.errors import UsageError
from crmops.history import History, open_history
from crmops.record import Kind, Verdict
from crmops.target import Target

BAD = Path(__file__).parent.parent / "data" / "bad" / "own-data"
BAD_FILES = sorted(path.name for path in BAD.iterdir() if path.suffix != ".txt")


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_in_so_many_words(name: str) -> None:
    expected = (BAD / f"{name}.txt").read_text().strip().replace("{path}", str(BAD / name))
    with pytest.raises(UsageError) as caught:
        read_own_data(BAD / name, "account", [])
    assert str(caught.value) == expected


def test_a_missing_file_and_an_unknown_entity_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_own_data(tmp_path / "none.csv", "account", [])
    with pytest.raises(UsageError, match="entity 'invoice' cannot be imported"):
        read_own_data(tmp_path / "none.csv", "invoice", [])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_chinese_headings_are_understood_in_every_usual_encoding(
    tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "客户.csv"
    path.write_text("客户名称,联系电话,备注\n华东钢铁有限公司,021-1234567,甲\n", encoding=encoding)
    data = read_own_data(path, "account", [])
    assert data.mapping == {"客户名称": "name", "联系电话": "phone"}
    assert data.unmapped == ("备注",)
    assert data.rows == [{"name": "华东钢铁有限公司", "phone": "021-1234567"}]


def test_a_workbook_is_read_like_a_table(tmp_path: Path) -> None:
    path = tmp_path / "people.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        for column, (head, cell) in enumerate([("姓名", "王芳"), ("手机", 13800000000)]):
            sheet.write(0, column, head)
            sheet.write(1, column, cell)
    data = read_own_data(path, "contact", [])
    assert data.rows == [{"name": "王芳", "mobile": "13800000000"}]


def test_what_the_person_says_comes_before_what_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Name,Trading as\nA Ltd,The A\n")
    data = read_own_data(path, "account", ["Trading as=name"])
    assert data.mapping == {"Trading as": "name"}
    with pytest.raises(UsageError) as caught:
        read_own_data(path, "account", ["Nmae=name"])
    assert str(caught.value) == "--map 'Nmae=name': a.csv has no column 'Nmae'"
    assert caught.value.hint == "Its columns: Name, Trading as."
    with pytest.raises(UsageError, match="account has no field 'nick'"):
        read_own_data(path, "account", ["Name=nick"])


@pytest.fixture
def lite(tmp_path: Path) -> History:
    return open_history(f"sqlite:///{tmp_path / 'history.db'}", tmp_path / "artifacts")


def test_every_row_is_imported_or_named(
    tmp_path: Path, lite: History, target_factory: Callable[..., Target]
) -> None:
    path = tmp_path / "some.csv"
    rows = ["name,phone"] + [f"Own Data Account {n},021-6{n:07d}" for n in range(1200)]
    rows[700] = ",021-60000000"  # data row 700 has no name
    path.write_text("\n".join(rows) + "\n")
    run = import_own_data(read_own_data(path, "account", []), target_factory(), lite)
    found = {each.name: each.value for each in run.measures}
    assert found == {
        "rows.read": 1200,
        "rows.imported": 1199,
        "rows.rejected": 1,
        "rows.unaccounted": 0,
    }
    assert (run.kind, run.verdict) == (Kind.PULL, Verdict.PASS)
    report = json.loads(lite.files.path(run.evidence[0]).read_text())
    assert [(each["row"], each["field"]) for each in report["rejected"]] == [(700, "name")]
    assert "Own Data Account" not in run.model_dump_json()
    lite.close()


def test_a_file_with_a_heading_alone_is_unknown(
    tmp_path: Path, lite: History, target_factory: Callable[..., Target]
) -> None:
    data = OwnData(tmp_path / "none.csv", "account", {"name": "name"}, (), ())
    run = import_own_data(data, target_factory(), lite)
    assert (run.verdict, run.reason) == (Verdict.UNKNOWN, "none of 0 rows was imported")
    lite.close()
