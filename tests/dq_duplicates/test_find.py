"""The shipped settings against known truth: our labelled sets, and public files when present."""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import pytest

from dq_checks.duplicates.find import Found, Wanted, find_duplicates
from dq_checks.duplicates.truth import MAKERS, labelled

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("CRMOPS_DATA", ROOT.parent / "shared" / "data"))
Pairs = set[tuple[int, int]]


def _of_clusters(found: Found) -> Pairs:
    return {pair for each in found.clusters for pair in combinations(each, 2)}


def _of_pairs(found: Found) -> Pairs:
    return {(a, b) for a, b, p in found.pairs if p >= found.threshold}


def _precision(found: Pairs, true: Pairs) -> float:
    return len(found & true) / max(len(found), 1)


def _f1(found: Pairs, true: Pairs) -> float:
    return 2 * len(found & true) / max(len(found) + len(true), 1)


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_labelled_set_with_hard_negatives(kind: str, tmp_path: Path) -> None:
    made = labelled(kind, 4000, 77)
    made.write(tmp_path / "set.csv")
    found = find_duplicates(Wanted(tmp_path / "set.csv"))
    assert found.model.name == kind
    assert found.rows == len(made.rows)
    true = made.pairs()
    assert _f1(_of_clusters(found), true) >= 0.94
    assert _precision(_of_clusters(found), true) >= 0.975
    assert found.candidates <= sum(each.pairs for each in found.costs) <= 40 * found.rows


def test_the_same_file_gives_the_same_answer_in_any_order(tmp_path: Path) -> None:
    made = labelled("contact-chinese", 1500, 5)
    made.write(tmp_path / "a.csv")
    first = find_duplicates(Wanted(tmp_path / "a.csv"))
    again = find_duplicates(Wanted(tmp_path / "a.csv"))
    assert (first.pairs, first.clusters) == (again.pairs, again.clusters)
    made.rows.reverse()
    made.write(tmp_path / "b.csv")
    turned = find_duplicates(Wanted(tmp_path / "b.csv"))
    size = len(made.rows) + 1
    assert {tuple(sorted(size - row for row in each)) for each in turned.clusters} == {
        tuple(each) for each in first.clusters
    }


@pytest.mark.parametrize(
    ("file", "pairs", "clusters"),
    [
        ("febrl1.csv", 0.995, 0.995),
        ("febrl3.csv", 0.995, 0.995),
        ("chicago_sites_with_true_ids.csv", 0.90, 0.90),
    ],
)
def test_public_file_as_it_is(file: str, pairs: float, clusters: float) -> None:
    path = DATA / file
    if not path.exists():
        pytest.skip(f"{file} is not beside the project")
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, skipinitialspace=True))
    members = defaultdict(list)
    for number, row in enumerate(rows, 1):
        key = row.get("True Id") or re.sub(r"^(rec-\d+)-.*$", r"\1", row["rec_id"])
        members[key].append(number)
    true = {pair for each in members.values() for pair in combinations(each, 2)}
    found = find_duplicates(Wanted(path))
    assert not {"True Id", "rec_id"} & set(found.columns.by_field().values())
    assert _f1(_of_pairs(found), true) >= pairs
    assert _f1(_of_clusters(found), true) >= clusters


def test_letters_of_two_bytes_are_compared_with_letters_of_one(tmp_path: Path) -> None:
    """As many letters, but not as many bytes: DuckDB's hamming refuses such a pair."""
    path = tmp_path / "a.csv"
    path.write_text(
        "given name,surname,email,city\nBjørn,Nygård,bn@nord.no,Oslo\n"
        "Bjorn,Nygård,bn@nord.no,Oslo\n"
        "Søren,Kiær,sk@nord.no,Århus\nSoren,Kiaer,sk@nord.no,Århus\n",
        encoding="utf-8",
    )
    found = find_duplicates(Wanted(path))
    assert [list(each) for each in found.clusters] == [[1, 2], [3, 4]]
