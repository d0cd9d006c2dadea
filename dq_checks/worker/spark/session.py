"""The one Spark of a worker: started when an audit first needs it, gone with the worker."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

from crmops.binaries import need_binary, tool_environment
from crmops.errors import CannotRun
from dq_checks.lake import FOLDER, Lake, sweep
from dq_checks.worker.problems import JobProblem
from dq_checks.worker.spark.tables import view

INSTALL = "pip install 'crmops[spark]' (450 MB); Spark needs Java 17 or newer."
_SCALE = 18
_WIDE = Context(prec=80)
_NUMBERS = itertools.count(1)


@dataclass
class _Running:
    """A JVM with Spark in it, and the sessions by the description of their tables."""

    base: Any
    pid: int
    master: str
    memory: str
    folder: Path
    sessions: dict[str, Any] = field(default_factory=dict)


_running: _Running | None = None


def session_of(described: str) -> Any:
    """A session with the tables that a file describes; the same one when asked again.

    Raises JobProblem when there is no Spark, or a table cannot be read.
    """
    global _running  # noqa: PLW0603  (a process has one JVM at most)
    lake = Lake.model_validate_json(Path(described).read_bytes())
    if _running is not None and (_running.master, _running.memory) != (lake.master, lake.memory):
        stop()
    if _running is None:
        _running = _start(lake.master, lake.memory)
    if described not in _running.sessions:
        session = _running.base.newSession()
        for each in lake.tables:
            view(session, each)
        _running.sessions[described] = session
    return _running.sessions[described]


def stop() -> None:
    """End the JVM by its pid, and remove what it wrote; nothing of it is worth keeping."""
    global _running
    running, _running = _running, None
    if running is None:
        return
    with suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGKILL)
    shutil.rmtree(running.folder, ignore_errors=True)


def _start(master: str, memory: str) -> _Running:
    try:
        from pyspark.conf import SparkConf
        from pyspark.sql import SparkSession
    except ImportError:
        raise JobProblem("Spark is not installed", INSTALL) from None
    try:
        java = need_binary("java").resolve()
    except CannotRun as error:
        raise JobProblem(f"Spark needs Java: {error.message}", error.hint) from None
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))
    local = master.startswith("local")
    os.environ.update(
        tool_environment(), JAVA_HOME=str(java.parents[1]), PYSPARK_PYTHON=sys.executable
    )
    if local:
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    conf = SparkConf().setMaster(master).setAppName("crmops dq")
    conf.setAll(_settings(folder, memory, local=local))
    try:
        base = SparkSession.builder.config(conf=conf).getOrCreate()
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise JobProblem(
            f"Spark did not start ({type(error).__name__})",
            f"Spark needs Java 17 or newer, and {java} may be older; or {master} does not answer.",
        ) from None
    base.sparkContext.setLogLevel("OFF")
    gateway: Any = base.sparkContext._gateway
    return _Running(base, gateway.proc.pid, master, memory, folder)


def _settings(folder: Path, memory: str, *, local: bool) -> list[tuple[str, str]]:
    settings = {
        "spark.driver.memory": memory,
        "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={folder} -Duser.timezone=UTC",
        "spark.log.level": "OFF",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
    }
    if local:  # on a cluster its own settings say so
        settings |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": str(os.cpu_count() or 1),
        }
    return list(settings.items())


def written(session: Any, columns: Mapping[str, Sequence[Any]]) -> str:
    """Texts, and decimals in a last column, as a table of the session; its name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if _running is None:
        raise JobProblem("Spark has ended", "Run it again.")
    *texts, last = columns
    kinds = {**dict.fromkeys(texts, pa.string()), last: pa.decimal128(38, _SCALE)}
    arrays = {name: pa.array(_fitting(each), kinds[name]) for name, each in columns.items()}
    name = f"crmops_{next(_NUMBERS)}"
    target = _running.folder / f"{name}.parquet"
    pq.write_table(pa.table(arrays), target)
    session.read.parquet(str(target)).createOrReplaceTempView(name)
    return name


def _fitting(values: Sequence[Any]) -> list[Any]:
    """Decimals that Parquet can hold; what is longer equals nothing that a CRM has."""
    return [each if isinstance(each, str) else _scaled(each) for each in values]


def _scaled(value: Decimal | None) -> Decimal | None:
    if value is None or abs(value) >= 10 ** (37 - _SCALE):
        return None
    rounded = value.quantize(Decimal(1).scaleb(-_SCALE), context=_WIDE)
    return rounded if rounded == value else None
