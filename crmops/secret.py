"""A value that never prints itself."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

MASK = "***"
RESOLVER = "crmops_secrets"
"""Key of the validation context that holds the function from ``env:NAME`` to a Secret."""


class Secret:
    """Holds a password, token or address with credentials; prints as ``***`` everywhere.

    ``source`` says where it came from (``env:NAME``, ``file:PATH``), for messages.
    """

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str = "") -> None:
        self._value = value
        self.source = source

    def reveal(self) -> str:
        """The value itself.  Call it where it is used and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not to be pickled")

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            cls._from_input,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: MASK),
        )

    @classmethod
    def _from_input(cls, value: Any, info: core_schema.ValidationInfo) -> Secret:
        """A value as it is, or what the reader of references in the context makes of it."""
        if isinstance(value, Secret):
            return value
        read = (info.context or {}).get(RESOLVER)
        return read(value) if read else cls(str(value))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": "^(env|file|postgres(ql)?|sqlite|mysql|mariadb|mssql|oracle)([+]\\w+)?:.+",
            "description": "env:NAME or file:PATH; never the secret itself",
        }
