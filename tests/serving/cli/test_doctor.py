"""``seqplat doctor`` of deployments that are well, broken in parts, or silent: lines, what to do, and an end."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from seqplat_resources.engine.registry import digests
from seqplat_resources.foreign_errors import in_our_words
from seqplat_resources.home import Home
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.release.store import ReleaseStore
from seqplat_resources.stream.trouble import Trouble, Troubles
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from serving.cli.doctor import machine, releases, running, stores
from serving.cli.doctor.findings import Deployment, Diagnosis, Look, looked
from tests.building import utc
from tests.online_stores import redis_url
from tests.release.test_places import from_before
from tests.stream.world import DEFINITIONS, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path, LmdbStore(tmp_path / "home" / "online"))
    with closing(made.store):
        yield made


@pytest.fixture
def silent() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def deployed(folder: Path, **more: str) -> Deployment:
    environment = {"SEQPLAT_HOME": str(folder / "home"), "SEQPLAT_LOG_DIR": str(folder / "log")}
    return Deployment({**environment, **more}, "sequence_defs.definitions")


def seen(look: Look, deployment: Deployment) -> dict[str, list[tuple[str, str, str]]]:
    """By part: how it is, what was said, what to do."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for each in (each for findings in looked({"x": look}, deployment, patience_s=60) for each in findings):
        found.setdefault(each.part, []).append((each.status, each.said, each.fix))
    return found


def run(environment: Mapping[str, str], *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "serving.cli", "doctor", *options]
    found = {**os.environ, **environment}
    done = subprocess.run(command, check=False, env=found, capture_output=True, text=True, timeout=110)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_deployment_that_is_well_has_a_line_of_each_part(shop: Shop) -> None:
    shop.say(
        [{"member": "ann", "at": utc(2024, 5, 1), "received": utc(2024, 5, 1), "click": 1, "amount": 1, "partition": 0}]
    )
    loop = shop.loop()
    while loop.once():
        pass
    loop.close()
    shop.store.close()
    code, said = run(deployed(shop.folder).environment, "--json")
    told = json.loads(said)
    assert (code, told["ok"]) == (0, True), said
    parts = {each["part"]: (each["status"], each["said"]) for each in told["findings"]}
    assert set(parts) == {
        *("versions", "home", "clock", "disk", "ports", "definitions", "channels", "log", "online", "dagster"),
        *("automation", "streams", "api"),
    }
    assert parts["log"] == ("ok", "clicks: topic clicks of the file log, 2 partition(s), 1 message(s)")
    assert parts["channels"][1].endswith("data at the root, which this environment follows")
    assert parts["automation"] == ("ok", parts["automation"][1])
    assert all(each["fix"] for each in told["findings"] if each["status"] != "ok")


def test_one_that_is_broken_in_half_is_told_part_by_part_and_in_time(shop: Shop, silent: str) -> None:
    """Kafka, Redis and the API take connections and say nothing, a channel is damaged, and definitions do not load."""
    (shop.folder / "defs.py").write_text("import nothing_of_that_name\n")
    (shop.folder / "home/channels/other").mkdir()
    (shop.folder / "home/channels/other/000000000001.json").write_text("{")
    broken = {"SEQPLAT_KAFKA_BOOTSTRAP": silent, "SEQPLAT_ONLINE": f"redis://:secret@{silent}/0"}
    began = time.monotonic()
    options = ("--seconds", "8", "--api", f"http://{silent}", "--definitions", str(shop.folder / "defs.py"))
    code, said = run({**deployed(shop.folder).environment, **broken}, *options)
    lines = {tuple(line.split()[:2]) for line in said.splitlines()}
    assert code == 1
    assert said.startswith(f"seqplat in {shop.folder}/home, looking ...\n")
    assert {("ok", "home"), ("ok", "disk"), ("ok", "channels"), ("warn", "channels"), ("ok", "automation")} <= lines
    assert {("fail", part) for part in ("definitions", "log", "online", "api", "streams")} <= lines
    assert "other: " in said
    assert "secret" not in said
    assert time.monotonic() - began < 100


def test_a_look_that_hangs_or_raises_costs_no_other_its_line() -> None:
    def hangs(_: Deployment) -> Iterator[Diagnosis]:
        yield Diagnosis("slow", "ok", "so far")
        threading.Event().wait()

    def raises(_: Deployment) -> Iterator[Diagnosis]:
        raise RuntimeError("of a library")
        yield

    def well(_: Deployment) -> Iterator[Diagnosis]:
        yield Diagnosis("well", "ok", "fine")

    looks: dict[str, Look] = {"slow": hangs, "bad": raises, "well": well}
    found = [each for of in looked(looks, Deployment({}, ""), patience_s=0.5) for each in of]
    assert [(each.part, each.status, each.said) for each in found] == [
        ("slow", "ok", "so far"),
        ("slow", "fail", "no answer within 0.5 s"),
        ("bad", "fail", "RuntimeError: of a library"),
        ("well", "ok", "fine"),
    ]


def test_a_home_that_cannot_be_written_or_is_open_to_others_is_told(tmp_path: Path) -> None:
    deployment = deployed(tmp_path)
    assert seen(machine.home, deployment)["home"][0][:2] == ("warn", f"{tmp_path}/home is not there yet")
    (tmp_path / "home").touch()
    assert seen(machine.home, deployment)["home"][0][0] == "fail"
    assert "move it away" in seen(machine.home, deployment)["home"][0][2]
    with pytest.raises(OSError, match="File exists") as raised:
        _ = Home(f"{tmp_path}/home", {}).objects
    assert "something else lies where the home" in str(in_our_words(raised.value))
    (tmp_path / "home").unlink()
    (tmp_path / "home/keys").mkdir(parents=True)
    (tmp_path / "home/keys").chmod(0o755)
    (tmp_path / "home").chmod(0o777)
    told = seen(machine.home, deployment)
    assert [each[0] for each in told["home"]] == ["warn", "fail", "ok"]
    assert told["home"][1][2] == f"chmod 700 {tmp_path}/home/keys"
    assert told["clock"][0][0] == "ok"
    assert not list((tmp_path / "home").rglob("doctor-*"))
    (tmp_path / "home/leases").rmdir()
    (tmp_path / "home/leases").write_text("in the way")
    assert seen(machine.home, deployment)["home"][-1][0] == "fail"


def test_clocks_that_are_apart_are_told() -> None:
    assert [machine.clock_told(apart, "it").status for apart in (0.1, 3, 16)] == ["ok", "warn", "fail"]
    assert "let both follow a time server" in machine.clock_told(16, "it").fix


def test_a_port_that_is_taken_is_told(tmp_path: Path, silent: str) -> None:
    told = seen(machine.ports, deployed(tmp_path, SEQPLAT_API_PORT=silent.partition(":")[2]))["ports"]
    assert told[0][0] == "warn"
    assert silent in told[0][1]


def test_channels_that_share_or_whose_code_is_another_are_told(tmp_path: Path) -> None:
    deployment = deployed(tmp_path)
    assert seen(releases.channels, deployment)["channels"] == [
        ("fail", "nothing is published to channel 'dev'", "seqplat publish --channel dev, or set SEQPLAT_CHANNEL")
    ]
    store = ReleaseStore(Home(str(tmp_path / "home"), {}))
    made = lower(Project(DEFINITIONS, {**digests(), "declarative": "0" * 16}))
    store.move("dev", store.put(made), by="tests")
    [(status, told, fix)] = seen(releases.channels, deployment)["channels"]
    assert (status, told) == ("fail", "dev: executor declarative has other code than the release")
    assert fix.startswith("seqplat publish --channel dev with this code")
    store.move("dev", store.put(lower(Project(DEFINITIONS, digests()))), by="tests")
    from_before(store, "old", "first")
    mine, other = seen(releases.channels, deployment)["channels"]
    assert (mine[0], other[0]) == ("warn", "warn")
    assert mine[1].startswith("channel 'dev' shares lake, online store and streams with 'old'")
    assert mine[2].startswith("publish to a new name, such as `seqplat publish --channel dev-2`")


def test_streams_that_fail_or_are_silent_are_told(shop: Shop) -> None:
    deployment = deployed(shop.folder)
    shop.store.close()
    assert seen(running.streams, deployment)["streams"][0][:2] == ("warn", "clicks: nothing of it was ever read")
    Troubles(shop.runtime.home).put(Trouble.of("clicks", OSError("no disk"), at=utc(2024, 5, 4), wait_s=1))
    told = seen(running.streams, deployment)["streams"][0]
    assert told[0] == "fail"
    assert "no disk" in told[1]


def test_a_topic_that_is_not_there_and_a_store_that_is_empty_are_told(shop: Shop) -> None:
    shop.store.close()
    deployment = deployed(shop.folder, SEQPLAT_LOG_DIR=str(shop.folder / "nowhere"), SEQPLAT_ONLINE=redis_url("redis"))
    assert seen(stores.log, deployment)["log"][0][0] == "fail"
    told = seen(stores.online, deployment)
    assert told["clock"][0][0] == "ok", "that of the server"
    assert told["online"][0][0] == "warn"
    assert told["online"][0][1].endswith("no day is published of click")


def test_dagster_without_a_daemon_and_automation_that_is_off_are_told(shop: Shop) -> None:
    off = deployed(shop.folder, SEQPLAT_AUTOMATION="off")
    assert seen(running.automation, off)["automation"][0][::2] == ("warn", "unset SEQPLAT_AUTOMATION")
    assert seen(running.dagster, off)["dagster"][0][0] == "warn"
