"""The description of the data: entities and their fields."""

from __future__ import annotations

from typing import Any

from refcrm.call import Answer, Call, answer
from refcrm.model import ENTITIES, Field


async def list_entities(call: Call) -> Answer:
    """GET /api/v1/meta."""
    del call
    return answer({"entities": list(ENTITIES)})


async def describe_entity(call: Call) -> Answer:
    """GET /api/v1/meta/{entity}."""
    return answer({"fields": [_described(field) for field in call.entity.fields]})


def _described(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "type": field.type.value,
        "required": field.required,
        "unique": field.unique,
        "max_length": field.max_length,
        "values": list(field.values) or None,
        "references": field.references,
        "read_only": field.read_only,
        "write_only": field.write_only,
    }
