"""Where rows lie: the shard of a user never changes, for files outlive every version of the code."""

import polars as pl

from seqplat_resources.lake.layout import shard_of

EMPTY_TEXT = 0xEF46DB3751D8E999  # xxHash64 of nothing, from its reference implementation


def shards(users: list[str] | list[int], count: int) -> list[int]:
    return pl.DataFrame({"user_id": users}).with_columns(shard=shard_of("user_id", count))["shard"].to_list()


def test_shards_are_what_they_were() -> None:
    users = ["0", "1", "13", "", "josé"]
    assert shards(users, 1024) == [1004, 212, 940, EMPTY_TEXT % 1024, 214]
    assert shards(users, 64) == [44, 20, 44, EMPTY_TEXT % 64, 22]
    assert shards(users, 1) == [0] * 5


def test_a_number_lies_where_its_text_does() -> None:
    assert shards([0, 1, 13], 1024) == shards(["0", "1", "13"], 1024)


def test_every_shard_is_used() -> None:
    assert set(shards(list(range(1000)), 8)) == set(range(8))
