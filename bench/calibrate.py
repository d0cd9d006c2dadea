"""Whether every shipped rule finds what was planted for it, and nothing else.

At three defect rates, on practice companies of different seeds, and apart for records written in
Chinese and in Latin script. A rule for which nothing was planted is named and makes the bench fail:
nobody knows then whether it works.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from crmops.history import open_history
from dq_checks.calibrate import GOAL, Calibrated, measure
from dq_checks.catalogue import find_suites
from dq_checks.client import AuditWorker
from dq_checks.run import Audit
from dq_checks.settings import Settings
from dq_checks.suite import Suite

ROOT = Path(__file__).resolve().parent.parent
FACTORS = (0.5, 1.0, 3.0)
SCRIPTS = ("all", "chinese", "latin")
TITLES = ("name", "subject")
Keys = frozenset[str]


@contextmanager
def cluster(directory: Path) -> Iterator[dict[str, Any]]:
    """A PostgreSQL of our own; yields its ready document."""
    command = [sys.executable, "-m", "refcrm", "cluster"]
    where = ["--dir", str(directory / "pg")]
    started = subprocess.run(
        [*command, "start", *where], check=True, capture_output=True, text=True, cwd=ROOT
    )
    try:
        yield json.loads(started.stdout)
    finally:
        subprocess.run([*command, "stop", *where], check=True, capture_output=True, cwd=ROOT)


def company(ready: dict[str, Any], directory: Path, at: int, factor: float, contacts: int) -> str:
    """The address of a new database with a practice company in it."""
    name = f"company_{at}"
    with psycopg.connect(ready["admin_database_url"], autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} owner crm").format(sql.Identifier(name)))
    admin = urlsplit(ready["admin_database_url"])
    url = f"postgresql://crm@/{name}?{admin.query}"
    password = directory / "password"
    password.write_text("a-password-for-a-bench")
    command = [sys.executable, "-m", "refcrm", "seed", "--database", url, "--users", "60"]
    command += ["--password-file", str(password), "--contacts", str(contacts)]
    command += ["--seed", str(at), "--defects", str(factor)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return url


def scripts(url: str, suite: Suite) -> dict[str, Keys]:
    """The keys of a table's records by the script of their name or subject."""
    with psycopg.connect(url) as connection:
        table = sql.Identifier(suite.table)
        probe = connection.execute(sql.SQL("select * from {} limit 0").format(table))
        known = {each.name for each in probe.description or ()}
        title = next((each for each in TITLES if each in known), None)
        if title is None:
            return {}
        query = sql.SQL("select id, {0} ~ '[一-龥]' from {1} where {0} ~ '[A-Za-z一-龥]'")
        found: dict[str, set[str]] = {"chinese": set(), "latin": set()}
        for key, chinese in connection.execute(query.format(sql.Identifier(title), table)):
            found["chinese" if chinese else "latin"].add(str(key))
    return {name: frozenset(keys) for name, keys in found.items()}


def lines(results: Iterable[Calibrated], written: dict[str, Keys]) -> Iterator[dict[str, Any]]:
    """Planted, named and right of each rule, over all and by script."""
    for each in results:
        for script in SCRIPTS:
            if script != "all" and script not in written:
                continue
            own = each.planted | each.named if script == "all" else written[script]
            planted, named = each.planted & own, each.named & own
            yield {
                "rule": each.rule.id, "script": script, "planted": len(planted),
                "named": len(named), "right": len(planted & named),
            }  # fmt: skip


def summed(found: Iterable[dict[str, Any]]) -> dict[tuple[str, str], dict[str, int]]:
    """The sums by rule and script."""
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for each in found:
        own = sums.setdefault((each["rule"], each["script"]), {})
        for name in ("planted", "named", "right"):
            own[name] = own.get(name, 0) + each[name]
    return sums


def least(found: Iterable[dict[str, int]], of: str) -> float:
    """The worst share right of what was planted or named; rules without any do not count."""
    return min((each["right"] / each[of] for each in found if each[of]), default=0.0)


def at_rate(
    url: str, suites: list[Suite], worker: AuditWorker, place: Path
) -> list[dict[str, Any]]:
    """The lines of every suite in one company."""
    history = open_history(f"sqlite:///{place / 'history.db'}", place / "artifacts")
    try:
        audit = Audit("bench", url, Settings(), history)
        return [
            line
            for suite in suites
            for line in lines(
                measure(audit, suite, worker, lambda _stage: None), scripts(url, suite)
            )
        ]
    finally:
        history.close()


def main() -> int:
    """Measure and print; 1 when a target was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--contacts", type=int, default=6_000)
    options = parser.parse_args()
    suites = [each for each in find_suites().values() if any(one.finds for one in each.rules)]
    rules = {one.id for each in suites for one in each.rules if one.finds}
    every: list[dict[str, Any]] = []
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-calibrate-", dir="/tmp") as place:
        directory = Path(place)
        directory.chmod(0o755)
        with cluster(directory) as ready, AuditWorker() as worker:
            for at, factor in enumerate(FACTORS, 1):
                began = time.perf_counter()
                url = company(ready, directory, at, factor, options.contacts)
                found = at_rate(url, suites, worker, directory)
                whole = [each for each in found if each["script"] == "all"]
                ratios[f"recall_at_{factor:g}"] = round(least(whole, "planted"), 4)
                ratios[f"precision_at_{factor:g}"] = round(least(whole, "named"), 4)
                planted = sum(each["planted"] for each in whole)
                took = time.perf_counter() - began
                print(f"defects x {factor:g}: {planted} planted, {took:.0f} s", flush=True)
                every += found
    sums = summed(every)
    for (rule, script), each in sums.items():
        if each["right"] < max(each["planted"], each["named"]):
            print(f"{rule} ({script}): {each}")
    for script in SCRIPTS[1:]:
        own = [each for (_, written), each in sums.items() if written == script]
        ratios[f"recall_{script}"] = round(least(own, "planted"), 4)
        ratios[f"precision_{script}"] = round(least(own, "named"), 4)
    blind = sorted(rule for rule in rules if not sums.get((rule, "all"), {}).get("planted"))
    print(f"{len(rules)} rules; nothing was planted for: {', '.join(blind) or 'none'}")
    targets = dict.fromkeys(ratios, GOAL)
    met = not blind and all(each >= GOAL for each in ratios.values())
    print(json.dumps({"bench": "calibrate", "ratios": ratios, "targets": targets, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
