"""What the tests of migrations share: tables as files and in PostgreSQL, plans, jobs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from ruamel.yaml import YAML

from crmops.history import History
from crmops.record import Run
from dq_checks.migration.plan import Plan, read_plan
from dq_checks.migration.run import GUIDE, Job, batches, validate

Row = tuple[Any, ...]


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> Path:
    """Null is nothing, blank is a pair of quotation marks."""

    def cell(value: Any) -> str:
        return "" if value is None else '"' + str(value).replace('"', '""') + '"'

    lines = [",".join(f'"{each}"' for each in columns)]
    lines += [",".join(map(cell, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    return path


def write_parquet(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> Path:
    """With the types of Python's values."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = [[row[at] for row in rows] for at in range(len(columns))]
    pq.write_table(pa.table(dict(zip(columns, arrays, strict=True))), path)
    return path


def write_table(url: str, name: str, columns: dict[str, str], rows: Sequence[Row]) -> None:
    """A table of PostgreSQL, made anew."""
    with psycopg.connect(url) as connection:
        shown = ", ".join(f'"{each}" {kind}' for each, kind in columns.items())
        connection.execute(f"drop table if exists {name}")
        connection.execute(f"create table {name} ({shown})")
        with connection.cursor().copy(f"copy {name} from stdin") as copy:
            for row in rows:
                copy.write_row(row)


@dataclass
class Migrator:
    """Writes plans, runs them and reads what came of them."""

    history: History
    directory: Path
    addresses: dict[str, str] = field(default_factory=dict)

    def job(self, **plan: Any) -> Job:
        path = self.directory / "plan.yaml"
        out = io.StringIO()
        YAML(typ="safe", pure=True).dump(self.plan(**plan), out)
        path.write_text(out.getvalue(), encoding="utf-8")
        loaded = read_plan(path, Plan, GUIDE)
        return Job(loaded, "crm", self.history, self.addresses.__getitem__)

    def plan(self, **changes: Any) -> dict[str, Any]:
        plan = {
            "name": "try",
            "source": {"file": "source.csv"},
            "target": {"file": "target.csv"},
            "key": [{"name": "id"}],
            "fields": [{"name": "name"}],
        }
        return {**plan, **changes}

    def run(self, **plan: Any) -> Run:
        job = self.job(**plan)
        (batch,) = batches(job.plan)
        return validate(job, batch)

    def files(self, source: Sequence[Row], target: Sequence[Row], **plan: Any) -> Run:
        """Two CSV files with the columns id and name."""
        write_csv(self.directory / "source.csv", ("id", "name"), source)
        write_csv(self.directory / "target.csv", ("id", "name"), target)
        return self.run(**plan)

    def text(self, run: Run, name: str) -> str:
        found = next(each for each in run.evidence if each.path.endswith(f"/{name}"))
        return self.history.files.path(found).read_text(encoding="utf-8")

    def listed(self, run: Run) -> set[tuple[str, ...]]:
        """The rows of differences.csv: kind and key."""
        if not any(each.path.endswith("/differences.csv") for each in run.evidence):
            return set()
        rows = list(csv.reader(io.StringIO(self.text(run, "differences.csv").lstrip("\ufeff"))))
        return {tuple(row[:-2]) for row in rows[1:]}


def counts(run: Run) -> dict[str, float | None]:
    """The measures by the last part of their names."""
    return {each.name: each.value for each in run.measures}
