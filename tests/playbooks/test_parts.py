"""The parts that need no database: names, differences, judgements, interlocks, tidying up."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmops.errors import CannotRun, ConfigError
from crmops.history import open_history
from crmops.record import Kind, Verdict, new_id, utc_now
from crmops.secret import Secret
from crmops.verdict import judge
from playbooks.digest import Contents, TableDigest, compare, differing_tables
from playbooks.instance import stop
from playbooks.interlocks import check_place, check_scratch
from playbooks.job import MARKER, Check, Job, Outcome, Stage
from playbooks.judge import (
    DRILL_STAGES,
    Finished,
    conclude,
    measures_of,
    objectives_of,
    stages_of,
)
from playbooks.leftovers import make_scratch, own, scratch_name, sweep, tear_down
from playbooks.postgres import copy_binaries, find_binaries
from playbooks.runner import Ending, run_playbook
from playbooks.settings import Audits, Settings, Smoke
from playbooks.source import parse_address
from playbooks.tree import copy_tree, differences, hash_tree
from playbooks.wal import gaps, parse_lsn, segment_name, segments

_SEGMENT = 16 << 20


def make_job(folder: Path, **changes: object) -> Job:
    """A job whose scratch directory lies below the temporary directory."""
    job_id = new_id()
    fields = {
        "id": job_id,
        "target": "crm",
        "folder": folder / job_id,
        "scratch": Path(tempfile.gettempdir()).resolve() / scratch_name(job_id),
        "backup": folder / "backups" / "crm" / "B",
        "binaries": Path("/nowhere"),
        "incident": utc_now(),
    }
    return Job.model_validate({**fields, **changes})


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    made = make_job(tmp_path / "jobs")
    make_scratch(made)
    yield made
    if made.scratch.is_dir() and (made.scratch / MARKER).is_file():
        tear_down(made)


# -- names of the log ----------------------------------------------------------------------------


@given(st.integers(0, 2**40), st.integers(0, 200), st.sampled_from([1 << 20, _SEGMENT, 1 << 30]))
def test_segments_are_consecutive(first: int, count: int, size: int) -> None:
    names = list(segments(1, first, first + count * size, size))
    assert len(names) == count + 1 == len(set(names))
    assert names == sorted(names)
    assert names[0] == segment_name(1, first, size)


def test_names_are_postgresqls() -> None:
    assert segment_name(1, parse_lsn("0/1000000"), _SEGMENT) == "000000010000000000000001"
    assert segment_name(3, parse_lsn("16/B374D848"), _SEGMENT) == "0000000300000016000000B3"


def test_gaps_are_named(tmp_path: Path) -> None:
    names = list(segments(1, 0, 2 * _SEGMENT, _SEGMENT))
    (tmp_path / names[0]).write_bytes(b"short")
    with (tmp_path / names[2]).open("wb") as stream:
        stream.truncate(_SEGMENT)
    assert gaps(tmp_path, names, _SEGMENT) == [
        f"{names[0]} has 5 bytes, not {_SEGMENT}",
        f"{names[1]} is missing",
    ]


# -- what differs --------------------------------------------------------------------------------


def _contents(*tables: TableDigest, **more: object) -> Contents:
    empty: dict[str, object] = {
        "sequences": {},
        "objects": (),
        "roles": (),
        "policies": (),
        "extensions": (),
    }
    return Contents.model_validate({"tables": tables, **empty, **more})


def _table(name: str, rows: int, digest: str = "7", unlogged: bool = False) -> TableDigest:
    return TableDigest(table=name, rows=rows, digest=digest, unlogged=unlogged)


def test_every_kind_of_difference_is_named() -> None:
    wanted = _contents(_table("a", 3), _table("b", 3), _table("c", 3), _table("u", 9, "1", True))
    found = _contents(
        _table("a", 2), _table("b", 3, "8"), _table("d", 1), _table("u", 0, "0", True)
    )
    assert differing_tables(wanted, found) == [
        "a has 2 rows, had 3",
        "b has the same 3 rows, but not the same contents",
        "c is missing",
        "d was not there",
    ]


def test_a_lost_policy_role_or_sequence_is_a_difference() -> None:
    wanted = _contents(
        sequences={"s": 10, "t": 5}, roles=(("crm", "False"),), policies=(("p", "own_rows"),)
    )
    found = _contents(sequences={"s": 42, "t": 4})
    lines = compare(wanted, found)
    assert lines["sequences"] == ["t is at 4, was at 5"]
    assert lines["roles"] == ["crm False is lost or changed"]
    assert lines["policies"] == ["p own_rows is lost or changed"]
    assert not any(compare(wanted, wanted).values())


def test_files_that_differ(tmp_path: Path) -> None:
    (tmp_path / "one/two").mkdir(parents=True)
    (tmp_path / "one/a").write_text("a")
    (tmp_path / "one/two/b").write_text("b")
    assert copy_tree(tmp_path / "one", tmp_path / "copy") == 2
    wanted = hash_tree(tmp_path / "one")
    assert differences(wanted, hash_tree(tmp_path / "copy")) == []
    (tmp_path / "copy/a").write_text("x")
    (tmp_path / "copy/two/b").rename(tmp_path / "copy/c")
    assert differences(wanted, hash_tree(tmp_path / "copy")) == [
        "a has changed",
        "c was not backed up",
        "two/b is missing",
    ]


def test_a_tablespace_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/link").symlink_to("/etc")
    with pytest.raises(CannotRun, match="tablespaces are not supported"):
        copy_tree(tmp_path / "one", tmp_path / "copy")


# -- judging -------------------------------------------------------------------------------------


def _stage(name: str, outcome: Outcome = Outcome.OK) -> Stage:
    return Stage(
        name=name, begun=utc_now(), tick=1.0, seconds=1.0, outcome=outcome,
        reason="" if outcome is Outcome.OK else "the reason",
    )  # fmt: skip


def _good(**changes: Mapping[str, object]) -> tuple[Stage, ...]:
    facts: dict[str, Mapping[str, object]] = {
        "recover": {"newest_commit": utc_now().isoformat()},
        "compare": {"compared": 3, "differing": 0, "rows": 100},
        "smoke": {"working_tick": 5.0},
    }
    found = {**facts, **changes}
    return tuple(
        _stage(each).model_copy(update={"facts": dict(found.get(each, {}))})
        for each in DRILL_STAGES
    )


def _verdict(job: Job, stages: tuple[Stage, ...]) -> Verdict:
    finished = Finished(job, Ending("successful"), stages)
    return judge(measures_of(Kind.DRILL, finished), objectives_of(Kind.DRILL, Settings())).verdict


def test_only_a_whole_drill_passes(job: Job) -> None:
    checked = Stage.model_validate(
        {**_good()[0].model_dump(), "checks": [{"name": "log", "passed": True}]}
    )
    stages = (checked, *_good()[1:])
    assert _verdict(job, stages) is Verdict.PASS
    assert _verdict(job, ()) is Verdict.UNKNOWN
    empty = {"compared": 3, "differing": 0, "rows": 0}
    assert _verdict(job, (checked, *_good(compare=empty)[1:])) is Verdict.FAIL
    nothing = {"compared": 0, "differing": None, "rows": 5}
    assert _verdict(job, (checked, *_good(compare=nothing)[1:])) is not Verdict.PASS
    assert _verdict(job, (checked, *_good(recover={"newest_commit": None})[1:])) is Verdict.UNKNOWN
    assert _verdict(job, (checked, *_good(smoke={"working_tick": 9e9})[1:])) is Verdict.FAIL


def test_what_is_asked_for_must_have_been_done(job: Job) -> None:
    """Journeys and audits that were not carried out leave it unknown; bad ones let it fail."""
    serve = Smoke(serve=("crm",), journeys=("login", "search"))
    settings = Settings(smoke=serve, audits=Audits(suites=("a", "b"), minimum_score=0.5))
    asked = job.model_copy(update={"settings": settings})

    def verdict(passed: int | None, *scores: float | None) -> Verdict:
        facts = {"working_tick": 5.0, "journeys": 2, "journeys_passed": passed}
        stages = (*_good(smoke=facts), _stage("audit").model_copy(
            update={"facts": {"audits": [{"score": each} for each in scores]}}))  # fmt: skip
        checked = stages[0].model_copy(update={"checks": (Check(name="log", passed=True),)})
        finished = Finished(asked, Ending("successful"), (checked, *stages[1:]))
        wanted = objectives_of(Kind.DRILL, settings)
        return judge(measures_of(Kind.DRILL, finished), wanted).verdict

    assert verdict(2, 0.9, 0.6) is Verdict.PASS
    assert verdict(1, 0.9, 0.6) is Verdict.FAIL
    assert verdict(2, 0.9, 0.4) is Verdict.FAIL
    for unknown in (verdict(None, 0.9, 0.6), verdict(2), verdict(2, 0.9), verdict(2, 0.9, None)):
        assert unknown is Verdict.UNKNOWN
    plain = Finished(job, Ending("successful"), _good())
    assert not {"journeys.passed", "audits.score"} & {
        e.name for e in measures_of(Kind.DRILL, plain)
    }
    assert "audit" not in stages_of(Kind.DRILL, Settings())


@pytest.mark.parametrize(
    ("stages", "status", "verdict", "reason"),
    [
        ((), "failed", Verdict.ERROR, "the playbook was killed before stage fetch ended"),
        (_good()[:3], "canceled", Verdict.ERROR,
         "the playbook was cancelled before stage recover ended"),
        (_good()[:3], "timeout", Verdict.ERROR, "the playbook did not end within 7200 s"),
        ((*_good()[:3], _stage("recover", Outcome.ERROR)), "failed", Verdict.ERROR, "the reason"),
        ((*_good()[:3], _stage("recover", Outcome.FAIL)), "failed", Verdict.FAIL, "the reason"),
        (_good(), "failed", Verdict.ERROR, "the playbook ended as failed"),
    ],
)  # fmt: skip
def test_what_hindered_a_drill_is_said(
    stages: tuple[Stage, ...], status: str, verdict: Verdict, reason: str, job: Job, tmp_path: Path
) -> None:
    from crmops.execute import executing

    history = open_history(f"sqlite:///{tmp_path / 'h.sqlite'}", tmp_path / "artifacts")
    finished = Finished(job, Ending(status), stages)
    with executing(history, Kind.DRILL, "crm", "restore") as execution:
        execution.measures(*measures_of(Kind.DRILL, finished))
        conclude(execution, Settings(), finished)
    history.close()
    assert (execution.run.verdict, execution.run.reason) == (verdict, reason)


# -- interlocks and tidying up -------------------------------------------------------------------


def test_scratch_must_be_marked_empty_and_real(job: Job, tmp_path: Path) -> None:
    check_scratch(job)
    (job.scratch / "precious").write_text("x")
    with pytest.raises(CannotRun, match="it is not empty"):
        check_scratch(job)
    (job.scratch / "precious").unlink()
    (job.scratch / MARKER).write_text("another")
    with pytest.raises(CannotRun, match="does not bear the mark of drill"):
        check_scratch(job)
    with pytest.raises(CannotRun, match="left as it is"):
        tear_down(job)
    assert job.scratch.is_dir()
    (job.scratch / MARKER).write_text(job.id)


def test_scratch_never_lies_in_a_place_of_others(tmp_path: Path) -> None:
    data = tmp_path / "pgdata"
    data.mkdir()
    inside = make_job(tmp_path, scratch=data / scratch_name(new_id()), source_data=str(data))
    with pytest.raises(CannotRun, match="which is to be protected"):
        check_place(inside)
    (data / "PG_VERSION").write_text("18")
    unknown = make_job(tmp_path, scratch=data / scratch_name(new_id()))
    with pytest.raises(CannotRun, match="it is a data directory of PostgreSQL"):
        check_place(unknown)


def test_a_link_is_never_followed_when_tidying_up(tmp_path: Path) -> None:
    job = make_job(tmp_path / "jobs")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / MARKER).write_text(job.id)
    job.scratch.symlink_to(tmp_path / "precious")
    try:
        with pytest.raises(CannotRun, match="left as it is"):
            tear_down(job)
        assert (tmp_path / "precious" / MARKER).exists()
    finally:
        job.scratch.unlink()


def test_a_living_job_is_not_swept(job: Job) -> None:
    own(job)
    job.save()
    assert sweep(job.folder.parent) == []
    assert job.scratch.exists()
    (job.folder / "owner").write_text("elsewhere-that-is-gone")
    assert [each.job_id for each in sweep(job.folder.parent)] == [job.id]
    assert not job.scratch.exists() and not job.folder.exists()


def test_a_job_of_another_version_is_swept_as_well(job: Job) -> None:
    own(job)
    found = json.loads(job.save().read_text(encoding="utf-8"))
    found["settings"]["of_a_later_version"] = found["of_a_later_version"] = 1
    (job.folder / "job.json").write_text(json.dumps(found), encoding="utf-8")
    (job.folder / "owner").write_text("elsewhere-that-is-gone")
    assert [each.job_id for each in sweep(job.folder.parent)] == [job.id]
    assert not job.scratch.exists() and not job.folder.exists()


def test_stopping_what_never_ran_is_no_error(job: Job) -> None:
    assert stop(job) is False


def test_playbook_refuses_an_unmarked_directory_and_leaves_it(job: Job) -> None:
    (job.scratch / MARKER).unlink()
    (job.scratch / "precious").write_text("x")
    own(job)
    job.save()
    ending = run_playbook(job, "restore_drill.yml", "pg_restore", lambda _event: None)
    assert ending.status == "failed"
    assert ending.refusal == "the scratch directory is refused; nothing was touched"
    assert (job.scratch / "precious").read_text() == "x" and job.stages() == ()
    (job.scratch / MARKER).write_text(job.id)


def test_copied_programs_find_their_libraries(tmp_path: Path) -> None:
    copy = copy_binaries(find_binaries(""), tmp_path / "pg")
    said = subprocess.run([copy / "pg_basebackup", "--version"], capture_output=True, check=True)
    assert b"(PostgreSQL) 18" in said.stdout


# -- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://crm:pw@db:5433/crm",
        "postgresql+psycopg://crm:pw@db:5433/crm",
        "host=db port=5433 user=crm password=pw dbname=crm",
    ],
)
def test_both_kinds_of_address_are_understood(address: str) -> None:
    assert parse_address(Secret(address)) == {
        "host": "db", "port": "5433", "user": "crm", "password": "pw", "dbname": "crm",
    }  # fmt: skip


@pytest.mark.parametrize("address", ["", "db", "mysql://a:Secr3t@b/c", "host=a\npassword='x\ny'"])
def test_a_bad_address_is_not_repeated(address: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_address(Secret(address))
    assert str(refused.value) == "the database's address is not understood"
