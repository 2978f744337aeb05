"""Differences that somebody accepts: who answers for it, why, until when, and how much of it at most.

An accepted difference raises its metric's band to the level that was accepted, and no higher: a metric that is worse
fails, as it does after the last day. A level can be lowered; to raise it, the old one has to be withdrawn, and both
are kept with who did it. The records are numbered (``shadow/<event_type>/accepted``), so of two people who decide at
once one is told that the other has.

>>> accepted = AcceptedDifferences(home, "purchase")
>>> wanted = AcceptedDifference("differs_amount", 0.02, dt.date(2999, 1, 1), owner="team:shop", reason="jam is dearer")
>>> state = accepted.accept(wanted, by="ann")
>>> accepted.current().of("differs_amount").at_most
0.02
>>> accepted.withdraw("differs_amount", by="ann", reason="mended").of("differs_amount") is None
True
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.lake.layout import SHADOW
from seqplat_resources.records.log import RecordLog
from sequence_defs.compiler.release import canonical


class CannotAccept(Final):
    """An acceptance that nobody could answer for."""


@dataclass(frozen=True)
class AcceptedDifference:
    """``metric`` may differ in the share ``at_most``, up to and including the day ``until``; ``owner`` answers."""

    metric: str
    at_most: float
    until: dt.date
    owner: str
    reason: str
    by: str = ""
    at: dt.datetime | None = None

    def holds_on(self, day: dt.date) -> bool:
        """Whether it has not expired on that day."""
        return day <= self.until


@dataclass(frozen=True)
class AcceptedState:
    """All that are accepted after one change; ``number`` is the change's, 0 before the first."""

    number: int
    differences: tuple[AcceptedDifference, ...] = ()
    by: str = ""
    at: dt.datetime | None = None
    what: str = ""

    def of(self, metric: str) -> AcceptedDifference | None:
        """That of a metric; each has one at most."""
        return next((each for each in self.differences if each.metric == metric), None)


@dataclass(frozen=True)
class AcceptedDifferences:
    """Those of an event type, or by ``layer`` a sequence. Each change is a record with all that hold after it."""

    home: Home
    event_type: str
    clock: Clock = field(default_factory=SystemClock)
    layer: str = SHADOW

    def current(self) -> AcceptedState:
        """After the last change."""
        record = self._log.latest()
        return AcceptedState(0) if record is None else _read(record.number, record.data)

    def history(self) -> list[AcceptedState]:
        """All changes, oldest first."""
        return [_read(number, self._log.read(number).data) for number in self._log.numbers()]

    def accept(self, wanted: AcceptedDifference, *, by: str, after: AcceptedState | None = None) -> AcceptedState:
        """Accept a difference, or lower the level of one that is accepted.

        Raises:
            CannotAccept: nobody answers for it, it has no reason, end or level, or one is accepted that is lower.
            RecordConflict: somebody changed what is accepted since ``after`` (left out: since now).
        """
        state = after if after is not None else self.current()
        _check(wanted, state.of(wanted.metric), self.clock.now().date())
        kept = tuple(each for each in state.differences if each.metric != wanted.metric)
        accepted = replace(wanted, by=by, at=self.clock.now())
        said = f"accepts {100 * wanted.at_most:g} % of {wanted.metric} until {wanted.until}: {wanted.reason}"
        return self._append(state, (*kept, accepted), by, said)

    def withdraw(self, metric: str, *, by: str, reason: str, after: AcceptedState | None = None) -> AcceptedState:
        """From now on the difference counts again.

        Raises:
            CannotAccept: none of that metric is accepted, or no reason is given.
            RecordConflict: see ``accept``.
        """
        state = after if after is not None else self.current()
        if state.of(metric) is None:
            known = ", ".join(each.metric for each in state.differences) or "none"
            raise CannotAccept(f"no difference of {metric!r} is accepted for {self.event_type}; those are: {known}")
        if not reason.strip():
            raise CannotAccept(f"say why the accepted difference of {metric!r} is withdrawn")
        kept = tuple(each for each in state.differences if each.metric != metric)
        return self._append(state, kept, by, f"withdraws {metric}: {reason}")

    def _append(
        self, state: AcceptedState, differences: Sequence[AcceptedDifference], by: str, what: str
    ) -> AcceptedState:
        changed = AcceptedState(state.number + 1, tuple(differences), by, self.clock.now(), what)
        self._log.append(canonical(msgspec.to_builtins(changed)), after=state.number)
        return changed

    @property
    def _log(self) -> RecordLog:
        return RecordLog(self.home.objects, f"{self.layer}/{self.event_type}/accepted")


def _check(wanted: AcceptedDifference, before: AcceptedDifference | None, today: dt.date) -> None:
    where = f"an accepted difference of {wanted.metric!r}"
    if not wanted.owner.strip() or not wanted.reason.strip() or not wanted.metric.strip():
        raise CannotAccept(f"{where} needs a metric, an owner who answers for it, and a reason")
    if not 0 < wanted.at_most < 1:  # false for a NaN
        raise CannotAccept(f"{where} needs a level between 0 and 1, as 0.005 for 0.5 %, not {wanted.at_most}")
    if not wanted.holds_on(today):
        raise CannotAccept(f"{where} ended on {wanted.until}, before today ({today}); give a later day")
    if before is not None and before.holds_on(today) and wanted.at_most > before.at_most:
        raise CannotAccept(
            f"{where} is {100 * before.at_most:g} % until {before.until} ({before.owner}), and a level only goes down; "
            f"withdraw it first, with a reason, to accept {100 * wanted.at_most:g} %"
        )


def _read(number: int, data: bytes) -> AcceptedState:
    return replace(msgspec.json.decode(data, type=AcceptedState), number=number)
