"""What only a real Kafka can be asked: transactions, codecs, lag hints, credentials, a broker that dies."""

import json
import logging
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic

from seqplat_resources.sources.log import LogBatch, LogSource, Partition, polling
from seqplat_resources.sources.log.errors import LogAccessDenied, LogRejected, LogUnreachable, UnknownTopic
from seqplat_resources.sources.log.kafka.confluent import ConfluentSource, ConfluentWriter
from seqplat_resources.sources.log.kafka.python import KafkaPythonSource, KafkaPythonWriter
from seqplat_resources.sources.log.kafka.settings import KafkaSettings
from seqplat_resources.stream.messages import decode_messages
from tests.kafka_broker import PASSWORD, USER, Broker, private_broker, why_not
from tests.properties.clicks import clicks
from tests.sources.log.conftest import FORGOTTEN
from tests.sources.log.logs import WITHIN_S, Log, numbered, read, until, values_of

PLENTY = 1 << 24
CLIENTS = ["kafka", "confluent"]


@pytest.fixture(params=CLIENTS)
def log(request: pytest.FixtureRequest, tmp_path: Path, kafka_bootstrap: str) -> Iterator[Log]:
    made = Log(request.param, tmp_path, kafka_bootstrap)
    yield made
    made.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that may be killed."""
    if missing := why_not():
        pytest.skip(missing)
    with private_broker(tmp_path_factory.mktemp("kafka")) as started:
        yield started


def transactions(bootstrap: str, partition: Partition, sizes: list[tuple[int, bool]]) -> None:
    """Append transactions of so many messages, committed or aborted."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": str(partition), "log_level": 2})
    producer.init_transactions()
    for number, (size, committed) in enumerate(sizes):
        producer.begin_transaction()
        for n in range(size):
            producer.produce(partition.topic, f"{number} {n}".encode(), partition=partition.number)
        producer.flush()
        if committed:
            producer.commit_transaction()
        else:
            producer.abort_transaction()


def test_aborted_transactions_and_markers_are_holes(log: Log) -> None:
    partition = Partition(log.topic(), 0)
    transactions(log.bootstrap, partition, [(3, True), (2, False), (1, True), (4, False)])
    source = log.source()
    source.assign({partition: 0})
    batches = read(source, 4)
    assert values_of(batches) == {0: [b"0 0", b"0 1", b"0 2", b"2 0"]}
    assert [offset for batch in batches for offset in batch.offsets] == [0, 1, 2, 7]
    assert all(batch.next_offset > batch.offsets[-1] for batch in batches)
    ends = source.end_offsets([partition])
    assert ends == {partition: 14}

    def at_the_end() -> bool:
        assert source.poll(max_rows=10, max_bytes=PLENTY, timeout_s=0.1) == []
        return source.positions() == ends

    until(at_the_end, "the position behind the last marker")


def test_reading_goes_on_from_an_offset_within_a_hole(log: Log) -> None:
    partition = Partition(log.topic(), 0)
    transactions(log.bootstrap, partition, [(3, True), (2, False), (1, True)])
    source = log.source()
    for offset in (3, 4, 5, 6, 7):
        source.assign({partition: offset})
        assert read(source, 1)[0].offsets == [7]


@pytest.mark.parametrize("kind", ["CreateTime", "LogAppendTime"])
def test_timestamps_are_those_of_the_topic_and_none_where_there_is_none(log: Log, kind: str) -> None:
    """A producer may say -1, which is none, or anything; a topic of append times says its own."""
    said, topic = [-1, 0, 1, 1_700_000_000], f"times-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=log.bootstrap)
    admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"message.timestamp.type": kind})])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=log.bootstrap, linger_ms=0)
    for number, time_ms in enumerate(said):
        producer.send(topic, str(number).encode(), partition=0, timestamp_ms=time_ms).get(WITHIN_S)
    producer.close()
    source, partition = log.source(), Partition(topic, 0)
    source.assign({partition: 0})
    batches = read(source, len(said))
    found = [at for batch in batches for at in batch.timestamps_ms]
    assert values_of(batches) == {0: [b"0", b"1", b"2", b"3"]}
    if kind == "CreateTime":
        assert found == said
    else:
        assert all(abs(at / 1000 - time.time()) < 600 for at in found)
    sent = json.dumps({"member": "ann", "at": "2024-05-01T12:00:00Z", "received": "2024-05-01T12:00:00Z", "click": 1})
    clicked = [replace(batch, values=[sent.encode()] * len(batch)) for batch in batches]
    received = decode_messages(clicks(location="", topic=topic, ingest_time=None), clicked).rows
    assert received.height == len(said)
    assert all(abs(at.timestamp() - time.time()) < 600 for at in received["_ingest_time"])


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_messages_are_read(log: Log, codec: str) -> None:
    partition = Partition(log.topic(), 0)
    producer = KafkaProducer(bootstrap_servers=log.bootstrap, compression_type=codec, linger_ms=50)
    for value in numbered(200):
        producer.send(partition.topic, value, partition=0)
    producer.close()
    source = log.source()
    source.assign({partition: 50})  # within a compressed batch
    assert values_of(read(source, 150)) == {0: numbered(200)[50:]}


def test_hint_is_the_committed_offset_of_the_group(log: Log) -> None:
    first = log.append(log.topic(), numbered(9))
    second = log.append(log.topic(), numbered(5))
    group = f"group-{first.topic}"
    source = log.source(group=group)
    source.assign({first: 0, second: 0})
    admin = KafkaAdminClient(bootstrap_servers=log.bootstrap)

    def committed() -> dict[Partition, int]:
        stored = admin.list_group_offsets([group])[group]
        return {Partition(*where): at.offset for where, at in stored.items()}

    def hinted() -> bool:
        source.hint({first: 7, second: 2})  # a fresh group may not have its coordinator yet
        source.poll(max_rows=1, max_bytes=1, timeout_s=0.0)
        return committed() == {first: 7, second: 2}

    until(hinted, "the committed offsets")
    source.hint({first: 9})
    source.close()  # the last hint is not lost
    assert committed() == {first: 9, second: 2}
    admin.close()


def test_both_writers_put_keys_into_the_same_partitions(tmp_path: Path, kafka_bootstrap: str) -> None:
    homes: list[dict[bytes | None, int]] = []
    for kind in CLIENTS:
        log = Log(kind, tmp_path, kafka_bootstrap)
        topic = log.topic(5)
        log.writer.append(topic, [(value, value) for value in numbered(100)])
        log.writer.flush()
        source = log.source()
        source.assign(dict.fromkeys(source.partitions(topic), 0))
        homes.append({v: n for n, values in values_of(read(source, 100)).items() for v in values})
        log.close()
    assert homes[0] == homes[1]


def test_message_that_the_broker_does_not_take_is_rejected(log: Log) -> None:
    topic = log.topic()
    with pytest.raises(LogRejected, match=r"append.* was rejected .*(TooLarge|SIZE_TOO_LARGE).*mend what the reason"):
        log.append(topic, [bytes(3_000_000)])
    log.append(topic, [b"fine"])


def test_topic_deleted_under_a_reader_is_unknown(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "QUIET_S", 0.0)
    partition = log.append(log.topic(), numbered(3))
    source = log.source()
    source.assign({partition: 0})
    read(source, 3)
    admin = KafkaAdminClient(bootstrap_servers=log.bootstrap)
    admin.delete_topics([partition.topic])
    admin.close()
    with pytest.raises(UnknownTopic, match=partition.topic):
        poll_until_it_raises(source, [])


def poll_until_it_raises(source: LogSource, got: list[LogBatch]) -> None:
    """What comes before that is added to ``got``."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        got += source.poll(max_rows=20, max_bytes=PLENTY, timeout_s=0.1)


def authenticated(broker: Broker, password: str, *, reach_within_s: float = 10.0) -> KafkaSettings:
    settings = KafkaSettings.from_environment(
        {
            "SEQPLAT_KAFKA_BOOTSTRAP": f"127.0.0.1:{broker.auth_port}",
            "SEQPLAT_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "SEQPLAT_KAFKA_SASL_MECHANISM": "PLAIN",
            "SEQPLAT_KAFKA_SASL_USERNAME": USER,
            "SEQPLAT_KAFKA_SASL_PASSWORD": password,
        }
    )
    return replace(settings, reach_within_s=reach_within_s)


@pytest.mark.parametrize("kind", CLIENTS)
def test_right_password_is_let_in(broker: Broker, tmp_path: Path, kind: str) -> None:
    log = Log(kind, tmp_path, broker.bootstrap, settings=authenticated(broker, PASSWORD))
    partition = log.append(log.topic(), numbered(3))
    source = log.source()
    source.assign({partition: 0})
    assert values_of(read(source, 3)) == {0: numbered(3)}
    log.close()


@pytest.mark.filterwarnings(FORGOTTEN)
@pytest.mark.usefixtures("forgotten_sockets")
@pytest.mark.parametrize("client", [KafkaPythonSource, KafkaPythonWriter, ConfluentSource, ConfluentWriter])
def test_wrong_password_is_told_and_is_in_no_text(
    broker: Broker, client: type, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "hunter2-hunter2"
    with pytest.raises((LogAccessDenied, LogUnreachable)) as raised:
        client(authenticated(broker, secret, reach_within_s=2.0)).partitions("clicks")
    text = str(raised.value)
    if client in (ConfluentSource, ConfluentWriter):
        assert "was refused (_AUTHENTICATION: " in text
        assert "check SEQPLAT_KAFKA_SASL_*" in text
    else:  # that client is not told, see sources/log/kafka/python.py
        assert "it takes connections and drops them: wait until it is up, or check" in text
    assert f"Kafka at 127.0.0.1:{broker.auth_port}" in text
    assert secret not in f"{raised.value!r} {text} {raised.value.__cause__!r} {caplog.text} {capfd.readouterr()}"


@pytest.mark.slow
@pytest.mark.filterwarnings(FORGOTTEN)
@pytest.mark.usefixtures("forgotten_sockets")
@pytest.mark.parametrize("kind", CLIENTS)
def test_reader_tells_that_the_broker_is_away_and_goes_on_when_it_is_back(
    broker: Broker, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(polling, "QUIET_S", 0.5)
    broker.start()
    log = Log(kind, tmp_path, broker.bootstrap, settings=KafkaSettings(broker.bootstrap, reach_within_s=2.0))
    partition = log.append(log.topic(), numbered(20))
    source = log.source(group="readers")
    source.assign({partition: 0})
    got = read(source, 10, max_rows=10)

    broker.kill()
    with pytest.raises(LogUnreachable, match=f"no answer within 2 s, from Kafka at {broker.bootstrap}"):
        poll_until_it_raises(source, got)
    source.hint({partition: 10})  # never raises

    broker.start()
    log.writer.append(partition.topic, [(None, b"back")], partition=0)
    log.writer.flush()
    deadline = time.monotonic() + WITHIN_S
    while source.positions()[partition] < 21 and time.monotonic() < deadline:
        try:
            got += source.poll(max_rows=20, max_bytes=PLENTY, timeout_s=0.5)
        except LogUnreachable:
            continue
    assert values_of(got) == {0: [*numbered(20), b"back"]}  # what the broker acknowledged, once
    began = time.monotonic()
    log.close()
    assert time.monotonic() - began < 10


@pytest.mark.slow
@pytest.mark.filterwarnings(FORGOTTEN)
@pytest.mark.usefixtures("forgotten_sockets")
@pytest.mark.parametrize("kind", CLIENTS)
def test_closing_does_not_wait_for_a_broker_that_is_away(broker: Broker, tmp_path: Path, kind: str) -> None:
    broker.start()
    log = Log(kind, tmp_path, broker.bootstrap, settings=KafkaSettings(broker.bootstrap, reach_within_s=2.0))
    partition = log.append(log.topic(), numbered(2))
    source = log.source(group="closers")
    source.assign({partition: 0})
    read(source, 2)
    broker.kill()
    source.hint({partition: 2})
    began = time.monotonic()
    source.close()
    assert time.monotonic() - began < 10
    log.close()
