"""``crmops``: one command for every room; whatever goes wrong is one line and a way out."""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from typer.exceptions import TyperException

from crmops import __version__
from crmops.cli_support import Context, context, forget_stdout, set_context
from crmops.errors import CrmopsError, ExitCode, UsageError
from crmops.rooms import LazyGroup, missing_module

ANYWHERE = {"--config": True, "--set": True, "--quiet": False}
"""Options that may stand behind any command as well; True for those that take a value."""

_FULL_OR_CLOSED = {
    errno.ENOSPC: "Make room on that disk.",
    errno.EDQUOT: "The quota is used up; make room.",
    errno.EROFS: "It is mounted read-only; set state: and history: to another place.",
    errno.EACCES: "Run as a user who may write there, or set state: and history: elsewhere.",
    errno.EPERM: "Run as a user who may do that.",
    errno.EMFILE: "Raise the limit of open files: ulimit -n 65536.",
}

app = typer.Typer(
    cls=LazyGroup,
    name="crmops",
    help="Load tests, probes, data audits, restore drills and one launch gate for a CRM.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crmops {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="The file; else $CRMOPS_CONFIG, else ./crmops.yaml."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: a.b=c.  Repeatable."),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="No progress and no notes, only the result.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    set_context(Context(config, _overrides(settings or ()), quiet))


def main() -> None:
    """The entry point of the ``crmops`` program."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; prints errors, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    set_context(Context())
    with _terminated_is_interrupted():
        code = _guarded(arguments)
    return _flushed(code)


def _guarded(arguments: Sequence[str]) -> int:
    try:
        try:
            return _invoke(list(arguments))
        finally:
            context().close()
    except typer.Exit as end:
        return int(end.exit_code)
    except (KeyboardInterrupt, typer.Abort, EOFError):
        return _say("interrupted", code=ExitCode.INTERRUPTED)
    except CrmopsError as error:
        return _refused(error)
    except TyperException as error:
        return _misused(error)
    except Exception as error:
        return _unforeseen(error)


def _invoke(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    if "_CRMOPS_COMPLETE" in os.environ:
        command.main(arguments, prog_name="crmops")
    with command.make_context("crmops", hoisted(arguments)) as ctx:
        command.invoke(ctx)
    return ExitCode.PASS


def hoisted(arguments: list[str]) -> list[str]:
    """The arguments with the options that may stand anywhere moved to the front."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for each in waiting:
        if each == "--":
            rest += [each, *waiting]
        elif ANYWHERE.get(each):
            value = next(waiting, None)
            if value is None:
                raise UsageError(f"{each} needs a value", hint="Try `crmops --help`.")
            front += [each, value]
        elif each.partition("=")[0] in ANYWHERE:
            front.append(each)
        else:
            rest.append(each)
    return front + rest


def _overrides(settings: Sequence[str]) -> dict[str, str]:
    found = {}
    for each in settings:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise UsageError(
                f"--set {name} has no value", hint="Write --set KEY=VALUE, for instance a.b=c."
            )
        found[name] = value
    return found


def _say(message: str, hint: str = "", *, code: int) -> int:
    """One line about what went wrong and one about the way out, on stderr."""
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    begin, end = ("\x1b[31m", "\x1b[0m") if coloured else ("", "")
    text = f"{begin}error:{end} {message}\n" + (f"hint: {hint}\n" if hint else "")
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:  # nobody listens; the exit code still speaks
        pass
    return int(code)


def _refused(error: CrmopsError) -> int:
    for each in getattr(error, "problems", (error,)):
        _say(str(each), each.hint, code=error.exit_code)
    return int(error.exit_code)


def _misused(error: TyperException) -> int:
    """Typer's own complaint about a command line, in our form."""
    message = error.format_message().strip()
    path = getattr(getattr(error, "ctx", None), "command_path", "crmops")
    if not message:  # no arguments were given and Typer has printed the help
        return int(ExitCode.USAGE)
    message = " ".join(message.split()).removesuffix(".")
    return _say(message[:1].lower() + message[1:], f"Try `{path} --help`.", code=ExitCode.USAGE)


def _unforeseen(error: Exception) -> int:
    """The last line of defence: what the system refused, what is not installed, what is wrong."""
    if isinstance(error, BrokenPipeError):
        forget_stdout()
        return int(ExitCode.ERROR)
    if isinstance(error, ModuleNotFoundError):
        known = missing_module(error)
        return _refused(known) if known else _crashed(error)
    return _system_refused(error) if isinstance(error, OSError) else _crashed(error)


def _system_refused(error: OSError) -> int:
    way_out = _FULL_OR_CLOSED.get(error.errno or 0)
    if way_out is None:
        return _crashed(error)
    where = f"{error.filename}: " if error.filename else ""
    reason = (error.strerror or "refused by the system").lower()
    return _say(f"{where}{reason}", way_out, code=ExitCode.ERROR)


def _crashed(error: BaseException) -> int:
    """What nobody foresaw: keep the traceback in a file and say where it is."""
    message = f"unexpected {type(error).__name__}"
    try:
        path = _keep_traceback(error)
    except OSError as refused:
        reason = (refused.strerror or str(refused)).lower()
        return _say(f"{message}; its details could not be kept: {reason}", code=ExitCode.ERROR)
    return _say(
        f"{message}; its details are in {path}",
        "This is a mistake in crmops: please report it with that file.",
        code=ExitCode.ERROR,
    )


def _keep_traceback(error: BaseException) -> Path:
    opened = context().__dict__.get("config")
    text = "".join(traceback.format_exception(error))
    text = opened.mask(text) if opened else text
    folder = opened.state_dir / "crashes" if opened else Path(".crmops/crashes")
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    for place in (folder, Path(tempfile.gettempdir())):
        path = place / (name if place is folder else f"crmops-crash-{name}")
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as out:
                out.write(text)
        except OSError:
            if place is not folder:
                raise
        else:
            break
    return path


@contextmanager
def _terminated_is_interrupted() -> Iterator[None]:
    """SIGTERM and a closed terminal end a command as Ctrl-C does: in order, with exit code 130."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {}
    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is not signal.SIG_IGN:
            before[each] = signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _flushed(code: int) -> int:
    """The exit code, once stdout has really taken everything."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        forget_stdout()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        forget_stdout()
        return _say(f"stdout: {reason}", "The result was not written.", code=ExitCode.ERROR)
    return code
