"""The sentences that a record holds, in the reader's language.

Records are English: reasons, findings and the names of requirements are written once and read for
years.  Those of our own sentences are known here by their form, numbers left open, and are
translated when a Chinese page shows them.  What is not known is shown as it is.
"""

from __future__ import annotations

import gettext
import re
from functools import lru_cache

LONGEST = 2000
"""Characters; nothing of ours is longer, and a text of others costs no more than that."""

DEEPEST = 4
"""How often a sentence may hold another one."""

SPAN = re.compile(r"(\d[\d.]*) (ms|s|min|h|d)\b")
_PLACE = re.compile(r"%\((\w+)\)s")
_NUMBER = r"[-+]?(?:\d[\d.,]*(?:e[-+]?\d+)?|inf|nan)"
_FORMS = {
    "number": _NUMBER,
    "limit": _NUMBER,
    "count": r"\d+",
    "all": r"\d+",
    "least": r"\d+",
    "share": r"[\d.]+ ?%",
    "wanted": r"[\d.]+ ?%",
    "span": r"\d[\d.]* (?:ms|s|min|h|d)(?: \d+ (?:s|min|h))?",
    "most": r"\d[\d.]* (?:ms|s|min|h|d)(?: \d+ (?:s|min|h))?",
    "op": "<=|>=|<|>|==",
    "measure": r"\S+",
    "kind": r"[a-z]+",
    "unit": r"[a-z]+",
    "other": r"[a-z]+",
    "outcome": "invalid|auth|forbidden|missing|conflict|server|transport|timeout",
    "subject": "[^;:]+?",
    "target": "[^;:]+?",
    "rest": ".+",
    "some": ".+",
}
"""What stands in a place, by its name; any other is a text of others, taken over as it is."""

_TOLD = frozenset({"rest", "some"})
_WORDS = frozenset({"kind", "unit", "other", "outcome"})
_SPANS = frozenset({"span", "most"})


def N_(text: str) -> str:
    """Marks a text for those that gather what is to be translated, and leaves it alone."""
    return text


WORDS = (
    N_("seconds"), N_("ratio"), N_("count"), N_("bytes"),
    N_("invalid"), N_("auth"), N_("forbidden"), N_("missing"), N_("conflict"), N_("server"),
    N_("transport"), N_("timeout"),
)  # fmt: skip
"""Units, and how a call can end, where they stand inside a sentence."""

JUDGED = (
    N_("all %(count)s objectives met"),
    N_("no objective is set"),
    N_("%(measure)s is %(number)s, not %(op)s %(limit)s"),
    N_("%(measure)s is %(number)s"),
    N_("%(measure)s was not measured"),
    N_("%(measure)s has no value"),
    N_("%(measure)s is in %(unit)s, not %(other)s"),
    N_("%(measure)s rests on %(count)s samples, %(least)s are wanted"),
)
"""What ``crmops.verdict`` says."""

GATE = (
    N_("no %(kind)s '%(subject)s' on '%(target)s' yet"),
    N_("the evidence is %(span)s ahead of the clock"),
    N_("the evidence is %(span)s old, %(most)s is the most"),
    N_("evidence %(path)s is gone or was changed"),
    N_("it could not run: %(rest)s"),
    N_("it says unknown: %(rest)s"),
    N_("all %(count)s requirements met, %(least)s of them waived"),
    N_("all %(count)s requirements met"),
    N_("the waiver for '%(subject)s' has expired"),
    N_("approved by %(who)s, expired %(day)s"),
)
"""What ``crmops.gate`` says."""

ENDED = (
    N_("ended without a verdict"),
    N_("interrupted"),
    N_("killed before it could end"),
    N_("defect: %(name)s"),
    N_("the clock stepped"),
    N_("by %(step)s s during the run; times are by the steady clock"),
)
"""What ``crmops.execute`` and the history say of a run that ended in an odd way."""

LOAD = (
    N_("no request was sent"),
    N_("%(count)s of %(all)s people were reached"),
    N_("the generator's health was not measured"),
    N_("the generator was overloaded: loop lag p99 %(number)s s, %(limit)s s allowed"),
    N_("the generator was overloaded: %(share)s of a core, %(wanted)s allowed"),
    N_("%(share)s of the scheduled calls left on time, %(wanted)s wanted"),
    N_("the target's rate cap held %(count)s calls back"),
    N_("the clock stepped by %(number)s s"),
    N_("%(count)s of %(all)s arrivals were dropped: add people to the pool"),
    N_("stopped after %(number)s s: %(rest)s"),
    N_("load worker %(count)s (%(name)s) was lost after %(number)s s: it %(why)s"),
    N_("a load generator was lost"),
    N_("objective missed: %(measure)s %(op)s %(limit)s"),
    N_("the numbers are in doubt"),
    N_("the CRM throttled %(count)s calls"),
    N_("%(names)s; each was sent again after the time it asked for"),
    N_("journey %(name)s was left out"),
    N_("this CRM's connector cannot walk it"),
    N_("journey %(name)s: %(outcome)s in %(count)s of %(all)s"),
    N_("%(name)s: %(outcome)s in %(count)s of %(all)s"),
    N_("%(count)s acknowledged creates are not in the CRM"),
    N_("%(count)s acknowledged updates do not hold"),
    N_("%(count)s records exist that no answer acknowledged"),
    N_("what was written is still there"),
    N_("%(count)s created records were kept"),
    N_("%(count)s created records could not be deleted"),
    N_("the server's spans were not read"),
    N_("Prometheus gave no figures"),
    N_("%(count)s lines of the journal are torn"),
    N_("%(count)s journalled records do not carry the mark of the run"),
    N_("Prometheus did not answer '%(name)s'"),
    N_("Prometheus has no series for '%(name)s'"),
    N_("slowest %(name)s: %(span)s, of it %(most)s in %(where)s"),
    N_("%(name)s gives way first"),
)
"""What ``loadtests`` says of a run and its instrument."""

WALKED = (
    N_("throttled at %(where)s"),
    N_("journey %(name)s failed"),
    N_("%(outcome)s at %(where)s"),
    N_("a probe's %(name)s was left behind"),
)
"""What ``probes`` says of a walk."""

AUDITED = (
    N_("%(count)s of %(all)s rules could not run: %(rest)s"),
    N_("table %(name)s is empty"),
    N_("table %(name)s has %(count)s rows, %(least)s are wanted"),
    N_("%(count)s rules had nothing to compare with: %(rest)s"),
    N_("too small a sample to tell: %(name)s"),
    N_("the audit could not be run"),
    N_("not so for %(count)s of %(all)s: %(share)s, %(wanted)s are wanted; for %(owner)s"),
    N_("not so for %(count)s of %(all)s: %(share)s, %(wanted)s are wanted"),
    N_("a rule could not run: %(name)s"),
    N_("a rule had nothing to compare with: %(name)s"),
    N_("a rule saw nothing: %(name)s"),
    N_("no record has a value that it is about"),
    N_("waived: %(name)s"),
    N_("a waiver has expired: %(name)s"),
    N_("the score fell"),
    N_("the file has no data rows"),
    N_("the plan is empty"),
    N_("no rule of this suite says what it should find"),
    N_("a rule finds nothing that it should: %(name)s"),
    N_("the rules could not be calibrated"),
    N_("%(count)s rows are not new"),
    N_("%(count)s rows are copies of others"),
    N_("people say that a rule is wrong: %(name)s"),
    N_("said to be fixed and still bad: %(name)s"),
    N_("the next audit will count everything"),
    N_("a column has no profile"),
    N_("the table could not be profiled"),
    N_("a column is empty"),
    N_("field %(name)s differs"),
    N_("keys occur more than once"),
    N_("columns of the %(name)s in no field"),
    N_("field %(name)s points at nothing"),
    N_("the target has %(count)s rows; marked"),
    N_("the target is not as it was: %(rest)s"),
    N_("batch %(name)s has no marker"),
    N_("the target could not be read"),
    N_("the marker is of another target"),
    N_("batch %(name)s is empty on both sides"),
    N_("the batch could not be compared"),
    N_("signed off by %(who)s: %(note)s (run %(name)s)"),
    N_("both systems are empty"),
    N_("%(name)s does not agree"),
    N_("%(name)s has values that are no amounts"),
    N_("the systems could not be compared"),
)
"""What ``dq_checks`` says of an audit."""

DRILLED = (
    N_("the playbook did not end within %(number)s s"),
    N_("the playbook was killed before stage %(name)s ended"),
    N_("the playbook was cancelled before stage %(name)s ended"),
    N_("stage %(name)s failed"),
    N_("stage %(name)s was skipped"),
    N_("an old backup was removed"),
    N_("an old snapshot was removed"),
    N_("not noticed: %(name)s"),
    N_("a killed run was cleaned up"),
)
"""What ``playbooks`` says of a backup or a drill."""

ALARMED = (
    N_("firing: %(some)s"),
    N_("resolved: %(some)s"),
    N_("no audit of %(subject)s on %(target)s for two days"),
    N_("no good backup of %(target)s for more than a day"),
    N_("data quality of %(subject)s on %(target)s is low"),
    N_("crmops does not answer Prometheus"),
    N_("crmops cannot read its history"),
    N_("%(subject)s on %(target)s does not pass"),
    N_("nobody probes %(subject)s on %(target)s any more"),
    N_("%(subject)s on %(target)s is slow"),
    N_("a restore drill of %(target)s is due soon"),
    N_("a whole period has passed without a restore drill of %(target)s"),
    N_("no restore of %(target)s was proven for longer than agreed"),
    N_("alerting works"),
    N_("%(name)s was never raised"),
    N_("%(name)s cleared while the fault went on"),
    N_("%(name)s was never cleared"),
)
"""What ``alerts`` says: the summaries of the rules, and what came of a rehearsal."""

SHIPPED = (
    N_("carries the launch"),
    N_("people can log in"),
    N_("contacts are clean"),
    N_("a backup exists"),
    N_("it can be restored in time"),
    N_("alerts reach people"),
    N_("every row is accounted for"),
    N_("%(count)s people can work"),
    N_("%(count)s of %(all)s answers come in time"),
    N_("hardly an error"),
    N_("it can be restored"),
    N_("restored in time"),
    N_("little would be lost"),
    N_("a slow CRM raises an alert"),
    N_("the alert clears again"),
    N_("%(subject)s works now"),
    N_("%(subject)s are clean enough"),
    N_("%(count)s of %(all)s rows are unaccounted for"),
    N_("%(count)s of %(all)s rows imported, %(least)s named with their reason"),
    N_("none of %(count)s rows was imported"),
    N_("on-call"),
    N_("data governance"),
    N_("drill owner"),
    N_("row %(count)s was not imported"),
    N_("%(count)s more rows were not imported"),
)
"""Requirements and owners of the example configuration and of ``crmops demo``."""

REFUSED = (
    N_("there is no gate %(name)s"),
    N_("there is no run %(name)s"),
    N_("there is no runbook %(name)s"),
    N_("run %(name)s has no file %(path)s"),
    N_("file %(path)s is gone or was changed: it proves nothing"),
)
"""What the console itself refuses."""

KNOWN = (*JUDGED, *GATE, *ENDED, *LOAD, *AUDITED, *DRILLED, *REFUSED, *ALARMED, *WALKED, *SHIPPED)
"""Every form; of two that fit, the first is taken, so the loose ones stand last."""


class Teller:
    """Translates the sentences of records with the words of a language."""

    def __init__(self, words: gettext.NullTranslations) -> None:
        self._words = words
        foreign = isinstance(words, gettext.GNUTranslations)
        self._forms = [(_compiled(each), each) for each in KNOWN] if foreign else []
        self.told = lru_cache(maxsize=4096)(self._told)

    def _told(self, text: str, depth: int = 0) -> str:
        """A sentence in the language, or as it is."""
        if not self._forms or not text or len(text) > LONGEST or depth > DEEPEST:
            return text
        for form, source in self._forms:
            if found := form.fullmatch(text):
                return self._words.gettext(source) % {
                    name: self._place(name, value, depth)
                    for name, value in found.groupdict().items()
                }
        return self._in_parts(text, depth)

    def _place(self, name: str, value: str, depth: int) -> str:
        if name in _TOLD:
            return self.told(value, depth + 1)
        if name in _WORDS:
            return self._words.gettext(value)
        return human(value, self._words) if name in _SPANS else value

    def _in_parts(self, text: str, depth: int) -> str:
        """Several sentences, or one with a name before it, part by part."""
        parts = text.split("; ")
        if len(parts) > 1:
            told_parts = [self.told(each, depth + 1) for each in parts]
            return text if told_parts == parts else "；".join(told_parts)
        name, colon, rest = text.partition(": ")
        told = (self.told(name, depth + 1), self.told(rest, depth + 1))
        return "：".join(told) if colon and told != (name, rest) else text


def human(text: str, words: gettext.NullTranslations) -> str:
    """A span of time as ``human_seconds`` writes it, with the units of the language."""
    units = {
        "ms": words.gettext("ms"), "s": words.gettext("s"), "min": words.gettext("min"),
        "h": words.gettext("h"), "d": words.gettext("d"),
    }  # fmt: skip
    return SPAN.sub(lambda found: f"{found[1]} {units[found[2]]}", text)


def _compiled(source: str) -> re.Pattern[str]:
    """A form as an expression; its places are groups of the same names."""
    parts = _PLACE.split(source)
    fixed = [re.escape(each) for each in parts[::2]]
    places = [f"(?P<{name}>{_FORMS.get(name, '[^;]+?')})" for name in parts[1::2]]
    joined = [each for pair in zip(fixed, [*places, ""], strict=True) for each in pair]
    return re.compile("".join(joined), re.DOTALL)
