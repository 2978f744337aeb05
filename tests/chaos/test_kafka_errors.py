"""What a broker that was killed and came back answers for a moment, as campaigns met it: to be tried again."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError

from seqplat_resources.errors import Retryable
from seqplat_resources.sources.log import Partition
from seqplat_resources.sources.log.errors import LogUnreachable
from seqplat_resources.sources.log.kafka.confluent import ConfluentSource
from seqplat_resources.sources.log.kafka.settings import KafkaSettings


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError._DESTROY_BROKER])
def test_what_passes_when_a_broker_is_back_is_retryable(code: int) -> None:
    source = ConfluentSource(KafkaSettings("127.0.0.1:1"))
    try:
        assert isinstance(source._client.translated(KafkaError(code), "asking for the offsets"), Retryable)
    finally:
        source.close()


def test_an_answer_that_never_comes_is_a_log_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker was stopped between a request and its answer: who waits is told of time, and not by the client."""
    source = ConfluentSource(KafkaSettings("127.0.0.1:1", reach_within_s=0.01))
    describing = SimpleNamespace(describe_topics=lambda *_, **__: {"visits": Future()})
    monkeypatch.setattr(source, "_admin", describing)
    try:
        with pytest.raises(LogUnreachable, match=r"looking for topic 'visits': no answer within 0\.01 s"):
            source.identity("visits")
    finally:
        source.close()


def test_a_partition_that_is_there_after_all_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked while the broker starts, it does not know the partition; asked what there is a moment later, it does."""
    unknown = SimpleNamespace(error=KafkaError(KafkaError._UNKNOWN_PARTITION))
    client = SimpleNamespace(offsets_for_times=lambda asked, timeout: [unknown for _ in asked])
    source = ConfluentSource(KafkaSettings("127.0.0.1:1"))
    monkeypatch.setattr(ConfluentSource, "partitions", lambda self, topic: [Partition(topic, 0)])
    try:
        with monkeypatch.context() as patched:
            patched.setattr(ConfluentSource, "_open", property(lambda self: client))
            with pytest.raises(Retryable):
                source.end_offsets([Partition("visits", 0)])
    finally:
        source.close()
