"""A room on the reference CRM's real database, and one backup that many tests look at."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from crmops.history import open_history
from crmops.record import Run, new_id, utc_now
from crmops.secret import Secret
from crmops.target import DatabaseAccess, Target
from playbooks import osuser
from playbooks.job import Job
from playbooks.leftovers import make_scratch, own, scratch_name, tear_down
from playbooks.postgres import find_binaries
from playbooks.run import Room, back_up
from playbooks.settings import Settings

PLANTED = "planted-Pa55word-of-the-source"
"""In the address of the source; access is by directory, so PostgreSQL does not mind it."""


@pytest.fixture(scope="session")
def source(refcrm_server: Any) -> DatabaseAccess:
    """How the CRM's database is reached, with a secret that must turn up nowhere."""
    ready = refcrm_server.ready
    address = ready["admin_database_url"].replace("postgres@", f"postgres:{PLANTED}@")
    return DatabaseAccess(
        url=Secret(ready["database_url"]),
        backup_url=Secret(address),
        data_directory=ready["pgdata"],
        archive_directory=ready["archive_dir"],
    )


def make_room(source: DatabaseAccess, state: Path, **settings: Any) -> Room:
    """A room with a history of its own."""
    target = Target(name="crm", connector="refcrm", url="http://127.0.0.1:9", database=source)
    history = open_history(f"sqlite:///{state / 'history.sqlite'}", state / "artifacts")
    return Room(target, Settings(**settings), history, state)


@pytest.fixture
def room(source: DatabaseAccess, tmp_path: Path) -> Iterator[Room]:
    made = make_room(source, tmp_path)
    yield made
    made.history.close()


@contextmanager
def writing(address: str, workers: int = 2) -> Iterator[Callable[[], int]]:
    """Writers that insert, update and delete accounts for as long as the body lasts."""
    stop, written = threading.Event(), [0] * workers

    def work(number: int) -> None:
        with psycopg.connect(address, autocommit=True) as connection:
            while not stop.is_set():
                with connection.transaction():
                    row = connection.execute(
                        "insert into accounts (name, source_tag) values ('busy', 'drill-test')"
                        " returning id"
                    ).fetchone()
                    connection.execute("update accounts set phone = '1' where id = %s", row)
                written[number] += 1
                stop.wait(0.004)

    threads = [threading.Thread(target=work, args=(each,)) for each in range(workers)]
    for each in threads:
        each.start()
    try:
        yield lambda: sum(written)
    finally:
        stop.set()
        for each in threads:
            each.join()
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("delete from accounts where source_tag = 'drill-test'")


class Taken:
    """A backup taken under write load, and everything observed while it was taken."""

    def __init__(self, room: Room, run: Run, written: int) -> None:
        self.room = room
        self.run = run
        self.written = written

    @property
    def folder(self) -> Path:
        return self.room.catalogue.place(self.run.id)


@pytest.fixture(scope="session")
def taken(
    refcrm_server: Any, source: DatabaseAccess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Taken]:
    """One backup for the whole session; tests that damage it work on a copy."""
    room = make_room(source, tmp_path_factory.mktemp("drills"))
    with writing(refcrm_server.ready["admin_database_url"]) as written:
        made = Taken(room, back_up(room), written())
    yield made
    room.history.close()


@pytest.fixture
def copied(taken: Taken, tmp_path: Path) -> Iterator[Room]:
    """A room with a copy of the backup and of the archived log, to be damaged at will."""
    access = taken.room.target.database
    assert access is not None
    archive = tmp_path / "archive"
    archive.mkdir()
    for name in taken.room.catalogue.read(taken.run.id).segments:
        shutil.copyfile(Path(access.archive_directory, name), archive / name)
    shutil.copytree(taken.folder, tmp_path / "backups" / "crm" / taken.run.id)
    access = access.model_copy(update={"archive_directory": str(archive)})
    made = make_room(access, tmp_path, signing_key=str(taken.room.signing_key))
    yield made
    made.history.close()


@contextmanager
def prepared(room: Room, backup: Path, **settings: Any) -> Iterator[Job]:
    """A job as :mod:`playbooks.run` prepares it, for stages that are run one by one."""
    job_id = new_id()
    access = room.target.database
    assert access is not None
    job = Job(
        id=job_id,
        target="crm",
        folder=room.jobs / job_id,
        scratch=Path(tempfile.gettempdir()).resolve() / scratch_name(job_id),
        backup=backup,
        archive=Path(access.archive_directory),
        source_data=access.data_directory,
        binaries=find_binaries(access.binaries),
        incident=utc_now(),
        signing_key=room.signing_key,
        settings=Settings(**settings),
    )
    own(job)
    make_scratch(job)
    osuser.give_tree(job.scratch, osuser.substitute())
    job.save()
    try:
        yield job
    finally:
        tear_down(job)
        shutil.rmtree(job.folder)


def with_settings(room: Room, **settings: Any) -> Room:
    """The same room with other settings."""
    return replace(room, settings=Settings(**settings))


def nothing_left(room: Room, *run_ids: str) -> None:
    """Assert that runs left no job, no scratch directory and no process."""
    assert list(room.jobs.iterdir()) == []
    for each in run_ids:
        assert not Path(tempfile.gettempdir(), scratch_name(each)).exists()
    for process in psutil.process_iter():
        try:
            words = " ".join([*process.cmdline(), process.environ().get("CRMOPS_JOB", "")])
        except psutil.Error:
            continue
        assert not any(each in words or scratch_name(each) in words for each in run_ids), words


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Backups and drills are minutes on a machine that does other things as well."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))
