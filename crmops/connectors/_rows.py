"""Rows on their way to a bulk import and back: batches, CSV, and the sum of several reports."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from crmops.connectors.base import ImportReport
from crmops.outcome import CallFailed, Outcome
from crmops.wire import Order, Reply

Row: TypeAlias = Mapping[str, Any]
Send: TypeAlias = Generator[Order, Reply | None, ImportReport]


def batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """The rows in lists of at most ``size``, read as they are needed."""
    source = iter(rows)
    while batch := list(itertools.islice(source, size)):
        yield batch


def to_csv(rows: Iterable[Row]) -> bytes:
    """UTF-8 CSV with a header of every field that any row has; None is an empty cell."""
    rows = list(rows)
    header = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, header, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def count_csv(body: bytes) -> int:
    """The number of data rows of a CSV file, quoted line breaks understood."""
    rows = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""))
    return max(0, sum(1 for row in rows if row) - 1)


def count_lines(body: bytes) -> int:
    """The number of lines that hold something."""
    return sum(1 for line in body.splitlines() if line.strip())


class ImportSum:
    """Adds up the reports of several batches; row numbers count from the first batch on."""

    def __init__(self) -> None:
        self._rows = 0
        self._imported = 0
        self._ids: list[str] = []
        self._rejected: list[tuple[int, str, str]] = []

    def send(self, batch: list[Row], talk: Send) -> Generator[Order, Reply | None, None]:
        """Carry one batch through.  A failure carries the report so far as its ``details``.

        Raises CallFailed(server) if a row of the batch is neither imported nor rejected.
        """
        try:
            report = yield from talk
            named = report.imported + len({row for row, _, _ in report.rejected})
            if named != len(batch):
                message = f"{len(batch)} rows were sent, {named} accounted for"
                raise CallFailed(Outcome.SERVER, message, code="unaccounted")
        except CallFailed as problem:
            problem.details = self.report()
            raise
        self._imported += report.imported
        self._ids.extend(report.ids)
        self._rejected.extend((row + self._rows, name, why) for row, name, why in report.rejected)
        self._rows += len(batch)

    def report(self) -> ImportReport:
        """The sum so far."""
        return ImportReport(self._imported, tuple(self._ids), tuple(self._rejected))
