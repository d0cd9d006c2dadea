"""Rendering: one environment a language, verdicts as icon, word and colour, values for people."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from console.words import LANGUAGES, translations
from crmops.record import Run, Verdict, utc_now
from crmops.units import human_seconds, human_value

TEMPLATES = Path(__file__).parent / "templates"
ICONS = {
    Verdict.PASS: "✔",
    Verdict.FAIL: "✘",
    Verdict.UNKNOWN: "?",
    Verdict.ERROR: "!",
}


@cache
def _environment(language: str) -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = translations(language)
    made.install_gettext_translations(words, newstyle=True)  # type: ignore[attr-defined]

    def verdict(value: Verdict | str) -> Markup:
        known = Verdict(str(value))
        word = words.gettext(known.value)
        badge = Markup('<span class="verdict {}"><i aria-hidden="true">{}</i> {}</span>')
        return badge.format(known.value, ICONS[known], word)

    made.filters |= {
        "verdict": verdict,
        "value": lambda measure: human_value(measure.value, measure.unit),
        "number": lambda value, unit: human_value(value, str(unit or "")),
        "seconds": human_seconds,
        "moment": _moment,
    }
    return made


def preload() -> None:
    """Read every template and both languages now: a server may lose the right to read them."""
    for language in LANGUAGES:
        environment = _environment(language)
        for name in environment.list_templates():
            environment.get_template(name)


def render(page: str, language: str, /, **facts: Any) -> str:
    """A page in a language."""
    template = _environment(language).get_template(page)
    return template.render(language=language, tag=LANGUAGES[language], now=utc_now(), **facts)


def markdown(text: str) -> Markup:
    """A runbook as HTML; raw HTML in it stays text."""
    return Markup(MarkdownIt("commonmark", {"html": False}).render(text))  # noqa: S704 - escaped


def _moment(value: datetime | None) -> Markup:
    """A time: ISO with its zone, and how long ago, for people."""
    if value is None:
        return Markup("-")
    age = (utc_now() - value).total_seconds()
    iso = value.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        iso, human_seconds(max(age, 0.0)), iso
    )


def newest_of_each(runs: list[Run]) -> list[Run]:
    """The newest run of each kind, target and subject, in that order."""
    seen: dict[tuple[str, str, str], Run] = {}
    for run in runs:
        seen.setdefault((run.kind, run.target, run.subject), run)
    return [seen[key] for key in sorted(seen)]
