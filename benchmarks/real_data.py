"""The real-data benchmark: every day of a year of events in one range, ours against one DuckDB statement."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from benchmarks import contest, report, verify
from benchmarks.contest import Command, Contestant, Preparation, WrongAnswerError

NAMES = ("seqplat", "seqplat-files", "duckdb")


@dataclass(frozen=True)
class DataSet:
    """A real data set: the folder below the data path, its days, what is built from it, and what is compared."""

    name: str
    first: date
    end: date
    raw: str
    enrichments: tuple[str, ...]
    event_types: tuple[str, ...]
    types: Mapping[str, str]  # columns of the answer, with the DuckDB type each is compared in

    @property
    def definitions(self) -> Path:
        return Path(__file__).parent / "definitions" / f"{self.name}.py"


COMPLETEJOURNEY = DataSet(
    name="completejourney",
    first=date(2017, 1, 1),
    end=date(2018, 1, 2),
    raw="transactions",
    enrichments=("product", "promotion", "product_embedding"),
    event_types=("purchase",),
    types={
        **dict.fromkeys(("user_id", "basket_id", "product_id", "store_id", "quantity", "week"), "BIGINT"),
        **dict.fromkeys(("sales_value", "base_price", "loyalty_price", "discount_share"), "DOUBLE"),
        "event_time": "TIMESTAMP",
        **dict.fromkeys(("department", "brand", "product_category", "display_location", "mailer_location"), "VARCHAR"),
        "embedding": "FLOAT[]",
    },
)
WYSCOUT_SOCCER = DataSet(
    name="wyscout_soccer",
    first=date(2017, 8, 4),
    end=date(2018, 5, 21),
    raw="match_events",
    enrichments=("player_profile", "team_profile"),
    event_types=("pass", "duel", "free_kick", "shot"),
    types={
        **dict.fromkeys(("user_id", "id", "match_id", "player_id", "team_id", "gameweek", "height"), "BIGINT"),
        "second": "DOUBLE",
        "event_time": "TIMESTAMP",
        **dict.fromkeys(("period", "kind", "role_name", "foot", "team_name", "team_city"), "VARCHAR"),
        "tags": "SMALLINT[]",
    },
)
DATA_SETS = {each.name: each for each in (COMPLETEJOURNEY, WYSCOUT_SOCCER)}


def run(
    name: str,
    *,
    data: Path,
    names: Sequence[str],
    repeat: int,
    cache: Path,
    results: Path,
    most_days: int | None = None,
    keep: bool = False,
) -> Path | None:
    """Measure the named contestants on one data set; None, and a line that says so, if the data is not there.

    `most_days` cuts the range short; the data set is read whole all the same.

    Raises:
        WrongAnswerError: outputs differ; nothing is recorded then. CommandFailedError: a contestant failed.
    """
    data_set = DATA_SETS[name]
    if most_days is not None:
        data_set = replace(data_set, end=min(data_set.end, data_set.first + timedelta(days=most_days)))
    if not (data / name).is_dir():
        print(f"skipped {name}: {data / name} is not there; name the folder that holds it with --data")
        return None
    scratch = contest.scratch(cache)
    sources = prepare(data_set, data / name, scratch)
    found = {each.name: each for each in _contestants(data_set, sources, scratch)}
    contestants = [found[each] for each in names]
    runs = contest.measure_rounds(contestants, repeat=repeat)
    checked = _check(data_set, contestants)
    if not keep:
        contest.discard(contestants)
    rows = _raw_rows(data_set, sources)
    return report.save(report.Result.now(f"real-{name}", rows, checked, runs), results)


def prepare(data_set: DataSet, data: Path, scratch: Path) -> Path:
    """The folder both sides read: the data itself, or links to it beside what definitions cannot express."""
    if data_set.name != WYSCOUT_SOCCER.name:
        return data
    folder = scratch / "sources" / data_set.name
    folder.mkdir(parents=True, exist_ok=True)
    for file in data.glob("*.parquet"):
        link = folder / file.name
        if file.name != "matches.parquet" and not link.exists():
            link.symlink_to(file.resolve())
    # A join of a source names the same column on both sides.
    matches = pl.read_parquet(data / "matches.parquet").rename({"wyId": "matchId"})
    matches.with_columns(pl.col("matchId").cast(pl.Int32)).write_parquet(folder / "matches.parquet")
    return folder


def _contestants(data_set: DataSet, sources: Path, scratch: Path) -> list[Contestant]:
    out = scratch / "out"
    raw = f"raw/{data_set.raw}"
    enrichments = [f"enrichments/{name}" for name in data_set.enrichments]
    events = [f"events/{name}" for name in data_set.event_types]
    ingested, empty = out / "home-ingested", out / "home-empty"
    home = Preparation(
        ingested,
        (_publish(data_set, ingested, sources), _build(data_set, ingested, sources, raw, *enrichments)),
    )
    bare = Preparation(empty, (_publish(data_set, empty, sources),))
    peer = (sys.executable, "-m", "benchmarks.peer_duckdb_real", data_set.name, str(sources), str(out / "duckdb"))
    peer = (*peer, "--end", str(data_set.end))
    return [
        Contestant(
            name="seqplat",
            command=_build(data_set, ingested, sources, *events),
            reads=(ingested / "lake" / "raw", ingested / "lake" / "enrichments"),
            clears=(ingested / "lake" / "events",),
            output=ingested / "lake" / "events",
            compared=out / "compared" / "seqplat",
            prepare=home,
            export=_exports(data_set, ingested, sources, out / "compared" / "seqplat"),
        ),
        Contestant(
            name="seqplat-files",
            command=_build(data_set, empty, sources, raw, *enrichments, *events),
            reads=(sources,),
            clears=(empty / "lake",),
            output=empty / "lake" / "events",
            compared=out / "compared" / "seqplat-files",
            prepare=bare,
            export=_exports(data_set, empty, sources, out / "compared" / "seqplat-files"),
        ),
        Contestant(
            name="duckdb",
            command=(*peer, "--spill-dir", str(scratch / "spill")),
            reads=(sources,),
            clears=(out / "duckdb",),
            output=out / "duckdb",
            compared=out / "duckdb",
        ),
    ]


def _publish(data_set: DataSet, home: Path, sources: Path) -> Command:
    return (*_product("publish", home, sources), "--definitions", str(data_set.definitions))


def _build(data_set: DataSet, home: Path, sources: Path, *objects: str) -> Command:
    days = ("--first", str(data_set.first), "--end", str(data_set.end))
    return (*_product("build", home, sources), *days, *objects)


def _exports(data_set: DataSet, home: Path, sources: Path, out: Path) -> tuple[Command, ...]:
    columns = [f"{name}={name}" for name in data_set.types]
    return tuple(
        (*_product("export", home, sources), event_type, str(out / f"event_type={event_type}"), *columns)
        for event_type in data_set.event_types
    )


def _product(command: str, home: Path, sources: Path) -> Command:
    return (sys.executable, "-m", "benchmarks.product", command, "--home", str(home), "--sources", str(sources))


def _check(data_set: DataSet, contestants: Sequence[Contestant]) -> str:
    types = {**data_set.types, "day": "DATE"}
    if len(data_set.event_types) > 1:
        types["event_type"] = "VARCHAR"
    first: verify.Fingerprint | None = None
    for each in contestants:
        order: verify.Order = "descending" if each.name.startswith("seqplat") else "ascending"
        with contest.comparable(each) as files:
            found = verify.fingerprint(files, types, time="event_time", order=order)
        first = first or found
        problems = verify.differences(first, found)
        if not found.is_sorted_within_files:
            problems.append("rows of a day are not in order of user and time")
        if problems:
            raise WrongAnswerError(contestant=each.name, found=problems, output=each.output)
    rows = first.rows if first else 0
    return f"all outputs hold the same {rows:,} rows, equal in every column bit by bit, each day in order."


def _raw_rows(data_set: DataSet, sources: Path) -> int:
    pattern = {"completejourney": "transactions.parquet", "wyscout_soccer": "events_*.parquet"}[data_set.name]
    return sum(pl.scan_parquet(file).select(pl.len()).collect().item() for file in sources.glob(pattern))
