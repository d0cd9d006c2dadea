"""Snapshots through the API of the reference CRM, and a drill that pushes into a second one."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmops.errors import ConfigError
from crmops.history import open_history
from crmops.model import ENTITIES
from crmops.record import Run, Verdict
from crmops.secret import Secret
from crmops.target import Target
from playbooks.encryption import decrypt_file, keys_in, make_keys
from playbooks.faults import _flip as flip
from playbooks.run import Room
from playbooks.saas.drill import BACKUP_STAGES, DRILL_STAGES, drill, pull, push
from playbooks.saas.pulling import PULLING, begin, count
from playbooks.saas.snapshot import choose, folder_of, read_snapshot
from playbooks.saas.store import Store
from playbooks.saas.talk import speaking
from playbooks.saas.values import Digest, FieldShape, Unfit, normal
from playbooks.settings import Settings
from tests.playbooks.conftest import nothing_left, writing
from tests.playbooks.here import stages_here, watching

_MOST = tuple(each for each in ENTITIES if each not in ("product", "campaign"))
_SAAS = {"refused_ratio": 0.2, "sample": 60}


@pytest.fixture(scope="module")
def second() -> Iterator[Target]:
    """A second reference CRM, with four people and no customer."""
    directory = Path(tempfile.mkdtemp(prefix="crmops-second-"))
    command = [sys.executable, "-m", "refcrm", "up", "--dir", str(directory), "--port", "0"]
    command += ["--contacts", "0", "--users", "4", "--ready-file", str(directory / "ready.json")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 90
        while not (directory / "ready.json").exists():
            assert process.poll() is None and time.monotonic() < deadline, "it did not start"
            time.sleep(0.05)
        ready = json.loads((directory / "ready.json").read_text())
        password = Path(ready["password_file"]).read_text().strip()
        yield Target(
            name="sandbox", connector="refcrm", url=ready["url"], username="admin",
            password=Secret(password), environment="staging",
        )  # fmt: skip
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def saas(refcrm_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A room on the reference CRM that knows nothing of its database."""
    state = tmp_path_factory.mktemp("saas")
    target = Target(
        name="crm", connector="refcrm", url=refcrm_server.url, username="admin",
        password=Secret(refcrm_server.password),
    )  # fmt: skip
    keys = [state / "operator.txt", state / "escrow.txt"]
    backup = {"encrypt_to": [make_keys(each) for each in keys], "identity": str(keys[0])}
    history = open_history(f"sqlite:///{state / 'history.sqlite'}", state / "artifacts")
    yield Room(target, Settings.model_validate({"backup": backup, "saas": _SAAS}), history, state)
    history.close()


@pytest.fixture(scope="module")
def pulled(saas: Room, refcrm_server: Any) -> Run:
    """A snapshot, pulled by the playbook; no process shows the password or a key meanwhile."""
    key = Path(saas.settings.backup.identity or "").read_text().splitlines()[-1]
    with watching([refcrm_server.password, key]) as seen:
        run = pull(saas)
    assert seen == []
    return run


@pytest.fixture
def quick(saas: Room) -> Room:
    """The room without Ansible: what its playbooks do is tested once for each."""
    return replace(saas, player=stages_here(*DRILL_STAGES))


def test_a_snapshot_has_every_record_and_nothing_in_the_clear(
    saas: Room, pulled: Run, refcrm_server: Any
) -> None:
    assert (pulled.verdict, pulled.reason) == (Verdict.PASS, "all 5 objectives met")
    folder = choose(folder_of(saas.catalogue), pulled.id)
    snapshot = read_snapshot(folder)
    assert set(snapshot.entities) == set(ENTITIES)
    for each in snapshot.entities.values():
        assert each.counted is not None and each.records >= each.counted - 5
    assert snapshot.entities["contact"].dangling, "the seed has orphans: they are no loss"
    assert {each.suffix for each in folder.iterdir()} == {".age", ".json"}
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]
    nothing_left(saas, pulled.id)


def test_a_drill_loads_compares_pushes_and_reads_back(
    saas: Room, pulled: Run, second: Target
) -> None:
    before = _records(second)
    assert second.password is not None
    with watching([second.password.reveal()]) as seen:
        run = drill(saas, second)
    assert seen == []
    assert (run.verdict, run.reason) == (Verdict.PASS, "all 9 objectives met"), run.findings
    values = {each.name: each.value or 0 for each in run.measures}
    assert values["records.pushed"] >= 60 and values["fields.compared"] >= 200
    assert values["entities.differing"] == values["fields.differing"] == 0
    assert values["lookups.compared"] >= 15
    evidence = json.loads(
        (saas.state / "artifacts" / run.id / "evidence.json").read_text(encoding="utf-8")
    )["evidence"]
    assert [each["name"] for each in evidence["stages"]] == [
        "saas_fetch", "saas_load", "saas_compare", "saas_push", "saas_read_back", "tear_down"
    ]  # fmt: skip
    assert _records(second) == before, "what a drill created, it removes"
    assert list((saas.state / "saas").iterdir()) == []
    nothing_left(saas, run.id)


def test_a_push_that_broke_off_goes_on_and_creates_nothing_twice(
    saas: Room, quick: Room, pulled: Run, second: Target
) -> None:
    one = replace(
        quick,
        settings=saas.settings.model_copy(
            update={"saas": saas.settings.saas.model_copy(update={"left_out": _MOST})}
        ),
    )
    run = push(one, second)
    assert run.verdict is Verdict.PASS, run.reason
    first = _records(second)
    path = next((saas.state / "saas").iterdir())
    with sqlite3.connect(path) as link:  # as if it had been killed before the answer came
        link.execute("update made set new = null where rowid in (select rowid from made limit 3)")
    link.close()
    again = push(one, second)
    assert again.verdict is Verdict.PASS, again.reason
    assert _records(second) == first
    path.unlink()


def test_a_snapshot_that_was_changed_is_noticed_before_anything_is_pushed(
    saas: Room, quick: Room, pulled: Run, second: Target, tmp_path: Path
) -> None:
    folder = folder_of(saas.catalogue) / pulled.id
    damaged = replace(quick, settings=saas.settings.model_copy(update={"directory": str(tmp_path)}))
    shutil.copytree(folder, tmp_path / "crm.saas" / pulled.id)
    flip(tmp_path / "crm.saas" / pulled.id / "contact.ndjson.age")
    run = drill(damaged, second)
    assert run.verdict is Verdict.FAIL
    assert run.reason == "the encrypted backup is damaged: it cannot be decrypted"
    (tmp_path / "crm.saas" / pulled.id / "contact.ndjson.age").unlink()
    assert drill(damaged, second).reason == "contact.ndjson.age is missing"


def test_a_pull_goes_on_where_it_was_killed_while_people_work(
    saas: Room, pulled: Run, refcrm_server: Any, tmp_path: Path
) -> None:
    """The first page of one entity is there; people write while the rest is pulled."""
    place = folder_of(saas.catalogue) / PULLING
    entities = saas.settings.saas.entities
    begin(place, saas.target, entities)
    store = Store(place / "work.sqlite")
    with speaking(saas.target) as caller:
        page = caller.ask(lambda: caller.connector.list("contact", limit=200))
        store.put("contact", page.records, page.cursor)
    store.close()
    here = replace(saas, player=stages_here(*BACKUP_STAGES))
    gone = _delete_one(saas.target)
    with writing(refcrm_server.ready["admin_database_url"], workers=1):
        run = pull(here)
    assert run.verdict is Verdict.PASS, (run.reason, run.findings)
    snapshot = read_snapshot(choose(folder_of(saas.catalogue), "latest"))
    facts = _facts(saas, run, "saas_pull")
    assert facts["went_on"] is True
    assert facts["came"] < snapshot.records, "the first page was not pulled again"
    folder = choose(folder_of(saas.catalogue), run.id)
    keys = keys_in(Path(saas.settings.backup.identity or ""))
    decrypt_file(folder / "deleted.ndjson.age", tmp_path / "deleted", keys)
    listed = [json.loads(each) for each in (tmp_path / "deleted").read_text().splitlines()]
    assert [each["id"] for each in listed if each["entity"] == "campaign"] == [gone]
    nothing_left(saas, run.id)


def test_another_crm_is_refused_unless_it_may_be_written_to(
    saas: Room, pulled: Run, second: Target
) -> None:
    with pytest.raises(ConfigError, match="'sandbox' is a production system"):
        drill(saas, second.model_copy(update={"environment": "production"}))
    with pytest.raises(ConfigError, match="is the CRM that the snapshot is of"):
        push(saas, saas.target.model_copy(update={"name": "other"}))


def test_secrets_and_people_are_nowhere(saas: Room, pulled: Run, refcrm_server: Any) -> None:
    with psycopg.connect(refcrm_server.ready["admin_database_url"]) as connection:
        rows = connection.execute(
            "select distinct email from contacts where length(email) > 12 limit 100"
        ).fetchall()
    words = [refcrm_server.password, *(str(row[0]) for row in rows)]
    assert len(words) > 50
    for path in saas.state.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [each for each in words if each.encode() in content], path


@given(st.lists(st.tuples(st.integers(), st.none() | st.text()), max_size=8, unique=True))
def test_a_digest_knows_no_order_and_every_value(rows: list[tuple[int, str | None]]) -> None:
    fields = (FieldShape(name="id", kind="text"), FieldShape(name="v", kind="text"))

    def digest(records: list[tuple[int, str | None]]) -> str:
        made = Digest(fields)
        for number, value in records:
            made.add({"id": str(number), "v": value})
        return made.text()

    assert digest(rows) == digest(rows[::-1])
    if rows:
        assert digest(rows) != digest(rows[1:])
        number, value = rows[0]
        assert digest(rows) != digest([(number, f"{value}."), *rows[1:]])


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("number", "12.50", Decimal("12.5")),
        ("number", 1200, "1.2E3"),
        ("number", 0, "-0.0"),
        ("time", "2026-01-01T08:00:00+08:00", "2026-01-01T00:00:00.000000Z"),
        ("date", "2026-01-01", date(2026, 1, 1)),
        ("text", {"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_the_same_value_in_two_forms_is_the_same(kind: str, one: object, other: object) -> None:
    assert normal(one, kind) == normal(other, kind)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("number", "many"), ("number", True), ("number", "NaN"), ("time", "soon"), ("date", 5),
     ("bool", "yes"), ("text", "a\0b")],
)  # fmt: skip
def test_a_value_of_another_kind_is_none_of_it(kind: str, value: object) -> None:
    with pytest.raises(Unfit):
        normal(value, kind)


def _delete_one(target: Target) -> str:
    """Create a campaign and delete it; its id."""
    with speaking(target) as caller:
        talk = caller.connector
        made = caller.ask(lambda: talk.create("campaign", {"name": "short-lived"})).id
        caller.ask(lambda: talk.delete("campaign", made))
    return made


def _records(target: Target) -> int:
    with speaking(target) as caller:
        return sum(count(caller, each) for each in ENTITIES)


def _facts(room: Room, run: Run, stage: str) -> dict[str, Any]:
    path = room.state / "artifacts" / run.id / "evidence.json"
    stages = json.loads(path.read_text(encoding="utf-8"))["evidence"]["stages"]
    found: dict[str, Any] = next(each["facts"] for each in stages if each["name"] == stage)
    return found
