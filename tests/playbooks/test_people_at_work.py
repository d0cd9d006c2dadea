"""Two hundred people work in a CRM while it is backed up and a drill restores the backup.

What they do is the load room's business, so everything is started by its command.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crmops.history import History, open_history
from crmops.record import Kind, Run
from playbooks import osuser
from playbooks.catalogue import Catalogue, Manifest

pytestmark = [pytest.mark.alone, pytest.mark.timeout(900)]

PEOPLE = 200
_PATIENCE = 240.0
WORKLOAD = f"""
name: at_work
summary: people who write more than usual
users: {PEOPLE}
pace: 0.3
phases:
  - {{name: arrival, seconds: 8, within: 6}}
  - {{name: work, seconds: 1500}}
roles:
  rep:
    share: 1
    accounts: [rep]
    journeys: {{create_lead: 4, move_deal: 3, case_lifecycle: 3, browse_open: 2, search: 1}}
"""


@dataclass
class Place:
    """A CRM of its own, crmops.yaml beside it, and what both wrote."""

    folder: Path
    ready: dict[str, Any]
    crm: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return str(self.ready["admin_database_url"])

    def configure(self, *statements: str) -> None:
        serve = [sys.executable, "-m", "refcrm", "serve", "--database", "{database_url}"]
        smoke = {"sql": statements, "timeout": 120,
                 "serve": [*serve, "--port", "0", "--ready-file", "{ready_file}"]}  # fmt: skip
        target = {
            "connector": "refcrm",
            "url": self.ready["url"],
            "accounts": {
                "file": self.ready["users_file"],
                "password": f"file:{self.ready['password_file']}",
            },
            "load": {"allowed": True, "max_users": PEOPLE},
            "database": {
                "url": f"file:{self.folder / 'address'}",
                "archive_directory": self.ready["archive_dir"],
                "data_directory": self.ready["pgdata"],
            },
        }
        text = json.dumps(
            {
                "state": str(self.folder / "state"),
                "history": {"url": f"sqlite:///{self.folder}/state/history.db"},
                "targets": {"crm": target},
                "drills": {
                    "rto_objective": 600,
                    "rpo_objective": 600,
                    "smoke": {**smoke, "journeys": ["login", "create_lead", "case_lifecycle"]},
                    "audits": {"suites": ["contacts"]},
                },
            }
        )
        (self.folder / "crmops.yaml").write_text(text)

    def command(self, *words: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "crmops",
            "--config",
            str(self.folder / "crmops.yaml"),
            *words,
        ]

    def run(self, *words: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            self.command(*words, "--json"), capture_output=True, text=True, timeout=_PATIENCE,
            check=False,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout or "{}")
        assert found, done.stderr
        return done.returncode, found


@pytest.fixture
def place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="crmops-people-"))
    folder.chmod(0o755)
    command = [sys.executable, "-m", "refcrm", "up", "--dir", str(folder / "crm")]
    command += ["--contacts", "2000", "--users", str(PEOPLE + 20)]
    command += ["--ready-file", str(folder / "ready.json")]
    with (folder / "refcrm.log").open("wb") as log:
        crm = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until(lambda: (folder / "ready.json").exists() or crm.poll() is not None)
        made = Place(folder, json.loads((folder / "ready.json").read_text()), crm)
        (folder / "state").mkdir()
        (folder / "people.yaml").write_text(WORKLOAD)
        (folder / "address").write_text(made.address)
        (folder / "address").chmod(0o600)
        made.configure()
        yield made
    finally:
        end(crm, signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


def end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Ask a process of ours to end, and see to it."""
    process.send_signal(number)
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


@contextmanager
def at_work(place: Place, history: History) -> Iterator[Callable[[], float]]:
    """The people, for as long as the body lasts; how many there are at a moment."""

    def people() -> float:
        live = [each for each in history.live() if each.run.kind is Kind.LOAD]
        found = [m.value or 0 for each in live for m in each.measures if m.name == "users"]
        return max(found, default=0)

    with (place.folder / "load.log").open("wb") as log:
        load = subprocess.Popen(
            place.command("load", "run", str(place.folder / "people.yaml")),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until(lambda: people() >= PEOPLE or load.poll() is not None)
        assert load.poll() is None, (place.folder / "load.log").read_text()
        yield people
        assert load.poll() is None, (place.folder / "load.log").read_text()
    finally:
        end(load, signal.SIGINT)


@contextmanager
def canaries(address: str) -> Iterator[None]:
    """Somebody who commits one numbered row after another."""
    stop = threading.Event()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("create table if not exists canary (n int primary key, at timestamptz)")

    def sing() -> None:
        with psycopg.connect(address, autocommit=True) as connection:
            number = 0
            while not stop.wait(0.02):
                number += 1
                query = "insert into canary values (%s, clock_timestamp())"
                connection.execute(query, (number,))

    singer = threading.Thread(target=sing)
    singer.start()
    try:
        yield
    finally:
        stop.set()
        singer.join()


def one(address: str, query: str, *values: object) -> tuple[Any, ...]:
    with psycopg.connect(address, autocommit=True) as connection:
        row = connection.execute(query.encode(), values or None).fetchone()
    assert row is not None
    return row


def facts_of(ready: dict[str, Any]) -> dict[str, Any]:
    """Everything about the source that neither a backup nor a drill may change."""
    data = Path(ready["pgdata"])
    return {
        "server": one(
            ready["admin_database_url"],
            "select system_identifier, timeline_id, pg_is_in_recovery(),"
            " current_setting('data_checksums'), pg_postmaster_start_time(),"
            " (select failed_count from pg_stat_archiver),"
            " (select count(*) from pg_replication_slots),"
            " (select sum(checksum_failures) from pg_stat_database),"
            " (select string_agg(r::text, ' ' order by rolname) from pg_roles r),"
            " (select string_agg(concat_ws(' ', oid, relname, relkind, relacl), ' ' order by oid)"
            "   from pg_class where relpersistence <> 't')"
            " from pg_control_system(), pg_control_checkpoint()",
        ),
        "top": sorted(each.name for each in data.iterdir()),
        "configuration": {each.name: sha(each) for each in data.glob("*.conf")},
    }


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def archived(ready: dict[str, Any]) -> dict[str, str]:
    return {each.name: sha(each) for each in Path(ready["archive_dir"]).iterdir()}


def demands(address: str, manifest: Manifest, log_until: int) -> list[str]:
    """What must hold on the copy, by means that have nothing to do with the drill's digests.

    Numbered rows of one writer are there without a gap up to the named instant, none of them is
    from later, and a slice of a log that only grows is alike to the last bit.
    """
    moment = manifest.point_time
    count = "select count(*) from canary where at < %s"
    least = one(address, count, moment - timedelta(seconds=2))[0]
    most = one(address, count, moment)[0]
    digest = (
        "select count(*) || ' ' || sum(hash_record_extended(t, 0)::numeric) from access_log t"
        f" where id <= {log_until}"
    )
    slice_ = one(address, digest)[0]
    assert least > 0, "no canary sang before the instant: this would prove nothing"
    return [
        "do $$ begin if not (select count(*) = max(n) and min(n) = 1 and count(*) between"
        f" {least} and {most} from canary) then raise 'canaries'; end if; end $$",
        f"do $$ begin if ({digest}) <> '{slice_}' then raise 'log'; end if; end $$",
    ]


def test_a_drill_while_two_hundred_people_work(place: Place, tmp_path: Path) -> None:
    history = open_history(f"sqlite:///{place.folder}/state/history.db", tmp_path / "unused")
    with canaries(place.address), at_work(place, history) as people:
        before, segments = facts_of(place.ready), archived(place.ready)
        log_until = one(place.address, "select max(id) from access_log")[0]
        written = one(place.address, "select pg_current_xact_id()::text::bigint")[0]
        code, backup = place.run("backup", "run")
        assert (code, backup["reason"]) == (0, "all 5 objectives met")
        manifest = Catalogue(place.folder / "state" / "backups", "crm").read(backup["id"])
        place.configure(*demands(place.address, manifest, log_until))
        code, drill = place.run("drill", "run")
        assert (code, drill["reason"]) == (0, "all 8 objectives met"), drill["findings"]
        assert one(place.address, "select pg_current_xact_id()::text::bigint")[0] > written + 200
        assert people() >= PEOPLE
        after, later = facts_of(place.ready), archived(place.ready)
    history.close()
    assert after == before
    assert segments.items() <= later.items(), "a segment that was archived has changed"
    new = later.keys() - segments.keys()
    assert all(each.startswith("00000001") for each in new), "the timeline has changed"
    held = {each["name"]: each["value"] for each in Run.model_validate(drill).dump()["measures"]}
    assert held["journeys.passed"] == 3 and 0.5 < held["audits.score"] <= 1
    assert 0 < held["rto"] <= 600 and 0 < held["rpo"] <= 600
    assert manifest.contents is not None and held["rows.restored"] == manifest.contents.rows
    verified_offline(place, drill["id"], tmp_path)
    whole(place)


def verified_offline(place: Place, run_id: str, elsewhere: Path) -> None:
    """By another machine, which has the evidence and the public key and nothing else."""
    for name in ("evidence.json", "playbook.log"):
        kept = place.folder / "state" / "artifacts" / run_id / name
        shutil.copyfile(kept, elsewhere / name)
    _, key = place.run("drill", "key")
    (elsewhere / "key.pem").write_text(key["public_key"])
    done = subprocess.run(
        [sys.executable, "-m", "crmops", "drill", "verify", "evidence.json", "--key", "key.pem"],
        cwd=elsewhere, capture_output=True, text=True, timeout=_PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def whole(place: Place) -> None:
    """PostgreSQL's own tools find the source as it should be, running and stopped."""
    ready = place.ready
    where = ["-h", ready["socket_dir"], "-p", str(ready["pg_port"]), "-U", "postgres", "-d", "crm"]
    tool(ready, "pg_amcheck", *where, "--install-missing")
    end(place.crm, signal.SIGTERM)
    said = tool(ready, "pg_checksums", "--check", "-D", ready["pgdata"])
    assert "Bad checksums:  0" in said and "Data checksum version: 1" in said


def tool(ready: dict[str, Any], name: str, *words: str) -> str:
    user = osuser.popen_user(osuser.substitute())
    done = subprocess.run(
        [str(Path(ready["bin_dir"], name)), *words], cwd="/", capture_output=True, text=True,
        timeout=_PATIENCE, check=False, env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"}, **user,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
