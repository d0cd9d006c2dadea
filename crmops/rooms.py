"""Which command lives where.  Nothing here is imported until its command is called."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import typer
from typer.core import TyperCommand, TyperGroup

from crmops.errors import CannotRun

_REHEARSE, _WATCH, _HOUSE = "Rehearse and judge", "Watch", "The house"


@dataclass(frozen=True)
class Room:
    """A command of the first level: where it lives and what ``--help`` says about it."""

    name: str
    where: str
    help: str
    panel: str


ROOMS: dict[str, Room] = {
    each.name: each
    for each in (
        Room(
            "demo", "crmops.demo.command:demo", "Rehearse a whole launch on a real CRM.", _REHEARSE
        ),
        Room(
            "gate", "crmops.gate_cli:app", "Go, no-go or unknown, from stored evidence.", _REHEARSE
        ),
        Room(
            "load", "loadtests.cli:app", "Thousands of people at work, with a verdict.", _REHEARSE
        ),
        Room("dq", "dq_checks.cli:app", "Audit the data: scores, worklists.", _REHEARSE),
        Room(
            "backup", "playbooks.cli:backup_app", "Back the CRM's database up, verified.", _REHEARSE
        ),
        Room("pull", "playbooks.saas_cli:pull", "A snapshot of every record, by API.", _REHEARSE),
        Room("push", "playbooks.saas_cli:push", "A snapshot into another CRM.", _REHEARSE),
        Room("drill", "playbooks.cli:drill_app", "Restore in isolation; RTO and RPO.", _REHEARSE),
        Room("serve", "crmops.serve:serve", "Scheduler, exporter and console in one.", _WATCH),
        Room("probe", "probes.cli:app", "Walk journeys as probes.", _WATCH),
        Room("alerts", "alerts.cli:app", "Alert rules, their tests and runbooks.", _WATCH),
        Room("exporter", "exporter.cli:app", "Metrics of every run for Prometheus.", _WATCH),
        Room("runs", "crmops.runs_cli:app", "What was executed, and its evidence.", _WATCH),
        Room("config", "crmops.config_cli:app", "Check, show and describe the settings.", _HOUSE),
        Room("init", "crmops.config_cli:init", "Write a crmops.yaml to begin with.", _HOUSE),
        Room("doctor", "crmops.doctor:doctor", "What this machine lacks, and the fix.", _HOUSE),
    )
}

EXTRAS: dict[str, str] = {
    "locust": "load",
    "gevent": "load",
    "great_expectations": "dq",
    "pandas": "dq",
    "xlsxwriter": "dq",
    "phonenumbers": "dq",
    "ansible": "drills",
    "ansible_runner": "drills",
    "cryptography": "drills",
    "pyrage": "drills",
    "weasyprint": "pdf",
}
"""The extra of this distribution that brings a module."""

_OURS = frozenset(each.where.partition(".")[0] for each in ROOMS.values())


def missing_module(error: ModuleNotFoundError) -> CannotRun | None:
    """What to say about a module that is not installed; None when that is our own mistake."""
    top = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(top)
    if extra:
        return CannotRun(
            f"{top} is not installed", hint=f"Install the extra: pip install 'crmops[{extra}]'."
        )
    if not top or top in _OURS:
        return None
    return CannotRun(
        f"{top} is not installed", hint="Install crmops again: something of it is missing."
    )


def load_command(room: Room) -> TyperCommand | TyperGroup:
    """The command itself.  Raises CannotRun when its module or an extra is not installed."""
    module_name, _, attribute = room.where.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            raise CannotRun(
                f"crmops {room.name} is not part of this installation",
                hint=f"It lives in {module_name}, which is not there.",
            ) from error
        raise
    found = getattr(module, attribute)
    if isinstance(found, typer.Typer):
        command: TyperCommand | TyperGroup = typer.main.get_group(found)
    else:
        single = typer.Typer(add_completion=False)
        single.command(room.name)(found)
        command = typer.main.get_command(single)  # type: ignore[assignment]
    command.name = room.name
    return command


class LazyGroup(TyperGroup):
    """The top level: names and one-line helps from the table, commands only when called."""

    def __init__(self, **attributes: object) -> None:
        super().__init__(**attributes)  # type: ignore[arg-type]
        for room in ROOMS.values():
            self.add_command(TyperCommand(room.name, help=room.help, rich_help_panel=room.panel))

    def resolve_command(  # type: ignore[override]
        self, ctx: typer.Context, args: list[str]
    ) -> tuple[str | None, TyperCommand | TyperGroup | None, list[str]]:
        """The command that a name means, loaded; for the completion of shells as well."""
        room = ROOMS.get(args[0])
        if room is None:
            return super().resolve_command(ctx, args)  # type: ignore[return-value]
        return room.name, load_command(room), args[1:]
