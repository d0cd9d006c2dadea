"""Is what was loaded what was pulled?  Counts, digests, and lookups that lead somewhere."""

from __future__ import annotations

from psycopg import sql

from playbooks.instance import require_alive
from playbooks.job import Job
from playbooks.report import Report
from playbooks.saas.snapshot import EntityPart, Snapshot, read_snapshot
from playbooks.saas.tables import DATABASE, USER
from playbooks.saas.values import Digest
from playbooks.source import Connection, copy_connection

_BATCH = 2000


def run(job: Job, report: Report) -> None:
    """Every difference is a failed check; a lookup that dangles in the CRM itself is none."""
    snapshot = read_snapshot(job.backup)
    counts, digests, lookups, checked = [], [], [], 0
    with copy_connection(job, DATABASE, USER) as link:
        for name, part in snapshot.entities.items():
            found = _digest(link, name, part)
            if found.records != part.records or part.counted not in (None, part.records):
                counts.append(f"{name}: {found.records} loaded, {part.records} pulled, "
                              f"{part.counted} counted by the API")  # fmt: skip
            elif found.text() != part.digest:
                digests.append(f"{name} has other contents")
            for line in _lookups(link, snapshot, name, part):
                checked += 1
                lookups += [line] if line else []
    require_alive(job)
    for what, wrong in (("counts", counts), ("digests", digests), ("lookups", lookups)):
        report.check(
            what, not wrong, wanted="as pulled", found=f"{len(wrong)} differ",
            detail="; ".join(wrong[:5]),
        )  # fmt: skip
    report.fact(
        compared=len(snapshot.entities), differing=len({*counts, *digests}), rows=snapshot.records,
        lookups=checked, dangling=sum(sum(e.dangling.values()) for e in snapshot.entities.values()),
    )  # fmt: skip


def _digest(link: Connection, name: str, part: EntityPart) -> Digest:
    digest = Digest(part.fields)
    names = [each.name for each in part.fields]
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    with link.transaction(), link.cursor(name="crmops_digest") as cursor:
        cursor.itersize = _BATCH
        cursor.execute(sql.SQL("select {} from {}").format(columns, sql.Identifier(name)))
        for row in cursor:
            digest.add(dict(zip(names, row, strict=True)))
    return digest


def _lookups(link: Connection, snapshot: Snapshot, name: str, part: EntityPart) -> list[str]:
    """A line a lookup: empty where as many lead nowhere as did in the CRM."""
    lines = []
    for field in part.fields:
        if field.references not in snapshot.entities:
            continue
        names = {"field": field.name, "entity": name, "other": field.references}
        query = sql.SQL(
            "select count(distinct r.{field}) from {entity} r where r.{field} is not null "
            "and not exists (select from {other} o where o.id = r.{field})"
        ).format(**{key: sql.Identifier(each) for key, each in names.items()})
        row = link.execute(query).fetchone()
        found, wanted = (row[0] if row else 0), part.dangling.get(field.name, 0)
        differs = f"{name}.{field.name}: {found} lead nowhere, {wanted} did in the CRM"
        lines.append("" if found == wanted else differs)
    return lines
