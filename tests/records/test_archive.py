"""Old records in few files: every number is read as it was written, whoever was killed and whoever came at once."""

import gzip
import sys
import threading
from pathlib import Path

import pytest

from seqplat_resources.home import Home
from seqplat_resources.records.archive import ArchivedLog
from seqplat_resources.records.log import RecordConflict, RecordLog


@pytest.fixture
def log(tmp_path: Path) -> ArchivedLog:
    return ArchivedLog(RecordLog(Home(str(tmp_path), {}).objects, "shadow/visit/verdicts"), keep=4)


def _write(log: ArchivedLog, number: int) -> None:
    log.log.append(b'{"said": "\xc3\xa9 %d"}' % number, after=number - 1)


def _files(log: ArchivedLog) -> list[str]:
    return [item["path"] for item in log.log.objects.list(log.log.prefix).collect()]


def _all(log: ArchivedLog) -> list[bytes]:
    latest = log.log.latest()
    return [log.read(number).data for number in range(1, (latest.number if latest else 0) + 1)]


def test_a_log_stays_short_and_every_record_is_as_it_was(log: ArchivedLog) -> None:
    for number in range(1, 31):
        _write(log, number)
        log.compact()
        assert len(log.log.numbers()) < 2 * log.keep
    assert _all(log) == [b'{"said": "\xc3\xa9 %d"}' % number for number in range(1, 31)]
    assert len([path for path in _files(log) if path.endswith(".gz")]) == 6
    for number in (0, 31, 99):
        with pytest.raises(FileNotFoundError):
            log.read(number)
    with pytest.raises(RecordConflict):
        log.log.append(b"{}", after=0)


def test_who_is_killed_in_between_leaves_every_record(log: ArchivedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 9):
        _write(log, number)
    with monkeypatch.context() as patched:
        patched.setattr(RecordLog, "forget_before", lambda *_: sys.exit())
        with pytest.raises(SystemExit):
            log.compact()
    before = _all(log)
    assert len(log.log.numbers()) == 8
    _write(log, 9)
    log.compact()
    assert _all(log)[:8] == before
    assert log.log.numbers() == [6, 7, 8, 9]


def test_a_file_that_says_something_else_costs_no_record(log: ArchivedLog) -> None:
    for number in range(1, 9):
        _write(log, number)
    path = f"{log.log.prefix}/archive/000000000001-000000000004.gz"
    log.log.objects.put(path, gzip.compress(b"1 {}\n"))
    log.compact()
    assert log.log.numbers() == list(range(1, 9))


def test_writers_who_do_it_at_once_lose_nothing(log: ArchivedLog) -> None:
    def writer() -> None:
        for _ in range(10):
            while True:
                numbers = log.log.numbers()
                try:
                    _write(log, (numbers[-1] if numbers else 0) + 1)
                    break
                except RecordConflict:
                    continue
            log.compact()

    threads = [threading.Thread(target=writer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _all(log) == [b'{"said": "\xc3\xa9 %d"}' % number for number in range(1, 41)]
