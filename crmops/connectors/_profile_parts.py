"""The sections of a profile: authentication, paging, errors and operations, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from crmops.connectors._profile_types import (
    Headers,
    Method,
    Operation,
    Part,
    PathText,
    SpotField,
    Text,
    kind_of,
)
from crmops.outcome import Outcome

WITH_PERSON = ("username", "password")
WITH_CLIENT = (*WITH_PERSON, "client_id", "client_secret")
PAGE = ("limit", "cursor")


class IdentityPlaces(Part):
    """Where an answer says who is logged in."""

    id: SpotField = Field(default=("id",), description="the place of the user's id")
    username: SpotField | None = Field(default=None, description="the place of the login name")
    role: SpotField | None = Field(default=None, description="the place of the role")


class WhoAmI(Operation, IdentityPlaces):
    """The cheapest question that only a logged-in person gets an answer to."""

    path: PathText = Field(description="the path, with placeholders")


class Signed(Part):
    """How a token is carried by every call."""

    header: str = Field(default="authorization", description="the header that carries the token")
    prefix: str = Field(default="Bearer ", description="what stands before the token")


class LoginAuth(Signed):
    """A login call that trades user name and password for a token."""

    offers: ClassVar[tuple[str, ...]] = WITH_CLIENT

    kind: Literal["login"]
    method: Method = Field(default="POST", description="the HTTP method of the login")
    path: PathText = Field(description="the path of the login")
    query: dict[str, Text] = Field(default={}, description="parameters of the address")
    headers: Headers = Field(default={}, description="headers of the login alone")
    body: Any = Field(
        default={"username": "{username}", "password": "{password}"},
        description="the body of the login",
    )
    encoding: Literal["json", "form"] = Field(default="json", description="how the body is sent")
    token: SpotField = Field(description="the place of the token in the answer")
    identity: IdentityPlaces | None = Field(
        default=None, description="who is logged in, if the login says so; else whoami is asked"
    )
    logout: Operation | None = Field(default=None, description="the call that ends the session")


class BearerAuth(Signed):
    """A token that somebody made beforehand; it is the account's password."""

    kind: Literal["bearer"]


class ApiKeyAuth(Part):
    """A key in a header of its own; it is the account's password."""

    kind: Literal["api_key"]
    header: str = Field(default="x-api-key", description="the header that carries the key")
    prefix: str = Field(default="", description="what stands before the key")


class BasicAuth(Part):
    """User name and password with every call (RFC 7617)."""

    kind: Literal["basic"]


class OAuth2Auth(Signed):
    """A token endpoint (RFC 6749): client credentials, or user name and password by form."""

    kind: Literal["oauth2"]
    grant: Literal["client_credentials", "password"] = Field(description="the grant type")
    path: PathText = Field(description="the path of the token endpoint")
    scope: str = Field(default="", description="the scope that is asked for")
    client: Literal["body", "basic"] = Field(
        default="body", description="where client id and secret are sent"
    )
    fields: dict[str, Text] = Field(default={}, description="further fields of the form")
    token: SpotField = Field(default=("access_token",), description="the place of the token")

    offers: ClassVar[tuple[str, ...]] = WITH_CLIENT


Auth = Annotated[
    LoginAuth | BearerAuth | ApiKeyAuth | BasicAuth | OAuth2Auth,
    Field(discriminator="kind"),
    kind_of("login", "bearer", "api_key", "basic", "oauth2"),
]


class Paged(Part):
    """What every kind of paging has."""

    limit: str | None = Field(default=None, description="the parameter with the size of a page")
    max_limit: int = Field(default=1000, ge=1, description="the largest page that may be asked for")
    place: Literal["query", "body"] = Field(
        default="query", description="where the parameters of paging are sent"
    )
    more: SpotField | None = Field(
        default=None, description="the place that says whether there is another page"
    )


class CursorPaging(Paged):
    """The answer holds a token for the next page."""

    kind: Literal["cursor"]
    parameter: str = Field(description="the parameter that carries the token")
    next: SpotField = Field(description="the place of the token")


class LinkPaging(Paged):
    """The answer holds the address of the next page, absolute or not."""

    kind: Literal["link"]
    next: SpotField | None = Field(default=None, description="the place of the address")
    header: str | None = Field(
        default=None, description="the header with the address (RFC 8288), in place of next"
    )


class PagePaging(Paged):
    """Pages have numbers."""

    kind: Literal["page"]
    parameter: str = Field(description="the parameter that carries the number")
    first: int = Field(default=1, ge=0, description="the number of the first page")
    pages: SpotField | None = Field(default=None, description="the place of the count of pages")
    total: SpotField | None = Field(default=None, description="the place of the count of records")


class OffsetPaging(Paged):
    """Pages begin after a number of records."""

    kind: Literal["offset"]
    parameter: str = Field(description="the parameter that carries the number")
    total: SpotField | None = Field(default=None, description="the place of the count of records")


class NoPaging(Paged):
    """Everything comes at once."""

    kind: Literal["none"]


Paging = Annotated[
    CursorPaging | LinkPaging | PagePaging | OffsetPaging | NoPaging,
    Field(discriminator="kind"),
    kind_of("cursor", "link", "page", "offset", "none"),
]


class RetryAfter(Part):
    """Where a throttled answer says how long to wait."""

    header: str = Field(default="retry-after", description="the header, seconds or an HTTP date")
    at: SpotField | None = Field(default=None, description="the place in the body")
    unit: Literal["seconds", "milliseconds"] = Field(
        default="seconds", description="the unit of the number in the body"
    )


class Errors(Part):
    """What an answer that is not good says, and what it means."""

    code: SpotField | None = Field(default=None, description="the place of the vendor's code")
    message: SpotField | None = Field(default=None, description="the place of the message")
    details: SpotField = Field(default=(), description="the place of everything else")
    codes: dict[str, Outcome] = Field(default={}, description="what a vendor's code means")
    statuses: dict[int, Outcome] = Field(default={}, description="what an HTTP status means")
    in_every_answer: bool = Field(
        default=False, description="whether a good status may carry a bad code"
    )
    good: tuple[Text, ...] = Field(
        default=(), description="the codes that mean all is well in a good status"
    )
    expired: tuple[Text, ...] = Field(
        default=(), description="the codes of a session that ran out; none: any 401"
    )
    retry_after: RetryAfter = Field(default=RetryAfter(), description="how long to wait")


class OwnerFilter(Part):
    """The parameter that asks for one's own or the team's records."""

    parameter: str = Field(description="the parameter of the address")
    values: dict[Literal["me", "team"], str] = Field(
        default={"me": "me", "team": "team"}, description="what stands for me and for the team"
    )


class Filters(Part):
    """How a list is narrowed to records whose fields have given values."""

    style: Literal["query", "expression"] = Field(
        default="query", description="one parameter a field, or one parameter with an expression"
    )
    parameter: str = Field(default="filter", description="the parameter of the expression")
    each: Text = Field(default="{field} eq {literal}", description="the form of one condition")
    join: str = Field(default=" and ", description="what joins two conditions")
    owner: OwnerFilter | None = Field(
        default=None, description="one's own records; without it owner_id is compared"
    )


class Records(Operation):
    """An operation that answers with a page of records."""

    offers: ClassVar[tuple[str, ...]] = PAGE

    records: SpotField | None = Field(default=None, description="the place of the records")
    paging: Paging | None = Field(default=None, description="paging of this operation alone")


class Search(Records):
    offers: ClassVar[tuple[str, ...]] = ("text", "quoted", *PAGE)

    query: dict[str, Text] = Field(default={"q": "{text}"}, description="parameters of the address")


class Get(Operation):
    path_default: ClassVar[str] = "{path}/{id}"
    offers: ClassVar[tuple[str, ...]] = ("id",)

    record: SpotField | None = Field(default=None, description="the place of the record")


class Delete(Operation):
    usual: ClassVar[Method] = "DELETE"
    path_default: ClassVar[str] = "{path}/{id}"
    offers: ClassVar[tuple[str, ...]] = ("id",)


class Extra(Part):
    """What is sent in addition when a duplicate is meant."""

    query: dict[str, Text] = Field(default={}, description="parameters of the address")
    headers: Headers = Field(default={}, description="headers")


class Create(Operation):
    usual: ClassVar[Method] = "POST"
    offers: ClassVar[tuple[str, ...]] = ("fields",)
    body_default: ClassVar[Any] = "{fields}"

    record: SpotField | None = Field(default=None, description="the place of the new record")
    id: SpotField | None = Field(
        default=None, description="the place of the new record's id inside the record"
    )
    id_header: str | None = Field(
        default=None, description="the header whose last part is the new id, in place of a body"
    )
    allow_duplicate: Extra = Field(
        default=Extra(), description="what is sent in addition when a duplicate is meant"
    )


class Update(Operation):
    usual: ClassVar[Method] = "PATCH"
    path_default: ClassVar[str] = "{path}/{id}"
    offers: ClassVar[tuple[str, ...]] = ("id", "fields")
    body_default: ClassVar[Any] = "{fields}"

    record: SpotField | None = Field(default=None, description="the place of the changed record")


class Operations(Part):
    """How the operations are asked for that every CRM has."""

    list: Records = Field(default=Records(), description="one page of an entity")
    get: Get = Field(default=Get(), description="one record")
    search: Search = Field(default=Search(), description="records that hold a text")
    create: Create = Field(default=Create(), description="a new record")
    update: Update = Field(default=Update(), description="a change of some fields")
    delete: Delete = Field(default=Delete(), description="a record goes away")
