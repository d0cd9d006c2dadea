"""Matching two systems: a full outer join on the business key, classes by what is found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from dq_checks.migration.compare import both
from dq_checks.migration.compile import (
    Compiled,
    parse_serial,
    serial,
    source_field,
    target_field,
)
from dq_checks.migration.dialect import literal
from dq_checks.migration.digest import View
from dq_checks.migration.plan import FieldSettings, Loaded, Step
from dq_checks.migration.sides import Place, Side, open_side
from dq_checks.reconcile.plan import Agreement, ReconcilePlan

CLASSES = ("lost", "extra", "late", "different", "in flight", "duplicated", "keyless")
"""Every class but agreeing, in the order of the worklist's worth."""

_AMOUNT = "DECIMAL(38, 6)"


@dataclass(frozen=True)
class Item:
    """A line of the worklist: keys and names of fields, no contents."""

    kind: str
    key: tuple[str | None, ...]
    owner: str | None
    fields: tuple[str, ...]


@dataclass
class Matched:
    """What came of a match.  Counts are exact; ``items`` may be shortened."""

    crm: int = 0
    other: int = 0
    agreeing: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    unmapped: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    items: list[Item] = field(default_factory=list)

    @property
    def settled(self) -> int:
        """Keys that a verdict can rest on: all but those that are still on their way."""
        unsettled = ("in flight", "keyless")
        return self.agreeing + sum(n for kind, n in self.counts.items() if kind not in unsettled)


def match(loaded: Loaded[ReconcilePlan], here: Place, now: datetime) -> Matched:
    """Match both systems as of ``now``.  Raises CannotRun or ConfigError."""
    plan = loaded.plan
    sides = (
        open_side(plan.crm, "source", "", here),
        open_side(plan.other, "target", "", here),
    )
    _check(loaded, *sides)
    both([_view(plan, each) for each in sides], lambda view: _load(plan, view))
    made = Matched()
    cursor = here.scratch.database.cursor()
    for statement in _statements(plan, now):
        cursor.execute(statement)
    for name in ("crm", "other"):
        side = "source" if name == "crm" else "target"
        row = cursor.execute(f"SELECT count(*) FROM {side}_rows").fetchone()  # noqa: S608
        setattr(made, name, int(row[0]) if row else 0)
    for kind, number in cursor.execute("SELECT kind, count(*) FROM judged GROUP BY 1").fetchall():
        if kind == "agreeing":
            made.agreeing = int(number)
        else:
            made.counts[kind] = int(number)
    _count_fields(made, plan, here)
    _list(made, plan, here)
    for each in sides:
        each.settle()
    return made


def _check(loaded: Loaded[ReconcilePlan], crm: Side, other: Side) -> None:
    """Raises ConfigError, to the line, for a column that is not there."""
    plan = loaded.plan
    wanted: list[tuple[tuple[str | int, ...], Side, str, str]] = []
    for at, key in enumerate(plan.key):
        for each in key.sources:
            wanted.append((("key", at, "from" if key.column else "name"), crm, "crm", each))
        wanted.append((("key", at, "name"), other, "other", key.name))
    for at, agreed in enumerate(plan.agree):
        wanted.append((("agree", at, "crm"), crm, "crm", agreed.crm))
        wanted.append((("agree", at, "other"), other, "other", agreed.other))
    for name, side, column in (
        ("crm", crm, plan.crm.moment),
        ("other", other, plan.other.moment),
    ):
        if column:
            wanted.append(((name, "moment"), side, name, column))
    if plan.owner:
        wanted.append((("owner",), crm, "crm", plan.owner))
    for where, side, name, column in wanted:
        if column not in side.columns:
            raise loaded.no_column(where, name, column, [*side.columns])


def _view(plan: ReconcilePlan, side: Side) -> View:
    compiled = source_field if side.label == "source" else target_field
    key = tuple(compiled(each, side.columns, side.dialect) for each in plan.key)
    return View(side, key, tuple(_agreed(each, side) for each in plan.agree))


def _agreed(agreed: Agreement, side: Side) -> Compiled:
    ours = side.label == "source"
    steps = agreed.steps if ours else agreed.other_steps
    if ours and agreed.map:
        steps = (*steps, Step(map=dict(agreed.map)))
    settings = FieldSettings(
        name=agreed.crm if ours else agreed.other,
        type="decimal" if agreed.type == "amount" else "text",
        target_steps=steps,
    )
    return target_field(settings, side.columns, side.dialect)


def _load(plan: ReconcilePlan, view: View) -> None:
    """Key, agreed values, moment and owner of every record, into the scratch database."""
    side = view.side
    empty = " AND ".join(f"coalesce({each.canonical}, '') = ''" for each in view.key)
    parts = [f"CASE WHEN NOT ({empty}) THEN {serial(view.key, side.dialect)} END AS k"]
    columns = {"k": "VARCHAR"}
    for at, each in enumerate(view.fields):
        parts += [
            f"{each.canonical} AS f{at}",
            f"CASE WHEN {each.unmapped or 'false'} THEN 1 END AS u{at}",
        ]
        columns |= {f"f{at}": "VARCHAR", f"u{at}": "INTEGER"}
    system = plan.crm if side.label == "source" else plan.other
    parts.append(f"{_moment(system.moment, side)} AS m")
    owner = plan.owner if side.label == "source" else None
    parts.append(f"{_text(owner, side)} AS o")
    columns |= {"m": "VARCHAR", "o": "VARCHAR"}
    side.into(f"{side.label}_rows", view.select(", ".join(parts)), columns)


def _moment(column: str | None, side: Side) -> str:
    if column is None:
        return "CAST(NULL AS VARCHAR)"
    settings = FieldSettings(name=column, type="timestamp")
    return target_field(settings, side.columns, side.dialect).canonical


def _text(column: str | None, side: Side) -> str:
    if column is None:
        return "CAST(NULL AS VARCHAR)"
    return target_field(FieldSettings(name=column), side.columns, side.dialect).canonical


def _statements(plan: ReconcilePlan, now: datetime) -> list[str]:
    """Join, then judge each key.  A key that occurs twice in a system is a class of its own."""
    fields = "".join(f", any_value(f{at}) AS f{at}" for at in range(len(plan.agree)))
    grouped = [
        f"CREATE TABLE {side}_keys AS SELECT k, count(*) AS n{fields}, "  # noqa: S608
        "max(TRY_CAST(m AS TIMESTAMP)) AS m, any_value(o) AS o "
        f"FROM {side}_rows WHERE k IS NOT NULL GROUP BY k"
        for side in ("source", "target")
    ]
    differs = [f"{_differs(each, at)} AS d{at}" for at, each in enumerate(plan.agree)]
    joined = (
        "CREATE TABLE joined AS SELECT coalesce(s.k, t.k) AS k, coalesce(s.n, 0) AS sn, "  # noqa: S608
        "coalesce(t.n, 0) AS tn, s.o AS o, greatest(coalesce(s.m, t.m), coalesce(t.m, s.m)) AS m"
        f"{''.join(f', {each}' for each in differs)} "
        "FROM source_keys AS s FULL JOIN target_keys AS t USING (k)"
    )
    return [*grouped, joined, _judged(plan, now)]


def _differs(agreed: Agreement, at: int) -> str:
    ours, theirs = f"s.f{at}", f"t.f{at}"
    if agreed.type == "text":
        return f"{ours} IS DISTINCT FROM {theirs}"
    one, other = (f"TRY_CAST({each} AS {_AMOUNT})" for each in (ours, theirs))
    within = (
        f"abs({one} - {other}) <= greatest(CAST({agreed.absolute!r} AS DOUBLE), "
        f"{agreed.relative!r} * greatest(abs({one}), abs({other})))"
    )
    # an amount that cannot be read, or stands on one side only, never agrees with a number
    return f"NOT coalesce({within}, {ours} IS NOT DISTINCT FROM {theirs})"


def _judged(plan: ReconcilePlan, now: datetime) -> str:
    differs = " OR ".join(f"d{at}" for at in range(len(plan.agree))) or "false"
    # a moment in the future is a wrong clock or a due date: it must not excuse a lost record
    age = f"abs(epoch(TIMESTAMP {literal(now.strftime('%Y-%m-%d %H:%M:%S'))}) - epoch(m))"
    return (
        "CREATE TABLE judged AS SELECT *, CASE "  # noqa: S608
        "WHEN sn > 1 OR tn > 1 THEN 'duplicated' "
        f"WHEN sn = 1 AND tn = 1 AND NOT ({differs}) THEN 'agreeing' "
        f"WHEN {age} < {plan.in_flight!r} THEN 'in flight' "
        f"WHEN {age} < {plan.late!r} THEN 'late' "
        "WHEN tn = 0 THEN 'lost' WHEN sn = 0 THEN 'extra' ELSE 'different' END AS kind FROM joined"
    )


def _count_fields(made: Matched, plan: ReconcilePlan, here: Place) -> None:
    cursor = here.scratch.database.cursor()
    for at, each in enumerate(plan.agree):
        for name, query in (
            ("fields", f"SELECT count(*) FROM judged WHERE kind = 'different' AND d{at}"),  # noqa: S608
            ("unmapped", f"SELECT count(u{at}) FROM source_rows"),  # noqa: S608
        ):
            row = cursor.execute(query).fetchone()
            getattr(made, name)[each.name] = int(row[0]) if row else 0
        if each.type == "amount":
            bad = f"SELECT count(*) FROM {{}}_rows WHERE f{at} LIKE '!%'"  # noqa: S608
            rows = [cursor.execute(bad.format(side)).fetchone() for side in ("source", "target")]
            made.unreadable[each.name] = sum(int(row[0]) for row in rows if row)
    for side in ("source", "target"):
        row = cursor.execute(f"SELECT count(*) FROM {side}_rows WHERE k IS NULL").fetchone()  # noqa: S608
        made.counts["keyless"] += int(row[0]) if row else 0


def _list(made: Matched, plan: ReconcilePlan, here: Place) -> None:
    cursor = here.scratch.database.cursor()
    flags = "".join(f", d{at}" for at in range(len(plan.agree)))
    order = ", ".join(literal(each) for each in CLASSES)
    cursor.execute(
        f"SELECT kind, k, o, sn = 1 AND tn = 1{flags} FROM judged WHERE kind <> 'agreeing' "  # noqa: S608
        f"ORDER BY list_position([{order}], kind), o, k LIMIT ?",
        [plan.listed],
    )
    kinds = [each.type for each in plan.key]
    for kind, key, owner, paired, *differs in cursor.fetchall():
        named = zip(plan.agree, differs, strict=True)
        fields = tuple(each.name for each, flag in named if flag and paired)
        made.items.append(Item(kind, parse_serial(key, kinds), owner, fields))
