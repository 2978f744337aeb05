"""Rubbish between good messages: every one is a raw row or a reject, once, and the stream goes on."""

import random
from pathlib import Path

import pytest

from seqplat_resources.sources.log import LogBatch, Partition
from seqplat_resources.stream.messages import decode_messages
from tests.fuzz.rubbish import KINDS, Message, good, messages
from tests.fuzz.sieve import Sieve, judge
from tests.stream.world import source


def decoded(sent: list[Message]) -> None:
    values = [message.value for message in sent]
    numbers = list(range(5, 5 + len(sent)))
    batch = LogBatch(Partition("clicks", 1), numbers, [1714780800000] * len(sent), values, numbers[-1] + 1)
    found = decode_messages(source, [batch])
    kept = [(row["_partition"], row["_offset"], row) for row in found.rows.to_dicts()]
    refused = [(row["source_partition"], row["offset"], row) for row in found.rejects.to_dicts()]
    judge(kept, refused, {("clicks:1", number): message for number, message in zip(numbers, sent, strict=True)})


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone_and_between_good_ones(kind: str) -> None:
    draw = random.Random(1)
    for number in range(12):
        bad = KINDS[kind](kind, number, draw)
        decoded([bad])
        decoded([good(100, draw), bad, good(101, draw), good(102, draw)])


def test_any_mixture_is_decoded_without_harm_to_the_good() -> None:
    draw = random.Random(2)
    for share in (0.02, 0.3, 0.9):
        for count in (1, 3, 30, 400, 1500):
            decoded(list(messages(count, draw, rubbish=share)))


def test_a_refused_message_of_several_lines_keeps_its_bytes() -> None:
    kept = good(1, random.Random(1))
    assert kept.value is not None
    decoded([kept, Message("lines", kept.value.strip()[:-1] + b',\n"shop": "\xff"}', {})])


@pytest.mark.slow
def test_a_stream_of_it_goes_on_and_keeps_every_message_once(tmp_path: Path) -> None:
    sieve, draw = Sieve(tmp_path), random.Random(3)
    try:
        for _ in range(4):
            sieve.round(4000, draw)
    finally:
        sieve.shop.store.close()
    assert sum(sieve.fates.values()) == 16_000
    assert sieve.fates["good", "refused"] == 0
    assert {kind for kind, _ in sieve.fates} == {"good", *KINDS}
