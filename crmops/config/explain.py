"""Says in one line what is wrong with a setting: where, which, what was given, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import get_args

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from crmops.config.reader import Key, Plain, dotted, nearest
from crmops.config.references import names_a_secret
from crmops.errors import ConfigError

_SHOWN_CHARACTERS = 60
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_KINDS: tuple[tuple[str, str], ...] = (
    ("bool", "true or false"),
    ("int", "a whole number"),
    ("float", "a number"),
    ("decimal", "a number"),
    ("string", "text"),
    ("datetime", "a date and time such as 2026-12-31T08:00:00Z"),
    ("date", "a date such as 2026-12-31"),
    ("timedelta", "a duration in seconds"),
    ("time", "a time such as 08:00"),
    ("tuple", "a list"),
    ("list", "a list"),
    ("set", "a list"),
    ("dict", "a mapping"),
    ("mapping", "a mapping"),
    ("model", "a mapping"),
    ("path", "a path"),
)
_BOUNDS = {
    "greater_than": ("gt", "more than {}"),
    "greater_than_equal": ("ge", "{} or more"),
    "less_than": ("lt", "less than {}"),
    "less_than_equal": ("le", "{} or less"),
    "multiple_of": ("multiple_of", "a multiple of {}"),
    "string_pattern_mismatch": ("pattern", "text that matches {}"),
    "string_too_short": ("min_length", "text of {} or more characters"),
    "string_too_long": ("max_length", "text of {} or fewer characters"),
    "too_short": ("min_length", "{} or more entries"),
    "too_long": ("max_length", "{} or fewer entries"),
}


class ConfigProblems(ConfigError):
    """One or more wrong settings; ``problems`` has each as a ConfigError of its own."""

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        first = problems[0]
        super().__init__(first.message, hint=first.hint)
        self.where = first.where
        self.problems = tuple(problems)


def explain(
    error: ValidationError,
    model: object,
    data: object,
    prefix: Key,
    where: Callable[[Key], str],
) -> ConfigProblems:
    """Everything a validation found, in the order of the file.

    ``data`` is what was validated as ``model``; it lies at ``prefix`` in the configuration, and
    ``where`` says in which file and line, variable or flag a key stands.
    """
    errors = error.errors(include_url=False)
    inner = {each["loc"][:length] for each in errors for length in range(len(each["loc"]))}
    found = [
        _problem(each, model, data, prefix, where)
        for each in errors
        if not (each["type"] == "too_short" and each["loc"] in inner)  # its entries were wrong
    ]
    unique = {(each.where, each.message): each for each in found}
    return ConfigProblems(sorted(unique.values(), key=_position))


def given(value: object, key: Key) -> str:
    """What was given, fit to be shown: short, and never a secret."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "empty"
    if any(names_a_secret(str(part)) for part in key):
        return "a value that is not shown"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    text = _USERINFO.sub("***@", value)
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")


def _position(error: ConfigError) -> tuple[str, int, bool]:
    """In the order of the file; on one line what is missing last, for it may be misspelt."""
    name, _, line = error.where.rpartition(":")
    last = error.message.endswith(" is missing")
    return (name, int(line), last) if line.isdigit() else (error.where, 0, last)


def _problem(
    error: ErrorDetails, model: object, data: object, prefix: Key, where: Callable[[Key], str]
) -> ConfigError:
    inner = _data_key(error["loc"], data)
    context = error.get("ctx", {})
    key = (*prefix, *inner, *context.get("inside", ()))
    if error["type"] == "extra_forbidden":
        known = sorted(_known_fields(model, error["loc"][:-1]))
        return _unknown(key, known, where)
    name = dotted(key) or "the file"
    hint = str(context.get("hint") or _description(model, error["loc"]))
    if error["type"] == "missing":
        return ConfigError(f"{name} is missing", where=where(key), hint=hint)
    if error["type"] == "secret":
        return ConfigError(f"{name} {context['problem']}", where=where(key), hint=hint)
    if error["type"] in ("value_error", "setting"):
        message = str(context.get("problem") or context.get("error") or error["msg"])
        return ConfigError(f"{name}: {message}", where=where(key), hint=hint)
    shown = given(error["input"], key)
    allowed, guess = _allowed(error)
    return ConfigError(
        f"{name} is {shown}; allowed: {allowed}",
        where=where(key),
        hint=f"Did you mean {guess!r}?" if guess else hint,
    )


def _unknown(key: Key, known: list[str], where: Callable[[Key], str]) -> ConfigError:
    guess = nearest(str(key[-1]), known)
    hint = f"Did you mean {guess!r}? " if guess else ""
    allowed = f"Allowed here: {', '.join(known)}." if known else "Nothing is allowed here."
    return ConfigError(f"{dotted(key)} is not a setting", where=where(key), hint=hint + allowed)


def _allowed(error: ErrorDetails) -> tuple[str, str]:
    """What would be right, and the value that was probably meant."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        expected = str(context.get("expected") or context.get("expected_tags"))
        choices = re.findall(r"'([^']*)'", expected)
        text = ", ".join(choices) or expected
        return text, nearest(str(error["input"]), choices) if choices else ""
    if kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        return text.format(context[name]), ""
    if kind == "finite_number":
        return "a finite number", ""
    for beginning, text in _KINDS:
        if kind.startswith(beginning):
            return text, ""
    message = error["msg"]
    return message[:1].lower() + message[1:].rstrip("."), ""


def _data_key(location: Sequence[str | int], data: Plain) -> Key:
    """A pydantic location without the parts that name a branch of a union."""
    key: list[str | int] = []
    for at, part in enumerate(location):
        inside = (isinstance(data, Mapping) and part in data) or (
            isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)
        )
        if inside:
            data = data[part]
            key.append(part)
        elif at == len(location) - 1 and isinstance(data, Mapping) and part != "[key]":
            key.append(part)
    return tuple(key)


def _known_fields(model: object, location: Sequence[str | int]) -> set[str]:
    """The names that may stand at a location of a model."""
    return {
        field.alias or name
        for kind in _at(model, location)
        for each in _models(kind)
        for name, field in each.model_fields.items()
    }


def _description(model: object, location: Sequence[str | int]) -> str:
    """What a setting is for, as a hint."""
    for kind in _at(model, location[:-1]) if location else ():
        for each in _models(kind):
            field = each.model_fields.get(str(location[-1]))
            if field and field.description:
                return f"{location[-1]}: {field.description}."
    return "`crmops config schema` describes every setting."


def _at(model: object, location: Sequence[str | int]) -> list[object]:
    """The annotations that a location of a model may have."""
    here: list[object] = [model]
    for part in location:
        inner = [each for kind in here for each in _step(kind, part)]
        here = inner or here
    return here


def _step(kind: object, part: str | int) -> Iterator[object]:
    """What lies behind one part of a location: a field, an entry or a branch of a union."""
    for model in _models(kind):
        for name, field in model.model_fields.items():
            if part in (name, field.alias) or name == "root":
                yield field.annotation
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        inner = get_args(kind)
        yield from [each for each in inner if _tagged(each, part)] or inner


def _tagged(kind: object, part: str | int) -> bool:
    """Whether a branch of a union is the one that a location names."""
    metadata = getattr(kind, "__metadata__", ())
    return any(isinstance(each, Tag) and each.tag == part for each in metadata)


def _models(kind: object) -> Iterator[type[BaseModel]]:
    """Every model that an annotation mentions outside other models."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        return
    for each in get_args(kind):
        yield from _models(each)
