"""Records survive being stored, and refuse what they do not know."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from crmops.errors import HistoryError
from crmops.history.tables import from_us, to_us
from crmops.history.upgrade import Step, load_record
from crmops.record import Kind, Measure, Run, Unit, Verdict, new_id, new_run

moments = st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
runs = st.builds(
    Run,
    id=st.just("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    kind=st.sampled_from(Kind),
    target=st.text(max_size=20),
    subject=st.text(max_size=20),
    begun=moments,
    ended=st.one_of(st.none(), moments),
    verdict=st.sampled_from(Verdict),
    reason=st.text(max_size=50),
    measures=st.lists(
        st.builds(
            Measure,
            name=st.text(min_size=1, max_size=30),
            value=st.one_of(st.none(), st.floats()),
            unit=st.sampled_from(Unit),
            observed=st.integers(0, 10**12),
        ),
        max_size=5,
    ).map(tuple),
)


@given(runs)
def test_a_record_reads_back_as_it_was_written(run: Run) -> None:
    assert load_record(run.model_dump_json(by_alias=True)) == run
    assert Run.model_validate(run.dump()) == run


@given(moments)
def test_stored_times_are_exact_to_the_microsecond(moment: datetime) -> None:
    assert from_us(to_us(moment)) == moment


def test_times_are_kept_in_utc_and_naive_ones_refused() -> None:
    china = timezone(timedelta(hours=8))
    run = new_run(Kind.PROBE, "crm", "login").with_(ended=datetime(2026, 11, 21, 8, tzinfo=china))
    assert run.ended == datetime(2026, 11, 21, 0, tzinfo=UTC)
    assert run.ended.tzinfo is UTC
    with pytest.raises(ValidationError):
        run.with_(ended=datetime(2026, 11, 21))  # noqa: DTZ001


def test_a_number_that_is_no_number_becomes_no_value() -> None:
    for value in (math.nan, math.inf, -math.inf):
        assert Measure(name="x", value=value, unit=Unit.COUNT).value is None


def test_extra_fields_are_refused() -> None:
    data = {**new_run(Kind.LOAD, "crm", "x").dump(), "mood": "good"}
    with pytest.raises(ValidationError, match="mood"):
        Run.model_validate(data)


def test_older_records_are_upgraded_step_by_step() -> None:
    old = new_run(Kind.LOAD, "crm", "x").dump()
    old["name"], old["schema"] = old.pop("subject"), -1

    def renamed(before: str, after: str) -> Step:
        return lambda data: {after if key == before else key: data[key] for key in data}

    steps = {-1: renamed("name", "topic"), 0: renamed("topic", "subject")}
    assert load_record(json.dumps(old), steps).subject == "x"


def test_a_record_of_the_future_is_named() -> None:
    data = {**new_run(Kind.LOAD, "crm", "x").dump(), "schema": 99}
    with pytest.raises(HistoryError, match="has schema 99, this crmops knows 1"):
        load_record(json.dumps(data))


def test_ids_are_unique_and_sort_by_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(len(each) == 26 for each in ids)
    assert ids[0][:9] <= ids[-1][:9]
