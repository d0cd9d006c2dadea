"""Profiles: the shipped ones load, bad ones say what is wrong, the manual knows every key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from crmops.connectors import connectors
from crmops.connectors._profile import EntityMap, FieldMap, Profile, load_profile, shipped
from crmops.connectors._profile_parts import (
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    CursorPaging,
    LinkPaging,
    LoginAuth,
    NoPaging,
    OAuth2Auth,
    OffsetPaging,
    PagePaging,
)
from crmops.connectors._rest import Options
from crmops.errors import ConfigError
from crmops.outcome import Outcome

ROOT = Path(__file__).parents[2]
BAD = sorted((ROOT / "tests/data/bad/profiles").glob("*.yaml"))
KINDS: tuple[type[BaseModel], ...] = (
    ApiKeyAuth, BasicAuth, BearerAuth, CursorPaging, LinkPaging, LoginAuth, NoPaging, OAuth2Auth,
    OffsetPaging, PagePaging, EntityMap, FieldMap, Options,
)  # fmt: skip


@pytest.mark.parametrize("name", shipped())
def test_shipped_profiles_load_under_their_own_name(name: str) -> None:
    assert load_profile(name).name == name


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_profile_says_what_is_wrong(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(ConfigError) as caught:
        load_profile(path.name)
    said = f"error: {caught.value.message}\nhint: {caught.value.hint}\n"
    expected = path.with_suffix(".txt")
    assert said == expected.read_text(encoding="utf-8")
    assert "abc123" not in said


def test_a_path_is_never_taken_for_the_name_of_a_shipped_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile(str(tmp_path / "refcrm"))
    assert str(caught.value).endswith("the profile cannot be read: no such file or directory")
    assert caught.value.hint.startswith("Give the path of a .yaml file or one of ")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    text = "{name: one, auth: {kind: basic}, whoami: {path: /me}, entities: {lead: /leads}}"
    path.write_text(text, encoding="utf-8")
    assert load_profile(str(path)).name == "one"
    assert load_profile(str(path)) is load_profile(str(path))
    path.write_text(text.replace("one", "two"), encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert load_profile(str(path)).name == "two"


def models(kind: object) -> Iterator[type[BaseModel]]:
    """Every model that a model reaches, itself among them."""
    seen: set[object] = set()
    waiting = [kind]
    while waiting:
        here = waiting.pop()
        if here in seen:
            continue
        seen.add(here)
        if isinstance(here, type) and issubclass(here, BaseModel):
            yield here
            waiting += [field.annotation for field in here.model_fields.values()]
        else:
            waiting += getattr(here, "__args__", ())


def test_the_manual_knows_every_key() -> None:
    manual = (ROOT / "docs/rest-profile.md").read_text(encoding="utf-8")
    keys = {
        field.alias or name
        for start in (Profile, *KINDS)
        for model in models(start)
        for name, field in model.model_fields.items()
    }
    assert len(keys) > 60
    assert sorted(key for key in keys if f"`{key}`" not in manual) == []


def test_every_setting_says_what_it_is_for() -> None:
    bare = [
        f"{model.__name__}.{name}"
        for start in (Profile, *KINDS)
        for model in models(start)
        for name, field in model.model_fields.items()
        if not field.description and name != "kind"
    ]
    assert bare == []


def test_the_manual_knows_every_connector_and_outcome() -> None:
    manual = (ROOT / "docs/connectors.md").read_text(encoding="utf-8")
    for name in (*connectors(), *Outcome):
        assert f"| `{name}` |" in manual
