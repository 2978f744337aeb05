"""A registry that does not answer costs time and nothing else; its credentials are nowhere to be seen."""

import json
import logging
from contextlib import closing
from pathlib import Path

import pytest

from seqplat_resources.explain import explain
from seqplat_resources.sources.log.file.folder import FileLogSource
from seqplat_resources.sources.schema_registry import Framing, framing, open_framing
from seqplat_resources.sources.schema_registry.client import RegistryAddress, RegistryClient
from seqplat_resources.sources.schema_registry.errors import RegistryAway, RegistrySettingsInvalid
from seqplat_resources.stream.loop import NotStreamed, StreamLoop
from seqplat_resources.stream.ownership import Ownership
from seqplat_resources.stream.service import StreamService
from seqplat_resources.testing.memory.store import MemoryStore
from tests.building import utc
from tests.sources.schema_registry.registry_server import RegistryServer, avro, framed
from tests.sources.schema_registry.test_avro import ROW, record, sent, source
from tests.stream import world

VARIABLE = "SEQPLAT_SCHEMA_REGISTRY"


@pytest.mark.parametrize("status", [301, 400, 401, 403, 408, 429, 500, 502, 503, 504])
def test_what_passes_is_waited_for(status: int, registry: RegistryServer, framing: Framing) -> None:
    """No message of the batch is refused, also none that was looked at before; later all are read."""
    registry.add(1, record())
    value = avro(1, record(), ROW)
    registry.status = status
    with pytest.raises(RegistryAway, match=f"schema 1: status {status}, from the schema registry at {registry.url}"):
        sent(source(), framing, b"not framed", value)
    registry.status = 200
    found = sent(source(), framing, b"not framed", value)
    assert (found.rows.height, found.rejects.height) == (1, 1)


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"{}", b'{"schema": 7}', b"\xff", b"", b"[]"])
def test_an_answer_that_is_none_is_waited_for(body: bytes, registry: RegistryServer, framing: Framing) -> None:
    registry.body = body
    with pytest.raises(RegistryAway, match="an answer that is no schema"):
        sent(source(), framing, framed(1, b""))


def test_every_wait_ends(registry: RegistryServer) -> None:
    registry.hangs = True
    address = RegistryAddress.from_environment({VARIABLE: registry.url})
    with (
        closing(Framing(RegistryClient(address, within_s=0.2))) as framing,
        pytest.raises(RegistryAway, match=r"no answer \(ReadTimeout\)"),
    ):
        sent(source(), framing, framed(1, b""))


def test_a_registry_that_is_down(registry: RegistryServer) -> None:
    framing = open_framing({VARIABLE: "http://127.0.0.1:9"})
    with closing(framing), pytest.raises(RegistryAway, match=r"no answer \(ConnectError\)"):
        sent(source(), framing, framed(1, b""))


def test_a_missing_reference_of_a_registry_that_is_down_refuses_nothing(
    registry: RegistryServer, framing: Framing
) -> None:
    registry.add(1, record(), references=[{"name": "x", "subject": "x", "version": 1}])
    registry.answers["/subjects/x/versions/1"] = {"not": "a schema"}
    with pytest.raises(RegistryAway, match="version 1 of subject 'x'"):
        sent(source(), framing, framed(1, b""))


def test_an_unknown_id_is_asked_for_once(registry: RegistryServer, framing: Framing) -> None:
    for _ in range(3):
        assert sent(source(), framing, *[framed(5, b"x")] * 10).rejects.height == 10
    assert registry.asked == ["/schemas/ids/5"]


def test_credentials_are_used_and_not_shown(registry: RegistryServer, caplog: pytest.LogCaptureFixture) -> None:
    registry.needs_password = True
    registry.add(1, record())
    with caplog.at_level(logging.DEBUG), closing(open_framing({VARIABLE: registry.where})) as framing:
        found = sent(source(), framing, avro(1, record(), ROW), framed(7, b""))
        assert (found.rows.height, found.rejects.height) == (1, 1)
        registry.status = 503
        with pytest.raises(RegistryAway) as away:
            sent(source(), framing, framed(8, b""))
    address = RegistryAddress.from_environment({VARIABLE: registry.where})
    shown = [caplog.text, str(away.value), repr(address), *found.rejects["reason"]]
    assert all("s3cr" not in text and "reader" not in text for text in shown)
    with closing(open_framing({VARIABLE: registry.url})) as framing, pytest.raises(RegistryAway, match="status 401"):
        sent(source(), framing, framed(1, b""))


@pytest.mark.parametrize(
    "written",
    ["", " ", "localhost:8081", "ftp://h", "http://", "http://u:s3cret@", "http://u:s3cret/1@h", "http://h?s3cret",
     "http://[u:s3cret@h", "http://u:s3c#ret@h"],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_not_shown(written: str) -> None:
    with pytest.raises(RegistrySettingsInvalid, match=VARIABLE) as refused:
        open_framing({VARIABLE: written})
    assert "s3c" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("written", ["https://h/", "https://u:p@h:443/ccompat/v7", "http://[::1]:8081"])
def test_addresses(written: str) -> None:
    address = RegistryAddress.from_environment({VARIABLE: written})
    assert address.where == written.replace("u:p@", "").rstrip("/")


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "_LIBRARIES", ("fastavro", "not_installed", "not.installed"))
    with pytest.raises(
        RegistrySettingsInvalid, match=r"needs not_installed, not\.installed, .* install seqplat\[registry\]"
    ):
        open_framing({VARIABLE: "http://h"})


SCHEMA = {
    "type": "record",
    "name": "Click",
    "fields": [
        {"name": "member", "type": "string"},
        {"name": "click", "type": "long"},
        {"name": "amount", "type": ["null", "long"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "received", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ],
}


def shop(folder: Path) -> world.Shop:
    framed_source = world.source.model_copy(update={"message_format": "confluent"})
    definitions = tuple(framed_source if one is world.source else one for one in world.DEFINITIONS)
    return world.Shop(folder, MemoryStore(), definitions=definitions)


def say(there: world.Shop, *values: bytes | None) -> None:
    with closing(there.writer()) as writer:
        writer.append(world.TOPIC, [(None, value) for value in values], partition=0)
        writer.flush()


def clicked(number: int) -> bytes:
    at = utc(2024, 5, 1, number)
    return avro(1, SCHEMA, {"member": "ann", "click": number, "amount": number, "at": at, "received": at})


def test_a_stream_waits_for_its_registry_and_loses_nothing(registry: RegistryServer, tmp_path: Path) -> None:
    there = shop(tmp_path)
    registry.add(1, SCHEMA)
    say(there, clicked(1), b"\0\0\0\0\7?", None, clicked(2))
    registry.status = 503
    with closing(open_framing({VARIABLE: registry.url})) as framing:
        loop = _loop(there, framing)
        with pytest.raises(RegistryAway):
            loop.once()
        loop.abandon()
        assert not any(there.streamed().values())
        registry.status = 200
        loop = _loop(there, framing)
        while loop.once():
            pass
        loop.close()
    assert [row["event_id"] for row in there.answer("ann")] == ["2", "1"]
    assert there.streamed()["clicks:0"] == 4
    rejects = _rejects(there)
    assert [(offset, payload) for offset, payload, _ in rejects] == [(1, b"\0\0\0\0\7?"), (2, b"")]
    assert "schema 7 is not in the schema registry" in rejects[0][2]
    assert "tombstone" in rejects[1][2]


def test_a_refused_message_is_explained_by_the_registry_that_the_environment_names(
    registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = shop(tmp_path)
    registry.add(1, SCHEMA)
    at = utc(2030, 1, 1)
    say(there, avro(1, SCHEMA, {"member": "ann", "click": 77, "amount": 1, "at": at, "received": utc(2024, 5, 1)}))
    with closing(open_framing({VARIABLE: registry.url})) as framing:
        loop = _loop(there, framing)
        while loop.once():
            pass
        loop.close()

    def outcome() -> str:
        steps = explain(there.runtime, there.store, there.sequence, "ann", "77").steps
        return next(step.outcome for step in steps if step.name == "raw")

    monkeypatch.setenv(VARIABLE, registry.url)
    assert outcome() == "refused"
    registry.status = 503
    assert outcome() == "no rows", "only the schema says what the bytes are"
    monkeypatch.delenv(VARIABLE)
    assert outcome() == "no rows"


def test_the_service_opens_the_registry_that_its_environment_names(registry: RegistryServer, tmp_path: Path) -> None:
    there = shop(tmp_path)
    registry.add(1, SCHEMA)
    say(there, clicked(1))
    environment = {"SEQPLAT_LOG_DIR": str(tmp_path / "log"), VARIABLE: registry.url}
    service = StreamService(lambda: there.runtime, there.store, environment, pace=world.QUICK, report_s=0.0)
    service.report = lambda *_: service.stop.set() if there.streamed().get("clicks:0") else None
    service.run()
    assert [row["event_id"] for row in there.answer("ann")] == ["1"]
    with pytest.raises(RegistrySettingsInvalid, match="is not set"):
        StreamService(lambda: there.runtime, there.store, environment | {VARIABLE: ""}).run()


def test_a_loop_without_a_registry_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotStreamed, match="'clicks' has message_format='confluent'"):
        shop(tmp_path).loop()


def _loop(there: world.Shop, framing: Framing) -> StreamLoop:
    log = FileLogSource(str(there.folder / "log"))
    ownership = Ownership(there.runtime.home, "clicks", there.clock)
    return StreamLoop(
        there.runtime, "clicks", log, there.store, there.lookup, ownership, world.QUICK, there.clock, framing=framing
    )


def _rejects(there: world.Shop) -> list[tuple[int, bytes, str]]:
    from seqplat_resources.batch.inputs import tables

    found = tables.rejects(there.runtime, "clicks").scan().select("offset", "payload", "reason").collect()
    return sorted(found.rows())


def test_settings_are_not_in_the_release(tmp_path: Path) -> None:
    there = shop(tmp_path)
    written = there.runtime.release.sources["clicks"].model_dump(exclude_defaults=True)
    assert written["message_format"] == "confluent"
    assert "http" not in json.dumps(written, default=str)
