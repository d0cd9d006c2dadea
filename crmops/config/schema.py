"""The JSON Schema of ``crmops.yaml``: the frame, with every room's own section put in."""

from __future__ import annotations

from typing import Any

from crmops.config.frame import ROOM_SECTIONS, Frame
from crmops.config.loader import section_model

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def build_schema() -> dict[str, Any]:
    """One self-contained schema.  A room that is not installed accepts any mapping."""
    schema = Frame.model_json_schema()
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    for section, dotted_name in ROOM_SECTIONS.items():
        model = section_model(dotted_name)
        if model is None:
            continue
        inner = model.model_json_schema(ref_template=f"#/$defs/{section}.{{model}}")
        for name, each in inner.pop("$defs", {}).items():
            definitions[f"{section}.{name}"] = each
        description = schema["properties"][section].get("description", "")
        schema["properties"][section] = {"description": description, **inner}
    return {"$schema": DIALECT, **schema, "title": "crmops.yaml"}
