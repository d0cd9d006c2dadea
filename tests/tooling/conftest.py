"""The project as a set of files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def project_files() -> list[Path]:
    """Every file of the project, relative to its root: what git tracks, or would track.

    Outside a git checkout (an unpacked archive) it is every file that no tool of ours has made.
    """
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        found = [Path(name) for name in done.stdout.split("\0") if name]
    else:
        found = [path.relative_to(ROOT) for path in ROOT.rglob("*") if not _made_by_a_tool(path)]
    return sorted(path for path in found if (ROOT / path).is_file())


def _made_by_a_tool(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    hidden = parts[0].startswith(".") and parts[0] not in {".ci", ".yamllint", ".ansible-lint"}
    return hidden or "__pycache__" in parts


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the project."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Every file of the project, relative to its root."""
    found = project_files()
    assert len(found) > 100, "the list of the project's files is all but empty"
    return found


@pytest.fixture
def copy(tmp_path: Path, files: list[Path]) -> Path:
    """A copy of the project without anything that a tool has made."""
    target = tmp_path / "project"
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, target / file)
    return target
