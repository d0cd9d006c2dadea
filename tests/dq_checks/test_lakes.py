"""Files and snapshots on Spark: the same figures as in a scratch database; what goes wrong."""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from crmops.cli import run as crmops
from crmops.errors import CannotRun, UsageError
from crmops.record import Run, Verdict
from dq_checks.client import AuditWorker
from dq_checks.engines import opened
from dq_checks.lake import FOLDER
from dq_checks.lakes import lake
from dq_checks.run import job_of
from dq_checks.settings import Settings, SparkSettings
from dq_checks.suite import Suite
from dq_checks.worker.problems import JobProblem
from dq_checks.worker.spark.session import session_of
from tests.dq_checks.everywhere import ODD, into_parquet, lake_of, rows
from tests.dq_checks.support import Auditor, rule, suite

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("engines")]

SPARK = SparkSettings(master="local[2]", memory="600m")
PEOPLE = suite(
    rule("p.name", "filled", column="name"),
    rule("p.mail", "format", column="mail", format="email"),
    rule("p.amount", "range", column="amount", minimum=1, maximum=9.5),
    rule("p.order", "compare", column="seen", op=">=", other="born"),
    rule("p.fresh", "fresh", column="seen", days=1000),
    rule("p.one", "unique", columns=["name", "born"]),
    rule("p.firm", "reference", column="firm", table="firms"),
    rule("p.sql", "sql", good="amount is not null"),
)
CELLS: dict[str, tuple[str, ...]] = {
    "name": (*ODD[:40], "", " ", "x, y", 'say "a"', "two\nlines"),
    "mail": ("", "x@y.cn", "x@y", "X@Y.cn"),
    "amount": ("", " 1", "1.0", "9.50", "-2", "1e1", "1_000", "９"),
    "seen": ("", "2026-01-31", "2026-01-31 10:00:00+08", "2026-01-31T10:00:00.123456Z"),
    "born": ("", "2026-01-31", "1999-12-31"),
    "firm": ("", "1", "2", "01", "x"),
}


@pytest.fixture(scope="module")
def worker(spark_worker: AuditWorker) -> AuditWorker:
    """The worker with Spark."""
    return spark_worker


def csv_of(path: Path, columns: dict[str, tuple[str, ...]], number: int, encoding: str) -> Path:
    """A CSV of cells by chance."""
    rng = random.Random(5)
    lines = [",".join(columns)]
    for _ in range(number):
        cells = [rng.choice(each) for each in columns.values()]
        cells = [each.encode(encoding, "ignore").decode(encoding) for each in cells]
        lines.append(",".join('"' + each.replace('"', '""') + '"' for each in cells))
    path.write_bytes("\r\n".join(lines).encode(encoding))
    return path


def on(engine: str, path: Path, auditor: Auditor, about: Suite, *pairs: str) -> tuple[Run, Any]:
    """An audit of a file on an engine, and which rules it could not answer."""
    with opened(path, about, pairs, engine, SPARK) as made:
        run = auditor.run(made.url, made.suite, country="CN", worklist="all")
    return run, made.left_out


def same(path: Path, auditor: Auditor, about: Suite, *pairs: str) -> dict[str, tuple[int, int]]:
    """A and B of each rule, which must be the same on both engines, as must be the records."""
    light, left = on("scratch", path, auditor, about, *pairs)
    heavy, without = on("spark", path, auditor, about, *pairs)
    counts = [
        {name: (each["A"], each["B"]) for name, each in auditor.rules(run).items()}
        for run in (light, heavy)
    ]
    assert counts[0] == {name: counts[1][name] for name in counts[0]}
    assert {*left} - {*without} <= {"p.sql"}
    known, found = auditor.listed(light), auditor.listed(heavy)
    assert known == {name: found[name] for name in known}
    return counts[1]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_a_csv_counts_alike(encoding: str, auditor: Auditor, tmp_path: Path) -> None:
    path = csv_of(tmp_path / "people.csv", CELLS, 300, encoding)
    counts = same(path, auditor, PEOPLE)
    assert {*counts} == {"p.name", "p.mail", "p.amount", "p.order", "p.fresh", "p.one"}
    assert counts["p.amount"][0] > 0
    assert counts["p.order"][0] > 0


def test_parquet_counts_alike_where_it_lies(auditor: Auditor, tmp_path: Path) -> None:
    parts = tmp_path / "people"
    parts.mkdir()
    with duckdb.connect() as db:
        for part in (0, 1):
            db.execute(
                "copy (select (i * 2 + $part)::int as id, case when i % 3 > 0 then '李娜' || i end"
                " as Name, case when i % 5 = 0 then 'nan'::double else i * 1.5 end as amount,"
                " case when i % 4 > 0 then '2026-01-31' else ' ' end as born,"
                " timestamptz '2026-01-31 10:00:00+08' as seen, (i % 3)::bigint as firm"
                f" from range(90) t(i)) to '{parts}/{part}.parquet' (format parquet)",
                {"part": part},
            )
    assert same(parts, auditor, PEOPLE, "Name=name")["p.amount"] == (10, 144)
    counts = same(parts / "0.parquet", auditor, PEOPLE, "Name=name", "id=number")
    assert counts["p.name"] == (60, 90)


def test_a_snapshot_answers_references_and_sql(auditor: Auditor, tmp_path: Path) -> None:
    rng = random.Random(3)
    into_parquet(tmp_path / "whole", {name: rows(name, 80, rng) for name in ("people", "firms")})
    about = suite(
        rule("p.link", "reference", column="owner_id", table="firms"),
        rule("p.name", "reference", column="name", table="firms", key="name"),
        rule("p.range", "range", column="amount", minimum=0),
        rule("p.sql", "sql", good="amount is not null"),
        owner_column="owner_id", owners={"table": "firms", "team": "name"},
    )  # fmt: skip
    counts = same(tmp_path / "whole", auditor, about)
    assert {*counts} == {"p.link", "p.name", "p.range", "p.sql"}
    (tmp_path / "people.csv").write_text("id,firm,name\n1,7,a\n2,8,b\n3,,c\n")
    (tmp_path / "firms.csv").write_text("id,name\n7,x\n")
    assert same(tmp_path, auditor, PEOPLE)["p.firm"] == (1, 2)


@pytest.mark.parametrize(
    ("made", "pairs", "said", "hint"),
    [
        (
            lambda folder: None, (), "SNAPSHOT has no table 'people'",
            "Put people.parquet, .csv or .xlsx there, or a directory of Parquet files of that"
            " name.",
        ),
        (
            lambda folder: write(folder / "people" / "0.parquet", "select 'a' as name"), (),
            "SNAPSHOT/people has no column 'id', by which its records could be named",
            "Say which it is with --map COLUMN=id, or audit one file.",
        ),
        (
            lambda folder: (folder / "people.csv").write_text("x\n1\n"), (),
            "SNAPSHOT has no column that suite 'people' knows",
            "Say which is which: --map 'Site name=name'.",
        ),
    ],
)  # fmt: skip
def test_bad_snapshots_are_named(
    made: Callable[[Path], None], pairs: tuple[str, ...], said: str, hint: str, tmp_path: Path
) -> None:
    made(tmp_path)
    with pytest.raises(UsageError) as raised, lake(tmp_path, PEOPLE, pairs, SPARK):
        pass
    assert (
        raised.value.message.replace(str(tmp_path), "SNAPSHOT").replace(tmp_path.name, "SNAPSHOT")
        == said
    )
    assert raised.value.hint == hint


def write(path: Path, query: str) -> None:
    """Write a Parquet file."""
    path.parent.mkdir(exist_ok=True)
    with duckdb.connect() as db:
        db.execute(f"copy ({query}) to '{path}' (format parquet)")


def test_only_parquet_is_for_a_cluster(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("name\na\n")
    cluster = SparkSettings(master="spark://there:7077")
    with pytest.raises(UsageError) as raised, lake(path, PEOPLE, (), cluster):
        pass
    assert str(raised.value) == (
        "people.csv would be copied to this machine, which spark://there:7077 does not see"
    )


def test_a_parquet_file_that_is_cut_is_an_error(auditor: Auditor, tmp_path: Path) -> None:
    write(tmp_path / "people.parquet", "select i as id, 'a' || i as name from range(9000) t(i)")
    with lake(tmp_path / "people.parquet", PEOPLE, (), SPARK) as made:
        whole = (tmp_path / "people.parquet").read_bytes()
        (tmp_path / "people.parquet").write_bytes(whole[:-3])
        run = auditor.run(made.url, made.suite)
    assert run.verdict is Verdict.ERROR
    assert run.reason == "table people cannot be read as Parquet"
    assert run.findings[0].detail == "Write the files again; are they whole, and all of one form?"


def test_time_that_runs_out_is_named(auditor: Auditor, tmp_path: Path) -> None:
    into_parquet(tmp_path / "lake", {"people": rows("people", 50, random.Random(1))})
    endless = rule("p.slow", "sql", good="id in (select count(*) from range(1000000000000000))")
    run = auditor.run(
        lake_of(tmp_path / "lake"), suite(endless, rule("p.one", "unique", columns=["id"])),
        statement_timeout=12, worklist="none",
    )  # fmt: skip
    assert run.verdict is Verdict.ERROR
    assert run.reason == "1 of 2 rules could not run: p.slow: the statement timeout ended it"


def test_without_java_or_spark_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into_parquet(tmp_path, {"people": rows("people", 5, random.Random(1))})
    described = lake_of(tmp_path).removeprefix("spark:///")
    monkeypatch.setenv("CRMOPS_JAVA", "/nowhere/java")
    with pytest.raises(JobProblem) as raised:
        session_of(described)
    assert raised.value.reason == (
        "Spark needs Java: CRMOPS_JAVA is /nowhere/java, which is no program that can be started"
    )
    assert raised.value.hint == "Correct CRMOPS_JAVA, or unset it to have java looked for."
    monkeypatch.setitem(sys.modules, "pyspark.conf", None)
    with pytest.raises(JobProblem) as raised:
        session_of(described)
    assert raised.value.reason == "Spark is not installed"
    assert raised.value.hint == (
        "pip install 'crmops[spark]' (450 MB); Spark needs Java 17 or newer."
    )


def test_the_command_audits_on_spark_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    monkeypatch.setattr(tempfile, "tempdir", None)
    config = tmp_path / "crmops.yaml"
    config.write_text(
        "state: state\ntargets:\n  crm: {connector: refcrm, url: 'http://127.0.0.1:1'}\n"
        "dq: {engine: spark, spark: {master: 'local[2]', memory: 600m}}\n"
    )
    path = tmp_path / "leads.csv"
    path.write_text("id,name,email\n1,Li Na,li@x.cn\n2,,wu@x\n")
    code = crmops(["--config", str(config), "dq", "file", str(path), "-s", "leads", "--json"])
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert (code, run["verdict"]) == (1, "fail")
    assert run["tool_versions"]["spark"].startswith("4.")
    assert [each.name for each in temporary.iterdir()] == []
    assert crmops(["--config", str(config), "dq", "file", str(path), "-s", "leads",
                   "--engine", "sparc"]) == 2  # fmt: skip
    assert capsys.readouterr().err == (
        "error: --engine sparc is none\nhint: There are: scratch, spark.\n"
    )


def test_the_jvm_goes_with_a_worker_that_is_killed(worker: AuditWorker, tmp_path: Path) -> None:
    into_parquet(tmp_path / "lake", {"people": rows("people", 5, random.Random(1))})
    job = job_of(PEOPLE, Settings(groups=False), lake_of(tmp_path / "lake"))
    worker.run(job, lambda stage: None, 120)
    killed = worker.pid or 0
    (child,) = jvms(killed)
    assert list(Path(tempfile.gettempdir()).glob(f"{FOLDER}{killed}-*"))
    os.kill(killed, 9)
    until = time.monotonic() + 60
    while child in jvms(None):
        assert time.monotonic() < until, "the JVM lives on"
        time.sleep(0.1)
    with pytest.raises(CannotRun, match="the audit worker was killed by SIGKILL"):
        worker.run(job, lambda stage: None, 120)
    assert not list(Path(tempfile.gettempdir()).glob(f"{FOLDER}{killed}-*"))


def jvms(parent: int | None) -> list[int]:
    """The Java processes that live, all of them or those that a process has started."""
    wanted = ("name", "ppid", "status")
    return [
        each.pid
        for each in psutil.process_iter([*wanted])
        if each.info["name"] == "java"
        and each.info["status"] != psutil.STATUS_ZOMBIE
        and parent in (None, each.info["ppid"])
    ]
