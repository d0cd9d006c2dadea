"""Whether two runs may be compared at all: they must differ in nothing but the CRM's build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from crmops.record import Run, Verdict
from loadtests.compare.runs import Load

DATA_KEYS = ("data_volume", "volume")
"""Where a result document says how much data the CRM held."""

VOLUME_DRIFT = 0.1
"""Share by which the number of records of an entity may differ: runs leave a few behind, and the
CRM is at work; a tenth more records changes no query plan."""


VOLUME_SLACK = 100
"""Records of an entity by which it may differ in any case: of a few, one is soon a tenth."""

MOST_LAG = 0.02
"""Seconds of the generator's loop lag (p99) from which milliseconds of the CRM cannot be told: on a
starved machine all medians were seen to grow a hundredfold, and this is what shows it."""


def lagging(load: Load, most: float = MOST_LAG) -> str:
    """Why the load generator of a run was too slow itself for a comparison, or nothing."""
    found = load.run.measure("instrument.loop_lag.p99")
    if found is None or found.value is None or found.value <= most:
        return ""
    seen, allowed = f"{found.value * 1000:.0f} ms", f"{most * 1000:g} ms allowed"
    return f"the load generator of {load.run.id} was held up: loop lag p99 {seen}, {allowed}"


def obstacles(a: Load, b: Load) -> list[str]:
    """Every reason why the numbers of the two cannot be set against each other."""
    return [*_untrusted(a.run), *_untrusted(b.run), *_differences(a, b)]


def _untrusted(run: Run) -> Iterator[str]:
    if run.verdict in (Verdict.UNKNOWN, Verdict.ERROR):
        yield f"{run.id} ended as {run.verdict}: {run.reason}"


def _differences(a: Load, b: Load) -> Iterator[str]:
    one, two = a.document, b.document
    for key in ("name", "connector", "environment"):
        before, after = one["target"][key], two["target"][key]
        if before != after:
            what = "target" if key == "name" else key
            yield f"the {what} is {after!r}, was {before!r}"
    was, now = (each.get("settings", {}).get("client", "lean") for each in (one, two))
    if was != now:
        yield f"the calls are carried by the client {now}, were by {was}: its own time is in them"
    yield from _workloads(one["workload"], two["workload"])
    if one["journeys"] != two["journeys"]:
        yield "people walk other journeys, or in other shares"
    yield from _volumes(one, two)


def _workloads(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[str]:
    if one["name"] != two["name"]:
        yield f"the workload is {two['name']!r}, was {one['name']!r}"
        return
    if one["users"] != two["users"]:
        yield f"{two['users']} people take part, were {one['users']}"
    others = {"name", "summary", "users"}
    changed = sorted(key for key in set(one) | set(two) if one.get(key) != two.get(key))
    for key in changed:
        if key not in others:
            yield (
                f"the workload's {key} differ"
                if key[-1] == "s"
                else f"the workload's {key} differs"
            )


def _volumes(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[str]:
    before, after = _volume(one), _volume(two)
    if bool(before) != bool(after):
        yield "the data volume is known of one run only"
    for entity in sorted(set(before) & set(after)):
        was, now = before[entity], after[entity]
        if abs(now - was) > max(VOLUME_DRIFT * max(was, now), VOLUME_SLACK):
            yield f"the CRM holds {now:,.0f} {entity}, held {was:,.0f}"


def _volume(document: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, Any] = next(
        (dict(document[key]) for key in DATA_KEYS if document.get(key)), {}
    )
    return {
        str(name): float(number)
        for name, number in found.items()
        if isinstance(number, int | float) and not isinstance(number, bool)
    }
