"""Who is calling: log-in tokens, kept as digests in the database and cached in the process."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from refcrm.database import Database
from refcrm.errors import ApiError
from refcrm.passwords import check_password

_REFRESH_SECONDS = 30.0
"""How long a cached session may lag behind a change made directly in the database."""
_CACHE_LIMIT = 100_000

_FIND_USER = (
    "select id, username, name, role, team_id, region, active, password_hash "
    "from users where username = $1"
)
_FIND_SESSION = (
    "select u.id, u.username, u.name, u.role, u.team_id, u.region, u.active, s.expires_at "
    "from sessions s join users u on u.id = s.user_id where s.token_digest = $1"
)


@dataclass(frozen=True, slots=True)
class Principal:
    """The person or program behind a request, as far as permissions need it."""

    user_id: int
    username: str
    name: str | None
    role: str
    team_id: int | None
    region: str | None
    expires_at: datetime

    def document(self) -> dict[str, object]:
        """The user object of the log-in reply."""
        return {
            "id": str(self.user_id),
            "username": self.username,
            "name": self.name,
            "role": self.role,
            "team_id": None if self.team_id is None else str(self.team_id),
            "region": self.region,
        }


ANONYMOUS = Principal(0, "", None, "", None, None, datetime.max.replace(tzinfo=UTC))


class Sessions:
    """Issues and recognises tokens."""

    def __init__(self, database: Database, *, token_seconds: int) -> None:
        self._database = database
        self._token_seconds = token_seconds
        self._cache: dict[str, tuple[Principal, float]] = {}
        # Two threads: hashing leaves the event loop free and never takes more than the machine.
        self._hashing = ThreadPoolExecutor(2, thread_name_prefix="password")

    def close(self) -> None:
        """Stop the hashing threads."""
        self._hashing.shutdown(wait=False, cancel_futures=True)

    async def login(self, username: str, password: str) -> tuple[str, int, Principal]:
        """(token, seconds it lives, principal); ApiError 401 when name or password is wrong."""
        row = await self._database.row(_FIND_USER, (username,))
        stored = None if row is None else row["password_hash"]
        fits = await asyncio.get_running_loop().run_in_executor(
            self._hashing, check_password, password, stored
        )
        if row is None or not fits or not row["active"]:
            raise ApiError(401, "invalid_credentials", "the user name or the password is wrong")
        token = secrets.token_urlsafe(24)
        expires = datetime.now(UTC) + timedelta(seconds=self._token_seconds)
        await self._database.row(
            "insert into sessions (token_digest, user_id, expires_at) values ($1, $2, $3)",
            (_digest(token), row["id"], expires),
        )
        principal = Principal(
            row["id"],
            row["username"],
            row["name"],
            row["role"],
            row["team_id"],
            row["region"],
            expires,
        )
        self._remember(token, principal)
        return token, self._token_seconds, principal

    async def recognise(self, authorization: str | None) -> Principal:
        """The principal of an Authorization header.

        ApiError 401: ``missing_token``, ``invalid_token`` or ``expired``.
        """
        if authorization is None:
            raise _unauthorized("missing_token", "log in first")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("invalid_token", "the Authorization header must be: Bearer TOKEN")
        found = self._cache.get(token)
        if found is None or time.monotonic() - found[1] > _REFRESH_SECONDS:
            principal = await self._look_up(token)
        else:
            principal = found[0]
        if principal.expires_at <= datetime.now(UTC):
            self._cache.pop(token, None)
            raise _unauthorized("expired", "the token has expired, log in again")
        return principal

    async def _look_up(self, token: str) -> Principal:
        row = await self._database.row(_FIND_SESSION, (_digest(token),))
        if row is None or not row["active"]:
            self._cache.pop(token, None)
            raise _unauthorized("invalid_token", "the token is unknown, log in again")
        principal = Principal(*(row[place] for place in (0, 1, 2, 3, 4, 5, 7)))
        self._remember(token, principal)
        return principal

    def _remember(self, token: str, principal: Principal) -> None:
        if len(self._cache) >= _CACHE_LIMIT:
            self._cache.clear()
        self._cache[token] = (principal, time.monotonic())

    async def logout(self, authorization: str | None) -> None:
        """Forget the token of this header."""
        token = (authorization or "").partition(" ")[2]
        self._cache.pop(token, None)
        await self._database.row("delete from sessions where token_digest = $1", (_digest(token),))

    def forget_user(self, user_id: int) -> None:
        """Look every session of this user up again at its next use: the user changed."""
        stale = [token for token, (who, _) in self._cache.items() if who.user_id == user_id]
        for token in stale:
            del self._cache[token]

    async def prune(self) -> None:
        """Delete sessions that ended over a day ago; until then they answer ``expired``."""
        await self._database.row("delete from sessions where expires_at < now() - interval '1 day'")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _unauthorized(code: str, message: str) -> ApiError:
    return ApiError(401, code, message, headers={"www-authenticate": "Bearer"})
