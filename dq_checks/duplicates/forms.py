"""The forms of merging: what a CRM's own merge call looks like, as data files.

In texts ``{object}``, ``{survivor}``, ``{loser}`` and ``{token}`` are filled in; the token only at
the moment of sending.  In JSON ``{values}`` becomes the values that the survivor takes over,
``"*": "{values}"`` lays them beside other keys, ``{each loser: ...}`` becomes a list with one item
for each, and ``{fields of loser}`` the names of the fields that are taken from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from xml.sax.saxutils import escape

from pydantic import BaseModel, ConfigDict, Field

from crmops.config.reader import read_document
from crmops.errors import UsageError
from crmops.wire import JSON_HEADERS, Call

SHIPPED = Path(__file__).with_name("merge_forms")
_EACH = "each loser"
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CallForm(_Part):
    """One call.  ``when: values`` leaves it out where nothing is taken over."""

    name: str
    when: Literal["always", "values"] = "always"
    method: str
    path: str
    headers: dict[str, str] = Field(default={})
    json_: Any = Field(default=None, alias="json")
    xml: str = ""
    xml_value: str = ""
    xml_loser: str = ""


class Form(_Part):
    """How one CRM merges.

    ``together``: records that one call can merge.  ``survivor_after``: where its reply says the
    survivor's id.  ``refused``: an expression that a reply matches when it says no in a 200.
    """

    name: str
    about: str
    objects: dict[str, str]
    together: int = Field(ge=2)
    survivor_after: str = ""
    refused: str = ""
    calls: tuple[CallForm, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """A value that the survivor takes over from a loser."""

    field: str
    value: str
    loser: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one round of calls is about: the values are taken over in the first."""

    object: str
    survivor: str
    losers: Sequence[str]
    taken: Sequence[Taken] = ()

    def texts(self) -> dict[str, str]:
        """What is filled into texts."""
        return {"object": self.object, "survivor": self.survivor, "loser": self.losers[0]}


@cache
def find_forms() -> Mapping[str, Form]:
    """The shipped forms by name."""
    made = [
        Form.model_validate(read_document(path, path.name).values)
        for path in SHIPPED.glob("*.yaml")
    ]
    return {each.name: each for each in sorted(made, key=lambda each: each.name)}


def choose_form(name: str, entity: str) -> Form:
    """A form by name.  Raises UsageError if there is none, or none for the entity."""
    known = find_forms()
    if name not in known:
        raise UsageError(f"there is no form {name!r}", hint=f"There are: {', '.join(known)}.")
    if entity not in known[name].objects:
        raise UsageError(
            f"{name} merges no {entity}s", hint=f"It merges: {', '.join(known[name].objects)}."
        )
    return known[name]


def rounds(
    form: Form, entity: str, survivor: str, losers: Sequence[str], taken: Sequence[Taken]
) -> list[Step]:
    """The losers in portions that one call can merge."""
    size = form.together - 1
    portions = [losers[at : at + size] for at in range(0, len(losers), size)]
    where = {loser: at for at, portion in enumerate(portions) for loser in portion}
    from_child = "fields of loser" in form.model_dump_json()
    return [
        Step(
            form.objects[entity], survivor, portion,
            [each for each in taken if (where[each.loser] if from_child else 0) == at],
        )
        for at, portion in enumerate(portions)
    ]  # fmt: skip


def calls_of(form: Form, step: Step, session: str = "{token}") -> list[Call]:
    """The calls of one round; without a session's token its place is left to be seen."""
    made = []
    for each in form.calls:
        if each.when == "values" and not step.taken:
            continue
        path = _fill(each.path, {name: quote(text, safe="") for name, text in step.texts().items()})
        if each.xml:
            body, headers = _xml(each, step, session), dict(each.headers)
        else:
            body = json.dumps(_json(each.json_, step), ensure_ascii=False)
            headers = {**JSON_HEADERS, **each.headers}
        made.append(Call(each.method, path, f"merge.{each.name}", headers, body.encode()))
    return made


def _fill(text: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), text)


def _json(node: Any, step: Step) -> Any:
    if node == "{values}":
        return {each.field: each.value for each in step.taken}
    if node == "{fields of loser}":
        loser = step.losers[0]
        return [{"api_name": each.field} for each in step.taken if each.loser == loser]
    if isinstance(node, str):
        return _fill(node, step.texts())
    if isinstance(node, list):
        return [_json(each, step) for each in node]
    if isinstance(node, dict) and set(node) == {_EACH}:
        alone = [Step(step.object, step.survivor, [each], step.taken) for each in step.losers]
        return [_json(node[_EACH], each) for each in alone]
    if isinstance(node, dict):
        made: dict[str, Any] = {}
        for name, value in node.items():
            made |= _json(value, step) if name == "*" else {_json(name, step): _json(value, step)}
        return made
    return node


def _xml(call: CallForm, step: Step, session: str) -> str:
    values = "".join(
        _fill(call.xml_value, {"field": each.field, "value": escape(each.value)})
        for each in step.taken
    )
    losers = "".join(_fill(call.xml_loser, {"loser": escape(each)}) for each in step.losers)
    words = {name: escape(text) for name, text in step.texts().items()}
    return _fill(call.xml, {**words, "values": values, "losers": losers, "token": session})


def is_field(name: str) -> bool:
    """Whether a name can be that of a field of a CRM."""
    return _FIELD.fullmatch(name) is not None
