"""Attachments come back as they were, or the drill says how many did not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from crmops.errors import CannotRun
from crmops.record import new_id, utc_now
from playbooks.attachments import bring_files, check_files, keep_files
from playbooks.catalogue import Manifest
from playbooks.errors import CheckFailed
from playbooks.job import Job
from playbooks.report import Report
from tests.playbooks.servers import reachable_tools


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """A job with two attachments, one of them with a name that is not UTF-8, and a password."""
    files, password = tmp_path / "attachments", tmp_path / "password"
    (files / "2026").mkdir(parents=True)
    (files / "2026" / "contract.pdf").write_bytes(os.urandom(5000))
    Path(os.fsdecode(os.fsencode(files) + b"/caf\xe9")).write_bytes(b"menu")
    (files / "link").symlink_to("2026/contract.pdf")
    password.write_text("of restic")
    password.chmod(0o600)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with reachable_tools():
        yield Job(
            id=new_id(), target="crm", folder=tmp_path, scratch=scratch, backup=tmp_path,
            binaries=tmp_path, incident=utc_now(), files=(files,), files_password=password,
            files_repository=tmp_path / "restic",
        )  # fmt: skip


def test_files_come_back(job: Job) -> None:
    kept = keep_files(job)
    assert kept is not None and (kept.count, len(kept.files)) == (2, 2)
    assert "contract" not in kept.model_dump_json()
    report = Report("fetch")
    check_files(job, report)
    bring_files(job, Manifest.model_construct(attachments=kept), report)
    assert [each.passed for each in report.checks] == [True, True]
    assert report.facts == {"attachments": 2}
    assert not (job.scratch / "files").exists(), "people's data stayed"


def test_files_that_are_not_what_they_were(job: Job) -> None:
    kept = keep_files(job)
    assert kept is not None
    other = dict.fromkeys(list(kept.files)[:1], "0" * 64)
    forged = kept.model_copy(update={"files": {**kept.files, **other, "elsewhere": "0" * 64}})
    with pytest.raises(CheckFailed, match="the attachments are damaged: 1 missing, 1 changed"):
        bring_files(job, Manifest.model_construct(attachments=forged), Report("fetch"))


def test_a_repository_that_lost_data(job: Job) -> None:
    kept = keep_files(job)
    assert kept is not None and job.files_repository is not None
    for each in (job.files_repository / "data").rglob("*"):
        if each.is_file():
            each.chmod(0o600)
            each.write_bytes(bytes(each.stat().st_size))
    with pytest.raises(CheckFailed, match="the attachments cannot be restored"):
        bring_files(job, Manifest.model_construct(attachments=kept), Report("fetch"))


def test_no_files_no_restic(job: Job) -> None:
    assert keep_files(job.model_copy(update={"files": ()})) is None
    report = Report("fetch")
    bring_files(job, Manifest.model_construct(attachments=None), report)
    assert report.checks == []


def test_bad_input(job: Job, tmp_path: Path) -> None:
    nowhere = job.model_copy(update={"files": (tmp_path / "nowhere",)})
    with pytest.raises(CannotRun, match="nowhere is to be backed up, but is not there"):
        keep_files(nowhere)
    with pytest.raises(CannotRun, match="restic's password is not known"):
        keep_files(job.model_copy(update={"files_password": None}))
    (tmp_path / "password").chmod(0o640)
    with pytest.raises(CannotRun, match=r"password may be read by others \(mode 0640\)"):
        keep_files(job)
    (tmp_path / "password").unlink()
    with pytest.raises(CannotRun, match="password: No such file or directory"):
        keep_files(job)
