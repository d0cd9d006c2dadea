"""Worklists to hand out: a person's records with links into the CRM, as CSV or XLSX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from crmops.errors import CannotRun, UsageError
from crmops.history import History
from crmops.record import Run
from dq_checks import decisions
from dq_checks.decisions import Decision
from dq_checks.suite import Suite
from dq_checks.worklist import neutral

COLUMNS = (
    "suite", "rule", "what", "record", "record_owner", "rule_owner", "link", "minutes",
    *decisions.COLUMNS, "before",
)  # fmt: skip
WIDTHS = (12, 30, 48, 14, 14, 20, 48, 10, 14, 40, 16, 40)


@dataclass(frozen=True)
class Task:
    """One record that breaks one rule."""

    suite: str
    rule: str
    what: str
    record: str
    record_owner: str
    rule_owner: str
    link: str
    minutes: float
    before: str = ""

    @property
    def cells(self) -> tuple[str | float, ...]:
        """In the order of COLUMNS."""
        return (
            self.suite, self.rule, self.what, self.record, self.record_owner, self.rule_owner,
            self.link, self.minutes, "", "", "", self.before,
        )  # fmt: skip


def tasks(
    run: Run, suite: Suite, history: History, *, link: str, minutes: float, owner: str = ""
) -> list[Task]:
    """The tasks of an audit, by owner and rule; only an owner's when one is given.

    ``link`` is an address with ``{entity}``, ``{table}`` and ``{id}`` in it, or empty.  Raises
    UsageError if the audit kept no worklist.
    """
    kept = next((each for each in run.evidence if each.path.endswith("/worklist.csv")), None)
    if kept is None:
        raise UsageError(
            f"the audit of {run.subject} kept no worklist",
            hint="Set dq.worklist to failed or all and audit again.",
        )
    titles = {each.id: each.title for each in suite.rules}
    lines = csv.DictReader(io.StringIO(history.files.path(kept).read_text(encoding="utf-8")))
    found = [
        Task(
            suite=each["suite"],
            rule=each["rule"],
            what=titles.get(each["rule"], each["rule"]),
            record=each["record"],
            record_owner=each["record_owner"],
            rule_owner=each["rule_owner"],
            link=_link(link, suite, each["record"]),
            minutes=minutes,
        )
        for each in lines
        if not owner or owner in (each["record_owner"], each["rule_owner"])
    ]
    return sorted(found, key=lambda each: (each.record_owner, each.rule))


def undecided(found: Sequence[Task], run: Run, kept: Sequence[Decision]) -> tuple[list[Task], int]:
    """The tasks that are still to be done, and the number of those that are not.

    What shall not be mended, or is good in truth, is not asked again; what was mended before the
    audit and found bad all the same comes back with a note.
    """
    known = {each.about: each for each in kept}
    left = []
    for each in found:
        said = known.get((run.target, each.suite, each.rule, decisions.bare(each.record)))
        if said is None:
            left.append(each)
        elif said.decision == "fixed" and said.at < run.begun:
            text = f"said to be fixed on {said.at:%Y-%m-%d}"
            left.append(replace(each, before=f"{text} by {said.by}" if said.by else text))
    return left, len(found) - len(left)


def write(path: Path, found: Sequence[Task]) -> None:
    """Write tasks to a ``.csv`` or ``.xlsx`` file.  Raises UsageError for another kind of file,
    CannotRun when it cannot be written."""
    writers = {".csv": _csv, ".xlsx": _xlsx}
    if path.suffix.lower() not in writers:
        raise UsageError(f"{path} is neither CSV nor XLSX", hint="Name it .csv or .xlsx.")
    try:
        writers[path.suffix.lower()](path, found)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CannotRun(f"{path} cannot be written: {reason}", hint="Name another place.") from None


def _link(pattern: str, suite: Suite, record: str) -> str:
    """The record's address; the key is quoted, so that it cannot lead elsewhere."""
    if not pattern:
        return ""
    values = {"{entity}": suite.entity, "{table}": suite.table, "{id}": record.removeprefix("'")}
    for name, value in values.items():
        pattern = pattern.replace(name, quote(value, safe=""))
    return pattern


def _csv(path: Path, found: Sequence[Task]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        writer.writerows(
            [neutral(cell) if isinstance(cell, str) else cell for cell in each.cells]
            for each in found
        )


def _xlsx(path: Path, found: Sequence[Task]) -> None:
    import xlsxwriter
    from xlsxwriter.exceptions import FileCreateError

    # texts stay texts: nothing is taken for a formula, a number or a link
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(str(path), options)
    sheet = book.add_worksheet("worklist")
    bold = book.add_format({"bold": True})
    for at, (name, width) in enumerate(zip(COLUMNS, WIDTHS, strict=True)):
        sheet.set_column(at, at, width)
        sheet.write_string(0, at, name, bold)
    for row, each in enumerate(found, 1):
        for at, cell in enumerate(each.cells):
            _put(sheet, row, at, cell)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(len(found), 1), len(COLUMNS) - 1)
    try:
        book.close()
    except FileCreateError as error:
        raise OSError(0, str(error)) from error


def _put(sheet: object, row: int, at: int, cell: str | float) -> None:
    name = "write_string" if isinstance(cell, str) else "write_number"
    if COLUMNS[at] == "link" and isinstance(cell, str) and cell.startswith(("http://", "https://")):
        name = "write_url"
    getattr(sheet, name)(row, at, cell)
