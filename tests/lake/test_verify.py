"""Every flipped byte of a file is found, whichever way the file was written."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from seqplat_resources.home import Home
from seqplat_resources.lake.append import append, compact_appended
from seqplat_resources.lake.compact import compact
from seqplat_resources.lake.files import FilePart
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.lake.verify import share_of, verified
from tests.lake.numbers_table import DAY, numbers_table, rows, stored_files

NEXT = DAY + dt.timedelta(days=1)


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    return numbers_table(Home(str(tmp_path), {}))


def replaced(table: LakeTable) -> None:
    parts = [({"day": day}, FilePart(rows(7, 8), label="same", copies=True)) for day in (DAY, NEXT)]
    table.replace_many([{"day": DAY}, {"day": NEXT}], parts)


def emptied(table: LakeTable) -> None:
    table.replace({"day": DAY}, [])


def appended(table: LakeTable) -> None:
    append(table, [({"day": DAY}, FilePart(rows(1, 2)))], {"log:0": (None, 2)}, metadata={})


def merged(table: LakeTable) -> None:
    table.replace({"day": DAY}, [FilePart(rows(1)), FilePart(rows(2))])
    list(compact(table, split_by=None, sort=lambda frame: frame.sort("value")))


def merged_appends(table: LakeTable) -> None:
    appended(table)
    append(table, [({"day": DAY}, FilePart(rows(3, 1)))], {"log:0": (2, 4)}, metadata={})
    list(compact_appended(table, split_by="user_id", sort_by=["value"], min_files=1))


def damages(table: LakeTable) -> list[str | None]:
    return [verdict.damage for verdict in verified(table, table.files())]


@pytest.mark.parametrize("write", [replaced, emptied, appended, merged, merged_appends])
def test_each_flipped_byte_is_found(table: LakeTable, write: Callable[[LakeTable], None]) -> None:
    write(table)
    assert set(damages(table)) == {None}
    verdicts = list(verified(table, table.files()))
    assert all(verdict.checked for verdict in verdicts)
    path = Path(table.home.uri(f"{table.name}/{verdicts[0].path}"))
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        assert next(verified(table, table.files())).damage == "its bytes are not those that were written"
    path.write_bytes(whole)
    assert set(damages(table)) == {None}


def test_a_short_file_and_one_that_is_gone_are_told_apart(table: LakeTable) -> None:
    replaced(table)
    one, other = (Path(table.home.uri(f"{table.name}/{path}")) for path in table.files()["path"])
    size = one.stat().st_size
    one.unlink()  # they are one file of the disk with two names
    one.write_bytes(b"PAR1")
    other.unlink()
    assert damages(table) == [f"it has 4 bytes, {size:,} were written", "it is not there"]
    one.unlink()
    one.mkdir()
    assert "cannot be read" in str(damages(table)[0]) or damages(table)[0] == "it is not there"


def test_files_older_than_checksums_are_not_taken_for_checked(table: LakeTable) -> None:
    """As an earlier build named them; compaction gives them a checksum."""
    replaced(table)
    rows(1).with_columns(day=pl.lit(DAY)).write_delta(table.uri, mode="append")
    assert [verdict.checked for verdict in verified(table, table.files())].count(False) == 1
    list(compact(table, split_by=None, sort=lambda frame: frame.sort("value")))
    assert all(verdict.checked for verdict in verified(table, table.files()))


def test_shares_are_all_files_together(table: LakeTable) -> None:
    for number in range(12):
        append(table, [({"day": DAY}, FilePart(rows(number)))], {"log:0": (number or None, number + 1)}, metadata={})
    files = table.files()
    shares = [share_of(files, part, 5)["path"].to_list() for part in range(5)]
    assert sorted(path for share in shares for path in share) == sorted(files["path"])
    assert max(map(len, shares)) < 12
    assert len(stored_files(table.home)) == 12
