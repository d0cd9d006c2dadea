"""The reference CRM's dialect: JSON over ``/api/v1``, bearer tokens, cursors, 429 + Retry-After."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlencode

from crmops.connectors._replies import (
    count,
    is_web_page,
    json_of,
    json_or_none,
    mapping,
    outcome_of,
    retry_after,
    sequence,
    text,
    unreadable,
    web_page,
)
from crmops.connectors._rows import ImportSum, Row, batches, to_csv
from crmops.connectors._session import ask_signed, plural_of, segment
from crmops.connectors.base import (
    FieldInfo,
    Identity,
    ImportReport,
    One,
    Page,
    Record,
    Span,
    Talk,
    ask,
)
from crmops.errors import ConfigError
from crmops.model import PLURALS
from crmops.outcome import CallFailed
from crmops.secret import Secret
from crmops.target import Target
from crmops.wire import Call, Reply, json_call

Records: TypeAlias = list[Record]

API = "/api/v1"
IMPORT_BATCH = 1000
_SINGULARS = {plural: name for name, plural in PLURALS.items()}
_TYPES = {
    "email": "text",
    "reference": "text",
    "integer": "number",
    "money": "number",
    "boolean": "bool",
}


class RefCrm:
    """One person at the reference CRM.  It has every extra power that crmops knows."""

    name = "refcrm"

    def __init__(self, target: Target) -> None:
        if target.options:
            raise ConfigError(
                f"target {target.name!r} has options {', '.join(sorted(target.options))}, "
                "but connector 'refcrm' has none",
                hint="Take the options away.",
            )
        self.target = target
        self._token: Secret | None = None
        self._login: tuple[str, Secret] | None = None

    def classify(self, reply: Reply) -> CallFailed | None:
        """The problem that a reply stands for; ``details`` is the body's ``error`` object."""
        if 200 <= reply.status < 300:
            return web_page(reply) if is_web_page(reply) else None
        body = json_or_none(reply)
        error = body.get("error") if isinstance(body, dict) else None
        if not isinstance(error, dict):
            error = {}
        return CallFailed(
            outcome_of(reply.status),
            str(error.get("message", f"status {reply.status}")),
            status=reply.status,
            code=str(error.get("code", "")),
            retry_after=retry_after(reply),
            details=error or None,
        )

    def auth_headers(self) -> Mapping[str, str]:
        if self._token is None:
            return {}
        return {"authorization": f"Bearer {self._token.reveal()}"}

    def login(self, username: str, password: str) -> Talk[Identity]:
        """Begin a session; the credentials are kept (as a Secret) for one that runs out."""
        payload = {"username": username, "password": password}
        call = json_call("POST", f"{API}/login", "login", payload)
        reply = yield from ask(self, call)
        body = mapping(json_of(reply), reply, "a token")
        self._token = Secret(text(body.get("token"), reply, "a token"))
        self._login = (username, Secret(password))
        return _identity(body.get("user"), reply)

    def logout(self) -> Talk[None]:
        """End the session; nothing is sent when there is none."""
        headers, self._token, self._login = self.auth_headers(), None, None
        if headers:
            yield from ask(self, Call("POST", f"{API}/logout", "logout", headers))

    def has_expired(self, problem: CallFailed) -> bool:
        return problem.status == 401 and problem.code == "expired" and self._login is not None

    def renew(self) -> Talk[None]:
        if self._login is not None:
            username, password = self._login
            yield from self.login(username, password.reveal())

    def whoami(self) -> Talk[Identity]:
        reply = yield from self._ask("GET", "/me", "whoami")
        return _identity(json_of(reply), reply)

    def list(
        self,
        entity: str,
        *,
        limit: int = 20,
        cursor: str | None = None,
        where: Mapping[str, str] | None = None,
    ) -> Talk[Page]:
        """One page, newest first."""
        query = {"limit": str(limit), "cursor": cursor, **(where or {})}
        plural = plural_of(entity)
        reply = yield from self._ask("GET", f"/{plural}", f"{plural}.list", query)
        return Page(reply, _page)

    def get(self, entity: str, record_id: str) -> Talk[One]:
        plural = plural_of(entity)
        reply = yield from self._ask("GET", _at(plural, record_id), f"{plural}.get")
        return One(reply, _record)

    def search(self, entity: str, text: str, *, limit: int = 20) -> Talk[Page]:
        plural = plural_of(entity)
        query = {"q": text, "limit": str(limit)}
        reply = yield from self._ask("GET", f"/{plural}/search", f"{plural}.search", query)
        return Page(reply, _page)

    def create(
        self, entity: str, fields: Mapping[str, Any], *, allow_duplicate: bool = False
    ) -> Talk[One]:
        plural = plural_of(entity)
        path = f"{API}/{plural}" + ("?allow_duplicate=true" if allow_duplicate else "")
        call = json_call("POST", path, f"{plural}.create", dict(fields))
        return One((yield from ask_signed(self, call)), _record)

    def update(self, entity: str, record_id: str, fields: Mapping[str, Any]) -> Talk[One]:
        plural = plural_of(entity)
        path = API + _at(plural, record_id)
        call = json_call("PATCH", path, f"{plural}.update", dict(fields))
        return One((yield from ask_signed(self, call)), _record)

    def delete(self, entity: str, record_id: str) -> Talk[None]:
        plural = plural_of(entity)
        yield from self._ask("DELETE", _at(plural, record_id), f"{plural}.delete")

    def convert_lead(
        self, lead_id: str, deal: Mapping[str, Any] | None = None
    ) -> Talk[dict[str, str]]:
        payload = {"deal": dict(deal)} if deal is not None else {}
        path = f"{API}{_at('leads', lead_id)}/convert"
        reply = yield from ask_signed(self, json_call("POST", path, "leads.convert", payload))
        body = mapping(json_of(reply), reply, "ids")
        named = {entity: body.get(f"{entity}_id") for entity in ("account", "contact", "deal")}
        return {entity: str(value) for entity, value in named.items() if value is not None}

    def pipeline(self, by: str = "stage") -> Talk[Records]:
        reply = yield from self._ask("GET", "/reports/pipeline", "reports.pipeline", {"by": by})
        body = mapping(json_of(reply), reply, "rows")
        return sequence(body.get("rows"), reply, "rows")

    def export(self, entity: str) -> Talk[int]:
        """The whole entity as one JSON object a line; the lines are counted."""
        plural = plural_of(entity)
        path, query = f"/bulk/{plural}/export", {"format": "ndjson"}
        reply = yield from self._ask("GET", path, f"{plural}.export", query)
        return reply.body.count(b"\n")

    def bulk_import(self, entity: str, rows: Iterable[Row]) -> Talk[ImportReport]:
        """CSV in batches of a thousand; a failure's ``details`` is the report so far."""
        total = ImportSum()
        for batch in batches(rows, IMPORT_BATCH):
            yield from total.send(batch, self._import(plural_of(entity), batch))
        return total.report()

    def _import(self, plural: str, batch: Iterable[Row]) -> Talk[ImportReport]:
        headers = {"content-type": "text/csv; charset=utf-8"}
        path = f"{API}/bulk/{plural}/import"
        call = Call("POST", path, f"{plural}.import", headers, to_csv(batch))
        reply = yield from ask_signed(self, call)
        return _import_report(reply)

    def describe(self, entity: str) -> Talk[tuple[FieldInfo, ...]]:
        plural = plural_of(entity)
        reply = yield from self._ask("GET", f"/meta/{plural}", f"{plural}.describe")
        body = mapping(json_of(reply), reply, "fields")
        fields = sequence(body.get("fields"), reply, "fields")
        return tuple(_field(mapping(one, reply, "fields"), reply) for one in fields)

    def count(self, entity: str) -> Talk[int]:
        plural = plural_of(entity)
        reply = yield from self._ask("GET", f"/{plural}/count", f"{plural}.count")
        return count(mapping(json_of(reply), reply, "a count").get("count"), reply, "a count")

    def modified_since(self, entity: str, since: str, cursor: str | None = None) -> Talk[Page]:
        return (yield from self._feed(entity, "modified", since, cursor))

    def deleted_since(self, entity: str, since: str, cursor: str | None = None) -> Talk[Page]:
        return (yield from self._feed(entity, "deleted", since, cursor))

    def spans(self, trace_id: str) -> Talk[tuple[Span, ...]]:
        """For administrators.  The server keeps sampled and slow requests, the newest thousands."""
        reply = yield from self._ask("GET", "/spans", "spans.list", {"trace_id": trace_id})
        body = mapping(json_of(reply), reply, "spans")
        found = sequence(body.get("spans"), reply, "spans")
        return tuple(_span(mapping(one, reply, "spans"), reply) for one in found)

    def _feed(self, entity: str, kind: str, since: str, cursor: str | None) -> Talk[Page]:
        plural = plural_of(entity)
        query = {"since": since, "cursor": cursor}
        reply = yield from self._ask("GET", f"/{plural}/{kind}", f"{plural}.{kind}", query)
        return Page(reply, _page)

    def _ask(
        self, method: str, path: str, name: str, query: Mapping[str, str | None] | None = None
    ) -> Talk[Reply]:
        given = {key: value for key, value in (query or {}).items() if value is not None}
        address = f"{API}{path}?{urlencode(given)}" if given else API + path
        return (yield from ask_signed(self, json_call(method, address, name)))


def _at(plural: str, record_id: str) -> str:
    return f"/{plural}/{segment(record_id)}"


def _page(reply: Reply) -> tuple[Records, str | None]:
    body = mapping(json_of(reply), reply, "records")
    records = sequence(body.get("records"), reply, "records")
    cursor = body.get("next")
    following = None if cursor is None else text(cursor, reply, "a cursor")
    return [_neutral(one, reply) for one in records], following


def _record(reply: Reply) -> Record:
    return _neutral(json_of(reply), reply)


def _neutral(value: object, reply: Reply) -> Record:
    """The record as it is: refcrm's field names are the neutral ones."""
    record = mapping(value, reply, "a record")
    text(record.get("id"), reply, "an id")
    return record


def _identity(value: object, reply: Reply) -> Identity:
    user = mapping(value, reply, "a user")
    username = text(user.get("username"), reply, "a user")
    return Identity(text(user.get("id"), reply, "a user"), username, str(user.get("role", "")))


def _import_report(reply: Reply) -> ImportReport:
    body = mapping(json_of(reply), reply, "an import report")
    ids = sequence(body.get("ids"), reply, "ids")
    rejected = sequence(body.get("rejected"), reply, "rejected rows")
    imported = count(body.get("imported"), reply, "a count of imported rows")
    if imported != len(ids):
        raise unreadable(reply, f"{imported} rows imported but {len(ids)} ids")
    return ImportReport(
        imported,
        tuple(map(str, ids)),
        tuple(_rejected(mapping(one, reply, "rejected rows"), reply) for one in rejected),
    )


def _rejected(row: Record, reply: Reply) -> tuple[int, str, str]:
    number = count(row.get("row"), reply, "a row number")
    return number, str(row.get("field") or ""), str(row.get("reason") or "")


def _field(field: Record, reply: Reply) -> FieldInfo:
    kind = text(field.get("type"), reply, "a field type")
    return FieldInfo(
        text(field.get("name"), reply, "a field name"),
        _TYPES.get(kind, kind),
        bool(field.get("required")),
        bool(field.get("unique")),
        field.get("max_length"),
        tuple(map(str, field.get("values") or ())),
        _SINGULARS.get(str(field.get("references")), ""),
        bool(field.get("read_only")),
    )


def _span(span: Record, reply: Reply) -> Span:
    seconds, more = span.get("seconds"), span.get("attributes")
    if not isinstance(seconds, (int, float)) or not isinstance(more, dict):
        raise unreadable(reply, "a span without its seconds")
    calls, spent = more.get("refcrm.database_calls"), more.get("refcrm.database_seconds")
    return Span(
        text(span.get("name"), reply, "a span"),
        float(seconds),
        calls if isinstance(calls, int) else None,
        float(spent) if isinstance(spent, (int, float)) else None,
    )


CONNECTOR = RefCrm
