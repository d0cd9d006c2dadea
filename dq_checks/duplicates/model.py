"""The shipped settings: trained once, one file for each kind of record and script."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

FOLDER = Path(__file__).resolve().parent / "models"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Holding(_Strict):
    """``<column>_n`` is the number of different ``of`` (SQL) that a value is seen with."""

    column: str
    of: str


class Model(_Strict):
    """Everything that decides a result.

    ``keys``: SQL over the prepared columns, narrow first; two records that share a key are
    compared.  ``threshold``: the probability from which a pair is one.  ``stated``: what was
    measured with it on the labelled sets.  ``splink``: Splink's own settings.
    """

    schema_: Annotated[int, Field(alias="schema")]
    name: str
    threshold: Annotated[float, Field(gt=0, lt=1)]
    stated: dict[str, float]
    keys: tuple[tuple[str, ...], ...]
    holders: tuple[Holding, ...]
    splink: dict[str, Any]


@cache
def load_model(name: str, folder: Path = FOLDER) -> Model:
    """The settings of that name, such as ``contact-chinese``."""
    text = (folder / f"{name}.json").read_text(encoding="utf-8")
    return Model.model_validate(json.loads(text))
