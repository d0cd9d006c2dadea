"""Programs from Debian's packages: unpacked below .tools, for root as for anyone else.

Installing the packages prometheus and prometheus-alertmanager creates a system user, links
services into the boot and starts them. Nothing of that is wanted here, so the packages are
downloaded and unpacked into the project, with lists and archives of their own: the machine stays
as it was. What is installed already is used as it is.

One exception: an unpacked Alertmanager needs a private mount namespace to find its template
(crmops/binaries.py). Where there is none, as in most containers, and we are root, the package is
installed after all, under a policy that keeps its services from starting.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from crmops import binaries
from crmops.binaries import PACKAGES, install_command
from crmops.errors import CannotRun
from scripts.setup_ui import ROOT, TOOLS, ProgramFailed, SetupError, run, say, warn

APT = TOOLS / "apt"
SERVERS = ("prometheus", "promtool", "alertmanager")
BROWSER = ("chromium", "fonts-noto-cjk")
TESTED = {
    "PostgreSQL of this Debian": ("postgresql",),
    "MariaDB": ("mariadb-server-core", "mariadb-client", "mariadb-backup"),
    "pgBackRest": ("pgbackrest",),
    "Barman": ("barman",),
    "restic": ("restic",),
    "Java": ("openjdk-17-jre-headless", "openjdk-21-jre-headless"),
}
"""What the tests of audits and drills run against; of Java the first that this Debian has."""
POLICY = Path("/usr/sbin/policy-rc.d")
MISSING = "missing"
NEVER_UNPACKED = ("libc6_", "libc-bin_")


def apt_options() -> list[str]:
    """Options that make apt-get keep everything it writes below .tools, as any user."""
    for folder in ("lists/partial", "archives/partial"):
        (APT / folder).mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State": APT,
        "Dir::State::lists": APT / "lists",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": APT,
        "Dir::Cache::archives": APT / "archives",
        "Dir::Log": APT,
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "30",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def unpack(packages: Sequence[str], what: str, into: Path = TOOLS) -> None:
    """Download packages with those they need and the machine lacks, and unpack all below ``into``.

    Raises ProgramFailed when apt-get or dpkg fails.
    """
    shutil.rmtree(APT / "archives", ignore_errors=True)
    run(["apt-get", *apt_options(), "update"], what="reading Debian's package lists")
    _unpack(packages, what, into)
    shutil.rmtree(APT, ignore_errors=True)


def _unpack(packages: Sequence[str], what: str, into: Path) -> None:
    options = apt_options()
    download = ["install", "--download-only", "--reinstall", "--no-install-recommends", "-y"]
    run(["apt-get", *options, *download, *packages], what=f"downloading {what}")
    for package in sorted((APT / "archives").glob("*.deb")):
        if not package.name.startswith(NEVER_UNPACKED):
            run(["dpkg", "-x", package, into], what=f"unpacking {package.name}")


def pip_wheel() -> Path | None:
    """The pip that Debian packs as a wheel, installed or unpacked here; None without apt."""
    if shutil.which("apt-get") and not _wheels():
        try:
            unpack(["python3-pip-whl"], "pip")
        except ProgramFailed as failed:
            say(f"      {failed}")
    return max(_wheels(), default=None)


def _wheels() -> list[Path]:
    places = (Path("/usr/share/python-wheels"), TOOLS / "usr/share/python-wheels")
    return [wheel for place in places for wheel in place.glob("pip-*.whl")]


def install_servers() -> str:
    """Make prometheus, promtool and prometheus-alertmanager available; warn where that fails."""
    missing = sorted({PACKAGES.get(name, name) for name in SERVERS if not find(name)})
    if missing and not shutil.which("apt-get"):
        warn(
            f"{' and '.join(missing)} not found, and this machine has no apt-get: "
            "alerts will be unknown in the demo, and their tests fail",
            "install Prometheus and Alertmanager, or name their programs in "
            "CRMOPS_PROMETHEUS, CRMOPS_PROMTOOL and CRMOPS_ALERTMANAGER",
        )
        return MISSING
    if missing:
        try:
            unpack(missing, " and ".join(missing))
        except ProgramFailed as failed:
            warn(f"{failed}; alerts will be unknown in the demo", failed.fix)
            return MISSING
    _make_startable()
    return f"{find('prometheus')} and {find('alertmanager')}"


def find(name: str) -> Path | None:
    """A program that is unpacked here, installed on the machine or named by the user."""
    try:
        return binaries.find_binary(name)
    except CannotRun as wrong:
        raise SetupError(wrong.message, wrong.hint) from wrong


def _make_startable() -> None:
    try:
        binaries.alertmanager_command([])
    except CannotRun as cannot:
        if os.geteuid() == 0 and shutil.which("apt-get"):
            _install_alertmanager()
        else:
            warn(f"{cannot.message}: alerts will be unknown in the demo", cannot.hint)


def _install_alertmanager() -> None:
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    package = "prometheus-alertmanager"
    try:
        run(["apt-get", "update"], what="reading Debian's package lists", env=env)
        with services_stay_down():
            run(
                ["apt-get", "install", "-y", "--no-install-recommends", package],
                what=f"installing {package}",
                env=env,
            )
    except ProgramFailed as failed:
        fix = f"{failed.fix}, or by hand: {install_command(package)}"
        warn(f"{failed}; alerts will be unknown in the demo", fix)


@contextmanager
def services_stay_down() -> Iterator[None]:
    """A policy that forbids packages to start services, gone again afterwards if it is ours."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(POLICY.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def install_tested() -> str:
    """Make the databases, backup programs and Java of the tests available; warn where that fails.

    They are unpacked into a place of their own, which is in no PATH: Debian's ``psql`` would stand
    in the way of ours. What the machine has installed is used as it is.
    """
    done = [what for what in TESTED if (binaries.SERVERS / _stamp(what)).exists()]
    wanted = [what for what in TESTED if what not in done and not _installed(what)]
    if not wanted:
        return f"up to date: {binaries.SERVERS}"
    try:
        if not shutil.which("apt-get"):
            raise ProgramFailed("this machine has no apt-get", "")
        shutil.rmtree(APT, ignore_errors=True)
        run(["apt-get", *apt_options(), "update"], what="reading Debian's package lists")
        for what in wanted:
            _unpack(_known(TESTED[what]), what, binaries.SERVERS)
            _mend_links(binaries.SERVERS)
            (binaries.SERVERS / _stamp(what)).touch()
    except ProgramFailed as failed:
        warn(
            f"{', '.join(wanted)}: {failed}; the tests of audits and drills that need them fail",
            failed.fix or f"install {', '.join(wanted)} with the machine's own means",
        )
        return MISSING
    finally:
        shutil.rmtree(APT, ignore_errors=True)
    return f"{', '.join(wanted)} unpacked"


def _stamp(what: str) -> str:
    return f".unpacked-{what.split(maxsplit=1)[0].lower()}"


def _installed(what: str) -> bool:
    programs = {
        "MariaDB": ("mariadbd", "mariadb_install_db", "mariadb_backup", "mariadb_binlog"),
        "pgBackRest": ("pgbackrest",),
        "Barman": ("barman",),
        "restic": ("restic",),
        "Java": ("java",),
    }
    if what in programs:
        return all(find(program) for program in programs[what])
    return binaries.system_postgres() is not None


def _known(packages: Sequence[str]) -> Sequence[str]:
    """Of alternatives that differ by version only, the first that apt can download."""
    if not all(name.startswith("openjdk-") for name in packages):
        return packages
    for name in packages:
        try:
            run(["apt-cache", *apt_options(), "show", name], what=f"looking for {name}")
        except ProgramFailed:
            continue
        return [name]
    raise ProgramFailed(f"no {' or '.join(packages)} in Debian's lists", "")


def _mend_links(root: Path) -> None:
    """Point links that name a place of the machine (/etc/java-17...) to the same place in root."""
    for link in root.rglob("*"):
        if link.is_symlink() and (target := link.readlink()).is_absolute():
            inside = root / target.relative_to("/")
            if inside.exists():
                link.unlink()
                link.symlink_to(os.path.relpath(inside, link.parent))


def install_browser() -> str:
    """Make Chromium available for the tests of the console; warn where that fails."""
    if found := find("chromium"):
        return str(found)
    try:
        if not shutil.which("apt-get"):
            raise ProgramFailed("this machine has no apt-get", "")
        unpack(BROWSER, "Chromium and a Chinese font")
    except ProgramFailed as failed:
        warn(
            f"no Chromium for the tests of the web pages, they will fail: {failed}",
            "install Chromium or Chrome, or name it in CRMOPS_CHROMIUM",
        )
        return MISSING
    _wrap_chromium()
    return str(find("chromium"))


def _wrap_chromium() -> None:
    """Replace Debian's start script, whose paths are fixed, by one for the unpacked tree."""
    fonts = TOOLS / "etc/fonts/crmops.conf"
    fonts.parent.mkdir(parents=True, exist_ok=True)
    fonts.write_text(
        '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n<fontconfig>\n'
        '<include ignore_missing="yes">/etc/fonts/fonts.conf</include>\n'
        f"<dir>{TOOLS}/usr/share/fonts</dir><dir>/usr/share/fonts</dir>\n"
        f"<cachedir>{TOOLS}/cache/fontconfig</cachedir>\n</fontconfig>\n"
    )
    wrapper = TOOLS / "usr/bin/chromium"
    wrapper.unlink(missing_ok=True)
    wrapper.write_text((ROOT / "scripts/chromium.sh").read_text())
    wrapper.chmod(0o755)
