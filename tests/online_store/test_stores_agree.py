"""Any history of publications, failures, rollbacks and prunings shows the same in every store as in the plain one."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqplat_resources.online_store import (
    ANY_EPOCH,
    BlockSchema,
    BucketVersion,
    BucketWrite,
    OnlineStore,
    encode_bucket,
)
from seqplat_resources.online_store.errors import EpochGoneError
from seqplat_resources.testing.memory.store import MemoryStore
from tests.budget import examples
from tests.online_stores import KINDS, empty_store, publish_one

VIEW = "item_view"
SCHEMA = BlockSchema.of({"n": "int64"})
BLOCKS = dict(encode_bucket(pl.DataFrame({"user_id": list("0123"), "n": [0, 1, 2, 3]}), SCHEMA))
USERS, DAYS = ("a", "b", "ab"), ("2024-03-01", "2024-03-02")

contents = st.dictionaries(st.sampled_from(USERS), st.sampled_from(sorted(BLOCKS)))
steps = st.one_of(
    st.tuples(st.just("publish"), st.dictionaries(st.sampled_from(DAYS), contents), st.sets(st.sampled_from(DAYS))),
    st.tuples(st.just("fail"), st.sampled_from(DAYS), contents),
    st.tuples(st.just("rollback"), st.integers(1, 3)),
    st.tuples(st.just("prune"), st.integers(1, 3)),
)


class Interrupted(Exception):
    """The publisher's source broke off."""


def blocks_of(content: Mapping[str, str], *, broken: bool = False) -> Iterator[tuple[str, bytes]]:
    yield from ((user, BLOCKS[name]) for user, name in content.items())
    if broken:
        raise Interrupted


def apply(store: OnlineStore, step: tuple[object, ...]) -> object:
    """Do one step; what is returned must be the same for every store."""
    match step:
        case ("publish", dict(days), set(dropped)):
            writes = [
                BucketWrite(day, blocks_of(users), BucketVersion(1, 1, len(users))) for day, users in days.items()
            ]
            return store.publish_many(
                VIEW, writes, release="r", expected_epoch=ANY_EPOCH, drop_days=dropped - days.keys()
            ).epoch
        case ("fail", str(day), dict(users)):
            try:
                bucket = BucketVersion(1, 1, 1)
                content = blocks_of(users, broken=True)
                publish_one(store, VIEW, day, content, bucket=bucket, release="r", expected_epoch=ANY_EPOCH)
            except Interrupted:
                return None
        case ("rollback", int(back)):
            head = store.epoch(VIEW)
            if head is None:
                return None
            try:
                return store.rollback(VIEW, to_epoch=head.epoch - back, expected_epoch=head.epoch).epoch
            except EpochGoneError as error:
                return str(error)
        case ("prune", int(keep)):
            store.prune(VIEW, keep_epochs=keep)
    return None


def everything(store: OnlineStore) -> object:
    shown = {}
    for epoch in store.kept_epochs(VIEW):
        with store.snapshot(epochs={VIEW: epoch}) as view:
            shown[epoch] = {user: [found.kept() for found in view.blocks(VIEW, user)] for user in USERS}
    return shown


def agree(kind: str, history: list[tuple[object, ...]]) -> None:
    plain = MemoryStore(keep_epochs=3)
    with tempfile.TemporaryDirectory() as folder, empty_store(kind, Path(folder), keep_epochs=3) as other:
        for store in (plain, other):
            store.register_schema(SCHEMA)
        for step in history:
            assert apply(other, step) == apply(plain, step)
            assert everything(other) == everything(plain)


@settings(max_examples=examples(30))
@given(st.lists(steps, max_size=12))
def test_lmdb_agrees(history: list[tuple[object, ...]]) -> None:
    agree("lmdb", history)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("memory", "lmdb")])
@settings(max_examples=examples(20))
@given(history=st.lists(steps, max_size=12))
def test_servers_agree(kind: str, history: list[tuple[object, ...]]) -> None:
    agree(kind, history)
