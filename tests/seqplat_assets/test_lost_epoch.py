"""An epoch that a server lost, or a disk changed: whoever publishes next puts back all that it may have shown."""

import datetime as dt
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
import redis

from seqplat_assets.layers.assets import built as assets_of
from seqplat_assets.repair.sensors import plan
from seqplat_assets.run import materialize_range
from seqplat_resources.batch.days.needs import all_needs
from seqplat_resources.batch.days.troubles import DayTroubles
from seqplat_resources.batch.publish import enrichments as publishing
from seqplat_resources.home import Home
from seqplat_resources.online_store import keys
from seqplat_resources.online_store.errors import StoreDamagedError
from seqplat_resources.online_store.lmdb import LmdbStore
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.online_store.redis import RedisStore
from seqplat_resources.quality.days_built import days_built
from seqplat_resources.release.runtime import Runtime
from tests.building import runtime_for, utc
from tests.online_stores import redis_url
from tests.seqplat_assets.shop_days import CLICK, CLICKS, DAYS, RECENT, SHOP, served, write


def lose_epoch(runtime: Runtime) -> None:
    """What an evicting server, a lost write, or a bit that flips, does."""
    with closing(open_online_store(runtime.home)) as store:
        if isinstance(store, RedisStore):
            url = runtime.home.environment["SEQPLAT_ONLINE"].partition("?")[0]
            with redis.Redis.from_url(url) as server:
                assert server.delete(store._catalog.names.epochs("click"))
        else:
            assert isinstance(store, LmdbStore)
            key = keys.epoch(keys.type_bytes("click"), store.kept_epochs("click")[-1])
            store._environment.write(lambda transaction: transaction.put(key, b"{}"))
        with pytest.raises(StoreDamagedError):
            store.epoch("click")


@pytest.mark.parametrize("kind", ["lmdb", "redis"])
def test_publishing_one_day_puts_back_all_that_are_built_and_not_held(
    tmp_path: Path, new_instance: Callable[[], dg.DagsterInstance], kind: str
) -> None:
    for day in DAYS:
        write(tmp_path, day)
    home = Home(str(tmp_path / "home"), {"SEQPLAT_ONLINE": redis_url("redis")} if kind == "redis" else {})
    runtime, instance = runtime_for(home, [SHOP, CLICKS, CLICK, RECENT], tmp_path), new_instance()
    assert materialize_range(DAYS[0], DAYS[-1], runtime=runtime, instance=instance).success
    assert served(runtime) == dict.fromkeys(range(5), 4)
    DayTroubles(home).note("events/click", {DAYS[1]: "too few"}, "held", check={DAYS[1]: "rejects"})
    lose_epoch(runtime)
    assert "cannot be read" in days_built(runtime, "online/click").detail
    found = all_needs(runtime)["online/click"]
    assert [(day, need.kind) for day, need in found.items()] == [(DAYS[-1], "lost")]
    asked = plan(runtime, list(assets_of(runtime)), all_needs(runtime), lambda _: (), now=utc(2099, 1, 1))
    assert [(each.name, each.first) for each in asked if each.name == "online/click"] == [("online/click", DAYS[-1])]
    assert materialize_range(DAYS[-1], DAYS[-1], ["online/click"], runtime=runtime, instance=instance).success
    assert served(runtime) == {0: 4, 2: 4, 3: 4, 4: 4}
    assert "cannot be read" not in days_built(runtime, "online/click").detail
    assert "online/click" not in all_needs(runtime)


def test_an_old_day_of_an_enrichment_does_not_take_newer_ones_away_that_nobody_can_see() -> None:
    built = {dt.date(2024, 5, n) for n in range(1, 9)}
    assert publishing._days_to_answer(built, [dt.date(2024, 5, 2)], None)[-1] == dt.date(2024, 5, 8)
    assert publishing._days_to_answer(built, [dt.date(2024, 5, 2)], [dt.date(2024, 5, 8)]) == []
    assert publishing._days_to_answer(set(), [dt.date(2024, 5, 2)], None) == []
