"""A profile: everything about a REST CRM that the ``rest`` connector needs, as one YAML file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from crmops.config.explain import explain
from crmops.config.reader import nearest, read_document
from crmops.connectors._profile_parts import (
    WITH_CLIENT,
    Auth,
    Errors,
    Filters,
    LinkPaging,
    LoginAuth,
    NoPaging,
    OAuth2Auth,
    Operations,
    Paging,
    WhoAmI,
)
from crmops.connectors._profile_powers import Powers
from crmops.connectors._profile_types import (
    Headers,
    Operation,
    Part,
    PathText,
    SpotField,
    Text,
    texts_in,
    wrong,
)
from crmops.connectors._template import placeholders
from crmops.errors import ConfigError
from crmops.model import COMMON, FIELDS

SHIPPED = Path(__file__).parent / "profiles"
HELP = "docs/rest-profile.md describes every key."

Inside = tuple[str | int, ...]


def _word(value: object) -> object:
    if not isinstance(value, (str, int)):
        raise wrong("a vendor's word is text, a number, true or false")
    return value


Word = Annotated[str | int, BeforeValidator(_word)]


class FieldMap(Part):
    """What a neutral field is called here.  ``at`` of None: this CRM has no such field."""

    at: SpotField | None = Field(default=None, description="the place of the field in a record")
    values: dict[str, Word] = Field(
        default={}, description="the vendor's words for the neutral values"
    )


def _short_field(value: object) -> object:
    if value is None:
        return {}
    return {"at": value} if isinstance(value, str) else value


def _short_entity(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


Fields = dict[str, Annotated[FieldMap, BeforeValidator(_short_field)]]


class EntityMap(Part):
    """Where an entity lies and how its fields are called."""

    path: PathText = Field(description="the path of the entity's records")
    name: str = Field(default="", description="the vendor's name; else the path's last part")
    fields: Fields = Field(default={}, description="neutral field names and the vendor's")
    id: SpotField | None = Field(default=None, description="the place of the id in a record")
    operations: Operations | None = Field(
        default=None, description="operations of this entity that differ from the general ones"
    )

    @property
    def vendor_name(self) -> str:
        return self.name or self.path.rstrip("/").rpartition("/")[2]


def _known_entities(value: dict[str, EntityMap]) -> dict[str, EntityMap]:
    if not value:
        raise wrong("there is none", "Name one at least, such as contact: /contacts.")
    for entity, mapped in value.items():
        if entity not in FIELDS:
            raise _unknown("entity", entity, sorted(FIELDS), (entity,))
        _known_fields(mapped.fields, (*FIELDS[entity], *COMMON), (entity, "fields"))
    return value


def _common_fields(value: Fields) -> Fields:
    _known_fields(value, {*COMMON, *(name for names in FIELDS.values() for name in names)}, ())
    return value


def _known_fields(fields: Fields, known: Any, inside: Inside) -> None:
    for name in fields:
        if name == "id":
            raise wrong("the id is no field", "Its place is given by id:.", (*inside, name))
        if name not in known:
            raise _unknown("neutral field", name, sorted(set(known)), (*inside, name))


def _unknown(what: str, name: str, known: list[str], inside: Inside) -> Exception:
    guess = nearest(name, known)
    meant = f"Did you mean {guess!r}? " if guess else ""
    return wrong(f"there is no {what} {name!r}", f"{meant}Known: {', '.join(known)}.", inside)


class Profile(Part):
    """The whole file."""

    name: str = Field(description="the profile's name")
    summary: str = Field(default="", description="one line about the CRM")
    settings: dict[str, Text] = Field(
        default={}, description="values that a target may change, as further placeholders"
    )
    headers: Headers = Field(default={}, description="headers of every call")
    auth: Auth = Field(description="how a person proves who they are")
    whoami: WhoAmI = Field(description="the question who is logged in")
    entities: Annotated[dict[str, EntityMap], AfterValidator(_known_entities)] = Field(
        description="the entities and their paths"
    )
    fields: Annotated[Fields, AfterValidator(_common_fields)] = Field(
        default={}, description="field names that hold for every entity that has the field"
    )
    records: SpotField = Field(default=(), description="the place of the records in a page")
    record: SpotField = Field(default=(), description="the place of the record in an answer")
    id: SpotField = Field(default=("id",), description="the place of the id in a record")
    paging: Paging = Field(default=NoPaging(kind="none"), description="how pages follow")
    filters: Filters = Field(default=Filters(), description="how a list is narrowed")
    errors: Errors = Field(default=Errors(), description="what bad answers mean")
    operations: Operations = Field(default=Operations(), description="the usual operations")
    powers: Powers = Field(default=Powers(), description="what not every CRM can do")

    @model_validator(mode="before")
    @classmethod
    def _short_entities(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("entities"), dict):
            entities = {name: _short_entity(each) for name, each in data["entities"].items()}
            return {**data, "entities": entities}
        return data

    @model_validator(mode="after")
    def _check(self) -> Profile:
        for where, allowed, text in _all_texts(self):
            _check_text(text, {*allowed, *self.settings}, where)
        for where, paging in _all_pagings(self):
            if isinstance(paging, LinkPaging) and (paging.next is None) == (paging.header is None):
                raise wrong(
                    "paging by link needs either next or header", "Give one of the two.", where
                )
        return self


def _check_text(text: str, allowed: set[str], where: Inside) -> None:
    try:
        names = placeholders(text)
    except ValueError as error:
        raise wrong(str(error), "A placeholder is written {id}.", where) from None
    for name in sorted(names - allowed):
        guess = nearest(name, allowed)
        meant = f"Did you mean {{{guess}}}? " if guess else ""
        known = ", ".join(f"{{{each}}}" for each in sorted(allowed)) or "none"
        raise wrong(f"there is no placeholder {{{name}}}", f"{meant}Allowed: {known}.", where)


def _all_texts(profile: Profile) -> Iterator[tuple[Inside, tuple[str, ...], str]]:
    """Every text with placeholders: where it stands, which names it may use, the text."""
    for at, text in texts_in(profile.headers, ("headers",)):
        yield at, (), text
    for entity, mapped in profile.entities.items():
        yield ("entities", entity, "path"), (), mapped.path
    yield ("filters", "each"), ("field", "value", "literal"), profile.filters.each
    for at, text in profile.whoami.texts():
        yield ("whoami", *at), (), text
    if isinstance(profile.auth, (LoginAuth, OAuth2Auth)):
        for name in ("path", "query", "headers", "body", "fields"):
            for at, text in texts_in(getattr(profile.auth, name, None), ("auth", name)):
                yield at, WITH_CLIENT, text
    for at, operation in _all_operations(profile):
        for inner, text in operation.texts():
            yield (*at, *inner), ("path", "name", *operation.offers), text


def _all_operations(profile: Profile) -> Iterator[tuple[Inside, Operation]]:
    yield from _parts(profile.operations, ("operations",))
    for entity, mapped in profile.entities.items():
        if mapped.operations is not None:
            yield from _parts(mapped.operations, ("entities", entity, "operations"))
    yield from _parts(profile.powers, ("powers",))
    if isinstance(profile.auth, LoginAuth) and profile.auth.logout is not None:
        yield ("auth", "logout"), profile.auth.logout


def _parts(section: Part, at: Inside) -> Iterator[tuple[Inside, Operation]]:
    for name, field in type(section).model_fields.items():
        part = getattr(section, name)
        where = (*at, field.alias or name)
        if isinstance(part, Operation):
            yield where, part
        elif isinstance(part, Part):
            yield from _parts(part, where)


def _all_pagings(profile: Profile) -> Iterator[tuple[Inside, Any]]:
    yield ("paging",), profile.paging
    for at, operation in _all_operations(profile):
        yield (*at, "paging"), getattr(operation, "paging", None)


def shipped() -> list[str]:
    """The names of the profiles that come with crmops."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """The profile in a file, or the shipped one of that name.

    Raises ConfigError with file and line of whatever is wrong.
    """
    path = Path(name)
    if not path.is_file() and not path.suffix and path.name == name:
        known = shipped()
        if name not in known:
            guess = nearest(name, known)
            meant = f"Did you mean {guess!r}? " if guess else ""
            raise ConfigError(
                f"there is no profile {name!r}",
                hint=f"{meant}Shipped: {', '.join(known)}; or give the path of a .yaml file.",
            )
        path = SHIPPED / f"{name}.yaml"
    try:
        status = path.stat()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"the profile cannot be read: {reason}",
            where=str(path),
            hint=f"Give the path of a .yaml file or one of {', '.join(shipped())}.",
        ) from None
    return _load(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=32)
def _load(path: Path, changed: int, size: int) -> Profile:
    """Thousands of people share one profile: it is read again only when the file has changed."""
    try:
        return _parse(path)
    except ConfigError as error:
        if "crmops init" in error.hint or "crmops config" in error.hint:
            error.hint = HELP
        raise


def _parse(path: Path) -> Profile:
    document = read_document(path, str(path))
    try:
        return Profile.model_validate(document.values)
    except ValidationError as error:
        raise explain(error, Profile, document.values, (), document.where) from None
