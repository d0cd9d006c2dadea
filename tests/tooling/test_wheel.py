"""The wheel holds the whole application and works where there is no checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

PACKAGES = (
    "crmops", "loadtests", "probes", "dq_checks", "alerts", "playbooks", "exporter", "console",
    "refcrm",
)  # fmt: skip


@pytest.fixture
def wheel(copy: Path, tmp_path: Path) -> Path:
    """A wheel built from a copy of the project, without network."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=copy, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return next(tmp_path.glob("*.whl"))


def test_wheel_holds_every_file_of_the_packages(wheel: Path, files: list[Path]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    wanted = {str(file) for file in files if file.parts[0] in PACKAGES}
    assert len(wanted) > 50
    assert wanted - inside == set()
    strangers = {name.partition("/")[0] for name in inside} - set(PACKAGES)
    assert all(name.endswith(".dist-info") for name in strangers), strangers


def test_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    clean = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", clean], check=True, timeout=100)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = clean / "lib" / version / "site-packages"
    # The dependencies of this environment; a path file inside another is not followed, so the
    # checkout itself stays out of sight.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    uv = str(Path(sys.executable).with_name("uv"))
    install = [uv, "pip", "install", "--offline", "--no-deps", "--quiet", "--no-cache"]
    subprocess.run(
        [*install, "--python", str(clean / "bin/python"), str(wheel)],
        check=True,
        timeout=100,
    )
    done = subprocess.run(
        [clean / "bin/crmops", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
    where = [str(clean / "bin/python"), "-c", "import crmops, console; print(crmops.__file__)"]
    shown = subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == str(site / "crmops/__init__.py")
