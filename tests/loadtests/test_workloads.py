"""Every shipped workload loads, finds its journeys, and is documented; so is every name."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmops.connectors import connect
from crmops.errors import UsageError
from crmops.target import LoadPermission, Target
from loadtests.catalogue import catalogue, find_workload
from loadtests.guard import VENDORS, guard, is_here
from loadtests.measures import stems
from loadtests.people import headcount, repertoire
from loadtests.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "load-testing.md").read_text()
KNOWN = catalogue(Settings())


def a_target(**changes: object) -> Target:
    fields = {"name": "crm", "connector": "refcrm", "url": "http://127.0.0.1:1"}
    permission = LoadPermission(allowed=True, max_users=10**6, max_duration=10**6)
    return Target.model_validate({**fields, "load": permission, **changes})


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_shipped_workload_can_be_run(name: str) -> None:
    workload = KNOWN[name]
    assert (ROOT / "loadtests" / "workloads" / f"{name}.yaml").exists()
    journeys, left_out = repertoire(workload, connect(a_target()))
    assert set(journeys) == set(workload.roles)
    assert left_out == []
    assert sum(headcount(workload).values()) == workload.users
    assert f"| `{name}` |" in DOCS
    guard(a_target(), workload, Settings())


def test_the_launch_fits_the_demo() -> None:
    launch = KNOWN["launch"]
    counts = headcount(launch)
    assert (launch.users, launch.seconds, launch.phases[0].within) == (500, 60, 10)
    assert counts["manager"] <= 28


def test_every_measure_is_documented() -> None:
    stats = {"p50", "p90", "p95", "p99", "p999", "max", "mean"}
    for stem in stems():
        head, _, tail = stem.rpartition(".")
        name = f"{head}.*" if tail in stats and not stem.startswith("instrument") else stem
        written = f"`{name}`" in DOCS or f"`{stem}`" in DOCS or f"`{head}.p50`" in DOCS
        assert written, stem


def test_every_setting_is_documented() -> None:
    for name in Settings.model_fields:
        assert f"`{name}" in DOCS, name


def test_other_numbers_stretch_the_phases() -> None:
    launch = KNOWN["launch"].changed(users=10, seconds=30, ramp=2, pace=0.5)
    assert (launch.users, launch.seconds) == (10, 30)
    assert [phase.within for phase in launch.phases] == [2, 0]
    assert launch.pace == 0.15


def test_roles_are_changed_by_configuration() -> None:
    settings = Settings(roles={"manager": {"pause": 3}, "nobody": {"pause": 1}})
    assert find_workload("launch", settings).roles["manager"].pause == 3


def test_two_workloads_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text((ROOT / "loadtests" / "workloads" / "launch.yaml").read_text())
    with pytest.raises(UsageError, match="the workload 'launch' is also in "):
        find_workload("launch", Settings(workloads=(path,)))


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("crm.localhost", True),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_what_is_this_machine(host: str, here: bool) -> None:
    assert is_here(host) is here


@pytest.mark.parametrize("vendor", VENDORS)
def test_no_vendor_is_put_under_load_without_a_written_permission(vendor: str) -> None:
    for host in (vendor, f"acme.{vendor}", f"ACME.{vendor.upper()}", f"acme.{vendor}."):
        target = a_target(url=f"https://{host}/crm")
        settings = Settings(allowed_hosts=(host, host.lower(), host.rstrip(".").lower()))
        with pytest.raises(UsageError, match="belongs to a vendor"):
            guard(target, KNOWN["launch"], settings)
    allowed = LoadPermission(allowed=True, permission="their case 4711, 2026-11-02")
    guard(
        a_target(url=f"https://{vendor}", load=allowed),
        KNOWN["launch"],
        Settings(allowed_hosts=(vendor,)),
    )


def test_a_name_that_only_looks_like_a_vendor_is_none() -> None:
    target = a_target(url="https://notsalesforce.com")
    guard(target, KNOWN["launch"], Settings(allowed_hosts=("notsalesforce.com",)))
