"""What a record log promises on every storage: exactly one writer per number, and numbers that never come back."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest

from seqplat_resources.home import Home
from seqplat_resources.records.log import Record, RecordConflict, RecordLog


@pytest.fixture
def log(home: Home) -> RecordLog:
    return RecordLog(home.objects, "channels/dev")


def test_an_empty_log_has_no_latest(log: RecordLog) -> None:
    assert (log.numbers(), log.latest()) == ([], None)


def test_records_are_numbered_from_one_and_read_back(log: RecordLog) -> None:
    for number in range(12):
        assert log.append(f"{number}".encode(), after=number) == Record(number + 1, f"{number}".encode())
    assert log.numbers() == list(range(1, 13))
    assert log.read(3) == Record(3, b"2")
    assert log.latest() == Record(12, b"11")


def test_a_number_that_is_taken_is_a_conflict_and_stays_as_it_was(log: RecordLog) -> None:
    log.append(b"first", after=0)
    with pytest.raises(RecordConflict) as refused:
        log.append(b"second", after=0)
    assert str(refused.value) == (
        "record 1 of channels/dev was written by somebody else first; read it and decide again"
    )
    assert (refused.value.prefix, refused.value.number) == ("channels/dev", 1)
    assert log.read(1).data == b"first"


def test_of_many_writers_after_one_number_exactly_one_succeeds(log: RecordLog) -> None:
    def attempt(writer: int) -> bool:
        try:
            log.append(f"{writer}".encode(), after=0)
        except RecordConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(attempt, range(16)))
    assert won.count(True) == 1
    assert log.latest() == Record(1, f"{won.index(True)}".encode())


def test_logs_whose_names_begin_alike_are_apart(log: RecordLog) -> None:
    RecordLog(log.objects, "channels/develop").append(b"other", after=0)
    assert log.numbers() == []


def test_forgetting_keeps_the_newest_and_the_count(log: RecordLog) -> None:
    for number in range(4):
        log.append(b"", after=number)
    log.forget_before(3)
    assert log.numbers() == [3, 4]
    log.forget_before(100)
    assert log.numbers() == [4]
    assert log.append(b"", after=4).number == 5


def test_a_writer_that_saw_a_number_since_forgotten_conflicts(log: RecordLog) -> None:
    """Its place is free again, but the log has gone on: succeeding there would give one number to two writers."""
    for number in range(3):
        log.append(b"", after=number)
    log.forget_before(3)
    with pytest.raises(RecordConflict):
        log.append(b"late", after=1)
    assert log.numbers() == [3]


def test_the_latest_is_found_while_others_append_and_forget(log: RecordLog) -> None:
    """Between listing and reading, the number listed may be forgotten."""
    log.append(b"old", after=0)

    @dataclasses.dataclass(frozen=True)
    class Overtaken(RecordLog):
        def numbers(self) -> list[int]:
            listed = super().numbers()
            if listed == [1]:
                log.append(b"new", after=1)
                log.forget_before(2)
            return listed

    assert Overtaken(log.objects, log.prefix).latest() == Record(2, b"new")


def test_taking_back_a_late_record_that_somebody_else_forgot_is_a_conflict_too(log: RecordLog) -> None:
    for number in range(3):
        log.append(b"", after=number)
    log.forget_before(3)

    @dataclasses.dataclass(frozen=True)
    class Overtaken(RecordLog):
        def _listed(self) -> list[int]:
            listed = super()._listed()
            log.forget_before(3)
            return listed

    with pytest.raises(RecordConflict):
        Overtaken(log.objects, log.prefix).append(b"late", after=1)
    assert log.numbers() == [3]


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_writer_keeps_its_record_when_the_next_one_is_written_before_it_looks_back(
    log: RecordLog, after: int
) -> None:
    """A record that others have built on already must not be taken back."""
    for number in range(after):
        log.append(b"", after=number)

    @dataclasses.dataclass(frozen=True)
    class Overtaken(RecordLog):
        def _listed(self) -> list[int]:
            if super()._listed()[-1] == after + 1:
                log.append(b"next", after=after + 1)
            return super()._listed()

    assert Overtaken(log.objects, log.prefix).append(b"mine", after=after) == Record(after + 1, b"mine")
    assert log.numbers() == list(range(1, after + 3))


def test_a_first_record_comes_too_late_where_others_were_forgotten(log: RecordLog) -> None:
    for number in range(2):
        log.append(b"", after=number)
    log.forget_before(2)
    with pytest.raises(RecordConflict):
        log.append(b"late", after=0)
    assert log.numbers() == [2]
