"""Precision, recall and F1 of duplicates with the settings as shipped; time and memory.

Public files with known truth (Febrl 1 and 3, Chicago sites) are read from $CRMOPS_DATA, else from
../shared/data; where they are absent this is said and their targets are not met.  The labelled
sets of our own hold hard negatives: group and subsidiary, branch, switchboard, father and son,
namesakes.  Every file goes in as a person would give it, without its truth.  Each run is a process
of its own, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

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
SPEED_KIND = "contact-chinese"

Pair = tuple[int, int]


def child(path: str) -> None:
    """Find duplicates in a file; prints what was found and what it took, helpers included."""
    from dq_checks.duplicates.find import Wanted, find_duplicates
    from dq_checks.duplicates.helpers import HELPERS

    began = time.perf_counter()
    found = find_duplicates(Wanted(Path(path)))
    took = time.perf_counter() - began
    ours = resource.getrusage(resource.RUSAGE_SELF)
    helpers = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = sum(each.ru_utime + each.ru_stime for each in (ours, helpers))
    megabytes = (ours.ru_maxrss + HELPERS * helpers.ru_maxrss) / 1024
    answer = {
        "settings": found.model.name,
        "rows": found.rows,
        "candidates": found.candidates,
        "seconds": round(took, 2),
        "cpu": round(spent, 2),
        "megabytes": round(megabytes),
        "pairs": [[a, b] for a, b, p in found.pairs if p >= found.threshold],
        "clusters": [list(each) for each in found.clusters],
    }
    sys.stdout.write(json.dumps(answer))


def measure(path: Path) -> dict[str, Any]:
    """Run a file in a process of its own."""
    command = [sys.executable, __file__, "--child", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def score(found: set[Pair], true: set[Pair]) -> tuple[float, float, float]:
    """Precision, recall, F1."""
    hits = len(found & true)
    f1 = 2 * hits / max(len(found) + len(true), 1)
    return hits / max(len(found), 1), hits / max(len(true), 1), f1


def show(name: str, answer: dict[str, Any], true: set[Pair]) -> dict[str, float]:
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


def public(ratios: dict[str, float], targets: dict[str, float]) -> None:
    """The public files."""
    folder = Path(os.environ.get("CRMOPS_DATA", ROOT.parent / "shared" / "data"))
    for name, (file, least) in PUBLIC.items():
        targets[f"{name}.clusters"] = least
        if name != "chicago":
            targets[f"{name}.pairs"] = least
        if not (folder / file).exists():
            print(f"!!! {file} IS NOT THERE: {name} is not measured; set CRMOPS_DATA")
            continue
        got = show(name, measure(folder / file), truth_of(folder / file))
        ratios[f"{name}.clusters"], ratios[f"{name}.pairs"] = got["clusters"], got["pairs"]


def own(rows: int, place: Path, ratios: dict[str, float], targets: dict[str, float]) -> None:
    """The labelled sets, of a seed that no training has seen."""
    from dq_checks.duplicates.truth import labelled

    for name, (f1, precision) in OWN.items():
        made = labelled(name, rows, OWN_SEED)
        made.write(place / f"{name}.csv")
        got = show(name, measure(place / f"{name}.csv"), made.pairs())
        ratios[f"{name}.clusters"], targets[f"{name}.clusters"] = got["clusters"], f1
        ratios[f"{name}.precision"], targets[f"{name}.precision"] = got["precision"], precision


def speed(
    sizes: Sequence[int], place: Path, ratios: dict[str, float], targets: dict[str, float]
) -> None:
    """Time and memory as the rows grow; linear: seconds a row of the largest over the smallest."""
    from dq_checks.duplicates.truth import labelled

    per_row = []
    for rows in sizes:
        path = place / "speed.csv"
        made = labelled(SPEED_KIND, rows, OWN_SEED + 1)
        made.write(path)
        true = made.pairs()
        del made
        answer = measure(path)
        show(f"{rows:,}", answer, true)
        per_row.append(float(answer["cpu"]) / rows)
        if rows == 1_000_000:
            ratios["million.seconds"], targets["million.seconds"] = answer["seconds"], SECONDS
            ratios["million.megabytes"], targets["million.megabytes"] = answer["megabytes"], MEMORY
    if len(per_row) > 1:
        ratios["linear"], targets["linear"] = round(per_row[-1] / per_row[0], 3), LINEAR


def normaliser(rows: int, ratios: dict[str, float], targets: dict[str, float]) -> None:
    """Seconds for normalising a million contacts."""
    from dq_checks.duplicates.columns import texts
    from dq_checks.duplicates.prepare import prepare
    from dq_checks.duplicates.truth import labelled

    made = labelled(SPEED_KIND, rows, 7).rows
    fields = {"name": "姓名", "company": "公司", "mobile": "手机", "phone": "电话", "email": "邮箱",
              "city": "城市", "address": "地址"}  # fmt: skip
    block = {field: texts([row[head] for row in made]) for field, head in fields.items()}
    prepare(
        {"name": texts(["張伟"]), "company": texts(["华信"])}, "contact", "chinese"
    )  # what is loaded once
    spent = time.process_time()
    prepare(block, "contact", "chinese")
    million = (time.process_time() - spent) * 1e6 / len(made)
    print(f"normalising a million contacts, seven columns: {million:.1f} s CPU", flush=True)
    ratios["normalise.seconds"], targets["normalise.seconds"] = round(million, 2), 8.0


def met(ratios: dict[str, float], targets: dict[str, float]) -> bool:
    """Whether every target was measured and reached."""
    most = ("seconds", "megabytes", "linear")
    return all(
        name in ratios and (ratios[name] <= limit if name.endswith(most) else ratios[name] >= limit)
        for name, limit in targets.items()
    )


def main() -> int:
    """Measure everything, or the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=OWN_ROWS, help="of each labelled set")
    parser.add_argument(
        "--sizes", default="100000,1000000", help="rows for speed; 3000000 takes minutes; '' none"
    )
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return 0
    ratios: dict[str, float] = {}
    targets: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-duplicates-") as folder:
        public(ratios, targets)
        own(options.rows, Path(folder), ratios, targets)
        normaliser(100_000, ratios, targets)
        sizes = [int(each) for each in options.sizes.split(",") if each]
        if sizes:
            speed(sizes, Path(folder), ratios, targets)
    reached = met(ratios, targets)
    result = {name: round(value, 4) for name, value in ratios.items()}
    print(json.dumps({"bench": "duplicates", "ratios": result, "targets": targets, "met": reached}))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
