"""The small types of a profile: places, texts with placeholders, paths and operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from crmops.config.reader import nearest
from crmops.connectors._template import Spot, parse_spot, placeholders

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

_CARRIES_SECRETS = ("authorization", "cookie", "x-api-key", "api-key")


def wrong(problem: str, hint: str = "", inside: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """A setting that is wrong in a way of its own; ``inside`` leads to it from here."""
    context = {"problem": problem, "hint": hint, "inside": inside}
    return PydanticCustomError("setting", "{problem}", context)


def _spot(value: object) -> Spot:
    if isinstance(value, tuple):
        return value
    if not isinstance(value, str):
        raise wrong(
            "a place in the answer is text", "Write it like error.code, data.0.id or /@odata.etag."
        )
    try:
        return parse_spot(value)
    except ValueError as error:
        raise wrong(str(error), "Write it like error.code, data.0.id or /@odata.etag.") from None


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise wrong("a text with placeholders is text", "Write it like prefix-{id}.")
    text = str(value)
    try:
        placeholders(text)
    except ValueError as error:
        raise wrong(str(error), "A placeholder is written {id}.") from None
    return text


def _path(value: str) -> str:
    if not value.startswith(("/", "{path}")) or value.startswith("//") or "?" in value:
        raise wrong(
            f"{value!r} is no path below the target's address",
            "Begin with / or {path}; parameters go under query:.",
        )
    return value


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if name.lower() in _CARRIES_SECRETS:
            raise wrong(
                "a profile holds no secrets; this header is made by auth:",
                "Use auth: with kind bearer, api_key or basic.",
                (name,),
            )
    return value


SpotField = Annotated[Spot, BeforeValidator(_spot)]
Text = Annotated[str, BeforeValidator(_text)]
PathText = Annotated[str, BeforeValidator(_text), AfterValidator(_path)]
Headers = Annotated[dict[str, Text], AfterValidator(_headers)]


def kind_of(*kinds: str) -> BeforeValidator:
    """Checks the kind of a section that comes in several, before its other keys are looked at."""

    def check(value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        allowed = f"Allowed: {', '.join(kinds)}."
        if "kind" not in value:
            raise wrong("does not say which kind it is", f"Write kind: first. {allowed}")
        given = value["kind"]
        if given not in kinds:
            guess = nearest(str(given), kinds)
            meant = f"Did you mean {guess!r}? " if guess else ""
            raise wrong(f"there is no kind {given!r}", meant + allowed, ("kind",))
        return value

    return BeforeValidator(check)


class Part(BaseModel):
    """One mapping of a profile: frozen, nothing unknown allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Operation(Part):
    """How one operation is asked for.  ``method`` of None is the operation's usual one."""

    usual: ClassVar[Method] = "GET"
    offers: ClassVar[tuple[str, ...]] = ()
    body_default: ClassVar[Any] = None
    path_default: ClassVar[str] = "{path}"

    method: Method | None = Field(default=None, description="the HTTP method")
    path: PathText = Field(default="", description="the path, with placeholders")
    query: dict[str, Text] = Field(default={}, description="parameters of the address")
    headers: Headers = Field(default={}, description="headers of this operation alone")
    body: Any = Field(default=None, description="the JSON body, with placeholders at any depth")

    @property
    def verb(self) -> Method:
        return self.method or self.usual

    @property
    def address(self) -> str:
        return self.path or self.path_default

    @property
    def shape(self) -> Any:
        return self.body_default if self.body is None else self.body

    def texts(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Every text that may hold placeholders, with where it stands."""
        for name in type(self).model_fields:
            if name in ("path", "query", "headers", "body", "allow_duplicate"):
                yield from texts_in(getattr(self, name), (name,))


def texts_in(value: Any, at: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text at any depth of a value, with where it stands."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, Part):
        for name in type(value).model_fields:
            yield from texts_in(getattr(value, name), (*at, name))
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from texts_in(each, (*at, name))
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield from texts_in(each, (*at, index))
