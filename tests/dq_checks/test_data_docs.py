"""Stored audits as Great Expectations' Data Docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crmops.errors import UnknownEvidence, UsageError
from crmops.record import Kind, Verdict, new_run
from dq_checks.data_docs import build
from tests.dq_checks.support import Auditor, Database, rule, suite

SUITE = suite(
    {**rule("people.name", "filled", column="name"), "title": "A name costs <b>$name</b>"},
    rule("people.one", "unique", columns=["name"]),
    rule("people.mail", "format", column="mail", format="email"),
    rule("people.lost", "filled", column="lost"),
    rule("people.listed", "listed", column="name", reference="registry"),
)


def text_of(page: Path) -> str:
    plain = re.sub(r"<script.*?</script>|<style.*?</style>", "", page.read_text(), flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", plain))


def test_stored_audits_become_pages(auditor: Auditor, database: Database, tmp_path: Path) -> None:
    database.do("create table people (id bigint primary key, name text, mail text)")
    database.do("insert into people values (1, 'Planted-Person', null), (2, null, null)")
    first, second = (auditor.run(database.auditor, SUITE) for _ in range(2))
    out = tmp_path / "docs"
    pages, found = build(auditor.history, [first.id, second.id.lower()], out)
    assert [each.id for each in found] == [first.id, second.id]
    assert pages == len(list(out.rglob("*.html"))) == 4  # the index, the suite and two results
    shown = next(each for each in out.rglob("*.html") if first.id in str(each))
    text = text_of(shown)
    assert "A name costs &lt;b&gt;$name&lt;/b&gt;" in text
    assert re.search("1 unexpected values? found. .*50% of 2 total rows.", text)
    assert "error: column lost is missing" in text
    assert "unknown: it saw nothing that it is about" in text
    assert "unknown: dq.references has no registry" in text
    assert "Evaluated Expectations 5 Successful Expectations 1" in text
    everything = b"".join(each.read_bytes() for each in out.rglob("*.html"))
    assert b"Planted-Person" not in everything
    assert b"web-assets" not in everything


def test_what_cannot_be_shown(auditor: Auditor, database: Database, tmp_path: Path) -> None:
    history, out = auditor.history, tmp_path / "docs"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("kept")
    with pytest.raises(UsageError, match="full is there already"):
        build(history, ["01"], tmp_path / "full")
    with pytest.raises(UnknownEvidence, match="there is no audit '01'"):
        build(history, ["01"], out)
    lost = auditor.run(database.auditor, SUITE)
    assert lost.verdict is Verdict.ERROR
    with pytest.raises(UnknownEvidence, match=f"run {lost.id} holds no result of an audit"):
        build(history, [lost.id], out)
    database.do("create table people (id bigint primary key, name text)")
    good = auditor.run(database.auditor, suite(rule("people.name", "filled", column="name")))
    with pytest.raises(UsageError, match="2 audits begin with '0'"):
        build(history, ["0"], out)
    history.files.path(good.evidence[0]).write_text("{}")
    with pytest.raises(UnknownEvidence, match=f"evidence of run {good.id} is missing or was"):
        build(history, [good.id], out)
    probe = new_run(Kind.PROBE, "crm", "login")
    history.record(probe.with_(ended=probe.begun, verdict=Verdict.PASS, reason="fine"))
    with pytest.raises(UnknownEvidence, match=f"run {probe.id} holds no result of an audit"):
        build(history, [probe.id], out)
    assert not out.exists()
