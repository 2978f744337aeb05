"""Labels as people have them: each odd one costs itself, is counted, and takes nobody else's events."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqplat_resources.training.given.labels import LabelColumns, LabelPolicy, LabelRows, LabelsRefused, read
from seqplat_resources.training.parquet.columns import NotStorable
from tests.building import utc

NOON = utc(2024, 5, 1, 12)
DROP = LabelPolicy(on_bad="drop")


def kept(source: Any, user: pl.DataType = pl.String(), policy: LabelPolicy = DROP) -> LabelRows:
    return read(source, LabelColumns(), policy, user, now=utc(2024, 6, 1))


def of_users(users: Any) -> pl.DataFrame:
    values = users if isinstance(users, pl.Series) else pl.Series(users)
    times = pl.Series([NOON] * values.len(), dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({"user": values, "time": times})


NO_ID = "with a user that is no id of the events"
# What pandas makes of whole numbers beside a null, among them.
NUMBERS = [
    (pl.Series([7.0, float("nan"), -0.0, 1.5, float("inf"), 2.0**60]), ["7", "0"], 4),
    (pl.Series([Decimal("7.00"), Decimal("1.50")]), ["7"], 1),
    (pl.Series([2**63, 7], dtype=pl.UInt64), ["9223372036854775808", "7"], 0),
    (pl.Series([7, -(2**63)], dtype=pl.Int64), ["7", "-9223372036854775808"], 0),
]


@pytest.mark.parametrize(("users", "ids", "wrong"), NUMBERS)
def test_numbers_are_the_ids_that_they_are_written_as(users: pl.Series, ids: list[str], wrong: int) -> None:
    found = kept(of_users(users))
    assert found.rows["user"].to_list() == sorted(ids)
    assert found.counts == ({NO_ID: wrong} if wrong else {})
    as_numbers = kept(of_users(users), pl.Int64())
    assert as_numbers.rows["user"].to_list() == sorted(int(user) for user in ids if int(user) < 2**63)


@pytest.mark.parametrize(
    "users",
    [[True], [["ann"]], [{"a": 1}], [NOON], [dt.date(2024, 5, 1)]],
    ids=["flag", "list", "struct", "time", "day"],
)
def test_what_can_be_no_id_is_refused_by_its_type(users: list[Any]) -> None:
    with pytest.raises(LabelsRefused, match=r"column 'user' is .*, not an id; make it text or a whole number"):
        kept(of_users(users))


def test_ids_in_a_text_file_are_read_as_they_are_written(tmp_path: Path) -> None:
    """As a number `007` would be another user; and a column of numbers with one text below would not be read."""
    path = tmp_path / "labels.csv"
    path.write_text("user,time,y\n007,2024-05-01T12:00:00Z,1\n7,2024-05-01T12:00:00Z,2\n 7,2024-05-01T12:00:00Z,3\n")
    assert kept(path).rows["user"].to_list() == [" 7", "007", "7"]
    found = kept(path, pl.Int64())
    assert found.rows.select("user", "y").rows() == [(7, 2)]
    assert found.counts == {NO_ID: 2}


def test_a_column_whose_texts_begin_late_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    line = "{},2024-05-01T12:00:00Z,{}\n"
    path.write_text("user,time,y\n" + line.format("ann", 1) * 12_000 + line.format("bob", "many"))
    assert kept(path).rows["y"].tail(2).to_list() == ["1", "many"]


TIMES = {
    "2024-05-01": None,  # no zone
    "2024-05-01T12:00:00Z": NOON,
    "2024-05-01 12:00:00Z": NOON,
    "2024-05-01T12:00Z": NOON,
    "2024-05-01T14:00+02:00": NOON,
    "2024-05-01 14:00:00 +0200": NOON,
    "2024-05-01T12:00:00.000000999Z": NOON,
    "2024-05-01T12:00:00.5Z": NOON + dt.timedelta(seconds=0.5),
    "garbage": None,
    "01/05/2024 12:00": None,
    "2024-05-01T12:00:00": None,
}


@pytest.mark.parametrize("first", sorted(TIMES))
def test_how_one_time_is_written_says_nothing_of_another(first: str) -> None:
    texts = [first, *TIMES]
    found = kept(pl.DataFrame({"user": ["ann"] * len(texts), "time": texts, "text": texts}))
    wanted = {text: time for text in texts if (time := TIMES[text]) is not None}
    assert dict(found.rows.select("text", "time").iter_rows()) == wanted
    assert sum(found.counts[name] for name in found.counts if "a user and time" not in name) == len(texts) - sum(
        TIMES[text] is not None for text in texts
    )


def test_days_without_a_zone_are_midnights_in_utc_where_that_is_said() -> None:
    labels = pl.DataFrame({"user": ["ann"] * 2, "time": ["2024-05-01", "2024-05-01 12:00"]})
    found = kept(labels, policy=LabelPolicy("drop", assume_utc=True))
    assert found.rows["time"].to_list() == [utc(2024, 5, 1), NOON]


def test_a_column_of_nothing_is_labels_without_a_time_or_user() -> None:
    nothing = of_users(["ann", "bob"]).with_columns(time=pl.lit(None))
    assert kept(nothing).counts == {"without a time": 2}
    assert kept(of_users(["ann"]).with_columns(user=pl.lit(None))).counts == {"without a user": 1}


@pytest.mark.parametrize("type_", ["Int64", "Float64"])
def test_numbers_of_times_are_refused_with_what_makes_times_of_them(type_: str) -> None:
    labels = of_users(["ann"]).with_columns(time=pl.lit(1714564800000).cast(getattr(pl, type_)))
    with pytest.raises(LabelsRefused, match=rf"'time' is {type_}, not a time; .*pl.from_epoch"):
        kept(labels)


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, Decimal("1.5"), dt.timedelta(1), dt.time(1)])
def test_a_column_that_cannot_be_kept_is_refused_before_anything_is_made(value: Any) -> None:
    labels = of_users(["ann"]).with_columns(pl.Series("x", [value]))
    with pytest.raises(NotStorable, match=r"column 'x' is .*leave it out"):
        kept(labels)


def test_one_column_cannot_be_user_and_time() -> None:
    with pytest.raises(LabelsRefused, match="'time' is both"):
        read(of_users(["ann"]), LabelColumns(user="time"), DROP, pl.String(), now=NOON)


def test_a_delta_table_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels/_delta_log").mkdir(parents=True)
    with pytest.raises(LabelsRefused, match=r"labels .*labels cannot be read: .*; give Parquet, CSV"):
        kept(tmp_path / "labels")
    of_users(["ann"]).with_columns(part=pl.lit("a")).write_delta(
        tmp_path / "parts", delta_write_options={"partition_by": ["part"]}
    )
    assert kept(tmp_path / "parts").rows["part"].to_list() == ["a"]
