"""The shop that examples in docstrings speak of: what a few members order, and the pipeline that was there before.

Names that examples may use without making them: ``home``, an empty one; ``folder``, an empty folder; ``shop``, the
runtime of a release whose three days are built and published; ``days``, these; ``store``, its online store; ``client``,
which asks its API with a key of the shop's.
"""

import datetime as dt
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from litestar.testing import TestClient

from seqplat_resources.batch.builds import enrichments, events, objects, raw, sequences, sessions
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.home import Home
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import DEFAULT_CHANNEL, Runtime
from seqplat_resources.release.store import ReleaseStore
from sequence_defs.schema import (
    Aggregate,
    Blobs,
    Column,
    Compared,
    Definition,
    Enrich,
    EventType,
    Experiment,
    Legacy,
    LegacySequence,
    ObjectView,
    Sequence,
    SessionView,
    Source,
    Tenant,
    Time,
    UserMetric,
    Versioned,
)
from serving.http.app import create_app
from serving.settings import Settings
from tests.building import days, runtime_for
from tests.serving.keys import new_headers

DAYS = days(dt.date(2024, 5, 1), 3)
ORDERS = pl.DataFrame(
    [
        (1, "ann", dt.datetime(2024, 5, 1, 9), "tea", 3),
        (2, "bob", dt.datetime(2024, 5, 1, 10), "jam", 4),
        (3, "ann", dt.datetime(2024, 5, 2, 8), "bread", 2),
        (4, "ann", dt.datetime(2024, 5, 3, 7), "tea", 1),
    ],
    schema=["number", "member", "at", "product", "amount"],
    orient="row",
)
_OURS: dict[str, Any] = {"tenant": "shop", "owner": "team:shop"}


def _columns(*names: str) -> tuple[Column, ...]:
    types = {"at": "timestamp", "number": "int64", "amount": "int64", "price": "float64"}
    return tuple(Column(name=name, dtype=types.get(name, "string"), nullable=name == "product") for name in names)


def _source(name: str, **more: Any) -> Source:
    columns = _columns("number", "member", "at", "product", "amount")
    more |= {"event_time": Time(sql="at"), "user_id": "member", "start": DAYS[0]}
    return Source(name=name, columns=columns, **more, **_OURS)


_BEFORE = LegacySequence(
    at=Blobs(location="blobs/{day}.parquet", user_id="member", events="events", encoding="list"),
    fields=_columns("number", "at"),
    event_id="number",
    event_time=Time(sql="at"),
)
DEFINITIONS: tuple[Definition, ...] = (
    Tenant(name="shop", tenant="shop"),
    _source("orders", location="orders/{day}.csv", format="csv"),
    _source("old_orders", location="old/{day}.csv", format="csv"),
    _source("clicks", topic="clicks"),
    Source(
        name="prices",
        location="prices.csv",
        format="csv",
        columns=_columns("product", "at", "price"),
        **_OURS,
    ),
    Versioned(
        name="price",
        source="prices",
        key=("product",),
        columns=_columns("price"),
        valid_from=Time(sql="at"),
        **_OURS,
    ),
    EventType(
        name="purchase",
        source="orders",
        id_field="number",
        columns=_columns("number", "product", "amount"),
        enrichments=(Enrich(enrichment="price"),),
        legacy=Legacy(source="old_orders", event_id="number", columns={"amount": Compared()}),
        experiment=Experiment(metrics=(UserMetric(name="bought", event_type="purchase"),)),
        lifecycle="shadow",
        **_OURS,
    ),
    EventType(
        name="click",
        source="clicks",
        id_field="number",
        columns=_columns("number", "product"),
        retention_days=30,
        **_OURS,
    ),
    Sequence(
        name="basket",
        event_types=("purchase",),
        columns=("product", "amount"),
        length=10,
        window_days=30,
        legacy=_BEFORE,
        **_OURS,
    ),
    SessionView(
        name="visit",
        event_types=("purchase",),
        columns=(
            Aggregate(name="bought", kind="sum", column="amount"),
            Aggregate(name="last_product", kind="last", column="product"),
        ),
        **_OURS,
    ),
    ObjectView(name="product", event_types=("purchase",), key="product", actions=("purchase",), **_OURS),
)


def build_shop(folder: Path) -> str:
    """Its files and its home, below ``folder``."""
    for name in ("orders", "old", "blobs"):
        (folder / name).mkdir()
    known = ORDERS.with_columns(pl.col("at").dt.replace_time_zone("UTC")).sort("at", descending=True)
    for day in DAYS:
        rows, so_far = ORDERS.filter(pl.col("at").dt.date() == day), known.filter(pl.col("at").dt.date() <= day)
        rows.write_csv(folder / f"orders/{day}.csv", datetime_format="%FT%TZ")
        rows = rows.with_columns(pl.col("amount") + (pl.col("number") == 2))  # a flaw of the pipeline before
        rows.write_csv(folder / f"old/{day}.csv", datetime_format="%FT%TZ")
        lists = so_far.group_by("member", maintain_order=True).agg(events=pl.struct("number", "at"))
        lists.write_parquet(folder / f"blobs/{day}.parquet")
    prices = ["product,at,price", "tea,2024-01-01T00:00:00Z,2.5", "jam,2024-05-02T00:00:00Z,4.0"]
    (folder / "prices.csv").write_text("\n".join(prices))
    runtime = runtime_for(folder / "home", DEFINITIONS, folder)
    for build, name in (
        (raw.ingest, "orders"),
        (raw.ingest, "old_orders"),
        (enrichments.build, "price"),
        (events.build, "purchase"),
        (sequences.build, "basket"),
        (sessions.build, "visit"),
        (objects.build, "product"),
    ):
        list(build(runtime, name, DAYS))
    with closing(open_online_store(runtime.home)) as store:
        list(publish(runtime, store, "purchase", DAYS))
    return str(folder)


@contextmanager
def names_for(text: str, built: Path, own: Path) -> Iterator[dict[str, Any]]:
    """What the examples of ``text`` may use; ``own`` is an empty folder, into which the shop is copied if it is."""
    (own / "folder").mkdir()
    names: dict[str, Any] = {"home": Home(str(own / "home"), {}), "folder": own / "folder", "days": DAYS}
    with ExitStack() as open_until_the_end:
        used = {name for name in ("shop", "store", "client") if re.search(rf"\b{name}\b", text)}
        if used:
            shutil.copytree(built, own / "shop")
            home = Home(str(own / "shop" / "home"), {})
            names["shop"] = Runtime(home, ReleaseStore(home).load(DEFAULT_CHANNEL), str(own / "shop"))
        if "store" in used:  # which a process opens once
            names["store"] = open_until_the_end.enter_context(closing(open_online_store(home)))
        elif "client" in used:
            settings = Settings.from_environment({"SEQPLAT_HOME": home.root, "SEQPLAT_ACCESS_LOG": "off"})
            key = new_headers(home, "shop")
            names["client"] = open_until_the_end.enter_context(TestClient(create_app(settings)))
            names["client"].headers.update(key)
        yield names
