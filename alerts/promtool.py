"""The rules, checked and tested by Prometheus' own tool."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from alerts.catalogue import Alert, load_alerts, render_rules
from alerts.settings import Settings
from crmops.binaries import need_binary
from crmops.errors import CannotRun

LONGEST = 120


@dataclass(frozen=True, slots=True)
class Tested:
    """What promtool said of one alert's test."""

    alert: str
    passed: bool
    output: str

    @property
    def complaint(self) -> str:
        """What it found wrong; nothing if the test passed."""
        return "" if self.passed else self.output


def promtool() -> Path:
    """Where promtool is.  Raises CannotRun with the way to get it."""
    return need_binary("promtool")


def test_alerts() -> list[Tested]:
    """Check the rules as shipped (default settings) and run every alert's test."""
    tool, settings = promtool(), Settings()
    with tempfile.TemporaryDirectory(prefix="crmops-rules-") as folder:
        rules = Path(folder, "rules.yml")
        rules.write_text(render_rules(settings), encoding="utf-8")
        checked = _run(tool, "check", "rules", str(rules))
        if checked.returncode != 0:
            raise CannotRun(f"promtool refuses the rules: {checked.stdout}{checked.stderr}".strip())
        return [_test(tool, each, Path(folder)) for each in load_alerts(settings)]


def _test(tool: Path, alert: Alert, folder: Path) -> Tested:
    path = folder / f"{alert.name}.yml"
    path.write_text(alert.test, encoding="utf-8")
    done = _run(tool, "test", "rules", str(path))
    return Tested(alert.name, done.returncode == 0, f"{done.stdout}{done.stderr}".strip())


def _run(tool: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool, *arguments], capture_output=True, text=True, timeout=LONGEST, check=False
    )
