"""A log in Kafka, through kafka-python: no C library, about 100 k small messages a second."""

import logging
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.structs import OffsetAndMetadata

from seqplat_resources.errors import SeqplatError
from seqplat_resources.sources.log.backlog import Backlog
from seqplat_resources.sources.log.contract import LogBatch, OnLost, Partition, Record
from seqplat_resources.sources.log.errors import (
    LogAccessDenied,
    LogFailure,
    LogRejected,
    LogUnreachable,
    TopicDiffers,
    UnknownTopic,
)
from seqplat_resources.sources.log.kafka.codes import DENIED, PASSING, UNKNOWN_TOPIC
from seqplat_resources.sources.log.kafka.settings import KafkaSettings
from seqplat_resources.sources.log.polling import PolledSource

_log = logging.getLogger(__name__)
# Messages asked of the client at a time; it has at most a fetched portion of 1 MB per partition ready.
_CHUNK = 10_000
# A hint is not worth holding up the loop for longer.
_HINT_WITHIN_MS = 2000
_DENIED = (
    errors.AuthorizationError,
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
)
_TALKATIVE = ("kafka.protocol.parser", "kafka.net.connection", "kafka.net.transport")
_AWAY = (errors.KafkaTimeoutError, errors.KafkaConnectionError, errors.NodeNotReadyError)


class KafkaPythonSource(PolledSource):
    """Committed messages only; ``group`` is nothing but the name under which hints are stored."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        group: str | None = None,
        client_id: str = "seqplat",
        on_lost: OnLost = "error",
    ) -> None:
        super().__init__(where=settings.where, on_lost=on_lost)
        self._settings, self._group = settings, group
        with _translated_errors("opening a reader", settings):
            self._consumer = _connected(
                KafkaConsumer,
                settings,
                client_id,
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_committed",
                allow_auto_create_topics=False,
                metrics_enabled=False,
                # Bigger portions cost memory per partition and let a busy one run further ahead of the others.
                max_partition_fetch_bytes=1 << 20,
            )

    def partitions(self, topic: str) -> list[Partition]:
        with _translated_errors(f"looking for topic {topic!r}", self._settings):
            topics = self._consumer.topics()
            numbers = self._consumer.partitions_for_topic(topic) if topic in topics else set()
        if not numbers:
            raise UnknownTopic(f"topic {topic!r}", where=self._where, present=sorted(topics))
        return [Partition(topic, number) for number in sorted(numbers)]

    def identity(self, topic: str) -> str:
        self.partitions(topic)  # has the client hear of all topics
        found = self._consumer._client.cluster.topic_id(topic)
        return found.hex if isinstance(found, UUID) else ""

    def start_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self._offsets(partitions, self._consumer.beginning_offsets)

    def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self._offsets(partitions, self._consumer.end_offsets)

    def hint(self, positions: Mapping[Partition, int]) -> None:
        if self._group is None or not positions:
            return
        offsets = {TopicPartition(*partition): OffsetAndMetadata(at, "", -1) for partition, at in positions.items()}
        try:
            self._consumer.commit(offsets, timeout_ms=_HINT_WITHIN_MS)
        except errors.KafkaError as error:
            reason = self._settings.redact(str(error) or type(error).__name__)
            _log.warning("the lag hint of group %s did not reach %s: %s", self._group, self._where, reason)

    def close(self) -> None:
        self._consumer.close(autocommit=False, timeout_ms=self._timeout_ms)

    def _seek(self, positions: Mapping[Partition, int]) -> None:
        with _translated_errors("assigning partitions", self._settings):
            self._consumer.assign([TopicPartition(*partition) for partition in positions])
            for partition, offset in positions.items():
                self._consumer.seek(TopicPartition(*partition), offset)

    def _pull(self, backlog: Backlog, max_rows: int, max_bytes: int, timeout_s: float) -> None:
        rows = backlog.rows_to_fetch(max_rows, max_bytes, at_most=_CHUNK)
        try:
            with _translated_errors("reading", self._settings):
                polled = self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=rows)
        except _OutOfRange as lost:
            for partition, wanted in lost.wanted.items():
                start = self._out_of_range(partition, wanted)
                backlog.skip_to(partition, start)
                self._consumer.seek(TopicPartition(*partition), start)
            return
        for source, records in polled.items():
            # The position may be further than the last message: behind it lie only transaction markers.
            after = max(records[-1].offset + 1, self._consumer.position(source))
            offsets = [r.offset for r in records]
            # The oldest message format has no times.
            timestamps_ms = [-1 if r.timestamp is None else r.timestamp for r in records]
            backlog.add(LogBatch(Partition(*source), offsets, timestamps_ms, [r.value for r in records], after))
        if not polled:
            for partition in backlog.positions:
                backlog.skip_to(partition, self._consumer.position(TopicPartition(*partition)) or 0)

    def _offsets(self, partitions: Iterable[Partition], ask: Callable[..., dict[Any, int]]) -> dict[Partition, int]:
        wanted = list(partitions)
        self._require_known(wanted)
        try:
            with _translated_errors(f"asking for the offsets of {', '.join(map(str, wanted))}", self._settings):
                found = ask([TopicPartition(*partition) for partition in wanted], timeout_ms=self._timeout_ms)
        except (LogUnreachable, UnknownTopic) as error:
            # A topic that was deleted since looks like a broker that is away, and a broker that is starting has not
            # heard of all it has.
            known = [p for topic in sorted({p.topic for p in wanted}) for p in self.partitions(topic)]
            if missing := [p for p in wanted if p not in known]:
                present = [str(partition) for partition in known]
                raise UnknownTopic(f"partition {missing[0]}", where=self._where, present=present) from error
            if isinstance(error, LogUnreachable):
                raise
            reason = "it did not know of a partition it has"
            raise LogFailure(error.what, where=self._where, reason=reason) from error
        return {partition: found[TopicPartition(*partition)] for partition in wanted}

    def _require_known(self, partitions: Sequence[Partition]) -> None:
        """Clients wait for unknown partitions as if they might still appear."""
        for topic in sorted({partition.topic for partition in partitions}):
            with _translated_errors(f"looking for topic {topic!r}", self._settings):
                numbers = self._consumer.partitions_for_topic(topic)
            known = {Partition(topic, number) for number in numbers} or set(self.partitions(topic))
            if missing := sorted({p for p in partitions if p.topic == topic} - known):
                present = [str(partition) for partition in sorted(known)]
                raise UnknownTopic(f"partition {missing[0]}", where=self._where, present=present)

    @property
    def _timeout_ms(self) -> int:
        return int(self._settings.reach_within_s * 1000)


class KafkaPythonWriter:
    """Waits for all replicas and does not repeat records on retries; about 25 k small messages a second."""

    def __init__(self, settings: KafkaSettings, *, client_id: str = "seqplat") -> None:
        self._settings, self._client_id = settings, client_id
        self._failure: BaseException | None = None
        with _translated_errors("opening a writer", settings):
            self._producer = _connected(
                KafkaProducer,
                settings,
                client_id,
                linger_ms=5,
                allow_auto_create_topics=False,
                max_block_ms=int(settings.reach_within_s * 1000),
                metrics_enabled=False,
            )

    def create_topic(self, topic: str, partitions: int) -> None:
        with _translated_errors(f"creating topic {topic!r}", self._settings):
            admin = _connected(KafkaAdminClient, self._settings, self._client_id)
            try:
                admin.create_topics({topic: {"num_partitions": partitions}}, wait_for_metadata=True)
            except errors.TopicAlreadyExistsError:
                present = len(admin.describe_topics([topic])[0]["partitions"])
                if present != partitions:
                    raise TopicDiffers(
                        topic, partitions=present, asked=partitions, where=self._settings.where
                    ) from None
            finally:
                admin.close()

    def append(self, topic: str, records: Sequence[Record], *, partition: int | None = None) -> None:
        with _translated_errors(f"appending to topic {topic!r}", self._settings):
            for key, value in records:
                self._producer.send(topic, value=value, key=key, partition=partition).add_errback(self._failed)

    def flush(self) -> None:
        with _translated_errors("appending", self._settings):
            self._producer.flush()
            failure, self._failure = self._failure, None
            if failure:
                raise failure

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._producer.close(timeout=self._settings.reach_within_s)

    def _failed(self, error: BaseException) -> None:
        self._failure = self._failure or error


class _OutOfRange(Exception):
    """The client's word for offsets that are not there."""

    def __init__(self, wanted: Mapping[Partition, int]) -> None:
        self.wanted = wanted


@contextmanager
def _translated_errors(what: str, settings: KafkaSettings) -> Iterator[None]:
    """Errors of the client become errors of the platform, with what was attempted and where."""
    try:
        yield
    except errors.OffsetOutOfRangeError as error:
        raise _OutOfRange({Partition(*source): offset for source, offset in error.args[0].items()}) from None
    except errors.KafkaError as error:
        raise _translated(error, what, settings) from error


def _translated(error: errors.KafkaError, what: str, settings: KafkaSettings) -> SeqplatError:
    reason = settings.redact(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    if isinstance(error, _DENIED) or getattr(error, "errno", None) in DENIED:
        return LogAccessDenied(what, where=settings.where, reason=reason)
    if isinstance(error, _AWAY):
        # NOTE: the client throws away an answer that arrives together with the end of the connection, which is how
        # a broker refuses a login. To call that final would end readers that only have to wait for a broker.
        return LogUnreachable(
            what,
            where=settings.where,
            waited_s=settings.reach_within_s,
            takes_connections=_takes_connections(settings.bootstrap),
        )
    number = getattr(error, "errno", None)
    if number == UNKNOWN_TOPIC:
        return UnknownTopic(what, where=settings.where, present=[])
    if number in PASSING or isinstance(error, errors.RetriableError):
        return LogFailure(what, where=settings.where, reason=reason)
    return LogRejected(what, where=settings.where, reason=reason)


def _no_wire_data(record: logging.LogRecord) -> bool:
    """At DEBUG the client logs every request, the password of a login included."""
    return record.levelno > logging.DEBUG


def _takes_connections(bootstrap: str) -> bool:
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=1.0).close()
        except (OSError, ValueError):
            continue
        return True
    return False


def _connected(make: Callable[..., Any], settings: KafkaSettings, client_id: str, **options: Any) -> Any:
    """A consumer, producer or admin client; if it cannot connect, its thread and sockets go with it."""
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_no_wire_data)
    reach_ms = int(settings.reach_within_s * 1000)
    connections: list[Any] = []

    def remembered(**config: Any) -> Any:
        connections.append(KafkaConsumer.DEFAULT_CONFIG["kafka_client"](**config))
        return connections[-1]

    try:
        return make(
            **settings.for_kafka_python(),
            client_id=client_id,
            bootstrap_timeout_ms=reach_ms,
            request_timeout_ms=reach_ms,
            reconnect_backoff_max_ms=1000,
            kafka_client=remembered,
            **options,
        )
    except BaseException:
        for connection in connections:
            connection.close()
        raise
