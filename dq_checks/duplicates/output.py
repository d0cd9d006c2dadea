"""What is written: row numbers, clusters and probabilities; never a value of the file."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crmops.errors import UsageError
from dq_checks.duplicates.find import Found


def clusters_csv(found: Found) -> str:
    """One line a clustered row: ``cluster``, ``row`` (1-based), ``probability``, ``pairs``.

    ``probability``: of the likeliest pair that puts the row there.  ``pairs``: the other rows it
    was found to be the same as, ``row:probability``, likeliest first.
    """
    others: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for left, right, probability in found.pairs:
        if probability >= found.threshold:
            others[left].append((-probability, right))
            others[right].append((-probability, left))
    lines = [("cluster", "row", "probability", "pairs")]
    for number, members in enumerate(found.clusters, 1):
        for row in members:
            by = sorted(others[row])
            probability = -by[0][0] if by else found.threshold
            stands_on = " ".join(f"{other}:{-p:.4f}" for p, other in by)
            lines.append((str(number), str(row), f"{probability:.6f}", stands_on))
    return _csv(lines)


def pairs_csv(found: Found) -> str:
    """One line a pair inside a cluster: ``cluster``, ``row_a`` < ``row_b``, ``probability``."""
    of = {row: number for number, members in enumerate(found.clusters, 1) for row in members}
    lines = [("cluster", "row_a", "row_b", "probability")]
    lines += [(str(of[a]), str(a), str(b), f"{p:.6f}") for a, b, p in found.pairs]
    return _csv(lines)


def _csv(lines: Sequence[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def pairs_path(out: Path) -> Path:
    """Where the pairs go: ``clusters.csv`` -> ``clusters.pairs.csv``."""
    return out.with_name(f"{out.stem}.pairs{out.suffix or '.csv'}")


def write_out(out: Path, found: Found) -> None:
    """Write clusters and pairs.  Raises UsageError."""
    write_files({out: clusters_csv(found), pairs_path(out): pairs_csv(found)})


def write_files(made: Mapping[Path, str]) -> None:
    """Write files, each whole or not at all.  Raises UsageError."""
    for place, text in made.items():
        beside = place.with_name(f".{place.name}.part")
        try:
            beside.write_text(text, encoding="utf-8")
            beside.replace(place)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise UsageError(
                f"{place} cannot be written: {error.strerror}", hint="Give another --out."
            ) from error


def check_out(out: Path) -> None:
    """Refuse a place that cannot be written to before anything is compared."""
    if out.is_dir():
        raise UsageError(f"{out} is a directory", hint="Give the name of a file with --out.")
    if not out.absolute().parent.is_dir():
        raise UsageError(
            f"{out} cannot be written: {out.absolute().parent} is no directory",
            hint="Make it, or give another --out.",
        )


def summary(found: Found) -> dict[str, Any]:
    """What was done and found, without any row."""
    return {
        "schema": 1,
        "settings": found.model.name,
        "threshold": found.threshold,
        "stated": found.model.stated,
        "columns": found.columns.by_field(),
        "columns_left_out": list(found.columns.unused),
        "rows": found.rows,
        "rows_comparable": found.comparable,
        "candidate_pairs": found.candidates,
        "keys": [
            {
                "key": " + ".join(each.key),
                "pairs": each.pairs,
                "cap": each.cap,
                "rows_left_out": each.left_out,
            }
            for each in found.costs
        ],
        "pairs": sum(p >= found.threshold for _, _, p in found.pairs),
        "clusters": len(found.clusters),
        "rows_clustered": found.clustered,
        "rows_surplus": found.surplus,
    }


def summary_json(found: Found) -> str:
    """The summary as text."""
    return json.dumps(summary(found), ensure_ascii=False, indent=1)
