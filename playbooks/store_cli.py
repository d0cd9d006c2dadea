"""``crmops backup verify | offsite | prune | keygen``: what is done with backups that there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crmops.cli_support import JsonFlag, TargetOption, emit, table
from crmops.errors import UsageError
from crmops.record import Run, Unit
from crmops.units import human_value

if TYPE_CHECKING:
    from playbooks.prune import Plan
    from playbooks.run import Room

BackupOption = Annotated[
    str, typer.Option("--backup", help="Which backup: an id, latest or oldest.")
]
PlaceOption = Annotated[
    str, typer.Option("--from", help="Which copy: here, or offsite for the second one.")
]
IdentityOption = Annotated[
    Path | None,
    typer.Option("--identity", help="The age key to decrypt with, such as the one in escrow."),
]


def placed(room: Room, place: str, identity: Path | None = None) -> Room:
    """The room with the copy and the key that options name.  Raises UsageError, ConfigError."""
    from playbooks.chores import at_offsite
    from playbooks.run import opened_with

    if place not in ("here", "offsite"):
        raise UsageError(f"there is no place {place!r}", hint="Choose here or offsite.")
    room = opened_with(room, identity)
    return at_offsite(room) if place == "offsite" else room


def backup_verify(
    target: TargetOption = "",
    backup: BackupOption = "latest",
    place: PlaceOption = "here",
    identity: IdentityOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare a stored backup with its signed manifest, file by file; restores nothing."""
    from playbooks.chores import verify

    show(verify(placed(room_of(target), place, identity), backup), as_json)


def backup_offsite(
    target: TargetOption = "", backup: BackupOption = "latest", as_json: JsonFlag = False
) -> None:
    """Copy a backup to the second place, and read it again there; goes on where it broke off."""
    from playbooks.chores import copy_offsite

    show(copy_offsite(room_of(target), backup), as_json)


def backup_prune(
    target: TargetOption = "",
    place: PlaceOption = "here",
    apply: Annotated[
        str, typer.Option("--apply", help="Remove what the plan of this name shows.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Show which old backups would go, and why the others stay; --apply removes them."""
    from playbooks.chores import apply_retention
    from playbooks.prune import plan_retention

    room = placed(room_of(target), place)
    if apply:
        show(apply_retention(room, apply), as_json)
        return
    plan = plan_retention(room.catalogue, room.settings)
    payload = {"plan": plan.digest, **plan.model_dump(mode="json")}
    emit(payload, as_json=as_json, table=lambda: _plan_table(plan))


def backup_keygen(
    file: Annotated[Path, typer.Argument(help="The new identity file; never written over.")],
    as_json: JsonFlag = False,
) -> None:
    """Make an age key in a file of mode 0600 and print its recipient for backup.encrypt_to."""
    from playbooks.encryption import make_keys

    recipient = make_keys(file)
    emit({"file": str(file), "recipient": recipient}, as_json=as_json, table=lambda: recipient)


def register(app: typer.Typer) -> None:
    """Add the commands to ``crmops backup``."""
    for name, command in (
        ("verify", backup_verify),
        ("offsite", backup_offsite),
        ("prune", backup_prune),
        ("keygen", backup_keygen),
    ):
        app.command(name)(command)


def room_of(target: str) -> Room:
    """The room of a target of the configuration."""
    from playbooks.cli import _room

    return _room(target)


def show(run: Run, as_json: bool) -> None:
    """Print a Run and end with its exit code."""
    from playbooks.cli import _show

    _show(run, as_json)


def _plan_table(plan: Plan) -> object:
    rows = [
        (
            each.backup,
            each.taken.isoformat(timespec="seconds"),
            human_value(each.bytes, Unit.BYTES),
            "yes" if each.good else "no",
            "goes" if each.goes else "stays",
        )
        for each in plan.lines
    ]
    title = f"plan {plan.digest}: {plan.rule}"
    return table(title, ("backup", "taken", "size", "good", "retention"), rows)
