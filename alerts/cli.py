"""``crmops alerts``: rules, their tests, runbooks, and the rehearsal of an alert."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crmops.cli_support import (
    JsonFlag,
    TargetOption,
    context,
    emit,
    exit_with,
    note,
    table,
    verdict_text,
)
from crmops.errors import ConfigError, UsageError
from crmops.units import human_value

if TYPE_CHECKING:
    from alerts.settings import Settings
    from crmops.record import Run

app = typer.Typer(help="Alert rules, their tests and runbooks.", no_args_is_help=True)

OutFile = Annotated[Path | None, typer.Option("--out", help="Write to this file, not to stdout.")]


def _settings() -> Settings:
    from alerts.settings import Settings

    return context().config.parse("alerts", Settings)


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """Every alert: severity and what it says."""
    from alerts.catalogue import load_alerts

    alerts = load_alerts(_settings())
    payload = {"alerts": [{"name": a.name, "severity": a.severity, "rule": a.rule} for a in alerts]}
    rows = [(a.name, a.severity, a.summary) for a in alerts]
    emit(
        payload,
        as_json=as_json,
        table=lambda: table("alerts", ("alert", "severity", "summary"), rows),
    )


@app.command("rules")
def rules(out: OutFile = None) -> None:
    """The rules file for Prometheus."""
    from alerts.catalogue import render_rules

    _write(render_rules(_settings()), out)


@app.command("config")
def config(
    url: Annotated[str, typer.Option(help="Where crmops serve answers.")],
    token_file: Annotated[
        Path | None,
        typer.Option(help="The receiver's token, where Alertmanager reads it."),
    ] = None,
    out: OutFile = None,
) -> None:
    """Alertmanager's configuration: every alert goes to crmops."""
    from alerts.stack import alertmanager_config

    settings = _settings()
    if settings.receiver_token is not None and token_file is None:
        raise UsageError(
            "the receiver wants a token, and Alertmanager would not have it",
            hint="Put the token into a file that Alertmanager may read, and name it: --token-file.",
        )
    _write(alertmanager_config(settings, _web_address(url), token_file), out)


@app.command("prometheus")
def prometheus(
    url: Annotated[str, typer.Option(help="Where crmops serve answers.")],
    rules_file: Annotated[Path, typer.Option("--rules", help="The file that `rules` wrote.")],
    alertmanager: Annotated[str, typer.Option(help="Where Alertmanager answers.")],
    interval: Annotated[float, typer.Option(min=0.5, help="Seconds between scrapes.")] = 15.0,
    out: OutFile = None,
) -> None:
    """Prometheus' configuration: scrape crmops, load the rules, notify Alertmanager."""
    from alerts.stack import prometheus_config

    addresses = (_web_address(url), rules_file.absolute(), _web_address(alertmanager))
    _write(prometheus_config(*addresses, interval), out)


@app.command("runbook")
def runbook(name: Annotated[str, typer.Argument(help="The alert.")]) -> None:
    """What to do when an alert fires."""
    import difflib

    from alerts.catalogue import load_alerts
    from alerts.settings import Settings

    known = {a.name: a.runbook for a in load_alerts(Settings())}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"there is no alert {name!r}", hint=f"{hint}Known: {', '.join(known)}.")
    typer.echo(known[name])


@app.command("test")
def test(as_json: JsonFlag = False) -> None:
    """Check the rules and run every alert's test with promtool."""
    from alerts.promtool import test_alerts

    done = test_alerts()
    rows = [
        (each.alert, verdict_text("pass" if each.passed else "fail"), each.complaint)
        for each in done
    ]
    payload = {"tests": [{"alert": t.alert, "passed": t.passed, "output": t.output} for t in done]}
    emit(
        payload,
        as_json=as_json,
        table=lambda: table("promtool", ("alert", "test", "complaint"), rows),
    )
    exit_with("pass" if all(each.passed for each in done) else "fail")


@app.command("rehearse")
def rehearse(target: TargetOption = "", as_json: JsonFlag = False) -> None:
    """Make the configured fault, and time its alert's coming and going at the receiver."""
    from alerts.rehearse import rehearse as run_rehearsal

    ctx = context()
    rehearsal = _settings().rehearsal
    if rehearsal is None:
        raise ConfigError(
            "no rehearsal is configured",
            hint="alerts.rehearsal names an alert and the requests that begin and end its fault.",
        )
    _demand_alert(rehearsal.alert)
    name = target or ctx.config.default_target
    if name not in ctx.config.targets:
        raise UsageError(
            f"there is no target {name!r}",
            hint=f"There are: {', '.join(ctx.config.targets) or 'none'}.",
        )
    ran = run_rehearsal(rehearsal, ctx.history, name, config_digest=ctx.config.digest, say=note)
    emit(ran, as_json=as_json, table=lambda: _ran(ran))
    exit_with(ran.verdict)


def _demand_alert(name: str) -> None:
    """An alert that does not exist would be waited for in vain."""
    from alerts.catalogue import RULES

    known = sorted(each.stem for each in RULES.glob("*.yml"))
    if name not in known:
        raise ConfigError(
            f"alerts.rehearsal.alert is {name!r}, which is no alert",
            hint=f"Known: {', '.join(known)}.",
            where=context().config.where("alerts.rehearsal.alert"),
        )


def _ran(run: Run) -> object:
    from rich.console import Group

    rows = [(m.name, human_value(m.value, m.unit)) for m in run.measures]
    said = verdict_text(run.verdict)
    said.append(f" rehearsal: {run.reason}")
    return Group(said, table("", ("measure", "value"), rows))


def _web_address(text: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(
            f"{text!r} is not a web address", hint="Write it like http://127.0.0.1:9464."
        )
    return text


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
