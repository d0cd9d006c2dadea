"""What records say in English is said in Chinese on a Chinese page; what is unknown stays."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from alerts.catalogue import load_alerts
from alerts.settings import Settings
from console.sentences import KNOWN, LONGEST, Teller, human
from console.words import translations
from crmops.demo.settings import EVERY_ROW, requirements
from crmops.record import Kind
from tests.console.conftest import Console, Serve

ROOT = Path(__file__).parents[2]
TOLD = Teller(translations("zh")).told
SPEAKING = ("crmops/gate/decide.py", "crmops/gate/run.py", "crmops/verdict.py")
JOINED = {"1: 1", "1; 1", "1 1 1"}
"""Sentences put together from others, and an objective's name: told part by part."""


def sentences(path: str) -> Iterator[str]:
    """Every text of a module that is made of words and values, each value being 1."""
    nodes = list(ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))))
    formats = {id(each.format_spec) for each in nodes if isinstance(each, ast.FormattedValue)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr) and id(node) not in formats:
            yield from _filled(node)
        elif isinstance(node, ast.keyword) and node.arg == "reason":
            yield from _constants(node.value)


def _filled(node: ast.JoinedStr) -> Iterator[str]:
    parts = [each.value if isinstance(each, ast.Constant) else _value(each) for each in node.values]
    yield "".join(map(str, parts))


def _value(part: ast.expr) -> str:
    return "'1'" if isinstance(part, ast.FormattedValue) and part.conversion == ord("r") else "1"


def _constants(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def measured(text: str) -> str:
    """A sentence with values in it that can stand there."""
    text = text.replace("the evidence is 1", "the evidence is 3 h 20 min")
    text = re.sub(r"not 1 1$", "not <= 1", text)
    text = re.sub(r"is in 1, not 1", "is in seconds, not ratio", text)
    return text.replace("old, 1 is", "old, 26 h 00 min is").replace("no 1 ", "no load ")


@pytest.mark.parametrize("path", SPEAKING)
def test_every_reason_of_the_gate_has_a_translation(path: str) -> None:
    found = {measured(each) for each in sentences(path)} - JOINED
    assert len(found) >= 2
    english = {each for each in found if not re.search(r"[\u4e00-\u9fff]", TOLD(each))}
    assert english == set()


def test_most_of_what_the_rooms_conclude_and_find_has_a_translation() -> None:
    """New sentences may wait for their translation, but not many of them."""
    said = set()
    for room in ("crmops", "loadtests", "probes", "dq_checks", "playbooks", "alerts"):
        for path in (ROOT / room).rglob("*.py"):
            said |= set(_said(path))
    english = sorted(each for each in said if not re.search(r"[\u4e00-\u9fff]", TOLD(each)))
    assert len(said) > 60
    assert len(english) <= 15, english


def _said(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            place = {"conclude": 1, "finding": 0}.get(node.func.attr, len(node.args))
            for each in node.args[place : place + 1]:
                yield from _filled(each) if isinstance(each, ast.JoinedStr) else _constants(each)


def test_values_are_kept_and_spans_get_their_units() -> None:
    told = {
        "no load 'launch' on 'crm' yet": "“crm”上尚无“launch”的压力测试记录",
        "the evidence is 3 d 4 h old, 26 h 00 min is the most": (
            "证据距今已有 3 天 4 小时，最多允许 26 小时 00 分"
        ),
        "rto is 130, not <= 120": "rto 为 130，未达到 <= 120",
        "it could not run: interrupted": "未能执行：被中断",
        "people can log in: it says unknown: no request was sent; all 2 objectives met": (
            "用户能够登录：其结论为未知：没有发出任何请求；全部 2 项指标达标"
        ),
        "firing: login on crm is slow": "触发中：crm 上的 login 变慢",
        "people can log in: something else": "用户能够登录：something else",
        "server at login: 500": "服务端错误，位置：login: 500",
    }
    assert {each: TOLD(each) for each in told} == told
    assert human("4 min 05 s", translations("zh")) == "4 分 05 秒"


@pytest.mark.parametrize(
    "text",
    ["", "Ready!", "our own requirement; another: one", "x: y", "no 'load' yet", "%(kind)s", "%"],
)
def test_what_is_not_known_stays_as_it_is(text: str) -> None:
    assert TOLD(text) == text


@given(st.text() | st.lists(st.sampled_from(KNOWN)).map("; ".join))
def test_no_text_breaks_a_page(text: str) -> None:
    assert isinstance(TOLD(text), str)
    assert Teller(gettext.NullTranslations()).told(text) == text


def test_a_text_that_is_too_long_is_left_alone() -> None:
    text = "no request was sent; " * LONGEST
    assert TOLD(text) == text


def test_what_we_ship_is_translated() -> None:
    shown = YAML(typ="safe").load((ROOT / "crmops.example.yaml").read_text(encoding="utf-8"))
    names = [each["name"] for each in shown["gates"]["launch"]["requirements"]]
    names += [each["owner"] for each in shown["gates"]["launch"]["requirements"]]
    names += [each["name"] for each in (EVERY_ROW, *requirements(("contacts",)))]
    names += [
        re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"\1", each.summary)
        for each in load_alerts(Settings())
    ]
    assert len(names) > 30
    assert {each for each in names if TOLD(each) == each} == {"sre"}


@pytest.mark.parametrize("state", ["empty", "normal", "failing"])
def test_the_launch_page_speaks_chinese_throughout(consoles: Serve, state: str) -> None:
    console = consoles(state)
    page = console.http.get("/launch/launch", headers={"accept-language": "zh-CN"}).text
    rulings = console.http.get("/launch/launch?format=json").json()["rulings"]
    for each in rulings:
        assert TOLD(each["requirement"]["name"]) in page
        if TOLD(each["reason"]) != each["reason"]:
            assert each["reason"] not in page.replace("&#39;", "'")
    assert ("尚无“launch”的压力测试记录" in page) == (state == "empty")


def test_a_runbook_is_read_in_the_language(consoles: Serve) -> None:
    console = consoles("failing")
    assert "## Meaning" not in _runbook(console, "zh-CN")
    assert "<h2>含义</h2>" in _runbook(console, "zh-CN")
    assert "<h2>Meaning</h2>" in _runbook(console, "en")
    answer = console.http.get("/runbooks/Nothing", headers={"accept-language": "zh-CN"})
    assert "没有 Nothing 的处置手册" in answer.text


def _runbook(console: Console, language: str) -> str:
    page: str = console.http.get(
        "/runbooks/CrmProbeSlow", headers={"accept-language": language}
    ).text
    return page


def test_a_load_test_that_goes_on_says_how_it_stands(consoles: Serve) -> None:
    console = consoles("normal")
    live = console.history.live()[0].run
    assert (live.kind, live.subject) == (Kind.LOAD, "soak")
    page = console.http.get(f"/runs/{live.id}").text
    assert 'open, so far <span class="verdict fail">' in page
    assert "verdict{" not in page
    assert '<th scope="row">server</th>' in page
    assert console.http.get(f"/runs/{live.id}?format=json").json()["so_far"] == "fail"
    overview = console.http.get("/").text
    assert 'so far <span class="verdict fail">' in overview
    assert "error.ratio <b>1.00 %</b>" in overview
    assert "{" not in overview.partition('<ul class="live">')[2]
    ended = console.run(Kind.LOAD, "launch")
    assert console.http.get(f"/runs/{ended.id}?format=json").json()["so_far"] is None
