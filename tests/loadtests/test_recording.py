"""Recordings: what counts as answered, failed, neither; merging and handing over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtests.recording import Key, Recording

words = st.sampled_from(("a", "b"))
outcomes = st.sampled_from(("ok", "expected", "throttled", "server", "timeout"))
keys = st.builds(Key, words, words, words, outcomes)
entries = st.lists(st.tuples(keys, st.integers(0, 10**8)), max_size=60)


def filled(rows: list[tuple[Key, int]]) -> Recording:
    made = Recording()
    for key, micros in rows:
        made.add(key, micros)
    return made


@given(entries, st.integers(1, 4))
def test_split_over_workers_and_seconds_nothing_changes(
    rows: list[tuple[Key, int]], workers: int
) -> None:
    whole = Recording()
    for worker in range(workers):
        part = filled(rows[worker::workers])
        whole.merge(Recording.unpack(part.take().pack()))
        assert part.cells == {}
    assert whole.pack() == filled(rows).pack()


@given(entries)
def test_every_call_is_answered_throttled_or_failed(rows: list[tuple[Key, int]]) -> None:
    made = filled(rows)
    throttled = made.counted(("throttled",))
    assert made.answered().count + throttled + made.failed() == made.counted() == len(rows)
    assert sum(made.outcomes().values()) == len(rows)


def test_throttled_is_neither_a_failure_nor_a_fast_success() -> None:
    made = filled([(Key("get", "rep", "day", "throttled"), 1)])
    assert (made.failed(), made.answered().count, made.counted()) == (0, 0, 1)


@given(entries)
def test_a_part_holds_what_fits(rows: list[tuple[Key, int]]) -> None:
    part = filled(rows).where(lambda key: key.operation == "a")
    assert part.counted() == sum(1 for key, _ in rows if key.operation == "a")
    assert part.operations() in ([], ["a"])
