"""``crmops config`` and ``crmops init``: the settings, checked, shown, described and begun."""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crmops.cli_support import JsonFlag, context, emit, note, table
from crmops.errors import CannotRun, ConfigError, UsageError

if TYPE_CHECKING:
    from crmops.config import Config

EXAMPLE = "crmops.example.yaml"

app = typer.Typer(help="Check, show and describe the settings.", no_args_is_help=True)


@app.command()
def check(
    secrets: Annotated[
        bool, typer.Option(help="Also look every secret and account up, as a real run does.")
    ] = True,
    as_json: JsonFlag = False,
) -> None:
    """Check every section, every reference and every secret; print all that is wrong."""
    config = context().config
    unchecked = config.check(secrets=secrets)
    for name in config.targets if secrets else ():
        _check_connector(config, name)
    payload = {
        "path": str(config.path),
        "digest": config.digest,
        "targets": sorted(config.targets),
        "secrets_checked": secrets,
        "unchecked_sections": unchecked,
        "warnings": list(config.warnings),
    }
    if unchecked:
        note(f"not installed, so not checked: {', '.join(unchecked)}")
    targets = ", ".join(sorted(config.targets)) or "none"
    emit(
        payload,
        as_json=as_json,
        table=lambda: f"{config.path} is in order; targets: {targets}",
    )


@app.command()
def show(
    origin: Annotated[
        bool, typer.Option("--origin", help="Also say which file and line, variable or flag.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show every setting as it is in force; secrets as the references they are."""
    rows = [(key, _shown(value), where) for key, value, where in context().config.settings()]
    columns = ("setting", "value", "origin") if origin else ("setting", "value")
    payload = {
        "settings": [dict(zip(columns, row, strict=False)) for row in rows],
        "digest": context().config.digest,
    }
    emit(
        payload,
        as_json=as_json,
        table=lambda: table("", columns, [row[: len(columns)] for row in rows]),
    )


@app.command()
def schema() -> None:
    """Print the JSON Schema of crmops.yaml, for completion in editors."""
    from crmops.config.schema import build_schema

    emit(build_schema(), as_json=True, table=str)


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("crmops.yaml"),
    url: Annotated[str, typer.Option(help="The web address of your CRM.")] = "",
    connector: Annotated[str, typer.Option(help="Which CRM it is: refcrm, rest, ...")] = "",
    name: Annotated[str, typer.Option(help="What you call it.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a complete, commented crmops.yaml to begin with."""
    text = adapted(example_text(), url=url, connector=connector, name=name)
    _check_example(text)
    try:
        with path.open("w" if force else "x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise UsageError(
            f"{path} exists already", hint="Name another file, or overwrite it with --force."
        ) from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory", hint="Name a file.") from None
    except FileNotFoundError:
        raise UsageError(
            f"the directory {path.parent} does not exist", hint="Make it, or name another."
        ) from None
    sys.stdout.write(f"{path} is written; next: `crmops --config {path} config check`\n")


def example_text() -> str:
    """The example configuration, which the package carries."""
    try:
        return files("crmops").joinpath(EXAMPLE).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CannotRun(
            f"{EXAMPLE} is not part of this installation", hint="Install crmops again."
        ) from None


def adapted(text: str, *, url: str, connector: str, name: str) -> str:
    """The example with one's own address, connector and name of the CRM put in."""
    changes = (
        (r"^    url: .*$", f"    url: {_quoted(url)}", url),
        (r"^    connector: .*$", f"    connector: {_quoted(connector)}", connector),
        (r"^  refcrm:$", f"  {name}:", name),
        (r"^default_target: .*$", f"default_target: {name}", name),
    )
    for pattern, line, wanted in changes:
        if wanted:
            parts = re.split(pattern, text, maxsplit=1, flags=re.MULTILINE)
            text = line.join(parts)
    return text


def _quoted(value: str) -> str:
    """A value that YAML reads as text, whatever is in it."""
    return "'" + value.replace("'", "''") + "'"


def _check_example(text: str) -> None:
    """Refuses options that would make a file which does not load."""
    from crmops.config.loader import parse_config

    parse_config(text, "what was asked for")


def _check_connector(config: Config, name: str) -> None:
    """Lets the connector look at its options, and adds the line to what it complains of."""
    from crmops.connectors import connect, connectors

    known = config.targets[name].connector in connectors()
    try:
        connect(config.target(name))
    except ConfigError as error:
        if error.where:
            raise
        key = f"targets.{name}.{'options' if known else 'connector'}"
        raise ConfigError(error.message, hint=error.hint, where=config.where(key)) from error


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
