"""The configuration: layers, origins, secrets, digest, and what rooms get out of it."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML

from crmops.config import Config, LocalPath, load_config
from crmops.config.frame import ROOM_SECTIONS, Frame
from crmops.config.loader import empty_config, parse_config, section_model
from crmops.config.schema import build_schema
from crmops.errors import ConfigError
from crmops.secret import Secret
from crmops.units import Seconds

EXAMPLE = Path(__file__).resolve().parents[2] / "crmops.example.yaml"
TEXT = """
default_target: main
targets:
  main: &main
    connector: refcrm
    url: http://127.0.0.1:8080/
    username: integration
    password: env:MAIN_PASSWORD
    accounts: {file: users.csv, password: file:people}
    database: {url: env:MAIN_DATABASE, replica_url: postgresql://audit@db/crm}
    ca_file: ca.pem
  spare-one:
    <<: *main
    environment: staging
    accounts:
      - {username: rep1, password: env:MAIN_PASSWORD}
    options: {profile: profiles/other.yaml, token: env:MAIN_PASSWORD, deep: {n: 1}}
schedule:
  token: env:MAIN_PASSWORD
  folder: suites
  patience: 2m
"""
ENVIRON = {"MAIN_PASSWORD": "tr0ub4dor", "MAIN_DATABASE": "postgresql://crm:s3same@db/crm"}


class Room(BaseModel):
    """A room's section, as a room writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: Secret
    folder: LocalPath
    patience: Seconds = 1.0


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "crmops.yaml").write_text(TEXT)
    (tmp_path / "users.csv").write_text(
        "username,role,team\nrep1,rep,north\nboss,manager,\nplain,,\n"
    )
    (tmp_path / "people").write_text("shared-secret\n")
    (tmp_path / "people").chmod(0o600)
    return tmp_path


def load(place: Path, overrides: Mapping[str, str] | None = None, **environ: str) -> Config:
    return load_config(place / "crmops.yaml", overrides=overrides, environ={**ENVIRON, **environ})


def test_a_target_has_its_secrets_accounts_and_paths(place: Path) -> None:
    target = load(place).target()
    assert (target.name, target.url) == ("main", "http://127.0.0.1:8080")
    assert target.password == Secret("tr0ub4dor")
    assert [(each.username, each.role) for each in target.accounts] == [
        ("rep1", "rep"), ("boss", "manager"), ("plain", "rep"),
    ]  # fmt: skip
    assert {each.password.reveal() for each in target.accounts} == {"shared-secret"}
    assert target.ca_file == str(place / "ca.pem")
    assert target.database is not None
    assert target.database.url.reveal() == ENVIRON["MAIN_DATABASE"]
    assert bool(target.database.url)


def test_options_are_looked_up_and_made_absolute(place: Path) -> None:
    options = load(place).target("spare-one").options
    assert options["token"].reveal() == "tr0ub4dor"
    assert options["profile"] == str(place / "profiles/other.yaml")
    assert options["deep"] == {"n": 1}


def test_a_shipped_profile_stays_a_name(place: Path) -> None:
    config = load(place, {"targets.spare-one.options.profile": "refcrm"})
    shown = {key: value for key, value, _ in config.settings()}
    assert shown["targets.spare-one.options.profile"] == "refcrm"
    assert config.target("spare-one").options["profile"] == "refcrm"


def test_the_database_is_a_matter_of_those_who_use_it(place: Path) -> None:
    """A machine that only sends load need not know the password of the database."""
    (place / "crmops.yaml").write_text(TEXT.partition("\nschedule:")[0])
    config = load_config(place / "crmops.yaml", environ={"MAIN_PASSWORD": "x"})
    database = config.target().database
    assert database is not None
    with pytest.raises(ConfigError, match=r"crmops.yaml:10: targets.main.database.url refers to"):
        database.url.reveal()
    with pytest.raises(ConfigError, match="MAIN_DATABASE, which is not set"):
        config.check()


def test_variables_lie_over_the_file_and_flags_over_variables(place: Path) -> None:
    config = load(
        place,
        {"targets.main.timeout": "3m", "probes.probes": "[{journey: login, every: 5s}]"},
        CRMOPS_TARGETS__MAIN__TIMEOUT="5",
        CRMOPS_TARGETS__MAIN__USERNAME="007",
        CRMOPS_TARGETS__SPARE_ONE__LOAD__ALLOWED="true",
        CRMOPS_TARGETS__SPARE_ONE__ACCOUNTS__0__ROLE="manager",
        CRMOPS_STATE="elsewhere",
        CRMOPS_DEFAULT_TARGET="",
        CRMOPS_OS_USER="somebody",
        CRMOPS_PROMETHEUS="/usr/bin/prometheus",
    )
    main, spare = config.target("main"), config.target("spare-one")
    assert (main.timeout, main.username) == (180.0, "007")
    assert spare.load.allowed is True
    assert spare.accounts[0].role == "manager"
    assert config.state_dir == place / "elsewhere"
    assert config.section("probes") == {"probes": [{"journey": "login", "every": "5s"}]}


def test_every_setting_says_where_it_came_from(place: Path) -> None:
    file = place / "crmops.yaml"
    config = load(place, {"schedule.folder": "x"}, CRMOPS_TARGETS__MAIN__TIMEOUT="5")
    assert config.origin("targets.main.timeout") == "CRMOPS_TARGETS__MAIN__TIMEOUT"
    assert config.origin("schedule.folder") == "--set schedule.folder"
    assert config.origin("targets.main.username") == f"{file}:7"
    assert config.origin("targets.spare-one.username") == f"{file}:7"
    assert config.origin("targets.spare-one.environment") == f"{file}:14"
    assert config.origin("targets.spare-one.accounts.0.username") == f"{file}:16"
    assert config.origin("targets.main.environment") == "default"
    origins = {key: where for key, _, where in config.settings()}
    assert origins["history.url"] == "default"
    assert origins["schedule.folder"] == "--set schedule.folder"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "CRMOPS_TARGETSS__MAIN__URL",
            "x",
            "CRMOPS_TARGETSS__MAIN__URL: targetss is not a setting",
        ),
        ("CRMOPS_TARGETS__MAIN__TIMEOUT", "soon", "TIMEOUT: targets.main.timeout: 'soon' is no"),
        ("CRMOPS_TARGETS__MAIN__PASSWORD", "tr0ub", "PASSWORD: targets.main.password holds"),
        ("CRMOPS_TARGETS__MAIN__URL__X", "1", "targets.main.url.x cannot be set: it is not inside"),
        ("CRMOPS_TARGETS__SPARE_ONE__ACCOUNTS__7__ROLE", "rep", "accounts.7 does not exist"),
        ("CRMOPS_DQ", "[1, 2", "CRMOPS_DQ:1: malformed YAML"),
    ],
)
def test_a_bad_variable_is_named(place: Path, name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load(place, None, **{name: value})
    assert "tr0ub" not in f"{caught.value}{caught.value.hint}"


def test_a_room_gets_its_section_as_its_model(place: Path) -> None:
    config = load(place)
    room = config.parse("schedule", Room)
    assert (room.token.reveal(), room.folder, room.patience) == (
        "tr0ub4dor", place / "suites", 120.0,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"^load.token is missing|crmops.yaml: load.token"):
        config.parse("load", Room)


def test_a_mistake_in_a_room_is_named_to_the_line(place: Path) -> None:
    text = TEXT.replace("patience: 2m", "patience: long\n  folders: x")
    (place / "crmops.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(place).parse("schedule", Room)
    said = [str(each) for each in caught.value.problems]  # type: ignore[attr-defined]
    assert said == [
        f"{place}/crmops.yaml:21: schedule.patience: 'long' is no duration; "
        "write 30s, 10m, 26h or 92d",
        f"{place}/crmops.yaml:22: schedule.folders is not a setting",
    ]


def test_secrets_show_nowhere(place: Path) -> None:
    config = load(place)
    targets = [config.target(name) for name in config.targets]
    room = config.parse("schedule", Room)
    shown = repr((config, targets, room, config.targets, list(config.settings())))
    shown += "".join(each.model_dump_json(exclude={"options"}) for each in (*targets, room))
    assert not any(each in shown for each in ("tr0ub4dor", "s3same", "shared-secret"))
    assert config.mask("it was tr0ub4dor and shared-secret") == "it was *** and ***"
    with pytest.raises(Exception, match="has not been looked up"):
        config.targets["main"].password.reveal()  # type: ignore[union-attr]


def test_the_digest_is_of_what_is_in_force_and_of_no_secret(place: Path) -> None:
    config = load(place)
    assert re.fullmatch("[0-9a-f]{64}", config.digest)
    assert config.digest == load(place, MAIN_PASSWORD="another").digest
    assert config.digest == load(place, {"targets.main.environment": "test"}).digest
    assert config.digest != load(place, {"targets.main.environment": "staging"}).digest
    rest, _, section = TEXT.partition("\nschedule:")
    (place / "crmops.yaml").write_text(f"schedule:{section}{rest}")
    assert config.digest == load(place).digest


def test_where_things_are_kept(place: Path) -> None:
    config = load(place)
    assert config.history_url == f"sqlite:///{place}/.crmops/history.db"
    assert config.artifacts_dir == place / ".crmops" / "artifacts"
    moved = load(place, {"state": "s", "history.url": "sqlite:///h.db", "history.artifacts": "a"})
    assert moved.history_url == f"sqlite:///{place}/h.db"
    assert (moved.state_dir, moved.artifacts_dir) == (place / "s", place / "a")
    remote = load(place, {"history.url": "env:HISTORY"}, HISTORY="postgresql://c:pw@db/crmops")
    assert remote.history_url == "postgresql://c:pw@db/crmops"
    assert "pw" not in {key: value for key, value, _ in remote.settings()}["history.url"]


def test_the_file_is_searched_in_order(
    place: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other") / "named.yaml"
    other.write_text("state: named\n")
    monkeypatch.chdir(place)
    assert load_config(environ={}).default_target == "main"
    assert load_config(environ={"CRMOPS_CONFIG": str(other)}).state_dir == other.parent / "named"
    given = load_config(Path("crmops.yaml"), environ={"CRMOPS_CONFIG": str(other)})
    assert given.default_target == "main"
    monkeypatch.chdir(other.parent)
    with pytest.raises(ConfigError, match="there is no such file") as caught:
        load_config(environ={})
    assert "crmops init" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("state: s\n", None, "no target is configured"),
        (TEXT.replace("default_target: main", ""), None, "there are 2 targets and no default"),
        (TEXT, "mainn", "there is no target 'mainn'"),
    ],
)
def test_which_target_is_meant(text: str, name: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_config(text, "crmops.yaml").target(name)
    assert caught.value.hint


def test_the_only_target_needs_no_default() -> None:
    text = "targets: {one: {connector: refcrm, url: 'https://crm.example.com'}}"
    assert parse_config(text, "t").target().name == "one"


def test_the_example_loads_is_complete_and_says_every_section() -> None:
    config = load_config(EXAMPLE, environ={})
    config.check(secrets=False)
    text = EXAMPLE.read_text()
    assert {name for name in ROOM_SECTIONS if section_model(ROOM_SECTIONS[name])} <= set(
        re.findall(r"(?m)^(?:# )?(\w+):", text)
    )


def test_what_the_example_shows_in_comments_is_right_too(tmp_path: Path) -> None:
    """Every setting that stands there behind a mark of a comment, taken together."""
    shown = re.compile(r"^( *)# ( *(?:- )?(?:\{|[a-z_]+:(?: |$)).*)$", re.MULTILINE)
    text = shown.sub(r"\1\2", EXAMPLE.read_text())
    assert len(shown.findall(EXAMPLE.read_text())) > 60
    (tmp_path / "crmops.yaml").write_text(text)
    config = load_config(tmp_path / "crmops.yaml", environ={})
    config.check(secrets=False)
    everything = {key: value for key, value, _ in config.settings()}
    assert everything["load.distributed.workers"] == 4
    assert everything["targets.refcrm.backup.provider"] == "pgbackrest"
    assert everything["targets.crm.options.profile"] == "crm-profile.yaml"
    assert everything["alerts.rehearsal.alert"] == "CrmProbeSlow"
    assert everything["gates.launch.waivers.0.approver"] == "Li Na"


def test_the_example_obeys_the_schema() -> None:
    schema = build_schema()
    assert set(schema["properties"]) == set(Frame.model_fields)
    references = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema)))
    assert references <= set(schema["$defs"])
    values = YAML(typ="safe", pure=True).load(EXAMPLE.read_text())
    judge = jsonschema.Draft202012Validator(schema)
    judge.check_schema(schema)
    plain_values = json.loads(json.dumps(values, default=str))
    assert not [f"{each.json_path} {each.message}" for each in judge.iter_errors(plain_values)]
    plain_values["targets"]["refcrm"]["timeout"] = "soon"
    plain_values["targets"]["refcrm"]["password"] = "tr0ub4dor"
    wrong = {each.json_path for each in judge.iter_errors(plain_values)}
    assert wrong == {"$.targets.refcrm.timeout", "$.targets.refcrm.password"}


def test_defaults_alone_are_a_configuration(tmp_path: Path) -> None:
    config = empty_config(tmp_path)
    assert (config.targets, config.state_dir) == ({}, tmp_path / ".crmops")


def test_a_section_with_everything_commented_out_is_not_there() -> None:
    config = parse_config("gates:\n  # launch:\nstate:\ntargets:\n", "t")
    assert (config.section("gates"), config.targets) == ({}, {})
    assert config.state_dir.name == ".crmops"


def test_yaml_is_1_2() -> None:
    """`no` is a word and 08:30 is no number; the YAML 1.1 traps do not exist here."""
    section = parse_config("dq: {country: no, at: 08:30, n: 0o17, day: 2026-12-01}", "t")
    found = section.section("dq")
    assert (found["country"], found["at"], found["n"]) == ("no", "08:30", 15)
    assert found["day"].isoformat() == "2026-12-01"


words = st.text(string.ascii_letters, min_size=1, max_size=8)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(string.printable, max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(words, plain, max_size=4))
def test_whatever_json_can_say_comes_back(section: dict[str, Any]) -> None:
    """JSON is YAML 1.2: what is written comes back, and the digest is stable."""
    text = json.dumps({"dq": section})
    config = parse_config(text, "t")
    assert config.section("dq") == section
    assert config.digest == parse_config(text, "t").digest


@given(st.text(max_size=60))
def test_no_text_brings_a_traceback(text: str) -> None:
    try:
        parse_config(text, "t")
    except ConfigError as error:
        assert str(error).startswith("t")
