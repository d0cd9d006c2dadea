"""A person's own file as the data of a rehearsal: every row is imported or named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from crmops.connectors import connect
from crmops.connectors.base import Connector, Imports, Talk
from crmops.drivers import client, converse
from crmops.errors import CannotRun, UsageError
from crmops.execute import executing
from crmops.history import History
from crmops.model import FIELDS
from crmops.record import Kind, Run, Unit, Verdict
from crmops.tables import check_width, plain_heading, read_headings, rows_of
from crmops.target import Target

BATCH = 500
SUBJECT = "import"
SHOWN = 20

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "name": (
        "name", "site name", "account name", "company", "company name", "organisation",
        "organization", "customer", "full name", "contact name",
        "名称", "客户名称", "公司名称", "公司", "企业名称", "姓名", "联系人",
    ),
    "uscc": ("uscc", "统一社会信用代码", "社会信用代码"),
    "industry": ("industry", "行业"),
    "phone": ("phone", "telephone", "phone number", "tel", "电话", "座机", "联系电话"),
    "mobile": ("mobile", "mobile phone", "cell", "手机", "手机号", "手机号码"),
    "email": ("email", "e mail", "email address", "mail", "邮箱", "电子邮箱", "电子邮件"),
    "website": ("website", "web site", "url", "homepage", "网址", "网站"),
    "region": ("region", "state", "province", "省", "省份", "地区", "区域"),
    "city": ("city", "town", "suburb", "城市", "市"),
    "address": ("address", "street", "street address", "地址", "详细地址", "联系地址"),
    "postcode": ("postcode", "zip", "zip code", "postal code", "邮编", "邮政编码"),
    "title": ("title", "job title", "职务", "职位"),
    "birth_date": ("birth date", "date of birth", "birthday", "出生日期", "生日"),
}  # fmt: skip
"""Headings under which a field usually comes, in lower case, without punctuation."""


@dataclass(frozen=True, slots=True)
class OwnData:
    """A person's file, read: ``rows`` in file order, headings mapped to fields."""

    path: Path
    entity: str
    mapping: Mapping[str, str]
    unmapped: tuple[str, ...]
    rows: Sequence[Mapping[str, str]]


def read_own_data(path: Path, entity: str, maps: Sequence[str]) -> OwnData:
    """Read a CSV (UTF-8 or GB18030) or XLSX file.

    ``maps`` are ``column=field`` and come before what is guessed from the headings.  Raises
    UsageError naming the file, the column and what is allowed.
    """
    if entity not in ("account", "contact"):
        raise UsageError(f"entity {entity!r} cannot be imported", hint="Use account or contact.")
    table = rows_of(path)
    heads = read_headings(path, table)
    mapping = _mapping(heads, entity, maps, path)
    rows = [_row(cells, heads, mapping, path, number) for number, cells in enumerate(table, 1)]
    unmapped = tuple(each for each in heads if each and each not in mapping)
    return OwnData(path, entity, mapping, unmapped, rows)


def _mapping(heads: list[str], entity: str, maps: Sequence[str], path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in maps:
        column, separator, name = (part.strip() for part in each.rpartition("="))
        if not separator or column not in heads:
            raise UsageError(
                f"--map {each!r}: {path.name} has no column {column!r}",
                hint=f"Its columns: {', '.join(h for h in heads if h)}.",
            )
        if name not in FIELDS[entity]:
            raise UsageError(
                f"--map {each!r}: {entity} has no field {name!r}",
                hint=f"Its fields: {', '.join(FIELDS[entity])}.",
            )
        found[column] = name
    for head in heads:
        plain = plain_heading(head)
        for name in FIELDS[entity]:
            free = head and head not in found and name not in found.values()
            if free and plain in SYNONYMS.get(name, (name.replace("_", " "),)):
                found[head] = name
    if "name" not in found.values():
        raise UsageError(
            f"no column of {path.name} is taken for the name of {entity}s",
            hint=f"Say which with --map COLUMN=name; columns: {', '.join(h for h in heads if h)}.",
        )
    return found


def _row(
    cells: list[str], heads: list[str], mapping: Mapping[str, str], path: Path, number: int
) -> dict[str, str]:
    check_width(path, number, cells, len(heads))
    pairs = zip(heads, cells, strict=False)
    return {mapping[head]: cell.strip() for head, cell in pairs if head in mapping}


def import_own_data(
    data: OwnData, target: Target, history: History, *, config_digest: str = ""
) -> Run:
    """Import every row through the CRM's bulk import and record what became of each.

    The rows are given to the people in turn, so that everybody has some to work on.

    Passes if every row was imported or is named with its reason, and at least one was imported.
    The evidence holds row numbers, fields and reasons, never the contents.
    """
    with executing(history, Kind.PULL, target.name, SUBJECT, config_digest=config_digest) as run:
        imported, rejected = _send(data, target)
        read = len(data.rows)
        lost = read - imported - len(rejected)
        run.measure("rows.read", read, Unit.COUNT, read)
        run.measure("rows.imported", imported, Unit.COUNT, read)
        run.measure("rows.rejected", len(rejected), Unit.COUNT, read)
        run.measure("rows.unaccounted", lost, Unit.COUNT, read)
        for number, name, reason in rejected[:SHOWN]:
            run.finding(f"row {number} was not imported", f"{name}: {reason}" if name else reason)
        if len(rejected) > SHOWN:
            run.finding(f"{len(rejected) - SHOWN} more rows were not imported", "see import.json")
        run.attach("import.json", _report(data, imported, rejected))
        if lost:
            run.conclude(Verdict.FAIL, f"{lost} of {read} rows are unaccounted for")
        elif imported:
            reason = f"{imported} of {read} rows imported, {len(rejected)} named with their reason"
            run.conclude(Verdict.PASS, reason)
        else:
            run.conclude(Verdict.UNKNOWN, f"none of {read} rows was imported")
    return run.run


def _send(data: OwnData, target: Target) -> tuple[int, list[tuple[int, str, str]]]:
    connector = connect(target)
    if not isinstance(connector, Imports) or target.password is None:
        raise CannotRun(f"connector {target.connector!r} has no bulk import")
    imported, rejected = 0, []
    with client(target) as http:
        converse(connector.login(target.username, target.password.reveal()), http)
        owners = cycle(converse(_reps(connector), http) or [""])
        for first in range(0, len(data.rows), BATCH):
            batch = [_owned(row, next(owners)) for row in data.rows[first : first + BATCH]]
            report = converse(connector.bulk_import(data.entity, batch), http)
            imported += report.imported
            rejected += [(first + row, name, reason) for row, name, reason in report.rejected]
    return imported, rejected


def _reps(connector: Connector) -> Talk[list[str]]:
    """The ids of those who may own records: people see what is theirs, so it must be somebody's."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = yield from connector.list("user", limit=200, cursor=cursor)
        found += [str(each["id"]) for each in page.records if each.get("role") == "rep"]
        cursor = page.cursor
        if cursor is None:
            return found


def _owned(row: Mapping[str, str], owner: str) -> dict[str, str]:
    return {**row, "owner_id": owner} if owner else dict(row)


def _report(data: OwnData, imported: int, rejected: list[tuple[int, str, str]]) -> str:
    return json.dumps(
        {
            "file": data.path.name,
            "entity": data.entity,
            "columns": dict(data.mapping),
            "columns_left_out": list(data.unmapped),
            "rows": len(data.rows),
            "imported": imported,
            "rejected": [{"row": r, "field": f, "reason": why} for r, f, why in rejected],
        },
        ensure_ascii=False,
        indent=2,
    )
