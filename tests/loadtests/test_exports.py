"""What other programs read says what the result says."""

from __future__ import annotations

import base64
import csv
import io
import re
import struct
import zlib
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.buckets import Buckets
from loadtests.charts import Line, line_chart
from loadtests.exports import as_csv, as_junit
from loadtests.hlog import as_hlog, encoded
from loadtests.recording import Key, Recording
from loadtests.report import render, tables


def counts_of(text: str) -> list[int]:
    """The counts array of an encoded histogram, read as the format's specification says."""
    cookie, length = struct.unpack(">ii", base64.b64decode(text)[:8])
    assert cookie == 0x1C849314
    plain = zlib.decompress(base64.b64decode(text)[8 : 8 + length])
    cookie, size, _, digits, _, _, _ = struct.unpack(">iiiiqqd", plain[:40])
    assert (cookie, digits, size) == (0x1C849313, 3, len(plain) - 40)
    found: list[int] = []
    at = 40
    while at < len(plain):
        number = shift = 0
        while True:
            byte = plain[at]
            at += 1
            number |= (byte & (0xFF if shift == 56 else 0x7F)) << shift
            shift += 7
            if byte < 0x80 or shift > 56:
                break
        value = (number >> 1) ^ -(number & 1)
        found += [value] if value > 0 else [0] * -value
    return found


def value_at(index: int) -> int:
    """The least value counted at an index of HdrHistogram's array (2048 sub-buckets)."""
    bucket, sub = (index >> 10) - 1, (index & 1023) + 1024
    return sub << bucket if bucket >= 0 else sub - 1024


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3_000_000_000), min_size=1, max_size=60))
def test_a_histogram_log_counts_the_same(values: list[int]) -> None:
    buckets = Buckets()
    for each in values:
        buckets.add(each)
    found = counts_of(encoded(buckets))
    assert sum(found) == len(values)
    spread = [value_at(index) for index, count in enumerate(found) for _ in range(count)]
    for mine, true in zip(spread, sorted(values), strict=True):
        assert abs(mine - true) <= true * 0.006 + 1


def document(**run: Any) -> dict[str, Any]:
    recording = Recording()
    for micros in (10_000, 20_000, 900_000):
        recording.add(Key("contacts.get", "rep", "day", "ok"), micros)
    recording.add(Key("contacts.get", "rep", "day", "server"), 5_000)
    second = {
        "at": 0, "phase": "day", "users": 3, "logged_in": 3, "requests": 4, "failed": 1,
        "p50": 0.02, "p95": 0.9, "p99": 0.9, "max": 0.9, "lag": 0.001, "cpu": 0.1,
        "response": recording.answered().pack(),
    }  # fmt: skip
    check = {
        "objective": {"measure": "error.ratio", "op": "<=", "limit": 0.01},
        "value": 0.25, "observed": 4, "verdict": "fail", "reason": "error.ratio is 0.25",
    }  # fmt: skip
    described = {
        "id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "target": "crm", "subject": "w", "begun": "2026-11-21",
        "verdict": "fail", "reason": "<b>error.ratio</b> is 0.25", "tool_versions": {},
        "config_digest": "",
    }  # fmt: skip
    finding = {
        "title": "<script>alert(1)</script>",
        "detail": "",
        "severity": "critical",
        "subject": "",
        "suggestion": "",
    }
    span = {
        "span": "GET /slow", "seconds": 0.8, "database_calls": 7, "database_seconds": 0.75,
    }  # fmt: skip
    return {
        "run": {**described, **run},
        "workload": {"summary": "w", "users": 3, "model": "closed"},
        "journeys": {}, "settings": {}, "data_volume_unknown": "nobody looked",
        "generators": {
            "workers": [0], "resident_bytes": [1 << 20], "descriptors": [9],
            "descriptor_limit": 1024,
        },
        "phases": [
            {"name": "day", "judged": True, "seconds": 2, "users": 3, "requests": 4, "rate": 2.0,
             "lag": 0.001, "cpu": 0.1},
        ],
        "measures": [{"name": "users", "value": 3.0, "unit": "count", "observed": 3}],
        "checks": [check], "findings": [finding],
        "seconds": [second, {**second, "at": 1, "p50": None, "p95": None, "p99": None}],
        "response": recording.pack(), "service": [], "journey_times": [],
        "slowest": [
            {"operation": "contacts.get", "seconds": 0.9, "at": 1.0, "trace": "ab", "server": span},
            {"operation": "contacts.get", "seconds": 0.8, "at": 1.0, "trace": "cd"},
        ],
    }  # fmt: skip


def test_tables_as_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(tables(document())))))
    assert [row["table"] for row in rows] == ["operation", "phase", "role"]
    assert rows[0]["name"] == "contacts.get"
    assert (rows[0]["calls"], rows[0]["failed"], rows[0]["max_seconds"]) == ("4", "1", "0.900000")


def test_junit_has_a_case_for_each_objective() -> None:
    suite = ElementTree.fromstring(as_junit(document()))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "2", "0")
    unknown = ElementTree.fromstring(as_junit(document(verdict="unknown")))
    assert (unknown.get("failures"), unknown.get("errors")) == ("1", "1")


def test_a_log_has_a_line_for_each_operation_and_outcome() -> None:
    recording = Recording.unpack(document()["response"])
    lines = as_hlog(recording, datetime(2026, 11, 21, tzinfo=UTC), 60).splitlines()
    assert [line.split(",")[0] for line in lines[3:]] == [
        "Tag=contacts.get/day/ok",
        "Tag=contacts.get/day/server",
    ]


class Cells(HTMLParser):
    """Collects the text of table cells, the addresses and the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())


def test_the_report_says_what_the_result_says_and_asks_nobody() -> None:
    page = render(document())
    seen = Cells()
    seen.feed(page)
    assert {"script", "link", "img", "iframe", "b"}.isdisjoint(seen.tags)
    assert seen.links == []
    assert not re.search(r"url\(|@import|https?://", page)
    for words in (
        "contacts.get",
        "error.ratio is 0.25",
        "<script>alert(1)</script>",
        "900 ms",
        "GET /slow",
    ):
        assert any(words in each for each in seen.text), words
    assert any("750 ms in 7 database calls" in each for each in seen.text)


def test_a_chart_has_room_below_nothing() -> None:
    lines = [Line("lag", "a", [-3.0, None, 4.0, 7.5])]
    chart = line_chart(lines, [0, 1, 2, 3])
    assert [each.text for each in chart["y"]] == ["-5", "0", "2", "4", "6", "8", "10"]
    places = [float(each.at) for each in chart["y"]]
    assert places == sorted(places, reverse=True)
    assert all(chart["top"] <= each <= chart["bottom"] for each in places)
    assert len(chart["lines"]) == 2  # it is broken where nothing is known
    unknown = line_chart([Line("lag", "a", [None, None])], [0, 1])
    assert (unknown["lines"], unknown["y"][-1].text) == ([], "1")


def test_a_report_of_nothing_is_a_report() -> None:
    empty = {
        **document(verdict="unknown"),
        "seconds": [],
        "response": [],
        "slowest": [],
        "checks": [],
    }
    assert "no objective is set" in render(empty)
