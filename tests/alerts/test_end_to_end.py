"""A slow CRM, real Prometheus, real Alertmanager, crmops serve: the alert comes and goes."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from crmops.binaries import alertmanager_command, prometheus_command
from tests.serve.support import serving

CONFIG = """
targets:
  crm: {{connector: refcrm, url: '{url}', username: admin, password: 'file:password'}}
probes:
  probes: [{{journey: login, every: 1s, limit: 1s}}, {{journey: search, every: 1s, limit: 1s}}]
alerts:
  window: 10s
  hold: 2s
  group_wait: 0s
  group_interval: 1s
  rehearsal:
    alert: CrmProbeSlow
    begin: {{method: PUT, url: '{url}/_faults', body: {{latency_seconds: 1.5}}}}
    end: {{method: DELETE, url: '{url}/_faults'}}
    hold: 5s
    raise_within: 30s
    clear_within: 60s
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that unprivileged servers can reach."""
    folder = Path(tempfile.mkdtemp(prefix="crmops-alerting-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def crmops(config: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crmops", "--config", str(config), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@contextmanager
def server(command: list[str], url: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            assert process.poll() is None, f"{command[0]} ended"
            assert time.monotonic() < deadline, f"{url} is not ready"
            try:
                if httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def alerting(place: Path, config: Path, url: str) -> Iterator[None]:
    """Prometheus and Alertmanager as ``crmops alerts`` sets them up, as nobody if we are root."""
    am, prom = (f"127.0.0.1:{free_port()}" for _ in range(2))
    files: dict[str, tuple[object, ...]] = {
        "rules": (),
        "config": ("--url", url),
        "prometheus": (
            *("--url", url, "--rules", place / "rules.yml"),
            *("--alertmanager", f"http://{am}", "--interval", 1),
        ),
    }
    for name, arguments in files.items():
        done = crmops(config, "alerts", name, *arguments, "--out", place / f"{name}.yml")
        assert done.returncode == 0, done.stderr
    root = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    nobody = (root.pw_uid, root.pw_gid) if root else None
    for name in ("am", "prom"):
        (place / name).mkdir()
        if nobody:
            os.chown(place / name, *nobody)
    first = [f"--config.file={place}/config.yml", f"--storage.path={place}/am"]
    first += [f"--web.listen-address={am}", "--cluster.listen-address="]
    second = [f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/prom"]
    second += [f"--web.listen-address={prom}"]
    with (
        server(alertmanager_command(first, run_as=nobody), f"http://{am}"),
        server(prometheus_command(second, run_as=nobody), f"http://{prom}"),
    ):
        yield


@pytest.mark.timeout(240)
def test_a_slow_crm_is_told_and_told_to_be_well(place: Path, refcrm_server: Any) -> None:
    config = place / "crmops.yaml"
    config.write_text(CONFIG.format(url=refcrm_server.url))
    (place / "password").write_text(refcrm_server.password)
    (place / "password").chmod(0o600)
    with serving(config) as served, alerting(place, config, served.url):
        time.sleep(3)  # a few quick walks, so that slow ones are a change
        done = crmops(config, "alerts", "rehearse", "--json")
        shown = httpx.get(f"{served.url}/runbooks/CrmProbeSlow", trust_env=False).text
    assert done.returncode == 0, done.stdout + done.stderr
    run = json.loads(done.stdout)
    found = {each["name"]: each["value"] for each in run["measures"]}
    assert run["verdict"] == "pass"
    assert found["raised_after"] < 30
    assert found["cleared_after"] < 60
    assert "firing: " in shown
    assert "resolved: " in shown
