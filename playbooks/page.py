"""Evidence to print: signed evidence.json as one self-contained HTML file, in two languages."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

from crmops.errors import UsageError
from crmops.units import human_value
from playbooks.job import parse_time
from playbooks.standards import given
from playbooks.words import LANGUAGES, translate

_TEMPLATES = Path(__file__).with_name("templates")
_FACTS = {
    "System identifier": "system_identifier",
    "Place in the log (LSN)": "lsn",
    "Timeline": "timeline",
    "Newest commit (UTC)": "newest_commit",
}
_TITLES = {"backup": "Evidence of a backup", "pull": "Evidence of a snapshot"}
Say = partial[str]
_NAMES = {"rto": "RTO", "rpo": "RPO"}


def page_name(language: str) -> str:
    """Name of the page beside evidence.json."""
    return f"evidence.{language}.html"


def render(text: str, language: str) -> str:
    """The page of a signed evidence document, given as the text of its file.

    ``language`` is ``en`` or ``zh``.  Nothing is verified here: the page says so, and gives the
    SHA-256 of the file that it shows.  Raises UsageError for anything but signed evidence.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    say = partial(translate, language=language)
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    try:
        values = _values(text, say)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            "this is no signed evidence", hint="Give evidence.json of a backup or a drill."
        ) from None
    return environment.get_template("evidence.html").render(
        _=say, language=LANGUAGES[language], short=language, **values
    )


def _values(text: str, say: Say) -> dict[str, Any]:
    found = json.loads(text)
    document, signature = found["evidence"], found["signature"]
    return {
        "doc": document,
        "title": say(_TITLES.get(document["kind"], "Evidence of a restore drill")),
        "facts": _facts(document, say),
        "objectives": [_objective(each, say) for each in document["objectives"]],
        "measures": [
            (_name(each["name"], say), human_value(each["value"], each["unit"]))
            for each in _plain(document)
        ],
        "stages": document["stages"],
        "deviations": deviations(document),
        "standards": [_standard(each, document, say) for each in document.get("standards", ())],
        "hashes": _hashes(text, document, signature, say),
    }


def deviations(document: dict[str, Any]) -> list[str]:
    """What was not as wanted: objectives, checks and stages that did not pass, and findings."""
    lines = [each["reason"] for each in document["objectives"] if each["verdict"] != "pass"]
    for stage in document["stages"]:
        wrong = [each for each in stage["checks"] if not each["passed"]]
        lines += [
            f"{stage['name']}: {each['name']}: {each['detail'] or each['found']}" for each in wrong
        ]
        if stage["outcome"] != "ok" and not wrong:
            lines.append(f"{stage['name']}: {stage['reason']}")
    lines += [
        ": ".join(filter(None, (each["title"], each["detail"])))
        for each in document["findings"]
        if each["severity"] != "info"
    ]
    if document["verdict"] != "pass" and not lines:
        lines.append(document["reason"])
    return list(dict.fromkeys(lines))


def _facts(document: dict[str, Any], say: Say) -> list[tuple[str, str]]:
    versions = ", ".join(f"{name} {each}" for name, each in document["tool_versions"].items())
    rows = [
        ("Target", document["target"]),
        ("Run", document["run"]),
        ("Kind", say(document["kind"])),
        ("Begun (UTC)", _moment(document["begun"])),
        ("Supposed incident (UTC)", _moment(document["incident"])),
        ("Backup", document["backup"]),
        *((name, _fact(document, key)) for name, key in _FACTS.items()),
        ("Asked by", document.get("operator")),
        ("Approved by", document["approver"]),
        ("Owner", document["owner"]),
        ("Account", document["asked_by"]),
        ("Host", document["host"]),
        ("Versions", versions),
        ("Configuration digest", document["config_digest"]),
    ]
    return [(say(name), value or say("not given")) for name, value in rows]


def _fact(document: dict[str, Any], key: str) -> str:
    """What the last stage that knows it wrote down."""
    found = [each["facts"][key] for each in document["stages"] if each["facts"].get(key)]
    return str(found[-1]) if found else ""


def _objective(each: dict[str, Any], say: Say) -> dict[str, Any]:
    wanted = each["objective"]
    name, unit = wanted["measure"], wanted["unit"] or "count"
    return {
        "name": _name(name, say),
        "wanted": f"{wanted['op']} {human_value(wanted['limit'], unit)}",
        "found": human_value(each["value"], unit),
        "observed": each["observed"],
        "verdict": each["verdict"],
    }


def _plain(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The measures that are no objectives: those are shown with theirs."""
    judged = {each["objective"]["measure"] for each in document["objectives"]}
    return [each for each in document["measures"] if each["name"] not in judged]


def _name(measure: str, say: Say) -> str:
    said = say(measure)
    return _NAMES.get(measure, measure) if said == measure else said


def _standard(each: dict[str, Any], document: dict[str, Any], say: Say) -> dict[str, Any]:
    words = {True: "given", False: "missing", None: "by hand"}
    parts = [(say(part), say(words[given(part, document)])) for part in each["evidence"]]
    return {**each, "shown": parts}


def _hashes(
    text: str, document: dict[str, Any], signature: dict[str, Any], say: Say
) -> list[tuple[str, str]]:
    rows = [
        ("SHA-256 of evidence.json", hashlib.sha256(text.encode()).hexdigest()),
        ("SHA-256 of playbook.log", document["log_sha256"]),
        ("SHA-256 of the evidence before", document["previous_sha256"] or say("none")),
        ("Signing key", signature["key"]),
        ("Algorithm", signature["algorithm"]),
    ]
    return [(say(name), str(value)) for name, value in rows]


def _moment(text: str) -> str:
    return parse_time(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
