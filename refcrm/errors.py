"""What can go wrong, and who is told.

::

    RefcrmError        told to the operator on stderr, one line and a hint
    ApiError           told to the caller of the HTTP API as {"error": {...}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class RefcrmError(Exception):
    """The operator asked for something that cannot be done.

    message is lower case without a full stop; hint is a sentence saying what to do.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ApiError(Exception):
    """A refusal with its HTTP status and stable code; handlers raise it, the app renders it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        fields: Mapping[str, str] | None = None,
        duplicates: Sequence[Mapping[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        self.duplicates = duplicates
        self.headers = headers

    def document(self) -> dict[str, Any]:
        """The JSON body of the refusal."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.fields is not None:
            error["fields"] = dict(self.fields)
        if self.duplicates is not None:
            error["duplicates"] = [dict(item) for item in self.duplicates]
        return {"error": error}


def invalid(message: str, fields: Mapping[str, str] | None = None) -> ApiError:
    """400 for input that does not fit; fields names each field's reason."""
    return ApiError(400, "invalid", message, fields=fields)


def missing(what: str) -> ApiError:
    """404 for a record, entity or page that does not exist."""
    return ApiError(404, "missing", f"{what} does not exist")


def forbidden(message: str) -> ApiError:
    """403 for something that exists but is not the caller's to see or do."""
    return ApiError(403, "forbidden", message)
