"""Errors of disks and libraries in our words: what they are, and that mistakes of the code are not among them."""

import errno
import sqlite3
import subprocess
import sys
from pathlib import Path

import lmdb
import polars as pl
import pytest

from seqplat_resources.errors import Final, Retryable, SeqplatError
from seqplat_resources.foreign_errors import DiskFull, LimitReached, NotPermitted, Unreadable, full_disk, in_our_words
from seqplat_resources.home import Home
from seqplat_resources.records.lease import Lease, LeaseHeld
from tests.disk import fill, small_disk


def test_a_write_that_was_cut_is_a_full_disk_where_the_disk_is_full(tmp_path: Path) -> None:
    parquet = pl.exceptions.ComputeError("parquet: File out of specification: Invalid thrift: transport error")
    cut = (lmdb.Error("mdb_txn_commit: Input/output error"), parquet)
    assert [full_disk(each, tmp_path) for each in cut] == [None, None]
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        fill(disk)
        assert all(isinstance(full_disk(each, disk), DiskFull) for each in cut)
        assert full_disk(lmdb.Error("mdb_get: MDB_CORRUPTED"), disk) is None


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/data/x"),
        OSError(errno.EDQUOT, "Disk quota exceeded", "/data/x"),
        OSError("Generic LocalFileSystem error\n ↳ Unable to copy data\n ↳ No space left on device (os error 28)"),
        sqlite3.OperationalError("database or disk is full"),
        pl.exceptions.ComputeError("parquet: underlying IO error: Disk quota exceeded (os error 122)"),
    ],
)
def test_a_full_disk_is_one_sentence_and_may_pass(error: Exception) -> None:
    for found in (in_our_words(error), in_our_words(caused(error)), in_our_words(caused(error, Final("of ours")))):
        assert isinstance(found, DiskFull)
        assert isinstance(found, Retryable)
        assert "\n" not in str(found)
        assert "seqplat vacuum --delete" in str(found)
    assert isinstance(in_our_words(PermissionError(errno.EACCES, "Permission denied", "/data/x")), NotPermitted)


def caused(error: Exception, by: Exception | None = None) -> Exception:
    try:
        try:
            raise error
        except type(error) as inner:
            raise (by or RuntimeError("around it")) from inner
    except Exception as outer:
        return outer


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files", "/data/x"),
        OSError(errno.EFBIG, "File too large"),
        OSError("Generic LocalFileSystem error\n ↳ Unable to open file\n ↳ Too many open files (os error 24)"),
        pl.exceptions.ComputeError("parquet: underlying IO error: Cannot allocate memory (os error 12)"),
        lmdb.Error("mdb_txn_commit: File too large"),
        MemoryError(),
    ],
)
def test_a_limit_of_the_process_is_no_damage_and_may_pass(error: Exception) -> None:
    for found in (in_our_words(error), in_our_words(caused(error))):
        assert isinstance(found, LimitReached)
        assert isinstance(found, Retryable)
        assert "\n" not in str(found)
        assert "ulimit" in str(found)
    assert in_our_words(ValueError("os error 24")) is None


_LIMITED = """
import resource, sys
from seqplat_resources.foreign_errors import LimitReached, in_our_words
from seqplat_resources.home import Home
from tests.lake.numbers_table import numbers_table, rows, DAY
from seqplat_resources.lake.files import FilePart
table = numbers_table(Home(sys.argv[1], {}))
table.replace({"day": DAY}, [FilePart(rows(1, 2))])
which, low = getattr(resource, sys.argv[2]), int(sys.argv[3])
_, most = resource.getrlimit(which)
resource.setrlimit(which, (low, most))
try:
    table.replace({"day": DAY}, [FilePart(rows(*range(3000)))])
    sys.exit("there was no limit")
except BaseException as error:
    told = in_our_words(error)
finally:
    resource.setrlimit(which, (most, most))
if not isinstance(told, LimitReached):
    raise SystemExit(repr(told))
assert table.scan().collect().height == 2
table.replace({"day": DAY}, [FilePart(rows(1, 2, 3))])
assert table.scan().collect().height == 3
"""


@pytest.mark.parametrize(("limit", "low"), [("RLIMIT_FSIZE", 64), ("RLIMIT_NOFILE", 3)])
def test_a_bucket_that_a_limit_kept_from_being_written_is_as_it_was(tmp_path: Path, limit: str, low: int) -> None:
    command = [sys.executable, "-c", _LIMITED, str(tmp_path), limit, str(low)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("parquet"), KeyboardInterrupt(), SystemExit(3), FileNotFoundError("/etc/x")]
)
def test_mistakes_of_the_code_and_wishes_to_stop_have_no_words(error: BaseException) -> None:
    assert in_our_words(error) is None


def test_ours_stay_as_they_are_and_circles_end() -> None:
    error: SeqplatError = Final("of ours")
    error.__cause__ = error
    assert in_our_words(error) is error


@pytest.mark.parametrize("data", [b"", b"junk", b"PAR1" + b"x" * 100 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_told_with_the_command_that_names_it(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "lake.parquet"
    path.write_bytes(data)
    with pytest.raises(BaseException) as raised:  # noqa: PT011 a panic of Polars is no Exception
        pl.scan_parquet(path).collect()
    assert isinstance(found := in_our_words(raised.value), Unreadable)
    assert "seqplat verify" in str(found)
    assert "\n" not in str(found)


def test_a_lease_that_cannot_be_given_back_on_a_full_disk_is_free_to_this_process(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        home = Home(str(disk), {})
        lease = Lease.acquire(home, "t/day")
        taken = fill(disk)
        lease.release()
        taken.unlink()
        assert Lease.acquire(home, "t/day").token == 2
        with pytest.raises(LeaseHeld):
            Lease.acquire(home, "t/day")
