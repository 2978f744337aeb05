"""The files of deploy/: they parse, agree with each other, and their commands start here, without containers."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import click
import pytest
import yaml
from dagster._daemon.cli import cli as dagster_daemon
from dagster_webserver.cli import cli as dagster_webserver

from serving.cli.main import root
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PATIENCE_S = 60
_CLI = {"seqplat": root, "dagster-webserver": dagster_webserver, "dagster-daemon": dagster_daemon}
# Service of compose -> unit of systemd, where there is one.
SERVICES = ("api", "stream", "code", "dagster-web", "dagster-daemon")


def _compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def _manifests() -> list[dict[str, Any]]:
    names = yaml.safe_load((DEPLOY / "kustomize" / "kustomization.yaml").read_text())["resources"]
    return [each for name in names for each in yaml.safe_load_all((DEPLOY / "kustomize" / name).read_text())]


def _unit(service: str) -> list[str]:
    text = (DEPLOY / "systemd" / f"seqplat-{service}.service").read_text()
    (command,) = re.findall(r"^ExecStart=/opt/seqplat/bin/(.+)$", text, re.MULTILINE)
    return shlex.split(command)


def _commands() -> Iterator[tuple[str, str, list[str]]]:
    for service in SERVICES:
        yield "compose", service, list(map(str, _compose()["services"][service]["command"]))
        yield "systemd", service, _unit(service)
    for each in _manifests():
        if each["kind"] in ("Deployment", "Job"):
            (container,) = each["spec"]["template"]["spec"]["containers"]
            yield "kustomize", each["metadata"]["name"], container["command"]


@pytest.mark.parametrize(("where", "service", "command"), list(_commands()), ids=lambda each: str(each)[:30])
def test_every_command_takes_its_arguments(where: str, service: str, command: list[str]) -> None:
    at, arguments = _CLI[command[0]], [each.replace("/etc/seqplat", str(DEPLOY)) for each in command[1:]]
    while isinstance(at, click.Group) and arguments and not arguments[0].startswith("-"):
        found = at.get_command(click.Context(at), arguments[0])
        assert found is not None, f"{command[0]} has no command {arguments[0]}"
        at, arguments = found, arguments[1:]
    with at.make_context(service, list(arguments)):
        pass


def test_the_ways_to_deploy_run_the_same_processes() -> None:
    ran: dict[str, set[str]] = {}
    for where, _, command in _commands():
        ran.setdefault(where, set()).add(" ".join(command[:2]) if command[0] == "seqplat" else command[0])
    assert ran["compose"] == ran["systemd"]
    assert ran["kustomize"] == ran["compose"] | {"seqplat publish"}


def test_settings_are_ours() -> None:
    known = (ROOT / "docs" / "settings.md").read_text()
    said = [*_compose()["x-seqplat"]["environment"]]
    said += re.findall(r"- \"?(\w+)=", (DEPLOY / "kustomize" / "kustomization.yaml").read_text())
    said += re.findall(r"^(\w+)=", (DEPLOY / "systemd" / "seqplat.env").read_text(), re.MULTILINE)
    assert [name for name in said if name.startswith("SEQPLAT_") and f"`{name}`" not in known] == []


def test_manifests_select_what_they_name() -> None:
    by_kind: dict[str, dict[str, Any]] = {}
    for each in _manifests():
        by_kind.setdefault(each["kind"], {})[each["metadata"]["name"]] = each["spec"]
    for name, spec in by_kind["Deployment"].items():
        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"] == labels == {"app.kubernetes.io/component": name}
        pod = spec["template"]["spec"]
        assert {m["name"] for c in pod["containers"] for m in c["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
        assert pod["securityContext"]["runAsNonRoot"]
    for name, spec in by_kind["Service"].items():
        (container,) = by_kind["Deployment"][name]["template"]["spec"]["containers"]
        assert [port["port"] for port in spec["ports"]] == [port["containerPort"] for port in container["ports"]]
    copy = DEPLOY / "kustomize" / "dagster-postgres.yaml"  # a base names no file outside of its folder
    assert copy.read_text() == (ROOT / "docs" / "dagster-postgres.yaml").read_text()


def test_compose_names_what_there_is() -> None:
    found = _compose()
    services = found["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source.startswith("./") or source in found["volumes"], name
    code = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"][0]["grpc_server"]
    assert (code["host"], str(code["port"])) == ("code", services["code"]["command"][-1])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd: no systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for file in sorted((DEPLOY / "systemd").glob("seqplat*.[st]*")):
        text = file.read_text().replace("/opt/seqplat/bin/", f"{tmp_path}/bin/")
        (tmp_path / file.name).write_text(text)
    (tmp_path / "bin").mkdir()
    for name in _CLI:
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / name).chmod(0o755)
    units = [str(tmp_path / f"seqplat-{service}.service") for service in SERVICES]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    about_ours = [line for line in done.stderr.splitlines() if "seqplat" in line]
    assert about_ours == []


def test_api_and_stream_start_by_the_commands_of_compose(tmp_path: Path) -> None:
    """On a home in a folder: what the image, the brokers and the databases would be is left out."""
    port, services = free_port(), _compose()["services"]
    commands = {name: list(map(str, service.get("command", []))) for name, service in services.items()}
    environment = {**os.environ, "SEQPLAT_HOME": str(tmp_path / "home"), "SEQPLAT_API_HOST": "127.0.0.1"}
    ours = [sys.executable, "-m", "serving.cli"]
    (tmp_path / "none.ndjson").write_text("")
    for before in (["publish"], ["send", "transactions", str(tmp_path / "none.ndjson")]):  # the topic is there then
        subprocess.run([*ours, *before], env=environment, check=True, capture_output=True, timeout=PATIENCE_S)
    serve = [*commands["api"][1:], "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        started = [
            subprocess.Popen([*ours, *arguments], env=environment, stdout=log, stderr=log)
            for arguments in (serve, commands["stream"][1:])
        ]
    try:
        until, answered = time.monotonic() + PATIENCE_S, 0
        while not answered and time.monotonic() < until:
            try:
                with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                    answered = answer.status
            except OSError:
                time.sleep(0.1)
        while b"reading" not in (tmp_path / "log").read_bytes() and time.monotonic() < until:
            time.sleep(0.1)
        assert answered == 200
        assert b"reading transactions" in (tmp_path / "log").read_bytes()
        assert [each.poll() for each in started] == [None, None]
    finally:
        for each in started:
            each.send_signal(signal.SIGTERM)
        ended = [each.wait(PATIENCE_S) for each in started]
    assert ended[0] == 0
