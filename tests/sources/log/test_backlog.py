"""How polls are cut out of what clients deliver, whatever they deliver."""

from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.sources.log import LogBatch, Partition
from seqplat_resources.sources.log.backlog import Backlog

A, B, C = (Partition("t", number) for number in range(3))


def run(partition: Partition, offsets: list[int], *, size_bytes: int = 10, next_offset: int | None = None) -> LogBatch:
    values: list[bytes | None] = [bytes(size_bytes) for _ in offsets]
    return LogBatch(partition, offsets, [n * 1000 for n in offsets], values, next_offset or offsets[-1] + 1)


def taken(backlog: Backlog, rows: int, size_bytes: int = 1 << 20) -> dict[Partition, list[int]]:
    return {batch.partition: batch.offsets for batch in backlog.take(rows, size_bytes)}


def test_waiting_partitions_share_a_poll_and_leave_what_they_do_not_need() -> None:
    backlog = Backlog({A: 0, B: 0, C: 0})
    backlog.add(run(A, list(range(100))))
    backlog.add(run(B, [0, 1]))
    got = taken(backlog, 30)
    assert {p: len(offsets) for p, offsets in got.items()} == {A: 28, B: 2}


def test_bytes_are_shared_too() -> None:
    backlog = Backlog({A: 0, B: 0})
    backlog.add(run(A, list(range(100)), size_bytes=100))
    backlog.add(run(B, list(range(5)), size_bytes=100))
    assert {p: len(offsets) for p, offsets in taken(backlog, 1000, 2000).items()} == {A: 15, B: 5}


def test_who_was_served_waits_for_the_others() -> None:
    backlog = Backlog({A: 0, B: 0, C: 0})
    for partition in (A, B, C):
        backlog.add(run(partition, [0, 1, 2]))
    assert [list(taken(backlog, 1)) for _ in range(4)] == [[A], [B], [C], [A]]


def test_position_passes_what_the_log_skipped() -> None:
    backlog = Backlog({A: 5})
    backlog.add(run(A, [5, 9, 10], next_offset=14))
    (first,) = backlog.take(1, 1 << 20)
    assert (first.offsets, first.next_offset, backlog.positions) == ([5], 9, {A: 9})
    backlog.skip_to(A, 20)
    assert backlog.positions == {A: 9}
    (rest,) = backlog.take(10, 1 << 20)
    assert (rest.offsets, rest.next_offset, backlog.positions) == ([9, 10], 20, {A: 20})
    backlog.skip_to(A, 25)
    backlog.skip_to(A, 3)
    assert (backlog.positions, backlog.fetched_to(A)) == ({A: 25}, 25)


_RUNS = st.lists(
    st.tuples(st.sampled_from([A, B, C]), st.lists(st.integers(0, 60), min_size=1, max_size=9)), max_size=9
)


@given(runs=_RUNS, bounds=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 80)), min_size=1))
def test_everything_comes_once_in_order_within_the_bounds(
    runs: list[tuple[Partition, list[int]]], bounds: list[tuple[int, int]]
) -> None:
    backlog = Backlog({A: 0, B: 0, C: 0})
    added: dict[Partition, list[bytes | None]] = {A: [], B: [], C: []}
    for partition, sizes in runs:
        first = len(added[partition])
        values: list[bytes | None] = [bytes(size) if size else None for size in sizes]
        offsets = list(range(first, first + len(values)))
        backlog.add(LogBatch(partition, offsets, offsets, values, first + len(values)))
        added[partition] += values
    got: dict[Partition, list[bytes | None]] = {A: [], B: [], C: []}
    turn = 0
    while backlog.rows:
        max_rows, max_bytes = bounds[turn % len(bounds)]
        batches = backlog.take(max_rows, max_bytes)
        rows, size_bytes = sum(map(len, batches)), sum(batch.size_bytes for batch in batches)
        assert 1 <= rows <= max_rows
        assert size_bytes <= max_bytes or rows == 1
        assert len({batch.partition for batch in batches}) == len(batches)
        for batch in batches:
            assert batch.offsets[0] == len(got[batch.partition])
            got[batch.partition] += batch.values
        turn += 1
    assert got == added
    assert backlog.size_bytes == 0
    assert backlog.positions == {partition: len(values) for partition, values in added.items()}
