"""The lock files name all that pyproject.toml asks for, by hash, and no address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PYTHONS = ("3.11", "3.12", "3.13")
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)", re.MULTILINE)


def pins(text: str) -> dict[str, Version]:
    return {
        canonicalize_name(found["name"]): Version(found["version"]) for found in PIN.finditer(text)
    }


def wanted(root: Path, python: str) -> list[Requirement]:
    """What pyproject.toml asks for on one Python: the core, [all] and the tools."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    lines = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in re.findall(r"[a-z]+", extras["all"][0].partition("[")[2]):
        lines += extras[extra]
    asked = [Requirement(line) for line in lines]
    where = {"python_version": python, "python_full_version": f"{python}.1"}
    return [one for one in asked if one.marker is None or one.marker.evaluate(where)]


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_has_everything_that_pyproject_asks_for(root: Path, python: str) -> None:
    locked = pins((root / f"requirements/py{python.replace('.', '')}.txt").read_text())
    asked = wanted(root, python)
    assert len(asked) > 40
    for requirement in asked:
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not locked: run scripts/lock.sh"
        assert version in requirement.specifier, f"{requirement} but {version} is locked"


def test_spark_is_locked_apart_with_what_builds_it(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    (asked,) = map(Requirement, project["optional-dependencies"]["spark"])
    locked = pins((root / "requirements/spark.txt").read_text())
    assert {*locked} == {"pyspark", "py4j"}
    assert locked["pyspark"] in asked.specifier
    assert {*pins((root / "requirements/spark-build.txt").read_text())} == {"setuptools"}
    assert not {*locked} & {*pins((root / "requirements/py311.txt").read_text())}


def test_every_pin_has_a_hash_and_no_file_has_an_address(root: Path) -> None:
    locks = sorted((root / "requirements").glob("*.txt"))
    assert len(locks) == len(PYTHONS) + len(("bootstrap", "spark", "spark-build"))
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text, f"{lock.name} holds an address"
        assert "--index" not in text
        blocks = re.split(r"\n(?=\S)", text.strip())
        for block in blocks:
            assert PIN.match(block), f"{lock.name}: not a pin: {block[:60]!r}"
            assert "--hash=sha256:" in block, f"{lock.name}: no hash for {block[:60]!r}"


def test_supported_pythons_are_those_with_a_lock(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    names = {path.name for path in (root / "requirements").glob("py*.txt")}
    assert names == {f"py{python.replace('.', '')}.txt" for python in PYTHONS}
