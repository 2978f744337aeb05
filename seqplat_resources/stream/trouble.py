"""Why a source is not streamed just now: a note per source in the home, for whoever looks from another process."""

import datetime as dt
import json
import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import obstore

from seqplat_resources.errors import SeqplatError
from seqplat_resources.home import Home
from seqplat_resources.records.process import this_process

_log = logging.getLogger(__name__)

_FOLDER = "streams/trouble"


@dataclass(frozen=True)
class Trouble:
    """``since`` is the first of ``attempts`` failures in a row, ``at`` the latest, whose ``message`` this is. It is
    tried again at ``again_at``; None where its process has ended over it. Times are UTC.
    """

    source: str
    since: dt.datetime
    at: dt.datetime
    again_at: dt.datetime | None
    attempts: int
    message: str
    host: str
    pid: int

    @classmethod
    def of(cls, source: str, error: BaseException, *, at: dt.datetime, wait_s: float) -> "Trouble":
        """The first failure."""
        process = this_process()
        message = str(error) if isinstance(error, SeqplatError) else f"{type(error).__name__}: {error}"
        again = at + dt.timedelta(seconds=wait_s)
        return cls(source, at, at, again, 1, message, str(process["host"]), int(str(process["pid"])))

    def after(self, before: "Trouble | None") -> "Trouble":
        """As one more of the failures that began with ``before``."""
        return replace(self, since=before.since, attempts=before.attempts + 1) if before else self

    @property
    def said(self) -> str:
        """In one line: since when, how often, why, and when again."""
        again = f"tried again at {self.again_at:%H:%M:%S}" if self.again_at else "its process has ended"
        return (
            f"not read since {self.since:%Y-%m-%d %H:%M:%S} UTC ({self.attempts} failure(s), {again}): {self.message}"
        )


class Troubles:
    """The notes of a home. A process writes that of a source whose stream fails; whoever streams it again clears it.

    Writing raises nothing: where the home is away too, the log of the process has to do.
    """

    def __init__(self, home: Home) -> None:
        self._home = home

    def put(self, trouble: Trouble) -> None:
        try:
            obstore.put(self._home.objects, f"{_FOLDER}/{trouble.source}", _written(trouble))
        except Exception as error:
            _log.warning("the trouble of %s cannot be noted: %s", trouble.source, error)

    def clear(self, source: str) -> None:
        try:
            with suppress(FileNotFoundError):
                obstore.delete(self._home.objects, f"{_FOLDER}/{source}")
        except Exception as error:
            _log.warning("the note that %s was in trouble cannot be cleared: %s", source, error)

    def of(self, sources: Iterable[str]) -> dict[str, Trouble]:
        """Those of these sources that are in trouble. A note that cannot be read says so itself."""
        found, wanted = dict[str, Trouble](), set(sources)
        for item in self._home.objects.list(_FOLDER).collect():
            source = item["path"].rpartition("/")[2]
            if source in wanted:
                with suppress(FileNotFoundError):
                    found[source] = _read(bytes(self._home.objects.get(item["path"]).bytes()), source)
        return found


def _written(trouble: Trouble) -> bytes:
    return json.dumps(asdict(trouble), default=dt.datetime.isoformat).encode()


def _read(note: bytes, source: str) -> Trouble:
    try:
        fields = json.loads(note)
        times = {name: dt.datetime.fromisoformat(fields[name]) for name in ("since", "at")}
        again = fields["again_at"] and dt.datetime.fromisoformat(fields["again_at"])
        return Trouble(**(fields | times | {"again_at": again}))
    except (ValueError, KeyError, TypeError) as error:
        epoch = dt.datetime.fromtimestamp(0, dt.UTC)
        return Trouble(source, epoch, epoch, None, 0, f"its note {_FOLDER}/{source} cannot be read ({error})", "", 0)
