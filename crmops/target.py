"""The CRM that something is done to, as the configuration describes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from crmops.secret import Secret

Environment = Literal["production", "staging", "test"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Account(_Part):
    """One login that simulated people may use."""

    username: str = Field(description="the login name")
    password: Secret = Field(description="its password, by reference")
    role: str = Field(default="rep", description="what the person is: rep, manager, admin, ...")


class LoadPermission(_Part):
    """Whether load may be sent at all, and how much."""

    allowed: bool = Field(default=False, description="without it no load is sent")
    max_users: Annotated[int, Field(ge=1, description="people at once, at most")] = 1000
    max_rate: Annotated[float, Field(gt=0, description="requests per second, at most")] = 2000.0
    max_duration: Annotated[float, Field(gt=0, description="seconds of one run, at most")] = 3600.0
    permission: Annotated[
        str,
        Field(description="who allowed a load test of a vendor's host, and where it is written"),
    ] = ""


class DatabaseAccess(_Part):
    """How audits and drills reach the CRM's own database."""

    url: Secret = Field(description="SQLAlchemy or libpq address of the live database")
    replica_url: Secret | None = Field(default=None, description="audits read here when given")
    backup_url: Secret | None = Field(
        default=None,
        description="backups connect here when given: a role with REPLICATION and pg_read_all_data",
    )
    data_directory: str = Field(default="", description="its files, where it runs on this machine")
    archive_directory: str = Field(default="", description="where its log segments are archived")
    binaries: str = Field(default="", description="directory of pg_basebackup and its like")


class FilesAccess(_Part):
    """Attachments and configuration files that belong to the CRM; restic keeps them."""

    paths: tuple[str, ...] = Field(default=(), description="files and directories, absolute")
    repository: str = Field(
        default="", description="restic's repository; default: beside drills.directory"
    )
    password_file: str = Field(default="", description="file (mode 0600) of its password")


class BackupAccess(_Part):
    """What takes the backups of the CRM's own database, and where it keeps them."""

    provider: str = Field(
        default="postgresql", description="what takes them: postgresql, pgbackrest, barman, mariadb"
    )
    repository: str = Field(
        default="",
        description="where pgBackRest or Barman keeps backups; default: below drills.directory",
    )
    stanza: str = Field(
        default="", description="its stanza (pgBackRest) or server (Barman); default: the target"
    )
    files: FilesAccess = Field(
        default_factory=FilesAccess, description="attachments and the like, backed up with it"
    )


class Target(_Part):
    """One CRM: who it is, how to speak to it and what is allowed.

    ``options`` is the connector's own section, validated by the connector.
    """

    name: str
    connector: str
    url: str
    environment: Environment = "test"
    username: str = ""
    password: Secret | None = None
    options: Mapping[str, Any] = Field(default_factory=dict)
    accounts: tuple[Account, ...] = ()
    load: LoadPermission = LoadPermission()
    database: DatabaseAccess | None = None
    backup: BackupAccess = BackupAccess()
    timeout: Annotated[float, Field(gt=0, description="seconds for one call")] = 30.0
    ca_file: str = ""
