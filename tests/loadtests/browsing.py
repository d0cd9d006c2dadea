"""A real Chromium, and everything that goes wrong on its pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, Request, sync_playwright

from crmops.binaries import need_binary

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
Table = list[list[str]]


class Watched:
    """A page, and what it said or asked for that it should not."""

    def __init__(self, page: Page, allowed: str) -> None:
        self.page = page
        self.wrong: list[str] = []
        self._allowed = allowed
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", self._asked)

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.wrong.append(text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self._allowed, "data:")):
            self.wrong.append(f"asked {request.url}")

    def table(self, name: str) -> Table:
        """The cells of a table by its id, row by row."""
        found: Table = self.page.evaluate(
            "id => [...document.querySelectorAll(`#${id} tr`)]"
            ".map(row => [...row.children].map(cell => cell.innerText.trim()))",
            name,
        )
        return found


@contextmanager
def chromium(allowed: str) -> Iterator[Watched]:
    """A page that may ask for addresses that begin with ``allowed``; it must be quiet."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(need_binary("chromium")), args=list(FLAGS)
        )
        try:
            watched = Watched(browser.new_page(), allowed)
            yield watched
            assert watched.wrong == []
        finally:
            browser.close()
