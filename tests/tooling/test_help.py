"""`crmops --help` answers at once: it loads no heavy library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HEAVY = {
    "alembic", "ansible", "ansible_runner", "apscheduler", "asyncpg", "cryptography", "duckdb",
    "fastapi", "gevent", "great_expectations", "jinja2", "locust", "numpy", "opentelemetry",
    "pandas", "polars", "prometheus_client", "psycopg", "pyarrow", "scipy", "splink", "sqlalchemy",
    "uvicorn", "weasyprint",
}  # fmt: skip
MODULES = 400
ASK = """
import json, sys
sys.argv = ["crmops", *sys.argv[1:]]
from crmops.cli import main
try:
    main()
finally:
    print("\\0" + json.dumps(sorted(sys.modules)))
"""


def modules_of(tmp_path: Path, *words: str) -> tuple[str, set[str]]:
    """What a command prints, and the modules that it has loaded."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    shown, _, loaded = done.stdout.partition("\0")
    assert loaded, done.stderr
    return shown, set(json.loads(loaded))


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    shown, loaded = modules_of(tmp_path, "--help")
    assert "Usage" in shown
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert len(loaded) < MODULES


def test_help_names_every_room(tmp_path: Path) -> None:
    shown, _ = modules_of(tmp_path, "--help")
    for command in ("load", "probe", "dq", "drill", "backup", "alerts", "gate", "serve", "demo"):
        assert command in shown
