"""What the bench of duplicates measures with: sets with known truth, runs, a server."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

Pair = tuple[int, int]
SET_ROWS = 500_000
"""Rows of a labelled set that are in memory together; larger files hold several sets."""

_CONFIG = (
    "targets: {crm: {connector: refcrm, url: 'http://127.0.0.1:9', username: nobody,"
    " password: 'file:password'}}\n"
)


def child(path: str, keep: str = "") -> None:
    """Find duplicates in a file; prints what was found and what it took, helpers included."""
    from dq_checks.duplicates.find import Wanted, find_duplicates
    from dq_checks.duplicates.helpers import HELPERS

    began = time.perf_counter()
    found = find_duplicates(Wanted(Path(path), keep=Path(keep) if keep else None))
    took = time.perf_counter() - began
    ours = resource.getrusage(resource.RUSAGE_SELF)
    helpers = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = sum(each.ru_utime + each.ru_stime for each in (ours, helpers))
    answer = {
        "settings": found.model.name,
        "rows": found.rows,
        "candidates": found.candidates,
        "seconds": round(took, 2),
        "cpu": round(spent, 2),
        "megabytes": round((ours.ru_maxrss + HELPERS * helpers.ru_maxrss) / 1024),
        "pairs": [[a, b] for a, b, p in found.pairs if p >= found.threshold],
        "clusters": [list(each) for each in found.clusters],
    }
    sys.stdout.write(json.dumps(answer))


def measure(path: Path, keep: Path | None = None) -> dict[str, Any]:
    """Run a file in a process of its own."""
    bench = Path(__file__).with_name("duplicates.py")
    command = [sys.executable, str(bench), "--child", str(path), "--keep", str(keep or "")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def score(found: set[Pair], true: set[Pair]) -> tuple[float, float, float]:
    """Precision, recall, F1."""
    hits = len(found & true)
    f1 = 2 * hits / max(len(found) + len(true), 1)
    return hits / max(len(found), 1), hits / max(len(true), 1), f1


def show(name: str, answer: Mapping[str, Any], true: set[Pair]) -> dict[str, float]:
    """Print the figures of one set; returns them."""
    pairs = score({(a, b) for a, b in answer["pairs"]}, true)
    inside = {pair for each in answer["clusters"] for pair in combinations(each, 2)}
    clusters = score(inside, true)
    print(
        f"{name:16} {answer['rows']:>9,} rows  pairs P {pairs[0]:.4f} R {pairs[1]:.4f}"
        f" F1 {pairs[2]:.4f}  clusters P {clusters[0]:.4f} R {clusters[1]:.4f}"
        f" F1 {clusters[2]:.4f}  {answer['seconds']:6.1f} s {answer['cpu']:6.1f} s CPU"
        f" {answer['megabytes']:5,} MB  {answer['candidates']:,} pairs compared",
        flush=True,
    )
    return {"pairs": pairs[2], "clusters": clusters[2], "precision": clusters[0]}


def truth_of(path: Path) -> set[Pair]:
    """The true pairs of a public file, by its own key."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, skipinitialspace=True))
    members = defaultdict(list)
    for number, row in enumerate(rows, 1):
        key = row.get("True Id") or re.sub(r"^(rec-\d+)-.*$", r"\1", row["rec_id"])
        members[key].append(number)
    return {pair for each in members.values() for pair in combinations(each, 2)}


def write_large(kind: str, rows: int, seed: int, path: Path, held_back: int = 0) -> LargeSet:
    """A labelled file of any size; the last ``held_back`` rows are not written but returned."""
    from dq_checks.duplicates.truth import labelled

    true: set[Pair] = set()
    last: list[dict[str, str]] = []
    written = 0
    with path.open("w", encoding="utf-8", newline="") as out:
        writer: Any = None
        while written < rows:
            wanted = min(SET_ROWS, rows - written)
            ends = written + wanted >= rows
            made = labelled(kind, wanted + (held_back if ends else 0), seed + written)
            if writer is None:
                writer = csv.DictWriter(out, list(made.rows[0]))
                writer.writeheader()
            kept = min(wanted, len(made.rows))
            writer.writerows(made.rows[:kept])
            last = made.rows[kept : kept + held_back]
            true |= {(a + written, b + written) for a, b in made.pairs() if b <= kept + held_back}
            written += kept
    return LargeSet(written, true, last)


class LargeSet:
    """``true``: pairs of rows, those held back numbered after the ``rows`` that were written."""

    def __init__(self, rows: int, true: set[Pair], held_back: Sequence[Mapping[str, str]]) -> None:
        self.rows = rows
        self.true = true
        self.held_back = held_back

    def inside(self) -> set[Pair]:
        """Pairs of rows that were written."""
        return {pair for pair in self.true if pair[1] <= self.rows}

    def with_new(self) -> set[Pair]:
        """Pairs with a row that was held back."""
        return {pair for pair in self.true if pair[1] > self.rows}


def write_rows(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Rows as a file of their own."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@contextlib.contextmanager
def serving(place: Path) -> Iterator[str]:
    """``crmops serve`` over the records kept in ``place``; its address."""
    (place / "password").write_text("nobody's")
    (place / "password").chmod(0o600)
    (place / "crmops.yaml").write_text(_CONFIG)
    ready = place / ".crmops" / "ready.json"
    command = [sys.executable, "-m", "crmops", "--config", str(place / "crmops.yaml"), "serve"]
    options = ["--port", "0", "--no-scheduler", "--ready-file", str(ready)]
    process = subprocess.Popen([*command, *options], cwd=ROOT)
    try:
        until = time.monotonic() + 120
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("crmops serve did not start")
            time.sleep(0.1)
        yield json.loads(ready.read_text())["url"]
    finally:
        process.terminate()
        process.wait()
