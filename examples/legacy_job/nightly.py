"""The job that has run every night since 2014: the day's receipts into a table, and a blob per household.

    python nightly.py FOLDER 2017-11-06

It stands for whatever pipeline you have. It knows nothing of the platform that it is compared with, shares no code
with it, and has the habits of its age:

- It runs at one o'clock UTC, and what tills sent later it never sees.
- It writes times as the stores' clocks show them, without saying so.
- It loads so many vectors of a model as models had when it was written; the rest it keeps from the model before.
- It keeps amounts in 32 bits.

Files of FOLDER: ``tills/<day>.parquet`` and ``product_embeddings.parquet`` are read, ``nightly/events/<day>.parquet``
and ``nightly/blobs/<day>.parquet`` are written.
"""

import datetime as dt
import sys
from pathlib import Path

import polars as pl

STORE_ZONE = "America/New_York"
RUNS_AT = dt.time(1)
# A blob has so many receipts, of so many days.
LENGTH, DAYS = 20, 14
VECTORS = 8_000


def run(folder: Path, day: dt.date) -> None:
    """Work off one day."""
    events, blobs = folder / "nightly" / "events", folder / "nightly" / "blobs"
    for made in (events, blobs):
        made.mkdir(parents=True, exist_ok=True)
    receipts(folder, day).write_parquet(events / f"{day}.parquet")
    recent = [events / f"{day - dt.timedelta(days=back)}.parquet" for back in range(DAYS)]
    consolidated([pl.read_parquet(file) for file in recent if file.exists()]).write_parquet(blobs / f"{day}.parquet")


def receipts(folder: Path, day: dt.date) -> pl.DataFrame:
    """Those of the day that have come by the time the job runs."""
    now = dt.datetime.combine(day + dt.timedelta(days=1), RUNS_AT)
    come = pl.read_parquet(folder / "tills" / f"{day}.parquet").filter(pl.col("received_at") <= now)
    on_the_clock = pl.col("closed_at").dt.replace_time_zone("UTC").dt.convert_time_zone(STORE_ZONE)
    # Some tills count in cents. Ask Marge before you touch this.
    amount = pl.when(pl.col("unit") == "cents").then(pl.col("amount") / 100).otherwise(pl.col("amount"))
    rows = come.filter(pl.col("lines") > 0).select(
        "product_id",
        id=pl.col("receipt_id").cast(pl.String),
        household="household_id",
        local_time=on_the_clock.dt.strftime("%Y-%m-%d %H:%M:%S"),
        store="store_id",
        till="till",
        lines="lines",
        amount=amount.cast(pl.Float32),
    )
    return rows.join(vectors(folder, day), on="product_id", how="left", maintain_order="left")


def vectors(folder: Path, day: dt.date) -> pl.DataFrame:
    """Those of the models that there were when the day began, the newest of each product."""
    known = pl.read_parquet(folder / "product_embeddings.parquet")
    known = known.filter(pl.col("valid_from") <= dt.datetime.combine(day, dt.time())).sort("valid_from", "product_id")
    loaded = known.filter(pl.int_range(pl.len()).over("valid_from") < VECTORS)
    return loaded.group_by("product_id").agg(vector=pl.col("embedding").last())


def consolidated(days: list[pl.DataFrame]) -> pl.DataFrame:
    """A row per household: its receipts as JSON, newest first."""
    event = pl.struct("id", t="local_time", product="product_id", paid="amount").struct.json_encode()
    newest_first = pl.concat(days).sort("local_time", "id", descending=True)
    lists = newest_first.group_by("household", maintain_order=True).agg(event.head(LENGTH).alias("events"))
    return lists.select("household", events=pl.concat_str(pl.lit("["), pl.col("events").list.join(","), pl.lit("]")))


if __name__ == "__main__":
    run(Path(sys.argv[1]), dt.date.fromisoformat(sys.argv[2]))
