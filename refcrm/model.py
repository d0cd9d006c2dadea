"""The business entities: their fields, types and rules, as data.

Everything that depends on an entity's shape (SQL, validation, metadata, bulk import) is
derived from ENTITIES, so a new field is one line here and one in schema.sql.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

ROLES = ("rep", "manager", "admin", "integration")


class Type(StrEnum):
    """How a field is stored and checked; also its "type" in the metadata."""

    TEXT = "text"
    EMAIL = "email"
    REFERENCE = "reference"
    INTEGER = "integer"
    MONEY = "money"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One column. references names the entity (plural) a REFERENCE points to."""

    name: str
    type: Type = Type.TEXT
    required: bool = False
    unique: bool = False
    max_length: int | None = None
    values: tuple[str, ...] = ()
    references: str | None = None
    read_only: bool = False
    write_only: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Entity:
    """One kind of record. name is the plural: table name and path segment alike.

    owned: has owner_id, so roles restrict it. prefixes and trigrams: searched columns.
    duplicates: a create is refused when email or mobile is already taken.
    title: the column that names a record to people. writers: roles that may create, change and
    delete at all (which records they may is a matter of ownership).
    """

    name: str
    fields: tuple[Field, ...]
    owned: bool = True
    title: str = "name"
    prefixes: tuple[str, ...] = ()
    trigrams: tuple[str, ...] = ()
    duplicates: bool = False
    writers: tuple[str, ...] = ROLES
    by_name: dict[str, Field] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_name.update({one.name: one for one in self.fields})


def _text(name: str, length: int = 200, *, required: bool = False, unique: bool = False) -> Field:
    return Field(name, required=required, unique=unique, max_length=length)


def _one_of(name: str, *values: str) -> Field:
    return Field(name, values=values, max_length=40)


def _link(name: str, entity: str, *, read_only: bool = False) -> Field:
    return Field(name, Type.REFERENCE, references=entity, read_only=read_only)


_ID = Field("id", Type.REFERENCE, read_only=True)
_OWNER = _link("owner_id", "users")
_TAIL = (
    _text("source_tag", 100),
    Field("version", Type.INTEGER, read_only=True),
    Field("created_at", Type.TIME, read_only=True),
    Field("updated_at", Type.TIME, read_only=True),
)
_EMAIL = Field("email", Type.EMAIL, max_length=254)
_MOBILE = _text("mobile", 40)


def _entity(
    name: str,
    *fields: Field,
    owned: bool = True,
    title: str = "name",
    prefixes: tuple[str, ...] = ("name",),
    trigrams: tuple[str, ...] = (),
    duplicates: bool = False,
    writers: tuple[str, ...] = ROLES,
) -> Entity:
    head = (_ID, _OWNER) if owned else (_ID,)
    whole = (*head, *fields, *_TAIL)
    return Entity(name, whole, owned, title, prefixes, trigrams, duplicates, writers)


STAGES = ("prospecting", "qualification", "proposal", "negotiation", "won", "lost")

_ALL = (
    _entity(
        "teams",
        _text("name", required=True),
        _text("region", 60),
        owned=False,
        writers=("admin",),
    ),
    _entity(
        "users",
        _text("username", 60, required=True, unique=True),
        _text("name", required=True),
        _EMAIL,
        Field("role", required=True, values=ROLES, max_length=40),
        _link("team_id", "teams"),
        _text("region", 60),
        Field("active", Type.BOOLEAN),
        Field("password", max_length=200, write_only=True),
        owned=False,
        prefixes=("username", "name"),
        writers=("admin",),
    ),
    _entity(
        "accounts",
        _text("name", required=True),
        _text("uscc", 18),
        _text("industry", 100),
        _text("phone", 40),
        _text("website", 300),
        _text("region", 60),
        _text("city", 100),
        _text("address", 300),
        _text("postcode", 20),
        trigrams=("name",),
    ),
    _entity(
        "contacts",
        _link("account_id", "accounts"),
        _text("name", required=True),
        _text("title", 100),
        _EMAIL,
        _MOBILE,
        _text("phone", 40),
        _text("city", 100),
        _text("address", 300),
        Field("birth_date", Type.DATE),
        prefixes=("name", "email", "mobile"),
        trigrams=("name",),
        duplicates=True,
    ),
    _entity(
        "leads",
        _text("name", required=True),
        _text("company"),
        _EMAIL,
        _MOBILE,
        _text("source", 60),
        _one_of("status", "new", "working", "qualified", "converted", "lost"),
        _link("converted_contact_id", "contacts", read_only=True),
        _link("converted_account_id", "accounts", read_only=True),
        _link("converted_deal_id", "deals", read_only=True),
        prefixes=("name", "company", "email", "mobile"),
        trigrams=("name",),
        duplicates=True,
    ),
    _entity(
        "deals",
        _text("name", required=True),
        _link("account_id", "accounts"),
        _link("contact_id", "contacts"),
        _one_of("stage", *STAGES),
        Field("amount", Type.MONEY),
        _text("currency", 3),
        Field("close_date", Type.DATE),
        trigrams=("name",),
    ),
    _entity(
        "activities",
        _one_of("kind", "task", "call", "meeting", "note"),
        _text("subject", 300, required=True),
        _link("account_id", "accounts"),
        _link("contact_id", "contacts"),
        _link("deal_id", "deals"),
        Field("due_at", Type.TIME),
        Field("done_at", Type.TIME),
        title="subject",
        prefixes=("subject",),
    ),
    _entity(
        "cases",
        _text("number", 40, unique=True),
        _text("subject", 300, required=True),
        _link("account_id", "accounts"),
        _link("contact_id", "contacts"),
        _one_of("status", "open", "pending", "closed"),
        _one_of("priority", "low", "normal", "high"),
        Field("closed_at", Type.TIME),
        title="subject",
        prefixes=("subject", "number"),
    ),
    _entity(
        "campaigns",
        _text("name", required=True),
        _one_of("status", "planned", "active", "done", "cancelled"),
        Field("start_date", Type.DATE),
        Field("end_date", Type.DATE),
        Field("budget", Type.MONEY),
    ),
    _entity(
        "products",
        _text("code", 60, required=True, unique=True),
        _text("name", required=True),
        Field("price", Type.MONEY),
        Field("active", Type.BOOLEAN),
        owned=False,
        prefixes=("code", "name"),
        writers=("admin", "integration"),
    ),
    _entity(
        "quotes",
        _text("number", 40, unique=True),
        _link("deal_id", "deals"),
        _one_of("status", "draft", "sent", "accepted", "rejected"),
        Field("total", Type.MONEY),
        Field("valid_until", Type.DATE),
        title="number",
        prefixes=("number",),
    ),
    _entity(
        "orders",
        _text("number", 40, unique=True),
        _link("account_id", "accounts"),
        _link("quote_id", "quotes"),
        _one_of("status", "placed", "paid", "shipped", "delivered", "cancelled"),
        Field("total", Type.MONEY),
        Field("ordered_at", Type.TIME),
        title="number",
        prefixes=("number",),
    ),
)

ENTITIES: dict[str, Entity] = {entity.name: entity for entity in _ALL}


def referring(entity: str) -> tuple[tuple[str, str], ...]:
    """The (entity, field) pairs that point at entity, owners left out.

    Deleting a record empties these, so that the API itself never makes orphans.
    """
    return tuple(
        (one.name, link.name)
        for one in _ALL
        for link in one.fields
        if link.references == entity and link.name != "owner_id"
    )
