"""The manifests under loadtests/deploy: what they name exists, what they call is ours."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from crmops import __version__
from crmops.cli import app
from crmops.config import load_config
from loadtests.distributed.address import parse_address
from loadtests.settings import Settings

DEPLOY = Path(__file__).resolve().parents[2] / "loadtests" / "deploy"
MANIFESTS = sorted(DEPLOY.glob("*.yaml"))


def documents() -> list[dict[str, Any]]:
    return [each for path in MANIFESTS for each in YAML(typ="safe").load_all(path)]


def only(kind: str, name: str) -> dict[str, Any]:
    (found,) = [
        each for each in documents() if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return found


def pods() -> Iterator[dict[str, Any]]:
    for each in documents():
        if each["kind"] == "Job":
            yield each["spec"]["template"]["spec"]


def options_of(words: list[str]) -> dict[str, Any]:
    """What our command line makes of words; raises what it raises for wrong ones."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("crmops", list(words))
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    return {"command": context.info_name, **context.params}


def test_every_manifest_is_one() -> None:
    assert len(MANIFESTS) == 4
    for each in documents():
        assert {"apiVersion", "kind", "metadata"} <= set(each), each
        assert each["metadata"]["labels"]["app.kubernetes.io/name"] == "crmops-load"
        if image := each.get("spec", {}).get("image"):
            assert image == f"crmops:{__version__}"


def test_the_commands_are_those_of_our_command_line() -> None:
    master, worker = (each["containers"][0]["command"] for each in pods())
    assert (master[0], worker[0]) == ("crmops", "crmops")
    asked = options_of(master[1:])
    assert (asked["command"], asked["as_json"]) == ("run", True)
    asked = options_of(worker[1:])
    assert asked["command"] == "worker"
    service = only("Service", "crmops-load-master")
    address = parse_address(asked["master"], "--master")
    assert address.host == service["metadata"]["name"]
    assert address.port == service["spec"]["ports"][0]["port"]
    assert str(asked["secret_file"]) == "/run/secrets/crmops/fleet-secret"
    with pytest.raises(typer.exceptions.TyperException):
        options_of([*worker[1:], "--no-such-option"])


def test_the_configuration_holds(tmp_path: Path) -> None:
    text = only("ConfigMap", "crmops-load")["data"]["crmops.yaml"]
    secrets = only("Secret", "crmops-load")["stringData"]
    named = [word.rpartition("/")[2] for word in text.split() if "/run/secrets/crmops/" in word]
    assert set(named) == set(secrets)
    assert not any(secrets.values())  # nothing that anybody could leave as it is
    config = tmp_path / "crmops.yaml"
    for name in secrets:  # as the pods see them, elsewhere
        (tmp_path / name).write_text("username,role\nrep1,rep\n" if "users" in name else "x" * 16)
    config.write_text(text.replace("/run/secrets/crmops", str(tmp_path)))
    loaded = load_config(config, environ={})
    settings = loaded.parse("load", Settings)
    target = loaded.target(None)
    assert [each.username for each in target.accounts] == ["rep1"]
    assert target.load.allowed
    assert settings.distributed.workers == only("Job", "crmops-load-worker")["spec"]["parallelism"]
    port = parse_address(settings.distributed.listen, "--listen").port
    assert port == only("Service", "crmops-load-master")["spec"]["ports"][0]["port"]


def test_whatever_is_mounted_exists() -> None:
    keys = only("Secret", "crmops-load")["stringData"]
    for pod in pods():
        volumes = {each["name"]: each for each in pod["volumes"]}
        for container in pod["containers"]:
            assert {each["name"] for each in container["volumeMounts"]} == set(volumes)
            assert container["securityContext"]["readOnlyRootFilesystem"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert volumes["secrets"]["secret"]["secretName"] == "crmops-load"
        assert {each["key"] for each in volumes["secrets"]["secret"].get("items", ())} <= set(keys)
    worker = only("Job", "crmops-load-worker")["spec"]["template"]["spec"]
    names = [each["key"] for each in worker["volumes"][0]["secret"]["items"]]
    assert names == ["fleet-secret"]  # of people's passwords a worker gets those of its part
    labels = {
        tuple(sorted(each["spec"]["template"]["metadata"]["labels"].items()))
        for each in documents()
        if each["kind"] == "Job"
    }
    for each in documents():
        if each["metadata"]["name"] != "crmops-load-master" or "spec" not in each:
            continue
        selector = each["spec"].get("podSelector", {}).get("matchLabels")
        assert selector is None or tuple(sorted(selector.items())) in labels


def test_locusts_options_are_locusts(tmp_path: Path) -> None:
    """With those that the operator adds; locust patches the process that imports it."""
    spec = only("LocustTest", "crmops-load-locust")["spec"]
    expected = f"--expect-workers={spec['worker']['replicas']}"
    flags = ["--autostart", "--enable-rebalancing", "--only-summary"]
    added = ["--master", "--master-port=5557", expected, "--autoquit", "60", *flags]
    master = [*shlex.split(spec["master"]["command"]), *added]
    worker = [*shlex.split(spec["worker"]["command"]), "--worker", "--master-host=m"]
    script = (
        "import json, sys; from locust.argument_parser import parse_options\n"
        "for each in json.load(sys.stdin):\n"
        "    found = parse_options(each); print('=', found.locustfile, found.num_users)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps([master, worker]), cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    inside = "/opt/crmops/loadtests/locustfile.py"
    said = [line[2:] for line in done.stdout.splitlines() if line.startswith("= ")]
    assert said == [f"{inside} 200", f"{inside} None"]
    assert "WORKDIR /opt/crmops\nCOPY . .\n" in (DEPLOY / "Dockerfile").read_text()
    mounts = {each["name"]: each["mountPath"] for each in spec["volumeMounts"]}
    variables = {each["name"]: each["value"] for each in spec["env"]["variables"]}
    assert variables["CRMOPS_CONFIG"] == f"{mounts['config']}/crmops.yaml"
    assert spec["env"]["secretMounts"][0]["mountPath"] == "/run/secrets/crmops"


def test_the_image_holds_no_secret() -> None:
    left_out = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert set(only("Secret", "crmops-load")["stringData"]) | {".crmops", ".venv"} <= set(left_out)


def test_the_image_brings_what_the_manifests_call() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    root = DEPLOY.parents[1]
    assert f"-t crmops:{__version__} ." in text
    assert (root / "requirements" / "py312.txt").is_file()
    user = text.split("USER ")[1].split(":")[0]
    for pod in pods():
        assert str(pod["securityContext"]["runAsUser"]) == user
        assert pod["containers"][0]["image"] == f"crmops:{__version__}"
