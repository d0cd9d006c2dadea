"""What Spark reads in an audit: tables of Parquet files, described for the worker in a file."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

FOLDER = "crmops-spark-"
"""How the temporary directories of Spark begin; the pid of the worker follows."""

Cast = Literal["DOUBLE", "DATE", "TIMESTAMP"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LakeTable(_Model):
    """One table: a Parquet file, or a directory of them.

    ``columns`` names the columns to be read and the one of the file that each is.  ``numbered``
    is the column that is to hold the row's number, from 1.  Columns ``typed`` become numbers,
    dates or times if all of their texts are such.
    """

    name: str
    path: str
    columns: dict[str, str]
    numbered: str = ""
    typed: tuple[str, ...] = ()


class Lake(_Model):
    """All tables of an audit, and the Spark that reads them."""

    tables: tuple[LakeTable, ...]
    master: str
    memory: str


def sweep() -> None:
    """Remove what workers that were killed have left: rows of customers may lie there."""
    for each in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        found = re.match(rf"{FOLDER}(\d+)-", each.name)
        if found and not Path(f"/proc/{found[1]}").exists():
            shutil.rmtree(each, ignore_errors=True)
