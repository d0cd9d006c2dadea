"""The core of the ``rest`` connector: what every profile can do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

from pydantic import Field

from crmops.connectors._auth import Credentials, fixed_header, token_call, token_header
from crmops.connectors._mapping import EntityDialect
from crmops.connectors._paging import PageRequest
from crmops.connectors._problems import classify
from crmops.connectors._profile import Profile
from crmops.connectors._profile_parts import IdentityPlaces, LoginAuth, OAuth2Auth, Records
from crmops.connectors._profile_types import Operation, Part
from crmops.connectors._replies import json_of, sequence, text
from crmops.connectors._session import ask_signed, plural_of, segment
from crmops.connectors._template import (
    Spot,
    as_text,
    fill,
    fill_body,
    fill_query,
    look,
    parse_spot,
    put,
)
from crmops.connectors.base import Identity, One, Page, Record, Talk, ask
from crmops.outcome import CallFailed, Outcome
from crmops.secret import Secret
from crmops.target import Target
from crmops.wire import Call, Reply

RecordList: TypeAlias = list[Record]


class Options(Part):
    """The target's ``options`` for this connector."""

    profile: str = Field(description="the path of a profile, or the name of a shipped one")
    settings: dict[str, str] = Field(
        default={}, description="values in place of the profile's settings"
    )
    client_id: str = Field(default="", description="the client of OAuth 2")
    client_secret: Secret | None = Field(default=None, description="the client's secret")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which page is wanted; ``extra`` are parameters besides those of paging."""

    limit: int = 20
    cursor: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Additions:
    """What a caller adds to an operation, as it is: no placeholders are filled in it.

    ``body`` is laid into the operation's own, or is the whole body if it is bytes; ``path``
    replaces path and query.
    """

    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | bytes = field(default_factory=dict)
    path: str | None = None


NOTHING: Final = Additions()


class RestCore:
    """One person at a CRM that a profile describes."""

    name = "rest"

    def __init__(self, target: Target, profile: Profile, options: Options) -> None:
        self.target = target
        self.profile = profile
        self._options = options
        self._settings = {**profile.settings, **options.settings}
        self._session: dict[str, str] = {}
        self._given: Credentials | None = None
        self._entities: dict[str, EntityDialect] = {}

    def classify(self, reply: Reply) -> CallFailed | None:
        """The problem that a reply stands for: the vendor's code first, then the status."""
        return classify(self.profile.errors, reply)

    def auth_headers(self) -> Mapping[str, str]:
        return self._session

    def login(self, username: str, password: str) -> Talk[Identity]:
        """Begin a session and ask who it belongs to; the credentials are kept as Secrets."""
        options = self._options
        given = Credentials(username, Secret(password), options.client_id, options.client_secret)
        self._session, self._given = {}, None
        auth = self.profile.auth
        identity: Identity | None = None
        if isinstance(auth, (LoginAuth, OAuth2Auth)):
            reply = yield from ask(
                self, self._with_headers(token_call(auth, given, self._settings))
            )
            self._session = token_header(auth, reply)
            if isinstance(auth, LoginAuth) and auth.identity is not None:
                identity = _identity(reply, auth.identity)
        else:
            self._session = fixed_header(auth, given) or {}
        if identity is None:
            identity = yield from self._first_question()
        self._given = given
        return identity

    def _first_question(self) -> Talk[Identity]:
        """Who is it?  A token that is not taken is forgotten."""
        try:
            return (yield from self.whoami())
        except CallFailed:
            self._session = {}
            raise

    def logout(self) -> Talk[None]:
        """End the session; nothing is sent when there is none or the CRM has no such call."""
        headers, self._session, self._given = self._session, {}, None
        auth = self.profile.auth
        if headers and isinstance(auth, LoginAuth) and auth.logout is not None:
            call = self.call(auth.logout, "logout", {}, None, Additions(headers=headers))
            yield from ask(self, call)

    def has_expired(self, problem: CallFailed) -> bool:
        if self._given is None or not isinstance(self.profile.auth, (LoginAuth, OAuth2Auth)):
            return False
        expired = self.profile.errors.expired
        return problem.code in expired if expired else problem.status == 401

    def renew(self) -> Talk[None]:
        if self._given is not None:
            yield from self.login(self._given.username, self._given.password.reveal())

    def whoami(self) -> Talk[Identity]:
        reply = yield from self.ask(self.call(self.profile.whoami, "whoami", {}))
        return _identity(reply, self.profile.whoami)

    def list(
        self,
        entity: str,
        *,
        limit: int = 20,
        cursor: str | None = None,
        where: Mapping[str, str] | None = None,
    ) -> Talk[Page]:
        """One page."""
        dialect = self.dialect(entity)
        extra = yield from self._conditions(dialect, where or {})
        operation = dialect.operations.list
        wanted = Wanted(limit, cursor, extra)
        return (yield from self.page(dialect, operation, "list", {}, wanted))

    def get(self, entity: str, record_id: str) -> Talk[One]:
        dialect = self.dialect(entity)
        operation = dialect.operations.get
        call = self.call(operation, f"{dialect.plural}.get", {"id": record_id}, dialect)
        return self._one(dialect, (yield from self.ask(call)), operation.record)

    def search(self, entity: str, text: str, *, limit: int = 20) -> Talk[Page]:
        dialect = self.dialect(entity)
        operation = dialect.operations.search
        values = {"text": text, "quoted": text.replace("'", "''")}
        return (yield from self.page(dialect, operation, "search", values, Wanted(limit)))

    def create(
        self, entity: str, fields: Mapping[str, Any], *, allow_duplicate: bool = False
    ) -> Talk[One]:
        dialect = self.dialect(entity)
        operation = dialect.operations.create
        values = {"fields": dialect.to_vendor(fields)}
        extra = NOTHING
        if allow_duplicate:
            meant = operation.allow_duplicate
            query = fill_query(meant.query, self._settings)
            extra = Additions(query, _filled(meant.headers, self._settings))
        call = self.call(operation, f"{dialect.plural}.create", values, dialect, extra)
        reply = yield from self.ask(call)
        if operation.id_header is not None:
            return One(reply, _id_from(operation.id_header.lower()))
        if operation.id is None:
            return self._one(dialect, reply, operation.record)
        spot = (*(operation.record or self.profile.record), *operation.id)
        return One(reply, lambda reply: {"id": text(look(json_of(reply), spot), reply, "an id")})

    def update(self, entity: str, record_id: str, fields: Mapping[str, Any]) -> Talk[One]:
        dialect = self.dialect(entity)
        operation = dialect.operations.update
        values = {"id": record_id, "fields": dialect.to_vendor(fields)}
        call = self.call(operation, f"{dialect.plural}.update", values, dialect)
        return self._one(dialect, (yield from self.ask(call)), operation.record)

    def delete(self, entity: str, record_id: str) -> Talk[None]:
        dialect = self.dialect(entity)
        operation = dialect.operations.delete
        name = f"{dialect.plural}.delete"
        yield from self.ask(self.call(operation, name, {"id": record_id}, dialect))

    def _conditions(self, dialect: EntityDialect, where: Mapping[str, str]) -> Talk[dict[str, Any]]:
        """The parameters that narrow a list; asks who one is if ``owner: me`` needs the id."""
        filters = self.profile.filters
        sent: dict[str, Any] = {}
        conditions: dict[str, str] = {}
        for name, value in where.items():
            if name != "owner":
                conditions[name] = value
            elif filters.owner is not None and value in filters.owner.values:
                sent[filters.owner.parameter] = filters.owner.values[value]
            elif value == "me":
                conditions["owner_id"] = (yield from self.whoami()).user_id
            else:
                raise CallFailed(Outcome.INVALID, f"the profile has no filter owner={value}")
        fields = {dialect.vendor_field(name): name for name in conditions}
        if "" in fields:
            raise CallFailed(Outcome.INVALID, f"this CRM has no field {fields['']}")
        words = {at: dialect.word(name, conditions[name]) for at, name in fields.items()}
        if filters.style == "query":
            return {**sent, **words}
        parts = [fill(filters.each, _condition(at, word)) for at, word in words.items()]
        return {**sent, **({filters.parameter: filters.join.join(parts)} if parts else {})}

    # What the powers use too.

    def dialect(self, entity: str) -> EntityDialect:
        """The entity under this profile.  Raises UsageError if it is unknown or left out."""
        found = self._entities.get(entity)
        if found is None:
            plural_of(entity)
            found = self._entities[entity] = EntityDialect(entity, self.profile)
        return found

    def ask(self, call: Call) -> Talk[Reply]:
        return (yield from ask_signed(self, call))

    def page(
        self,
        dialect: EntityDialect,
        operation: Records,
        verb: str,
        values: Mapping[str, Any],
        wanted: Wanted,
        parse: Callable[[Any, Reply], Record] | None = None,
    ) -> Talk[Page]:
        """One page of records; ``parse`` reads one of them, usually as the entity's."""
        paging = self.profile.paging if operation.paging is None else operation.paging
        request = PageRequest(paging, wanted.limit, wanted.cursor, self.target.url)
        sent = {**wanted.extra, **request.parameters()}
        if paging.place == "body":
            extra = Additions(body=sent, path=request.path)
        else:
            texts = {name: as_text(value) for name, value in sent.items()}
            extra = Additions(texts, path=request.path)
        known = {**values, "limit": request.limit, "cursor": wanted.cursor}
        call = self.call(operation, f"{dialect.plural}.{verb}", known, dialect, extra)
        request.asked = call.path
        reply = yield from self.ask(call)
        place = self.profile.records if operation.records is None else operation.records
        read = parse or dialect.to_neutral

        def look_inside(reply: Reply) -> tuple[RecordList, str | None]:
            if not reply.body:
                return [], None
            body = json_of(reply)
            records = sequence(look(body, place), reply, "records")
            return [read(one, reply) for one in records], request.following(reply, body, records)

        return Page(reply, look_inside)

    def call(
        self,
        operation: Operation,
        name: str,
        values: Mapping[str, Any],
        dialect: EntityDialect | None = None,
        extra: Additions = NOTHING,
    ) -> Call:
        """The call of an operation: its texts filled with ``values``, and what is added."""
        known = {**self._settings, **values, "name": dialect.name if dialect else ""}
        address = extra.path
        if address is None:
            shape = operation.address.replace("{path}", dialect.path if dialect else "")
            address = fill(shape, known, segment)
            query = {**fill_query(operation.query, known), **extra.query}
            address += f"?{urlencode(query)}" if query else ""
        headers = {**_filled(operation.headers, known), **extra.headers}
        payload = _payload(operation, known, extra.body)
        if payload is not None:
            headers.setdefault("content-type", "application/json")
        safe = operation.verb in ("GET", "PUT", "DELETE") or isinstance(operation, Records)
        return self._with_headers(Call(operation.verb, address, name, headers, payload, safe))

    def _with_headers(self, call: Call) -> Call:
        """The call with the profile's own headers."""
        if not self.profile.headers:
            return call
        both = {**_filled(self.profile.headers, self._settings), **call.headers}
        return Call(call.method, call.path, call.name, both, call.body, call.idempotent)

    def _one(self, dialect: EntityDialect, reply: Reply, place: Spot | None) -> One:
        spot = self.profile.record if place is None else place
        return One(reply, lambda reply: dialect.to_neutral(look(json_of(reply), spot), reply))


def _condition(at: str, word: Any) -> dict[str, Any]:
    """The placeholders of one condition; quotes in a text are doubled, numbers have none."""
    if not isinstance(word, str):
        return {"field": at, "value": word, "literal": word}
    value = word.replace("'", "''")
    return {"field": at, "value": value, "literal": f"'{value}'"}


def _id_from(header: str) -> Callable[[Reply], Record]:
    """Reads the id at the end of an address in a header: ``/contacts/5`` or ``/contacts(5)``."""

    def read(reply: Reply) -> Record:
        parts = re.findall(r"[^/()]+", reply.headers.get(header, ""))
        return {"id": text(parts[-1] if parts else None, reply, "an id")}

    return read


def _filled(headers: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): fill(text, values) for name, text in headers.items()}


def _payload(
    operation: Operation, values: Mapping[str, Any], added: Mapping[str, Any] | bytes
) -> bytes | None:
    if isinstance(added, bytes):
        return added
    if operation.shape is None and not added:
        return None
    document = fill_body({} if operation.shape is None else operation.shape, values)
    for name, value in added.items():
        put(document, parse_spot(name), value)
    return json.dumps(document, ensure_ascii=False).encode()


def _identity(reply: Reply, places: IdentityPlaces) -> Identity:
    body = json_of(reply)

    def found(place: Spot | None) -> str:
        value = look(body, place) if place is not None else None
        return "" if value is None else str(value)

    user_id = text(look(body, places.id), reply, "a user's id")
    return Identity(user_id, found(places.username), found(places.role))
