"""A run's numbers in the forms that other programs read: CSV and JUnit XML."""

from __future__ import annotations

import csv
import io
from typing import Any
from xml.etree import ElementTree

COLUMNS = (
    "table", "name", "calls", "failed", "throttled", "p50_seconds", "p95_seconds", "p99_seconds",
    "max_seconds",
)  # fmt: skip


def as_csv(tables: tuple[tuple[str, str, list[dict[str, Any]]], ...]) -> str:
    """The report's tables, one row each; names are words of ours or of the workload."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for _, label, rows in tables:
        for row in rows:
            times = (row["p50"], row["p95"], row["p99"], row["max"])
            seconds = ["" if each is None else f"{each:.6f}" for each in times]
            counts = (row["calls"], row["failed"], row["throttled"])
            writer.writerow([label, row["name"], *counts, *seconds])
    return text.getvalue()


def as_junit(document: dict[str, Any]) -> str:
    """One test case for each objective; unknown is an error, for no data is not good news."""
    run, checks = document["run"], document["checks"]
    name = f"load {run['subject']} on {run['target']}"
    suite = ElementTree.Element("testsuite", name=name, timestamp=run["begun"])
    problems = {"fail": "failure", "unknown": "error", "error": "error"}
    cases = [
        (f"{each['objective']['measure']} {each['objective']['op']} {each['objective']['limit']:g}",
         each["verdict"], each["reason"])
        for each in checks
    ]  # fmt: skip
    cases.append(("the run as a whole", run["verdict"], run["reason"]))
    for title, verdict, reason in cases:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=title)
        if verdict in problems:
            ElementTree.SubElement(case, problems[verdict], message=reason, type=verdict)
    verdicts = [verdict for _, verdict, _ in cases]
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(verdicts.count("fail")))
    suite.set("errors", str(verdicts.count("unknown") + verdicts.count("error")))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
