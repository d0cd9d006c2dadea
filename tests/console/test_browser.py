"""The pages in a real Chromium: quiet, at home, narrow, by keyboard, light and dark, accessible."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from crmops.binaries import need_binary
from crmops.record import Kind
from tests.console.conftest import Console, Serve

pytestmark = pytest.mark.browser

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(need_binary("chromium")), args=list(FLAGS)
        )
        yield chromium
        chromium.close()


class Watched:
    """A page of the browser, and everything that went wrong on it."""

    def __init__(self, page: Page, console: Console) -> None:
        self.page = page
        self.console = console
        self.wrong: list[str] = []
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", self._asked)

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "404 (Not Found)" not in text:
            self.wrong.append(text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.console.url, "data:")):
            self.wrong.append(f"asked {request.url}")

    def show(self, path: str) -> None:
        self.page.goto(self.console.url + path)
        assert self.wrong == [], path

    def axe(self) -> list[str]:
        """What the checker finds, as rule: elements.  Rows are alike: a few stand for all."""
        self.page.evaluate(
            "document.querySelectorAll('tbody, .tiles')"
            ".forEach(all => [...all.children].slice(8).forEach(each => each.remove()))"
        )
        self.page.evaluate(AXE)
        found: dict[str, Any] = self.page.evaluate(
            "rules => axe.run(document, {runOnly: rules})", RULES
        )
        return [
            f"{each['id']}: {[node['html'][:90] for node in each['nodes'][:3]]}"
            for each in found["violations"]
        ]


@pytest.mark.parametrize(
    ("state", "look", "locale"),
    [
        ("empty", "light", "zh-CN"),
        ("normal", "light", "en-GB"),
        ("failing", "light", "zh-CN"),
        ("failing", "dark", "en-GB"),
        ("huge", "dark", "en-GB"),
    ],
)
def test_every_page_is_quiet_at_home_and_accessible(
    browser: Browser, consoles: Serve, state: str, look: Any, locale: str
) -> None:
    context = browser.new_context(color_scheme=look, locale=locale, bypass_csp=True)
    watched = Watched(context.new_page(), consoles(state))
    for path in _telling(watched.console, state):
        watched.show(path)
        assert watched.axe() == [], path
    context.close()


@pytest.mark.parametrize(("locale", "reason", "standing"), [
    ("zh-CN", "“crm”上尚无“launch”的压力测试记录", "进行中，截至目前 ✘ 不通过"),
    ("en-GB", "no load 'launch' on 'crm' yet", "open, so far ✘ fail"),
])  # fmt: skip
def test_a_reader_sees_one_language(
    browser: Browser, consoles: Serve, locale: str, reason: str, standing: str
) -> None:
    """The gate's own sentences, and how a load test stands that goes on."""
    context = browser.new_context(locale=locale)
    watched = Watched(context.new_page(), consoles("empty"))
    watched.show("/launch/launch")
    assert reason in watched.page.locator("tbody").inner_text()
    going_on = consoles("normal")
    watched = Watched(context.new_page(), going_on)
    watched.show(f"/runs/{going_on.history.live()[0].run.id}")
    assert watched.page.get_by_role("status").inner_text() == standing
    context.close()


def _telling(console: Console, state: str) -> list[str]:
    """Of a long history only the long pages; its runs look like any other."""
    return ["/", "/runs"] if state == "huge" else console.pages()


@pytest.mark.parametrize("state", ["normal", "failing", "huge"])
def test_a_narrow_screen_is_enough(browser: Browser, consoles: Serve, state: str) -> None:
    """WCAG 1.4.10: at 320 px nothing but tables and code scrolls sideways."""
    context = browser.new_context(viewport={"width": 320, "height": 640})
    watched = Watched(context.new_page(), consoles(state))
    for path in _telling(watched.console, state):
        watched.show(path)
        wide = watched.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 320, path
    context.close()


def test_everything_is_within_reach_of_the_keyboard(browser: Browser, consoles: Serve) -> None:
    console = consoles("failing")
    context = browser.new_context()
    watched = Watched(context.new_page(), console)
    page = watched.page
    for path in ("/", f"/runs/{console.run(Kind.LOAD, 'launch').id}"):
        watched.show(path)
        wanted = page.evaluate("document.querySelectorAll('a[href], [tabindex=\"0\"]').length")
        seen = set()
        for _ in range(wanted):
            page.keyboard.press("Tab")
            seen.add(
                page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)")
            )
            visible = page.evaluate(
                "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
            )
            assert visible, "the focus is seen"
        assert len(seen) == wanted, path
    watched.show("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("/#main")
    context.close()


def test_evidence_cannot_touch_the_console(browser: Browser, consoles: Serve) -> None:
    """A report may run its own script, in an origin of its own and without a way out."""
    console = consoles("normal")
    run = console.run(Kind.LOAD, "launch")
    evil = (
        "<h1>report</h1><script>"
        "try { document.title = 'read ' + document.cookie } catch (e) { document.title = 'shut' }"
        "fetch('/runs').then(() => document.title += ' open', () => document.title += ' alone')"
        "</script>"
    )
    evidence = console.history.attach(run.id, "evil.html", evil)
    fresh = run.with_(id=run.id[:-1] + ("0" if run.id[-1] != "0" else "1"))
    moved = console.history.attach(fresh.id, "evil.html", evil)
    assert evidence.sha256 == moved.sha256
    console.history.record(fresh.with_(evidence=(moved,), begun=run.begun, subject="evil"))
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{console.url}/?lang=en")
    page.goto(f"{console.url}/runs/{fresh.id}/files/evil.html")
    page.wait_for_function("document.title.includes('alone') || document.title.includes('open')")
    assert page.title() == "shut alone"
    context.close()
