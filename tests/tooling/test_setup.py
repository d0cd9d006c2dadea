"""The set-up: what it chooses, what it passes on, and what it says when it cannot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from scripts import setup as project_setup
from scripts import setup_debian, setup_python, setup_ui
from scripts.setup_ui import ProgramFailed, SetupError


def program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def make(copy: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=copy,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_dead_shim_is_no_python(tmp_path: Path) -> None:
    dead = program(tmp_path / "python3.13", "echo 'command not found' >&2; exit 127")
    assert setup_python.ask(dead) is None
    assert setup_python.ask(tmp_path / "missing") is None


def test_the_newest_python_that_starts_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "python3.13", "exit 127")
    for minor in (11, 12, 14):
        answer = f"3|{minor}|1|True|True|True|{tmp_path}/python3.{minor}"
        program(tmp_path / f"python3.{minor}", f"echo '{answer}'")
    program(tmp_path / "python3", f"echo '3|14|1|True|True|True|{tmp_path}/python3.14'")
    monkeypatch.setattr(
        setup_python, "candidates", lambda: map(str, sorted(tmp_path.glob("python3*")))
    )
    assert setup_python.choose("").minor == (3, 12)


def test_a_python_that_others_can_start_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a", "b", "c"):
        answer = f"3|12|1|True|True|True|{tmp_path}/{folder}/python3.12"
        program(tmp_path / folder / "python3.12", f"echo '{answer}'")
    found = map(str, sorted(tmp_path.glob("*/python3.12")))
    monkeypatch.setattr(setup_python, "candidates", lambda: found)
    monkeypatch.setattr(setup_python, "open_to_others", lambda path: path.parent.name == "b")
    assert setup_python.choose("").path.parent.name == "b"


def test_no_python_is_said_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_python, "candidates", lambda: iter(()))
    with pytest.raises(SetupError, match=r"^no Python 3\.11, 3\.12 or 3\.13 was found") as failed:
        setup_python.choose("")
    assert "apt-get install python3" in failed.value.fix


def test_a_python_that_is_too_old_is_refused(tmp_path: Path) -> None:
    old = program(tmp_path / "python3.9", f"echo '3|9|18|True|True|True|{tmp_path}/python3.9'")
    with pytest.raises(SetupError) as failed:
        setup_python.choose(str(old))
    assert str(failed.value) == (
        f"PYTHON={old} is Python 3.9.18 at {tmp_path}/python3.9; "
        "crmops needs Python 3.11, 3.12 or 3.13"
    )


def test_pip_settings_reach_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = (
        "global.index-url='https://mirror.example/simple'\n"
        "global.cert='/etc/own.pem'\n"
        "install.find-links='/wheels'\n"
        "freeze.timeout='10'\n"
        ":env:.index-url='https://other.example/simple'\n"
        ":env:.extra-index-url='\\nhttps://a.example\\nhttps://b.example'"
    )
    pip = program(tmp_path / "pip", f'cat <<"END"\n{answer}\nEND')
    settings = setup_python.pip_settings([pip])
    passed = setup_python.uv_environment(settings, {"SSL_CERT_FILE": "/etc/mine.pem"})
    cache = passed.pop("UV_CACHE_DIR")
    assert Path(cache).is_relative_to(setup_ui.TOOLS)
    assert passed == {
        "UV_DEFAULT_INDEX": "https://other.example/simple",
        "UV_INDEX": "https://a.example https://b.example",
        "UV_FIND_LINKS": "/wheels",
    }


@pytest.mark.parametrize(
    ("output", "problem", "lasting"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full", True),
        (
            "E: Temporary failure resolving 'mirror'",
            "the server of the packages could not be reached",
            True,
        ),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE",
            "a downloaded package is not the one that was locked",
            True,
        ),
        (
            "ERROR: No matching distribution found for uv==0.9",
            "the package index lacks a locked version, or did not answer",
            False,
        ),
        ("Segmentation fault", "it failed", False),
    ],
)
def test_failures_are_explained(output: str, problem: str, lasting: bool) -> None:
    cause = setup_ui.explain(output)
    assert (cause.problem, cause.lasting) == (problem, lasting)
    assert cause.fix


def test_a_failing_program_is_reported_by_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_ui, "TOOLS", tmp_path)
    monkeypatch.setattr(setup_ui, "LOG", tmp_path / "setup.log")
    full = program(tmp_path / "full", "echo 'No space left on device'; exit 1")
    with pytest.raises(ProgramFailed, match=r"^unpacking: the disk is full$"):
        setup_ui.run([full], what="unpacking", cwd=tmp_path)
    assert "No space left" in (tmp_path / "setup.log").read_text()


def test_the_stamp_follows_locks_and_declarations_but_not_tools(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_setup, "ROOT", copy)
    monkeypatch.setattr(setup_python, "LOCKS", copy / "requirements")
    before = project_setup.digest((3, 11))
    project = copy / "pyproject.toml"
    project.write_text(project.read_text().replace("line-length = 100", "line-length = 99"))
    assert project_setup.digest((3, 11)) == before
    project.write_text(project.read_text().replace("rich>=15", "rich>=14"))
    declared = project_setup.digest((3, 11))
    assert declared != before
    with (copy / "requirements/py311.txt").open("a") as lock:
        lock.write("more==1\n")
    assert project_setup.digest((3, 11)) not in {before, declared}
    assert project_setup.digest((3, 12)) != before


def test_make_names_a_python_that_does_not_start(copy: Path) -> None:
    done = make(copy, "setup", "PYTHON=python2.0")
    assert done.returncode != 0
    assert done.stderr.startswith(
        "setup: PYTHON=python2.0 does not start or is not Python 3.11, 3.12 or 3.13\n"
        "  fix: name another, for example make setup PYTHON=/usr/bin/python3\n"
    )
    assert not (copy / ".venv").exists()


def test_setup_in_a_directory_of_somebody_else(copy: Path) -> None:
    become: list[str] = []
    copy.chmod(0o555)
    if os.geteuid() == 0:
        become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        for parent in copy.parents:
            parent.chmod(parent.stat().st_mode | 0o055)
            if parent.name.startswith("pytest-of-"):
                break
    python = str(setup_python.choose("").path)
    done = subprocess.run(
        [*become, python, "-m", "scripts.setup"],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    copy.chmod(0o755)
    assert done.returncode == 4
    assert done.stderr == (
        f"setup: {copy} cannot be used: Permission denied\n"
        "  fix: clone the project to a directory that you own\n"
    )


def test_help_names_every_target(copy: Path) -> None:
    shown = make(copy).stdout
    for target in ("help", "setup", "demo", "test", "check", "bench", "clean"):
        assert f"  make {target} " in shown


def test_clean_keeps_the_evidence(copy: Path) -> None:
    (copy / ".crmops").mkdir()
    (copy / ".crmops/history.sqlite").write_text("evidence")
    for made in (".venv/bin", ".tools/usr", "dist", "crmops/__pycache__"):
        (copy / made).mkdir(parents=True)
    done = make(copy, "clean")
    assert done.returncode == 0
    assert (copy / ".crmops/history.sqlite").read_text() == "evidence"
    assert not [made for made in (".venv", ".tools", "dist") if (copy / made).exists()]
    assert not list(copy.rglob("__pycache__"))


def test_an_unknown_bench_is_named_with_those_there_are(copy: Path) -> None:
    (copy / "bench").mkdir(exist_ok=True)
    (copy / "bench/known.py").write_text("")
    done = subprocess.run(
        ["sh", "scripts/bench.sh", "unheard"],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first == "bench: there is no bench/unheard.py"
    assert second.startswith("  fix: one of: ")
    assert "known" in second


def test_a_link_to_a_place_of_the_machine_is_turned_inside(tmp_path: Path) -> None:
    settings = tmp_path / "etc/java-17/security"
    settings.mkdir(parents=True)
    link = tmp_path / "usr/lib/jvm/java-17/conf"
    link.parent.mkdir(parents=True)
    link.symlink_to("/etc/java-17/security")
    outside = tmp_path / "usr/lib/null"
    outside.symlink_to("/dev/null")
    setup_debian._mend_links(tmp_path)
    assert link.resolve() == settings.resolve()
    assert outside.readlink() == Path("/dev/null")
