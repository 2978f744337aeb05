"""Labels: users and times, from a file, a Delta table or a frame. What is wrong with them is counted.

>>> at = dt.datetime(2024, 5, 2, tzinfo=dt.UTC)
>>> frame = pl.DataFrame({"user": ["ann", None], "time": [at, at], "bought": [1, 0]})
>>> kept = read(frame, LabelColumns(), LabelPolicy(on_bad="drop"), pl.String(), now=at)
>>> kept.rows.rows(), kept.counts
([(0, 'ann', datetime.datetime(2024, 5, 2, 0, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC')), 1)], {'without a user': 1})
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import polars as pl
import polars.selectors as cs
from deltalake import DeltaTable

from seqplat_resources.errors import Final
from seqplat_resources.times import FIRST_US, LAST_US

OnBad = Literal["refuse", "drop", "keep-empty"]
OnOdd = Literal["keep", "drop", "refuse"]

# The number of each label among those given, from 0: it is its name.
LABEL_ID = "label_id"
# Whether nothing may be shown to a label: its time or user is none.
_WRONG = "_wrong"
_SHOWN = 3


class LabelsRefused(Final):
    """Labels that cannot be answered as they are; ``counts`` says how many of each kind."""

    def __init__(self, message: str, counts: dict[str, int]) -> None:
        self.counts = counts
        super().__init__(message)


@dataclass(frozen=True)
class LabelColumns:
    """What the columns of labels are called."""

    user: str = "user"
    time: str = "time"


@dataclass(frozen=True)
class LabelPolicy:
    """What becomes of labels that are not as they should be.

    ``on_bad``: without a user, without a time that a calendar has, with a time to come, or with a user that is no id
    of the events. They refuse the whole, are left out, or stay with an empty sequence. ``on_duplicate``: the same user
    and time again. ``on_unknown``: users without any event. ``assume_utc`` reads times without a zone as UTC.
    """

    on_bad: OnBad = "refuse"
    on_duplicate: OnOdd = "keep"
    on_unknown: OnOdd = "keep"
    assume_utc: bool = False


@dataclass(frozen=True)
class LabelRows:
    """``rows``: ``label_id``, then the columns that were given; of those in ``empty`` (ids) nothing is to be shown.

    ``counts`` says how many labels of those given are odd, and why; ``digest`` tells them from any others.
    """

    rows: pl.DataFrame
    columns: LabelColumns
    empty: pl.Series
    counts: dict[str, int]
    given: int
    source: str
    digest: str


def read(
    source: str | Path | pl.DataFrame,
    columns: LabelColumns,
    policy: LabelPolicy,
    user: pl.DataType,
    *,
    now: dt.datetime,
) -> LabelRows:
    """Labels with times in UTC and users of the type ``user``.

    Raises:
        LabelsRefused: a column is not there, or a label is not as it should be and the policy refuses that.
    """
    frame, name, digest = _opened(source)
    for what, column in (("user", columns.user), ("time", columns.time)):
        if column not in frame.columns:
            fix = f"it has {', '.join(frame.columns)}; say which one with --{what}"
            raise LabelsRefused(f"labels {name} have no column {column!r}; {fix}", {})
    if LABEL_ID in frame.columns:
        raise LabelsRefused(f"labels {name} have a column {LABEL_ID!r}, which is given to them; call it otherwise", {})
    rows = frame.with_row_index(LABEL_ID).with_columns(pl.col(LABEL_ID).cast(pl.Int64))
    counts, wrong = dict[str, int](), pl.Series(_WRONG, [None], pl.String()).new_from_index(0, rows.height)

    def found(what: str, where: pl.Series) -> None:
        nonlocal wrong
        if count := int((where & wrong.is_null()).sum()):
            counts[what] = count
            wrong = wrong.zip_with(~(where & wrong.is_null()), pl.Series([what]).new_from_index(0, rows.height))

    times = _within_years(_times(rows[columns.time], policy, name, found), found)
    users = _users(rows[columns.user], user, found)
    found("in the future", (times > now).fill_null(False))
    rows = rows.with_columns(users.alias(columns.user), times.alias(columns.time))
    if counts and policy.on_bad == "refuse":
        examples = rows.filter(wrong.is_not_null())[LABEL_ID].head(_SHOWN).to_list()
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        raise LabelsRefused(
            f"labels {name}: of {rows.height:,} there are {told} (label_id {', '.join(map(str, examples))}, from 0); "
            "mend them, or say --on-bad drop, or --on-bad keep-empty",
            counts,
        )
    is_bad = wrong.is_not_null()
    empty = rows.filter(is_bad)[LABEL_ID]
    if policy.on_bad == "drop":
        rows, empty = rows.filter(~is_bad), empty.clear()
    rows = _without_duplicates(rows, columns, policy, name, counts)
    return LabelRows(rows, columns, empty, counts, frame.height, name, digest)


def without_unknown(labels: LabelRows, known: pl.Series, policy: LabelPolicy) -> LabelRows:
    """Labels of users that have events, as far as the policy wants it; the others are counted.

    Raises:
        LabelsRefused: it refuses them.
    """
    user = labels.columns.user
    is_unknown = ~labels.rows[user].is_in(known.implode()) & ~labels.rows[LABEL_ID].is_in(labels.empty.implode())
    if not (count := int(is_unknown.sum())):
        return labels
    counts = {**labels.counts, "of users without events": count}
    if policy.on_unknown == "refuse":
        some = labels.rows.filter(is_unknown)[user].head(_SHOWN).to_list()
        raise LabelsRefused(
            f"labels {labels.source}: {count:,} are of users without any event ({', '.join(map(str, some))}); build "
            "the days they have events on, or say --on-unknown keep or drop",
            counts,
        )
    rows = labels.rows.filter(~is_unknown) if policy.on_unknown == "drop" else labels.rows
    return LabelRows(rows, labels.columns, labels.empty, counts, labels.given, labels.source, labels.digest)


def _opened(source: str | Path | pl.DataFrame) -> tuple[pl.DataFrame, str, str]:
    """The labels, what they are called, and what tells them from others."""
    if isinstance(source, pl.DataFrame):
        content = sha256(repr(source.schema).encode())
        # NOTE: rows as JSON say the same in every version of Polars; its own bytes and hashes need not.
        # Times are numbers there: no text can be made of one that is outside of the years 1 to 9999.
        content.update(source.with_columns(cs.temporal().to_physical()).write_ndjson().encode())
        return source, f"of a frame of {source.height:,} rows", f"sha256:{content.hexdigest()}"
    path = Path(source)
    if path.is_dir() and (path / "_delta_log").is_dir():
        version = DeltaTable(str(path)).version()
        return pl.read_delta(str(path), version=version), str(path), f"delta:{version}"
    if not path.is_file():
        raise LabelsRefused(f"there are no labels at {path}; give a Parquet or CSV file, or a Delta table", {})
    with open(path, "rb") as file:
        digest = _digest_of(file)
    try:
        frame = pl.read_csv(path, infer_schema_length=10_000) if path.suffix == ".csv" else pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise LabelsRefused(f"labels {path} cannot be read: {error}; give Parquet, or CSV named *.csv", {}) from error
    return frame, str(path), f"sha256:{digest}"


def _digest_of(file: Any) -> str:
    content = sha256()
    while chunk := file.read(1 << 20):
        content.update(chunk)
    return content.hexdigest()


def _times(values: pl.Series, policy: LabelPolicy, name: str, found: Callable[[str, pl.Series], None]) -> pl.Series:
    """In microseconds and UTC, null where it is no time."""
    found("without a time", values.is_null())
    utc = pl.Datetime("us", "UTC")
    if isinstance(values.dtype, pl.String):
        is_zoned = values.str.contains(r"(?:[zZ]|[+-]\d{2}:?\d{2})\s*$").fill_null(True)
        if policy.assume_utc:
            values = values.zip_with(is_zoned, values + "Z")
        else:
            found("without a time zone", ~is_zoned & values.is_not_null())
        read = values.str.replace(" ", "T", literal=True).str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
        found("with a time that cannot be read", read.is_null() & values.is_not_null())
        return read
    if isinstance(values.dtype, pl.Date):
        values = values.cast(pl.Datetime("us"))
    if not isinstance(values.dtype, pl.Datetime):
        raise LabelsRefused(
            f"labels {name}: column {values.name!r} is {values.dtype}, not a time; make it a timestamp with a zone", {}
        )
    if values.dtype.time_zone is not None:
        return values.dt.convert_time_zone("UTC").cast(utc)
    if not policy.assume_utc:
        found("without a time zone", values.is_not_null())
    return values.dt.cast_time_unit("us").dt.replace_time_zone("UTC")


def _within_years(times: pl.Series, found: Callable[[str, pl.Series], None]) -> pl.Series:
    """The times that a calendar has, null for others, which Polars compares and few programs can show."""
    there_are = times.to_physical().is_between(FIRST_US, LAST_US)
    found("with a time outside of the years 1 to 9999", (~there_are).fill_null(False))
    return times.set(~there_are.fill_null(True), None)


def _users(values: pl.Series, dtype: pl.DataType, found: Callable[[str, pl.Series], None]) -> pl.Series:
    """Of the type of the events' ids, null where it is none of these."""
    found("without a user", values.is_null())
    if values.dtype == dtype:
        return values
    users = values.cast(dtype, strict=False)
    # What does not come back as it was is another id: 1.5 is no user 1.
    is_same = (users.cast(values.dtype, strict=False) == values).fill_null(False)
    found("with a user that is no id of the events", ~is_same & values.is_not_null())
    return users.zip_with(is_same, pl.Series([None], dtype=dtype).new_from_index(0, users.len()))


def _without_duplicates(
    rows: pl.DataFrame, columns: LabelColumns, policy: LabelPolicy, name: str, counts: dict[str, int]
) -> pl.DataFrame:
    is_known = pl.col(columns.user).is_not_null() & pl.col(columns.time).is_not_null()  # what is unknown is not alike
    again = rows.select(~pl.struct(columns.user, columns.time).is_first_distinct() & is_known).to_series()
    if not (count := int(again.sum())):
        return rows
    counts["of a user and time again"] = count
    if policy.on_duplicate == "refuse":
        first = rows.filter(again)[LABEL_ID].head(_SHOWN).to_list()
        raise LabelsRefused(
            f"labels {name}: {count:,} have the user and time of another (label_id {', '.join(map(str, first))}, "
            "from 0); leave them out, or say --on-duplicate keep or drop",
            counts,
        )
    return rows.filter(~again) if policy.on_duplicate == "drop" else rows
