"""``crmops gate``: go, no-go or unknown."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crmops.cli_support import (
    JsonFlag,
    TargetOption,
    console,
    context,
    emit,
    exit_with,
    table,
    verdict_text,
)
from crmops.errors import ConfigError, UsageError
from crmops.record import Verdict
from crmops.units import human_seconds, human_value

if TYPE_CHECKING:
    from crmops.gate import Decision, Gates, Ruling

app = typer.Typer(help="Go, no-go or unknown, from stored evidence alone.", no_args_is_help=True)

COLUMNS = ("requirement", "verdict", "number", "limit", "samples", "age", "evidence", "reason")
WIDE_ENOUGH = 150
"""Columns of a terminal that has room for the reasons beside the numbers."""


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="Which gate; without it the only one.")] = "",
    target: TargetOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Decide a gate now, record the decision and say every reason."""
    from crmops.gate import Gates, check_gate

    ctx = context()
    gates = ctx.config.parse("gates", Gates)
    chosen = _choose(gates, name)
    gate = gates.root[chosen]
    which = target or gate.target or ctx.config.default_target
    if which not in ctx.config.targets:
        raise UsageError(
            f"gate {chosen!r} is about target {which!r}, which the configuration does not know",
            hint=f"Known: {', '.join(sorted(ctx.config.targets)) or 'none'}.",
        )
    run_id, decision = check_gate(ctx.history, chosen, gate, which, config_digest=ctx.config.digest)
    emit(_payload(run_id, decision), as_json=as_json, table=lambda: gate_table(decision))
    exit_with(decision.verdict)


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """The gates of the configuration and what they require."""
    from crmops.gate import Gates

    gates = context().config.parse("gates", Gates)
    rows = [
        (name, each.name, f"{each.kind} {each.subject}", str(each.objective or "the run passed"))
        for name, gate in gates.root.items()
        for each in gate.requirements
    ]
    emit(
        gates,
        as_json=as_json,
        table=lambda: table("gates", ("gate", "requirement", "evidence", "wanted"), rows),
    )


def _choose(gates: Gates, name: str) -> str:
    known = sorted(gates.root)
    if not known:
        raise ConfigError("no gate is configured", hint="Add one under gates: in crmops.yaml.")
    if not name and len(known) == 1:
        return known[0]
    if name in gates.root:
        return name
    near = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    wanted = f"there is no gate {name!r}" if name else "there is more than one gate"
    raise UsageError(wanted, hint=f"{hint}Known: {', '.join(known)}.")


def _payload(run_id: str, decision: Decision) -> dict[str, Any]:
    return {
        "run": run_id,
        "decision": decision.word,
        "reason": decision.reason,
        **decision.model_dump(mode="json"),
    }


def gate_table(decision: Decision) -> object:
    """The decision for people: requirement, verdict, number, limit, evidence, and every reason.

    Where there is no room for reasons beside the numbers, those of what is unmet follow below.
    """
    title = f"gate {decision.gate} on {decision.target}: {decision.word.upper()}"
    rows = [_row(each) for each in decision.rulings]
    if console().width >= WIDE_ENOUGH:
        return table(title, COLUMNS, rows)
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.text import Text

    short = [
        (*row[:4], f"{each.requirement.kind} {each.requirement.subject}")
        for row, each in zip(rows, decision.rulings, strict=True)
    ]
    narrow = table(title, (*COLUMNS[:4], "evidence"), short)
    narrow.box = SIMPLE_HEAD
    for column in narrow.columns[1:]:
        column.no_wrap = True
    unmet = [each for each in decision.rulings if each.verdict is not Verdict.PASS]
    reasons = [Text(f"{each.requirement.name}: {_reason(each)}") for each in unmet]
    return Group(narrow, *reasons)


def _reason(ruling: Ruling) -> str:
    if ruling.waiver is None:
        return ruling.reason
    return f"{ruling.reason} (waived by {ruling.waiver.approver} until {ruling.waiver.expires})"


def _row(ruling: Ruling) -> tuple[object, ...]:
    requirement = ruling.requirement
    unit = str(ruling.unit or requirement.unit or "")
    limit = "passed"
    if requirement.limit is not None:
        limit = f"{requirement.op} {human_value(requirement.limit, unit)}"
    return (
        requirement.name,
        verdict_text(ruling.verdict),
        human_value(ruling.value, unit),
        limit,
        ruling.observed or "-",
        "-" if ruling.age is None else human_seconds(max(ruling.age, 0)),
        ruling.run_id or "-",
        _reason(ruling),
    )
