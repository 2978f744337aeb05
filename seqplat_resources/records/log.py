"""Numbered immutable records under one prefix: the compare-and-set that a folder and an object store both offer.

Record ``n + 1`` is created with put-if-absent, so of several writers that saw ``n`` exactly one succeeds. Where old
records are forgotten, they go lowest first and a record 0 stays to say so: that is how a writer who comes too late
knows that its place is free only because it was cleared.

>>> log = RecordLog(home.objects, "channels/dev")
>>> log.latest() is None
True
>>> record = log.append(b"first", after=0)
>>> log.numbers(), log.read(1).data
([1], b'first')
>>> log.append(b"second, by somebody who saw none", after=0)
Traceback (most recent call last):
    ...
seqplat_resources.records.log.RecordConflict: record 1 of channels/dev was written by somebody else ...
"""

import re
from contextlib import suppress
from dataclasses import dataclass

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore

from seqplat_resources.errors import Retryable


class RecordConflict(Retryable):
    """Somebody else wrote the record first."""

    def __init__(self, prefix: str, number: int) -> None:
        self.prefix, self.number = prefix, number
        super().__init__(f"record {number} of {prefix} was written by somebody else first; read it and decide again")


_RECORD = re.compile(r"/(\d{12})\.json$")
_FORGOTTEN = 0  # no record of a writer; it is there once any was forgotten


@dataclass(frozen=True)
class Record:
    """One record; ``number`` counts from 1 without gaps."""

    number: int
    data: bytes


@dataclass(frozen=True)
class RecordLog:
    """The records below ``prefix``. Every method is a few requests; nothing is cached."""

    objects: ObjectStore
    prefix: str

    def numbers(self) -> list[int]:
        """All record numbers present, ascending."""
        return [number for number in self._listed() if number]

    def latest(self) -> Record | None:
        """The newest record, or None where there is none yet."""
        while numbers := self.numbers():
            try:
                return self.read(numbers[-1])
            except FileNotFoundError:
                continue  # forgotten since it was listed; the newest never is, so there is a newer one
        return None

    def read(self, number: int) -> Record:
        """One record.

        Raises:
            FileNotFoundError: there is no such number.
        """
        return Record(number, bytes(self.objects.get(self.path(number)).bytes()))

    def append(self, data: bytes, *, after: int) -> Record:
        """Write record ``after + 1``.

        Raises:
            RecordConflict: it exists already, or existed and was forgotten.
        """
        try:
            obstore.put(self.objects, self.path(after + 1), data, mode="create")
        except AlreadyExistsError as error:
            raise RecordConflict(self.prefix, after + 1) from error
        present = self._listed()
        if (after not in present) if after else (_FORGOTTEN in present):
            # The place was free only because its record was forgotten: two writers would hold one number. That the
            # log has gone on is no sign of it: the next writer may have built on this very record already.
            self._delete(after + 1)
            raise RecordConflict(self.prefix, after + 1)
        return Record(after + 1, data)

    def forget_before(self, number: int) -> None:
        """Delete records below ``number``; the newest record is never deleted."""
        present = self._listed()
        old = [each for each in present[:-1] if _FORGOTTEN < each < number]
        if old and _FORGOTTEN not in present:
            obstore.put(self.objects, self.path(_FORGOTTEN), b"{}")
        for each in old:
            self._delete(each)

    def _listed(self) -> list[int]:
        paths = [item["path"] for item in self.objects.list(self.prefix).collect()]
        # What else lies there (an editor's copy, a file of the desktop) is no record, nor is one of a log below.
        depth = self.prefix.count("/") + 1
        return sorted(int(found[1]) for p in paths if p.count("/") == depth and (found := _RECORD.search(p)))

    def _delete(self, number: int) -> None:
        with suppress(FileNotFoundError):  # somebody else deleted it as well
            obstore.delete(self.objects, self.path(number))

    def path(self, number: int) -> str:
        """Where a record lies below the root of the store."""
        return f"{self.prefix}/{number:012d}.json"
