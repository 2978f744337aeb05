"""The part of a log source that does not depend on the client: checked assignment, the polling loop, lost offsets.

>>> class Ten(PolledSource):  # a log that holds ten messages
...     def start_offsets(self, partitions): return dict.fromkeys(partitions, 0)
...     def end_offsets(self, partitions): return dict.fromkeys(partitions, 10)
...     def identity(self, topic): return ""
...     def _seek(self, positions): pass
...     def _pull(self, backlog, max_rows, max_bytes, timeout_s):
...         for clicks, at in backlog.positions.items():
...             backlog.add(LogBatch(clicks, [at], [0], [b"click"], at + 1))
...
>>> log = Ten(where="here", on_lost="error")
>>> log.assign({Partition("clicks", 0): 7})
>>> log.poll(max_rows=1, max_bytes=1_000, timeout_s=5)[0].offsets, log.positions()
([7], {Partition(topic='clicks', number=0): 8})
>>> log.assign({Partition("clicks", 0): 11})
Traceback (most recent call last):
    ...
seqplat_resources.sources.log.errors.OffsetsAhead: offset 11 of clicks:0 is behind its end 10, in ...
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from seqplat_resources.sources.log.backlog import Backlog
from seqplat_resources.sources.log.contract import LogBatch, OnLost, Partition
from seqplat_resources.sources.log.errors import OffsetsAhead, OffsetsLost

_log = logging.getLogger(__name__)
# A quiet log and one that is away look the same to a poll; after so long without messages the end is asked for.
QUIET_S = 5.0


class PolledSource(ABC):
    """A ``LogSource`` on top of a client that delivers in portions of its own choosing.

    Subclasses fetch (``_pull``), move (``_seek``) and answer questions about offsets; see ``contract.LogSource`` for
    what all of it promises.
    """

    def __init__(self, *, where: str, on_lost: OnLost) -> None:
        self._where, self._on_lost = where, on_lost
        self._backlog = Backlog({})
        self._lost: OffsetsLost | OffsetsAhead | None = None
        self._heard_at = time.monotonic()

    def assign(self, positions: Mapping[Partition, int]) -> None:
        starts, ends = self.start_offsets(positions), self.end_offsets(positions)
        checked = {p: self._readable(p, wanted, starts[p], ends[p]) for p, wanted in positions.items()}
        self._backlog, self._lost = Backlog(checked), None
        self._heard_at = time.monotonic()
        self._seek(checked)

    def poll(self, *, max_rows: int, max_bytes: int, timeout_s: float) -> list[LogBatch]:
        until = time.monotonic() + timeout_s
        backlog = self._backlog
        while self._lost is None and not backlog.covers(max_rows, max_bytes):
            left_s = until - time.monotonic()
            try:
                self._pull(backlog, max_rows, max_bytes, max(left_s, 0.0))
            except (OffsetsLost, OffsetsAhead) as lost:
                self._lost = lost  # clients say it once; what came before is handed out first
            if left_s <= 0:
                break
        batches = backlog.take(max_rows, max_bytes)
        if self._lost is not None and not batches:
            raise self._lost
        self._check_quiet(heard=bool(batches))
        return batches

    def positions(self) -> dict[Partition, int]:
        return self._backlog.positions

    @abstractmethod
    def start_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]: ...

    @abstractmethod
    def end_offsets(self, partitions: Iterable[Partition]) -> dict[Partition, int]: ...

    @abstractmethod
    def identity(self, topic: str) -> str: ...

    @abstractmethod
    def _seek(self, positions: Mapping[Partition, int]) -> None:
        """Fetch these partitions from here on, and no others."""

    @abstractmethod
    def _pull(self, backlog: Backlog, max_rows: int, max_bytes: int, timeout_s: float) -> None:
        """Wait up to ``timeout_s`` for messages and add those that are there; about as many as the bounds miss."""

    def _out_of_range(self, partition: Partition, wanted: int) -> int:
        """The client says that an offset is not there: where to go on, if at all."""
        start, end = self.start_offsets([partition]), self.end_offsets([partition])
        return self._readable(partition, wanted, start[partition], end[partition])

    def _readable(self, partition: Partition, wanted: int, start: int, end: int) -> int:
        if wanted > end:
            raise OffsetsAhead(partition, wanted=wanted, end=end, where=self._where)
        if wanted >= start:
            return wanted
        if self._on_lost == "error":
            raise OffsetsLost(partition, wanted=wanted, earliest=start, where=self._where)
        _log.warning("offsets %d to %d of %s are gone from %s; going on", wanted, start - 1, partition, self._where)
        return start

    def _check_quiet(self, *, heard: bool) -> None:
        now = time.monotonic()
        if heard or not self._backlog.positions:
            self._heard_at = now
        elif now - self._heard_at > QUIET_S:
            self.end_offsets(self._backlog.positions)
            self._heard_at = time.monotonic()
