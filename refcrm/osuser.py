"""The unprivileged user that servers run as when root starts them.

PostgreSQL refuses to run as root, and our own server need not. No user is ever created:
"nobody" exists everywhere, REFCRM_OS_USER names another one.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refcrm.errors import RefcrmError


@dataclass(frozen=True, slots=True)
class OsUser:
    """A user of the operating system."""

    name: str
    uid: int
    gid: int


def current() -> OsUser:
    """Who this process runs as."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return OsUser(name, uid, os.getegid())


def substitute() -> OsUser | None:
    """Who servers run as in place of root; None when this process is not root.

    Raises RefcrmError when the named user does not exist or is root itself.
    """
    if os.geteuid() != 0:
        return None
    name = os.environ.get("REFCRM_OS_USER", "nobody")
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise RefcrmError(
            f"user {name!r} does not exist",
            hint="Set REFCRM_OS_USER to an unprivileged user of this machine.",
        ) from None
    if entry.pw_uid == 0:
        raise RefcrmError(
            "servers cannot run as root", hint="Set REFCRM_OS_USER to an unprivileged user."
        )
    return OsUser(name, entry.pw_uid, entry.pw_gid)


def popen_options(user: OsUser | None) -> dict[str, Any]:
    """Keyword arguments for subprocess that run a child as user (nothing for None)."""
    if user is None:
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": []}


def become(user: OsUser | None) -> None:
    """Turn this process, all its threads, into user for good; nothing for None."""
    if user is None:
        return
    os.setgroups([])
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)


def blocked_at(path: Path, user: OsUser) -> Path | None:
    """The first directory on the way to and including path that user may not enter.

    Looks at owner, group and mode; access control lists are not considered.
    """
    for place in (*reversed(path.parents), path):
        entry = place.stat()
        if entry.st_uid == user.uid:
            needed = stat.S_IXUSR
        elif entry.st_gid == user.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not entry.st_mode & needed:
            return place
    return None


def give(path: Path, user: OsUser | None) -> None:
    """Make user the owner of path; nothing for None."""
    if user is not None:
        os.chown(path, user.uid, user.gid)
