"""What a lake table promises on every storage: whole buckets, exact types, one writer, and the loser told why."""

import datetime as dt
import json
import threading

import polars as pl
import pytest

from seqplat_resources.home import Home
from seqplat_resources.lake.compact import compact
from seqplat_resources.lake.fence import ConcurrentWrite
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.schema import SchemaMismatch
from seqplat_resources.lake.table import Fenced, LakeTable
from seqplat_resources.records.lease import LeaseHeld
from sequence_defs.schema import Column
from tests.building import ManualClock
from tests.lake.numbers_table import COLUMNS, DAY, appending, numbers_table, rows, stored_files, values

NEXT = DAY + dt.timedelta(days=1)


@pytest.fixture
def table(home: Home) -> LakeTable:
    return numbers_table(home)


def test_a_table_that_was_never_written_reads_as_empty(table: LakeTable) -> None:
    assert not table.exists()
    assert table.scan().collect().schema == {**table.schema, "day": pl.Date()}
    assert table.buckets() == set()


def test_replacing_a_bucket_leaves_the_others_and_none_of_the_old_rows(table: LakeTable) -> None:
    table.replace({"day": DAY}, [FilePart(rows(1, 2)), FilePart(rows(3))])
    table.replace({"day": NEXT}, [FilePart(rows(7))])
    commit = table.replace({"day": DAY}, [FilePart(rows(4), label="s0001")])
    assert (values(table), values(table, NEXT)) == ([4], [7])
    assert (commit.rows, commit.files, commit.bucket) == (1, 1, {"day": "2024-05-01"})
    assert table.buckets() == {("2024-05-01",), ("2024-05-02",)}
    # Another process sees the same, and old versions stay readable.
    fresh = numbers_table(table.home)
    assert values(fresh) == [4]
    assert sorted(fresh.scan(version=commit.version - 1).collect()["value"]) == [1, 2, 3, 7]


def test_a_bucket_without_rows_is_present_and_empty(table: LakeTable) -> None:
    table.replace({"day": DAY}, [FilePart(rows(1))])
    for nothing in ([], [FilePart(rows())]):
        table.replace({"day": DAY}, nothing)
        assert (values(table), table.buckets()) == ([], {("2024-05-01",)})


def test_the_commit_keeps_what_the_build_said_of_itself(table: LakeTable) -> None:
    table.replace({"day": DAY}, [FilePart(rows(1))], before_commit=lambda: {"release": "abc", "raw_version": 3})
    assert json.loads(table.delta().history(1)[0]["seqplat"]) == {"raw_version": 3, "release": "abc"}


def test_what_is_prepared_for_a_commit_is_not_visible_yet(table: LakeTable) -> None:
    table.replace({"day": DAY}, [FilePart(rows(1))])
    seen: list[list[int]] = []

    def look() -> dict[str, object]:
        seen.append(values(numbers_table(table.home)))
        return {}

    table.replace({"day": DAY}, [FilePart(rows(2))], before_commit=look)
    assert seen == [[1]]


def test_an_error_while_parts_are_made_leaves_the_old_bucket_and_no_lease(table: LakeTable) -> None:
    table.replace({"day": DAY}, [FilePart(rows(1))])

    def broken():  # type: ignore[no-untyped-def]
        yield FilePart(rows(2))
        raise RuntimeError("the engine failed")

    with pytest.raises(RuntimeError, match="the engine failed"):
        table.replace({"day": DAY}, broken())
    assert values(table) == [1]
    table.replace({"day": DAY}, [FilePart(rows(3))])
    assert values(table) == [3]


def test_a_second_writer_is_told_who_has_the_bucket(table: LakeTable) -> None:
    table.replace({"day": DAY}, [FilePart(rows(1))])
    refusals: list[str] = []

    def meanwhile() -> dict[str, object]:
        with pytest.raises(LeaseHeld) as refused:
            numbers_table(table.home).replace({"day": DAY}, [FilePart(rows(9))])
        refusals.append(str(refused.value))
        numbers_table(table.home).replace({"day": NEXT}, [FilePart(rows(5))])  # another bucket is free
        return {}

    table.replace({"day": DAY}, [FilePart(rows(2))], before_commit=meanwhile)
    assert (values(table), values(table, NEXT)) == ([2], [5])
    assert "lake/numbers/2024-05-01 is being written by process " in refusals[0]
    assert "wait for it to finish, or end that process" in refusals[0]


@pytest.mark.parametrize(
    ("dtype", "given", "said"),
    [
        ("float32", pl.Float64(), "value is Float64, declared Float32"),
        ("int64", pl.Int32(), "value is Int32, declared Int64"),
        ("timestamp", pl.Datetime("ms", "UTC"), "value is Datetime(time_unit='ms', time_zone='UTC')"),
        ("vector[float16,2]", pl.Array(pl.Float32(), 2), "value is Array(Float32, shape=(2,)), declared Binary"),
    ],
)
def test_rows_of_other_types_are_refused_before_anything_is_visible(
    home: Home, dtype: str, given: pl.DataType, said: str
) -> None:
    """Delta would narrow a float64 to float32 without a word."""
    table = numbers_table(home, columns=(Column(name="value", dtype=dtype),))
    table.replace({"day": DAY}, [FilePart(pl.DataFrame(schema=table.schema))])
    with pytest.raises(SchemaMismatch) as refused:
        table.replace({"day": DAY}, [FilePart(pl.DataFrame(schema={"value": given}))])
    assert said in str(refused.value)
    assert "lake/numbers {'day': '2024-05-01'}" in str(refused.value)
    assert table.delta().version() == 1


def test_rows_without_a_declared_column_are_refused(table: LakeTable) -> None:
    with pytest.raises(
        SchemaMismatch, match=r"lake/numbers: rows lack column\(s\) \['note'\]; have \['user_id', 'value'\]"
    ):
        table.replace({"day": DAY}, [FilePart(rows(1).drop("note"))])
    assert not table.exists()


def test_a_column_of_another_type_lies_beside_the_old_one_and_each_release_reads_both(
    home: Home, table: LakeTable
) -> None:
    """Nothing that is stored is touched: values are read as those of the type that is declared, where they are any."""
    table.replace({"day": DAY}, [FilePart(rows(1, 300))])
    narrow = numbers_table(home, columns=(COLUMNS[0], Column(name="value", dtype="int8"), COLUMNS[2]))
    assert narrow.scan().collect()["value"].to_list() == [1, None]  # before anything is written with it
    narrow.replace({"day": NEXT}, [FilePart(rows(2).with_columns(pl.col("value").cast(pl.Int8())))])
    notes = {f.name: f.metadata for f in narrow.delta().schema().fields}
    assert notes["value@int8"]["seqplat.column"] == "value"
    found = narrow.scan().sort("user_id").collect()
    assert (found["value"].to_list(), found["value"].dtype) == ([1, 2, None], pl.Int8())
    assert table.scan().sort("user_id").collect()["value"].to_list() == [
        1,
        2,
        300,
    ]  # the older release, after a rollback
    table.replace({"day": NEXT}, [FilePart(rows(3))])
    assert sorted(filter(None, table.scan().collect()["value"].to_list())) == [1, 3, 300]


def test_vectors_of_another_dimension_are_never_read_as_each_other(home: Home) -> None:
    """To Delta both are bytes."""
    wide, flat = (
        numbers_table(home, columns=(COLUMNS[0], Column(name="v", dtype=f"vector[int8,{n}]"))) for n in (2, 3)
    )
    wide.replace({"day": DAY}, [FilePart(pl.DataFrame({"user_id": [1], "v": [b"ab"]}))])
    flat.replace({"day": NEXT}, [FilePart(pl.DataFrame({"user_id": [2], "v": [b"abc"]}))])
    assert flat.scan().sort("user_id").collect()["v"].to_list() == [None, b"abc"]
    assert wide.scan().sort("user_id").collect()["v"].to_list() == [b"ab", None]


def test_merging_small_files_loses_no_column_that_is_declared_no_more(home: Home, table: LakeTable) -> None:
    def parts() -> list[FilePart]:
        return [FilePart(rows(1), label="a"), FilePart(rows(2), label="b")]

    table.replace({"day": DAY}, parts())
    without = numbers_table(home, columns=(COLUMNS[0], Column(name="value", dtype="string")))
    assert list(compact(without, split_by=None, sort=lambda found: found.sort("user_id")))
    assert len(stored_files(home)) == 3
    assert table.scan().sort("value").collect().select("value", "note").rows() == [(1, ""), (2, "")]


def test_a_new_column_is_null_in_old_rows_and_rewrites_no_file(home: Home, table: LakeTable) -> None:
    table.replace({"day": DAY}, [FilePart(rows(1))])
    before = {path: bytes(home.objects.get(f"lake/numbers/{path}").bytes()) for path in stored_files(home)}
    wider = numbers_table(home, columns=(*COLUMNS, Column(name="score", dtype="float32", unit="points", model="m1")))
    assert wider.scan().collect()["score"].to_list() == [None]  # readable before anything is written with it
    wider.replace({"day": NEXT}, [FilePart(rows(2).with_columns(score=pl.lit(0.5, pl.Float32())))])
    assert wider.scan().sort("value").collect().select("value", "score").rows() == [(1, None), (2, 0.5)]
    for path, data in before.items():
        assert bytes(home.objects.get(f"lake/numbers/{path}").bytes()) == data
    # Writers of the older release keep working: what they do not know is null.
    table.replace({"day": NEXT}, [FilePart(rows(3))])
    assert wider.scan().sort("value").collect()["score"].to_list() == [None, None]
    notes = {f.name: f.metadata for f in wider.delta().schema().fields}["score"]
    assert notes == {"seqplat.dtype": "float32", "seqplat.unit": "points", "seqplat.model": "m1"}


def test_two_processes_adding_to_one_bucket_lose_nothing(home: Home, table: LakeTable) -> None:
    """Each reads the bucket and writes it back with one number more; whoever is refused tries again."""
    table.replace({"day": DAY}, [])
    shares = range(100, 110), range(200, 210)
    refused = appending(home, [(DAY, share, []) for share in shares])
    assert values(table) == [*shares[0], *shares[1]]
    assert {reason for by_reason in refused for reason in by_reason} <= {"LeaseHeld", "RecordConflict"}


def test_two_processes_on_different_days_both_succeed_from_nothing(home: Home) -> None:
    """Also when both create the table."""
    assert appending(home, [(day, [1, 2, 3], []) for day in (DAY, NEXT)]) == [{}, {}]
    assert (values(numbers_table(home)), values(numbers_table(home), NEXT)) == ([1, 2, 3], [1, 2, 3])


def test_a_paused_writer_is_fenced_by_the_one_that_took_over(home: Home) -> None:
    """It lost its lease by the clock, came back, and must not put its older rows over the newer ones."""
    clock = ManualClock()
    table = numbers_table(home, clock=clock)
    table.replace({"day": DAY}, [FilePart(rows(1))])

    def overtaken() -> dict[str, object]:
        clock.time += dt.timedelta(hours=1)
        numbers_table(home, clock=clock).replace({"day": DAY}, [FilePart(rows(3))])
        return {}

    with pytest.raises(Fenced) as refused:
        table.replace({"day": DAY}, [FilePart(rows(2))], before_commit=overtaken)
    assert str(refused.value) == (
        "lake/numbers {'day': '2024-05-01'}: lease 3 was overtaken by 4; nothing was written, run it again"
    )
    assert values(table) == [3]
    table.replace({"day": DAY}, [FilePart(rows(4))])  # and nothing is left held
    assert values(table) == [4]


def test_a_writer_finds_that_an_expired_one_committed_meanwhile(home: Home) -> None:
    """The expired writer was first, so the later one, who may have read the bucket before, must start again."""
    clock, started, committed = ManualClock(), threading.Event(), threading.Event()
    refusals: list[str] = []

    def take_over() -> None:
        def wait() -> dict[str, object]:
            started.set()
            committed.wait(30)
            return {}

        with pytest.raises(ConcurrentWrite) as refused:
            numbers_table(home, clock=clock).replace({"day": DAY}, [FilePart(rows(2))], before_commit=wait)
        refusals.append(str(refused.value))

    later = threading.Thread(target=take_over)

    def overtaken(step: int) -> None:
        if step == 3:
            clock.time += dt.timedelta(hours=1)
            later.start()
            started.wait(30)

    table = numbers_table(home, clock=clock)
    table.replace({"day": DAY}, [FilePart(rows(1))], step=overtaken)
    committed.set()
    later.join()
    assert refusals == [
        "lake/numbers {'day': '2024-05-01'}: a writer whose lease (1) had expired committed it meanwhile; run it again"
    ]
    assert values(table) == [1]


def test_processes_that_widen_the_table_at_once_all_succeed(home: Home, table: LakeTable) -> None:
    """The same new column and different ones, while others write without any."""
    table.replace({"day": DAY}, [])
    share = [1, 2, 3]
    tasks = [(DAY + dt.timedelta(days=n), new) for n, new in enumerate(([], ["a"], ["a", "b"], ["c"]))]
    assert appending(home, [(day, share, new) for day, new in tasks]) == [{}, {}, {}, {}]
    wider = numbers_table(home)
    assert {field.name for field in wider.delta().schema().fields} == {*wider.schema, "day", "a", "b", "c"}
    assert [values(wider, day) for day, _ in tasks] == [share] * 4
