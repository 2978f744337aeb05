"""A service of streams: it waits for what is away, keeps the last good release, takes up a new one between batches."""

import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from seqplat_resources.batch.builds import events
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.registry import ExecutorChanged
from seqplat_resources.errors import Final, Retryable
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.log import LogSource
from seqplat_resources.sources.log.errors import CorruptLog, LogUnreachable, OffsetsAhead, TopicMadeAnew
from seqplat_resources.sources.log.kafka.confluent import ConfluentWriter
from seqplat_resources.sources.log.kafka.settings import KafkaSettings
from seqplat_resources.sources.log.opening import open_log_source
from seqplat_resources.stream import lake, service
from seqplat_resources.stream.loop import Pace, StreamLoop
from seqplat_resources.stream.service import NothingStreamed, StreamService
from seqplat_resources.stream.trouble import Troubles
from sequence_defs.schema import Column, Source
from tests.building import runtime_for, utc
from tests.kafka_broker import private_broker, why_not
from tests.sources.log.logs import until
from tests.stream.world import DAYS, DEFINITIONS, TOPIC, Shop, event_type, source

PACE = Pace(rows=50, poll_s=0.02, keep_s=0.2, heartbeat_s=0.5)
second_type = event_type.model_copy(
    update={"name": "glance", "columns": (Column(name="click", dtype="int64", nullable=False),)}
)


class StoreAway(Retryable):
    """For a moment."""


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(service, "FIRST_WAIT_S", 0.05)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False))
    with closing(made.store):
        yield made


def clicked(numbers: range) -> list[dict[str, Any]]:
    row = {"member": "ann", "at": utc(2024, 5, 1, 12), "received": utc(2024, 5, 4), "amount": 1}
    return [row | {"click": n, "partition": n % 2} for n in numbers]


def made(shop: Shop, load: Callable[[], Runtime] | None = None, **changes: Any) -> StreamService:
    environment = {"SEQPLAT_LOG": "file", "SEQPLAT_LOG_DIR": str(shop.folder / "log")}
    arguments: dict[str, Any] = {"environment": environment, "pace": PACE, "report_s": 0.0, **changes}
    return StreamService(load or (lambda: shop.runtime), shop.store, **arguments)


@contextmanager
def running(streams: StreamService) -> Iterator[list[BaseException]]:
    """In a thread until the block ends; the errors it ended by are for the caller."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            streams.run()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield errors
    finally:
        streams.stop.set()
        thread.join(60)
        assert not thread.is_alive()


def seen(shop: Shop, messages: int) -> Callable[[], bool]:
    return lambda: sum(shop.streamed().values()) == messages


def pauses(caplog: pytest.LogCaptureFixture) -> list[float]:
    """Before each new attempt, in seconds."""
    return [record.args[2] for record in caplog.records if "again in" in record.msg]  # type: ignore[index,misc]


def served(shop: Shop) -> int:
    return tables.served(shop.runtime, EventPlan.of(shop.runtime.loaded, "click")).scan().collect().height


def archived(shop: Shop) -> int:
    found = tables.archive(shop.runtime, shop.plan.source).scan().select("_partition", "_offset").collect()
    assert found.unique().height == found.height
    return found.height


def test_what_was_read_is_kept_when_it_stops(shop: Shop) -> None:
    shop.say(clicked(range(30)))
    told: list[int] = []
    streams = made(shop, report=lambda name, tally, lag: told.append(tally.messages))
    with running(streams) as errors:
        until(seen(shop, 30), "the messages")
    assert errors == []
    assert archived(shop) == 30
    assert sum(told) == 30


def test_a_log_that_is_away_is_asked_again_with_growing_pauses(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shop.say(clicked(range(10)))
    asked: list[int] = []

    def away(*args: Any, **options: Any) -> LogSource:
        asked.append(1)
        if len(asked) <= 3:
            raise LogUnreachable("opening", where="the log", waited_s=0)
        return open_log_source(*args, **options)

    monkeypatch.setattr(service, "open_log_source", away)
    with caplog.at_level(logging.WARNING), running(made(shop)) as errors:
        until(seen(shop, 10), "the messages")
    assert errors == []
    assert pauses(caplog) == [0.05, 0.1, 0.2]


def test_a_store_that_is_away_costs_no_message_and_doubles_none(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two attempts of three fail; the third works, so that pauses never grow."""
    shop.say(clicked(range(40)))
    advance, tried = shop.store.advance, [0]

    def sometimes(*arguments: Any) -> None:
        tried[0] += 1
        if tried[0] % 3 == 1:
            raise StoreAway("not now")
        advance(*arguments)
        if tried[0] % 3 == 2:
            raise StoreAway("done, but nobody heard of it")

    monkeypatch.setattr(shop.store, "advance", sometimes)
    pace = Pace(rows=4, poll_s=0.0, keep_s=0.0, heartbeat_s=1e9)
    with caplog.at_level(logging.WARNING), running(made(shop, pace=pace)) as errors:
        until(seen(shop, 40), "the messages")
        monkeypatch.setattr(shop.store, "advance", advance)
        until(lambda: archived(shop) == 40, "the archive")
    assert errors == []
    assert len(pauses(caplog)) > 6
    assert max(pauses(caplog)) < 0.3
    assert len(shop.answer("ann")) == 40
    assert archived(shop) == 40


def test_a_release_that_cannot_be_loaded_changes_nothing(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    loads: list[int] = []

    def load() -> Runtime:
        loads.append(1)
        if len(loads) > 2:  # once for the names of the sources, once for the stream
            raise Final("the release is damaged")
        return shop.runtime

    shop.say(clicked(range(10)))
    with caplog.at_level(logging.WARNING), running(made(shop, load)) as errors:
        until(lambda: len(loads) > 4, "some attempts")
        shop.say(clicked(range(10, 20)))
        until(seen(shop, 20), "the messages after them")
    assert errors == []
    assert "going on with release" in caplog.text
    assert len(shop.answer("ann")) == 20


def test_a_new_release_is_taken_up_between_batches(shop: Shop) -> None:
    """An event type that is new on the same topic is made of the messages from then on; batch adds those before."""
    current = [shop.runtime]
    shop.say(clicked(range(10)))
    with running(made(shop, lambda: current[0])) as errors:
        until(seen(shop, 10), "the first messages")
        newer = runtime_for(shop.runtime.home, (*DEFINITIONS, second_type), shop.folder, clock=shop.clock)
        current[0] = newer
        plan = EventPlan.of(newer.loaded, "glance")
        numbers = iter(range(10, 1000))

        def glanced() -> bool:
            shop.say(clicked(range(n := next(numbers), n + 1)))
            return tables.served(newer, plan).exists() and tables.served(newer, plan).scan().collect().height > 0

        until(glanced, "the new event type")
        until(seen(shop, len(shop.messages)), "all messages")
    assert errors == []
    assert archived(shop) == len(shop.messages)
    served = {
        name: tables.served(newer, EventPlan.of(newer.loaded, name)).scan().collect()["event_id"].to_list()
        for name in ("click", "glance")
    }
    assert sorted(served["click"], key=int) == [str(n) for n in range(len(shop.messages))]
    assert 0 < len(served["glance"]) == len(set(served["glance"])) <= len(shop.messages) - 10
    list(events.build(newer, "glance", DAYS))
    assert tables.events(newer, plan).scan().collect().height == len(shop.messages)


carts = next(d for d in DEFINITIONS if isinstance(d, Source)).model_copy(update={"name": "carts", "topic": "carts"})
cart_type = second_type.model_copy(update={"name": "cart", "source": "carts"})


def test_a_source_that_cannot_go_on_is_seen_and_costs_no_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its topic is missing; when it is there, the source goes on by itself."""
    monkeypatch.setattr(service, "LONGEST_FINAL_WAIT_S", 0.4)
    runtime = runtime_for(shop.runtime.home, (*DEFINITIONS, carts, cart_type), shop.folder, clock=shop.clock)
    troubles, plan = Troubles(runtime.home), EventPlan.of(runtime.loaded, "cart")
    shop.say(clicked(range(10)))
    with caplog.at_level(logging.WARNING), running(made(shop, lambda: runtime)) as errors:
        until(seen(shop, 10), "the messages of the other")
        until(lambda: len(pauses(caplog)) >= 5, "five attempts")
        noted = troubles.of(["carts", "clicks"])
        assert noted.keys() == {"carts"}
        assert "carts" in noted["carts"].message
        assert noted["carts"].attempts >= 4
        assert noted["carts"].again_at
        shop.say(clicked(range(10, 20)))
        until(seen(shop, 20), "messages while it fails")
        with closing(shop.writer()) as writer:
            writer.create_topic("carts", 1)
            writer.append("carts", [(None, message(1))], partition=0)
            writer.flush()
        served = tables.served(runtime, plan)
        until(lambda: served.exists() and served.scan().collect().height == 1, "its message")
        until(lambda: not troubles.of(["carts"]), "the end of its trouble")
    assert errors == []
    assert pauses(caplog)[:5] == [0.05, 0.1, 0.2, 0.4, 0.4]


@pytest.mark.parametrize("raised", [Final("not without a change"), ValueError("a bug"), SystemExit(3)])
def test_what_fails_when_the_service_stops_is_what_it_ends_with(
    shop: Shop, raised: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whatever kind: an executor may even exit. The note says that nobody will try again."""
    runtime = runtime_for(shop.runtime.home, (*DEFINITIONS, carts, cart_type), shop.folder, clock=shop.clock)
    once = StreamLoop.once

    def fails(loop: StreamLoop) -> int:
        if loop.source_name == "carts":
            raise raised
        return once(loop)

    monkeypatch.setattr(StreamLoop, "once", fails)
    with closing(shop.writer()) as writer:
        writer.create_topic("carts", 1)
    shop.say(clicked(range(10)))
    with running(made(shop, lambda: runtime)) as errors:
        until(seen(shop, 10), "the messages of the other")
        until(lambda: "carts" in Troubles(runtime.home).of(["carts"]), "the note")
    assert errors == [raised]
    noted = Troubles(runtime.home).of(["carts"])["carts"]
    assert noted.again_at is None
    assert str(raised) in noted.said


def test_pauses_grow_also_where_a_batch_is_shown_and_never_kept(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise StoreAway("the lake is away")

    shop.say(clicked(range(10)))
    monkeypatch.setattr(service, "LOOK_EVERY_S", 60.0)
    monkeypatch.setattr(lake, "append", refuse)
    with caplog.at_level(logging.WARNING), running(made(shop, pace=Pace(poll_s=0.02, keep_s=0.0, overlap=True))):
        until(lambda: len(pauses(caplog)) >= 4, "four attempts")
    assert pauses(caplog)[:4] == [0.05, 0.1, 0.2, 0.4]


def test_an_error_that_stays_of_all_sources_ends_the_service_and_says_why(shop: Shop) -> None:
    streams = made(shop, environment={"SEQPLAT_LOG": "file", "SEQPLAT_LOG_DIR": str(shop.folder / "elsewhere")})
    with running(streams) as errors:
        until(streams.stop.is_set, "the end")
    assert [type(error).__name__ for error in errors] == ["UnknownTopic"]
    assert TOPIC in str(errors[0])
    assert Troubles(shop.runtime.home).of(["clicks"])["clicks"].again_at is None


def test_a_source_that_is_not_streamed_is_named(shop: Shop) -> None:
    with pytest.raises(NothingStreamed, match="source 'orders' is not streamed; those that are: clicks"):
        made(shop, sources=["orders"]).run()


@pytest.mark.slow
def test_a_broker_that_comes_later_is_found(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    if missing := why_not():
        pytest.skip(missing)
    with private_broker(shop.folder / "kafka") as broker:
        settings = KafkaSettings(broker.bootstrap)
        with closing(ConfluentWriter(settings)) as writer:
            writer.create_topic(TOPIC, 2)
            writer.append(TOPIC, [(None, message(n)) for n in range(10)], partition=0)
            writer.flush()
        broker.kill()
        environment = {"SEQPLAT_LOG": "confluent", "SEQPLAT_KAFKA_BOOTSTRAP": broker.bootstrap}
        with caplog.at_level(logging.WARNING), running(made(shop, environment=environment)) as errors:
            until(lambda: "again in" in caplog.text, "an attempt that fails")
            broker.start()
            until(seen(shop, 10), "the messages")
        assert errors == []
    assert archived(shop) == 10


def message(number: int) -> bytes:
    return b'{"member":"ann","click":%d,"at":"2024-05-01","received":"2024-05-04","amount":1}' % number


def test_every_source_of_a_release_with_a_topic_is_streamed(shop: Shop) -> None:
    silent: Source = next(d for d in DEFINITIONS if isinstance(d, Source)).model_copy(update={"name": "x", "topic": ""})
    release = runtime_for(shop.folder / "other", (*DEFINITIONS, silent), shop.folder).release
    assert service.streamed_sources(release) == ["clicks"]


@pytest.mark.parametrize("count", [6, 40], ids=["shorter than before", "longer than before"])
def test_a_topic_that_was_made_again_is_not_read_on_from_the_old_offsets(shop: Shop, count: int) -> None:
    shop.say(clicked(range(20)))
    with closing(shop.loop()) as loop:
        while loop.once():
            pass
    before = shop.streamed()
    shutil.rmtree(shop.folder / "log" / TOPIC)
    with closing(shop.writer()) as writer:
        writer.create_topic(TOPIC, 2)
    shop.messages.clear()
    shop.say(clicked(range(100, 100 + count)))
    with closing(shop.loop()) as loop, pytest.raises(TopicMadeAnew, match="was deleted and made again") as raised:
        loop.once()
    assert shop.streamed() == before
    # Whoever knows better says so, and it is read as it always was: what it says is no more than was asked for.
    Path(str(raised.value).rpartition("delete ")[2]).unlink()
    with closing(shop.loop()) as loop:
        if count == 40:
            while loop.once():
                pass
        else:
            with pytest.raises(OffsetsAhead):
                loop.once()


def test_a_topic_whose_description_is_damaged_is_named(shop: Shop) -> None:
    described = shop.folder / "log" / TOPIC / "topic.json"
    for damage in (b"", b"{", b"[]", b'{"format": 1}'):
        described.write_bytes(damage)
        with closing(shop.loop()) as loop, pytest.raises(CorruptLog, match=r"topic\.json"):
            loop.once()


def test_streams_follow_whatever_a_release_changes_and_go_back_with_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a hole and without an end: a type, code that is not installed here, a source that is gone, one more."""
    follow = runtime_for
    shop.say(clicked(range(10)))
    value = Column(name="value", dtype="float64", sql="amount")
    typed = event_type.model_copy(update={"columns": (*event_type.columns[:1], value)})
    made_of = EventPlan.of.__func__  # type: ignore[attr-defined]

    def of(cls: type[EventPlan], loaded: Any, name: str) -> EventPlan:
        if loaded.release.event_types[name].description == "By code of tomorrow.":
            raise ExecutorChanged("it is not installed here")
        return made_of(cls, loaded, name)  # type: ignore[no-any-return]

    monkeypatch.setattr(EventPlan, "of", classmethod(of))
    first, home, ended = shop.runtime, shop.folder / "home", list[int]()
    close = StreamLoop.close

    def closed(loop: StreamLoop) -> None:
        close(loop)
        ended[:] = [] if shop.runtime.release.sources["clicks"].topic else [1]

    monkeypatch.setattr(StreamLoop, "close", closed)
    with running(made(shop)) as errors:
        until(seen(shop, 10), "the first")
        shop.runtime = follow(home, [typed if d is event_type else d for d in DEFINITIONS], clock=shop.clock)
        shop.say(clicked(range(10, 20)))
        until(lambda: served(shop) == 20, "those under another type")
        tomorrow = typed.model_copy(update={"description": "By code of tomorrow."})
        shop.runtime = follow(home, [tomorrow if d is event_type else d for d in DEFINITIONS], clock=shop.clock)
        shop.say(clicked(range(20, 30)))
        until(seen(shop, 30), "those that the release before still makes")
        quiet = source.model_copy(update={"topic": "", "location": "clicks.ndjson"})
        shop.runtime = follow(home, [quiet if d is source else d for d in DEFINITIONS], clock=shop.clock)
        shop.say(clicked(range(30, 40)))
        until(lambda: ended == [1], "the source to be let go")
        shop.runtime = first
        until(seen(shop, 40), "those after going back")
    assert errors == []
    assert archived(shop) == 40
    found = shop.answer("ann")
    assert sorted(int(row["event_id"]) for row in found) == list(range(40))
