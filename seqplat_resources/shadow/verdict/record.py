"""A verdict as it is kept: everything it was decided by, so that anybody can decide it again.

The document is canonical JSON with a digest over it, and a signature where the installation has a signing key. A
record is never changed; whoever moves users names its number.

>>> from seqplat_resources.shadow.verdict.decide import Window
>>> from seqplat_resources.shadow.verdict.metrics import Metric
>>> day, at = dt.date(2024, 5, 1), dt.datetime(2024, 5, 2, tzinfo=dt.UTC)
>>> few_differ = Metric("mismatch", "event", limit=0.01, differing=2, compared=5_000, users=900)
>>> case = Case(Window(day, day, (day,)), (few_differ,), decided_on=day, gate_days=1)
>>> judged = {"events/purchase": 3}
>>> record = VerdictRecord("purchase", "7f9ad790", case, decide(case), judged, {"late": 2}, 2, "ann", at)
>>> recheck(dump(record), judged).state, recheck(dump(record), {"events/purchase": 4}).stale
('PASS', ('events/purchase is version 4, judged was 3',))
>>> recheck(dump(record).replace(b"ann", b"eve"), judged).holds
False
"""

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.lake.layout import SHADOW
from seqplat_resources.records.archive import ArchivedLog
from seqplat_resources.records.log import RecordConflict, RecordLog
from seqplat_resources.shadow.verdict.cohorts import Cohort
from seqplat_resources.shadow.verdict.decide import Case, Decision, State, decide
from sequence_defs.compiler.release import canonical

# PASS is success. HOLD is also what a command that was called wrongly ends with; neither is green.
EXIT_CODES: Mapping[State, int] = {"PASS": 0, "FAIL": 1, "HOLD": 2}
# How often an append is tried again because somebody else was before.
_ATTEMPTS = 10


class RecordUnreadable(Final):
    """A document that is no verdict record of this version."""


class LedgerIncomplete(Final):
    """The causes do not sum up to the differences."""


@dataclass(frozen=True)
class Example:
    """One difference to be looked at with ``seqplat explain``."""

    user: str
    event_id: str | None
    cause: str
    says: str


@dataclass(frozen=True)
class VerdictRecord:
    """A decision and everything it hangs on.

    ``hashes`` are those of the event type or sequence in the release; ``tables`` the version of everything that was
    read, a table (``raw/old_clicks``) or a bucket of it (``events/click/2026-11-01``) by name; ``causes`` how many of
    ``differences`` each cause has, ``unexplained`` among them.

    Raises:
        LedgerIncomplete: the causes sum up to another number.
    """

    event_type: str
    release: str
    case: Case
    decision: Decision
    tables: Mapping[str, int]
    causes: Mapping[str, int]
    differences: int
    who: str
    at: dt.datetime
    hashes: Mapping[str, str] = field(default_factory=dict)
    cohorts: tuple[Cohort, ...] = ()
    examples: tuple[Example, ...] = ()
    format: Literal[1] = 1

    def __post_init__(self) -> None:
        if (counted := sum(self.causes.values())) != self.differences or min(self.causes.values(), default=0) < 0:
            raise LedgerIncomplete(
                f"{self.event_type}: causes {dict(self.causes)} sum up to {counted:,}, and {self.differences:,} events "
                "differ; every difference has one cause, so the comparison that counted them is at fault"
            )


@dataclass(frozen=True)
class Recheck:
    """A record looked at again. ``found`` says what does not hold, ``stale`` which tables have other versions now.

    ``digest`` is what the record is named by, where a step rests on it.
    """

    state: State
    digest: str
    found: tuple[str, ...]
    stale: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether the record is as it was written, and says what its counts say."""
        return not self.found

    @property
    def exit_code(self) -> int:
        """That of its state; what does not hold is a FAIL, and a stale PASS a HOLD."""
        if not self.holds:
            return EXIT_CODES["FAIL"]
        return EXIT_CODES["HOLD" if self.stale and self.state == "PASS" else self.state]


def dump(record: VerdictRecord, key: str | None = None) -> bytes:
    """The document; signed where there is a key."""
    # Once there and back, so that a number which is whole is written alike whatever it was counted in.
    said = msgspec.to_builtins(msgspec.convert(msgspec.to_builtins(record), VerdictRecord))
    signed = {"verdict": said, "digest": _digest(said)}
    return canonical(signed | ({"signature": _signature(said, key)} if key else {}))


def load(data: bytes) -> VerdictRecord:
    """The record of a document, whether or not it is still as it was written.

    Raises:
        RecordUnreadable: it is no verdict record, or one of another version.
        LedgerIncomplete: somebody changed its causes.
    """
    try:
        return msgspec.convert(_document(data)["verdict"], VerdictRecord)
    except (msgspec.MsgspecError, KeyError) as error:
        raise RecordUnreadable(f"this is no verdict record of format 1: {error}") from error


def recheck(data: bytes, tables: Mapping[str, int], key: str | None = None) -> Recheck:
    """Decide a record's case again, and see whether it is about what there is.

    ``tables`` are the versions of now; one that the record has and is not among them is gone. With a ``key``, the
    signature has to be of it: a record without one does not hold.
    Raises:
        RecordUnreadable, LedgerIncomplete: see ``load``.
    """
    document, record = _document(data), load(data)
    decided, said = decide(record.case), document["verdict"]
    found = []
    if not hmac.compare_digest(_digest(said), str(document.get("digest"))):
        found.append("the record was changed after it was written: its digest is of something else")
    if key and not hmac.compare_digest(_signature(said, key), str(document.get("signature"))):
        found.append("its signature is not of this installation's SEQPLAT_SIGNING_KEY")
    if decided.state != record.decision.state:
        found.append(f"it says {record.decision.state}, and its counts say {decided.state}")
    stale = tuple(
        f"{name} is version {tables[name]}, judged was {version}" if name in tables else f"{name} is gone"
        for name, version in sorted(record.tables.items())
        if tables.get(name) != version
    )
    return Recheck(decided.state, _digest(said), tuple(found), stale)


def signing_key(home: Home) -> str | None:
    """What the records of an installation are signed with, if anything."""
    return home.environment.get("SEQPLAT_SIGNING_KEY") or None


@dataclass(frozen=True)
class VerdictLog:
    """All verdicts of an event type, numbered; the newest is what counts. ``layer`` is another one for a sequence."""

    home: Home
    event_type: str
    layer: str = SHADOW

    def append(self, record: VerdictRecord) -> int:
        """Keep a record, whatever else is kept meanwhile. Returns its number.

        Raises:
            RecordConflict: others were first, again and again.
        """
        data = dump(record, signing_key(self.home))
        for _ in range(_ATTEMPTS):
            with suppress(RecordConflict):
                return self._append(data)
        return self._append(data)

    def compact(self) -> None:
        """Old verdicts become lines of few files, as they were written; each is still read by its number."""
        ArchivedLog(self._log).compact()

    def _append(self, data: bytes) -> int:
        numbers = self._log.numbers()
        return self._log.append(data, after=numbers[-1] if numbers else 0).number

    def latest(self) -> tuple[int, bytes] | None:
        """Number and document of the newest verdict."""
        found = self._log.latest()
        return None if found is None else (found.number, found.data)

    def read(self, number: int) -> bytes:
        """One document.

        Raises:
            FileNotFoundError: there is none of that number.
        """
        return ArchivedLog(self._log).read(number).data

    @property
    def _log(self) -> RecordLog:
        return RecordLog(self.home.objects, f"{self.layer}/{self.event_type}/verdicts")


def _document(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise RecordUnreadable(f"this is no verdict record: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("verdict"), dict):
        raise RecordUnreadable("this is no verdict record: it has no `verdict`")
    return found


def _digest(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(said)).hexdigest()


def _signature(said: Mapping[str, Any], key: str) -> str:
    return hmac.new(key.encode(), canonical(said), hashlib.sha256).hexdigest()
