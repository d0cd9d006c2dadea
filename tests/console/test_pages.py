"""Every page in both languages over every state of the history, and its twin."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from console import words
from console.app import POLICY
from console.words import choose_language
from crmops.record import Finding, Kind, Unit, Verdict
from tests.console.conftest import STATES, Serve, count, ended

ROOM = Path(words.__file__).parent
DYNAMIC = (
    *(each.value for each in Kind),
    *(each.value for each in Verdict),
    *("go", "no-go", "info", "warning", "critical"),
)


class Checked(HTMLParser):
    """Collects what a page links to and whether its tags are closed in order."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.lang = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert "style" not in given, "the policy forbids it"
        self.lang = self.lang or given.get("lang") or ""
        self.links += [given[name] or "" for name in ("href", "src") if name in given]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that closes itself, in a picture."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("state", STATES)
def test_every_page_in_both_languages(consoles: Serve, state: str, language: str) -> None:
    console = consoles(state)
    for path in console.pages():
        headers = {"accept-language": {"en": "en-GB", "zh": "zh-CN,zh;q=0.9"}[language]}
        answer = console.http.get(path, headers=headers)
        assert answer.status_code == (404 if path == "/nowhere" else 200), path
        page = Checked(answer.text)
        assert page.open == []
        assert page.lang == {"en": "en", "zh": "zh-Hans"}[language]
        assert ("总览" in answer.text) == (language == "zh")
        assert all(link.startswith(("/", "#")) for link in page.links), page.links
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("state", STATES)
def test_every_page_has_a_twin(consoles: Serve, state: str) -> None:
    console = consoles(state)
    for path in console.pages():
        mark = "&" if "?" in path else "?"
        answer = console.http.get(f"{path}{mark}format=json")
        assert answer.headers["content-type"] == "application/json"
        assert isinstance(answer.json(), dict), path


def test_every_link_leads_somewhere(consoles: Serve) -> None:
    console = consoles("failing")
    links = {
        link
        for path in console.pages()
        for link in Checked(console.http.get(path).text).links
        if link.startswith("/")
    }
    assert len(links) > 20
    broken = {link: console.http.get(link).status_code for link in sorted(links)}
    console.http.cookies.clear()  # one of the links was a choice of language
    assert {link: code for link, code in broken.items() if code != 200} == {
        link: 404 for link in links if link.startswith("/nowhere")
    }


def test_every_word_is_translated() -> None:
    methods = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
    options = {"**/templates/**.html": {"trim_blocks": "true", "newstyle_gettext": "true"}}
    found = {
        message
        for _, _, message, _, _ in extract_from_dir(ROOM, methods, options)
        if isinstance(message, str)
    }
    assert len(found) > 60
    with (ROOM / "locale/zh_Hans/LC_MESSAGES/console.po").open("rb") as stream:
        catalogue = read_po(stream, locale="zh_Hans")
    told = {str(each.id): str(each.string) for each in catalogue if each.id}
    assert {each for each in (*found, *DYNAMIC) if not told.get(each)} == set()
    assert set(told) - found - set(DYNAMIC) == set(), "translated, and never said"
    for source, translated in told.items():
        names = re.findall(r"%\(\w+\)[sd]", source)
        assert sorted(names) == sorted(re.findall(r"%\(\w+\)[sd]", translated)), source


def test_an_empty_history_is_no_good_news(consoles: Serve) -> None:
    console = consoles("empty")
    page = console.http.get("/").text
    assert "Nothing was executed yet, so nothing is known. No data is not good news." in page
    assert "whether alerting works is not known" in page
    assert "verdict pass" not in page
    launch = console.http.get("/launch/launch?format=json").json()
    assert (launch["decision"], launch["verdict"]) == ("unknown", "unknown")
    assert {(each["kind"], each["subject"]) for each in launch_overdue(console)} == {
        ("load", "launch"),
        ("probe", "login"),
        ("drill", "restore"),
        ("backup", "weekly"),
    }


def launch_overdue(console: object) -> list[dict[str, str]]:
    found: list[dict[str, str]] = console.http.get("/?format=json").json()["overdue"]  # type: ignore[attr-defined]
    return found


def test_the_overview_says_what_is_wrong(consoles: Serve) -> None:
    console = consoles("failing")
    data = console.http.get("/?format=json").json()
    assert data["gates"] == {"launch": "no-go"}
    assert [each["subject"] for each in data["firing"]] == ["CrmProbeSlow"]
    assert [(each["kind"], each["subject"]) for each in data["overdue"]] == [("backup", "weekly")]
    page = console.http.get("/").text
    assert 'href="/runbooks/CrmProbeSlow"' in page
    assert "3 of the last 12 walks passed" in page
    assert "Missing or overdue" in page


def test_many_probes_do_not_push_the_rest_off_the_overview(consoles: Serve) -> None:
    console = consoles("normal")
    for number in range(250):
        console.history.record(ended(Kind.WINDOW, "short", ago=5 + number / 1000))
    kinds = {each["kind"] for each in console.http.get("/?format=json").json()["newest"]}
    assert {"load", "probe", "dq", "backup", "drill"} <= kinds


def test_the_page_of_a_load_test(consoles: Serve) -> None:
    console = consoles("normal")
    page = console.http.get(f"/runs/{console.run(Kind.LOAD, 'launch').id}").text
    assert "deals.list" in page
    assert "response_time.p95 over the last runs" in page
    assert page.count('class="chart"') == 4
    assert "Course of the test" in page
    assert re.search(r'<time datetime="[0-9T:-]+Z">[0-9T:-]+Z</time> <small', page)


def test_the_page_of_a_probe_shows_its_last_walks(consoles: Serve) -> None:
    console = consoles("normal")
    page = console.http.get(f"/runs/{console.run(Kind.PROBE, 'login').id}").text
    assert page.count('<rect class="bar') == 60
    assert page.count('<rect class="bar fail') + page.count('<rect class="bar error') == 2
    assert "58 of the last 60 walks passed" in page


def test_text_of_others_is_text(consoles: Serve) -> None:
    """Subjects, reasons, targets and findings come from outside, as far as a page knows."""
    console = consoles("huge")
    nasty = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    run = ended(
        Kind.DQ,
        nasty,
        Verdict.FAIL,
        1,
        target=nasty,
        reason=nasty,
        findings=(Finding(title=nasty, detail=nasty, subject=nasty),),
        measures=(count(f"score{{{nasty}}}", 1), count("score", 0.5, Unit.RATIO)),
        tool_versions={nasty: nasty},
    )
    console.history.record(run)
    console.history.record(run.with_(id=run.id[:-1] + ("0" if run.id[-1] != "0" else "1")))
    for path in ("/", "/runs", f"/runs/{run.id}", f"/runs?subject={nasty}", f"/launch/{nasty}"):
        page = console.http.get(path).text
        assert "<script" not in page, path
        assert "<img" not in page, path
        assert "&lt;script&gt;" in page or path.startswith("/launch"), path
        Checked(page)


def test_evidence_is_sandboxed_and_only_shown_while_it_is_whole(consoles: Serve) -> None:
    console = consoles("failing")
    run = console.run(Kind.LOAD, "launch")
    report = console.http.get(f"/runs/{run.id}/files/report.html")
    assert report.headers["content-type"] == "text/html; charset=utf-8"
    policy = report.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    assert "allow-same-origin" not in policy
    saved = console.http.get(f"/runs/{run.id}/files/worklist.csv")
    assert saved.headers["content-disposition"] == 'attachment; filename="worklist.csv"'
    assert console.http.get(f"/runs/{run.id}/files/other.html").status_code == 404
    assert console.http.get(f"/runs/{run.id}/files/..%2f..%2fhistory.db").status_code == 404
    path = console.history.files.path(run.evidence[1])
    kept = path.read_bytes()
    path.write_bytes(kept + b" ")
    changed = console.http.get(f"/runs/{run.id}/files/report.html")
    assert changed.status_code == 410
    assert "is gone or was changed: it proves nothing" in changed.text
    assert "gone or changed" in console.http.get(f"/runs/{run.id}").text
    path.unlink()
    assert console.http.get(f"/runs/{run.id}/files/report.html").status_code == 410
    path.write_bytes(kept)


def test_what_is_asked_wrongly_is_told_in_a_page(consoles: Serve) -> None:
    console = consoles("empty")
    answer = console.http.get("/runs?kind=nothing")
    assert answer.status_code == 400
    assert "kind: Input should be" in answer.text
    assert console.http.get("/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV").status_code == 404
    assert console.http.get("/launch/other?format=json").json() == {
        "error": "there is no gate other"
    }
    assert console.http.post("/").status_code == 405


def test_the_language_is_a_choice_that_stays(consoles: Serve) -> None:
    console = consoles("empty")
    chosen = console.http.get("/runs?kind=probe&lang=zh", headers={"accept-language": "en"})
    assert 'lang="zh-Hans"' in chosen.text
    assert 'href="/runs?kind=probe&amp;lang=en"' in chosen.text
    assert "lang=zh" in chosen.headers["set-cookie"]
    console.http.cookies.clear()


@pytest.mark.parametrize(
    ("configured", "cookie", "accept", "chosen"),
    [
        ("auto", "", "", "en"),
        ("auto", "", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("auto", "", "fr,en;q=0.7,zh;q=0.3", "en"),
        ("zh", "", "en", "zh"),
        ("zh", "en", "zh", "en"),
        ("auto", "klingon", "zh", "zh"),
    ],
)
def test_choice_of_language(configured: str, cookie: str, accept: str, chosen: str) -> None:
    assert choose_language(configured, cookie, accept) == chosen
