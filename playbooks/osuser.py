"""The unprivileged user that PostgreSQL's programs run as when root starts them.

PostgreSQL refuses to run as root.  No user is ever created: ``nobody`` exists everywhere,
``CRMOPS_PG_OS_USER`` names another one, such as the ``postgres`` of a database host.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from crmops.errors import UsageError

VARIABLE = "CRMOPS_PG_OS_USER"


@dataclass(frozen=True, slots=True)
class OsUser:
    """A user of the operating system."""

    name: str
    uid: int
    gid: int


class PopenUser(TypedDict, total=False):
    """Arguments of subprocess that choose whom a child runs as."""

    user: int
    group: int
    extra_groups: list[int]


def substitute() -> OsUser | None:
    """Who PostgreSQL runs as in place of root; None when this process is not root.

    Raises UsageError when the named user does not exist or is root itself.
    """
    if os.geteuid() != 0:
        return None
    name = os.environ.get(VARIABLE, "nobody")
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise UsageError(
            f"user {name!r} does not exist",
            hint=f"Set {VARIABLE} to an unprivileged user of this machine.",
        ) from None
    if entry.pw_uid == 0:
        raise UsageError(
            "PostgreSQL cannot run as root", hint=f"Set {VARIABLE} to an unprivileged user."
        )
    return OsUser(name, entry.pw_uid, entry.pw_gid)


def popen_user(user: OsUser | None) -> PopenUser:
    """Arguments for subprocess that run a child as ``user``; none for None."""
    if user is None:
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": []}


def give(path: Path, user: OsUser | None) -> None:
    """Make ``user`` the owner of a file; nothing for None."""
    if user is not None:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)


def give_tree(root: Path, user: OsUser | None) -> None:
    """Make ``user`` the owner of a tree; nothing for None."""
    if user is None:
        return
    give(root, user)
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            give(Path(folder, name), user)


def take_tree(root: Path) -> None:
    """Make this process's user the owner of a tree again; nothing unless it is root."""
    if os.geteuid() == 0:
        give_tree(root, OsUser("root", 0, 0))


def reachable(path: Path, user: OsUser | None) -> bool:
    """Whether ``user`` may enter every directory down to and including ``path``.

    Looks at owner, group and mode; access control lists are not considered.
    """
    if user is None:
        return True
    for place in (*reversed(path.resolve().parents), path.resolve()):
        entry = place.stat()
        if entry.st_uid == user.uid:
            needed = stat.S_IXUSR
        else:
            needed = stat.S_IXGRP if entry.st_gid == user.gid else stat.S_IXOTH
        if not entry.st_mode & needed:
            return False
    return True
