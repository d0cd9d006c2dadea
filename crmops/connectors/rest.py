"""Any REST CRM, described by a YAML profile and nothing else.

``options.profile`` names a shipped profile or a file.  The class of a connector is put together
from the powers that its profile has, so that ``isinstance(crm, Exports)`` tells the truth.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias, cast

from pydantic import ValidationError

from crmops.config.explain import explain
from crmops.config.reader import nearest
from crmops.connectors._powers import (
    Converting,
    Counting,
    Describing,
    Exporting,
    Feeding,
    Importing,
    Reporting,
)
from crmops.connectors._profile import Profile, load_profile
from crmops.connectors._profile_powers import Powers
from crmops.connectors._rest import Options, RestCore
from crmops.errors import ConfigError
from crmops.target import Target

Bases: TypeAlias = tuple[type[RestCore], ...]

_CLASSES: dict[str, type[RestCore]] = {
    "convert": Converting,
    "pipeline": Reporting,
    "export": Exporting,
    "bulk_import": Importing,
    "describe": Describing,
    "count": Counting,
    "feeds": Feeding,
}


class Rest:
    """Makes a connector for one person on a target.  Raises ConfigError for a bad profile."""

    name = "rest"

    def __call__(self, target: Target) -> RestCore:
        options = _options(target)
        profile = load_profile(options.profile)
        _check_settings(target, profile, options)
        return _joined(_powers(profile.powers))(target, profile, options)


def _options(target: Target) -> Options:
    place = ("targets", target.name, "options")
    given = dict(target.options)
    try:
        return Options.model_validate(given)
    except ValidationError as error:
        raise explain(error, Options, given, place, lambda _: "") from None


def _check_settings(target: Target, profile: Profile, options: Options) -> None:
    for name in options.settings:
        if name not in profile.settings:
            guess = nearest(name, profile.settings)
            meant = f"Did you mean {guess!r}? " if guess else ""
            known = ", ".join(sorted(profile.settings)) or "none"
            raise ConfigError(
                f"targets.{target.name}.options.settings.{name} is no setting of "
                f"profile {profile.name!r}",
                hint=f"{meant}Known: {known}.",
            )


def _powers(powers: Powers) -> Bases:
    return tuple(kind for name, kind in _CLASSES.items() if getattr(powers, name) is not None)


@lru_cache(maxsize=64)
def _joined(bases: Bases) -> type[RestCore]:
    return cast("type[RestCore]", type("RestConnector", bases or (RestCore,), {}))


CONNECTOR = Rest()
