"""Give the copy a configuration of its own: nothing of the source's may act in the drill.

The source's postgresql.auto.conf carries its archive_command, primary_conninfo and port; its
postgresql.conf may load libraries that run jobs or send mail.  Both are replaced.
"""

from __future__ import annotations

from pathlib import Path

from playbooks import osuser
from playbooks.catalogue import read_manifest
from playbooks.job import Job
from playbooks.report import Report

_HBA = "local all all trust\n"
_BASE = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "archive_mode": "off",
    "archive_command": "",
    "archive_library": "",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "max_logical_replication_workers": "0",
    "hot_standby": "on",
    "autovacuum": "off",
    "ssl": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_error_verbosity": "terse",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "jit": "off",
    "recovery_init_sync_method": "syncfs",  # one call instead of one a file, before recovery
    "recovery_target_timeline": "current",
}


def run(job: Job, report: Report) -> None:
    """The recovery target is explicit: without one, a gap in the log silently loses data.

    On the way to a later moment the copy pauses at the backup's named instant, where its
    contents are known.
    """
    manifest = read_manifest(job.backup)
    action = "promote" if job.to is None else "pause"
    settings = {
        **_BASE,
        **manifest.settings,
        **job.settings.server,
        "recovery_target_action": action,
        "unix_socket_directories": str(job.sockets),
        "restore_command": f"cp {job.wal}/%f %p",
        "recovery_target_name": manifest.point,
    }
    write_settings(job, settings)
    report.fact(settings=settings)
    report.check("archive_mode", settings["archive_mode"] == "off", wanted="off", found="off")


def write_settings(job: Job, settings: dict[str, str]) -> None:
    """Replace every configuration file of the copy, and ask for recovery."""
    quoted = {name: value.replace("'", "''") for name, value in settings.items()}
    text = "".join(f"{name} = '{value}'\n" for name, value in quoted.items())
    for name, content in (
        ("postgresql.conf", "# see postgresql.auto.conf\n"),
        ("postgresql.auto.conf", text),
        ("pg_hba.conf", _HBA),
        ("pg_ident.conf", ""),
        ("recovery.signal", ""),
    ):
        _write(job.data / name, content)
    (job.data / "standby.signal").unlink(missing_ok=True)


def _write(path: Path, content: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
    osuser.give(path, osuser.substitute())
