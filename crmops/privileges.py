"""Leaves root: our servers run as somebody who owns nothing but their own directory.

A clone below ``/root`` or an interpreter in a private home cannot even be read by another user.
Then, and only then, one capability is kept: reading and entering directories regardless of their
mode (CAP_DAC_READ_SEARCH), or, where the container has taken that one away, CAP_DAC_OVERRIDE.
See capabilities(7), prctl(2) and ``Documentation/userspace-api/no_new_privs.rst`` of Linux.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from crmops.errors import CannotRun

USER_VARIABLE = "CRMOPS_OS_USER"
DEFAULT_USER = "nobody"

_SYSTEM = tuple(
    map(Path, ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/sbin", "/sys", "/usr"))
)
_OF_DEBIAN = frozenset({
    "apt", "backups", "cache", "dbus", "dpkg", "lib", "local", "lock", "log", "mail", "opt",
    "postgresql", "prometheus", "run", "spool", "systemd", "tmp",
})  # fmt: skip
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS = 4, 8
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 38, 47, 2
_CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def current_user() -> str:
    """The name of who we are; the number where it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def drop_privileges(
    owned: Sequence[Path],
    *,
    user: str | None = None,
    state_dir: Path | None = None,
    inherit: bool = False,
    warn: Callable[[str], None] = lambda text: print(f"warning: {text}", file=sys.stderr),  # noqa: T201
) -> str:
    """Become ``user`` (else ``$CRMOPS_OS_USER``, else nobody) for good.  Returns the user's name.

    Does nothing unless we are root.  ``owned`` are handed over to the user with all that is in
    them: never a directory of the system, a home, or one with this installation in it, and only
    inside ``state_dir`` when that is given.  Children get the capability that may be kept only
    with ``inherit``.  Must be called before the first
    thread.  Raises CannotRun.
    """
    if os.geteuid() != 0:
        return current_user()
    account = _account(user or os.environ.get(USER_VARIABLE) or DEFAULT_USER)
    for path in owned:
        _check_ours(path, state_dir)
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise CannotRun(
            "root cannot be left once threads run",
            hint="This is a mistake in crmops: privileges are dropped first.",
        )
    for path in owned:
        hand_over(path, account.pw_uid, account.pw_gid)
    needed = [Path(sys.prefix), Path(os.__file__), Path(__file__), *owned]
    kept = None if _can_reach(account, needed) else _capability_to_keep(warn)
    _become(account, kept, inherit=inherit)
    os.environ.update(USER=account.pw_name, LOGNAME=account.pw_name)
    if owned:  # root's home is closed to us, and libraries look for their settings at home
        os.environ["HOME"] = str(owned[0])
    return account.pw_name


def hand_over(path: Path, uid: int, gid: int) -> None:
    """Give a directory (or file) and all in it to a user, following no symbolic link.

    A file with a second name elsewhere is left alone: it may be somebody else's.
    """
    if path.is_symlink() or not path.is_dir():
        _own(path.name, uid, gid, directory=os.open(path.parent, os.O_RDONLY), close=True)
        return
    for _, folders, names, directory in os.fwalk(path, follow_symlinks=False):
        os.fchown(directory, uid, gid)
        for name in (*folders, *names):
            _own(name, uid, gid, directory=directory)


def _own(name: str, uid: int, gid: int, *, directory: int, close: bool = False) -> None:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode) or status.st_nlink == 1:
            os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:  # it was removed meanwhile
        pass
    finally:
        if close:
            os.close(directory)


def _account(name: str) -> pwd.struct_passwd:
    hint = f"Name an ordinary user of this machine in {USER_VARIABLE}."
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        raise CannotRun(f"there is no user {name!r} to run as", hint=hint) from None
    if account.pw_uid == 0:
        raise CannotRun(f"{name!r} is root; our servers do not run as root", hint=hint)
    return account


def _check_ours(path: Path, state_dir: Path | None) -> None:
    real = path.resolve()
    inside = state_dir is None or real.is_relative_to(state_dir.resolve())
    if not inside or _is_of_others(real):
        raise CannotRun(
            f"{path} is not inside our own directory and will not be given away",
            hint="Set state: to a directory of its own, such as .crmops.",
        )
    if not path.exists():
        raise CannotRun(f"{path} does not exist", hint="Make the directory first.")


def _is_of_others(real: Path) -> bool:
    """Whether a directory is, or holds, anything that a wrong ``state:`` must not give away."""
    homes = {Path(each.pw_dir) for each in pwd.getpwall()}
    used = {Path(__file__).parent.parent, Path(sys.prefix), *homes}
    return (
        len(real.parts) < 3
        or real == Path.cwd()
        or any(real.is_relative_to(each) for each in _SYSTEM)
        or any(each.is_relative_to(real) for each in used)
        or (real.parent in (Path("/var"), Path("/var/lib")) and real.name in _OF_DEBIAN)
        or (real / ".git").exists()
    )


def _can_reach(account: pwd.struct_passwd, paths: Iterable[Path]) -> bool:
    """Whether a user could read all of this: asked of the system itself, in a child process."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups(os.getgrouplist(account.pw_name, account.pw_gid))
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            code = 0 if all(os.access(path, os.R_OK) for path in paths) else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _capability_to_keep(warn: Callable[[str], None]) -> int:
    permitted = _capabilities()[1]
    if permitted & (1 << CAP_DAC_READ_SEARCH):
        return CAP_DAC_READ_SEARCH
    if permitted & (1 << CAP_DAC_OVERRIDE):
        warn(
            "CAP_DAC_READ_SEARCH is not there; CAP_DAC_OVERRIDE is kept in its place, "
            "which may also write: install crmops where others can read it"
        )
        return CAP_DAC_OVERRIDE
    raise CannotRun(
        "another user could not read this installation, and no capability is left to let it",
        hint="Install crmops where others can read it, or run it as an ordinary user.",
    )


def _become(account: pwd.struct_passwd, kept: int | None, *, inherit: bool) -> None:
    try:
        _prctl(_PR_SET_KEEPCAPS, 0 if kept is None else 1)
        _empty_bounding_set(kept)
        os.setgroups(os.getgrouplist(account.pw_name, account.pw_gid))
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
        bits = 0 if kept is None else 1 << kept
        _set_capabilities(bits, bits if inherit else 0)
        if kept is not None and inherit:
            _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, kept)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        # Passwords are in our memory: no core file, and no other process of this user looks in.
        _prctl(_PR_SET_DUMPABLE, 0)
    except OSError as error:
        raise CannotRun(
            f"root cannot be left for {account.pw_name}: {(error.strerror or str(error)).lower()}",
            hint="Run crmops as an ordinary user.",
        ) from error
    if 0 in (*os.getresuid(), *os.getresgid()) or _capabilities()[1] != bits:
        raise CannotRun("root was not left completely", hint="Run crmops as an ordinary user.")


def _empty_bounding_set(kept: int | None) -> None:
    """What is not in this set no child can ever gain; a second wall behind no_new_privs."""
    for capability in range(64):
        if capability == kept or _libc().prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) != 1:
            continue
        try:
            _prctl(_PR_CAPBSET_DROP, capability)
        except PermissionError:  # without CAP_SETPCAP only no_new_privs stands
            return


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, first: int, second: int = 0) -> None:
    arguments = (ctypes.c_ulong(each) for each in (first, second, 0, 0))
    if _libc().prctl(option, *arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _capabilities() -> tuple[int, int]:
    """The effective and the permitted set of this thread, as bits."""
    sets = (_Sets * 2)()
    header = _Header(_CAPABILITY_VERSION_3, 0)
    if _libc().capget(ctypes.byref(header), sets) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    low, high = sets
    return low.effective | high.effective << 32, low.permitted | high.permitted << 32


def _set_capabilities(bits: int, inheritable: int) -> None:
    sets = (_Sets * 2)(
        _Sets(bits & 0xFFFFFFFF, bits & 0xFFFFFFFF, inheritable & 0xFFFFFFFF),
        _Sets(bits >> 32, bits >> 32, inheritable >> 32),
    )
    header = _Header(_CAPABILITY_VERSION_3, 0)
    if _libc().capset(ctypes.byref(header), sets) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
