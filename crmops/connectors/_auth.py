"""The kinds of authentication: the call that gets a token, and the header that carries it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from crmops.connectors._profile_parts import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    BearerAuth,
    LoginAuth,
    OAuth2Auth,
)
from crmops.connectors._replies import json_of, text
from crmops.connectors._session import segment
from crmops.connectors._template import fill, fill_body, fill_query, look
from crmops.outcome import CallFailed, Outcome
from crmops.secret import Secret
from crmops.wire import Call, Reply

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a person logs in with; the client's pair is for OAuth 2."""

    username: str
    password: Secret
    client_id: str = ""
    client_secret: Secret | None = None

    def values(self) -> dict[str, str]:
        """The placeholders of a login, revealed.  A client without its own pair is the person."""
        secret = self.password if self.client_secret is None else self.client_secret
        return {
            "username": self.username,
            "password": self.password.reveal(),
            "client_id": self.client_id or self.username,
            "client_secret": secret.reveal(),
        }


def fixed_header(auth: Auth, given: Credentials) -> dict[str, str] | None:
    """The header of a kind that needs no call to get a token, else None."""
    secret = given.password.reveal()
    if isinstance(auth, (BearerAuth, ApiKeyAuth)):
        return _header(auth.header, auth.prefix + secret)
    if isinstance(auth, BasicAuth):
        return {"authorization": _basic(given.username, secret)}
    return None


def token_call(
    auth: LoginAuth | OAuth2Auth, given: Credentials, settings: Mapping[str, str]
) -> Call:
    """The call that trades credentials for a token."""
    values = {**settings, **given.values()}
    if isinstance(auth, OAuth2Auth):
        return _oauth2(auth, values)
    path = fill(auth.path, values, segment)
    query = fill_query(auth.query, values)
    address = f"{path}?{urlencode(query)}" if query else path
    body = fill_body(auth.body, values)
    form = auth.encoding == "form"
    sent = urlencode(body) if form else json.dumps(body, ensure_ascii=False)
    headers = {name: fill(value, values) for name, value in auth.headers.items()}
    headers["content-type"] = FORM if form else "application/json"
    return Call(auth.method, address, "login", headers, sent.encode())


def _oauth2(auth: OAuth2Auth, values: Mapping[str, str]) -> Call:
    headers = {"content-type": FORM, "accept": "application/json"}
    form: dict[str, str] = {"grant_type": auth.grant}
    if auth.grant == "password":
        form |= {"username": values["username"], "password": values["password"]}
    if auth.scope:
        form["scope"] = auth.scope
    if auth.client == "basic":
        # RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
        pair = quote(values["client_id"], safe=""), quote(values["client_secret"], safe="")
        headers["authorization"] = _basic(*pair)
    else:
        form |= {"client_id": values["client_id"], "client_secret": values["client_secret"]}
    form |= fill_query(auth.fields, values)
    path = fill(auth.path, values, segment)
    return Call("POST", path, "login", headers, urlencode(form).encode())


def token_header(auth: LoginAuth | OAuth2Auth, reply: Reply) -> dict[str, str]:
    """The header that carries the token in a login's answer."""
    token = text(look(json_of(reply), auth.token), reply, "a token")
    return _header(auth.header, auth.prefix + token)


def _header(name: str, value: str) -> dict[str, str]:
    if not (value.isascii() and value.isprintable()):
        raise CallFailed(Outcome.AUTH, "the token holds characters that no header can carry")
    return {name.lower(): value}


def _basic(username: str, password: str) -> str:
    pair = f"{username}:{password}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")
