"""What the person sees while a rehearsal goes on: one line a stage, the running one alive."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.live import Live
from rich.table import Table
from rich.text import Text

from crmops.cli_support import context, err_console
from crmops.units import human_seconds

_ICONS = {
    "pass": ("✔", "green"),
    "fail": ("✘", "red"),
    "unknown": ("?", "yellow"),
    "error": ("!", "magenta"),
    "running": ("▶", "cyan"),
    "waiting": ("·", "dim"),
}


@dataclass
class Line:
    """One stage on the screen.  ``alive`` says what it is doing now."""

    name: str
    what: str
    state: str = "waiting"
    said: str = ""
    began: float = 0.0
    took: float = 0.0
    alive: Callable[[], str] | None = field(default=None, repr=False)

    @property
    def seconds(self) -> float:
        """How long it has taken so far, or took."""
        return time.monotonic() - self.began if self.state == "running" else self.took

    def text(self) -> str:
        """What it is doing, or how it ended."""
        if self.state == "running" and self.alive is not None:
            return self.alive() or self.said
        return self.said


class Display:
    """A live table on a terminal; plain lines, one at a stage's begin and end, elsewhere."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self._console = err_console()
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table while the body runs."""
        if not self._console.is_terminal or context().quiet:
            yield
            return
        with Live(console=self._console, refresh_per_second=4, get_renderable=self._render) as live:
            self._live = live
            yield
        self._live = None

    def begin(self, line: Line) -> None:
        """A stage begins."""
        line.state, line.began = "running", time.monotonic()
        self._plain(f"▶ {line.name}: {line.what}")

    def end(self, line: Line, state: str, said: str) -> None:
        """A stage has ended, so."""
        line.took = time.monotonic() - line.began
        line.state, line.said = state, said
        icon = _ICONS[state][0]
        self._plain(f"{icon} {line.name}: {state} after {human_seconds(line.took)}: {said}")

    def _plain(self, text: str) -> None:
        if self._live is None and not context().quiet:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def _render(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(overflow="ellipsis", no_wrap=True)
        for line in self.lines:
            icon, style = _ICONS[line.state]
            took = "" if line.state == "waiting" else human_seconds(line.seconds)
            said = line.text() or line.what
            table.add_row(
                Text(icon, style=style), Text(line.name), Text(took, style="dim"), Text(said)
            )
        return table
