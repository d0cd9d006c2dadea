"""Mapping of headings, cost of blocking, splitting of clusters."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmops.errors import UsageError
from crmops.tables import read_headings, rows_of
from dq_checks.duplicates.blocking import budget, make_pairs, plan_blocking
from dq_checks.duplicates.clusters import cluster
from dq_checks.duplicates.fields import map_columns
from dq_checks.duplicates.model import FOLDER, load_model
from dq_checks.duplicates.prepare import COLUMNS
from dq_checks.duplicates.store import scratch

FEBRL = [
    "rec_id", "given_name", "surname", "street_number", "address_1", "address_2", "suburb",
    "postcode", "state", "date_of_birth", "soc_sec_id",
]  # fmt: skip


def test_headings_of_people() -> None:
    found = map_columns(Path("a.csv"), FEBRL, None, ())
    assert found.entity == "contact"
    assert found.by_field() == {
        "given": "given_name", "surname": "surname", "house": "street_number",
        "address": "address_1", "address2": "address_2", "city": "suburb",
        "postcode": "postcode", "region": "state", "birth": "date_of_birth",
        "number": "soc_sec_id",
    }  # fmt: skip
    assert found.unused == ("rec_id",)


def test_headings_of_sites_leave_the_truth_alone() -> None:
    heads = ["True Id", "Id", "Source", "Site name", "Address", "Zip", "Phone", "Website"]
    found = map_columns(Path("a.csv"), heads, None, ())
    assert found.entity == "account"
    assert found.unused == ("True Id", "Id", "Source")


def test_what_is_said_comes_before_what_is_guessed() -> None:
    found = map_columns(Path("a.csv"), ["Name", "Tel"], "contact", ["Tel=mobile", "Name="])
    assert found.by_field() == {"mobile": "Tel"}
    chinese = map_columns(Path("a.csv"), ["姓名", "公司", "手机"], None, ())
    assert (chinese.entity, set(chinese.at)) == ("contact", {"name", "company", "mobile"})


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        (["Names=name"], "--map 'Names=name': a.csv has no column 'Names'"),
        (["Name"], "--map 'Name': a.csv has no column 'Name'"),
        (["Name=uscc"], "--map 'Name=uscc': contact has no field 'uscc'"),
        (["Name=name", "Tel=name"], "--map 'Tel=name': name is already taken from 'Name'"),
    ],
)
def test_a_wrong_map_is_refused(maps: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        map_columns(Path("a.csv"), ["Name", "Tel"], "contact", maps)
    assert str(caught.value) == said


def test_blanks_after_commas_gb18030_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    for raw in (
        '姓名, 手机\n"张, 伟", 13800138000\n'.encode("gb18030"),
        '\ufeff姓名, 手机\n"张, 伟", 13800138000\n'.encode(),
    ):
        path.write_bytes(raw)
        rows = rows_of(path)
        assert read_headings(path, rows) == ["姓名", "手机"]
        assert list(rows) == [["张, 伟", "13800138000"]]


@pytest.fixture(scope="module")
def connection() -> Iterator[Any]:
    with scratch() as made:
        yield made


@pytest.mark.parametrize("rows", [1_000, 20_000])
def test_blocking_never_costs_more_than_it_says_nor_than_its_budget(
    connection: Any, rows: int
) -> None:
    """Even where half of the rows share every value."""
    connection.execute(
        "create or replace table records as select i as row, 'x' as same,"
        f" (i % 7)::varchar as few, (i // 2)::varchar as twins from range(1, {rows + 1}) t(i)"
    )
    costs = plan_blocking(connection, [["twins"], ["same"], ["few"], ["twins", "few"]], rows)
    assert sum(each.pairs for each in costs) <= budget(rows)
    assert costs[1].pairs == 0
    assert costs[1].left_out == rows
    made = make_pairs(connection, costs)
    assert rows // 2 - 1 <= made <= sum(each.pairs for each in costs)
    connection.execute("drop table pairs")


def test_the_budget_is_linear() -> None:
    assert budget(3_000_000) == 3 * budget(1_000_000) <= 30 * budget(100_000)


def test_a_weak_bridge_is_cut() -> None:
    strong = [(a, b, 0.95) for a, b in combinations((1, 2, 3), 2)]
    strong += [(a, b, 0.95) for a, b in combinations((4, 5, 6), 2)]
    assert cluster([*strong, (3, 4, 0.7)], 0.5) == [[1, 2, 3], [4, 5, 6]]
    bound = [(a, b, 0.7) for a in (1, 2, 3) for b in (4, 5, 6)]
    assert cluster(strong + bound, 0.5) == [[1, 2, 3, 4, 5, 6]]


def test_a_chain_too_long_to_be_one() -> None:
    chain = [(row, row + 1, 0.9) for row in range(1, 1500)]
    made = cluster(chain, 0.5)
    assert len(made) > 300
    assert max(map(len, made)) <= 4


@given(
    st.dictionaries(
        st.tuples(st.integers(1, 12), st.integers(1, 12)).filter(lambda each: each[0] < each[1]),
        st.floats(0.01, 1),
    )
)
def test_clusters_are_disjoint_and_every_member_is_bound(
    found: dict[tuple[int, int], float],
) -> None:
    pairs = [(a, b, p) for (a, b), p in found.items()]
    made = cluster(pairs, 0.5)
    members = [row for each in made for row in each]
    assert len(members) == len(set(members))
    for each in made:
        inside = [p for (a, b), p in found.items() if a in each and b in each]
        assert len(each) > 1
        assert any(p >= 0.5 for p in inside)
        assert sum(inside) / (len(each) * (len(each) - 1) / 2) >= 0.5 - 1e-9


def test_shipped_settings_are_whole() -> None:
    names = {f"{entity}-{script}" for entity, script in COLUMNS}
    assert {each.stem for each in FOLDER.glob("*.json")} == names
    for name in names:
        model = load_model(name)
        assert model.stated["precision"] >= 0.98, "a threshold states what it was measured at"
