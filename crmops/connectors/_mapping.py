"""One entity of a profile: its records between the neutral names and the vendor's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crmops.connectors._profile import FieldMap, Profile
from crmops.connectors._replies import mapping, text
from crmops.connectors._template import look, put
from crmops.connectors.base import Record
from crmops.errors import UsageError
from crmops.model import COMMON, FIELDS, PLURALS
from crmops.wire import Reply


class EntityDialect:
    """How one entity is addressed, written and read under one profile.

    Raises UsageError if the profile leaves the entity out.
    """

    def __init__(self, entity: str, profile: Profile) -> None:
        if entity not in profile.entities:
            raise UsageError(
                f"profile {profile.name!r} has no entity {entity!r}",
                hint=f"It has: {', '.join(profile.entities)}.",
            )
        mapped = profile.entities[entity]
        self.plural = PLURALS[entity]
        self.path = mapped.path
        self.name = mapped.vendor_name
        own = mapped.operations
        given_here = {name: getattr(own, name) for name in own.model_fields_set} if own else {}
        self.operations = profile.operations.model_copy(update=given_here)
        self.id = profile.id if mapped.id is None else mapped.id
        names = [name for name in (*FIELDS[entity], *COMMON) if name != "id"]
        given = {**profile.fields, **mapped.fields}
        self._fields = {name: given.get(name) or FieldMap(at=(name,)) for name in names}
        # Read for every record of every page: what can be worked out beforehand is.
        self._plan = [
            (name, field.at[0] if len(field.at) == 1 else None, field.at)
            for name, field in self._fields.items()
            if field.at
        ]
        self._words = {
            name: {str(word): neutral for neutral, word in field.values.items()}
            for name, field in self._fields.items()
            if field.values
        }

    def to_vendor(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A record to be written.  What this CRM has no field for is left out."""
        record: dict[str, Any] = {}
        for name, value in fields.items():
            field = self._fields.get(name) or FieldMap(at=(name,))
            if field.at:
                put(record, field.at, self.word(name, value))
        return record

    def to_neutral(self, raw: object, reply: Reply) -> Record:
        """A record that was read; ids are texts, whatever they were."""
        vendor = mapping(raw, reply, "a record")
        record: Record = {"id": text(look(vendor, self.id), reply, "an id")}
        for name, key, spot in self._plan:
            value = look(vendor, spot) if key is None else vendor.get(key)
            if value is not None:
                words = self._words.get(name)
                if words:
                    value = words.get(str(value), value)
                elif name.endswith("_id") and isinstance(value, int):
                    value = str(value)
            record[name] = value
        return record

    def vendor_field(self, name: str) -> str:
        """The vendor's name of a field, dotted; empty if this CRM has no such field."""
        field = self._fields.get(name)
        return name if field is None else ".".join(field.at or ())

    def neutral_field(self, vendor: str) -> str:
        """The neutral name of a vendor's field, or the vendor's if there is none."""
        for name, field in self._fields.items():
            if field.at and ".".join(field.at) == vendor:
                return name
        return "id" if vendor == ".".join(self.id) else vendor

    def word(self, name: str, value: Any) -> Any:
        """The vendor's word for a value of a field."""
        field = self._fields.get(name)
        return field.values.get(str(value), value) if field and field.values else value

    def neutral_word(self, name: str, value: Any) -> Any:
        """The neutral word for a vendor's value of a field."""
        words = self._words.get(name)
        return words.get(str(value), value) if words else value
