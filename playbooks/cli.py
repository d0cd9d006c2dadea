"""``crmops backup`` and ``crmops drill``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crmops.cli_support import (
    JsonFlag,
    TargetOption,
    context,
    emit,
    exit_with,
    note,
    table,
)
from crmops.errors import UsageError
from crmops.record import Run, Unit
from crmops.units import human_value
from playbooks.saas_cli import drill_saas
from playbooks.store_cli import BackupOption, IdentityOption, PlaceOption, placed, register

if TYPE_CHECKING:
    from playbooks.calendar import Calendar
    from playbooks.catalogue import Manifest
    from playbooks.plan import Plan
    from playbooks.run import Room

backup_app = typer.Typer(help="Back the CRM's database up, verified.", no_args_is_help=True)
drill_app = typer.Typer(
    help="Restore a backup in isolation and prove it; RTO and RPO.", no_args_is_help=True
)


@backup_app.command("run")
def backup_run(
    target: TargetOption = "",
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Only what changed since the newest backup.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Take one backup, verify it and write down what the database contained."""
    from playbooks.run import back_up

    _show(back_up(_room(target), incremental=incremental), as_json)


@backup_app.command("list")
def backup_list(
    target: TargetOption = "", place: PlaceOption = "here", as_json: JsonFlag = False
) -> None:
    """The backups there are, newest first; half and damaged ones are none."""
    from playbooks.run import removable

    room = placed(_room(target), place)
    found, going = room.catalogue.manifests(), removable(room)
    payload = {
        "backups": [each.model_dump(mode="json", include=_LISTED) for each in found],
        "removed_by_the_next_backup": going,
    }
    emit(payload, as_json=as_json, table=lambda: _list_table(found, going))


register(backup_app)


@drill_app.command("run")
def drill_run(  # noqa: PLR0913, PLR0917 - a command's options
    target: TargetOption = "",
    backup: BackupOption = "latest",
    to: Annotated[
        str, typer.Option("--to", help="Recover to 2026-03-01T12:00:00Z, or to the newest moment.")
    ] = "",
    operator: Annotated[
        str, typer.Option("--operator", help="Who asks for it, for the evidence.")
    ] = "",
    approver: Annotated[
        str, typer.Option("--approver", help="Who approved it, for the evidence.")
    ] = "",
    place: PlaceOption = "here",
    identity: IdentityOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Restore a backup into an isolated instance, compare it with its source and judge it."""
    from playbooks.run import drill, drill_forward, drill_to, signed_by

    room = placed(signed_by(_room(target), operator, approver), place, identity)
    if to == "newest":
        _show(drill_forward(room, backup), as_json)
    elif to:
        _show(drill_to(room, _moment(to), backup), as_json)
    else:
        _show(drill(room, backup), as_json)


def _moment(text: str) -> datetime:
    from playbooks.job import parse_time

    try:
        return parse_time(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no moment", hint="Write it with a zone: 2026-03-01T12:00:00+08:00."
        ) from None


@drill_app.command("failover")
def drill_failover(
    target: TargetOption = "", backup: BackupOption = "latest", as_json: JsonFlag = False
) -> None:
    """Rehearse a failover on copies: promote a standby, re-point, measure the outage."""
    from playbooks.run import rehearse_failover

    _show(rehearse_failover(_room(target), backup), as_json)


@drill_app.command("plan")
def drill_plan(
    target: TargetOption = "", backup: BackupOption = "latest", as_json: JsonFlag = False
) -> None:
    """What a drill would do and need; nothing is touched."""
    from playbooks.plan import plan_drill

    plan = plan_drill(_room(target), backup)
    emit(plan, as_json=as_json, table=lambda: _plan_table(plan))


@drill_app.command("calendar")
def drill_calendar(target: TargetOption = "", as_json: JsonFlag = False) -> None:
    """When the next drill is due, and which were missed; fails when one is overdue."""
    from crmops.record import utc_now
    from playbooks.calendar import read_calendar

    room = _room(target)
    found = read_calendar(room.history, room.target.name, room.settings, utc_now())
    payload = {"verdict": found.verdict, **found.model_dump(mode="json")}
    emit(payload, as_json=as_json, table=lambda: _calendar_table(found))
    exit_with(found.verdict)


def _calendar_table(found: Calendar) -> object:
    every = human_value(found.every_seconds, Unit.SECONDS)
    last = found.last_passed.isoformat(timespec="minutes") if found.last_passed else "never"
    rows = [
        ("owner", found.owner or "not given"),
        ("approver", found.approver or "not given"),
        ("every", every),
        ("last that passed", last),
        ("due", found.due.isoformat(timespec="minutes") if found.due else "now"),
        ("missed periods", str(found.missed)),
        ("not passed since", str(found.failed_since)),
    ]
    return table(f"drills of {found.target}: {found.state}", ("what", "value"), rows)


@drill_app.command("mutate")
def drill_mutate(
    target: TargetOption = "", backup: BackupOption = "latest", as_json: JsonFlag = False
) -> None:
    """Put the drill to the test: every fault must be noticed, the undamaged control must pass."""
    from playbooks.mutate import mutate

    run, results = mutate(_room(target), backup)
    rows = [
        ("✔" if each.right else "✘", each.fault, str(each.verdict), each.noticed_by, each.reason)
        for each in results
    ]
    emit(
        {**run.dump(), "faults": results},
        as_json=as_json,
        table=lambda: table(
            f"faults on {run.target}: {run.verdict}, {run.reason}",
            ("", "fault", "verdict", "noticed by", "reason"),
            rows,
        ),
    )
    exit_with(run.verdict)


drill_app.command("saas")(drill_saas)


@drill_app.command("key")
def drill_key(target: TargetOption = "", as_json: JsonFlag = False) -> None:
    """The public key that evidence is verified with; keep it away from this host."""
    from playbooks.signing import fingerprint, load_key, public_pem

    key = load_key(_room(target).signing_key)
    payload = {"key": fingerprint(key.public_key()), "public_key": public_pem(key)}
    emit(payload, as_json=as_json, table=payload["public_key"].rstrip)


@drill_app.command("verify")
def drill_verify(
    file: Annotated[Path, typer.Argument(help="evidence.json of a backup or drill.")],
    key: Annotated[
        Path | None, typer.Option("--key", help="The public key, from crmops drill key.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Examine signed evidence, offline, on any machine; needs no configuration."""
    from playbooks.evidence import LOG
    from playbooks.signing import examine

    log = file.with_name(LOG)
    found = examine(
        _text(file),
        _text(key) if key is not None else None,
        log.read_bytes() if log.is_file() else None,
    )
    payload = {"verdict": found.verdict, "reason": found.reason, "facts": found.facts,
               "proves": PROVES}  # fmt: skip
    rows = [*found.facts.items(), ("what this proves", PROVES)]
    emit(
        payload,
        as_json=as_json,
        table=lambda: table(f"evidence: {found.verdict}, {found.reason}", ("what", "value"), rows),
    )
    exit_with(found.verdict)


@drill_app.command("page")
def drill_page(
    file: Annotated[Path, typer.Argument(help="evidence.json of a backup or drill.")],
    language: Annotated[
        str, typer.Option("--language", help="Language of the page: en or zh.")
    ] = "en",
) -> None:
    """Print evidence as a page of HTML for a browser and its printer; offline, unverified."""
    from playbooks.page import render
    from playbooks.words import LANGUAGES

    if language not in LANGUAGES:
        raise UsageError(f"there is no page in {language!r}", hint="Choose en or zh.")
    typer.echo(render(_text(file), language), nl=False)


PROVES = (
    "A valid signature proves that the holder of the key signed this and that nothing was changed "
    "since. It does not prove that the drill was honest: for that, keep the key on another host."
)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"{path} cannot be read: {reason}", hint="Give the right path.") from None


_LISTED = {"id", "target", "begun", "ended", "database", "postgres", "bytes", "point", "timeline",
           "provider", "parents"}  # fmt: skip


def _room(target: str) -> Room:
    from playbooks.run import Room
    from playbooks.settings import Settings

    ctx = context()
    return Room(
        target=ctx.target(target),
        settings=ctx.config.parse("drills", Settings),
        history=ctx.history,
        state=ctx.config.state_dir,
        config_digest=ctx.config.digest,
        say=note,
    )


def _show(run: Run, as_json: bool) -> None:
    emit(run.dump(), as_json=as_json, table=lambda: _run_table(run))
    for each in run.findings if not as_json else ():
        note(f"{each.severity}: {each.title}{f': {each.detail}' if each.detail else ''}")
    exit_with(run.verdict)


def _run_table(run: Run) -> object:
    rows = [(m.name, human_value(m.value, m.unit), str(m.observed)) for m in run.measures]
    title = f"{run.kind} of {run.target}: {run.verdict}, {run.reason}"
    return table(title, ("measure", "value", "samples"), rows)


def _list_table(found: list[Manifest], going: list[str]) -> object:
    rows = [
        (
            each.id,
            each.ended.isoformat(timespec="seconds"),
            human_value(each.bytes, Unit.BYTES),
            each.database,
            f"{each.provider}, {'incremental' if each.parents else 'full'}",
            each.postgres,
            "goes with the next backup" if each.id in going else "stays",
        )
        for each in found
    ]
    return table(
        "backups", ("backup", "taken", "size", "database", "taken by", "version", "retention"), rows
    )


def _plan_table(plan: Plan) -> object:
    before, expected = plan.seconds_last_time, plan.seconds_expected
    stages = [
        f"{each} {human_value(took, Unit.SECONDS)}" if took is not None else each
        for each, took in ((name, plan.stage_seconds.get(name)) for name in plan.stages)
    ]
    rows = [
        ("backup", f"{plan.backup}, {human_value(plan.age_seconds, Unit.SECONDS)} old"),
        ("recover to", plan.recover_to),
        ("scratch directory", plan.scratch),
        ("space needed", human_value(plan.bytes_needed, Unit.BYTES)),
        ("space free", human_value(plan.bytes_free, Unit.BYTES)),
        ("segments to read", str(plan.segments)),
        ("last time", human_value(before, Unit.SECONDS) if before is not None else "never"),
        ("will take about", human_value(expected, Unit.SECONDS) if expected else "not known yet"),
        ("stages, last time", ", ".join(stages)),
        ("objectives", "; ".join(plan.objectives)),
        ("obstacles", "; ".join(plan.obstacles) or "none"),
    ]
    return table(f"drill of {plan.target}: plan", ("what", "value"), rows)
