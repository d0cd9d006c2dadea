"""What to merge into what: a plan that a person reads before anything is done.

The survivor is the record with the most cells filled, the first of equals; where it has nothing, it
takes over what the most complete of the others has.  A plan names the records and shows each call
as it would be sent.  It holds values of records: only its owner may read it.
"""

from __future__ import annotations

import csv
import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crmops.errors import UsageError
from crmops.tables import read_headings, rows_of
from dq_checks.duplicates.forms import Form, Taken, calls_of, choose_form, is_field, rounds

SCHEMA = 1
_AGAIN = "Write it with crmops dq merges plan."


class TakenOver(BaseModel):
    """A value that the survivor lacks, and whose it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    value: str
    from_: Annotated[str, Field(alias="from")]


class Merge(BaseModel):
    """One line of a plan.  ``calls`` are shown; sending makes them anew and compares."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Annotated[int, Field(alias="schema")]
    form: str
    entity: str
    cluster: int
    probability: float
    survivor: Annotated[str, Field(min_length=1)]
    why: str
    losers: Annotated[tuple[str, ...], Field(min_length=1)]
    takes: tuple[TakenOver, ...]
    calls: tuple[dict[str, str], ...]

    def taken(self) -> list[Taken]:
        """What the survivor takes over."""
        return [Taken(each.field, each.value, each.from_) for each in self.takes]

    def shown(self, form: Form) -> list[dict[str, str]]:
        """The calls as a person sees them."""
        return shown(form, self.entity, self.survivor, self.losers, self.taken())


def shown(
    form: Form, entity: str, survivor: str, losers: Sequence[str], taken: Sequence[Taken]
) -> list[dict[str, str]]:
    """Calls as a person sees them, the token left out."""
    return [
        {"method": call.method, "path": call.path, "body": (call.body or b"").decode()}
        for step in rounds(form, entity, survivor, losers, taken)
        for call in calls_of(form, step)
    ]


def make_plan(
    file: Path, clusters: Path, id_column: str, form_name: str, entity: str, at_least: float = 0.0
) -> list[Merge]:
    """Plan the merging of the clusters of a file that are sure enough.  Raises UsageError."""
    form = choose_form(form_name, entity)
    wanted = _clusters(clusters, at_least)
    rows = rows_of(file)
    heads = read_headings(file, rows)
    if id_column not in heads:
        raise UsageError(
            f"--id {id_column!r}: {file.name} has no such column",
            hint=f"Columns: {', '.join(each for each in heads if each)}.",
        )
    needed = {row for _, members in wanted.values() for row in members}
    cells = {number: row for number, row in enumerate(rows, 1) if number in needed}
    if needed - set(cells):
        raise UsageError(
            f"{clusters.name} names row {min(needed - set(cells))}, {file.name} has none",
            hint="Give the clusters that were found in this file.",
        )
    records = {
        number: {head: cell.strip() for head, cell in zip(heads, row, strict=False)}
        for number, row in cells.items()
    }
    return [
        _merge(form, entity, number, probability, [records[row] for row in members], id_column)
        for number, (probability, members) in sorted(wanted.items())
    ]


def _clusters(path: Path, at_least: float) -> dict[int, tuple[float, list[int]]]:
    """Cluster to its least probability and its rows, in their order."""
    found: dict[int, list[tuple[float, int]]] = defaultdict(list)
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            for line in csv.DictReader(lines):
                found[int(line["cluster"])].append((float(line["probability"]), int(line["row"])))
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path} is no file of clusters",
            hint="Write it with crmops dq duplicates FILE --out CLUSTERS.",
        ) from error
    least = {number: min(each)[0] for number, each in found.items()}
    return {
        number: (least[number], sorted(row for _, row in each))
        for number, each in found.items()
        if least[number] >= at_least and len(each) > 1
    }


def _merge(
    form: Form,
    entity: str,
    cluster: int,
    probability: float,
    records: Sequence[Mapping[str, str]],
    id_column: str,
) -> Merge:
    fields = [each for each in records[0] if each != id_column and is_field(each)]
    ranked = sorted(records, key=lambda each: -_filled(each))
    ids = [each.get(id_column, "") for each in ranked]
    if not all(ids) or len(set(ids)) < len(ids):
        raise UsageError(
            f"records of cluster {cluster} have no {id_column}, or the same one",
            hint="Every record that is merged needs an id of its own; --id names the column.",
        )
    takes = []
    for field in fields:
        giver = next((each for each in ranked if each.get(field)), None)
        if giver is not None and giver is not ranked[0]:
            takes.append(Taken(field, giver[field], giver[id_column]))
    most = f"{_filled(ranked[0])} of {len(ranked[0])} cells are filled"
    alike = _filled(ranked[0]) == _filled(ranked[1])
    return Merge.model_validate({
        "schema": SCHEMA, "form": form.name, "entity": entity, "cluster": cluster,
        "probability": probability, "survivor": ids[0], "losers": ids[1:],
        "why": f"{most}, the first of equals" if alike else f"{most}, the most",
        "takes": [
            {"field": each.field, "value": each.value, "from": each.loser} for each in takes
        ],
        "calls": shown(form, entity, ids[0], ids[1:], takes),
    })  # fmt: skip


def _filled(record: Mapping[str, str]) -> int:
    return sum(bool(each) for each in record.values())


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all.  Raises UsageError."""
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(text)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(
            f"{path} cannot be written: {error.strerror}", hint="Give another --out."
        ) from error


def write_plan(path: Path, merges: Sequence[Merge]) -> None:
    """A plan as one JSON text a line."""
    lines = [each.model_dump(mode="json", by_alias=True) for each in merges]
    write_private(path, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines))


def read_plan(path: Path) -> list[Merge]:
    """A plan, as it was written.  Raises UsageError naming the line; also for one altered."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read", hint=_AGAIN) from error
    made = []
    for number, line in enumerate(lines, 1):
        try:
            merge = Merge.model_validate_json(line)
        except ValidationError as error:
            raise UsageError(f"{path}: line {number} is no merge", hint=_AGAIN) from error
        form = choose_form(merge.form, merge.entity)
        if merge.schema_ != SCHEMA or merge.shown(form) != list(merge.calls):
            raise UsageError(f"{path}: line {number} does not say what would be sent", hint=_AGAIN)
        made.append(merge)
    return made
