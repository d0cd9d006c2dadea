"""What must happen every so often: how many times it did not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise


def missed_periods(moments: Sequence[datetime], every: timedelta, now: datetime) -> int:
    """How many whole periods passed without it, from its first time until now.

    Between two times that lie less than two periods apart none was missed: the later one is late.
    """
    known = sorted(each for each in moments if each <= now)
    return sum(late(one, end, every) // every for one, end in pairwise([*known, now]))


def late(before: datetime, after: datetime, every: timedelta) -> timedelta:
    """By how much the second time came after its day; nothing when it was early."""
    return max(after - before - every, timedelta(0))
