"""Give the restored copy a standby that follows it, as a CRM in production would have one."""

from __future__ import annotations

import time

from crmops.errors import CannotRun
from playbooks import osuser
from playbooks.catalogue import read_manifest
from playbooks.instance import start, wait_until
from playbooks.job import Job
from playbooks.postgres import run_tool
from playbooks.report import Report
from playbooks.source import copy_connection, one_row
from playbooks.standby import make_place

_FOLLOWS = b"select pg_is_in_recovery()"
_STREAMS = b"select count(*) from pg_stat_replication where state = 'streaming' \
and sync_state = 'sync'"
_PATIENCE = 60.0


def run(job: Job, report: Report) -> None:
    """Every commit waits for the standby, so that none can be lost.

    Raises CannotRun when the standby cannot be made or does not follow.
    """
    user = read_manifest(job.backup).superuser
    with (job.data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
        rules.write("local replication all trust\n")
    with copy_connection(job, "template1", user) as connection:
        connection.execute(b"select pg_reload_conf()")
    began = time.monotonic()
    standby = make_place(job)
    done = run_tool(
        job, "pg_basebackup", "-h", job.sockets, "-U", user, "-D", standby.data, "-R", "-X",
        "stream", "-c", "fast", "--no-password", seconds=job.settings.timeout,
    )  # fmt: skip
    if done.code != 0:
        raise CannotRun(f"no standby could be made: {done.last_line}")
    _configure(standby, job, user)
    pid = start(standby)
    wait_until(standby, pid, user, _FOLLOWS)
    streams = _wait_for_streaming(job, user)
    report.check("the standby follows", streams, wanted="streaming, synchronous",
                 found="streaming" if streams else "not streaming")  # fmt: skip
    report.fact(pid=pid, seconds=round(time.monotonic() - began, 3))


def _configure(standby: Job, job: Job, user: str) -> None:
    """Its own sockets, and the copy as its primary; what pg_basebackup wrote is of the copy."""
    settings = {
        **job.facts("configure")["settings"],
        "unix_socket_directories": str(standby.sockets),
        "primary_conninfo": f"host={job.sockets} user={user} application_name=crmops_standby",
        "restore_command": "",
        "recovery_target_name": "",
        "recovery_target_timeline": "latest",
    }
    path = standby.data / "postgresql.auto.conf"
    path.write_text("".join(f"{name} = '{value}'\n" for name, value in settings.items()))
    osuser.give(path, osuser.substitute())


def _wait_for_streaming(job: Job, user: str) -> bool:
    """Let commits wait for the standby, and wait until they do."""
    with copy_connection(job, "template1", user) as connection:
        connection.execute(b"alter system set synchronous_standby_names = '*'")
        connection.execute(b"select pg_reload_conf()")
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if one_row(connection, _STREAMS)[0]:
                return True
            time.sleep(0.05)
    return False
