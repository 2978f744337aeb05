"""The ring in the home, changed by compare-and-set: on a local folder and on object storage alike.

>>> from serving.access.keys.changes import create
>>> ring = KeyStore(home)
>>> ring.number(), ring.read()[1].keys
(0, {})
>>> _ = create(ring, "shop", by="ann", name="the till")
>>> ring.number(), [key.name for key in ring.read()[1].keys.values()]
(1, ['the till'])
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.home import Home
from seqplat_resources.private_files import make_private, private_folder
from seqplat_resources.records.log import Record, RecordConflict, RecordLog
from serving.access.keys.ring import Keyring, UnreadableKeyring, dump, load

# Every record is a whole ring. Old ones are kept for a while, so that a damaged newest one can be deleted by hand.
KEPT_RECORDS: Final = 50
# Two people rarely change keys in the same second; this many in a row is somebody's loop.
_ATTEMPTS: Final = 10


@dataclass(frozen=True)
class KeyStore:
    """Reads and changes the ring of an installation, whichever part of it ``home`` is. Nothing is cached."""

    home: Home
    clock: Clock = SystemClock()

    def number(self) -> int:
        """The number of the newest ring, 0 where there is none: what a server polls, one request."""
        return max(self._log.numbers(), default=0)

    def read(self) -> tuple[int, Keyring]:
        """The newest ring and its number; an empty one where no key was made yet.

        Raises:
            UnreadableKeyring: it is damaged, or of another build.
        """
        record = self._log.latest()
        if record is None:
            return 0, Keyring(log_key=secrets.token_bytes(32))
        return record.number, self._ring(record)

    def change(self, changed: Callable[[Keyring], Keyring]) -> Keyring:
        """Replace the ring by ``changed(ring)``, which is called again where somebody else was faster.

        Raises:
            UnreadableKeyring: nothing is written over a ring that cannot be read.
            RecordConflict: somebody else was faster every time.
        """
        for attempt in range(_ATTEMPTS):
            number, ring = self.read()
            after = changed(ring)
            try:
                self._append(dump(after), after=number)
            except RecordConflict:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                self._log.forget_before(number + 2 - KEPT_RECORDS)
                return after
        raise AssertionError  # the last attempt returned or raised

    def _append(self, ring: bytes, *, after: int) -> None:
        if self._root.is_local:
            private_folder(self._root.uri("keys"))
        record = self._log.append(ring, after=after)
        if self._root.is_local:
            for number in (record.number, after):  # the one before may be older than this rule
                make_private(self._root.uri(self._log.path(number)))

    @property
    def _log(self) -> RecordLog:
        return RecordLog(self._root.objects, "keys")

    @property
    def _root(self) -> Home:
        return self.home.installation

    def _ring(self, record: Record) -> Keyring:
        try:
            return load(record.data)
        except UnreadableKeyring as error:
            raise UnreadableKeyring(f"{error} (record {record.number} of {self._root.uri('keys')})") from error
