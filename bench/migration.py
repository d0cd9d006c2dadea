"""How long it takes to hold two sides of a migration against each other, down to the row.

Nine columns; three rows are planted: one missing, one extra, one with a changed amount, and all
three must be named.  From Parquet, beside a plain DuckDB anti-join in both directions (which says
how many rows differ, and no more); and from PostgreSQL, where the digests are made by the server.
Seconds are for ten million rows a side; loading the data is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import psycopg

from crmops.history import open_history
from dq_checks.migration.plan import Plan, read_plan
from dq_checks.migration.run import Job, validate

ROOT = Path(__file__).resolve().parent.parent
FULL = 10_000_000
SECONDS = 120.0
COLUMNS = ("id", "name", "email", "phone", "city", "status", "amount", "born", "updated_at")
MADE = """
SELECT i AS id, '客户 ' || hash(i) % 5000000 AS name, 'user' || i || '@example.com' AS email,
  CASE WHEN i % 7 > 0 THEN '+86 138' || lpad(CAST(hash(i + 1) % 100000000 AS VARCHAR), 8, '0') END
    AS phone,
  ['北京', '上海', 'Berlin', 'Chicago', ''][i % 5 + 1] AS city,
  ['new', 'working', 'won', 'lost'][i % 4 + 1] AS status,
  CAST((hash(i + 2) % 100000000) / 100.0 AS DECIMAL(16, 2)) AS amount,
  DATE '1950-01-01' + CAST(hash(i + 3) % 20000 AS INTEGER) AS born,
  TIMESTAMP '2026-01-01' + to_microseconds(CAST(hash(i + 4) % 20000000000000 AS BIGINT))
    AS updated_at
FROM range({rows}) AS t(i)
"""
TYPES = "id bigint, name text, email text, phone text, city text, status text, \
amount numeric(16, 2), born date, updated_at timestamp"
PLAN = """
name: bench
source: {source}
target: {target}
key:
  - {{name: id, type: integer}}
fields:
  - {{name: name, steps: [trim]}}
  - {{name: email, steps: [trim, lower]}}
  - {{name: phone}}
  - {{name: city}}
  - {{name: status}}
  - {{name: amount, type: decimal, scale: 2}}
  - {{name: born, type: date}}
  - {{name: updated_at, type: timestamp}}
"""


def make(directory: Path, rows: int) -> None:
    """source.parquet and target.parquet, three rows apart."""
    with duckdb.connect() as db:
        db.execute(f"SET temp_directory = '{directory / 'spill'}'")
        made = MADE.format(rows=rows)
        db.execute(f"COPY ({made}) TO '{directory}/source.parquet' (FORMAT parquet)")
        more = "CAST(amount + 0.01 AS DECIMAL(16, 2))"
        amount = f"CASE WHEN id = {rows // 3} THEN {more} ELSE amount END AS amount"
        db.execute(
            f"COPY (SELECT * REPLACE ({amount}, "
            f"CASE WHEN id = {rows // 2} THEN -1 ELSE id END "
            f"AS id) FROM '{directory}/source.parquet') "
            f"TO '{directory}/target.parquet' (FORMAT parquet)"
        )


def load(directory: Path, url: str) -> None:
    """The same rows as tables of PostgreSQL."""
    with psycopg.connect(url, autocommit=True) as connection:
        for side in ("source", "target"):
            path = directory / f"{side}.csv"
            with duckdb.connect() as db:
                db.execute(f"COPY (FROM '{directory}/{side}.parquet') TO '{path}' (HEADER false)")
            connection.execute(f"create unlogged table {side} ({TYPES})")
            with (
                path.open("rb") as stream,
                connection.cursor().copy(f"copy {side} from stdin (format csv)") as copy,
            ):
                while chunk := stream.read(1 << 20):
                    copy.write(chunk)
            path.unlink()
            connection.execute(f"vacuum analyze {side}")


def ours(directory: Path, source: str, target: str, rows: int) -> float:
    """Seconds of one validation; it must name the three planted rows and nothing else."""
    path = directory / "plan.yaml"
    path.write_text(PLAN.format(source=source, target=target), encoding="utf-8")
    history = open_history(f"sqlite:///{directory / 'history.db'}", directory / "artifacts")
    job = Job(read_plan(path, Plan, ""), "bench", history, str)
    began, busy = time.perf_counter(), time.process_time()
    run = validate(job, "all")
    seconds = time.perf_counter() - began
    print(f"processor time of this process: {time.process_time() - busy:.1f} s")
    (found,) = [each for each in run.evidence if each.path.endswith("differences.csv")]
    text = history.files.path(found).read_text("utf-8-sig").splitlines()[1:]
    history.close()
    expected = {f"different,{rows // 3},1,amount", "extra,'-1,1,", f"missing,{rows // 2},1,"}
    assert set(text) == expected, (run.reason, text[:9])
    return seconds


def anti_join(directory: Path) -> float:
    """Seconds of two anti-joins over all columns."""
    using = " AND ".join(f"a.{each} IS NOT DISTINCT FROM b.{each}" for each in COLUMNS)
    began, busy = time.perf_counter(), time.process_time()
    with duckdb.connect(str(directory / "plain.duckdb")) as db:
        db.execute(f"SET temp_directory = '{directory / 'spill'}'")
        for one, other in (("source", "target"), ("target", "source")):
            answer = db.execute(
                f"SELECT count(*) FROM '{directory}/{one}.parquet' AS a "
                f"ANTI JOIN '{directory}/{other}.parquet' AS b ON {using}"
            ).fetchone()
            assert answer == (2,), answer
    print(f"processor time of this process: {time.process_time() - busy:.1f} s")
    return time.perf_counter() - began


def in_postgres(directory: Path, rows: int) -> float:
    """Seconds in a PostgreSQL of our own, which is gone afterwards."""
    command = [sys.executable, "-m", "refcrm", "cluster"]
    where = ["--dir", str(directory / "pg")]
    started = subprocess.run(
        [*command, "start", *where], check=True, capture_output=True, text=True, cwd=ROOT
    )
    try:
        url = json.loads(started.stdout)["admin_database_url"]
        load(directory, url)
        os.environ["BENCH_DATABASE"] = url
        side = "{{database: env:BENCH_DATABASE, table: {}}}"
        sides = [side.format(each).replace("{{", "{").replace("}}", "}") for each in
                 ("source", "target")]  # fmt: skip
        return ours(directory, sides[0], sides[1], rows)
    finally:
        subprocess.run([*command, "stop", *where], check=True, capture_output=True, cwd=ROOT)


def main() -> int:
    """Measure and print; 1 when a target was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=FULL)
    parser.add_argument("--ways", choices=("all", "parquet"), default="all")
    options = parser.parse_args()
    rows, scale = options.rows, FULL / options.rows
    seconds = {}
    with tempfile.TemporaryDirectory(prefix="bench-migration-", dir="/tmp") as place:
        directory = Path(place)
        directory.chmod(0o755)
        make(directory, rows)
        files = ("{file: source.parquet}", "{file: target.parquet}")
        seconds["parquet"] = ours(directory, files[0], files[1], rows)
        print(f"Parquet, down to the row: {seconds['parquet']:.1f} s", flush=True)
        plain = anti_join(directory)
        print(f"plain DuckDB anti-join, both ways: {plain:.1f} s", flush=True)
        if options.ways == "all":
            seconds["postgresql"] = in_postgres(directory, rows)
            print(f"PostgreSQL, down to the row: {seconds['postgresql']:.1f} s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{rows:,} rows a side, at most {peak:.0f} MiB of memory in this process")
    ratios = {f"{name}_seconds_per_10m": round(each * scale, 1) for name, each in seconds.items()}
    targets = dict.fromkeys(ratios, SECONDS)
    met = all(each <= SECONDS for each in ratios.values())
    ratios["parquet_to_anti_join"] = round(seconds["parquet"] / plain, 2)
    result = {"bench": "migration", "ratios": ratios, "targets": targets, "met": met}
    print(json.dumps(result))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
