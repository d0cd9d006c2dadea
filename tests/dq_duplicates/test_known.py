"""New records against a store of known ones: the pairs that a run over both finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmops.errors import UsageError
from crmops.tables import read_headings, rows_of
from dq_checks.duplicates import known as known_module
from dq_checks.duplicates.blocking import make_pairs, plan_blocking
from dq_checks.duplicates.fields import map_columns
from dq_checks.duplicates.find import Wanted, find_duplicates
from dq_checks.duplicates.known import META, Known, check_place
from dq_checks.duplicates.match import Matcher, Matches
from dq_checks.duplicates.model import load_model
from dq_checks.duplicates.prepare import blocks, prepare
from dq_checks.duplicates.scoring import Scorer
from dq_checks.duplicates.store import Records, scratch
from dq_checks.duplicates.truth import Labelled, labelled

Pairs = dict[tuple[int, int], float]


def _prepared(path: Path, kind: str) -> Any:
    entity, _, script = kind.partition("-")
    rows = rows_of(path)
    columns = map_columns(path, read_headings(path, rows), entity, ())
    (block,) = blocks(path, rows, columns)
    return prepare(block, entity, script)  # type: ignore[arg-type]


def _by_a_full_run(path: Path, kind: str) -> Pairs:
    """What Splink makes of all pairs that share a key."""
    entity, _, script = kind.partition("-")
    model = load_model(kind)
    with scratch() as connection:
        records = Records(connection, (entity, script))  # type: ignore[arg-type]
        records.add(_prepared(path, kind))
        records.finish(model.holders)
        number = make_pairs(connection, plan_blocking(connection, model.keys, records.rows))
        return {(a, b): p for a, b, p in Scorer(connection, model).score("pairs", number)}


def _matches(store: Path, path: Path, kind: str) -> Matches:
    with scratch() as connection:
        return Matcher(connection, Known(store)).match(pa.table(_prepared(path, kind)))


def _split(made: Labelled, cut: int, place: Path, kind: str) -> None:
    """The set, its first rows as a store, and its last rows."""
    made.write(place / "all.csv")
    Labelled(made.rows[:cut], made.who[:cut]).write(place / "first.csv")
    Labelled(made.rows[cut:], made.who[cut:]).write(place / "last.csv")
    entity, _, script = kind.partition("-")
    find_duplicates(
        Wanted(place / "first.csv", entity, script, keep=place / "store")  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("kind", ["contact-chinese", "contact-latin", "account-chinese"])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.02, 0.98))
def test_the_pairs_are_those_of_a_full_run(
    kind: str, seed: int, share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("known")
    made = labelled(kind, 300, seed)
    cut = max(1, int(share * len(made.rows)))
    _split(made, cut, place, kind)
    wanted = {
        pair: p for pair, p in _by_a_full_run(place / "all.csv", kind).items() if pair[1] > cut
    }
    found = _matches(place / "store", place / "last.csv", kind).pairs
    got = {(each.other, each.new): each.probability for each in found}
    assert set(got) == set(wanted)
    assert all(abs(got[pair] - wanted[pair]) < 1e-9 for pair in wanted)


def test_latin_companies_differ_by_their_rare_words_only(tmp_path: Path) -> None:
    kind = "account-latin"
    made = labelled(kind, 3000, 3)
    cut = len(made.rows) - 300
    _split(made, cut, tmp_path, kind)
    full = _by_a_full_run(tmp_path / "all.csv", kind)
    wanted = {pair for pair, p in full.items() if pair[1] > cut and p >= 0.5}
    found = _matches(tmp_path / "store", tmp_path / "last.csv", kind).pairs
    got = {(each.other, each.new) for each in found if each.probability >= 0.5}
    assert len(got & wanted) >= 0.98 * max(len(got), len(wanted))


def test_a_store_keeps_ids_over_many_batches_and_is_only_its_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_module, "BATCH", 7)
    path = tmp_path / "a.csv"
    lines = [f"person {at},p{at}@firm.com, c-{at} " for at in range(1, 61)]
    path.write_text("\n".join(["name,email,Ref", *lines]))
    find_duplicates(Wanted(path, "contact", keep=tmp_path / "store", id_column="Ref"))
    store = Known(tmp_path / "store")
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700
    made = store.records([60, 1, 33])
    assert dict(zip(made["row"].to_pylist(), made["id"].to_pylist(), strict=True)) == {
        1: "c-1", 33: "c-33", 60: "c-60",
    }  # fmt: skip
    find_duplicates(Wanted(path, "contact", keep=tmp_path / "store"))
    again = Known(tmp_path / "store")
    assert again.records([33])["id"].to_pylist() == ["33"]
    assert again.meta.id != store.meta.id
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".store")] == []


def test_a_store_without_records_or_of_another_making(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,email\nAnna Berg,anna@firm.com\n")
    find_duplicates(Wanted(path, "contact", keep=tmp_path / "store"))
    assert _matches(tmp_path / "store", path, "contact-latin").pairs[0].other == 1
    meta = tmp_path / "store" / META
    meta.write_text(meta.read_text().replace("duckdb ", "duckdb 0."))
    with pytest.raises(UsageError, match="was made with other settings or versions"):
        Known(tmp_path / "store")
    meta.write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        Known(tmp_path / "store")
    with pytest.raises(UsageError, match="is no store of known records"):
        Known(tmp_path)
    with pytest.raises(UsageError, match="is there and no store"):
        check_place(tmp_path)
    with pytest.raises(UsageError, match="is no directory"):
        check_place(tmp_path / "no" / "where")
