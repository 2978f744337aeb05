"""The Kafka the stream benchmarks run against, and topics filled before anybody is measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks import messages
from seqplat_resources.sources.log.kafka.settings import BOOTSTRAP
from tests.kafka_broker import Broker, fetch_jars
from tests.ports import free_ports

PARTITIONS = 4
WITHIN_S = 30.0


@contextmanager
def broker(scratch: Path) -> Iterator[str]:
    """The address of a broker: ``SEQPLAT_KAFKA_BOOTSTRAP``, or one of our own, ended afterwards; its topics stay.

    Raises:
        BrokerError: there is none, and none can be started.
    """
    if running := os.environ.get(BOOTSTRAP):
        yield running
        return
    fetch_jars()
    port, controller_port = free_ports(2)
    own = Broker(scratch / "kafka", port, controller_port)
    own.stop()  # one that an interrupted run has left behind; nobody else uses the scratch folder
    own.start()
    try:
        yield own.bootstrap
    finally:
        own.stop()


def ensure_topic(bootstrap: str, count: int) -> str:
    """The name of a topic that holds exactly the first ``count`` messages, keyed by user."""
    topic = f"bench-v{messages.GENERATOR_VERSION}-{count}"
    if _held(bootstrap, topic) != count:
        fresh_topic(bootstrap, topic)
        _fill(bootstrap, topic, count)
    return topic


def fresh_topic(bootstrap: str, topic: str) -> None:
    """An empty topic of ``PARTITIONS`` partitions whose messages bear the broker's time."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    if topic in admin.list_topics(timeout=WITHIN_S).topics:
        admin.delete_topics([topic])[topic].result(WITHIN_S)
        _wait(lambda: topic not in admin.list_topics(timeout=WITHIN_S).topics)
    config = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
    admin.create_topics([NewTopic(topic, PARTITIONS, config=config)])[topic].result(WITHIN_S)
    _wait(lambda: len(admin.list_topics(topic, timeout=WITHIN_S).topics[topic].partitions) == PARTITIONS)


def producer(bootstrap: str) -> Producer:
    """One that puts a key where every client would."""
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
        }
    )


def _fill(bootstrap: str, topic: str, count: int) -> None:
    sender = producer(bootstrap)
    for chunk in messages.chunks(count):
        keys = chunk["user_id"].cast(str).to_list()
        for key, value in zip(keys, messages.values(chunk).to_list(), strict=True):
            while True:
                try:
                    sender.produce(topic, value, key)
                    break
                except BufferError:
                    sender.poll(0.1)
        sender.poll(0)
    sender.flush()
    if (held := _held(bootstrap, topic)) != count:
        raise RuntimeError(f"topic {topic} holds {held} of {count} messages; delete it and run again")


def _held(bootstrap: str, topic: str) -> int:
    """Messages in a topic; -1 where there is none."""
    if topic not in AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=WITHIN_S).topics:
        return -1
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench-looks"})
    marks = [reader.get_watermark_offsets(TopicPartition(topic, n), timeout=WITHIN_S) for n in range(PARTITIONS)]
    reader.close()
    return sum(high - low for low, high in marks)


def _wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN_S
    while not done():
        if time.monotonic() > until:
            raise TimeoutError(f"the broker did not do it within {WITHIN_S:.0f} s")
        time.sleep(0.05)
