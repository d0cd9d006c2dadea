"""``POST /api/v1/duplicates/check``: what a form is told, and what it is not."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from crmops.config import load_config
from crmops.history import open_history
from dq_checks.duplicates.check import Checker
from dq_checks.duplicates.entry import LARGEST_BODY, PATH, create_app
from dq_checks.duplicates.find import Wanted, find_duplicates
from tests.serve.support import serving

BASE = (
    "targets: {crm: {connector: refcrm, url: 'http://127.0.0.1:9', username: a,"
    " password: 'file:password', timeout: 2}}\n"
)
PEOPLE = """编号,姓名,公司,手机,邮箱
K-1,張 偉強,北京市华信科技有限公司,+86 138 0013 8000,weiqiang@huaxin.com.cn
K-2,李娜,上海恒源贸易有限公司,13900139001,lina@hengyuan.com
K-3,王芳,广州瑞丰食品有限公司,13700137002,wangfang@ruifeng.com
"""
FIRMS = """编号,公司名称,电话
A-1,北京市华信科技有限公司,010-65529988
A-2,上海恒源贸易有限公司,021-55529988
"""
SAME = {"name": "张伟强", "mobile": "13800138000"}


def _keep(place: Path, name: str, text: str, entity: str = "contact") -> None:
    folder = place / ".crmops" / "duplicates"
    folder.mkdir(parents=True, exist_ok=True)
    source = place / f"{name}.csv"
    source.write_text(text, encoding="utf-8")
    find_duplicates(Wanted(source, entity, keep=folder / name, id_column="编号"))


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory with kept records that an unprivileged server can reach."""
    folder = Path(tempfile.mkdtemp(prefix="crmops-entry-"))
    folder.chmod(0o755)
    (folder / "password").write_text("tr0ub4dor")
    (folder / "token").write_text("let-me-in")
    (folder / "crmops.yaml").write_text(BASE + "dq: {entry_token: 'file:token'}\n")
    for each in ("password", "token"):
        (folder / each).chmod(0o600)
    _keep(folder, "people", PEOPLE)
    _keep(folder, "firms", FIRMS, "account")
    yield folder
    shutil.rmtree(folder)


def _ask(
    place: Path, question: object, *, token: str = "", text: str = BASE, **scope: Any
) -> tuple[int, dict[str, Any]]:
    """A question as the application sees it."""
    path = place / "asked.yaml"
    path.write_text(text)
    config = load_config(path)
    history = open_history("sqlite://", place / "artifacts")
    sent: list[dict[str, Any]] = []
    body = question if isinstance(question, bytes) else json.dumps(question).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    asked = {
        "type": "http", "path": PATH, "method": "POST", "client": ("127.0.0.1", 1),
        "headers": headers, **scope,
    }  # fmt: skip
    try:
        anyio.run(create_app(config, history), asked, receive, send)
    finally:
        history.close()
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_a_form_is_warned_by_the_running_server(place: Path) -> None:
    with serving(place / "crmops.yaml", "--no-scheduler") as served:
        with httpx.Client(base_url=served.url, trust_env=False, timeout=60) as http:
            question = {"entity": "contact", "record": SAME}
            assert http.post(PATH, json=question).status_code == 401
            headers = {"authorization": "Bearer let-me-in"}
            reply = http.post(PATH, json=question, headers=headers)
            assert reply.status_code == 200
            assert reply.headers["cache-control"] == "no-store"
            told = reply.json()
            again = http.post(PATH, json={**question, "except_id": "K-1"}, headers=headers).json()
            page = http.get("/metrics").text
        code, said = served.end()
    assert told["answer"] == "likely"
    (first,) = told["candidates"]
    assert (first["store"], first["id"], first["likely"]) == ("people", "K-1", True)
    assert {(each["field"], each["what"]) for each in first["reasons"]} == {
        ("mobile", "same"), ("person", "same, rare"),
    }  # fmt: skip
    assert (again["answer"], again["candidates"]) == ("none", [])
    assert (code, said.count("Traceback")) == (0, 0)
    for secret in ("13800138000", "张伟强", "huaxin", "华信"):
        assert secret not in reply.text + page + said


@pytest.mark.parametrize(
    ("record", "answer", "reason"),
    [
        ({"姓名": "孙悦", "手机": "13511112222"}, "none", ""),
        ({"name": "李娜", "company": "恒源贸易"}, "likely", ""),
        ({"mobile": " ", "name": None}, "unknown", "the record holds nothing to compare"),
        ({"city": "北京"}, "unknown", "the record holds nothing to compare"),
    ],
)
def test_answers(place: Path, record: dict[str, Any], answer: str, reason: str) -> None:
    if "name" not in record and "姓名" not in record:
        record = {"name": "", **record}
    status, told = _ask(place, {"entity": "lead", "record": record})
    assert (status, told["answer"], told["reason"]) == (200, answer, reason)
    assert set(told["known"]) == {"people"}


def test_a_company_is_asked_of_companies(place: Path) -> None:
    record = {"name": "华信科技（北京）有限公司", "phone": "+86 10 65529988"}
    status, told = _ask(place, {"entity": "account", "record": record})
    assert (status, told["answer"]) == (200, "likely")
    assert [(each["store"], each["id"]) for each in told["candidates"]] == [("firms", "A-1")]


def test_what_too_many_share_says_nothing(tmp_path: Path) -> None:
    _keep(tmp_path, "many", "编号,姓名\n" + "".join(f"{at},张伟\n" for at in range(400)))
    told = Checker(tmp_path / ".crmops").check("contact", {"name": "张伟"})
    assert told["answer"] == "unknown"
    assert told["reason"] == "what the record holds is shared by 400 others; enter more of it"
    told = Checker(tmp_path / ".crmops").check("contact", {"name": "张伟", "mobile": "13511112222"})
    assert told["answer"] == "none", "nobody has the mobile, and that says something"


@pytest.mark.parametrize(
    ("question", "status", "said"),
    [
        (b"{", 400, "no question about a record: body: Invalid JSON"),
        ({"entity": "deal", "record": SAME}, 400, "no question about a record: entity: "),
        ({"entity": "contact", "record": {}}, 400, "no question about a record: record: "),
        ({"entity": "contact", "record": SAME, "x": 1}, 400, "no question about a record: x: "),
        ({"entity": "contact", "record": {"Colour": "red"}}, 400, "the record has no field that"),
        (b" " * (LARGEST_BODY + 1), 413, "a record has at most 65536 bytes"),
    ],
)
def test_a_bad_question_is_refused(place: Path, question: object, status: int, said: str) -> None:
    got, told = _ask(place, question)
    assert got == status
    assert told["error"].startswith(said)


def test_who_may_not_ask(place: Path) -> None:
    question = {"entity": "contact", "record": SAME}
    assert _ask(place, question, method="GET")[0] == 405
    assert _ask(place, question, path="/api/v1/duplicates/else")[0] == 404
    status, told = _ask(place, question, client=("192.0.2.7", 1))
    assert (status, told) == (403, {"error": "without dq.entry_token only this machine may ask"})
    guarded = BASE + "dq: {entry_token: 'file:token'}\n"
    assert _ask(place, question, text=guarded, client=("192.0.2.7", 1))[0] == 401
    assert _ask(place, question, text=guarded, token="wrong")[0] == 401
    assert _ask(place, question, text=guarded, token="let-me-in", client=("192.0.2.7", 1))[0] == 200


def test_no_records_or_damaged_ones_are_no_answer(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x")
    (tmp_path / "password").chmod(0o600)
    question = {"entity": "contact", "record": SAME}
    status, told = _ask(tmp_path, question)
    assert (status, told["error"]) == (503, "no contacts are kept to compare with")
    _keep(tmp_path, "people", PEOPLE)
    (tmp_path / ".crmops" / "duplicates" / "people" / "records.arrow").write_bytes(b"no")
    status, told = _ask(tmp_path, question)
    assert status == 503
    assert "people is damaged" in told["error"]


def test_a_store_that_was_made_again_is_opened_again_also_by_many_at_once(tmp_path: Path) -> None:
    _keep(tmp_path, "people", PEOPLE)
    checker = Checker(tmp_path / ".crmops")
    answers: list[str] = []

    def ask() -> None:
        answers.append(checker.check("contact", SAME)["answer"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert answers == ["likely"] * 4
    _keep(tmp_path, "people", PEOPLE.replace("+86 138 0013 8000", "").replace("張 偉強", "孙悦"))
    assert checker.check("contact", SAME)["answer"] == "none"
    shutil.rmtree(tmp_path / ".crmops" / "duplicates" / "people")
    _keep(tmp_path, "others", PEOPLE)
    assert set(checker.check("contact", SAME)["known"]) == {"others"}
