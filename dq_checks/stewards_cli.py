"""Commands for those who look after the data: drafts of suites, decisions that come back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crmops.cli_support import JsonFlag, TargetOption, context, emit


def draft(
    entity: Annotated[str, typer.Argument(help="The entity: contact, account, deal, ...")],
    out: Annotated[Path, typer.Option("--out", help="The YAML file to write.")],
    owner: Annotated[str, typer.Option("--owner", help="Who answers for the rules.")] = "",
    target: TargetOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Draw a suite from the CRM's own metadata, to be reviewed and kept with yours."""
    from dq_checks.draft import as_yaml, fields_of, suite_of, write

    which = context().target(target)
    made = suite_of(entity, fields_of(which, entity), owner)
    write(out, as_yaml(made))
    payload = {"file": str(out), "suite": made.name, "rules": [each.id for each in made.rules]}
    said = f"{out}: {len(made.rules)} rules for {made.name}; review it, then put it into one of"
    emit(payload, as_json=as_json, table=lambda: f"{said} dq.suite_directories")


def decide(
    file: Annotated[Path, typer.Argument(help="A worklist that came back: .csv or .xlsx.")],
    target: TargetOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Read back what people decided in a worklist: wontfix, fixed or wrong-rule, with a reason."""
    from crmops.record import utc_now
    from dq_checks.catalogue import find_suites
    from dq_checks.decisions import Decisions, read_file
    from dq_checks.settings import Settings

    ctx = context()
    settings = ctx.config.parse("dq", Settings)
    suites = find_suites(settings.suite_directories)
    found, left = read_file(file, ctx.target(target).name, suites, utc_now())
    new = Decisions(ctx.config.state_dir).add(found)
    known = len(found) - new
    payload = {"file": str(file), "new": new, "known": known, "open": left}
    said = f"{file}: {new} new decisions, {known} known already, {left} left open"
    emit(payload, as_json=as_json, table=lambda: said)
