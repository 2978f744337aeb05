"""Compaction and vacuum: fewer files, the same rows in the same order, and never over a newer bucket."""

from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.home import Home
from seqplat_resources.lake.compact import compact, facts
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.lake.vacuum import vacuum
from seqplat_resources.records.lease import LeaseHeld
from tests.lake.numbers_table import DAY, numbers_table, rows, stored_files, values


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    return numbers_table(Home(str(tmp_path), {}))


def by_value(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort("value")


def test_small_files_become_one_with_all_rows_in_order(table: LakeTable) -> None:
    table.replace({"day": DAY}, [FilePart(rows(3, 9)), FilePart(rows(1)), FilePart(rows(2))])
    (commit,) = compact(table, split_by=None, sort=by_value)
    assert (commit.rows, commit.files) == (4, 1)
    assert table.scan().collect()["value"].to_list() == [1, 2, 3, 9]
    assert list(compact(table, split_by=None, sort=by_value)) == []


def test_each_value_of_the_split_keeps_a_file_of_its_own(table: LakeTable) -> None:
    table.replace(
        {"day": DAY}, [FilePart(rows(2, 1), "s0001"), FilePart(rows(1, 1)), FilePart(rows(2)), FilePart(rows(1, 2))]
    )
    (commit,) = compact(table, split_by="user_id", sort=by_value)
    assert commit.files == 2
    files = [pl.read_parquet(f, columns=["user_id"])["user_id"].to_list() for f in table.delta().file_uris()]
    assert sorted(files) == [[1, 1, 1, 1], [2, 2, 2]]
    assert sorted(Path(f).name[:5] for f in table.delta().file_uris()) == ["s0001", "s0002"]


def test_a_bucket_without_rows_stays_present(table: LakeTable) -> None:
    table.replace({"day": DAY}, [FilePart(rows()), FilePart(rows())])
    list(compact(table, split_by="user_id", sort=by_value))
    assert (values(table), table.buckets(), len(table.delta().file_uris())) == ([], {(DAY.isoformat(),)}, 1)


def test_a_build_that_replaces_the_bucket_meanwhile_is_not_undone(table: LakeTable) -> None:
    """Whether it comes before the rows are read or after, its rows stay: both hold the same lease while they work."""
    table.replace({"day": DAY}, [FilePart(rows(1)), FilePart(rows(2))])
    attempts: list[str] = []

    def sort(frame: pl.DataFrame) -> pl.DataFrame:
        try:
            numbers_table(table.home).replace({"day": DAY}, [FilePart(rows(7)), FilePart(rows(8))])
            attempts.append("replaced")
        except LeaseHeld:
            attempts.append("held")
        return by_value(frame)

    list(compact(table, split_by=None, sort=sort))
    assert (attempts, values(table)) == (["held"], [1, 2])


def test_facts_are_counted_from_the_log(table: LakeTable) -> None:
    assert facts(table) is None
    table.replace({"day": DAY}, [FilePart(rows(1, 2)), FilePart(rows(3))])
    found = facts(table)
    assert found is not None
    assert (found.name, found.version, found.buckets, found.files, found.rows) == ("lake/numbers", 1, 1, 2, 3)
    assert found.bytes == sum(Path(f).stat().st_size for f in table.delta().file_uris())
    assert (found.first, found.last) == ("2024-05-01", "2024-05-01")


def test_vacuum_leaves_the_files_of_young_versions(table: LakeTable) -> None:
    table.replace({"day": DAY}, [FilePart(rows(1))])
    table.replace({"day": DAY}, [FilePart(rows(2))])
    assert vacuum(table, dry_run=False) == []
    assert len(stored_files(table.home)) == 2
    assert table.scan(version=1).collect()["value"].to_list() == [1]


def test_vacuum_of_a_table_that_was_never_written_finds_nothing(table: LakeTable) -> None:
    assert vacuum(table, retention_hours=0, dry_run=False) == []
