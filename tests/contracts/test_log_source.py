"""What every log promises its readers and writers, asked of each implementation."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqplat_resources.errors import SeqplatError
from seqplat_resources.sources.log import LogSource, Partition
from seqplat_resources.sources.log.errors import OffsetsAhead, OffsetsLost, TopicDiffers, UnknownTopic
from tests.sources.log.conftest import kafka_bootstrap  # noqa: F401
from tests.sources.log.logs import WITHIN_S, Log, numbered, read, until, values_of

PLENTY = 1 << 24


@pytest.fixture(params=["file", "kafka", "confluent"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    bootstrap = "" if request.param == "file" else request.getfixturevalue("kafka_bootstrap")
    made = Log(request.param, tmp_path / "log", bootstrap)
    yield made
    made.close()


def assigned(log: Log, partition: Partition, offset: int = 0) -> LogSource:
    source = log.source()
    source.assign({partition: offset})
    return source


def test_partitions_are_listed_in_order(log: Log) -> None:
    topic = log.topic(3)
    assert log.source().partitions(topic) == [Partition(topic, 0), Partition(topic, 1), Partition(topic, 2)]


def test_unknown_topic_is_refused_by_name(log: Log) -> None:
    source = log.source()
    nowhere = Partition("no-such-topic", 0)
    with pytest.raises(UnknownTopic, match="'no-such-topic' is not in "):
        source.partitions("no-such-topic")
    with pytest.raises(UnknownTopic, match="no-such-topic"):
        source.assign({nowhere: 0})
    with pytest.raises(UnknownTopic, match="no-such-topic"):
        source.end_offsets([nowhere])


def test_unknown_partition_is_refused_with_those_there_are(log: Log) -> None:
    topic = log.topic(2)
    with pytest.raises(UnknownTopic, match=f"partition {topic}:7 is not in .*{topic}:0, {topic}:1"):
        log.source().assign({Partition(topic, 0): 0, Partition(topic, 7): 0})


def test_empty_topic_starts_and_ends_at_zero_and_gives_nothing(log: Log) -> None:
    partition = Partition(log.topic(), 0)
    source = assigned(log, partition)
    assert source.start_offsets([partition]) == source.end_offsets([partition]) == {partition: 0}
    began = time.monotonic()
    assert source.poll(max_rows=10, max_bytes=PLENTY, timeout_s=0.3) == []
    assert time.monotonic() - began >= 0.3
    assert source.positions() == {partition: 0}


def test_messages_come_in_order_with_offsets_and_receipt_times(log: Log) -> None:
    before_ms = int(time.time() * 1000)
    partition = log.append(log.topic(), numbered(30))
    batches = read(assigned(log, partition), 30)
    assert values_of(batches) == {0: numbered(30)}
    assert [offset for batch in batches for offset in batch.offsets] == list(range(30))
    assert [batch.next_offset for batch in batches] == [batch.offsets[-1] + 1 for batch in batches]
    times = [at for batch in batches for at in batch.timestamps_ms]
    assert times == sorted(times)
    assert before_ms <= times[0] <= times[-1] <= time.time() * 1000
    assert {batch.partition for batch in batches} == {partition}
    assert sum(batch.size_bytes for batch in batches) == 30 * 100


def test_reading_starts_at_the_assigned_offset(log: Log) -> None:
    partition = log.append(log.topic(), numbered(30))
    for offset in (0, 1, 13, 29):
        source = assigned(log, partition, offset)
        assert source.positions() == {partition: offset}
        assert values_of(read(source, 30 - offset)) == {0: numbered(30)[offset:]}


def test_another_reader_goes_on_where_the_positions_say(log: Log) -> None:
    topic = log.topic(2)
    for number in (0, 1):
        log.append(topic, numbered(20), partition=number)
    first = log.source()
    first.assign({Partition(topic, 0): 0, Partition(topic, 1): 0})
    got = read(first, 13, max_rows=5)
    second = log.source()
    second.assign(first.positions())
    got += read(second, 27)
    assert values_of(got) == {0: numbered(20), 1: numbered(20)}
    assert second.positions() == second.end_offsets([Partition(topic, 0), Partition(topic, 1)])


def test_messages_appended_later_are_seen_by_a_reader_at_the_end(log: Log) -> None:
    partition = log.append(log.topic(), [b"old"])
    source = assigned(log, partition, 1)
    assert source.poll(max_rows=10, max_bytes=PLENTY, timeout_s=0.0) == []
    log.append(partition.topic, [b"new"])
    assert values_of(read(source, 1)) == {0: [b"new"]}


def test_assigning_again_replaces_what_was_read_before(log: Log) -> None:
    topic = log.topic(2)
    first, second = (log.append(topic, numbered(50), partition=number) for number in (0, 1))
    source = assigned(log, first)
    read(source, 20)
    source.assign({first: 10})
    assert values_of(read(source, 40)) == {0: numbered(50)[10:]}
    source.assign({second: 45})
    assert values_of(read(source, 5)) == {1: numbered(50)[45:]}
    assert source.positions() == {second: 50}
    source.assign({})
    assert source.poll(max_rows=10, max_bytes=PLENTY, timeout_s=0.0) == []
    assert source.positions() == {}


def test_row_bound_is_kept_and_returns_at_once(log: Log) -> None:
    partition = log.append(log.topic(), numbered(50))
    source = assigned(log, partition)
    began = time.monotonic()
    batches = source.poll(max_rows=7, max_bytes=PLENTY, timeout_s=WITHIN_S)
    assert time.monotonic() - began < WITHIN_S / 2
    assert values_of(batches) == {0: numbered(50)[:7]}
    assert source.positions() == {partition: 7}


def test_byte_bound_is_kept_and_returns_at_once(log: Log) -> None:
    partition = log.append(log.topic(), numbered(50))
    source = assigned(log, partition)
    began = time.monotonic()
    batches = source.poll(max_rows=1000, max_bytes=1050, timeout_s=WITHIN_S)
    assert time.monotonic() - began < WITHIN_S / 2
    assert values_of(batches) == {0: numbered(50)[:10]}
    assert values_of(read(source, 40, max_bytes=1050)) == {0: numbered(50)[10:]}


def test_message_above_the_byte_bound_comes_alone(log: Log) -> None:
    large = b"L" * 700_000
    partition = log.append(log.topic(), [b"a", large, b"b", large, large])
    source = assigned(log, partition)
    polls = []
    while len(polls) < 4:
        if batches := source.poll(max_rows=1000, max_bytes=1000, timeout_s=0.5):
            polls.append([value for batch in batches for value in batch.values])
    assert polls == [[b"a"], [large], [b"b"], [large]]
    assert source.positions() == {partition: 4}


def test_timeout_returns_what_is_there(log: Log) -> None:
    partition = log.append(log.topic(), numbered(3))
    source = assigned(log, partition)
    got = []
    until(lambda: bool(got.extend(source.poll(max_rows=1000, max_bytes=PLENTY, timeout_s=0.2)) or got), "messages")
    assert values_of(got)[0] == numbered(3)[: sum(map(len, got))]


def test_busy_partition_does_not_keep_out_a_quiet_one(log: Log) -> None:
    topic = log.topic(2)
    busy = log.append(topic, numbered(30_000, size_bytes=200), partition=0)
    quiet = log.append(topic, [b"quiet"], partition=1)
    source = log.source()
    source.assign({busy: 0, quiet: 0})
    rows = 0
    while source.positions()[quiet] == 0:
        rows += sum(map(len, source.poll(max_rows=500, max_bytes=PLENTY, timeout_s=1.0)))
        assert rows < 20_000
    assert source.positions()[busy] > 0


def test_tombstones_and_empty_values_differ(log: Log) -> None:
    partition = log.append(log.topic(), [b"x", None, b"", None])
    batches = read(assigned(log, partition), 4)
    assert values_of(batches) == {0: [b"x", None, b"", None]}
    assert sum(batch.size_bytes for batch in batches) == 1


def test_ends_of_several_partitions(log: Log) -> None:
    topic = log.topic(3)
    log.append(topic, numbered(4), partition=1)
    wanted = [Partition(topic, number) for number in (0, 1, 2)]
    source = log.source()
    assert list(source.end_offsets(wanted).values()) == [0, 4, 0]
    log.append(topic, numbered(2), partition=2)
    assert list(source.end_offsets(wanted).values()) == [0, 4, 2]


def test_trimmed_log_starts_later(log: Log) -> None:
    partition = log.append(log.topic(), numbered(10, size_bytes=1000))
    log.append(partition.topic, numbered(10, size_bytes=1000))
    log.trim(partition, 10)
    source = assigned(log, partition, 10)
    assert source.start_offsets([partition]) == {partition: 10}
    assert source.end_offsets([partition]) == {partition: 20}
    assert values_of(read(source, 10)) == {0: numbered(10, size_bytes=1000)}


def test_lost_offsets_are_an_error_that_says_which(log: Log) -> None:
    partition = log.append(log.topic(), numbered(10, size_bytes=1000))
    log.append(partition.topic, numbered(10, size_bytes=1000))
    log.trim(partition, 10)
    with pytest.raises(OffsetsLost, match=f"offsets 4 to 9 of {partition} are gone, in .*now starts at 10") as raised:
        assigned(log, partition, 4)
    assert (raised.value.partition, raised.value.wanted, raised.value.earliest) == (partition, 4, 10)


def test_lost_offsets_are_passed_over_only_if_asked_for(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    partition = log.append(log.topic(), numbered(10, size_bytes=1000))
    log.append(partition.topic, numbered(10, size_bytes=1000))
    log.trim(partition, 10)
    source = log.source(on_lost="earliest")
    source.assign({partition: 4})
    assert source.positions() == {partition: 10}
    assert f"offsets 4 to 9 of {partition} are gone" in caplog.text
    assert read(source, 10)[0].offsets[0] == 10


@pytest.mark.parametrize("on_lost", ["error", "earliest"])
def test_retention_that_overtakes_a_reader_is_noticed_while_polling(log: Log, on_lost: str) -> None:
    # More than any client fetches ahead, so that the reader has to ask for what is gone by then.
    large = [bytes([n]) * 900_000 for n in range(40)]
    partition = Partition(log.topic(), 0)
    for value in large:
        log.append(partition.topic, [value])
    source = log.source(on_lost="error" if on_lost == "error" else "earliest")
    source.assign({partition: 0})
    log.trim(partition, 39)
    offsets: list[int] = []

    def reach_the_end() -> bool:
        for batch in source.poll(max_rows=2, max_bytes=PLENTY, timeout_s=0.5):
            offsets.extend(batch.offsets)
        return offsets[-1:] == [39]

    if on_lost == "error":
        with pytest.raises(OffsetsLost, match=f"of {partition} are gone") as raised:
            until(reach_the_end, "the end")
        assert (raised.value.wanted, raised.value.earliest) == (len(offsets), 39)
        with pytest.raises(OffsetsLost):  # and again, until it is assigned anew
            source.poll(max_rows=2, max_bytes=PLENTY, timeout_s=0.0)
    else:
        until(reach_the_end, "the end")
        assert offsets == [*range(len(offsets) - 1), 39]
    assert len(offsets) < 40


def test_offset_behind_the_end_is_refused(log: Log) -> None:
    partition = log.append(log.topic(), numbered(3))
    with pytest.raises(OffsetsAhead, match=f"offset 4 of {partition} is behind its end 3") as raised:
        assigned(log, partition, 4)
    assert (raised.value.wanted, raised.value.end) == (4, 3)


def test_a_topic_that_is_made_again_is_another_one(log: Log) -> None:
    topic = log.topic(2)
    log.append(topic, numbered(3))
    source = log.source()
    first = source.identity(topic)
    assert first
    assert log.source().identity(topic) == source.identity(topic) == first
    with pytest.raises(UnknownTopic):
        source.identity("no-such-topic")
    log.delete(topic)
    until(lambda: made_again(log, topic), "the topic to be made again")
    until(lambda: log.source().identity(topic) != first, "another identity")
    until(lambda: source.identity(topic) != first, "an open reader to notice")


def made_again(log: Log, topic: str) -> bool:
    """A broker takes a moment to forget what was deleted."""
    try:
        log.writer.create_topic(topic, 2)
        log.source().partitions(topic)
    except SeqplatError:
        return False
    return True


def test_two_readers_do_not_notice_each_other(log: Log) -> None:
    partition = log.append(log.topic(), numbered(20))
    first, second = assigned(log, partition), assigned(log, partition, 5)
    assert values_of(read(first, 8)) == {0: numbered(20)[:8]}
    assert values_of(read(second, 15)) == {0: numbered(20)[5:]}
    assert values_of(read(first, 12)) == {0: numbered(20)[8:]}


def test_equal_keys_go_to_one_partition_in_order(log: Log) -> None:
    topic = log.topic(3)
    records = [(f"user-{n % 20}".encode(), f"{n % 20} {n}".encode()) for n in range(200)]
    log.writer.append(topic, records[:100])
    log.writer.append(topic, records[100:])
    log.writer.flush()
    source = log.source()
    source.assign(dict.fromkeys(source.partitions(topic), 0))
    homes: dict[str, int] = {}
    seen: dict[str, list[int]] = {}
    for batch in read(source, 200):
        for value in batch.values:
            user, n = (value or b"").decode().split()
            assert homes.setdefault(user, batch.partition.number) == batch.partition.number
            seen.setdefault(user, []).append(int(n))
    assert len(set(homes.values())) == 3
    assert all(numbers == sorted(numbers) and len(numbers) == 10 for numbers in seen.values())


def test_records_without_key_all_arrive(log: Log) -> None:
    topic = log.topic(2)
    log.writer.append(topic, [(None, value) for value in numbered(50)])
    log.writer.flush()
    source = log.source()
    source.assign(dict.fromkeys(source.partitions(topic), 0))
    assert sorted(v or b"" for vs in values_of(read(source, 50)).values() for v in vs) == numbered(50)


def test_topic_is_created_once(log: Log) -> None:
    topic = log.topic(2)
    log.append(topic, [b"kept"])
    log.writer.create_topic(topic, 2)
    assert log.source().end_offsets([Partition(topic, 0)]) == {Partition(topic, 0): 1}
    with pytest.raises(TopicDiffers, match=rf"'{topic}' has 2 partition\(s\), not 5") as raised:
        log.writer.create_topic(topic, 5)
    assert (raised.value.partitions, raised.value.asked) == (2, 5)


def test_hints_change_nothing_for_a_reader(log: Log) -> None:
    partition = log.append(log.topic(), numbered(5))
    source = log.source(group=f"group-{partition.topic}")
    source.assign({partition: 1})
    source.hint({partition: 4})
    assert values_of(read(source, 4)) == {0: numbered(5)[1:]}
    log.source().hint({partition: 4})  # without a group


def test_closing_twice_is_fine(log: Log) -> None:
    partition = log.append(log.topic(), numbered(5))
    source = assigned(log, partition)
    source.close()
    source.close()
    log.writer.close()
    log.writer.close()


@pytest.mark.parametrize("text", ["", "topic", "topic:", ":1", "topic:x", "topic:-1", "topic:²"])
def test_partition_text_is_checked(text: str) -> None:
    with pytest.raises(ValueError, match="is not a partition of a log"):
        Partition.parse(text)


def test_partition_text_round_trips() -> None:
    assert str(Partition("a.b-c", 12)) == "a.b-c:12"
    assert Partition.parse("a.b-c:12") == Partition("a.b-c", 12)
