"""The page to print: complete, in two languages, self-contained, and honest about its limits."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from crmops.cli import run
from crmops.errors import ConfigError, UsageError
from crmops.record import Kind
from playbooks.judge import BACKUP_STAGES, stages_of
from playbooks.page import deviations, render
from playbooks.settings import Audits, Settings
from playbooks.signing import load_key, sign
from playbooks.standards import SHIPPED, given, load_standards
from playbooks.words import known
from tests.playbooks.conftest import Taken

TEMPLATE = Path(__file__).resolve().parents[2] / "playbooks" / "templates" / "evidence.html"


def make_document(**changes: object) -> dict[str, Any]:
    """The evidence of a drill that lost a row and was too slow."""
    objective = {"measure": "rto", "op": "<=", "limit": 60.0, "unit": "seconds",
                 "minimum_samples": 1}  # fmt: skip
    check = {"name": "tables", "passed": False, "wanted": "as on the source",
             "found": "1 differ", "detail": "public.deals has 8 rows, had 9"}  # fmt: skip
    stage = {"name": "compare", "begun": "2026-01-01T00:00:09Z", "tick": 1.0, "seconds": 1.25,
             "outcome": "fail", "reason": "tables: 1 differ", "hint": "",
             "checks": [check], "facts": {}}  # fmt: skip
    return {
        "format": 1, "run": "R1", "kind": "drill", "target": "<script>crm</script>",
        "begun": "2026-01-01T08:00:00+08:00", "verdict": "fail", "reason": "tables: 1 differ",
        "backup": "B1", "tool_versions": {"crmops": "0.1.0"}, "config_digest": "",
        "incident": "2026-01-01T00:00:00+00:00", "asked_by": "root", "host": "h",
        "operator": "王小明", "owner": "", "approver": "Ada", "previous_sha256": "",
        "log_sha256": "ab" * 32,
        "measures": [
            {"name": "rto", "value": 75.0, "unit": "seconds", "observed": 1},
            {"name": "tables.compared", "value": 0.0, "unit": "count", "observed": 0},
        ],
        "objectives": [{"objective": objective, "value": 75.0, "observed": 1, "verdict": "fail",
                        "reason": "rto is 75, not <= 60"}],
        "findings": [{"title": "the clock stepped", "detail": "by 9 s", "severity": "warning",
                      "subject": ""},
                     {"title": "a killed run was cleaned up", "detail": "", "severity": "info",
                      "subject": ""}],
        "stages": [stage],
        "standards": [e.model_dump(mode="json") for e in load_standards()],
        **changes,
    }  # fmt: skip


@pytest.fixture
def signed(tmp_path: Path) -> str:
    return sign(make_document(), load_key(tmp_path / "key.pem"))


class _Outline(HTMLParser):
    """Tags that load something, and whether every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [name for name, _ in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag in ("script", "link", "img", "iframe"):
            self.loads.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["en", "zh"])
def test_page_is_whole_and_loads_nothing(signed: str, language: str) -> None:
    page = render(signed, language)
    outline = _Outline()
    outline.feed(page)
    assert outline.open == [] and outline.loads == []
    assert "@media print" in page and "&lt;script&gt;crm" in page
    for each in ("王小明", "Ada", "1 min 15 s", "1 min 00 s", "public.deals has 8 rows, had 9",
                 "2026-01-01 00:00:00", "GB/T 20988-2025", "ab" * 32, "SHA256:"):  # fmt: skip
        assert each in page, each


def test_page_speaks_both_languages(signed: str) -> None:
    english, chinese = render(signed, "en"), render(signed, "zh")
    assert '<html lang="en">' in english and '<html lang="zh-Hans">' in chinese
    assert "What it does not prove" in english and "签名不能证明什么" in chinese
    assert "Verdict: fail" in english and "结论: 未通过" in chinese
    assert "text not read" in english and "未核对原文" in chinese
    wanted = re.findall(r'_\("([^"]+)"\)', TEMPLATE.read_text(encoding="utf-8"))
    assert wanted and set(wanted) <= known()
    everything = Settings(audits=Audits(suites=("contacts",)))
    assert {*BACKUP_STAGES, *stages_of(Kind.DRILL, everything, point_in_time=True)} <= known()


def test_every_word_of_real_evidence_is_translated(taken: Taken) -> None:
    folder = taken.room.state / "artifacts" / taken.run.id
    document = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))["evidence"]
    words = {check["name"] for each in document["stages"] for check in each["checks"]}
    words |= {each["name"] for each in document["measures"]}
    assert words and words <= known()
    for language in ("en", "zh"):
        page = (folder / f"evidence.{language}.html").read_text(encoding="utf-8")
        assert page == render((folder / "evidence.json").read_text(encoding="utf-8"), language)
        assert f"artifacts/{taken.run.id}" not in page


def test_what_was_not_as_wanted_is_a_deviation_once() -> None:
    assert deviations(make_document()) == [
        "rto is 75, not <= 60",
        "compare: tables: public.deals has 8 rows, had 9",
        "the clock stepped: by 9 s",
    ]
    good = make_document(verdict="pass", objectives=[], stages=[], findings=[])
    assert deviations(good) == []
    killed = make_document(verdict="error", reason="killed", objectives=[], stages=[], findings=[])
    assert deviations(killed) == ["killed"]


def test_evidence_without_names_or_numbers_is_missing_them() -> None:
    document = make_document()
    assert given("participants", document) is False, "nobody owns it"
    assert given("participants", make_document(owner="Ops")) is True
    assert given("restore", document) is False, "no table was compared"
    assert given("restore", make_document(measures=[])) is False
    assert given("objectives", make_document(objectives=[])) is False
    assert given("follow_up", document) is None


def test_shipped_standards_claim_nothing() -> None:
    found = {each.standard: each for each in load_standards()}
    assert {"GB/T 20988-2025", "GB/T 22239-2019", "ISO 22301", "SOC 2"} == set(found)
    assert not any(each.read for each in found.values()), "nobody has read these texts for us"
    assert all(each.source and each.part.en and each.part.zh for each in found.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "it cannot be read: No such file or directory"),
        (b"\xff\xfe\xfa", "it is not UTF-8"),
        (b"- [", "it is no YAML: "),
        (b"", "the file: Input should be a valid tuple"),
        (b"- {standard: X, part: {en: a}, source: s, read: false, evidence: [luck]}",
         "0.evidence.0: Input should be 'date', 'participants'"),
        (b"- {standard: X, part: {en: a}, source: s, evidence: [date]}",
         "0.read: Field required"),
    ],
)  # fmt: skip
def test_standards_that_do_not_read(text: bytes | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "standards.yaml"
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        load_standards(str(file))
    assert caught.value.message.startswith(f"{file}: {message}")
    assert SHIPPED.name in caught.value.hint


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"evidence": {}, "signature": {}}', "null"])
def test_anything_else_has_no_page(text: str) -> None:
    with pytest.raises(UsageError, match="this is no signed evidence"):
        render(text, "en")


def test_page_by_command(signed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(signed, encoding="utf-8")
    assert run(["drill", "page", str(file), "--language", "zh"]) == 0
    assert capsys.readouterr().out == render(signed, "zh")
    assert run(["drill", "page", str(file), "--language", "fr"]) == 2
    assert "there is no page in 'fr'" in capsys.readouterr().err
