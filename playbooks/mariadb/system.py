"""Which server files are of, and where in its binary log they were copied.

MariaDB has no identifier of a server in SQL; its Aria engine writes one into its control file when
the data directory is made (bytes 4 to 20; storage/maria/ma_control_file.c), and copies keep it.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from crmops.errors import CannotRun
from playbooks.errors import CheckFailed

_MAGIC = b"\xfe\xfe\x0c"
_CONTROL = "aria_log_control"
_PLACES = ("mariadb_backup_binlog_info", "xtrabackup_binlog_info")


def system_of(data: Path) -> str:
    """The identifier of a data directory.  Raises CannotRun when it cannot be read."""
    try:
        found = (data / _CONTROL).read_bytes()[:20]
    except OSError as error:
        raise CannotRun(
            f"{data / _CONTROL} cannot be read: {error.strerror}",
            hint="mariadb-backup runs on the database's host, as a user that reads its files.",
        ) from None
    if len(found) < 20 or not found.startswith(_MAGIC):
        raise CheckFailed(f"{_CONTROL} is not what MariaDB writes")
    return str(uuid.UUID(bytes=found[4:]))


def binlog_place(data: Path) -> str:
    """Where in the binary log a copy stands, as ``name:position``.  Raises CheckFailed."""
    for name in _PLACES:
        path = data / name
        if path.is_file():
            words = path.read_text(encoding="utf-8").split()
            if len(words) >= 2 and words[1].isdigit():
                return f"{words[0]}:{words[1]}"
    raise CheckFailed("the backup does not say where in the binary log it was taken")


def split_place(place: str) -> tuple[str, int]:
    """Name of the log and position in it."""
    name, _, position = place.rpartition(":")
    return name, int(position)


def logs_between(first: str, last: str) -> list[str]:
    """The names of the binary logs from one to another, which are numbered."""
    base, _, start = first.rpartition(".")
    end = int(last.rpartition(".")[2])
    return [f"{base}.{number:0{len(start)}d}" for number in range(int(start), end + 1)]


def next_log(name: str) -> str:
    """The name of the log that follows."""
    base, _, number = name.rpartition(".")
    return f"{base}.{int(number) + 1:0{len(number)}d}"
