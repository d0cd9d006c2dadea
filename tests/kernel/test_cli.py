"""The command line, mostly as a shell sees it: exit codes, stdout, stderr, signals, pipes."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from crmops import __version__, cli, rooms
from crmops.cli import hoisted, run
from crmops.cli_support import (
    Context,
    context,
    emit,
    exit_with,
    note,
    progress,
    set_context,
    table,
    verdict_text,
)
from crmops.errors import CannotRun, ConfigError, UsageError
from crmops.rooms import ROOMS, Room, load_command
from crmops.secret import Secret

HEAVY = (
    "ansible_runner", "duckdb", "fastapi", "gevent", "great_expectations", "httpx", "locust",
    "opentelemetry", "pandas", "prometheus_client", "pydantic", "ruamel", "scipy", "sqlalchemy",
)  # fmt: skip
CONFIG = "targets: {crm: {connector: refcrm, url: 'http://127.0.0.1:1'}}\n"

TROUBLE = textwrap.dedent(
    '''
    """A room that misbehaves in every way."""
    import errno, os, sys, time
    from pathlib import Path
    import typer
    from crmops.cli_support import context, emit, exit_with
    from crmops.errors import TargetUnreachable

    app = typer.Typer()

    @app.command()
    def unreachable() -> None:
        raise TargetUnreachable("the CRM does not answer", hint="Is it running?")

    @app.command()
    def broken() -> None:
        context().config.target()
        raise ValueError("a row of somebody's data, with tr0ub4dor in it")

    @app.command()
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/history.db")

    @app.command()
    def extra() -> None:
        raise ModuleNotFoundError("No module named 'locust'", name="locust")

    @app.command()
    def verdict(word: str) -> None:
        emit({"verdict": word}, as_json=True, table=str)
        exit_with(word)

    @app.command()
    def long(code: str = "fail") -> None:
        emit([{"row": n, "text": "x" * 200} for n in range(20_000)], as_json=True, table=str)
        exit_with(code)

    @app.command()
    def wait() -> None:
        Path(sys.argv[-1] if os.path.isdir(sys.argv[-1]) else ".").joinpath("waiting").touch()
        try:
            time.sleep(60)
        finally:
            print("tidied up", flush=True)
    '''
)
MAIN = (
    "import sys; from crmops import rooms; "
    "rooms.ROOMS['trouble'] = rooms.Room('trouble', 'trouble:app', 'Misbehaves.', 'x'); "
    "from crmops.cli import main; main()"
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "trouble.py").write_text(TROUBLE)
    (tmp_path / "crmops.yaml").write_text(
        "targets:\n  crm:\n    connector: refcrm\n    url: http://127.0.0.1:1\n"
        "    username: x\n    password: env:TROUBLE_PASSWORD\n"
    )
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", MAIN, *arguments]


def environment(place: Path, **more: str) -> dict[str, str]:
    paths = os.pathsep.join([str(Path(__file__).resolve().parents[2]), str(place)])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CRMOPS_")}
    return {**kept, "PYTHONPATH": paths, "TROUBLE_PASSWORD": "tr0ub4dor", **more}


def shell(place: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=place,
        env=environment(place, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# -- light -------------------------------------------------------------------------------------


def test_help_is_light(tmp_path: Path) -> None:
    """Under half a second of CPU, and nothing heavy is imported."""
    script = (
        "import sys; from crmops.cli import run; code = run(['--help']); "
        f"print('HEAVY', [m for m in {HEAVY} if m in sys.modules]); sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, cwd=tmp_path)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert "HEAVY []" in done.stdout
    assert all(each.name in done.stdout and each.help in done.stdout for each in ROOMS.values())
    assert seconds < 0.5


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_every_room_opens_and_its_help_is_light(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(sys.modules)
    assert run([name, "--help"]) == 0
    assert "Usage: crmops " + name in capsys.readouterr().out
    new = {each.partition(".")[0] for each in set(sys.modules) - before}
    assert new.isdisjoint({"great_expectations", "locust", "pandas", "ansible_runner", "scipy"})


# -- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["loadd"],
            "error: no such command 'loadd'. Did you mean 'load'?\nhint: Try `crmops --help`.\n",
        ),
        (
            ["config", "shows"],
            "error: no such command 'shows'. Did you mean 'show'?\n"
            "hint: Try `crmops config --help`.\n",
        ),
        (
            ["config", "check", "--jsn"],
            "error: no such option: --jsn (Possible options: --json)\n"
            "hint: Try `crmops config check --help`.\n",
        ),
        (
            ["config", "check", "--config"],
            "error: --config needs a value\nhint: Try `crmops --help`.\n",
        ),
        (
            ["--set", "targets", "config", "show"],
            "error: --set targets has no value\nhint: Write --set KEY=VALUE, for instance a.b=c.\n",
        ),
    ],
)
def test_a_bad_command_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert capsys.readouterr() == ("", said)


def test_without_arguments_it_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "Usage: crmops" in capsys.readouterr().out


def test_a_refusal_is_one_line_and_a_way_out(place: Path) -> None:
    done = shell(place, "trouble", "unreachable")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == "error: the CRM does not answer\nhint: Is it running?\n"


def test_what_nobody_foresaw_is_kept_in_a_file(place: Path) -> None:
    done = shell(place, "trouble", "broken")
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (4, 2)
    start = "error: unexpected ValueError; its details are in "
    assert lines[0].startswith(start)
    assert lines[1] == "hint: This is a mistake in crmops: please report it with that file."
    path = Path(lines[0].removeprefix(start))
    assert path.parent == place / ".crmops" / "crashes"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert "Traceback" in text
    assert "tr0ub4dor" not in text + done.stderr
    assert "somebody's data" not in done.stderr


def test_a_crash_where_nothing_can_be_kept_there_goes_to_the_temporary_directory(
    place: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (place / ".crmops").write_text("in the way")
    elsewhere = tmp_path_factory.mktemp("tmp")
    done = shell(place, "trouble", "broken", TMPDIR=str(elsewhere))
    assert done.returncode == 4
    assert f"details are in {elsewhere}/crmops-crash-" in done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("full", "error: /somewhere/history.db: no space left on device\n"
                 "hint: Make room on that disk.\n"),
        ("extra", "error: locust is not installed\n"
                  "hint: Install the extra: pip install 'crmops[load]'.\n"),
    ],
)  # fmt: skip
def test_what_the_machine_lacks(place: Path, name: str, message: str) -> None:
    done = shell(place, "trouble", name)
    assert (done.returncode, done.stderr) == (4, message)


def test_a_room_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_a_room.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CannotRun, match="crmops attic is not part of this installation"):
        load_command(Room("attic", "no_such_room.cli:app", "", ""))
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        load_command(Room("attic", "half_a_room:app", "", ""))


# -- exit codes, pipes, signals ----------------------------------------------------------------


@pytest.mark.parametrize(("word", "code"), [("pass", 0), ("fail", 1), ("unknown", 3), ("error", 4)])
def test_a_verdict_is_an_exit_code(place: Path, word: str, code: int) -> None:
    done = shell(place, "trouble", "verdict", word)
    assert (done.returncode, json.loads(done.stdout)) == (code, {"schema": 1, "verdict": word})


def test_a_reader_who_leaves_changes_no_verdict(place: Path) -> None:
    with subprocess.Popen(
        command("trouble", "long"),
        cwd=place,
        env=environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.read(10)
        started.stdout.close()
        said = started.stderr.read()
        assert (started.wait(60), said) == (1, b"")


def test_a_full_disk_behind_stdout_is_no_pass(place: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("trouble", "verdict", "pass"),
            cwd=place,
            env=environment(place),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 4
    assert "no space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_command_tidies_up_and_says_so(place: Path, number: int) -> None:
    with subprocess.Popen(
        command("trouble", "wait"),
        cwd=place,
        env=environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        deadline = time.monotonic() + 30
        while not (place / "waiting").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        started.send_signal(number)
        out, err = started.communicate(timeout=30)
    assert (started.returncode, out, err) == (130, "tidied up\n", "error: interrupted\n")


# -- global options ----------------------------------------------------------------------------


def test_global_options_may_stand_anywhere() -> None:
    assert hoisted(["gate", "check", "--config", "a.yaml", "--quiet", "--set=x=1", "name"]) == [
        "--config", "a.yaml", "--quiet", "--set=x=1", "gate", "check", "name",
    ]  # fmt: skip
    assert hoisted(["load", "run", "--", "--config", "x"]) == ["load", "run", "--", "--config", "x"]
    with pytest.raises(UsageError, match="--set needs a value"):
        hoisted(["gate", "--set"])


def test_no_room_takes_a_global_option_for_itself() -> None:
    for path, parameters in commands():
        options = {each for parameter in parameters for each in parameter.opts}
        assert not options & set(cli.ANYWHERE), path


def commands() -> list[tuple[str, list[typer.core.TyperOption]]]:
    """Every command and group by its path, with its options and arguments."""
    found = []
    waiting = [(name, load_command(room)) for name, room in ROOMS.items()]
    while waiting:
        path, each = waiting.pop()
        found.append((path, each.params))
        inner = getattr(each, "commands", {})
        waiting += [(f"{path} {name}", child) for name, child in inner.items()]
    return found  # type: ignore[return-value]


def test_flags_and_variables_reach_the_configuration(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("CRMOPS_TARGETS__CRM__TIMEOUT", "9")
    assert run(["config", "show", "--json", "--origin", "--set", "targets.crm.username=y"]) == 0
    settings = {each["setting"]: each for each in json.loads(capsys.readouterr().out)["settings"]}
    assert settings["targets.crm.username"] == {
        "setting": "targets.crm.username", "value": "y", "origin": "--set targets.crm.username",
    }  # fmt: skip
    assert settings["targets.crm.timeout"]["origin"] == "CRMOPS_TARGETS__CRM__TIMEOUT"
    assert settings["targets.crm.password"]["value"] == "env:TROUBLE_PASSWORD"


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"crmops {__version__}\n"


def test_completion_of_a_shell_knows_the_rooms(place: Path) -> None:
    done = shell(
        place,
        _CRMOPS_COMPLETE="complete_bash",
        COMP_WORDS="crmops con",
        COMP_CWORD="1",
    )
    assert done.stdout.split() == ["config", "console"][:1]
    inner = shell(
        place, _CRMOPS_COMPLETE="complete_bash", COMP_WORDS="crmops config s", COMP_CWORD="2"
    )
    assert inner.stdout.split() == ["show", "schema"]


# -- init and schema ---------------------------------------------------------------------------


def test_init_writes_a_file_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    url = "https://crm.example.com/it's"
    assert run(["init", "--url", url, "--name", "ours"]) == 0
    assert "crmops.yaml is written" in capsys.readouterr().out
    assert run(["config", "check", "--no-secrets", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["targets"] == ["ours"]
    assert run(["config", "show", "--json"]) == 0
    shown = {
        each["setting"]: each["value"] for each in json.loads(capsys.readouterr().out)["settings"]
    }
    assert shown["targets.ours.url"] == url
    assert shown["default_target"] == "ours"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["init"], "error: crmops.yaml exists already\n"),
        (["init", "no/where.yaml"], "error: the directory no does not exist\n"),
        (["init", "."], "error: . "),
        (
            ["init", "new.yaml", "--url", "ftp://x"],
            "error: what was asked for:30: targets.refcrm.url",
        ),
        (["init", "new.yaml", "--name", "a b"], "error: what was asked for:"),
    ],
)
def test_init_refuses(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crmops.yaml").write_text("mine")
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(message)
    assert "hint: " in said
    assert (tmp_path / "crmops.yaml").read_text() == "mine"
    assert not (tmp_path / "new.yaml").exists()


def test_the_schema_is_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(ROOMS) & {"load", "dq"} <= set(schema["properties"])


# -- what rooms use ----------------------------------------------------------------------------


def test_json_is_plain_and_keeps_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    payload = [{"password": Secret("tr0ub4dor"), "path": Path("/a"), "nan": float("nan"), "数": 1}]
    emit(payload, as_json=True, table=str)
    assert json.loads(capsys.readouterr().out) == {
        "schema": 1, "items": [{"password": "***", "path": "/a", "nan": None, "数": 1}],
    }  # fmt: skip


def test_a_document_with_its_own_version_keeps_it(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"schema": 7}, as_json=True, table=str)
    assert json.loads(capsys.readouterr().out) == {"schema": 7}


def test_a_table_shows_brackets_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    rows = [("[red]x[/red]", verdict_text("unknown")), ("张三", verdict_text("pass"))]
    emit({}, as_json=False, table=lambda: table("a [b] c", ("name", "verdict"), rows))
    said = capsys.readouterr().out
    for each in ("a [b] c", "[red]x[/red]", "? unknown", "张三", "✔ pass"):
        assert each in said
    assert "\x1b[" not in said


def test_a_long_line_is_not_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    emit({}, as_json=False, table=lambda: "x" * 500)
    assert capsys.readouterr().out == "x" * 500 + "\n"


def test_progress_is_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as display:
        task = display.add_task("working", total=2)
        display.advance(task)
    assert capsys.readouterr() == ("", "")


def test_quiet_keeps_notes_away_but_not_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    set_context(Context(quiet=True))
    note("a note")
    note("warning: careful", always=True)
    assert capsys.readouterr().err == "warning: careful\n"
    set_context(Context())


def test_a_room_works_without_the_command_line(tmp_path: Path) -> None:
    """A room's own test may call its app alone: the context is then the default one."""
    app = typer.Typer()

    @app.command()
    def one() -> None:
        assert not context().quiet
        exit_with("unknown")

    assert CliRunner().invoke(app).exit_code == 3
    with pytest.raises(ConfigError, match="there is no such file"):
        _ = Context(tmp_path / "none.yaml", environ={}).config


def test_the_history_opens_when_it_is_first_used(tmp_path: Path) -> None:
    (tmp_path / "crmops.yaml").write_text(CONFIG)
    ctx = Context(tmp_path / "crmops.yaml", environ={})
    assert ctx.target().name == "crm"
    assert not (tmp_path / ".crmops").exists()
    assert ctx.history.find() == []
    ctx.close()
    assert (tmp_path / ".crmops" / "history.db").exists()


def test_every_heavy_library_has_its_extra() -> None:
    error = ModuleNotFoundError("x", name="great_expectations.core")
    refused = rooms.missing_module(error)
    assert refused is not None
    assert "crmops[dq]" in refused.hint
    ours = ModuleNotFoundError("x", name="crmops.nothing")
    assert rooms.missing_module(ours) is None
    other = rooms.missing_module(ModuleNotFoundError("x", name="psutil"))
    assert other is not None
    assert str(other) == "psutil is not installed"
