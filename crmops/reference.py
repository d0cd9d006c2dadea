"""The reference pages, written from the code itself: ``python -m crmops.reference``.

Every command with its options goes into docs/commands.md, every setting into docs/configuration.md
between two markers.  A test fails when the pages say something else than the code.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from crmops.cli import app
from crmops.config.frame import ROOM_SECTIONS, Frame
from crmops.config.loader import section_model
from crmops.config.types import LocalPath
from crmops.rooms import ROOMS, load_command
from crmops.secret import Secret
from crmops.units import Seconds

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
REMAKE = "python -m crmops.reference"

Command = TyperCommand | TyperGroup


def commands() -> Iterator[tuple[str, Command]]:
    """Every command and group with its path, in the order of ``--help``."""
    for name, room in ROOMS.items():
        yield from _below(f"crmops {name}", load_command(room))


def commands_page() -> str:
    """docs/commands.md."""
    top = typer.main.get_command(app)
    parts = [
        "# Commands\n",
        f"Written by `{REMAKE}` from the code; change the code, then write it again.\n",
        "Every command takes `--help`, and those that print a result take `--json`: one document"
        " on stdout, with its version as `schema`. Progress and notes go to stderr. Exit codes are"
        " in [exit-codes.md](exit-codes.md).\n",
        "These options may stand anywhere on the line:\n",
        _options(top),
    ]
    for path, command in commands():
        text = " ".join((command.help or "").split())
        parts += [f"## {path}\n", f"{text}\n"]
        if not isinstance(command, TyperGroup):
            parts.append(_options(command))
    return "\n".join(each for each in parts if each)


def settings_page(page: str) -> str:
    """docs/configuration.md with the tables between its markers written anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{settings_tables()}{END}{after}"


def settings_tables() -> str:
    """A table of every setting for each section."""
    parts = []
    for section, field in Frame.model_fields.items():
        model = section_model(ROOM_SECTIONS[section]) if section in ROOM_SECTIONS else None
        rows = list(_rows(section, model or field.annotation, field))
        alone = len(rows) == 1 and rows[0][0] == section
        introduction = "" if alone else f"{_sentence(field.description or '')}\n\n"
        parts.append(f"### {section}\n\n{introduction}{_table(rows)}")
    return "\n".join(parts)


def settings() -> Iterator[tuple[str, str]]:
    """Every setting with its description."""
    for section, field in Frame.model_fields.items():
        model = section_model(ROOM_SECTIONS[section]) if section in ROOM_SECTIONS else None
        for key, _, _, description in _rows(section, model or field.annotation, field):
            yield key, description


def main() -> None:
    """Writes both pages."""
    (DOCS / "commands.md").write_text(commands_page(), encoding="utf-8")
    page = DOCS / "configuration.md"
    page.write_text(settings_page(page.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{DOCS}/commands.md and configuration.md are written\n")


def _below(path: str, command: Command) -> Iterator[tuple[str, Command]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _below(f"{path} {name}", child)


def _options(command: Any) -> str:
    rows = []
    for each in command.params:
        if isinstance(each, TyperArgument):
            name = each.metavar or each.name.upper()
            rows.append((f"`{name}`", "" if each.required else _default(each), each.help or ""))
        elif isinstance(each, TyperOption) and not each.hidden:
            names = ", ".join(f"`{name}`" for name in (*each.opts, *each.secondary_opts))
            rows.append((names, _default(each), each.help or ""))
    if not rows:
        return ""
    lines = ["| option | default | meaning |", "| --- | --- | --- |"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _default(parameter: TyperArgument | TyperOption) -> str:
    value = parameter.default
    if value is None or value in ("", False) or callable(value) or isinstance(value, list | tuple):
        return ""
    return f"`{value.value if isinstance(value, Enum) else value}`".replace("`True`", "on")


Row = tuple[str, str, str, str]


def _rows(key: str, kind: Any, field: FieldInfo | None) -> Iterator[Row]:
    """The settings at and below a key: key, type, default, meaning."""
    kind = _bare(kind)
    inner = list(_models(kind))
    if not inner:
        yield key, _type(kind, field), _given_default(field), _meaning(field)
        return
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        for branch in get_args(kind):
            yield from _rows(key, branch, None)
        return
    if origin is dict:
        key = f"{key}.NAME"
    elif origin in (tuple, list):
        if field is not None and field.description:
            yield key, "list", _given_default(field), _meaning(field)
        key = f"{key}[]"
    for model in inner:
        if issubclass(model, RootModel):
            yield from _rows(key, model.model_fields["root"].annotation, None)
            continue
        for name, each in model.model_fields.items():
            yield from _rows(f"{key}.{each.alias or name}", _annotated(each), each)


def _annotated(field: FieldInfo) -> Any:
    """The annotation with what pydantic took off it, so that Seconds is still Seconds."""
    metadata = tuple(field.metadata)
    return Annotated[(field.annotation, *metadata)] if metadata else field.annotation


def _bare(kind: Any) -> Any:
    arguments = [each for each in get_args(kind) if each is not type(None)]
    if get_origin(kind) in (Union, types.UnionType) and len(arguments) == 1:
        return _bare(arguments[0])
    if get_origin(kind) is Annotated and list(_models(kind)):
        return _bare(arguments[0])
    return kind


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        return
    for each in get_args(kind):
        yield from _models(each)


def _type(kind: Any, field: FieldInfo | None) -> str:
    metadata = [*getattr(kind, "__metadata__", ()), *(field.metadata if field else ())]
    if any(each in metadata for each in get_args(Seconds)[1:2]):
        return "duration"
    if any(each in metadata for each in get_args(LocalPath)[1:2]):
        return "path"
    return _name(kind)


_NAMES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true, false",
    Path: "path",
    Secret: "reference to a secret",
}


def _name(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _name(arguments[0])
    if origin is Literal:
        return ", ".join(map(str, arguments))
    if origin in (tuple, list):
        return f"list of {_name(arguments[0])}"
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_name(e) for e in arguments if e is not type(None)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(str(each.value) for each in kind)
    if origin is dict or kind is dict:
        return "mapping"
    return _NAMES.get(kind, getattr(kind, "__name__", "any"))


def _given_default(field: FieldInfo | None) -> str:
    if field is None or field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value in (None, "", (), {}, []):
        return ""
    if isinstance(value, tuple):
        value = ", ".join(str(each) for each in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _meaning(field: FieldInfo | None) -> str:
    return _sentence(field.description or "") if field else ""


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    if text.partition(" ")[0].strip(",;").isalpha():
        text = text[:1].upper() + text[1:]
    return text if not text or text.endswith(".") else f"{text}."


def _table(rows: list[Row]) -> str:
    lines = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for key, kind, default, meaning in rows:
        cells = (f"`{key}`", kind, default, meaning)
        lines.append(f"| {' | '.join(_cell(each) for each in cells)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main()
