"""The section ``load:`` of crmops.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from crmops.config import LocalPath
from crmops.errors import ConfigError
from crmops.secret import Secret
from crmops.units import Seconds
from crmops.verdict import Objective
from loadtests.measures import split


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Samples(_Part):
    """How many samples a number must rest on; with fewer the verdict is unknown."""

    p50: Annotated[int, Field(ge=1, description="for medians")] = 20
    p95: Annotated[int, Field(ge=1, description="for 95th percentiles")] = 200
    p99: Annotated[int, Field(ge=1, description="for 99th percentiles")] = 1000
    ratio: Annotated[int, Field(ge=1, description="for error.ratio and its like")] = 100

    def wanted(self, measure: str) -> int:
        """The least number of samples for a measure, by its name."""
        stem = measure.partition("{")[0]
        if stem.endswith(".ratio"):
            return self.ratio
        return {"p50": self.p50, "p95": self.p95, "p99": self.p99}.get(stem.rpartition(".")[2], 1)


class Instrument(_Part):
    """When the load generator itself is not to be trusted; the verdict is then unknown."""

    loop_lag: Annotated[Seconds, Field(gt=0, description="p99 of the event loop's lag")] = 0.2
    cpu: Annotated[float, Field(gt=0, le=1, description="share of a core, mean of a phase")] = 0.9
    sent: Annotated[
        float, Field(ge=0, le=1, description="share of the scheduled calls that left on time")
    ] = 0.95
    silence: Annotated[
        Seconds, Field(gt=0, description="after which a generator that says nothing is ended")
    ] = 20.0


class KillSwitch(_Part):
    """Ends a run that only does harm."""

    error_ratio: Annotated[
        float, Field(gt=0, le=1, description="share of calls that fail, from which it acts")
    ] = 0.5
    seconds: Annotated[Seconds, Field(gt=0, description="over which the ratio is taken")] = 10.0
    samples: Annotated[int, Field(ge=1, description="below which it never acts")] = 200


class Abort(_Part):
    """Ends a run early whose objectives are missed beyond hope; it fails."""

    on_breach: bool = Field(default=False, description="whether to end early at all")
    grace: Annotated[
        Seconds, Field(ge=0, description="of judged load, before which it never acts")
    ] = 30.0
    seconds: Annotated[
        Seconds, Field(ge=0, description="for which an objective must have been missed")
    ] = 10.0


FIGURES = {
    "CPU, share": '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[$window]))',
    "memory, share": "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    "disk, share busy": "max by (instance) (rate(node_disk_io_time_seconds_total[$window]))",
    "PostgreSQL connections": "sum by (instance, state) (pg_stat_activity_count)",
    "refcrm requests a second": "sum by (status) (rate(refcrm_http_requests_total[$window]))",
    "refcrm p95, seconds": "histogram_quantile(0.95, sum by (le) "
    "(rate(refcrm_http_request_duration_seconds_bucket[$window])))",
    "refcrm database connections in use": "refcrm_database_connections"
    " - refcrm_database_connections_idle",
    "refcrm access log entries waiting": "refcrm_access_log_waiting",
}
"""What Prometheus is asked for: of the node exporter, the PostgreSQL exporter and refcrm."""


def _address(value: str) -> str:
    parts = urlsplit(value)
    problem = {}
    if "@" in parts.netloc:
        problem = {"problem": "there is a login in it", "hint": "Use username and password."}
    elif value and (parts.scheme not in ("http", "https") or not parts.hostname):
        problem = {"problem": "this is no address", "hint": "Write it as http://prometheus:9090."}
    if problem:
        raise PydanticCustomError("setting", "{problem}", problem)
    return value.rstrip("/")


class Prometheus(_Part):
    """The Prometheus that watches the servers; asked after the load for what it saw."""

    url: Annotated[str, AfterValidator(_address)] = Field(
        default="", description="its address; empty: nothing is asked"
    )
    username: str = Field(default="", description="for HTTP's basic authentication")
    password: Secret | None = Field(default=None, description="likewise")
    queries: dict[str, str] = Field(
        default_factory=dict,
        description="PromQL by name, besides the usual ones; an empty one takes a usual one away",
    )
    window: Annotated[
        Seconds, Field(gt=0, description="in place of $window in a query; four scrapes are enough")
    ] = 60.0
    timeout: Annotated[Seconds, Field(gt=0, description="for one query")] = 10.0

    def chosen(self) -> dict[str, str]:
        """The usual queries and one's own, without those that were taken away."""
        return {name: query for name, query in {**FIGURES, **self.queries}.items() if query}


class Distributed(_Part):
    """Workers on other machines instead of processes on this one."""

    listen: str = Field(
        default="", description="HOST:PORT where workers are awaited; empty: none are"
    )
    workers: Annotated[int, Field(ge=1, le=500, description="how many must have joined")] = 1
    wait: Annotated[
        Seconds, Field(gt=0, le=240, description="for them to join, before the run is given up")
    ] = 60.0
    secret: Secret | None = Field(
        default=None, description="what master and workers know one another by, by reference"
    )


DEFAULT_OBJECTIVES = (
    Objective(measure="response_time.p95", limit=1.0),
    Objective(measure="error.ratio", limit=0.01),
    Objective(measure="journey.failed.ratio", limit=0.01),
    Objective(measure="throttled.ratio", limit=0.05),
)


def _known(objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
    for each in objectives:
        try:
            split(each.measure)
        except ConfigError as error:
            context = {"problem": error.message, "hint": error.hint}
            raise PydanticCustomError("setting", "{problem}", context) from None
    return objectives


class Settings(_Part):
    """Load tests: what is run, what is demanded, and when the instrument is believed."""

    workload: str = Field(default="launch", description="the workload when none is named")
    workloads: tuple[LocalPath, ...] = Field(
        default=(), description="further workloads: YAML files, or directories of them"
    )
    objectives: Annotated[tuple[Objective, ...], AfterValidator(_known)] = Field(
        default=DEFAULT_OBJECTIVES, description="what the measures must be; see load-testing.md"
    )
    samples: Samples = Samples()
    instrument: Instrument = Instrument()
    kill_switch: KillSwitch = KillSwitch()
    abort: Abort = Abort()
    think_scale: Annotated[float, Field(gt=0, description="multiplies every think time")] = 1.0
    roles: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="changes to the roles of a workload, by name of the role"
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="hosts other than this machine that may be put under load"
    )
    workers: Annotated[int, Field(ge=1, le=64, description="generator processes")] = 1
    distributed: Distributed = Distributed()
    client: Literal["lean", "fasthttp"] = Field(
        default="lean", description="what carries the calls: our own client, or FastHttpUser's"
    )
    follow_redirects: Annotated[
        int, Field(ge=0, le=10, description="redirects followed for one call, on the same host")
    ] = 0
    prometheus: Prometheus = Prometheus()
    cleanup: bool = Field(default=True, description="delete what the run has created, at its end")

    @property
    def processes(self) -> int:
        """How many generators share the load."""
        return self.distributed.workers if self.distributed.listen else self.workers
