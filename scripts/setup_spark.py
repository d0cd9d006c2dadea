"""Spark: for the tests, and for whoever audits in a lake.  `make demo` does without it.

It is 450 MB and published as source only, whence locks of its own: what is installed, and what
builds it, both checked by hash.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from scripts import setup_python
from scripts.setup_debian import MISSING
from scripts.setup_ui import VENV, ProgramFailed, run, warn

LOCK = setup_python.LOCKS / "spark.txt"
BUILD = setup_python.LOCKS / "spark-build.txt"
STAMP = VENV / ".crmops-spark"
NEEDED_BYTES = 3_000_000_000
FREE = "free some space and run make setup again"


def install_spark() -> str:
    """Install what the lock names into .venv; warn where that fails.

    The stage before it removes what its own locks do not name, so the stamp alone says nothing.
    """
    made_from = hashlib.sha256(LOCK.read_bytes() + BUILD.read_bytes()).hexdigest()
    if _installed() and STAMP.exists() and STAMP.read_text() == made_from:
        return f"up to date: {_installed()}"
    STAMP.unlink(missing_ok=True)
    uv, home = VENV / "bin" / "uv", setup_python.current()
    try:
        if home is None or not uv.exists():
            raise ProgramFailed("there is no uv in .venv", "")
        if shutil.disk_usage(VENV).free < NEEDED_BYTES:
            raise ProgramFailed("it takes 3 GB while it is built, and 0.5 GB afterwards", FREE)
        env = setup_python.uv_settings(home)
        command: list[str | Path] = [uv, "pip", "install", "--python", setup_python.VENV_PYTHON]
        command += ["--require-hashes", "--build-constraints", BUILD, "-r", LOCK]
        run(command, what="building Spark, which takes half a minute", env=env)
        if "UV_CACHE_DIR" not in os.environ:  # ours: 2 GB of what it was built from
            run([uv, "cache", "clean", "pyspark"], what="removing what it was built from", env=env)
    except ProgramFailed as failed:
        warn(
            f"no Spark, the tests of audits on Spark will fail: {failed}",
            failed.fix or "run make setup again, or .venv/bin/python -m pip install pyspark",
        )
        return MISSING
    STAMP.write_text(made_from)
    return f"{_installed()} of requirements/{LOCK.name}, by uv"


def _installed() -> str:
    """The pyspark in .venv, with its version; empty when there is none."""
    found = sorted(VENV.glob("lib/python3*/site-packages/pyspark-*.dist-info"))
    whole = [each for each in found if (Path(each) / "RECORD").exists()]
    return whole[-1].name.removesuffix(".dist-info") if whole else ""
