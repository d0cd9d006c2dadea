"""Every way in which crmops can refuse, and what the person can do about it.

CrmopsError
├── UsageError          2    the command line asks for something that cannot be
│   └── ConfigError     2    a configuration file is wrong; says file, line and key
├── UnknownEvidence     3    there is no evidence that can be trusted
├── CannotRun           4    it could not run; the reason and a way out are given
│   ├── TargetUnreachable    the CRM does not answer
│   ├── AlreadyRunning       somebody else does the same thing now
│   └── HistoryError         the history cannot be read or written
└── Interrupted         130  a person stopped it
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What a command tells the shell.  Scripts depend on these: never renumber."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    UNKNOWN = 3
    ERROR = 4
    INTERRUPTED = 130


class CrmopsError(Exception):
    """A refusal that a person can act on.

    ``message`` is lower case without a full stop; ``hint`` is a sentence that says what to do.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.ERROR

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CrmopsError):
    """The command line asks for something that cannot be."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A configuration file is wrong.  ``where`` is ``file:line`` or the name of a variable."""

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.where = where


class UnknownEvidence(CrmopsError):
    """There is no evidence that can be trusted."""

    exit_code = ExitCode.UNKNOWN


class CannotRun(CrmopsError):
    """It could not run."""


class TargetUnreachable(CannotRun):
    """The CRM does not answer."""


class AlreadyRunning(CannotRun):
    """Somebody else does the same thing now."""


class HistoryError(CannotRun):
    """The history cannot be read or written."""


class Interrupted(CrmopsError):
    """A person, or the system on their behalf, stopped it."""

    exit_code = ExitCode.INTERRUPTED
