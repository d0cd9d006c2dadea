"""``locust -f loadtests/locustfile.py`` by itself, as locust users start it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from crmops.errors import CrmopsError, UsageError
from loadtests.standalone import read_terms
from tests.conftest import RefcrmServer

from .conftest import SMALL

ROOT = Path(__file__).resolve().parents[2]
LOCUSTFILE = ROOT / "loadtests" / "locustfile.py"


@pytest.fixture
def given(refcrm_server: RefcrmServer, tmp_path: Path) -> dict[str, str]:
    """The variables of one who has locust and no crmops.yaml."""
    workload = tmp_path / "small.yaml"
    workload.write_text(json.dumps(SMALL.model_dump(mode="json")))
    return {
        "CRMOPS_LOAD_USERS_FILE": str(refcrm_server.ready["users_file"]),
        "CRMOPS_LOAD_PASSWORD_FILE": str(refcrm_server.ready["password_file"]),
        "CRMOPS_LOAD_WORKLOAD": str(workload),
    }


def locust(
    given: dict[str, str], folder: Path, *words: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, int]]:
    """What locust said, and requests by name.  It ends with 1 after a failure or exception."""
    done = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--json",
         *words],
        cwd=folder, env={**os.environ, **given}, capture_output=True, text=True, timeout=90,
        check=False,
    )  # fmt: skip
    document = re.sub(r"^\[\]\n", "", done.stdout, flags=re.MULTILINE)  # a worker's own
    rows = json.loads(document) if document.strip() else []
    return done, {row["name"]: row["num_requests"] for row in rows}


def test_people_of_a_role_work_for_five_seconds(
    given: dict[str, str], refcrm_server: RefcrmServer, tmp_path: Path
) -> None:
    words = ("--host", refcrm_server.url, "--users", "8", "--spawn-rate", "8", "-t", "5s")
    chosen = ("--tags", "rep", "--exclude-tags", "move_deal")
    done, requests = locust(given, tmp_path, *words, *chosen)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert requests["login"] >= 8
    assert requests["leads.create"] > 0
    assert not {"reports.pipeline", "deals.update"} & set(requests)  # others' work
    tag = re.search(r"source_tag (locust-\w+)", done.stderr)
    assert tag is not None, done.stderr
    signed = {"authorization": f"Bearer {refcrm_server.admin_token}"}
    with httpx.Client(base_url=refcrm_server.url, headers=signed, trust_env=False) as http:
        left = http.get("/api/v1/leads", params={"source_tag": tag[1]}).json()["records"]
    assert left == []
    assert refcrm_server.password not in done.stderr + done.stdout


def test_a_vendor_is_not_put_under_load(given: dict[str, str], tmp_path: Path) -> None:
    words = ("--host", "https://acme.my.salesforce.com", "--users", "1", "-t", "9s")
    done, requests = locust(given, tmp_path, *words)
    assert (done.returncode, requests) == (2, {}), done.stderr
    assert "belongs to a vendor (salesforce.com), and no written permission" in done.stderr


def test_a_password_file_is_needed() -> None:
    with pytest.raises(CrmopsError) as refused:
        read_terms({"CRMOPS_LOAD_USERS_FILE": "people.csv"})
    assert (
        refused.value.message == "CRMOPS_LOAD_USERS_FILE is set, CRMOPS_LOAD_PASSWORD_FILE is not"
    )


@pytest.mark.parametrize(
    ("users", "said"),
    [
        (None, "people.csv cannot be read: no such file or directory"),
        ("name,team\nx,y\n", "people.csv has no columns username and role"),
        ("username,role\n", "target 'crm' has no accounts for simulated people"),
    ],
)
def test_a_wrong_users_file(users: str | None, said: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    path = tmp_path / "people.csv"
    if users is not None:
        path.write_text(users)
    with pytest.raises(CrmopsError) as refused:
        read_terms(
            {
                "CRMOPS_LOAD_USERS_FILE": str(path),
                "CRMOPS_LOAD_PASSWORD_FILE": str(tmp_path / "password"),
            }
        )
    assert refused.value.message.endswith(said)


def test_terms_from_the_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "crmops.yaml"
    config.write_text(
        "targets:\n  crm:\n    connector: refcrm\n    url: http://127.0.0.1:1\n"
        "    accounts: [{username: rep1, role: rep, password: 'env:PLANTED'},"
        " {username: rep2, role: rep, password: 'env:PLANTED'}]\n    load: {allowed: true}\n"
    )
    monkeypatch.setenv("CRMOPS_CONFIG", str(config))
    monkeypatch.setenv("PLANTED", "planted-secret")
    terms = read_terms({"CRMOPS_CONFIG": str(config)})
    assert terms.at("").url == "http://127.0.0.1:1"
    assert set(terms.journeys) == {"sales_rep", "service_agent", "mobile", "manager"}
    assert terms.accounts(2, 2) == {}
    slices = [terms.accounts(worker, 2)["rep"] for worker in (0, 1)]
    assert [[each.username for each in mine] for mine in slices] == [["rep1"], ["rep2"]]
    with pytest.raises(UsageError, match="is not this machine and not in"):
        terms.at("http://crm.example")
    with pytest.raises(UsageError, match="the host 'crm' is no address"):
        terms.at("crm")


def test_two_workers_of_locust_itself_with_its_own_client(
    given: dict[str, str], refcrm_server: RefcrmServer, tmp_path: Path
) -> None:
    """``--processes`` is ``--master`` and ``--worker`` on one machine; the accounts are divided."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    words = ("--host", refcrm_server.url, "--users", "8", "--spawn-rate", "8", "-t", "4s")
    bound = ("--master-bind-port", port, "--master-port", port, "--tags", "rep")
    environ = {**given, "CRMOPS_LOAD_CLIENT": "fasthttp"}
    done, requests = locust(environ, tmp_path, *words, *bound, "--processes", "2")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert requests["login"] >= 8
    assert "no account is left" not in done.stderr
    assert len(set(re.findall(r"source_tag (locust-\w+)", done.stderr))) == 2
    assert "LOCUST'S PROTOCOL IS PLAIN" in done.stderr
