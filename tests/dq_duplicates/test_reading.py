"""Reading in pieces and by Arrow gives what reading row by row gives."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmops.errors import UsageError
from crmops.tables import encoding_of, read_headings, rows_of
from dq_checks.duplicates import lines, reading
from dq_checks.duplicates.columns import Column, side_by_side, texts, unless_same
from dq_checks.duplicates.fields import Columns, map_columns
from dq_checks.duplicates.find import Wanted, find_duplicates
from dq_checks.duplicates.lines import column
from dq_checks.duplicates.prepare import blocks
from dq_checks.duplicates.reading import NotPlain, pieces, read_piece

HEADS = ("姓名", "手机", "地址")
DIGITS = st.text("0123456789+- ()转１", max_size=16)
NUMBERS = st.sampled_from(["138", "0138", "010", "022", "0574", "0333", "86", ""])


def _both(path: Path) -> tuple[list[Any], list[Any]]:
    """The columns of a file, in pieces and row by row."""
    encoding = encoding_of(path)
    rows = rows_of(path, encoding)
    columns = map_columns(path, read_headings(path, rows), "contact", ())
    wanted = [
        list(zip(*_listed(each, columns), strict=True)) for each in blocks(path, rows, columns)
    ]
    made = [
        list(zip(*_listed(read_piece(each, columns), columns), strict=True))
        for each in pieces(path, encoding)
    ]
    return [row for each in made for row in each], [row for each in wanted for row in each]


def _listed(block: Any, columns: Columns) -> list[list[str]]:
    return [[each.strip() for each in block[name].to_pylist()] for name in columns.at]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@settings(max_examples=40)
@given(data=st.data())
def test_in_pieces_as_row_by_row(
    encoding: str, data: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cell = st.text(st.sampled_from('张a1 ,"\n\r，'), max_size=5)
    rows = data.draw(st.lists(st.tuples(cell, cell, cell), max_size=12))
    text = io.StringIO()
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer = csv.writer(text, lineterminator=end, quoting=quoting)
    writer.writerows([HEADS, *rows])
    path = tmp_path_factory.mktemp("pieces") / "a.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "PIECE", data.draw(st.integers(1, 60)))
        made, wanted = _both(path)
    assert made == wanted


@pytest.mark.parametrize(
    "text",
    ["a,1\n", "a,1,x,\nb,2,y\n\n\nc,3,z", " a, 1,x\r\n b\r\n", "a,1\rb,2\r", 'a,5" tube,x\n' * 3],
)
def test_odd_lines_are_read_all_the_same(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{','.join(HEADS)}\n{text}", encoding="utf-8", newline="")
    made, wanted = _both(path)
    assert made == wanted != []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,1,x\nb,2,y,too wide\n", "data row 2 has 4 cells"),
        ('a,1,x\nb,"2,y\n', "line 3 cannot be"),
    ],
)
def test_what_is_no_plain_file_is_read_row_by_row(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{','.join(HEADS)}\n{text}", encoding="utf-8")
    columns = Columns("contact", {"name": 0, "mobile": 1}, HEADS)
    with pytest.raises(NotPlain):
        [read_piece(each, columns) for each in pieces(path, "utf-8")]
    with pytest.raises(UsageError, match=said):
        find_duplicates(Wanted(path))


def test_a_line_without_an_end_is_not_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{','.join(HEADS)}\n" + "a" * 100)
    monkeypatch.setattr(reading, "PIECE", 10)
    monkeypatch.setattr(reading, "CELL_LIMIT", 20)
    with pytest.raises(NotPlain):
        list(pieces(path, "utf-8"))


@pytest.mark.parametrize("of", [lines.mobiles, lines.phones, lines.emails])
@settings(max_examples=150)
@given(data=st.data())
def test_the_short_way_leads_to_the_same(of: lines.Lines, data: Any) -> None:
    number = st.tuples(NUMBERS, st.sampled_from(["", "-", " "]), DIGITS).map("".join)
    plain = st.from_regex(r"\A0(10|[2-9][0-9]{1,2})-?[1-9][0-9]{6,7}\Z|\A1[3-9][0-9]{9}\Z")
    mail = st.from_regex(r"\A[a-zA-Z0-9._+-]{1,5}@[a-z0-9_-]{1,4}(\.[a-z0-9_-]{0,3}){0,3}\Z")
    values = data.draw(st.lists(number | plain | mail | st.text(max_size=6), max_size=6))
    assert Column(texts(values)).get(of).to_pylist() == (column(values, of) if values else [])


def test_columns_keep_their_rows() -> None:
    left, right = texts(["x", None, "y", None]), texts(["p", None, None, "q"])
    assert side_by_side(left, right, " ").to_pylist() == ["x p", None, "y", "q"]
    assert unless_same(left, texts(["x", None, "z", "q"])).to_pylist() == [None, None, "y", None]
    some = Column(texts(["李 娜", "王芳", ""])).some(
        texts(["a", None, None]).is_null(), lines.people
    )
    assert some.to_pylist() == [None, "王芳", None]
