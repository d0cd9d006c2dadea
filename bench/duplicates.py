"""Precision, recall and F1 of duplicates with the settings as shipped; time and memory.

Public files with known truth (Febrl 1 and 3, Chicago sites) are read from $CRMOPS_DATA, else from
../shared/data; where they are absent this is said and their targets are not met.  The labelled
sets of our own hold hard negatives: group and subsidiary, branch, switchboard, father and son,
namesakes.  Every file goes in as a person would give it, without its truth.  Each run is a process
of its own, so that its memory is its own.  Then a thousand new records are compared with a million
kept ones, and a form asks crmops serve about single ones.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench._duplicates_tools import (
    ROOT,
    LargeSet,
    child,
    measure,
    score,
    serving,
    show,
    truth_of,
    write_large,
    write_rows,
)

PUBLIC = {
    "febrl1": ("febrl1.csv", 0.995),
    "febrl3": ("febrl3.csv", 0.995),
    "chicago": ("chicago_sites_with_true_ids.csv", 0.90),
}
OWN = {
    "contact-chinese": (0.95, 0.98),
    "account-chinese": (0.95, 0.98),
    "contact-latin": (0.95, 0.98),
    "account-latin": (0.90, 0.98),
}
"""Least F1 and least precision, of clusters."""

OWN_ROWS, OWN_SEED = 20_000, 404
SECONDS, MEMORY, LINEAR = 30.0, 3000.0, 1.2
NORMALISE_SECONDS, KNOWN_SECONDS, ENTRY_SECONDS = 8.0, 1.0, 0.05
SPEED_KIND = "contact-chinese"
MILLION, NEW, QUESTIONS = 1_000_000, 1_000, 500


class Figures:
    """What was measured and what it must be: at most for costs, at least for the rest."""

    def __init__(self) -> None:
        self.ratios: dict[str, float] = {}
        self.targets: dict[str, float] = {}

    def wanted(self, name: str, target: float, value: float | None = None) -> None:
        """A target, and what was measured if it was."""
        self.targets[name] = target
        if value is not None:
            self.ratios[name] = round(value, 4)

    def met(self) -> bool:
        """Whether every target was measured and reached."""
        most = ("seconds", "megabytes", "linear")
        return all(
            name in self.ratios
            and (self.ratios[name] <= limit if name.endswith(most) else self.ratios[name] >= limit)
            for name, limit in self.targets.items()
        )


def public(figures: Figures) -> None:
    """The public files."""
    folder = Path(os.environ.get("CRMOPS_DATA", ROOT.parent / "shared" / "data"))
    for name, (file, least) in PUBLIC.items():
        got: dict[str, float] = {}
        if (folder / file).exists():
            got = show(name, measure(folder / file), truth_of(folder / file))
        else:
            print(f"!!! {file} IS NOT THERE: {name} is not measured; set CRMOPS_DATA")
        figures.wanted(f"{name}.clusters", least, got.get("clusters"))
        if name != "chicago":
            figures.wanted(f"{name}.pairs", least, got.get("pairs"))


def own(rows: int, place: Path, figures: Figures) -> None:
    """The labelled sets, of a seed that no training has seen."""
    from dq_checks.duplicates.truth import labelled

    for name, (f1, precision) in OWN.items():
        made = labelled(name, rows, OWN_SEED)
        made.write(place / f"{name}.csv")
        got = show(name, measure(place / f"{name}.csv"), made.pairs())
        figures.wanted(f"{name}.clusters", f1, got["clusters"])
        figures.wanted(f"{name}.precision", precision, got["precision"])


def speed(sizes: Sequence[int], place: Path, figures: Figures) -> None:
    """Time and memory as the rows grow; linear: CPU a row of the largest over the smallest."""
    per_row = []
    for rows in sizes:
        path = place / "speed.csv"
        made = write_large(SPEED_KIND, rows, OWN_SEED + 1, path, NEW if rows == MILLION else 0)
        if rows == MILLION:
            normaliser(path, figures)
        answer = measure(path)
        show(f"{rows:,}", answer, made.inside())
        per_row.append(float(answer["cpu"]) / rows)
        if rows == MILLION:
            figures.wanted("million.seconds", SECONDS, answer["seconds"])
            figures.wanted("million.megabytes", MEMORY, answer["megabytes"])
            known(path, made, place, figures)
    if len(per_row) > 1:
        said = ", ".join(f"{1e6 * each:.1f} s" for each in per_row)
        print(f"CPU of a million rows, from {sizes[0]:,} to {sizes[-1]:,}: {said}", flush=True)
        figures.wanted("linear", LINEAR, per_row[-1] / per_row[0])


def normaliser(path: Path, figures: Figures) -> None:
    """Seconds for reading and normalising a million contacts, by as many helpers as a run has."""
    from functools import partial

    from crmops.tables import read_headings, rows_of
    from dq_checks.duplicates.fields import map_columns
    from dq_checks.duplicates.find import prepared
    from dq_checks.duplicates.helpers import in_order
    from dq_checks.duplicates.reading import pieces, read_piece

    heads = read_headings(path, rows_of(path, "utf-8"))
    columns = map_columns(path, heads, "contact", ())
    read = partial(read_piece, columns=columns)
    work = partial(prepared, read=read, entity="contact", script="chinese")
    began, before = time.perf_counter(), _spent()
    for _ in in_order(work, pieces(path, "utf-8")):
        pass
    took, spent = time.perf_counter() - began, _spent() - before
    print(f"normalising a million contacts: {took:.1f} s, {spent:.1f} s CPU", flush=True)
    figures.wanted("normalise.seconds", NORMALISE_SECONDS, took)


def _spent() -> float:
    """CPU seconds of this process and of those that it has started and seen end."""
    return sum(os.times()[:4])


def known(path: Path, made: LargeSet, place: Path, figures: Figures) -> None:
    """A thousand new records against a million kept ones, then one at a time by HTTP."""
    from dq_checks.duplicates.against import compare
    from dq_checks.duplicates.find import Wanted
    from dq_checks.duplicates.known import Known

    store = place / ".crmops" / "duplicates" / "contacts"
    store.parent.mkdir(parents=True, exist_ok=True)
    measure(path, store)
    write_rows(made.held_back, place / "new.csv")
    compare(Wanted(place / "new.csv"), Known(store))  # what is loaded once
    began, spent = time.perf_counter(), time.process_time()
    found = compare(Wanted(place / "new.csv"), Known(store))
    took, spent = time.perf_counter() - began, time.process_time() - spent
    precision, recall, f1 = score({(a.other, a.new) for a in found.pairs}, made.with_new())
    print(
        f"{NEW:,} new records against {made.rows:,}: {took:.2f} s, {spent:.2f} s CPU,"
        f" {found.matches.candidates:,} pairs compared,"
        f" P {precision:.4f} R {recall:.4f} F1 {f1:.4f}",
        flush=True,
    )
    figures.wanted("against.seconds", KNOWN_SECONDS, took)
    entry(place, made, figures)


def entry(place: Path, made: LargeSet, figures: Figures) -> None:
    """How long a form waits for its answer."""
    import httpx

    place.chmod(0o755)  # as root the server is another user
    took: list[float] = []
    words: dict[str, int] = {}
    with serving(place) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        for row in [*made.held_back[:20], *made.held_back[:QUESTIONS]]:
            began = time.perf_counter()
            question = {"entity": "contact", "record": dict(row)}
            reply = http.post("/api/v1/duplicates/check", json=question)
            took.append(time.perf_counter() - began)
            word = str(reply.raise_for_status().json()["answer"])
            words[word] = words.get(word, 0) + 1
    ranked = sorted(took[20:])
    p50, p95 = ranked[len(ranked) // 2], ranked[int(0.95 * len(ranked))]
    told = ", ".join(f"{number} {word}" for word, number in sorted(words.items()))
    print(
        f"at entry, {len(ranked)} records by HTTP against {made.rows:,}:"
        f" p50 {1000 * p50:.0f} ms, p95 {1000 * p95:.0f} ms ({told})",
        flush=True,
    )
    figures.wanted("entry.p95.seconds", ENTRY_SECONDS, p95)


def main() -> int:
    """Measure everything, or the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--keep", default="", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=OWN_ROWS, help="of each labelled set")
    parser.add_argument(
        "--sizes", default="100000,1000000,3000000", help="rows for speed; '' measures none"
    )
    options = parser.parse_args()
    if options.child:
        child(options.child, options.keep)
        return 0
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="bench-duplicates-") as folder:
        public(figures)
        own(options.rows, Path(folder), figures)
        speed([int(each) for each in options.sizes.split(",") if each], Path(folder), figures)
    reached = figures.met()
    result: dict[str, Any] = {"ratios": figures.ratios, "targets": figures.targets}
    print(json.dumps({"bench": "duplicates", **result, "met": reached}))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
