"""Steps, batches, orphans, kinds of files, records without contents."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from crmops.errors import ConfigError, UsageError
from crmops.record import Kind, Verdict
from dq_checks.migration.plan import Plan, SideSettings
from dq_checks.migration.run import batches, validate
from tests.dq_migration.support import Migrator, Row, counts, write_csv, write_table

SOURCE = ("No", "Mail", "First", "Last", "Stage", "Born", "Sum", "Note")
SOURCE_ROWS: list[Row] = [
    ("01", "\u3000A@x.de ", "Ann", "Lee", "W", "01.02.2024", "1,5", "x"),
    ("2", "B@X.DE", "Bob", None, "L", "3.4.2023", "7", "x"),
    ("3", " ", None, None, None, None, None, "x"),
    ("4", "ÄÖ@x.de", "李", "雷", "Z", "29.02.2024", "-0.004", "x"),
]
TARGET = ("id", "email", "name", "stage", "born", "sum", "origin")
TARGET_TYPES = {
    "id": "bigint", "email": "text", "name": "text", "stage": "text", "born": "date",
    "sum": "numeric(12,2)", "origin": "text",
}  # fmt: skip
TARGET_ROWS: list[Row] = [
    (1, "a@x.de", "Ann Lee", "won", "2024-02-01", None, "old CRM"),
    (2, "b@x.de", "Bob", "lost", "2023-04-03", "7.00", "old CRM"),
    (3, None, None, None, None, None, "old CRM"),
    (4, "äö@x.de", "李 雷", "Z", "2024-02-29", "0.00", "old CRM"),
]
FIELDS: list[dict[str, Any]] = [
    {"name": "email", "from": "Mail", "steps": ["trim", "lower", "blank_to_null"]},
    {"name": "name", "concat": ["First", "Last"]},
    {"name": "stage", "from": "Stage", "steps": [{"map": {"W": "won", "L": "lost"}}]},
    {"name": "born", "from": "Born", "type": "date", "steps": [{"date": "%d.%m.%Y"}]},
    {"name": "sum", "from": "Sum", "type": "decimal", "scale": 2},
    {"name": "origin", "constant": "old CRM"},
]
KEY = [{"name": "id", "from": "No", "type": "integer"}]


@pytest.mark.parametrize("kind", ["csv", "table"])
def test_declared_steps(migrator: Migrator, database: str, kind: str) -> None:
    write_csv(migrator.directory / "source.csv", SOURCE, SOURCE_ROWS)
    write_csv(migrator.directory / "target.csv", TARGET, TARGET_ROWS)
    write_table(database, "steps", TARGET_TYPES, TARGET_ROWS)
    target = {"file": "target.csv"} if kind == "csv" else {"database": database, "table": "steps"}
    run = migrator.run(target=target, key=KEY, fields=FIELDS)
    found = counts(run)
    assert migrator.listed(run) == {("different", "1")}  # 1,5 is no decimal
    assert (found["values.unmapped"], found["columns.unmapped"]) == (1, 1)
    titles = {each.title for each in run.findings}
    assert {
        "field sum differs",
        "field sum has values that are not of its type",
        "field stage has values that its map lacks",
        "columns of the source in no field",
    } <= titles
    again = migrator.run(
        target=target, key=KEY, fields=FIELDS, ignore={"source": ["Note"]},
        limits={"rows.different": 1, "values.unmapped": 1},
    )  # fmt: skip
    assert again.verdict is Verdict.PASS
    assert again.reason == "4 rows compared, differences within the limits of the plan"


def test_steps_in_the_source_database(migrator: Migrator, database: str) -> None:
    types = dict.fromkeys(SOURCE, "text")
    write_table(database, '"Old"', types, SOURCE_ROWS)
    write_csv(migrator.directory / "target.csv", TARGET, TARGET_ROWS)
    run = migrator.run(
        source={"database": database, "query": 'select * from "Old";'}, key=KEY, fields=FIELDS
    )
    assert migrator.listed(run) == {("different", "1")}
    assert counts(run)["values.unmapped"] == 1


def test_nothing_of_the_contents_is_kept(migrator: Migrator) -> None:
    run = migrator.files([("1", "Zaphod"), ("2", "Trillian")], [("1", "Ford"), ("3", "Arthur")])
    kept = [migrator.history.files.path(each).read_text("utf-8") for each in run.evidence]
    everything = " ".join([*kept, run.model_dump_json()])
    assert not any(each in everything for each in ("Zaphod", "Trillian", "Ford", "Arthur"))
    assert migrator.listed(run) == {("different", "1"), ("missing", "2"), ("extra", "3")}


@pytest.mark.parametrize(
    ("source", "target", "verdict", "reason"),
    [
        ([], [], Verdict.UNKNOWN, "batch all is empty on both sides"),
        ([("1", "a")], [], Verdict.FAIL, "rows.missing is 1, not <= 0"),
        ([], [("1", "a")], Verdict.FAIL, "rows.extra is 1, not <= 0"),
        ([("1", "a")], [("1", "a")], Verdict.PASS, "1 rows arrived as they were sent"),
        ([(None, None)], [(None, None)], Verdict.PASS, "1 rows arrived as they were sent"),
        ([(None, None)], [(None, "")], Verdict.FAIL, "rows.different is 1, not <= 0"),
    ],
)
def test_verdicts(
    migrator: Migrator, source: list[Row], target: list[Row], verdict: Verdict, reason: str
) -> None:
    run = migrator.files(source, target)
    assert (run.kind, run.target, run.subject) == (Kind.DQ, "crm", "migration:try/all")
    assert (run.verdict, run.reason) == (verdict, reason)


def test_many_rows_differ_in_every_range(
    migrator: Migrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dq_checks.migration.compare._AT_ONCE", 10)
    rows = [(str(each), f"name {each}") for each in range(500)]
    other = [(key, f"{name}!") for key, name in rows[:-1]]
    run = migrator.files(rows, other, listed=20)
    assert (counts(run)["rows.different"], counts(run)["rows.missing"]) == (499, 1)
    assert len(migrator.listed(run)) == 20
    assert '"list_shortened": true' in migrator.text(run, "comparison.json")


@pytest.mark.parametrize("kind", ["file", "table"])
def test_values_that_changed_places_are_found(migrator: Migrator, database: str, kind: str) -> None:
    rows = [(str(each), f"name {each}") for each in range(40)]
    swapped = [*rows[:3], ("3", rows[4][1]), ("4", rows[3][1]), *rows[5:]]
    if kind == "file":
        run = migrator.files(rows, swapped)
    else:
        for name, content in (("placed", rows), ("swapped", swapped)):
            write_table(database, name, {"id": "text", "name": "text"}, content)
        sides = [{"database": database, "table": each} for each in ("placed", "swapped")]
        run = migrator.run(source=sides[0], target=sides[1])
    assert migrator.listed(run) == {("different", "3"), ("different", "4")}


def test_orphans(migrator: Migrator) -> None:
    directory = migrator.directory
    rows = [("1", "A"), ("2", "B"), ("3", None), ("4", "C"), ("5", "C")]
    write_csv(directory / "accounts.csv", ("id",), [("A",), ("B",)])
    references = [{"field": "name", "in": {"file": "accounts.csv"}}]
    run = migrator.files(rows, rows, references=references)
    assert (run.verdict, run.reason) == (Verdict.FAIL, "rows.orphaned is 2, not <= 0")
    write_csv(directory / "accounts.csv", ("id",), [("A",), ("B",), ("C",)])
    assert migrator.files(rows, rows, references=references).verdict is Verdict.PASS


def test_batches_by_file_and_column(migrator: Migrator, database: str) -> None:
    directory = migrator.directory
    write_csv(directory / "b1.csv", ("id", "name"), [("1", "a")])
    write_csv(directory / "b2.csv", ("id", "name"), [("2", "b")])
    types = {"id": "text", "name": "text", "tag": "text"}
    write_table(database, "tagged", types, [("1", "a", "b1"), ("2", "x", "b2"), ("9", "z", None)])
    job = migrator.job(
        source={"file": "{batch}.csv"},
        target={"database": database, "table": "public.tagged"},
        batches={"names": ["b1", "b2", "b3"], "target": "tag"},
    )
    runs = [validate(job, each) for each in batches(job.plan)]
    assert [each.subject for each in runs] == [f"migration:try/b{n}" for n in (1, 2, 3)]
    assert [each.verdict for each in runs] == [Verdict.PASS, Verdict.FAIL, Verdict.ERROR]
    with pytest.raises(UsageError, match="the plan has no batch 'b4'"):
        batches(job.plan, "b4")


def _gb18030(path: Path) -> dict[str, str]:
    (path / "other.csv").write_bytes("id,name\n1,客户\n2,\n".encode("gb18030"))
    return {"file": "other.csv"}


def _bom(path: Path) -> dict[str, str]:
    (path / "other.csv").write_bytes("\ufeffid;name\r\n1;客户\r\n2;\r\n".encode())
    return {"file": "other.csv", "delimiter": ";"}


def _workbook(path: Path) -> dict[str, str]:
    with xlsxwriter.Workbook(path / "other.xlsx") as book:
        sheet = book.add_worksheet()
        for at, row in enumerate([("id", "name"), (1, "客户"), (2, None)]):
            sheet.write_row(at, 0, row)
    return {"file": "other.xlsx"}


def _sqlite(path: Path) -> dict[str, str]:
    with sqlite3.connect(path / "other.db") as connection:
        connection.execute("create table people (id integer, name text)")
        connection.executemany("insert into people values (?, ?)", [(1, "客户"), (2, None)])
    connection.close()
    return {"database": f"sqlite:///{path / 'other.db'}", "table": "people"}


@pytest.mark.parametrize("make", [_gb18030, _bom, _workbook, _sqlite])
def test_kinds_of_sides(migrator: Migrator, make: Any) -> None:
    write_csv(migrator.directory / "source.csv", ("id", "name"), [("1", "客户"), ("2", None)])
    run = migrator.run(target=make(migrator.directory))
    assert (run.verdict, run.reason) == (Verdict.PASS, "2 rows arrived as they were sent")


def test_a_column_that_is_not_there_is_named_to_the_line(migrator: Migrator) -> None:
    with pytest.raises(ConfigError, match=r"plan.yaml:\d+: source has no column 'Nahme'"):
        migrator.files([("1", "a")], [("1", "a")], fields=[{"name": "name", "from": "Nahme"}])
    (run,) = migrator.history.find()
    assert run.verdict is Verdict.ERROR


def test_the_vocabulary_has_no_room_for_code(migrator: Migrator) -> None:
    wild = "x'); DROP TABLE t; --"
    run = migrator.files(
        [("1", wild)],
        [("1", "ok")],
        fields=[{"name": "name", "steps": [{"map": {wild: "ok", 'a"b': "'"}}]}],
    )
    assert run.verdict is Verdict.PASS


def test_documentation_names_every_key() -> None:
    text = Path("docs/migration.md")
    page = (Path(__file__).resolve().parents[2] / text).read_text("utf-8")
    from dq_checks.migration.plan import Batches, FieldSettings, Ignored, Reference, Step

    for model in (Plan, SideSettings, FieldSettings, Step, Batches, Ignored, Reference):
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in page, (model.__name__, name)
