"""Finds the configuration, lays the layers over one another and hands out the pieces."""

from __future__ import annotations

import copy
import hashlib
import importlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from crmops.config.accounts import read_accounts
from crmops.config.explain import explain
from crmops.config.frame import ROOM_SECTIONS, AccountsFile, Frame, TargetSettings
from crmops.config.layers import Layers
from crmops.config.reader import (
    Document,
    Key,
    Plain,
    dotted,
    nearest,
    parse_document,
    read_document,
)
from crmops.config.references import (
    DeferredSecret,
    UnreadSecret,
    check_form,
    is_reference,
    reader,
)
from crmops.config.types import BASE, against
from crmops.errors import ConfigError
from crmops.secret import MASK, RESOLVER, Secret
from crmops.target import DatabaseAccess, Target

Model = TypeVar("Model", bound=BaseModel)
Resolver = Callable[[object], Secret]

DEFAULT_NAME = "crmops.yaml"


def load_config(
    path: Path | None = None,
    *,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """The configuration from ``path``, else ``$CRMOPS_CONFIG``, else ``./crmops.yaml``.

    Variables ``CRMOPS_*`` lie over the file, ``overrides`` (dotted key to text) over both.  The
    frame and the form of every reference are checked here; secrets are looked up only when a
    target or section is asked for.  Raises ConfigError.
    """
    environ = dict(os.environ if environ is None else environ)
    found = path or Path(environ.get("CRMOPS_CONFIG") or DEFAULT_NAME)
    layers = Layers(read_document(found, str(found)))
    layers.add_environment(environ)
    layers.add_flags(overrides or {})
    return Config(found.absolute(), layers, environ)


def parse_config(text: str, shown: str, *, directory: Path | None = None) -> Config:
    """A configuration from a text, without variables and flags.  Raises ConfigError."""
    path = (directory or Path.cwd()).absolute() / DEFAULT_NAME
    return Config(path, Layers(parse_document(text, shown)), {})


def empty_config(directory: Path) -> Config:
    """Only the defaults, for commands that make sense without a file."""
    path = directory.absolute() / DEFAULT_NAME
    return Config(path, Layers(Document("defaults", {})), {})


class Config:
    """The whole configuration.  Sections of rooms are checked when the room asks for them."""

    def __init__(self, path: Path, layers: Layers, environ: Mapping[str, str]) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._layers = layers
        self._environ = environ
        self._known_secrets: set[str] = set()
        self._look_up = reader(self.directory, environ, self._warn)
        self._frame = self._validate(Frame, layers.values, (), check_form)
        self._check_names()

    def __repr__(self) -> str:
        return f"Config({self.path})"

    @property
    def directory(self) -> Path:
        """The directory of the file; relative paths in it begin here."""
        return self.path.parent

    @property
    def targets(self) -> dict[str, TargetSettings]:
        """Every target as it was described, secrets not looked up."""
        return dict(self._frame.targets)

    @property
    def default_target(self) -> str:
        """The name of the target that is meant when none is named, or nothing."""
        names = list(self._frame.targets)
        return self._frame.default_target or (names[0] if len(names) == 1 else "")

    @property
    def state_dir(self) -> Path:
        """Where everything lies that we keep; absolute, perhaps not made yet."""
        return against(self.directory, self._frame.state)

    @property
    def artifacts_dir(self) -> Path:
        """Where the artifacts of Runs lie."""
        return self._frame.history.artifacts or self.state_dir / "artifacts"

    @property
    def history_url(self) -> str:
        """SQLAlchemy address of the history; may hold a password, so never print it."""
        url = self._frame.history.url
        if is_reference(url):
            url = self._resolve(url, ("history", "url")).reveal()
        if not url:
            return f"sqlite:///{self.state_dir / 'history.db'}"
        for scheme in ("sqlite:///", "sqlite+pysqlite:///"):
            name = url.removeprefix(scheme)
            if url.startswith(scheme) and name and not name.startswith(("/", ":memory:", "file:")):
                return f"{scheme}{against(self.directory, Path(name))}"
        return url

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical configuration; references to secrets, never their values."""
        text = json.dumps(self.resolved(), sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def target(self, name: str | None = None) -> Target:
        """The named target, else the default one, with its secrets and accounts looked up."""
        key = name or self._only_target()
        if key not in self._frame.targets:
            raise self._no_target(key)
        at: Key = ("targets", key)
        settings = self._settings(key)
        fields = {each: getattr(settings, each) for each in TargetSettings.model_fields}
        fields["database"] = self._database(settings.database, (*at, "database"))
        fields["options"] = self._options(settings.options, (*at, "options"))
        fields["ca_file"] = str(settings.ca_file or "")
        if isinstance(settings.accounts, AccountsFile):
            accounts = (*at, "accounts")
            fields["accounts"] = read_accounts(
                settings.accounts.file,
                settings.accounts.password,
                self._layers.where((*accounts, "file")),
                self._warn,
            )
        return Target(name=key, **fields)

    def section(self, name: str) -> dict[str, Any]:
        """A section as it was written, references included."""
        found: dict[str, Any] = copy.deepcopy(getattr(self._frame, name))
        return found

    def parse(self, section: str, model: type[Model]) -> Model:
        """A section as its room's model, secrets looked up.  Raises ConfigError to the line."""
        return self._validate(model, self.section(section), (section,), self._read_secret)

    def where(self, key: str) -> str:
        """The file and line, variable or flag to blame when a setting is wrong."""
        return self._layers.where(tuple(_part(each) for each in key.split(".")))

    def origin(self, key: str) -> str:
        """Where a setting came from: file and line, variable, flag or ``default``."""
        return self._layers.origin(tuple(_part(each) for each in key.split(".")))

    def resolved(self) -> dict[str, Any]:
        """Everything as plain data, defaults included, secrets as the references they are."""
        return _with_defaults(self._frame, self._layers.values)

    def settings(self) -> Iterator[tuple[str, Any, str]]:
        """Every single setting: dotted key, value and origin."""
        for key, value in _leaves(self.resolved(), ()):
            yield dotted(key), value, self._layers.origin(key)

    def check(self, *, secrets: bool = True) -> list[str]:
        """Checks every section and, if wished, every secret; returns the sections not checked."""
        unchecked = []
        for name, dotted_name in ROOM_SECTIONS.items():
            model = section_model(dotted_name)
            if model is None:
                unchecked += [name] if self.section(name) else []
                continue
            resolver = self._read_secret if secrets else check_form
            self._validate(model, self.section(name), (name,), resolver)
        if secrets:
            for each in self._frame.targets:
                database = self.target(each).database
                for _, value in database or ():
                    if isinstance(value, Secret):
                        value.reveal()
            self.history_url  # noqa: B018 - looks its secret up
        return unchecked

    def mask(self, text: str) -> str:
        """A text without any secret that was looked up, for logs and crash files."""
        for each in sorted(self._known_secrets, key=len, reverse=True):
            text = text.replace(each, MASK)
        return text

    def _read_secret(self, value: object) -> Secret:
        found = self._look_up(value)
        self._known_secrets.add(found.reveal())
        return found

    def _warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)

    def _validate(self, model: type[Model], data: object, at: Key, resolver: Resolver) -> Model:
        context = {RESOLVER: resolver, BASE: self.directory}
        try:
            return model.model_validate(data, context=context)
        except ValidationError as error:
            raise explain(error, model, data, at, self._layers.where) from None

    def _resolve(self, value: str, key: Key) -> Secret:
        """One reference outside a model, with the same words when it fails."""
        holder = self._validate(_Holder, {str(key[-1]): value}, key[:-1], self._read_secret)
        return holder.secret(str(key[-1]))

    def _options(self, options: Mapping[str, Any], at: Key) -> dict[str, Any]:
        """Options with their references looked up and their files made absolute."""
        found: dict[str, Any] = {}
        for name, value in options.items():
            if isinstance(value, Mapping):
                found[name] = self._options(value, (*at, name))
            elif is_reference(value):
                found[name] = self._resolve(value, (*at, name))
            elif isinstance(value, str) and _is_path(name, value):
                found[name] = str(against(self.directory, Path(value)))
            else:
                found[name] = value
        return found

    def _database(self, found: DatabaseAccess | None, at: Key) -> DatabaseAccess | None:
        """The database with secrets that are looked up on use: only audits and drills need them."""
        if found is None:
            return None
        fields = dict(found)
        for name, value in fields.items():
            if isinstance(value, UnreadSecret):
                fields[name] = DeferredSecret(
                    value.source, partial(self._resolve, value.source, (*at, name))
                )
        return DatabaseAccess.model_validate(fields)

    def _settings(self, name: str) -> TargetSettings:
        """A target with its secrets looked up, those of the database excepted."""
        at: Key = ("targets", name)
        given = {**self._layers.values["targets"][name], "database": None}
        settings = self._validate(TargetSettings, given, at, self._read_secret)
        database = self._frame.targets[name].database
        return settings.model_copy(update={"database": database})

    def _only_target(self) -> str:
        if self.default_target:
            return self.default_target
        names = ", ".join(self._frame.targets)
        if not names:
            raise ConfigError(
                "no target is configured",
                where=self._layers.where(("targets",)),
                hint="Describe your CRM under targets:; `crmops init` writes an example.",
            )
        raise ConfigError(
            f"there are {len(self._frame.targets)} targets and no default_target",
            where=self._layers.where(("targets",)),
            hint=f"Name one with --target or set default_target.  There are: {names}.",
        )

    def _no_target(self, name: str, key: Key = ("targets",)) -> ConfigError:
        names = list(self._frame.targets)
        guess = nearest(name, names)
        meant = f"Did you mean {guess!r}? " if guess else ""
        there = f"There are: {', '.join(names)}." if names else "None is configured."
        return ConfigError(
            f"there is no target {name!r}", where=self._layers.where(key), hint=meant + there
        )

    def _check_names(self) -> None:
        wanted = self._frame.default_target
        if wanted and wanted not in self._frame.targets:
            raise self._no_target(wanted, ("default_target",))
        seen: dict[str, str] = {}
        for name in self._frame.targets:
            plain = name.lower().replace("-", "_")
            if plain in seen:
                raise ConfigError(
                    f"the targets {seen[plain]!r} and {name!r} differ only in case or hyphens",
                    where=self._layers.where(("targets", name)),
                    hint="Variables cannot tell them apart; rename one.",
                )
            seen[plain] = name


class _Holder(BaseModel, extra="allow"):
    """Validates one secret under whatever name it has."""

    __pydantic_extra__: dict[str, Secret]

    def secret(self, name: str) -> Secret:
        return (self.__pydantic_extra__ or {})[name]


def section_model(dotted_name: str) -> type[BaseModel] | None:
    """The model behind ``module:Class``; None when the room or the file is not there (yet)."""
    module_name, _, attribute = dotted_name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            return None
        raise
    found: type[BaseModel] = getattr(module, attribute)
    return found


def _is_path(name: str, value: str) -> bool:
    """Whether an option is a path; a profile may also be the bare name of a shipped one."""
    if name == "profile":
        return "/" in value or bool(Path(value).suffix)
    return name.endswith("_file") and bool(value)


def _part(text: str) -> str | int:
    return int(text) if text.isdigit() else text


def _with_defaults(model: BaseModel, data: Plain) -> dict[str, Any]:
    """What was given, with the defaults of the frame filled in."""
    filled: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        raw = data.get(name) if isinstance(data, Mapping) else None
        if isinstance(value, BaseModel):
            filled[name] = _with_defaults(value, raw)
        elif name == "targets":
            given = raw or {}
            filled[name] = {key: _with_defaults(each, given[key]) for key, each in value.items()}
        else:
            filled[name] = copy.deepcopy(raw) if raw is not None else _plain(value)
    return filled


def _plain(value: Plain) -> Plain:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path | Secret) else value


def _leaves(value: Plain, key: Key) -> Iterator[tuple[Key, Plain]]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(each, (*key, name))
    elif isinstance(value, list) and value:
        for at, each in enumerate(value):
            yield from _leaves(each, (*key, at))
    else:
        yield key, value
