"""Where a user's events fall into sessions, what a session is called, and what becomes of it when events come late.

An event begins a session of its user and scope if it is the first, comes ``gap_us`` or more after the one before, is a
declared boundary, or lies more than ``cap_us`` after the session's first. All but the last depend on two neighbours
alone; what lies between two such events is a *chain*, and no change of events reaches beyond the chains it touches.

>>> at = [dt.datetime(2024, 5, 1, 12, minute, tzinfo=dt.UTC) for minute in (0, 20, 50)]
>>> rows = pl.DataFrame({"user_id": ["ann"] * 3, "scope": [None] * 3, "event_time": at, "is_boundary": [False] * 3})
>>> numbered(rows, Cut(gap_us=30 * 60 * 1_000_000, cap_us=24 * 60 * 60 * 1_000_000))["session"].to_list()
[0, 0, 1]
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import polars_hash  # noqa: F401  (gives expressions a published hash; Polars' own may differ between versions)

from seqplat_resources.rules.order import newest_first
from seqplat_resources.rules.spans import span_starts
from seqplat_resources.times import microseconds

OWNER = ("user_id", "scope")
OPEN, PROVISIONAL, FINAL = "OPEN", "PROVISIONAL", "FINAL"
STANDS, GONE = "upsert", "retract"
# What a stored session says of its revision, beside its values.
REVISION = ("rev", "op", "superseded_by")

# Between the parts of what is hashed; hashed are 128 bits of SHA-256, in hex.
_PART, _DIGITS = "\x1f", 32


@dataclass(frozen=True)
class Cut:
    """Where sessions end: by a pause of ``gap_us`` or more, and by a length of more than ``cap_us``; microseconds."""

    gap_us: int
    cap_us: int


@dataclass(frozen=True)
class Namer:
    """By what sessions are called: their ``tenant`` and the ``version`` of all that decides where they begin."""

    tenant: str
    version: str

    def of(self, first_type: pl.Expr, first_id: pl.Expr) -> pl.Expr:
        """The id of the session of ``user_id`` that begins with an event, whose id is unique within its type."""
        user = pl.col("user_id").cast(pl.String)
        text = pl.concat_str(pl.lit(self.tenant), user, pl.lit(self.version), first_type, first_id, separator=_PART)
        hashed: pl.Expr = text.chash.sha2_256().str.head(_DIGITS)  # type: ignore[attr-defined]
        return hashed


def numbered(events: pl.DataFrame, cut: Cut) -> pl.DataFrame:
    """Events with the session and the chain each belongs to.

    Shapes:
        In: deduplicated events of any users: ``OWNER``, ``event_time``, ``is_boundary`` and some of the other keys of
        ``rules.order``. A null scope is a scope of its own, a null boundary none; users and times are not null.
        Out: the same rows, by owner and oldest first, with ``session`` and ``chain``: numbers from 0, ascending.
    Ties:
        Events of one time are in the order of ``rules.order``, and in one session unless one of them is a boundary.
    Cost:
        One sort; then that of ``rules.spans``.
    """
    rows = newest_first(events, *OWNER).reverse()
    time = rows["event_time"].dt.epoch("us")
    is_other = pl.any_horizontal(pl.col(key).ne_missing(pl.col(key).shift()) for key in OWNER)
    pause = pl.col("event_time").dt.epoch("us").diff()
    begins = rows.select(is_other | (pause >= cut.gap_us) | pl.col("is_boundary").fill_null(False)).to_series()
    chains = np.asarray(begins.to_numpy(), bool)
    starts = span_starts(np.asarray(time.to_numpy(), np.int64), chains, cut.cap_us)
    return rows.with_columns(session=pl.Series(np.cumsum(starts) - 1), chain=pl.Series(np.cumsum(chains) - 1))


def folded(rows: pl.DataFrame, cut: Cut, columns: Mapping[str, pl.Expr], namer: Namer) -> pl.DataFrame:
    """One row per session of ``numbered`` events, by owner and oldest first.

    Shapes:
        In: with ``event_type`` and ``event_id``; ``columns`` aggregate the events of a session, oldest first.
        Out: ``session_id``, ``OWNER``, ``start_time`` and ``end_time`` (of its first and last event), ``events``,
        ``columns``. ``chain_us`` is when its chain begins, ``closes_us`` from when on no event can join it any more,
        ``is_followed`` whether its user and scope have a later one.
    """
    found = rows.group_by("session", maintain_order=True).agg(
        *(pl.col(key).first() for key in OWNER),
        pl.col("event_time").first().alias("start_time"),
        pl.col("event_time").last().alias("end_time"),
        pl.len().cast(pl.Int64).alias("events"),
        *(value.alias(name) for name, value in columns.items()),
        pl.col("chain").first().alias(":chain"),
        pl.col("event_type").first().alias(":type"),
        pl.col("event_id").first().alias(":id"),
    )
    start_us, end_us = (pl.col(name).dt.epoch("us") for name in ("start_time", "end_time"))
    return found.select(
        namer.of(pl.col(":type"), pl.col(":id")).alias("session_id"),
        pl.exclude("session", "^:.*$"),
        start_us.first().over(":chain").alias("chain_us"),
        pl.min_horizontal(end_us + cut.gap_us, start_us + cut.cap_us + 1).alias("closes_us"),
        pl.all_horizontal(pl.col(key).eq_missing(pl.col(key).shift(-1)) for key in OWNER).alias("is_followed"),
    )


def state(now: dt.datetime, sealed_us: pl.Expr) -> pl.Expr:
    """Of ``folded`` sessions: whether an event may still join them.

    OPEN while the clock has not passed them and none follows; FINAL once history is whole (``sealed_us``, exclusive)
    past the last instant of an event that could join; PROVISIONAL in between: a late event may change it.
    """
    is_open = ~pl.col("is_followed") & (pl.col("closes_us") > microseconds(now))
    is_final = sealed_us >= pl.col("closes_us")
    return pl.when(is_open).then(pl.lit(OPEN)).when(is_final).then(pl.lit(FINAL)).otherwise(pl.lit(PROVISIONAL))


def revised(before: pl.DataFrame, now: pl.DataFrame, all_now: pl.DataFrame) -> pl.DataFrame:
    """The rows of a bucket whose sessions were ``before`` and are ``now``: who did not change keeps its revision.

    Shapes:
        In: ``now`` has ``session_id``, ``OWNER``, ``start_time``, ``end_time`` and any values; ``before`` the same and
        ``REVISION``; ``all_now`` the first five of all sessions of their users around, in this bucket or another.
        Out: as ``before``: the sessions of ``now``, and those that are gone, as retracted, with the id of the session
        that has the time of their first event or else the first that they overlap, null where there is none.
    """
    earlier = before.rename(lambda name: name if name == "session_id" else f"{name}:was")
    values = [name for name in now.columns if name != "session_id"]
    stands, was = now.join(earlier, on="session_id", how="left", maintain_order="left"), pl.col("rev:was")
    is_same = pl.all_horizontal(
        pl.col("op:was") == STANDS, *(pl.col(name).eq_missing(pl.col(f"{name}:was")) for name in values)
    )
    stands = stands.select(
        "session_id",
        *values,
        pl.when(was.is_null()).then(0).when(is_same).then(was).otherwise(was + 1).cast(pl.Int64).alias("rev"),
        pl.lit(STANDS).alias("op"),
        pl.lit(None, pl.String).alias("superseded_by"),
    )
    gone = before.join(now, on="session_id", how="anti", maintain_order="left")
    gone = _superseded(gone, all_now)
    is_known = (pl.col("op") == GONE) & pl.col("superseded_by").eq_missing(pl.col("by"))
    gone = gone.with_columns(
        (pl.col("rev") + pl.when(is_known).then(0).otherwise(1)).cast(pl.Int64).alias("rev"),
        pl.lit(GONE).alias("op"),
        pl.col("by").alias("superseded_by"),
    )
    return pl.concat([stands, gone.select(stands.columns)]).sort(
        "user_id", "scope", "start_time", "session_id", nulls_last=False
    )


def _superseded(gone: pl.DataFrame, all_now: pl.DataFrame) -> pl.DataFrame:
    """With ``by``: the session that took the place of each."""
    # A join finds no null, so that a null scope is said in words.
    scope = pl.concat_str(pl.lit("="), pl.col("scope").cast(pl.String)).fill_null("").alias(":scope")
    by = ["user_id", ":scope"]
    others = all_now.select(
        "user_id", scope, pl.col("start_time").alias(":at"), pl.col("end_time").alias(":until"), by="session_id"
    ).sort(":at", maintain_order=True)
    rows = gone.with_columns(scope, pl.col("start_time").alias(":at")).sort(":at")
    around = rows.join_asof(others, on=":at", by=by, strategy="backward", check_sortedness=False)
    after = rows.join_asof(
        others, on=":at", by=by, strategy="forward", coalesce=False, suffix=":", check_sortedness=False
    )
    has_first = around[":until"] >= around[":at"]
    overlaps = after[":at:"] <= after["end_time"]
    found = pl.select(pl.when(has_first).then(around["by"]).when(overlaps).then(after["by"]).alias("by"))
    return rows.with_columns(found["by"]).drop(":scope", ":at")
