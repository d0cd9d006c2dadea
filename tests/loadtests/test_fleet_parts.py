"""What master and workers are made of: addresses, secrets, keys, luggage, deliveries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmops.errors import ConfigError, UsageError
from crmops.secret import Secret
from loadtests.child.deliveries import JournalKeeper, Offset, Shipment, WorkersJournal
from loadtests.distributed.address import find_secret, parse_address
from loadtests.distributed.await_workers import awaiting
from loadtests.distributed.luggage import packed, unpacked
from loadtests.journal import read_journals
from loadtests.settings import Distributed, Settings

NAME = "00-1-journal.jsonl"
LONG = "sixteen characters or more"


@pytest.mark.parametrize(
    ("text", "means", "here"),
    [
        ("10.0.0.5", "10.0.0.5:5557", False),
        ("master.load:7000", "master.load:7000", False),
        ("localhost:0", "127.0.0.1:0", True),
        ("127.0.0.2", "127.0.0.2:5557", True),
        ("*:5557", "*:5557", False),
        ("::1", "[::1]:5557", True),
        ("[2001:db8::1]:99", "[2001:db8::1]:99", False),
    ],
)
def test_addresses(text: str, means: str, here: bool) -> None:
    found = parse_address(text, "--master")
    assert (str(found), found.is_loopback) == (means, here)


@pytest.mark.parametrize(
    "text", ["", ":5557", "a b", "host:", "host:x", "host:65536", "http://host", "a/b", "u@h"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_address(text, "--master")
    assert refused.value.message == f"--master {text!r} is no address"


def test_a_secret_comes_from_a_file_first(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"  {LONG} of the file\n")
    environ = {"CRMOPS_LOAD_SECRET": f"{LONG} of the environment"}
    configured = Secret(f"{LONG} of the configuration")
    assert find_secret(path, environ, configured).reveal() == f"{LONG} of the file"
    assert find_secret(None, environ, configured).reveal().endswith("of the environment")
    assert find_secret(None, {}, configured) is configured
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="it is not UTF-8"):
        find_secret(path, environ)


def test_a_crm_that_only_this_machine_sees_is_warned_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = Settings(distributed=Distributed(secret=Secret(LONG)))
    made = awaiting(known, "http://127.0.0.1:8080", "0.0.0.0:5557", 3, None)
    assert (made.processes, made.distributed.listen) == (3, "0.0.0.0:5557")
    assert "http://127.0.0.1:8080 is this machine to us" in capsys.readouterr().err
    awaiting(known, "http://127.0.0.1:8080", "127.0.0.1:5557", 3, None)
    awaiting(known, "https://crm.example", "0.0.0.0:5557", 3, None)
    assert capsys.readouterr().err == ""
    assert awaiting(Settings(), "https://crm.example", "", 0, None) == Settings()
    assert LONG not in f"{made!r}{made.model_dump(mode='json')}"


def test_files_of_a_target_go_along(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("certificate")
    (tmp_path / "profile.yaml").write_text("name: mine")
    (tmp_path / "large").write_bytes(b"\xff" * 10)
    certificate, profile = str(tmp_path / "ca.pem"), str(tmp_path / "profile.yaml")
    options = {"profile": profile, "path": "/api", "odd": str(tmp_path / "large")}
    target = {
        "url": "https://crm.example/api", "ca_file": certificate, "timeout": 30,
        "options": {**options, "list": [certificate, 5]},
    }  # fmt: skip
    there = tmp_path / "there"
    there.mkdir()
    found = unpacked(json.loads(json.dumps(packed(target))), there)
    assert Path(found["ca_file"]).read_text() == "certificate"
    assert Path(found["ca_file"]).parent == there
    assert Path(found["options"]["profile"]).read_text() == "name: mine"
    assert Path(found["options"]["list"][0]).read_text() == "certificate"
    for name in ("path", "odd"):
        assert found["options"][name] == options[name]
    assert (found["url"], found["timeout"]) == (target["url"], 30)


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 120)), max_size=30))
def test_a_journal_arrives_whole_whatever_is_sent_twice(
    pieces: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    keeper = JournalKeeper(folder)
    whole = bytes(each % 251 for each in range(300))
    size = 0
    for at, length in pieces:
        size = keeper.keep(NAME, at, whole[at : at + length])
    assert keeper.keep(NAME, size, whole[size:]) == len(whole)
    keeper.close()
    assert (folder / NAME).read_bytes() == whole


@pytest.mark.parametrize("name", ["../00-1-journal.jsonl", "journal.jsonl", "00-1-journal.jsonl/x"])
def test_only_a_journal_is_kept(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no name of a journal"):
        JournalKeeper(tmp_path).keep(name, 0, b"{}")


def test_a_shipment_says_what_the_master_lacks(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (here / "01-1-journal.jsonl").write_text('{"made":"lead","id":"7"}\n')  # of one who was killed
    busy = WorkersJournal(here / "02-1-journal.jsonl", "run", Offset())
    shipment, keeper = Shipment(here, NAME), JournalKeeper(there)
    writer = WorkersJournal(here / NAME, "run", Offset(ahead=100.0, error=0.5))
    writer.trying("lead", 1.0)
    writer.updated("deal", "5", {"stage": "won"}, 10.0, 11.0)
    writer.updated("deal", "6", {"stage": "won"}, 10.0)
    assert shipment.rest() == str(here / NAME)
    while pieces := shipment.pieces():
        for each in pieces:
            shipment.kept(each["name"], keeper.keep(each["name"], each["at"], each["body"]))
    assert shipment.rest() == ""
    found = read_journals(there)
    assert set(found.made) == {("lead", "7")}
    (known,), (unknown,) = found.updates.values()
    assert (known.begun, known.ended) == (109.5, 111.5)  # on the master's clock, at the widest
    assert (unknown.begun, unknown.ended) == (109.5, None)
    writer.close()
    shipment.clear()
    assert [path.name for path in here.iterdir()] == ["02-1-journal.jsonl"]  # still written
    busy.close()
    keeper.close()
