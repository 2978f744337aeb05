"""A log in Kafka, through confluent-kafka (extra ``confluent``): the C library, several times as fast."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

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
_CHUNK = 10_000
# The client returns when it has the messages asked for or time is up, so that is how soon enough bytes are noticed.
_SLICE_S = 0.05
# Closing waits so long for hints that a broker which is away does not answer. The option is meant for members of a
# group, and these sources never join one.
_HINT_WITHIN_MS = 2_000
# The client needs a group even where nothing is committed.
_NO_GROUP = "seqplat-without-group"
_BY_KEY = -1  # the client's word for leaving the partition to its partitioner
_DENIED = DENIED | {KafkaError._AUTHENTICATION}
_AWAY = frozenset(
    {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE}
    | {KafkaError._MSG_TIMED_OUT}
)
# Also what the client itself says when a broker left.
_PASSING = PASSING | {KafkaError._DESTROY_BROKER}
# Partitions of a topic that was just created, or whose broker is gone, have no leader for a moment.
_ELECTING = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
_ASK_AGAIN_S = 0.1
_UNKNOWN = frozenset({UNKNOWN_TOPIC, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})


class ConfluentSource(PolledSource):
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
        self._client = _Client(settings, serve=self._serve)
        self._admin: AdminClient | None = None
        with self._client.translated_errors("opening a reader"):
            self._consumer: Consumer | None = Consumer(
                {
                    **self._client.options(client_id),
                    "group.id": group or _NO_GROUP,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "error",
                    "isolation.level": "read_committed",
                    "allow.auto.create.topics": False,
                    # The end of a partition tells the offset behind transaction markers, which no message does.
                    "enable.partition.eof": True,
                    "on_commit": self._hinted,
                    "session.timeout.ms": _HINT_WITHIN_MS,
                    "heartbeat.interval.ms": _HINT_WITHIN_MS // 2,
                    # What is fetched ahead per partition bounds memory, and how long another one may have to wait.
                    "queued.min.messages": 20_000,
                    "queued.max.messages.kbytes": 16_384,
                    "fetch.wait.max.ms": 100,
                    # With the queue full the client would look again only after a second.
                    "fetch.queue.backoff.ms": 10,
                }
            )

    def partitions(self, topic: str) -> list[Partition]:
        with self._client.translated_errors(f"looking for topic {topic!r}"):
            found = self._open.list_topics(topic, timeout=self._settings.reach_within_s).topics[topic]
            if found.error is None:
                return [Partition(topic, number) for number in sorted(found.partitions)]
            if found.error.code() not in _UNKNOWN:
                raise KafkaException(found.error)
            present = sorted(self._open.list_topics(timeout=self._settings.reach_within_s).topics)
        raise UnknownTopic(f"topic {topic!r}", where=self._where, present=present)

    def identity(self, topic: str) -> str:
        within_s = self._settings.reach_within_s
        self._admin = self._admin or AdminClient(self._client.options("seqplat"))
        described = self._admin.describe_topics(TopicCollection([topic]), request_timeout=within_s)[topic]
        with self._client.translated_errors(f"looking for topic {topic!r}"):
            try:
                found = described.result(within_s).topic_id
            except KafkaException as error:
                if error.args[0].code() == KafkaError._UNSUPPORTED_FEATURE:  # a broker before 2.8
                    return ""
                raise
        halves = (found.get_most_significant_bits(), found.get_least_significant_bits())
        return "".join(f"{half % (1 << 64):016x}" for half in halves)

    def start_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self._offsets(partitions, OFFSET_BEGINNING)

    def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self._offsets(partitions, OFFSET_END)

    def hint(self, positions: Mapping[Partition, int]) -> None:
        if self._group is None or not positions:
            return
        offsets = [TopicPartition(*partition, offset) for partition, offset in positions.items()]
        try:
            self._open.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._hint_failed(error.args[0])

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
        self._consumer = None

    def _seek(self, positions: Mapping[Partition, int]) -> None:
        with self._client.translated_errors("assigning partitions"):
            self._open.unassign()  # messages fetched for the old positions are not delivered any more
            self._open.assign([TopicPartition(*partition, offset) for partition, offset in positions.items()])

    def _pull(self, backlog: Backlog, max_rows: int, max_bytes: int, timeout_s: float) -> None:
        rows = backlog.rows_to_fetch(max_rows, max_bytes, at_most=_CHUNK)
        with self._client.translated_errors("reading"):
            messages = self._open.consume(rows, min(timeout_s, _SLICE_S))
        runs: dict[tuple[str | None, int | None], list[Message]] = {}
        for message in messages:
            if message.error() is None:
                key = (message.topic(), message.partition())
                if key in runs:
                    runs[key].append(message)
                else:
                    runs[key] = [message]
        for run in runs.values():
            backlog.add(_batch(run))
        for message in messages:
            if (error := message.error()) is not None:
                self._heed(backlog, message, error)

    def _heed(self, backlog: Backlog, message: Message, error: KafkaError) -> None:
        """Act on what stands between the messages."""
        partition, offset = Partition(message.topic() or "", message.partition() or 0), message.offset() or 0
        if error.code() == KafkaError._PARTITION_EOF:
            backlog.skip_to(partition, offset)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            start = self._out_of_range(partition, offset)
            backlog.skip_to(partition, start)
            # The client has stopped reading the partition and does not seek in it: all are assigned again.
            self._seek({p: backlog.fetched_to(p) for p in backlog.positions})
        else:
            raise self._client.translated(error, f"reading {partition}")

    def _offsets(self, partitions: Iterable[Partition], time_ms: int) -> dict[Partition, int]:
        """The first offsets at or after a time, where -1 and -2 are times for the end and the start."""
        wanted = list(partitions)
        if not wanted:
            return {}
        what = f"asking for the offsets of {', '.join(map(str, wanted))}"
        asked = [TopicPartition(*partition, time_ms) for partition in wanted]
        try:
            with self._client.translated_errors(what):
                found = self._led_offsets(asked)
        except UnknownTopic as error:
            known = [p for topic in sorted({p.topic for p in wanted}) for p in self.partitions(topic)]
            missing = next((p for p in wanted if p not in known), None)
            if missing is None:  # a broker that is starting has not heard of all it has
                raise LogFailure(what, where=self._where, reason="it did not know of a partition it has") from error
            raise UnknownTopic(f"partition {missing}", where=self._where, present=[str(p) for p in known]) from error
        return {Partition(f.topic, f.partition): f.offset for f in found}

    def _led_offsets(self, asked: list[TopicPartition]) -> list[TopicPartition]:
        """What the leaders say, who may have to be elected first."""
        until = time.monotonic() + self._settings.reach_within_s
        while True:
            found, failed = list[TopicPartition](), list[KafkaError]()
            try:
                found = self._open.offsets_for_times(asked, timeout=self._settings.reach_within_s)
                failed = [f.error for f in found if f.error is not None]
            except KafkaException as error:  # so it says where all have none
                failed = [error.args[0]]
            if not failed:
                return found
            others = [error for error in failed if error.code() not in _ELECTING]
            if others or time.monotonic() > until:
                raise KafkaException((others or failed)[0])
            time.sleep(_ASK_AGAIN_S)

    @property
    def _open(self) -> Consumer:
        if self._consumer is None:
            raise ValueError("this log source is closed, in seqplat_resources.sources.log; open another one")
        return self._consumer

    def _serve(self) -> None:
        if not self._open.assignment():  # else it might take a message
            self._open.poll(0)

    def _hinted(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._hint_failed(error)

    def _hint_failed(self, error: KafkaError) -> None:
        reason = self._settings.redact(error.str())
        _log.warning("the lag hint of group %s did not reach %s: %s", self._group, self._where, reason)


class ConfluentWriter:
    """Waits for all replicas and does not repeat records on retries. Keys go where kafka-python puts them."""

    def __init__(self, settings: KafkaSettings, *, client_id: str = "seqplat") -> None:
        self._settings, self._client = settings, _Client(settings, serve=lambda: self._producer.poll(0))
        self._failure: KafkaError | None = None
        self._options = self._client.options(client_id)
        with self._client.translated_errors("opening a writer"):
            self._producer = Producer(
                {
                    **self._options,
                    "enable.idempotence": True,
                    "partitioner": "murmur2_random",
                    "linger.ms": 5,
                    "allow.auto.create.topics": False,
                }
            )
            self._producer.list_topics(timeout=settings.reach_within_s)

    def create_topic(self, topic: str, partitions: int) -> None:
        within_s = self._settings.reach_within_s
        with self._client.translated_errors(f"creating topic {topic!r}"):
            admin = AdminClient(self._options)
            created = admin.create_topics([NewTopic(topic, partitions)], request_timeout=within_s)[topic]
            try:
                created.result(within_s)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
            until = time.monotonic() + within_s
            while not (present := len(admin.list_topics(topic, timeout=within_s).topics[topic].partitions)):
                if time.monotonic() > until:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
                time.sleep(0.02)  # brokers hear of a new topic a moment after its creation is acknowledged
        if present != partitions:
            raise TopicDiffers(topic, partitions=present, asked=partitions, where=self._settings.where)

    def append(self, topic: str, records: Sequence[Record], *, partition: int | None = None) -> None:
        number = _BY_KEY if partition is None else partition
        with self._client.translated_errors(f"appending to topic {topic!r}"):
            for key, value in records:
                while True:
                    try:
                        self._producer.produce(topic, value, key, number, on_delivery=self._delivered)
                        break
                    except BufferError:  # its queue is full: serve answers until there is room
                        self._producer.poll(0.1)
            self._producer.poll(0)

    def flush(self) -> None:
        with self._client.translated_errors("appending"):
            self._producer.flush()
            failure, self._failure = self._failure, None
            if failure is not None:
                raise KafkaException(failure)

    def close(self) -> None:
        self.flush()

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failure = self._failure or error


class _Client:
    """What readers and writers share: options, and errors in the words of the platform."""

    def __init__(self, settings: KafkaSettings, *, serve: Callable[[], object]) -> None:
        self._settings, self._serve = settings, serve
        # The client retries for ever and reports why on the side, when it is served; a refusal is told from silence
        # only by this.
        self._refusal: KafkaError | None = None
        self._refused_at = 0.0

    def options(self, client_id: str) -> dict[str, Any]:
        return {
            **self._settings.for_librdkafka(),
            "client.id": client_id,
            "error_cb": self._noted,
            "log_level": 2,  # it would write a line to stderr for every attempt to connect
            "socket.timeout.ms": int(self._settings.reach_within_s * 1000),
            "reconnect.backoff.max.ms": 1000,
        }

    @contextmanager
    def translated_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise self.translated(error.args[0], what) from error
        except TimeoutError as error:  # of who waited for an answer; the client still does
            settings = self._settings
            raise LogUnreachable(what, where=settings.where, waited_s=settings.reach_within_s) from error

    def translated(self, error: KafkaError, what: str) -> SeqplatError:
        settings = self._settings
        if error.code() in _AWAY:
            self._serve()
            recent = time.monotonic() - self._refused_at < 2 * settings.reach_within_s
            error = self._refusal if self._refusal is not None and recent else error
        reason = settings.redact(f"{error.name()}: {error.str()}")
        if error.code() in _DENIED:
            return LogAccessDenied(what, where=settings.where, reason=reason)
        if error.code() in _AWAY:
            return LogUnreachable(what, where=settings.where, waited_s=settings.reach_within_s)
        if error.code() in _UNKNOWN:
            return UnknownTopic(what, where=settings.where, present=[])
        if error.retriable() or error.code() in _PASSING:
            return LogFailure(what, where=settings.where, reason=reason)
        return LogRejected(what, where=settings.where, reason=reason)

    def _noted(self, error: KafkaError) -> None:
        if error.code() in _DENIED:
            self._refusal, self._refused_at = error, time.monotonic()


def _batch(run: Sequence[Message]) -> LogBatch:
    offsets = [m.offset() or 0 for m in run]
    timestamps_ms = [m.timestamp()[1] for m in run]
    partition = Partition(run[0].topic() or "", run[0].partition() or 0)
    return LogBatch(partition, offsets, timestamps_ms, [m.value() for m in run], offsets[-1] + 1)
