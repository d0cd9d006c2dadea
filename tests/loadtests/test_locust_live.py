"""What one sees who runs ``locust`` himself: the verdict so far in the web page, and metrics."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadtests.live_metrics import CATALOGUE
from tests.conftest import RefcrmServer

from .browsing import chromium
from .test_live_metrics import promtool
from .test_locustfile import LOCUSTFILE, given

__all__ = ["given"]

WAIT = 100.0
"""Most seconds until something is to be seen: the machine may be busy."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def locust(given: dict[str, str], folder: Path, *words: str) -> Iterator[Callable[[str], str]]:
    """A locust at work; yields a function that waits for what it logs."""
    log = folder / "locust.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *words],
            cwd=folder, env={**os.environ, **given}, stdout=out, stderr=out,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def logged(pattern: str) -> str:
        until = time.monotonic() + WAIT
        while not (found := re.search(pattern, log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        return found[1]

    try:
        yield logged
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert "Traceback" not in log.read_text()


def scraped(url: str) -> dict[tuple[str, str], float]:
    """A clean scrape's values, by name and the labels' values in the order of the labels."""
    text = httpx.get(url, trust_env=False).text
    assert promtool(text) == "0"
    return {
        (sample.name, ",".join(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def wait_for(look: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT
    while not look():
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.mark.browser
def test_the_web_page_shows_the_verdict_so_far(
    given: dict[str, str], refcrm_server: RefcrmServer, tmp_path: Path
) -> None:
    port = free_port()
    words = ("--host", refcrm_server.url, "--users", "8", "--spawn-rate", "8", "--autostart")
    page = f"http://127.0.0.1:{port}"
    web = ("--web-host", "127.0.0.1", "--web-port", str(port), "--metrics-port", "0")
    with locust(given, tmp_path, *words, *web) as logged, chromium(page) as watched:
        metrics = logged(r"metrics on (\S+)")
        logged(r"(All users spawned)")
        watched.page.goto(f"{page}/?tab=verdict")
        watched.page.get_by_role("tab", name="Verdict").wait_for()
        cells = watched.page.locator("tbody tr")
        cells.nth(4).wait_for(timeout=WAIT * 1000)
        rows = [row.split("\t") for row in cells.all_inner_texts()]
        assert [row[0] for row in rows] == [
            "the test so far",
            "response_time.p95",
            "error.ratio",
            "journey.failed.ratio",
            "throttled.ratio",
        ]
        assert {row[1] for row in rows} <= {"pass", "unknown"}
        before = int(rows[0][4])
        count = f"row => +row[0].children[4].innerText > {before}"
        watched.page.wait_for_function(
            f"({count})([...document.querySelectorAll('tbody tr')])", timeout=WAIT * 1000
        )
        refcrm_server.token("admin")  # the CRM is still there
        found = scraped(metrics)
    assert found["crm_load_run_requests_total", "ok,login"] >= 8
    assert sum(v for (name, _), v in found.items() if name == "crm_load_run_users") == 8
    standing = [v for (name, _), v in found.items() if name == "crm_load_run_verdict"]
    assert sorted(standing) == [0, 0, 0, 1]


def test_a_port_that_is_taken_is_named(given: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless",
             "--host", "http://127.0.0.1:1", "--metrics-port", port],
            cwd=tmp_path, env={**os.environ, **given}, capture_output=True, text=True,
            timeout=90, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"crmops: cannot listen on 127.0.0.1:{port}: address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_master_shows_what_all_its_workers_count(
    given: dict[str, str], refcrm_server: RefcrmServer, tmp_path: Path
) -> None:
    words = ("--host", refcrm_server.url, "--users", "8", "--spawn-rate", "8", "--headless")
    port = str(free_port())
    several = ("--processes", "2", "--master-bind-port", port, "--master-port", port)
    with locust(given, tmp_path, *words, *several, "--metrics-port", "0") as logged:
        metrics = logged(r"metrics on (\S+)")

        def complete() -> bool:
            found = scraped(metrics)
            users = sum(v for (name, _), v in found.items() if name == "crm_load_run_users")
            return users == 8 and found.get(("crm_load_run_requests_total", "ok,login"), 0) >= 8

        wait_for(complete)
        names = {name for name, _ in scraped(metrics)}
    missing = {each.name for each in CATALOGUE} - names
    assert missing == {"crm_load_run_request_duration_seconds"}  # its series have other names
