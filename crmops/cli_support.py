"""What every command shares: the configuration, the history, and how results are said.

Results go to stdout, as a table or as one JSON document; everything else goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer

from crmops.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

    from crmops.config import Config
    from crmops.history import History
    from crmops.target import Target

JSON_SCHEMA = 1
"""Version of the documents that ``--json`` prints, where a document has no version of its own."""

WIDE = 200
"""Columns of a table that no terminal limits: nothing is cut in a file or a pipe."""

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
TargetOption = Annotated[
    str, typer.Option("--target", "-t", help="Which target; without it the default one.")
]

_VERDICTS = {
    "pass": ("✔", "green", ExitCode.PASS),
    "fail": ("✘", "red", ExitCode.FAIL),
    "unknown": ("?", "yellow", ExitCode.UNKNOWN),
    "error": ("!", "magenta", ExitCode.ERROR),
    "ok": ("✔", "green", ExitCode.PASS),
    "warn": ("!", "yellow", ExitCode.FAIL),
}


@dataclass
class Context:
    """What the command line was given; configuration and history are opened when first used."""

    config_path: Path | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    quiet: bool = False
    environ: Mapping[str, str] | None = None

    @cached_property
    def config(self) -> Config:
        """The configuration.  Raises ConfigError."""
        from crmops.config import load_config

        return load_config(self.config_path, overrides=self.overrides, environ=self.environ)

    @cached_property
    def history(self) -> History:
        """The history that the configuration names.  Raises HistoryError."""
        from crmops.history import open_history

        return open_history(self.config.history_url, self.config.artifacts_dir)

    def target(self, name: str = "") -> Target:
        """The named target or the default one, and a word on stderr about careless secrets."""
        found = self.config.target(name or None)
        self.warn()
        return found

    def warn(self) -> None:
        """Say each warning of the configuration once."""
        if "config" in self.__dict__:
            while self.config.warnings:
                note(f"warning: {self.config.warnings.pop(0)}", always=True)

    def close(self) -> None:
        """Say what is left to say and close what was opened."""
        self.warn()
        if "history" in self.__dict__:
            self.history.close()
            del self.__dict__["history"]


_current: ContextVar[Context | None] = ContextVar("crmops_context", default=None)


def context() -> Context:
    """What the command line was given; the defaults outside of it."""
    found = _current.get()
    if found is None:
        found = Context()
        _current.set(found)
    return found


def set_context(new: Context) -> None:
    """Make a context the current one."""
    _current.set(new)


def emit(payload: Any, *, as_json: bool, table: Callable[[], object]) -> None:
    """Print a result: as one JSON document, or as what ``table`` makes (a rich object or text).

    A reader who has gone away (``| head``) is no error: the verdict still decides the exit code.
    """
    try:
        if as_json:
            print_json(payload)
        else:
            made = table()
            console().print(made, markup=False, highlight=False, soft_wrap=isinstance(made, str))
        sys.stdout.flush()
    except BrokenPipeError:
        forget_stdout()


def print_json(payload: Any) -> None:
    """One JSON document with a ``schema`` version on stdout; secrets are ``***``."""
    plain = _plain(payload)
    document = plain if isinstance(plain, dict) else {"items": plain}
    document = {"schema": JSON_SCHEMA, **document}
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(f"{text}\n")


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - JSON has no NaN
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def forget_stdout() -> None:
    """Nobody reads us any more: let the rest go nowhere, quietly."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def exit_with(verdict: str) -> NoReturn:
    """End with the exit code of a verdict: pass 0, fail 1, unknown 3, error 4."""
    raise typer.Exit(_VERDICTS[str(verdict)][2])


def verdict_text(verdict: str) -> Text:
    """A verdict as icon, word and colour; no meaning rests on the colour alone."""
    from rich.text import Text

    icon, colour, _ = _VERDICTS.get(str(verdict), ("·", "white", ExitCode.UNKNOWN))
    return Text(f"{icon} {verdict}", style=colour)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table whose cells are shown as they are: text in brackets is text, no markup."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(title) if title else None, title_justify="left", header_style="bold")
    for each in columns:
        made.add_column(Text(each), overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return made


def console() -> Console:
    """Where results are printed: stdout, wide when it is no terminal, plain under NO_COLOR."""
    return _console(sys.stdout)


def err_console() -> Console:
    """Where progress and notes are printed: stderr."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    wide = not stream.isatty() and not os.environ.get("COLUMNS")
    return Console(file=stream, width=WIDE if wide else None)


def note(text: str, *, always: bool = False) -> None:
    """A line on stderr for people; not under --quiet unless it must be seen."""
    if always or not context().quiet:
        sys.stderr.write(f"{text}\n")


@contextmanager
def progress() -> Iterator[Progress]:
    """A live progress display on stderr; nothing at all off a terminal or under --quiet."""
    from rich.progress import Progress

    display = err_console()
    with Progress(
        console=display, transient=True, disable=context().quiet or not display.is_terminal
    ) as made:
        yield made
