"""Two definitions of other people's events, one of them wrong on purpose: found, put down to causes, counted exactly.

What is expected is counted from the files, by other means than the comparison's.
"""

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqplat_resources.batch.builds import events, raw
from seqplat_resources.shadow.days.build import compare
from seqplat_resources.shadow.days.window import judged
from seqplat_resources.shadow.verdict.record import VerdictRecord
from sequence_defs.schema import Column, Compared, EventType, Explained, Legacy, Source, Tenant, Time
from tests.building import days, runtime_for

DATA = Path(__file__).parents[4] / "shared" / "data"
# Six matches of the German league; 9,973 events of 169 players, and of nobody.
MATCH_DAY = dt.date(2017, 8, 19)


def real(name: str) -> Path:
    if not (found := DATA / name).exists():
        pytest.skip(f"real data: not beside this repository, in ../shared/data/{name}")
    return found


def _source(name: str, columns: tuple[Column, ...], **changes: Any) -> Source:
    said: dict[str, Any] = {"tenant": "play", "owner": "team:play", "location": "events.parquet", "columns": columns}
    return Source(name=name, **(said | changes))


def _verdict(folder: Path, ours: Source, old: Source, definition: EventType, over: list[dt.date]) -> VerdictRecord:
    tenant = Tenant(name="play", tenant="play")
    runtime = runtime_for(folder / "home", [tenant, ours, old, definition], folder)
    for source in (ours.name, old.name):
        list(raw.ingest(runtime, source, over))
    list(events.build(runtime, definition.name, over))
    assert not [each.awaited for each in compare(runtime, definition.name, over) if each.awaited]
    return judged(runtime, definition.name, until=over[-1], days=len(over), who="ann").record


TOUCH = (
    Column(name="id", dtype="int64", nullable=False),
    Column(name="player", dtype="int32", nullable=False),
    Column(name="at", dtype="timestamp", nullable=False),
    Column(name="kind", dtype="string"),
    Column(name="sub", dtype="string"),
    Column(name="sec", dtype="float64"),
    Column(name="tags", dtype="list[int32]"),
)
# What the old definition has otherwise: the clock on the wall in Germany for UTC; or seconds rounded to tenths, a kind
# of event cut to four letters, no duels, and free kicks that we leave out.
LOCAL = Column(name="wall", dtype="timestamp", sql="STRPTIME(local, '%Y-%m-%d %H:%M:%S%.f')")
ROUNDED = Column(name="tenths", dtype="float64", sql="ROUND(sec, 1)")
CUT = Column(name="four", dtype="string", sql="SUBSTR(sub, 1, 4)")
DUELS = Explained(cause="filter", where="kind = 'Duel' AND legacy_kind IS NULL", because="No duels.", at_most=0.5)


@pytest.fixture(scope="module")
def matches(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pl.DataFrame]:
    played = pl.read_parquet(real("wyscout_soccer/matches.parquet")).filter(competition="Germany")
    starts = played.select(
        matchId=pl.col("wyId").cast(pl.Int32), start=pl.col("dateutc").str.to_datetime(time_unit="us")
    )
    starts = starts.filter(pl.col("start").dt.date() == MATCH_DAY)
    half, sec = pl.when(pl.col("matchPeriod") == "2H").then(3600).otherwise(0), pl.col("eventSec")
    at = pl.col("start") + pl.duration(microseconds=((half + sec) * 1_000_000).round().cast(pl.Int64))
    found = (
        pl.scan_parquet(real("wyscout_soccer/events_Germany.parquet"))
        .join(starts.lazy(), on="matchId")
        .select(
            "id",
            player="playerId",
            at=at.dt.replace_time_zone("UTC"),
            kind="eventName",
            sub="subEventName",
            sec="eventSec",
            tags=pl.col("tags").cast(pl.List(pl.Int32)),
        )
        .collect()
    )
    local = pl.col("at").dt.convert_time_zone("Europe/Berlin").dt.strftime("%Y-%m-%d %H:%M:%S.%6f")
    folder = tmp_path_factory.mktemp("touches")
    found.with_columns(local=local).write_parquet(folder / "events.parquet")
    return folder, found


def _touches(folder: Path, name: str, old: Source, *, filter: str | None = None, **legacy: Any) -> VerdictRecord:
    definition = EventType(
        name="touch",
        tenant="play",
        owner="team:play",
        source="touches",
        id_field="id",
        filter=filter,
        columns=(TOUCH[0], *TOUCH[3:]),
        retention_days=10_000,
        legacy=Legacy(source="old_touches", event_id="id", **legacy),
    )
    span: dict[str, Any] = {"location": f"{folder}/events.parquet", "user_id": "player"}
    span |= {"start": MATCH_DAY, "end": MATCH_DAY + dt.timedelta(1)}
    ours, old = _source("touches", TOUCH, event_time=Time(sql="at"), **span), old.model_copy(update=span)
    (folder / name).mkdir()
    return _verdict(folder / name, ours, old, definition, [MATCH_DAY])


def test_players_events_by_one_definition_twice_do_not_differ(matches: tuple[Path, pl.DataFrame]) -> None:
    folder, found = matches
    record = _touches(folder, "same", _source("old_touches", TOUCH, event_time=Time(sql="at")))
    assert (record.differences, record.case.obstacles) == (0, ())
    assert {each.compared for each in record.case.metrics} == {found.height}
    assert found.height > 9_000


def test_a_clock_on_the_wall_is_found_in_every_event(matches: tuple[Path, pl.DataFrame]) -> None:
    folder, found = matches
    local = Column(name="local", dtype="string")
    old = _source("old_touches", (*TOUCH[:2], *TOUCH[3:], local, LOCAL), event_time=Time(sql="wall"))
    record = _touches(folder, "clock", old)
    assert record.causes == {"clock": found.height}
    assert record.decision.state == "FAIL"
    [time] = [each for each in record.case.metrics if each.name == "differs_event_time"]
    assert (time.differing, time.compared) == (found.height, found.height)


def test_rounding_cut_names_and_filters_of_either_side_are_told_apart(matches: tuple[Path, pl.DataFrame]) -> None:
    folder, found = matches
    old = _source("old_touches", (*TOUCH, ROUNDED, CUT), event_time=Time(sql="at"), filter="kind <> 'Duel'")
    columns = {"kind": Compared(), "tags": Compared(), "sec": Compared(field="tenths"), "sub": Compared(field="four")}
    record = _touches(folder, "flaws", old, filter="kind <> 'Free Kick'", columns=columns, explained=(DUELS,))
    kinds = Counter(found["kind"])
    both = found.filter(~pl.col("kind").is_in(["Duel", "Free Kick"]))
    rounded = sum(round(sec, 1) != sec for sec in both["sec"])
    cut = sum(sub is not None and len(sub) > 4 for sub in both["sub"])
    assert min(kinds["Duel"], kinds["Free Kick"], rounded, cut) > 500
    assert record.causes == {"filter": kinds["Duel"] + kinds["Free Kick"], "rounding": rounded, "truncation": cut}
    values = {each.name: each.differing for each in record.case.metrics}
    assert (values["only_legacy"], values["only_ours"], values["unexplained"]) == (kinds["Free Kick"], 0, 0)
    assert (values["differs_sec"], values["differs_sub"], values["differs_tags"]) == (rounded, cut, 0)
    assert record.decision.state == "FAIL"


def test_purchases_by_their_partition_are_not_purchases_by_their_time(tmp_path: Path) -> None:
    """Of Chronon's 500 purchases 481 lie in a partition that is not their day; the old definition takes it for it."""
    written = pl.read_csv(real("peers_chronon_quickstart/purchases.csv"), try_parse_dates=True)
    written.write_csv(tmp_path / "events.csv")
    columns = (
        Column(name="purchase_id", dtype="string", nullable=False),
        Column(name="user_id", dtype="int64", nullable=False),
        Column(name="ts", dtype="int64"),
        Column(name="ds", dtype="date"),
        Column(name="purchase_price", dtype="int64"),
        Column(name="tens", dtype="int64", sql="purchase_price - purchase_price % 10"),
    )
    over = days(dt.date(2023, 11, 4), 8)
    span: dict[str, Any] = {"location": f"{tmp_path}/events.csv", "format": "csv", "user_id": "user_id"}
    span |= {"start": over[0] - dt.timedelta(1), "end": over[-1] + dt.timedelta(2)}
    definition = EventType(
        name="purchase",
        tenant="play",
        owner="team:play",
        source="purchases",
        id_field="purchase_id",
        columns=(columns[0], columns[4]),
        retention_days=10_000,
        legacy=Legacy(
            source="old_purchases",
            event_id="purchase_id",
            columns={"purchase_price": Compared(field="tens"), "event_time": Compared()},
        ),
    )
    ours = _source("purchases", columns, event_time=Time(sql="ts", epoch_unit="ms"), **span)
    old = _source("old_purchases", columns, event_time=Time(sql="ds"), **span)
    record = _verdict(tmp_path, ours, old, definition, over)

    counted = Counter[str]()
    for ds, ts, price in written.select("ds", "ts", "purchase_price").iter_rows():
        time = dt.datetime.fromtimestamp(ts / 1000, dt.UTC).replace(tzinfo=None)
        midnight = dt.datetime.combine(ds, dt.time())
        if time.date() == ds and ds in over:
            counted["matched"] += 1
            counted["differs_event_time"] += time != midnight
            counted["differs_purchase_price"] += price % 10 != 0
        else:
            counted["only_ours"] += time.date() in over
            counted["only_legacy"] += ds in over
    assert record.case.obstacles == ()
    values = {each.name: each.differing for each in record.case.metrics}
    assert values["differs_event_time"] == counted["differs_event_time"]
    assert values["differs_purchase_price"] == counted["differs_purchase_price"]
    assert values["only_legacy"] == counted["only_legacy"]
    assert record.differences == sum(counted[name] for name in counted if name != "matched")
    assert counted["only_legacy"] > 50
    assert record.decision.state == "FAIL"
