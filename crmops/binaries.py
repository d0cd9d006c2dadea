"""Where the servers and the browser are that crmops starts but does not ship.

Prometheus, Alertmanager and Chromium come from Debian's packages, installed or unpacked by the
set-up into ``.tools`` of the project; so do the databases and backup programs that the tests of
audits and drills run against, apart from them in ``.tools/servers``, which is in nobody's PATH. The
set-up itself uses this module before there is a virtual environment, so it needs nothing but the
standard library.

An unpacked Alertmanager has one difficulty: Debian's build reads its template from a fixed path,
``/usr/share/prometheus/alertmanager/default.tmpl``, and dies without it. It is started in a private
mount namespace, where that path shows the unpacked template. Nothing outside sees a change. The
same way a server that leaves root can be started from a project directory that only root may enter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from crmops.errors import CannotRun

PROJECT = Path(__file__).resolve().parent.parent
TOOLS = PROJECT / ".tools"
SERVERS = TOOLS / "servers"
TEMPLATE = Path("/usr/share/prometheus/alertmanager/default.tmpl")

PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "amtool": ("amtool",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "chromium": ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"),
    "mariadb_install_db": ("mariadb-install-db", "mysql_install_db"),
    "mariadb_backup": ("mariadb-backup", "mariabackup"),
    "mariadb_binlog": ("mariadb-binlog", "mysqlbinlog"),
}
"""What we call a program, and the names it goes by."""

PACKAGES: Mapping[str, str] = {
    "promtool": "prometheus",
    "amtool": "prometheus-alertmanager",
    "alertmanager": "prometheus-alertmanager",
    "mariadbd": "mariadb-server-core",
    "mariadb": "mariadb-client-core",
    "mariadb_install_db": "mariadb-server-core",
    "mariadb_backup": "mariadb-backup",
    "mariadb_binlog": "mariadb-client",
    "java": "default-jre-headless",
}

UserAndGroup = tuple[int, int]

_PRIVATE_SHARE = """
set -e
hold=$1 unpacked=$2 programs=$3
shift 3
mount -t tmpfs -o mode=755 tmpfs "$hold"
for name in zoneinfo ca-certificates mime; do
    [ -d "/usr/share/$name" ] || continue
    mkdir "$hold/$name"
    mount --rbind "/usr/share/$name" "$hold/$name"
done
mkdir "$hold/prometheus" "$hold/crmops"
mount --rbind "$unpacked" "$hold/prometheus"
mount --rbind "$programs" "$hold/crmops"
mount --rbind "$hold" /usr/share
exec "$@"
"""
"""Run inside the new namespace: /usr/share becomes what a server needs of it and no more."""


def environment_name(name: str) -> str:
    """The variable that names a program outright, for example ``CRMOPS_PROMETHEUS``."""
    return f"CRMOPS_{name.upper().replace('-', '_')}"


def find_binary(name: str) -> Path | None:
    """The program ``name``, a key of `PROGRAMS` or any other; None when there is none.

    Looked for in its environment variable, the project's ``.tools``, ``PATH`` and ``/usr/bin``.
    Raises CannotRun when the variable names something that cannot be started.
    """
    variable = environment_name(name)
    if given := os.environ.get(variable):
        found = shutil.which(given)
        if found is None:
            raise CannotRun(
                f"{variable} is {given}, which is no program that can be started",
                hint=f"Correct {variable}, or unset it to have {name} looked for.",
            )
        return Path(found)
    own = [TOOLS / "usr/bin", SERVERS / "usr/bin", SERVERS / "usr/sbin"]
    own += sorted((SERVERS / "usr/lib/jvm").glob("java-[0-9]*/bin"))
    places = [*map(str, own), os.environ.get("PATH", ""), "/usr/bin", "/usr/sbin"]
    for known in PROGRAMS.get(name, (name,)):
        if found := shutil.which(known, path=os.pathsep.join(places)):
            return Path(found)
    return None


def need_binary(name: str) -> Path:
    """The program ``name``. Raises CannotRun, with the way to get it, when there is none."""
    found = find_binary(name)
    if found is None:
        package = PACKAGES.get(name, name)
        raise CannotRun(
            f"{name} was not found",
            hint=f"Run make setup, or {install_command(package)}, "
            f"or name the program in {environment_name(name)}.",
        )
    return found


def system_postgres() -> Path | None:
    """The directory of the programs (initdb, postgres, ...) of Debian's newest PostgreSQL.

    That is one installed on the machine, else the one unpacked by the set-up; None without any.
    """
    for root in (Path("/usr"), SERVERS / "usr"):
        found = [bins for bins in root.glob("lib/postgresql/*/bin") if (bins / "initdb").exists()]
        if found:
            return max(found, key=lambda bins: float(bins.parent.name))
    return None


def tool_environment() -> dict[str, str]:
    """The variables that programs unpacked in ``.tools/servers`` need to find their libraries.

    Empty where nothing is unpacked. Add it to the environment of each such program.
    """
    folders = sorted((SERVERS / "usr/lib").glob("*-linux-gnu"))
    folders += sorted((SERVERS / "lib").glob("*-linux-gnu"))
    if not folders:
        return {}
    given = os.environ.get("LD_LIBRARY_PATH", "")
    return {"LD_LIBRARY_PATH": os.pathsep.join([*map(str, folders), *([given] if given else [])])}


def libraries_for(program: Path) -> dict[str, str]:
    """The variables that one program needs to find its libraries; none for an installed one."""
    return tool_environment() if program.is_relative_to(SERVERS) else {}


def modules_for(program: Path) -> Path | None:
    """Where the Python modules of an unpacked program lie; None for an installed one."""
    unpacked = program.is_relative_to(SERVERS)
    return SERVERS / "usr" / "lib" / "python3" / "dist-packages" if unpacked else None


def installed_postgres(major: int) -> Path | None:
    """The directory of Debian's programs of one version, installed or unpacked; None without."""
    for root in (Path("/usr"), SERVERS / "usr"):
        place = root / "lib" / "postgresql" / str(major) / "bin"
        if (place / "pg_basebackup").is_file():
            return place
    return None


def install_command(*packages: str) -> str:
    """What the reader types to install Debian packages, with sudo where it takes that."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install -y --no-install-recommends {' '.join(packages)}"


def prometheus_command(
    arguments: Sequence[str], *, run_as: UserAndGroup | None = None
) -> list[str]:
    """The command line that starts Prometheus with ``arguments``.

    ``run_as`` is the user and group to become first, for a caller that is root. The process started
    is the server itself: its pid is the one to signal. Raises CannotRun when it cannot be had.
    """
    return _server_command(need_binary("prometheus"), arguments, run_as, private=False)


def alertmanager_command(
    arguments: Sequence[str], *, run_as: UserAndGroup | None = None
) -> list[str]:
    """The command line that starts Alertmanager with ``arguments``; as `prometheus_command`.

    Raises CannotRun, with the fix, also where an unpacked one cannot be given its template.
    """
    binary = need_binary("alertmanager")
    debian = binary.name == "prometheus-alertmanager"
    return _server_command(binary, arguments, run_as, private=debian and not TEMPLATE.exists())


def _server_command(
    binary: Path, arguments: Sequence[str], run_as: UserAndGroup | None, *, private: bool
) -> list[str]:
    become = [] if run_as is None else _become(run_as)
    if not private and (run_as is None or open_to_all(binary)):
        return [*become, str(binary), *arguments]
    seen = f"/usr/share/crmops/{binary.name}"
    enter = _enter(binary)
    if not _succeeds([*enter, *become, seen, "--version"]):
        raise CannotRun(
            f"{binary} can only be started in a private mount namespace, and this machine allows "
            "none",
            hint=_namespace_hint(),
        )
    return [*enter, *become, seen, *arguments]


def _become(run_as: UserAndGroup) -> list[str]:
    user, group = run_as
    return ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]


def _enter(binary: Path) -> list[str]:
    share = binary.resolve().parent.parent / "share"
    flags = "-m" if os.geteuid() == 0 else "-rm"
    script = ["sh", "-c", _PRIVATE_SHARE, "sh"]
    # Every Debian package has documentation, so share/doc is there to be covered by the mount.
    places = [share / "doc", share / "prometheus", binary.resolve().parent]
    return ["unshare", flags, "--", *script, *map(str, places)]


def _succeeds(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _namespace_hint() -> str:
    install = install_command("prometheus", "prometheus-alertmanager")
    restricted = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    try:
        if os.geteuid() != 0 and restricted.read_text().strip() == "1":
            return f"Run {install}, or sudo sysctl {'.'.join(restricted.parts[-2:])}=0."
    except OSError:
        pass
    return f"Run {install}."


def open_to_all(path: Path) -> bool:
    """Whether any user may reach and run ``path``: every folder above it is open to others."""
    path = path.resolve()
    try:
        return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))
    except OSError:
        return False
