"""Secrets come by reference: ``env:NAME`` or ``file:PATH``.  A value is never repeated."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from pydantic_core import PydanticCustomError

from crmops.config.types import against
from crmops.errors import CannotRun
from crmops.secret import Secret

MAX_SECRET_BYTES = 65_536
LITERAL = "holds a secret itself; only a reference to one is allowed"
_HINT = "Put it into a variable or a file and write env:NAME or file:PATH."
_SECRET_NAME = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|token|api_?key|private_key|credentials?)s?$",
    re.I,
)
_DATABASE = re.compile(r"^(postgres(ql)?|sqlite|mysql|mariadb|mssql|oracle)(\+\w+)?:", re.I)


class UnreadSecret(Secret):
    """A secret whose reference is well formed and that nobody has looked up yet."""

    __slots__ = ()

    def reveal(self) -> str:
        """Refuses: ask ``Config.target`` or ``Config.parse``, which look secrets up."""
        raise CannotRun(f"the secret {self.source} has not been looked up")


class DeferredSecret(Secret):
    """A secret that is looked up when it is revealed: not everybody may have it."""

    __slots__ = ("_look_up",)

    def __init__(self, source: str, look_up: Callable[[], Secret]) -> None:
        super().__init__("", source)
        self._look_up = look_up

    def reveal(self) -> str:
        """The value.  Raises ConfigError when the reference leads nowhere."""
        return self._look_up().reveal()

    def __bool__(self) -> bool:
        return True

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def names_a_secret(name: str) -> bool:
    """Whether a setting of that name holds a secret."""
    return bool(_SECRET_NAME.search(name))


def is_reference(value: object) -> bool:
    """Whether a value points at a secret rather than being one."""
    return isinstance(value, str) and value.startswith(("env:", "file:"))


def is_open_address(value: str) -> bool:
    """Whether a value is a database address without a password in it."""
    if not _DATABASE.match(value):
        return False
    try:
        parts = urlsplit(value)
        return not parts.password and not any(
            names_a_secret(name) or name.lower() == "sslpassword"
            for name, _ in parse_qsl(parts.query)
        )
    except ValueError:
        return False


def refuse(problem: str, hint: str = _HINT, *, inside: tuple[str, ...] = ()) -> PydanticCustomError:
    """The error of a secret.  ``problem`` must not hold the value; ``inside`` leads to it."""
    context = {"problem": problem, "hint": hint, "inside": inside}
    return PydanticCustomError("secret", "{problem}", context)


def check_form(value: object) -> Secret:
    """A secret that is not looked up; refuses whatever is no reference."""
    if isinstance(value, Secret):
        return value
    if isinstance(value, Mapping | list | tuple | bool) or value is None:
        raise refuse("must be a reference to a secret")
    if not isinstance(value, str):
        raise refuse(LITERAL)
    if is_reference(value):
        if not value.partition(":")[2].strip():
            raise refuse(f"has nothing behind {value.partition(':')[0]}:")
        return UnreadSecret("", value)
    if is_open_address(value):
        return Secret(value)
    raise refuse(LITERAL)


def reader(
    base: Path, environ: Mapping[str, str], warn: Callable[[str], None]
) -> Callable[[object], Secret]:
    """A function that looks references up, in ``environ`` and in files relative to ``base``."""

    def read(value: object) -> Secret:
        found = check_form(value)
        if not isinstance(found, UnreadSecret):
            return found
        kind, _, name = found.source.partition(":")
        text = _from_env(name, environ) if kind == "env" else _from_file(base, name, warn)
        return Secret(text, found.source)

    return read


def _from_env(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name.strip(), "")
    if not value:
        state = "empty" if name.strip() in environ else "not set"
        raise refuse(
            f"refers to the variable {name.strip()}, which is {state}",
            f"Set it, for instance: export {name.strip()}=...",
        )
    return value


def _from_file(base: Path, name: str, warn: Callable[[str], None]) -> str:
    path = against(base, Path(name.strip()))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise refuse(f"refers to {name}, which is no regular file", "Name a regular file.")
        if status.st_size > MAX_SECRET_BYTES:
            raise refuse(
                f"refers to {name}, which is too large for a secret",
                "Name another file.",
            )
        text = path.read_text(encoding="utf-8").strip("\r\n")
    except FileNotFoundError:
        raise refuse(
            f"refers to the file {name}, which does not exist",
            "Paths are relative to the configuration file.",
        ) from None
    except UnicodeDecodeError:
        raise refuse(
            f"refers to the file {name}, which is not UTF-8 text", "Save it anew."
        ) from None
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise refuse(
            f"refers to the file {name}, which cannot be read: {reason}",
            "Give its owner, who runs crmops, the right to read it.",
        ) from None
    if not text:
        raise refuse(f"refers to the file {name}, which is empty", "Write the secret into it.")
    if status.st_mode & stat.S_IROTH:
        warn(f"the secret file {path} can be read by everybody; `chmod 600 {path}` mends it")
    return text
