"""Both clients take a broker's word for the same: what passes, what is missing, what is refused, what is final."""

from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from kafka import errors

from seqplat_resources.sources.log import Partition
from seqplat_resources.sources.log.errors import LogAccessDenied, LogFailure, LogRejected, UnknownTopic
from seqplat_resources.sources.log.kafka import confluent, python
from seqplat_resources.sources.log.kafka.codes import DENIED, PASSING, UNKNOWN_TOPIC
from seqplat_resources.sources.log.kafka.python import KafkaPythonSource
from seqplat_resources.sources.log.kafka.settings import KafkaSettings
from tests.sources.log.logs import Log

SETTINGS = KafkaSettings("127.0.0.1:1", reach_within_s=0.1)
BY_NUMBER = {
    each.errno: each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.KafkaError) and isinstance(getattr(each, "errno", None), int)
}


def by_kafka_python(number: int) -> Exception:
    return python._translated(BY_NUMBER[number]("said"), "reading", SETTINGS)


def by_confluent(number: int) -> Exception:
    client = confluent._Client(SETTINGS, serve=lambda: None)
    return client.translated(KafkaError(number), "reading")


def expected(number: int) -> type[Exception]:
    if number == UNKNOWN_TOPIC:
        return UnknownTopic
    return LogAccessDenied if number in DENIED else LogFailure if number in PASSING else LogRejected


def test_an_error_of_a_broker_is_the_same_to_both_clients() -> None:
    assert len(BY_NUMBER) > 100
    assert {number: type(by_kafka_python(number)) for number in BY_NUMBER} == {n: expected(n) for n in BY_NUMBER}
    assert {number: type(by_confluent(number)) for number in BY_NUMBER} == {n: expected(n) for n in BY_NUMBER}


def test_elections_pass() -> None:
    names = ("LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION", "UNKNOWN_LEADER_EPOCH", "FENCED_LEADER_EPOCH")
    assert {getattr(KafkaError, name) for name in names} <= PASSING


def test_a_broker_that_has_not_heard_of_what_it_has_is_asked_again(
    tmp_path: Path, kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was just started: the topic is in its metadata, and its leaders say that it is unknown."""
    log = Log("kafka", tmp_path, kafka_bootstrap)
    partition = log.append(log.topic(), [b"1"])
    source = log.source()
    assert isinstance(source, KafkaPythonSource)

    def ask(*_: object, **__: object) -> None:
        raise errors.UnknownTopicOrPartitionError

    monkeypatch.setattr(source._consumer, "end_offsets", ask)
    with pytest.raises(LogFailure, match="it did not know of a partition it has"):
        source.end_offsets([partition])
    with pytest.raises(UnknownTopic, match=f"partition {partition.topic}:7"):
        source.end_offsets([Partition(partition.topic, 7)])
    log.close()
