"""Old records of a log that somebody may still ask for, many in one file: the log stays short, and nothing is lost.

A file holds records as they were written, byte by byte, and its name says which: ``archive/<first>-<last>.gz`` below
the log. It is there, and was read again, before any of them is forgotten, so whoever is killed in between leaves a
record in both places, which is the same one.

>>> log = ArchivedLog(RecordLog(home.objects, "verdicts"), keep=2)
>>> for number in range(6):
...     record = log.log.append(b"%d" % number, after=number)
...
>>> log.compact()
>>> log.log.numbers(), log.read(1).data
([5, 6], b'0')
"""

import gzip
import re
from contextlib import suppress
from dataclasses import dataclass

import obstore
from obstore.exceptions import AlreadyExistsError

from seqplat_resources.records.log import Record, RecordLog

_FILE = re.compile(r"/archive/(\d{12})-(\d{12})\.gz$")


@dataclass(frozen=True)
class ArchivedLog:
    """A log whose newest ``keep`` records are files of their own. Records are single lines.

    The log grows to twice as many, then the older half becomes one file: a few a year, whoever writes how often.
    """

    log: RecordLog
    keep: int = 500

    def read(self, number: int) -> Record:
        """One record, wherever it is.

        Raises:
            FileNotFoundError: there is no such number.
        """
        if number > 0:  # 0 only says that some were forgotten
            with suppress(FileNotFoundError):
                return self.log.read(number)
        for first, last, path in self._files():
            if first <= number <= last:
                return Record(number, self._lines(path)[number])
        raise FileNotFoundError(f"{self.log.prefix} has no record {number}")

    def compact(self) -> None:
        """Put old records into one file, where there are many. Called by writers, after they have written.

        Of two who do so at once both write what is true, and what one has not read the other has.
        """
        numbers = self.log.numbers()
        if len(numbers) < 2 * self.keep:
            return
        old = numbers[: -self.keep]
        try:
            records = {number: self.log.read(number).data for number in old}
        except FileNotFoundError:
            return  # somebody else has done it meanwhile
        path = f"{self.log.prefix}/archive/{old[0]:012d}-{old[-1]:012d}.gz"
        lines = b"".join(b"%d %s\n" % (number, data) for number, data in records.items())
        with suppress(AlreadyExistsError):  # somebody was killed before it forgot them
            obstore.put(self.log.objects, path, gzip.compress(lines, mtime=0), mode="create")
        if self._lines(path) == records:
            self.log.forget_before(old[-1] + 1)

    def _lines(self, path: str) -> dict[int, bytes]:
        lines = gzip.decompress(bytes(self.log.objects.get(path).bytes())).splitlines()
        return {int(number): data for number, _, data in (line.partition(b" ") for line in lines)}

    def _files(self) -> list[tuple[int, int, str]]:
        listed = self.log.objects.list(f"{self.log.prefix}/archive").collect()
        found = [(_FILE.search(item["path"]), item["path"]) for item in listed]
        return [(int(name[1]), int(name[2]), path) for name, path in found if name]
