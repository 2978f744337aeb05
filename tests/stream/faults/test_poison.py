"""Messages on which a batch raises: found alone and refused with their bytes, while all others are shown and kept."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqplat_resources.batch.inputs import tables
from seqplat_resources.errors import Final, Retryable
from seqplat_resources.online_store import NowWrite
from seqplat_resources.online_store.errors import UnencodableEventsError
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.sources.log import LogBatch, Partition
from seqplat_resources.stream import loop as stream_loop
from seqplat_resources.stream import poison
from seqplat_resources.stream.loop import Pace
from seqplat_resources.stream.poison import StreamInterrupted, pieces
from tests.building import utc
from tests.stream.world import Shop

BAD = (666, 667, 700)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path, LmdbStore(tmp_path / "online", sync=False))
    with closing(made.store):
        yield made


def clicked(amounts: Sequence[int]) -> list[dict[str, Any]]:
    row = {"member": "ann", "at": utc(2024, 5, 1, 12), "received": utc(2024, 5, 4)}
    return [row | {"click": n, "partition": n % 2, "amount": amount} for n, amount in enumerate(amounts)]


def _in_engine(patch: pytest.MonkeyPatch, raised: BaseException) -> None:
    run = stream_loop.run

    def fails(plan: Any, raw: pl.DataFrame, *how: Any, **more: Any) -> Any:
        if raw["amount"].is_in(BAD).any():
            raise raised
        return run(plan, raw, *how, **more)

    patch.setattr(stream_loop, "run", fails)


def _in_decoding(patch: pytest.MonkeyPatch, raised: BaseException) -> None:
    decode = stream_loop.decode_messages

    def fails(source: Any, batches: Sequence[LogBatch], **how: Any) -> Any:
        if any(b'"amount": %d' % bad in (value or b"") for batch in batches for value in batch.values for bad in BAD):
            raise raised
        return decode(source, batches, **how)

    patch.setattr(stream_loop, "decode_messages", fails)


def _in_encoding(patch: pytest.MonkeyPatch, raised: BaseException) -> None:
    encode = stream_loop.now_write

    def fails(plan: Any, events: pl.DataFrame) -> NowWrite:
        if events["value"].is_in(BAD).any():
            raise raised
        return encode(plan, events)

    patch.setattr(stream_loop, "now_write", fails)


@pytest.mark.parametrize(
    ("place", "overlap"), [(_in_decoding, False), (_in_engine, True), (_in_encoding, False), (_in_encoding, True)]
)
@pytest.mark.parametrize(
    "raised",
    [
        ValueError("bad luck"),
        pl.exceptions.PanicException("deep inside"),
        UnencodableEventsError("too wide", where="a block", fix="send less"),
    ],
    ids=["an error", "a panic", "of ours"],
)
def test_what_a_batch_raises_on_is_refused_alone(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    place: Callable[[pytest.MonkeyPatch, BaseException], None],
    raised: BaseException,
    overlap: bool,
) -> None:
    place(monkeypatch, raised)
    shop.say(clicked([*range(20), BAD[0], *range(20, 30), BAD[1], BAD[2]]))
    loop = shop.loop(pace=Pace(poll_s=0.0, keep_s=1e9, overlap=overlap))
    while loop.once():
        pass
    tally = loop.tally
    loop.close()
    assert sorted(row["value"] for row in shop.answer("ann")) == list(range(30))
    rejects = tables.rejects(shop.runtime, "clicks").scan().sort("offset").collect()
    assert set(rejects["source_partition"] + "@" + rejects["offset"].cast(pl.String)) == {
        "clicks:0@10", "clicks:1@15", "clicks:0@16",
    }  # fmt: skip
    assert all(str(raised) in reason for reason in rejects["reason"])
    assert sorted(int(text.split(b'"amount": ')[1][:3]) for text in rejects["payload"]) == sorted(BAD)
    assert tables.archive(shop.runtime, shop.plan.source).scan().collect().height == 30
    if place is not _in_encoding:  # found out after it was counted
        assert (tally.messages, tally.rejected, tally.events["click"]) == (33, 3, 30)


@pytest.mark.parametrize(
    "raised", [Final("the schema"), OSError("the disk"), MemoryError()], ids=["ours", "disk", "memory"]
)
def test_what_no_message_is_to_blame_for_refuses_none(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, raised: BaseException
) -> None:
    _in_engine(monkeypatch, raised)
    shop.say(clicked([1, BAD[0], 2]))
    loop = shop.loop()
    with pytest.raises(type(raised)):
        list(iter(loop.once, 0))
    loop.abandon()
    assert not any(shop.streamed().values())


def batch(number: int, offsets: Sequence[int], *, end: int) -> LogBatch:
    values: list[bytes | None] = [b"%d/%d" % (number, offset) for offset in offsets]
    return LogBatch(Partition("t", number), list(offsets), [0] * len(offsets), values, end)


BATCHES = [batch(0, [3, 4, 7, 8], end=12), batch(1, [0], end=1), batch(2, [5, 6], end=9)]


def _joined(parts: Sequence[poison.MessagePiece[Any]]) -> list[tuple[Partition, list[int], int]]:
    return [(one.partition, one.offsets, one.next_offset) for part in parts for one in part.batches]


@pytest.mark.parametrize("size", [1, 2, 3, 1 << 10])
def test_pieces_are_all_messages_once_and_in_order(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Also of a batch that fails only as a whole, and offsets without a message stay behind those before them."""
    monkeypatch.setattr(poison, "SLICE", size)

    def make(part: Sequence[LogBatch]) -> int:
        if sum(map(len, part)) > 2 or any(b"0/7" in one.values for one in part):
            raise ValueError("no")
        return sum(map(len, part))

    found = list(pieces(BATCHES, make))
    told = _joined(found)
    assert [(p, offset) for p, offsets, _ in told for offset in offsets] == [
        (one.partition, offset) for one in BATCHES for offset in one.offsets
    ]
    for one in BATCHES:
        ends = [end for partition, _, end in told if partition == one.partition]
        assert ends == sorted(ends)
        assert ends[-1] == one.next_offset
    assert [part.place for part in found if part.made is None] == ["t:0@7"]
    assert sum(part.made or 0 for part in found) == 6


def test_a_machine_without_room_is_not_a_message_s_fault() -> None:
    def make(part: Sequence[LogBatch]) -> None:
        if part:
            raise MemoryError

    with pytest.raises(StreamInterrupted, match=r"MemoryError: , while 7 message\(s\)") as got:
        list(pieces(BATCHES, make))
    assert isinstance(got.value, Retryable)
