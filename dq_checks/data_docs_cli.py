"""``crmops dq docs``: stored audits as Great Expectations' Data Docs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crmops.cli_support import JsonFlag, context, emit


def docs(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Audits by id, or its beginning.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The directory to write; a new one.")],
    as_json: JsonFlag = False,
) -> None:
    """Write stored audits as Great Expectations' Data Docs; nothing is audited anew."""
    from dq_checks.data_docs import build

    pages, found = build(context().history, runs, out)
    index = out / "index.html"
    payload = {"index": str(index), "pages": pages, "runs": [each.id for each in found]}
    emit(payload, as_json=as_json, table=lambda: f"{index}: {pages} pages")
