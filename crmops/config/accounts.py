"""Reads the logins of simulated people from a CSV file."""

from __future__ import annotations

import csv
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from crmops.errors import ConfigError
from crmops.secret import Secret
from crmops.target import Account


def read_accounts(
    path: Path, password: Secret | None, where: str, warn: Callable[[str], None]
) -> tuple[Account, ...]:
    """The accounts in a CSV file with the columns username and role, perhaps password.

    ``password`` is for every row without its own.  Raises ConfigError with file and line.
    """
    shown = _shown(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines, restval="")
            columns = tuple(rows.fieldnames or ())
            _check_columns(columns, shown, password)
            found = tuple(_accounts(rows, path, password))
    except OSError as error:
        raise ConfigError(
            f"the accounts file {shown} cannot be read: {(error.strerror or str(error)).lower()}",
            where=where,
            hint="Paths are relative to the configuration file.",
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ConfigError(
            f"the accounts file is no CSV text: {reason}", where=shown, hint="Save it as UTF-8 CSV."
        ) from None
    if not found:
        raise ConfigError("the accounts file has no rows", where=f"{shown}:1", hint="Add some.")
    if "password" in columns and path.stat().st_mode & stat.S_IROTH:
        warn(f"the accounts file {path} holds passwords and can be read by everybody")
    return found


def _check_columns(columns: tuple[str, ...], shown: str, password: Secret | None) -> None:
    for needed in ("username", "role"):
        if needed not in columns:
            raise ConfigError(
                f"the accounts file has no column {needed}",
                where=f"{shown}:1",
                hint="The first line names the columns: username,role.",
            )
    if password is None and "password" not in columns:
        raise ConfigError(
            "the accounts have no password",
            where=f"{shown}:1",
            hint="Give accounts.password by reference, or a column password.",
        )


def _accounts(rows: csv.DictReader[str], path: Path, password: Secret | None) -> Iterator[Account]:
    for row in rows:
        username, own = row["username"].strip(), row.get("password", "")
        where = f"{_shown(path)}:{rows.line_num}"
        if not username:
            raise ConfigError("a row has no username", where=where, hint="Fill it in.")
        secret = Secret(own, f"file:{path}") if own else password
        if secret is None:
            raise ConfigError("a row has no password", where=where, hint="Fill it in.")
        yield Account(username=username, role=row["role"].strip() or "rep", password=secret)


def _shown(path: Path) -> str:
    """A path as people here would write it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
