"""Retention never removes the last good backup, and keeps what it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from playbooks.retention import Kept, to_remove

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_BACKUPS = st.lists(
    st.tuples(st.integers(0, 20_000), st.booleans()), max_size=40, unique_by=lambda each: each[0]
).map(
    lambda found: [
        Kept(f"{hour:06d}", _EPOCH + timedelta(hours=hour), good) for hour, good in found
    ]
)
_COUNT = st.integers(0, 12)


@given(_BACKUPS, st.integers(1, 10), _COUNT, _COUNT)
def test_the_newest_good_backups_stay(
    backups: list[Kept], newest: int, weekly: int, monthly: int
) -> None:
    going = to_remove(backups, newest, weekly, monthly)
    good = sorted((each.id for each in backups if each.good), reverse=True)
    assert not set(good[:newest]) & set(going)
    assert going == sorted(going), "oldest first"
    staying = [each for each in backups if each.id not in going]
    assert sum(each.good for each in staying) <= newest + weekly + monthly
    assert to_remove(staying, newest, weekly, monthly) == [], "once is enough"


@given(_BACKUPS, st.integers(1, 10), _COUNT, _COUNT)
def test_a_new_backup_never_brings_an_old_one_into_danger_of_being_the_last(
    backups: list[Kept], newest: int, weekly: int, monthly: int
) -> None:
    if any(each.good for each in backups):
        going = set(to_remove(backups, newest, weekly, monthly))
        assert any(each.good and each.id not in going for each in backups)


def test_weeks_and_months() -> None:
    days = [
        Kept(f"{day:03d}", datetime(2026, 1, 1, 3, tzinfo=UTC) + timedelta(days=day), True)
        for day in range(90)
    ]
    going = to_remove(days, 7, 5, 3)
    staying = [each.taken.date().isoformat() for each in days if each.id not in going]
    assert staying == [
        "2026-01-31", "2026-02-28", "2026-03-08", "2026-03-15", "2026-03-22",
        "2026-03-25", "2026-03-26", "2026-03-27", "2026-03-28", "2026-03-29",
        "2026-03-30", "2026-03-31",
    ]  # fmt: skip


def test_backups_of_an_emptied_database_do_not_push_out_the_good_one() -> None:
    good = Kept("0", _EPOCH, True)
    bad = [Kept(str(day), _EPOCH + timedelta(days=day), False) for day in range(1, 9)]
    assert to_remove([good, *bad], 3, 0, 0) == ["1", "2", "3", "4", "5"]
