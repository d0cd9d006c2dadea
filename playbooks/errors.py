"""How a stage says that the backup is bad, as against that it could not be examined."""

from __future__ import annotations

from typing import ClassVar

from crmops.errors import CrmopsError, ExitCode


class CheckFailed(CrmopsError):
    """The thing examined is not as it must be: the drill fails."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAIL
