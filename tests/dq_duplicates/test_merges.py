"""``crmops dq merges``: what is planned, what each CRM would be sent, and sending it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from crmops.cli import run as crmops
from dq_checks.duplicates.forms import Taken, calls_of, find_forms, rounds
from dq_checks.duplicates.merging import read_plan

PEOPLE = """Id,name,Email,Phone,Note
K-1,张伟强,,13800138000,
K-2,张伟强,wq@huaxin.com,13800138000,old
K-3,李娜,,,
K-4,李娜,,,
K-5,王芳,w@x.com,,
"""
CLUSTERS = """cluster,row,probability,pairs
1,1,0.99,2:0.99
1,2,0.99,1:0.99
2,3,0.7,4:0.7
2,4,0.7,3:0.7
"""
THREE = """Id,name,Email,Phone
K-1,n,,5
K-2,n,e,
K-3,n,,6
"""
TAKEN = [Taken("Email", "a<b&c@x", "L1"), Taken("Phone", "{token}", "L3")]


class Crm(ThreadingHTTPServer):
    """A CRM with records, the reference dialect and HubSpot's merge call."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.records = {f"K-{at}": {"id": f"K-{at}", "name": f"n{at}"} for at in range(1, 6)}
        self.seen: list[tuple[str, str, Any]] = []
        self.refuses = ""


class _Answers(BaseHTTPRequestHandler):
    server: Crm

    def log_message(self, *_: object) -> None:
        """Silent."""

    def _reply(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        found = self.server.records.get(name)
        missing = {"error": {"code": "missing", "message": "no"}}
        self._reply(200 if found else 404, found or missing)

    def _write(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/api/v1/login":
            user = {"id": "1", "username": "a", "name": "A", "role": "admin", "team_id": None}
            self._reply(200, {"token": "s3cret", "expires_in": 60, "user": user})
            return
        self.server.seen.append((self.command, self.path, body))
        assert self.headers["authorization"] == "Bearer s3cret"
        if self.server.refuses and self.server.refuses in json.dumps(body):
            self._reply(403, {"error": {"code": "forbidden", "message": "not yours"}})
            return
        if self.path.endswith("/merge"):
            self.server.records.pop(body["objectIdToMerge"])
            self.server.records["K-9"] = self.server.records.pop(body["primaryObjectId"])
        self._reply(200, {"id": "K-9"})

    do_POST = do_PATCH = _write


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Crm]:
    for name in [each for each in os.environ if each.startswith("CRMOPS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("people.csv").write_text(PEOPLE, encoding="utf-8")
    Path("clusters.csv").write_text(CLUSTERS, encoding="utf-8")
    Path("password").write_text("tr0ub4dor")
    Path("password").chmod(0o600)
    server = Crm()
    Path("crmops.yaml").write_text(
        "targets: {crm: {connector: refcrm, username: a, password: 'file:password',"
        f" url: 'http://127.0.0.1:{server.server_port}'}}}}\n"
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


PLAN = ["dq", "merges", "plan", "people.csv", "--clusters", "clusters.csv", "--id", "Id"]
MAKE = [*PLAN, "--form", "hubspot", "--out", "plan.jsonl"]
SEND = ["dq", "merges", "send", "plan.jsonl"]


def test_a_plan_is_looked_at_then_sent(crm: Crm, capsys: pytest.CaptureFixture[str]) -> None:
    assert crmops([*MAKE, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["clusters"], told["records"], told["calls"]) == (1, 1, 1)
    assert Path("plan.jsonl").stat().st_mode & 0o777 == 0o600
    (merge,) = read_plan(Path("plan.jsonl"))
    assert (merge.survivor, merge.losers, merge.takes) == ("K-2", ("K-1",), ())
    assert merge.why == "5 of 5 cells are filled, the most"
    assert crm.seen == []
    assert crmops(SEND) == 2
    assert "type --confirm crm" in capsys.readouterr().err
    assert crm.seen == []
    assert crmops([*SEND, "--confirm", "crm", "--json"]) == 0
    reason = json.loads(capsys.readouterr().out)["run"]["reason"]
    assert reason == "1 of 1 clusters were merged, 0 were before"
    body = {"primaryObjectId": "K-2", "objectIdToMerge": "K-1"}
    assert crm.seen == [("POST", "/crm/v3/objects/contacts/merge", body)]
    undo = json.loads(Path("plan.undo.jsonl").read_text("utf-8"))
    assert undo["records"]["K-1"]["name"] == "n1"
    assert set(undo["records"]) == {"K-1", "K-2"}
    assert Path("plan.undo.jsonl").stat().st_mode & 0o777 == 0o600
    assert json.loads(Path("plan.done.jsonl").read_text())["survivor"] == "K-9"
    assert crmops([*SEND, "--confirm", "crm"]) == 0
    assert len(crm.seen) == 1, "what is done is not done again"


def test_what_the_survivor_lacks_is_taken_over_and_a_new_id_is_followed(crm: Crm) -> None:
    Path("people.csv").write_text(THREE)
    Path("clusters.csv").write_text("cluster,row,probability\n1,1,1\n1,2,1\n1,3,1\n")
    assert crmops(MAKE) == 0
    (merge,) = read_plan(Path("plan.jsonl"))
    assert merge.why == "3 of 4 cells are filled, the first of equals"
    assert [(each.field, each.value, each.from_) for each in merge.takes] == [("Email", "e", "K-2")]
    assert crmops([*SEND, "--confirm", "crm"]) == 0
    assert crm.seen == [
        ("PATCH", "/crm/v3/objects/contacts/K-1", {"properties": {"Email": "e"}}),
        ("POST", "/crm/v3/objects/contacts/merge",
         {"primaryObjectId": "K-1", "objectIdToMerge": "K-2"}),
        ("POST", "/crm/v3/objects/contacts/merge",
         {"primaryObjectId": "K-9", "objectIdToMerge": "K-3"}),
    ]  # fmt: skip


def test_whatever_fails_ends_it_and_the_next_run_goes_on(
    crm: Crm, capsys: pytest.CaptureFixture[str]
) -> None:
    assert crmops([*MAKE, "--at-least", "0.5"]) == 0
    crm.refuses = "K-4"
    capsys.readouterr()
    assert crmops([*SEND, "--confirm", "crm", "--json"]) == 4
    run = json.loads(capsys.readouterr().out)["run"]
    assert run["reason"] == "1 of 2 clusters were merged; cluster 2: forbidden: forbidden"
    crm.refuses = ""
    assert crmops([*SEND, "--confirm", "crm", "--json"]) == 0
    reason = json.loads(capsys.readouterr().out)["run"]["reason"]
    assert reason == "1 of 1 clusters were merged, 1 were before"
    kept = [each.read_bytes() for each in Path(".crmops").rglob("*") if each.is_file()]
    assert not any(secret in each for each in kept for secret in (b"s3cret", b"wq@huaxin"))


def test_a_record_that_is_gone_is_not_merged(crm: Crm, capsys: pytest.CaptureFixture[str]) -> None:
    assert crmops(MAKE) == 0
    del crm.records["K-1"]
    assert crmops([*SEND, "--confirm", "crm", "--json"]) == 4
    assert crm.seen == []
    assert not Path("plan.undo.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--form", "sugar"], "there is no form 'sugar'"),
        (["--entity", "deal"], "hubspot merges no deals"),
        (["--id", "Nr"], "--id 'Nr': people.csv has no such column"),
        (["--clusters", "people.csv"], "people.csv is no file of clusters"),
        (["--clusters", "gone.csv"], "gone.csv is no file of clusters"),
        (["--id", "Note"], "records of cluster 1 have no Note, or the same one"),
        (["--at-least", "2"], "--at-least 2 is no share"),
        (["--out", "no/plan.jsonl"], "no/plan.jsonl cannot be written"),
    ],
)
def test_a_wrong_plan_is_refused(
    options: list[str], said: str, crm: Crm, capsys: pytest.CaptureFixture[str]
) -> None:
    assert crmops([*MAKE, *options]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")
    assert crm.seen == []


def test_an_altered_plan_is_not_sent(crm: Crm, capsys: pytest.CaptureFixture[str]) -> None:
    assert crmops(MAKE) == 0
    text = Path("plan.jsonl").read_text("utf-8")
    Path("plan.jsonl").write_text(text.replace('"survivor": "K-2"', '"survivor": "K-5"'))
    assert crmops([*SEND, "--confirm", "crm"]) == 2
    assert "line 1 does not say what would be sent" in capsys.readouterr().err
    Path("plan.jsonl").write_text("{}\n")
    assert crmops([*SEND, "--confirm", "crm"]) == 2
    assert "line 1 is no merge" in capsys.readouterr().err
    Path("plan.jsonl").write_text("")
    assert crmops([*SEND, "--confirm", "crm"]) == 3
    assert crm.seen == []


def _calls(name: str, token: str = "t0k") -> list[Any]:
    form = find_forms()[name]
    steps = rounds(form, "contact", "S/1", ["L1", "L2", "L3"], TAKEN)
    return [call for step in steps for call in calls_of(form, step, token)]


def test_every_form_merges_contacts_and_accounts() -> None:
    assert set(find_forms()) == {"dynamics", "hubspot", "salesforce", "zoho"}
    for form in find_forms().values():
        assert {"contact", "account"} <= set(form.objects)


def test_dynamics() -> None:
    first, second, _ = _calls("dynamics")
    kind = {"@odata.type": "Microsoft.Dynamics.CRM.contact"}
    assert (first.method, first.path) == ("POST", "/api/data/v9.2/Merge")
    assert json.loads(first.body) == {
        "Target": {"contactid": "S/1", **kind},
        "Subordinate": {"contactid": "L1", **kind},
        "UpdateContent": {"Email": "a<b&c@x", "Phone": "{token}", **kind},
        "PerformParentingChecks": False,
    }
    assert json.loads(second.body)["UpdateContent"] == kind


def test_zoho() -> None:
    first, second = _calls("zoho")
    assert first.path == "/crm/v8/Contacts/S%2F1/actions/merge"
    assert json.loads(first.body) == {
        "merge": [
            {
                "data": [
                    {"id": "L1", "_fields": [{"api_name": "Email"}]},
                    {"id": "L2", "_fields": []},
                ]
            }
        ]
    }
    assert json.loads(second.body) == {
        "merge": [{"data": [{"id": "L3", "_fields": [{"api_name": "Phone"}]}]}]
    }


def test_salesforce() -> None:
    first, second = _calls("salesforce")
    parsed = ET.fromstring(first.body)
    spaces = {"u": "urn:partner.soap.sforce.com", "s": "urn:sobject.partner.soap.sforce.com"}
    found = {name: [each.text for each in parsed.findall(f".//{name}", spaces)] for name in (
        "u:sessionId", "s:type", "s:Id", "s:Email", "s:Phone", "u:recordToMergeIds",
    )}  # fmt: skip
    assert found == {
        "u:sessionId": ["t0k"], "s:type": ["Contact"], "s:Id": ["S/1"], "s:Email": ["a<b&c@x"],
        "s:Phone": ["{token}"], "u:recordToMergeIds": ["L1", "L2"],
    }  # fmt: skip
    assert b"L3" in second.body
    assert b"Email" not in second.body
