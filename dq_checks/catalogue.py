"""Where suites come from: the files shipped here, and the directories that the settings name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from crmops.config.explain import ConfigProblems, explain
from crmops.config.reader import nearest, read_document
from crmops.errors import ConfigError, UsageError
from dq_checks.suite import Suite

SHIPPED = Path(__file__).with_name("suites")


def read_suite(path: Path, shown: str = "") -> Suite:
    """The suite in a file.  Raises ConfigError with the line of whatever is wrong in it."""
    document = read_document(path, shown or str(path))
    try:
        return Suite.model_validate(document.values)
    except ValidationError as error:
        found = explain(error, Suite, document.values, (), document.where)
        raise ConfigProblems([_about_suites(each) for each in found.problems]) from None


def _about_suites(problem: ConfigError) -> ConfigError:
    """The hint of settings leads to their schema; suites are described elsewhere."""
    if "config schema" in problem.hint:
        problem.hint = "docs/data-quality.md describes every key of a suite."
    return problem


def find_suites(directories: Sequence[Path] = ()) -> dict[str, Suite]:
    """Every suite by name; one in a directory of the user's takes the place of a shipped one.

    Raises ConfigError for a bad file, a directory that is missing, or two files of one
    directory with the same name.
    """
    found: dict[str, Suite] = {}
    for directory in (SHIPPED, *directories):
        found.update(_of(directory))
    return dict(sorted(found.items()))


def choose(suites: dict[str, Suite], names: Iterable[str]) -> list[Suite]:
    """The suites of these names, in this order.  Raises UsageError naming the nearest one."""
    chosen = []
    for name in dict.fromkeys(names):
        if name not in suites:
            guess = nearest(name, suites)
            meant = f"Did you mean {guess!r}? " if guess else ""
            raise UsageError(
                f"there is no suite {name!r}", hint=f"{meant}There are: {', '.join(suites)}."
            )
        chosen.append(suites[name])
    return chosen


def _of(directory: Path) -> dict[str, Suite]:
    try:
        files = sorted(each for each in directory.iterdir() if each.suffix in (".yaml", ".yml"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"the directory of suites {directory} cannot be read: {reason}",
            hint="Look at dq.suite_directories.",
        ) from error
    found: dict[str, Suite] = {}
    origin: dict[str, Path] = {}
    for path in files:
        suite = read_suite(path)
        if suite.name in found:
            raise ConfigError(
                f"{path.name} and {origin[suite.name].name} are both called {suite.name!r}",
                where=str(path),
                hint="Rename one of them.",
            )
        found[suite.name], origin[suite.name] = suite, path
    return found
