"""``crmops load fit``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crmops.cli_support import JsonFlag, TargetOption, context, emit, note, table
from crmops.errors import CannotRun, UsageError

if TYPE_CHECKING:
    from loadtests.fit.lines import Reading
    from loadtests.fit.model import Fitted
    from loadtests.fit.operations import Paths
    from loadtests.fit.sessions import Day

STATIC = (
    ".css", ".gif", ".ico", ".jpeg", ".jpg", ".js", ".map", ".png", ".svg", ".ttf", ".webp",
    ".woff", ".woff2",
)  # fmt: skip
"""Endings of files that a browser fetches by itself; nobody has thought before them."""


def fit(  # noqa: PLR0913, PLR0917 - a command's options
    access_log: Annotated[Path, typer.Argument(help="Combined format or JSON lines; also .gz.")],
    out: Annotated[Path, typer.Option(help="The workload to write, a YAML file.")],
    map_file: Annotated[
        Path | None, typer.Option("--map", help="A YAML file: `GET /contact/{id}: contacts.get`.")
    ] = None,
    role: Annotated[str, typer.Option(help="What the role is called.")] = "people",
    accounts: Annotated[str, typer.Option(help="Roles of the accounts that it uses.")] = "rep",
    hour: Annotated[float, typer.Option(min=1, help="Seconds that stand for an hour.")] = 60.0,
    pause: Annotated[
        float, typer.Option(min=60, help="Idle seconds after which a session is over.")
    ] = 1800.0,
    rate: Annotated[bool, typer.Option("--open", help="Open model: arrivals at a rate.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    target: TargetOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Make a workload that resembles the people in an access log."""
    from crmops.connectors import connect
    from loadtests.fit.lines import Reading
    from loadtests.fit.model import PAUSE, Wanted, check_enough, fit_workload
    from loadtests.fit.operations import paths_of
    from loadtests.fit.rehearsal import habits
    from loadtests.fit.sessions import Day

    if out.exists() and not force:
        raise UsageError(f"{str(out)!r} exists", hint="Give another name, or --force.")
    connector = connect(context().target(target))
    reading, day = Reading(), Day(pause)
    read(reading, day, access_log, paths_of(connector, map_file))
    _say(reading, day)
    check_enough(reading, day)
    names = tuple(each.strip() for each in accounts.split(",") if each.strip())
    wanted = Wanted(_name(out), role, names, hour, rate)
    fitted = fit_workload(day, habits(connector, PAUSE), wanted)
    write(fitted, out)
    payload = {
        "out": str(out),
        "lines": reading.lines,
        "bad_lines": dict(reading.bad),
        "unknown_requests": sum(day.unknown.values()),
        **fitted.numbers,
    }
    emit(payload, as_json=as_json, table=lambda: _table(payload))


def read(reading: Reading, day: Day, path: Path, paths: Paths) -> None:
    """Read a log from beginning to end into a day."""
    from loadtests.fit.operations import IGNORE

    for hit in reading.hits(path):
        operation = paths.operation(hit.method, hit.path)
        if operation == IGNORE or hit.path.partition("?")[0].lower().endswith(STATIC):
            continue
        if operation is None:
            day.unknown[masked(hit.method, hit.path)] += 1
        else:
            day.take(hit, operation)
    day.close()


def masked(method: str, path: str) -> str:
    """A request without its query, and with everything that may name a record taken out."""
    parts = path.partition("?")[0].split("/")
    shown = [each if re.fullmatch(r"[A-Za-z_-]{0,24}|v\d+", each) else "*" for each in parts]
    return f"{method} {'/'.join(shown)}"


def write(fitted: Fitted, out: Path) -> None:
    """Write the workload, whole or not at all, and only if it is one.  Raises CannotRun."""
    from io import StringIO

    from ruamel.yaml import YAML

    from loadtests.catalogue import read_workload

    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 100
    yaml.dump(fitted.workload, text)
    partial = out.with_name(f".{out.name}.partial")
    try:
        partial.write_text(f"# Written by `crmops load fit`.\n{text.getvalue()}", encoding="utf-8")
        read_workload(partial)
        partial.rename(out)
    except OSError as error:
        raise CannotRun(
            f"{str(out)!r} cannot be written: {error.strerror}", hint="Look at its directory."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _name(out: Path) -> str:
    name = re.sub(r"[^a-z0-9_]+", "_", out.stem.lower()).strip("_")[:40]
    return name if re.fullmatch(r"[a-z][a-z0-9_]*", name) else "fitted"


def _say(reading: Reading, day: Day) -> None:
    bad = sum(reading.bad.values())
    if bad:
        named = "; ".join(f"line {number}: {reason}" for number, reason in reading.named)
        note(f"warning: {bad} of {reading.lines} lines cannot be read ({named})", always=True)
    for request, number in day.unknown.most_common(5):
        note(f"unknown request, {number} times: {request}")


def _table(payload: dict[str, object]) -> object:
    rows = [
        (name.replace("_", " "), value) for name, value in payload.items() if value not in ({}, 0)
    ]
    return table(f"workload fitted: {payload['out']}", ("what", "value"), rows)
