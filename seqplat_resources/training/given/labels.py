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
from deltalake.exceptions import DeltaError

from seqplat_resources.errors import Final
from seqplat_resources.times import FIRST_US, LAST_US
from seqplat_resources.training.parquet.columns import stored
from seqplat_resources.values.isolation import one_line

OnBad = Literal["refuse", "drop", "keep-empty"]
OnOdd = Literal["keep", "drop", "refuse"]

# The number of each label among those given, from 0: it is its name.
LABEL_ID = "label_id"
_SHOWN = 3
# Of a text file, what is looked at to tell columns of numbers; where that misleads, it is read once more, as a whole.
_INFERRED = 10_000
_UTC = pl.Datetime("us", "UTC")
# Each time is read by itself: how the first one is written says nothing of the others.
_FORMATS = ("%+", "%Y-%m-%dT%H:%M%#z")
# Whole numbers up to there are floats without a doubt about the last digit.
_EXACT = 1 << 53
_TEXTS = (pl.String, pl.Categorical, pl.Enum, pl.Binary)


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
    """``rows``: ``label_id``, then the columns that were given, by user, time and ``label_id``; who has none of these
    comes last. Of those in ``empty`` (ids) nothing is to be shown.

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

    Cost: memory of some five times the labels, of which two stay.
    Raises:
        LabelsRefused: a column is not there, or a label is not as it should be and the policy refuses that.
        NotStorable: a column is of a type that no training set has.
    """
    frame, name, digest = _opened(source, columns)
    for what, column in (("user", columns.user), ("time", columns.time)):
        if column not in frame.columns:
            fix = f"it has {', '.join(frame.columns)}; say which one with --{what}"
            raise LabelsRefused(f"labels {name} have no column {column!r}; {fix}", {})
    if LABEL_ID in frame.columns:
        raise LabelsRefused(f"labels {name} have a column {LABEL_ID!r}, which is given to them; call it otherwise", {})
    if columns.user == columns.time:
        raise LabelsRefused(f"labels {name}: column {columns.user!r} is both user and time; say --user or --time", {})
    for values in frame.head(0).drop(columns.user, columns.time).get_columns():
        stored(values)
    rows, given = frame.with_row_index(LABEL_ID).with_columns(pl.col(LABEL_ID).cast(pl.Int64)), frame.height
    del frame
    counts, is_bad = dict[str, int](), pl.Series([False]).new_from_index(0, given)

    def found(what: str, where: pl.Series) -> None:
        nonlocal is_bad
        if count := int((where & ~is_bad).sum()):
            counts[what], is_bad = count, is_bad | where

    times = _within_years(_times(rows[columns.time], policy, name, found), found)
    users = _users(rows[columns.user], user, name, found)
    found("in the future", (times > now).fill_null(False))
    if counts and policy.on_bad == "refuse":
        examples = rows[LABEL_ID].filter(is_bad).head(_SHOWN)
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        raise LabelsRefused(
            f"labels {name}: of {given:,} there are {told} (label_id {', '.join(map(str, examples))}, from 0); "
            "mend them, or say --on-bad drop, or --on-bad keep-empty",
            counts,
        )
    rows, empty = rows.with_columns(users.alias(columns.user), times.alias(columns.time)), rows[LABEL_ID].filter(is_bad)
    if policy.on_bad == "drop":
        rows, empty = rows.filter(~is_bad), empty.clear()
    del times, users
    rows = rows.sort(columns.user, columns.time, LABEL_ID, nulls_last=True)
    return LabelRows(
        _without_duplicates(rows, columns, policy, name, counts), columns, empty, counts, given, name, digest
    )


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


def _opened(source: str | Path | pl.DataFrame, columns: LabelColumns) -> tuple[pl.DataFrame, str, str]:
    """The labels, what they are called, and what tells them from others."""
    if isinstance(source, pl.DataFrame):
        content = sha256(repr(source.schema).encode())
        # NOTE: rows as JSON say the same in every version of Polars; its own bytes and hashes need not.
        # Times are numbers there: no text can be made of one that is outside of the years 1 to 9999.
        content.update(source.with_columns(cs.temporal().to_physical()).write_ndjson().encode())
        return source, f"of a frame of {source.height:,} rows", f"sha256:{content.hexdigest()}"
    path = Path(source)
    is_table = (path / "_delta_log").is_dir()
    if not is_table and not path.is_file():
        raise LabelsRefused(f"there are no labels at {path}; give a Parquet or CSV file, or a Delta table", {})
    try:
        if is_table:
            version = DeltaTable(str(path)).version()
            return pl.read_delta(str(path), version=version), str(path), f"delta:{version}"
        with open(path, "rb") as file:
            digest = _digest_of(file)
        frame = _read_csv(path, columns) if path.suffix == ".csv" else pl.read_parquet(path)
    except (pl.exceptions.PolarsError, DeltaError) as error:
        raise LabelsRefused(
            f"labels {path} cannot be read: {one_line(error)}; give Parquet, CSV named *.csv, or a Delta table", {}
        ) from error
    return frame, str(path), f"sha256:{digest}"


def _read_csv(path: Path, columns: LabelColumns) -> pl.DataFrame:
    """With ids and times as they are written: as a number, `007` would be the user `7`."""
    as_written = {columns.user: pl.String(), columns.time: pl.String()}
    try:
        return pl.read_csv(path, infer_schema_length=_INFERRED, schema_overrides=as_written)
    except pl.exceptions.ComputeError:
        return pl.read_csv(path, infer_schema_length=None, schema_overrides=as_written)


def _digest_of(file: Any) -> str:
    content = sha256()
    while chunk := file.read(1 << 20):
        content.update(chunk)
    return content.hexdigest()


def _times(values: pl.Series, policy: LabelPolicy, name: str, found: Callable[[str, pl.Series], None]) -> pl.Series:
    """In microseconds and UTC, null where it is no time."""
    found("without a time", values.is_null())
    if isinstance(values.dtype, pl.Null):
        return values.cast(_UTC)
    if isinstance(values.dtype, pl.String):
        return _read_times(values, policy, found)
    if isinstance(values.dtype, pl.Date):
        values = values.cast(pl.Datetime("us"))
    if not isinstance(values.dtype, pl.Datetime):
        raise LabelsRefused(
            f"labels {name}: column {values.name!r} is {values.dtype}, not a time; make it a timestamp with a zone: "
            f"pl.from_epoch({values.name!r}, 'ms').dt.replace_time_zone('UTC')",
            {},
        )
    if values.dtype.time_zone is not None:
        return values.dt.convert_time_zone("UTC").cast(_UTC)
    if not policy.assume_utc:
        found("without a time zone", values.is_not_null())
    return values.dt.cast_time_unit("us").dt.replace_time_zone("UTC")


def _read_times(values: pl.Series, policy: LabelPolicy, found: Callable[[str, pl.Series], None]) -> pl.Series:
    """Texts of ISO 8601, each by itself."""
    texts = values.str.strip_chars().str.replace(r"^(\d{4}-\d\d-\d\d) ", "${1}T").str.replace(r"\s+([+-])", "${1}")
    is_zoned = texts.str.contains(r"T.*(?:[zZ]|[+-]\d{2}:?\d{2})$").fill_null(True)
    if policy.assume_utc:
        texts = texts.str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00")
        texts = texts.zip_with(is_zoned, texts + "Z")
    else:
        found("without a time zone", ~is_zoned & values.is_not_null())
    read = pl.select(
        pl.coalesce(texts.str.to_datetime(each, time_unit="us", time_zone="UTC", strict=False) for each in _FORMATS)
    ).to_series()
    found("with a time that cannot be read", read.is_null() & values.is_not_null())
    return read


def _within_years(times: pl.Series, found: Callable[[str, pl.Series], None]) -> pl.Series:
    """The times that a calendar has, null for others, which Polars compares and few programs can show."""
    there_are = times.to_physical().is_between(FIRST_US, LAST_US)
    found("with a time outside of the years 1 to 9999", (~there_are).fill_null(False))
    return times.set(~there_are.fill_null(True), None)


def _users(values: pl.Series, dtype: pl.DataType, name: str, found: Callable[[str, pl.Series], None]) -> pl.Series:
    """Of the type of the events' ids, null where it is none of these."""
    found("without a user", values.is_null())
    if values.dtype == dtype or isinstance(values.dtype, pl.Null):
        return values.cast(dtype)
    given, is_number = values, values.dtype.is_float() or values.dtype.is_decimal()
    if not (is_number or values.dtype.is_integer() or isinstance(values.dtype, _TEXTS)):
        raise LabelsRefused(
            f"labels {name}: column {values.name!r} is {values.dtype}, not an id; make it text or a whole number", {}
        )
    if is_number:  # whole numbers beside a null, as many libraries keep them: 7.0 is written 7
        values = values.cast(pl.Int64, strict=False)
        values = values.set(~values.is_between(-_EXACT, _EXACT), None)
    users = values.cast(dtype, strict=False)
    # What does not come back as it was is another id: 1.5 is no user 1.
    is_same = (users.cast(values.dtype, strict=False).cast(given.dtype) == given).fill_null(False)
    found("with a user that is no id of the events", ~is_same & given.is_not_null())
    return users.zip_with(is_same, pl.Series([None], dtype=dtype).new_from_index(0, users.len()))


def _without_duplicates(
    rows: pl.DataFrame, columns: LabelColumns, policy: LabelPolicy, name: str, counts: dict[str, int]
) -> pl.DataFrame:
    # In their order, so the one before is the first of them; what is unknown is not alike.
    is_again = (pl.col(name) == pl.col(name).shift(1) for name in (columns.user, columns.time))
    again = rows.select(pl.all_horizontal(is_again).fill_null(False)).to_series()
    if not (count := int(again.sum())):
        return rows
    counts["of a user and time again"] = count
    if policy.on_duplicate == "refuse":
        first = rows[LABEL_ID].filter(again).sort().head(_SHOWN)
        raise LabelsRefused(
            f"labels {name}: {count:,} have the user and time of another (label_id {', '.join(map(str, first))}, "
            "from 0); leave them out, or say --on-duplicate keep or drop",
            counts,
        )
    return rows.filter(~again) if policy.on_duplicate == "drop" else rows
