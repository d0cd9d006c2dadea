"""``crmops pull``, ``crmops push`` and ``crmops drill saas``: snapshots through the CRM's API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from crmops.cli_support import JsonFlag, TargetOption, context
from crmops.errors import ConfigError
from playbooks.store_cli import IdentityOption, placed, room_of, show

if TYPE_CHECKING:
    from crmops.target import Target
    from playbooks.run import Room

SnapshotOption = Annotated[
    str, typer.Option("--snapshot", help="Which snapshot: an id, latest or oldest.")
]
IntoOption = Annotated[
    str, typer.Option("--into", help="The target to push into; never a production system.")
]


def pull(target: TargetOption = "", as_json: JsonFlag = False) -> None:
    """Pull every record of a CRM through its API into a signed snapshot; goes on after a kill."""
    from playbooks.saas.drill import pull as pull_snapshot

    show(pull_snapshot(room_of(target)), as_json)


def push(
    target: TargetOption = "",
    into: IntoOption = "",
    snapshot: SnapshotOption = "latest",
    sample: Annotated[
        int, typer.Option("--sample", min=0, help="About so many records; 0: all.")
    ] = 0,
    identity: IdentityOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Push a snapshot into another CRM and compare it there; goes on, creates nothing twice."""
    from playbooks.saas.drill import push as push_snapshot

    room = placed(room_of(target), "here", identity)
    show(push_snapshot(room, other_target(room, into), snapshot, sample), as_json)


def drill_saas(
    target: TargetOption = "",
    into: IntoOption = "",
    snapshot: SnapshotOption = "latest",
    identity: IdentityOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Load a snapshot, compare it, push a sample into another CRM, read it back, remove it."""
    from playbooks.saas.drill import drill

    room = placed(room_of(target), "here", identity)
    show(drill(room, other_target(room, into), snapshot), as_json)


def other_target(room: Room, into: str) -> Target:
    """The target that records are pushed into.  Raises ConfigError when none is named."""
    name = into or room.settings.saas.into
    if not name:
        raise ConfigError(
            "no CRM was named to push into",
            hint="Set drills.saas.into to a target that is a test organisation, or give --into.",
        )
    return context().target(name)
