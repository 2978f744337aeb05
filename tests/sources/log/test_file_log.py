"""The file log's own promises: crashes, damage, segments, one writer, readers beside it."""

import datetime as dt
import importlib.util
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.sources.log import Partition, Record
from seqplat_resources.sources.log.errors import (
    CorruptLog,
    InvalidTopicName,
    LogFailure,
    OffsetsAhead,
    OffsetsLost,
    PartitionBusy,
    UnknownTopic,
)
from seqplat_resources.sources.log.file.appender import FRAME_BYTES
from seqplat_resources.sources.log.file.folder import FileLogSource, FileLogWriter
from seqplat_resources.sources.log.file.frames import HEADER_BYTES
from seqplat_resources.sources.log.file.segments import offset_at
from tests.budget import examples
from tests.sources.log.logs import numbered, read, until, values_of

PLENTY = 1 << 24
P0 = Partition("clicks", 0)
SCRIPT = Path(__file__).with_name("appender.py")


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("appender", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


appender = _load()


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Callable[..., FileLogWriter]]:
    """Opens writers with the topic `clicks`; they are closed afterwards."""
    opened: list[FileLogWriter] = []

    def open_one(**options: object) -> FileLogWriter:
        writer = FileLogWriter(tmp_path, **{"sync": False, **options})  # type: ignore[arg-type]
        writer.create_topic("clicks", 1)
        opened.append(writer)
        return writer

    yield open_one
    for writer in opened:
        writer.close()


def records(values: list[bytes]) -> list[Record]:
    return [(b"key", value) for value in values]


def segment_files(root: Path) -> list[Path]:
    return sorted((root / "clicks" / "0").glob("*.seg"))


def everything(root: Path, rows: int, *, offset: int = 0) -> list[bytes | None]:
    source = FileLogSource(root)
    source.assign({P0: offset})
    got = values_of(read(source, rows)).get(0, [])
    assert source.poll(max_rows=1, max_bytes=PLENTY, timeout_s=0.0) == []
    source.close()
    return got


class Clock:
    """Tells what it is set to."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.ms / 1000, dt.UTC)


def test_what_was_flushed_survives_a_killed_writer_and_nothing_is_half(tmp_path: Path) -> None:
    for kill_after in (1, 7, 40):
        folder = tmp_path / str(kill_after)
        command = [sys.executable, str(SCRIPT), str(folder), "clicks"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        flushed = [int(process.stdout.readline()) for _ in range(kill_after)][-1]
        process.send_signal(signal.SIGKILL)
        flushed = max([flushed, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
        process.wait()
        process.stdout.close()

        source = FileLogSource(folder)
        (end,) = source.end_offsets([P0]).values()
        assert end >= flushed
        assert end % appender.BATCH == 0  # an append is there whole or not at all
        assert everything(folder, end) == [appender.value(n) for n in range(end)]
        writer = FileLogWriter(folder)  # the lock went with the process
        writer.append("clicks", records([b"after"]), partition=0)
        writer.close()
        assert everything(folder, 2, offset=end - 1) == [appender.value(end - 1), b"after"]


def test_torn_tail_is_not_read_and_the_next_writer_cuts_it_off(
    tmp_path: Path, writers: Callable[..., FileLogWriter], caplog: pytest.LogCaptureFixture
) -> None:
    writer = writers()
    writer.append("clicks", records([b"one", b"two"]), partition=0)
    (file,) = segment_files(tmp_path)
    kept = file.stat().st_size
    writer.append("clicks", records([b"three" * 100]), partition=0)
    writer.close()
    whole = file.read_bytes()
    for size in (kept + 1, kept + HEADER_BYTES - 1, kept + HEADER_BYTES, kept + HEADER_BYTES + 9, len(whole) - 1):
        file.write_bytes(whole[:size])
        assert FileLogSource(tmp_path).end_offsets([P0]) == {P0: 2}
        assert everything(tmp_path, 2) == [b"one", b"two"]
        assert file.stat().st_size == size  # readers change nothing
        caplog.clear()
        again = FileLogWriter(tmp_path)
        again.append("clicks", records([b"new"]), partition=0)
        again.close()
        assert f"{size - kept} bytes that a crashed writer left unfinished are cut off" in caplog.text
        assert everything(tmp_path, 3) == [b"one", b"two", b"new"]


def test_zeros_at_the_end_are_a_torn_tail(tmp_path: Path, writers: Callable[..., FileLogWriter]) -> None:
    """What a file system may leave after a power cut: the length, not the bytes."""
    writer = writers()
    writer.append("clicks", records([b"one"]), partition=0)
    writer.close()
    (file,) = segment_files(tmp_path)
    with open(file, "ab") as torn:
        torn.write(bytes(500))
    assert everything(tmp_path, 1) == [b"one"]
    again = writers()
    again.append("clicks", records([b"two"]), partition=0)
    assert everything(tmp_path, 2) == [b"one", b"two"]


def test_reader_at_a_torn_tail_goes_on_behind_it(tmp_path: Path, writers: Callable[..., FileLogWriter]) -> None:
    writer = writers()
    writer.append("clicks", records([b"one"]), partition=0)
    writer.append("clicks", records([b"x" * 300]), partition=0)
    writer.close()
    (file,) = segment_files(tmp_path)
    file.write_bytes(file.read_bytes()[:-100])
    source = FileLogSource(tmp_path)
    source.assign({P0: 0})
    assert values_of(read(source, 1)) == {0: [b"one"]}
    assert source.poll(max_rows=10, max_bytes=PLENTY, timeout_s=0.0) == []
    writers().append("clicks", records([b"y" * 301, b"z"]), partition=0)
    assert values_of(read(source, 2)) == {0: [b"y" * 301, b"z"]}


@pytest.mark.parametrize("where", [0, 5, 9, 12, HEADER_BYTES + 2, HEADER_BYTES + 20])
def test_damage_before_whole_frames_is_refused_by_readers_and_writers(
    tmp_path: Path, writers: Callable[..., FileLogWriter], where: int
) -> None:
    """Magic, size, checksum, offset, record sizes, value: whatever was changed, what lies behind is not dropped."""
    writer = writers()
    writer.append("clicks", records([b"one"]), partition=0)
    (file,) = segment_files(tmp_path)
    start = file.stat().st_size
    for value in (b"two", b"three"):
        writer.append("clicks", records([value * 10]), partition=0)
    writer.close()
    data = bytearray(file.read_bytes())
    data[start + where] ^= 0x40
    file.write_bytes(data)
    source = FileLogSource(tmp_path)
    source.assign({P0: 0})
    assert values_of(read(source, 1)) == {0: [b"one"]}
    with pytest.raises(CorruptLog, match=f"not what was written, at byte {start}, in .*seg"):
        source.poll(max_rows=1, max_bytes=PLENTY, timeout_s=0.0)
    with pytest.raises(CorruptLog, match=f"not what was written, at byte {start}, in .*seg"):
        FileLogWriter(tmp_path).append("clicks", records([b"four"]), partition=0)
    assert file.read_bytes() == data


def test_segments_roll_and_are_read_as_one(tmp_path: Path, writers: Callable[..., FileLogWriter]) -> None:
    writer = writers(segment_bytes=2000)
    values = numbered(200)
    for start in range(0, 200, 5):
        writer.append("clicks", records(values[start : start + 5]), partition=0)
    assert len(segment_files(tmp_path)) > 5
    for offset in (0, 1, 19, 20, 21, 111, 199):
        assert everything(tmp_path, 200 - offset, offset=offset) == values[offset:]


def test_large_append_becomes_several_frames(tmp_path: Path, writers: Callable[..., FileLogWriter]) -> None:
    values = [bytes([n]) * (FRAME_BYTES // 3) for n in range(20)] + [b"L" * 5 * FRAME_BYTES, b"end"]
    writers().append("clicks", records(values), partition=0)
    assert everything(tmp_path, 22) == values
    assert everything(tmp_path, 9, offset=13) == values[13:]


def test_empty_append_adds_nothing(tmp_path: Path, writers: Callable[..., FileLogWriter]) -> None:
    writers().append("clicks", [], partition=0)
    assert FileLogSource(tmp_path).end_offsets([P0]) == {P0: 0}


def test_reader_follows_a_writer_over_many_segments(tmp_path: Path, writers: Callable[..., FileLogWriter]) -> None:
    writer, source = writers(segment_bytes=1500), FileLogSource(tmp_path)
    source.assign({P0: 0})
    values = numbered(300)
    got: list[bytes | None] = []
    for n in range(0, 300, 3):
        writer.append("clicks", records(values[n : n + 3]), partition=0)
        got += values_of(source.poll(max_rows=2, max_bytes=PLENTY, timeout_s=0.0)).get(0, [])
    got += values_of(read(source, 300 - len(got)))[0]
    assert got == values


def test_reader_beside_a_writing_process_sees_whole_appends_in_order(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path), "clicks"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        source = FileLogSource(tmp_path)
        until((tmp_path / "clicks" / "topic.json").exists, "the topic")
        source.assign({P0: 0})
        got = read(source, 5000)
    finally:
        process.kill()
        process.wait()
    assert values_of(got) == {0: [appender.value(n) for n in range(5000)]}
    assert len(segment_files(tmp_path)) > 2


def test_second_writer_is_refused_and_told_who_writes(tmp_path: Path, writers: Callable[..., FileLogWriter]) -> None:
    first = writers()
    first.append("clicks", records([b"one"]), partition=0)
    second = writers()
    with pytest.raises(
        PartitionBusy, match=r"clicks:0 is being written by process \d+ on .*close that writer"
    ) as raised:
        second.append("clicks", records([b"two"]), partition=0)
    assert raised.value.partition == P0
    first.close()
    second.append("clicks", records([b"two"]), partition=0)
    assert everything(tmp_path, 2) == [b"one", b"two"]


def test_trimming_deletes_only_segments_that_are_older_as_a_whole(
    tmp_path: Path, writers: Callable[..., FileLogWriter]
) -> None:
    writer = writers(segment_bytes=1000)
    for _ in range(4):
        writer.append("clicks", records(numbered(10)), partition=0)  # a segment each
    assert writer.trim(P0, 9).files == 0
    assert writer.trim(P0, 25).rows == 20
    assert writer.trim(P0, 1000, dry_run=True) == writer.trim(P0, 1000)  # the one that is written stays
    assert FileLogSource(tmp_path).start_offsets([P0]) == {P0: 30}
    assert everything(tmp_path, 10, offset=30) == numbered(10)
    writer.append("clicks", records([b"new"]), partition=0)
    assert everything(tmp_path, 1, offset=40) == [b"new"]


def test_reader_in_a_deleted_segment_ends_it_and_then_says_what_is_lost(
    tmp_path: Path, writers: Callable[..., FileLogWriter]
) -> None:
    writer = writers(segment_bytes=1000)
    for _ in range(4):
        writer.append("clicks", records(numbered(10)), partition=0)
    source = FileLogSource(tmp_path)
    source.assign({P0: 0})
    assert len(read(source, 10)) == 1
    writer.trim(P0, 30)
    with pytest.raises(OffsetsLost) as raised:
        source.poll(max_rows=10, max_bytes=PLENTY, timeout_s=0.0)
    assert (raised.value.wanted, raised.value.earliest) == (10, 30)


def test_receipt_times_never_go_back(tmp_path: Path, writers: Callable[..., FileLogWriter]) -> None:
    clock = Clock()
    first = writers(clock=clock, segment_bytes=1)
    first.append("clicks", records([b"one"]), partition=0)
    clock.ms -= 60_000
    first.append("clicks", records([b"two"]), partition=0)
    first.close()
    again = writers(clock=clock)
    again.append("clicks", records([b"three"]), partition=0)
    clock.ms += 90_000
    again.append("clicks", records([b"four"]), partition=0)
    source = FileLogSource(tmp_path)
    source.assign({P0: 0})
    (batch,) = source.poll(max_rows=4, max_bytes=PLENTY, timeout_s=1.0)
    at = 1_700_000_000_000
    assert batch.timestamps_ms == [at, at, at, at + 30_000]
    assert [offset_at(tmp_path / "clicks" / "0", time_ms) for time_ms in (at, at + 1, at + 30_001)] == [0, 3, None]


def test_time_is_found_across_segments(tmp_path: Path, writers: Callable[..., FileLogWriter]) -> None:
    clock = Clock()
    writer = writers(clock=clock, segment_bytes=500)
    for n in range(60):
        clock.ms = 1_700_000_000_000 + 1000 * n
        writer.append("clicks", records(numbered(2)), partition=0)
    for n in range(60):
        assert offset_at(tmp_path / "clicks" / "0", 1_700_000_000_000 + 1000 * n) == 2 * n
        assert offset_at(tmp_path / "clicks" / "0", 1_700_000_000_000 + 1000 * n - 1) == 2 * n


def test_failed_write_leaves_no_half_frame(
    tmp_path: Path, writers: Callable[..., FileLogWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writers()
    writer.append("clicks", records([b"one"]), partition=0)
    with monkeypatch.context() as full:
        full.setattr("os.pwrite", _disk_full_after(10))
        with pytest.raises(LogFailure, match=r"appending to topic 'clicks' failed .*No space left"):
            writer.append("clicks", records([b"two" * 100]), partition=0)
    writer.append("clicks", records([b"three"]), partition=0)
    assert everything(tmp_path, 2) == [b"one", b"three"]


def _disk_full_after(size_bytes: int) -> Callable[[int, bytes, int], int]:
    import errno
    import os

    real, calls = os.pwrite, []

    def pwrite(file: int, data: bytes, position: int) -> int:
        calls.append(1)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[:size_bytes], position)

    return pwrite


def test_log_made_anew_is_noticed(tmp_path: Path, writers: Callable[..., FileLogWriter]) -> None:
    writer = writers()
    writer.append("clicks", records(numbered(5)), partition=0)
    writer.close()
    source = FileLogSource(tmp_path)
    assert source.end_offsets([P0]) == {P0: 5}
    (file,) = segment_files(tmp_path)
    file.write_bytes(b"")
    assert source.end_offsets([P0]) == {P0: 0}
    with pytest.raises(OffsetsAhead):
        source.assign({P0: 5})


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "ü", "x" * 250, "a\n"])
def test_topic_names_are_those_of_kafka(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidTopicName, match="cannot be a topic"):
        FileLogWriter(tmp_path).create_topic(name, 1)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_to_topics_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownTopic, match=r"topic 'no' is not in the file log .*, which has none; create it"):
        FileLogWriter(tmp_path / "log").append("no", [(None, b"x")])
    assert not (tmp_path / "log").exists()


_VALUES = st.one_of(st.none(), st.binary(max_size=40), st.just(b"sqf1" * 12), st.integers(0, 3000).map(bytes))
_APPENDS = st.lists(st.lists(st.tuples(st.one_of(st.none(), st.binary(max_size=9)), _VALUES), max_size=12), max_size=12)


@settings(max_examples=examples(30))
@given(
    appends=_APPENDS,
    segment_bytes=st.integers(1, 4000),
    reopen=st.sets(st.integers(0, 11)),
    bounds=st.lists(st.tuples(st.integers(1, 15), st.integers(1, 2000)), min_size=1),
    offset=st.integers(0, 150),
)
def test_what_is_appended_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    appends: list[list[Record]],
    segment_bytes: int,
    reopen: set[int],
    bounds: list[tuple[int, int]],
    offset: int,
) -> None:
    root = tmp_path_factory.mktemp("log")
    writer = FileLogWriter(root, sync=False, segment_bytes=segment_bytes)
    writer.create_topic("clicks", 1)
    for n, append in enumerate(appends):
        if n in reopen:
            writer.close()
        writer.append("clicks", append, partition=0)
    writer.close()
    expected = [value for append in appends for _, value in append]
    offset = min(offset, len(expected))
    source = FileLogSource(root)
    assert source.end_offsets([P0]) == {P0: len(expected)}
    source.assign({P0: offset})
    got: list[bytes | None] = []
    while source.positions()[P0] < len(expected):
        max_rows, max_bytes = bounds[len(got) % len(bounds)]
        (batch,) = source.poll(max_rows=max_rows, max_bytes=max_bytes, timeout_s=0.0)
        assert batch.offsets == list(range(offset + len(got), offset + len(got) + len(batch)))
        assert len(batch) <= max_rows
        assert batch.size_bytes <= max_bytes or len(batch) == 1
        got += batch.values
    source.close()
    assert got == expected[offset:]


def test_reader_needs_no_rights_to_write(tmp_path: Path, writers: Callable[..., FileLogWriter]) -> None:
    writers().append("clicks", records([b"one"]), partition=0)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert everything(tmp_path, 1) == [b"one"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
