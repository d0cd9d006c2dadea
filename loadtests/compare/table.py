"""A comparison as a document and as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from crmops.cli_support import table
from crmops.units import human_seconds
from loadtests.compare.noise import Noise
from loadtests.compare.runs import Load
from loadtests.compare.words import Compared, Difference, Rules, Word, overall


@dataclass(frozen=True, slots=True)
class Comparison:
    """Run B against run A: every operation, the word for the whole, what stood against it."""

    a: Load
    b: Load
    operations: tuple[Compared, ...]
    rules: Rules
    noise: Noise
    obstacles: tuple[str, ...] = ()

    @property
    def word(self) -> Word:
        """The word for the whole."""
        return overall(self.operations, self.rules)[0]

    @property
    def reason(self) -> str:
        """Why it is that word."""
        return overall(self.operations, self.rules)[1]

    def document(self) -> dict[str, Any]:
        """Plain data for ``--json``.  Seconds, and ratios of them."""
        return {
            "a": _head(self.a),
            "b": _head(self.b),
            "word": self.word.value,
            "reason": self.reason,
            "compared_anyway": list(self.obstacles),
            "noise_from_runs": self.noise.runs,
            "rules": {each.name: getattr(self.rules, each.name) for each in fields(self.rules)},
            "operations": [asdict(each) for each in self.operations],
        }

    def table(self) -> object:
        """The numbers for people."""
        rows = [
            (each.operation, number.statistic, number.word, *_cells(number), _samples(each))
            for each in self.operations
            for number in each.differences
            if number.statistic != "failed" or number.before or number.after
        ]
        columns = (
            "operation",
            "number",
            "word",
            "before",
            "after",
            "change",
            "between",
            "apart",
            "samples",
        )
        title = f"{self.b.run.id} against {self.a.run.id}: {self.word}; {self.reason}"
        return table(title, columns, rows)


def _head(load: Load) -> dict[str, Any]:
    run = load.run
    return {
        "id": run.id,
        "target": run.target,
        "subject": run.subject,
        "begun": run.begun.isoformat(),
        "verdict": run.verdict.value,
        "config_digest": run.config_digest,
        "tool_versions": run.tool_versions,
    }


def _cells(number: Difference) -> tuple[str, str, str, str, str]:
    if number.statistic == "failed":
        between = f"{_points(number.low)} to {_points(number.high)}"
        before, after = (
            "-" if each is None else f"{each:.2%}" for each in (number.before, number.after)
        )
        change = _points(number.difference)
    else:
        between = f"{_signed(number.low)} to {_signed(number.high)}"
        before, after = (
            "-" if each is None else human_seconds(each) for each in (number.before, number.after)
        )
        change = _signed(number.difference)
        if number.ratio is not None:
            change = f"{change} ({number.ratio - 1:+.0%})"
    apart = "-" if number.apart is None else f"{number.apart - 1:+.0%}"
    return before, after, change, "-" if number.low is None else between, apart


def _signed(value: float | None) -> str:
    if value is None:
        return "-"
    text = f"{abs(value) * 1000:.1f} ms" if abs(value) < 0.1 else human_seconds(abs(value))
    return f"{'-' if value < 0 else '+'}{text}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:+.2f} points"


def _samples(compared: Compared) -> str:
    return f"{compared.samples_before:,} / {compared.samples_after:,}"
