"""The virtual environment: which interpreter, which pip, and the locked packages in it.

The packages are installed by a pinned uv (a tenth of pip's time), which pip puts there first;
should uv fail, pip does it all. uv does not read pip's settings, so they are passed on to it.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from crmops.binaries import install_command
from scripts import setup_debian
from scripts.setup_ui import ROOT, TOOLS, VENV, ProgramFailed, SetupError, run, say

OLDEST, TOO_NEW = (3, 11), (3, 14)
VENV_PYTHON = VENV / "bin" / "python"
LOCKS = ROOT / "requirements"
NAMES = ("python3.13", "python3.12", "python3.11", "python3")
ASK = (
    "import sys, importlib.util as u;"
    "print(*sys.version_info[:3], bool(u.find_spec('venv')), bool(u.find_spec('ensurepip')),"
    " bool(u.find_spec('pip')), getattr(sys, '_base_executable', sys.executable), sep='|')"
)

_told: dict[str, str] = {}
"""The settings of pip in uv's words, once they have been asked for."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that has been started and asked what it is."""

    path: Path
    version: tuple[int, int, int]
    has_venv: bool
    has_ensurepip: bool
    has_pip: bool

    @property
    def minor(self) -> tuple[int, int]:
        return self.version[:2]

    @property
    def supported(self) -> bool:
        return OLDEST <= self.minor < TOO_NEW

    def __str__(self) -> str:
        return f"Python {'.'.join(map(str, self.version))} at {self.path}"


def ask(program: str | Path) -> Interpreter | None:
    """Start an interpreter and ask what it is; None when it does not start.

    Of a virtual environment's Python the path is that of the one below it: an activated .venv of
    this project would vanish under the feet of the one made from it.
    """
    try:
        done = subprocess.run(
            [str(program), "-c", ASK], capture_output=True, text=True, timeout=30, check=True
        )
        major, minor, patch, *flags, path = done.stdout.strip().split("|")
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    venv, ensurepip, pip = (flag == "True" for flag in flags)
    return Interpreter(Path(path), (int(major), int(minor), int(patch)), venv, ensurepip, pip)


def candidates() -> Iterator[str]:
    """Every program that may be a Python, in PATH and where Debian has it."""
    places = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/local/bin", "/usr/bin"]
    for name in NAMES:
        for place in dict.fromkeys(places):
            if place and os.access(Path(place) / name, os.X_OK):
                yield str(Path(place) / name)


def open_to_others(path: Path) -> bool:
    """Whether another user can start this program (root's servers run as another user)."""
    try:
        return all(part.stat().st_mode & 0o001 for part in [path, *path.parents])
    except OSError:
        return False


def choose(wanted: str) -> Interpreter:
    """The interpreter for .venv: the one asked for, else the newest that starts.

    Among equals one that other users can start goes first: root's demo runs as another user.
    """
    if wanted:
        found = ask(shutil.which(wanted) or wanted)
        if found is None or not found.supported:
            what = f"is {found}" if found else "does not start"
            raise SetupError(
                f"PYTHON={wanted} {what}; crmops needs Python 3.11, 3.12 or 3.13",
                "name another, for example make setup PYTHON=/usr/bin/python3",
            )
        return found
    fit = [found for name in candidates() if (found := ask(name)) and found.supported]
    if not fit:
        raise SetupError(
            "no Python 3.11, 3.12 or 3.13 was found that starts",
            "apt-get install python3 (Debian 12+, Ubuntu 24.04+), or make setup PYTHON=...",
        )
    return max(fit, key=lambda found: (found.minor, open_to_others(found.path), found.has_venv))


def current() -> Interpreter | None:
    """The interpreter of .venv, when it is there and starts."""
    return ask(VENV_PYTHON) if VENV_PYTHON.exists() else None


def make_venv(wanted: str) -> str:
    """Make .venv, or keep the one there if it still works and is of the wanted version."""
    have = current()
    if have and have.supported and not wanted:
        return f"kept: {have}"
    chosen = choose(wanted)
    if have and have.version == chosen.version:
        return f"kept: {have}"
    if not chosen.has_venv:
        raise SetupError(
            f"{chosen} has no venv module",
            install_command(f"python{chosen.minor[0]}.{chosen.minor[1]}-venv"),
        )
    shutil.rmtree(VENV, ignore_errors=True)
    run([chosen.path, "-m", "venv", "--without-pip", VENV], what="making .venv")
    return f"made with {chosen}"


def pip_command(home: Interpreter) -> list[str | Path]:
    """How to run a pip that installs into .venv.

    Debian packs the pip of ensurepip apart (python3.11-venv); without it the system's own pip can
    do it, or the wheel in Debian's package python3-pip-whl, unpacked into .tools.
    """
    if home.has_pip:
        return [VENV_PYTHON, "-m", "pip"]
    if home.has_ensurepip:
        try:
            run([VENV_PYTHON, "-m", "ensurepip", "--default-pip"], what="installing pip")
        except ProgramFailed:
            say("      ensurepip failed; trying another way")
        else:
            return [VENV_PYTHON, "-m", "pip"]
    wheel = setup_debian.pip_wheel()
    if wheel is not None:
        return [VENV_PYTHON, wheel / "pip"]
    minor = f"python{home.minor[0]}.{home.minor[1]}"
    raise SetupError("this Python has no pip", install_command(f"{minor}-venv"))


def pip_settings(pip: list[str | Path]) -> dict[str, str]:
    """What pip is configured to do on this machine (`pip config list`), by option name."""
    done = subprocess.run(
        [*map(str, pip), "config", "list"], capture_output=True, text=True, timeout=60, check=False
    )
    found: dict[str, tuple[int, str]] = {}
    for line in done.stdout.splitlines():
        key, equals, value = line.partition("=")
        section, _, option = key.strip().rpartition(".")
        rank = {"global": 0, "install": 1, ":env:": 2}.get(section, -1)
        if not equals or rank < found.get(option, (0, ""))[0]:
            continue
        try:
            found[option] = (rank, str(ast.literal_eval(value)))
        except (SyntaxError, ValueError):
            continue
    return {option: value for option, (_, value) in found.items()}


def uv_environment(settings: Mapping[str, str], already: Mapping[str, str]) -> dict[str, str]:
    """The same settings in uv's words; what the user has told uv directly goes before them."""
    words = {
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        "UV_INDEX": " ".join(settings.get("extra-index-url", "").split()),
        "UV_FIND_LINKS": ",".join(settings.get("find-links", "").split()),
        "UV_INSECURE_HOST": " ".join(settings.get("trusted-host", "").split()),
        "UV_HTTP_TIMEOUT": settings.get("timeout", settings.get("default-timeout", "")),
        "UV_NO_INDEX": "1" if settings.get("no-index", "").lower() in {"1", "true", "yes"} else "",
        "SSL_CERT_FILE": settings.get("cert", ""),
        "SSL_CLIENT_CERT": settings.get("client-cert", ""),
        "HTTPS_PROXY": settings.get("proxy", ""),
        "HTTP_PROXY": settings.get("proxy", ""),
        "UV_CACHE_DIR": str(TOOLS / "cache" / "uv"),
    }
    return {name: value for name, value in words.items() if value and name not in already}


def uv_settings(home: Interpreter) -> dict[str, str]:
    """What uv is told, also when .venv, which keeps no pip, was complete before."""
    if _told:
        return _told
    below: list[str | Path] = [home.path, "-m", "pip"]
    try:
        run([*below, "--version"], what="asking for pip")
    except ProgramFailed:
        below = pip_command(home)
    _told.update(uv_environment(pip_settings(below), os.environ))
    return _told


def lock_file(minor: tuple[int, int]) -> Path:
    """The locked requirements for one Python version."""
    return LOCKS / f"py{minor[0]}{minor[1]}.txt"


def install_packages(home: Interpreter) -> str:
    """Install exactly what the lock file names, checked by hash, and the project itself."""
    lock = lock_file(home.minor)
    pip = pip_command(home)
    quiet = {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(TOOLS / "cache" / "pip")),
    }
    locked = [*pip, "install", "--require-hashes", "--only-binary", ":all:", "-r"]
    editable = ["--no-deps", "--no-build-isolation", "--editable", "."]
    try:
        run([*locked, LOCKS / "bootstrap.txt"], what="fetching uv", env=quiet)
        _told.update(uv_environment(pip_settings(pip), os.environ))
        _by_uv(lock, editable, _told)
        how = "by uv"
    except ProgramFailed as failed:
        if failed.lasting:
            raise
        say(f"      {failed}; installing with pip instead, which takes minutes")
        pip = pip_command(current() or home)
        run([*locked, lock], what="installing the locked packages", env=quiet)
        run([*pip, "install", *editable], what="installing crmops", env=quiet)
        how = "by pip"
    pins = sum(1 for line in lock.read_text().splitlines() if "==" in line)
    return f"{pins} packages of requirements/{lock.name}, {how}"


def _by_uv(lock: Path, editable: list[str], env: dict[str, str]) -> None:
    uv: list[str | Path] = [VENV / "bin" / "uv", "pip"]
    python: list[str | Path] = ["--python", VENV_PYTHON]
    # uv keeps itself only because its own lock is named too.
    locks = [lock, LOCKS / "bootstrap.txt"]
    sync = [*uv, "sync", *python, "--require-hashes", "--compile-bytecode", *locks]
    run(sync, what="installing the locked packages", env=env)
    run([*uv, "install", *python, *editable], what="installing crmops", env=env)
