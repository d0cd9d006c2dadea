"""Rendering: one environment a language, verdicts as icon, word and colour, values for people."""

from __future__ import annotations

import gettext
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from console.charts import Point, line, strip
from console.sentences import Teller, human
from console.views import WALKS, Walks, headline, seconds_between, so_far, thinned
from console.words import LANGUAGES, translations
from crmops.record import Measure, Run, Verdict, utc_now
from crmops.units import human_seconds, human_value

TEMPLATES = Path(__file__).parent / "templates"
ICONS = {
    Verdict.PASS: "✔",
    Verdict.FAIL: "✘",
    Verdict.UNKNOWN: "?",
    Verdict.ERROR: "!",
}


class Filters:
    """What templates can do with values, in one language."""

    def __init__(self, words: gettext.NullTranslations) -> None:
        self._words = words
        self.told = Teller(words).told

    def seconds(self, value: float) -> str:
        """A span of time for people."""
        return human(human_seconds(value), self._words)

    def number(self, value: float | None, unit: object) -> str:
        """A value with its unit for people."""
        return human(human_value(value, str(unit or "")), self._words)

    def verdict(self, value: Verdict | str) -> Markup:
        """A verdict as icon, word and colour."""
        known = Verdict(str(value))
        word = self._words.gettext(known.value)
        badge = Markup('<span class="verdict {}"><i aria-hidden="true">{}</i> {}</span>')
        return badge.format(known.value, ICONS[known], word)

    def moment(self, value: datetime | None) -> Markup:
        """A time: ISO with its zone, and how long ago."""
        if value is None:
            return Markup("-")
        return Markup('{} <small class="ago">{}</small>').format(stamp(value), self.ago(value))

    def ago(self, value: datetime) -> str:
        """How long ago a moment was."""
        span = human_seconds(round(seconds_between(utc_now(), value)) or 0.0)
        span = human(span.replace(".0 s", " s").replace("0 ms", "0 s"), self._words)
        return self._words.gettext("%(span)s ago") % {"span": span}

    def strip(self, walks: Walks) -> Markup:
        """The last walks of a probe as bars."""
        label = self._words.gettext("%(passed)d of the last %(all)d walks passed")
        points = [
            Point(0, each.verdict.value, self._point(each, self.told(each.reason)))
            for each in walks.runs
        ]
        said = label % {"passed": walks.passed, "all": len(walks.runs)}
        return strip(points, said, WALKS)

    def history(self, pairs: Sequence[tuple[Run, Measure]]) -> Markup:
        """A measure over the last runs of the same."""
        name, unit = pairs[-1][1].name, pairs[-1][1].unit
        points = [
            Point(
                measure.value or 0.0,
                run.verdict.value,
                self._point(run, self.number(measure.value, unit)),
            )
            for run, measure in pairs
        ]
        label = self._words.gettext("%(name)s of the last %(count)d runs, the newest is %(value)s")
        value = self.number(pairs[-1][1].value, unit)
        said = label % {"name": name, "count": len(pairs), "value": value}
        begin, end = (iso(run.begun) for run, _ in (pairs[0], pairs[-1]))
        ends = (begin[11:], end[11:]) if begin[:10] == end[:10] else (begin[:10], end[:10])
        return line(points, said, ends, lambda number: self.number(number, unit))

    def _point(self, run: Run, said: str) -> str:
        """What a pointer reads of a run."""
        return f"{iso(run.begun)} {self._words.gettext(run.verdict.value)} {said}"

    def course(self, seconds: Sequence[dict[str, float]], name: str, unit: str) -> Markup:
        """One number of a load test, second by second."""
        kept = thinned(seconds)
        most = max(each[name] for each in seconds)
        label = self._words.gettext("%(name)s by the second, %(value)s at most")
        said = label % {"name": name, "value": self.number(most, unit)}
        ends = (self.seconds(kept[0]["at"]), self.seconds(kept[-1]["at"]))
        points = [Point(each[name]) for each in kept]
        return line(points, said, ends, lambda number: self.number(number, unit))


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
    filters = Filters(words)
    made.filters |= {
        "verdict": filters.verdict,
        "moment": filters.moment,
        "stamp": stamp,
        "ago": filters.ago,
        "strip": filters.strip,
        "history": filters.history,
        "course": filters.course,
        "headline": headline,
        "so_far": so_far,
        "plain": lambda measures: [each for each in measures if "{" not in each.name],
        "value": lambda measure: filters.number(measure.value, measure.unit),
        "number": filters.number,
        "seconds": filters.seconds,
        "told": filters.told,
    }
    return made


def preload() -> None:
    """Read every template and both languages now: a server may lose the right to read them."""
    markdown("")
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
    html = MarkdownIt("commonmark", {"html": False}).render(text)
    # a block that scrolls must be within reach of the keyboard
    return Markup(html.replace("<pre>", '<pre tabindex="0">'))  # noqa: S704 - escaped


def stamp(value: datetime) -> Markup:
    """A moment, alone."""
    return Markup('<time datetime="{0}">{0}</time>').format(iso(value))


def iso(value: datetime) -> str:
    """A moment in UTC to the second."""
    return value.isoformat(timespec="seconds").replace("+00:00", "Z")
