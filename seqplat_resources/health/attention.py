"""What people said of incidents: that they know, or that they want to hear no more of it until a day.

All that holds after a change is one numbered record (``health/attention``), so of two people who say something of one
incident at once, one is told that the other has. What was said holds as long as the incident is no worse than it was.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import msgspec

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.errors import Final
from seqplat_resources.health.view import Incident, Note, Status, rank
from seqplat_resources.home import Home
from seqplat_resources.records.log import RecordConflict, RecordLog
from sequence_defs.compiler.release import canonical

LONGEST_MUTE = dt.timedelta(days=90)
MOST_CHARS = 1_000
# Records that stay: who looks up what was said last week finds it.
_KEPT_RECORDS = 200
# Of an incident that is gone, what was said of it is kept so long: it may come back.
_KEPT = dt.timedelta(days=90)
_ATTEMPTS = 10


class CannotSay(Final):
    """A note or a mute that nobody could understand later, or of a day that is past."""


class AlreadySaid(Final):
    """Somebody else knows, and said so first."""


class AttentionDamaged(Final):
    """What people said cannot be read."""


@dataclass(frozen=True)
class Remark:
    """Of one incident, as it was then: its ``status``, ``days``, and the ``checks`` that showed it. ``until`` is the
    last day of a mute, None for an acknowledgement.
    """

    incident: str
    title: str
    status: Status
    days: tuple[dt.date, ...]
    checks: tuple[str, ...]
    note: Note
    until: dt.date | None = None

    def holds(self, incident: Incident, today: dt.date) -> bool:
        """Whether the incident is no worse than what was spoken of. A mute holds until its day; an acknowledgement
        until what it is about was mended: if it breaks again, nobody spoke of that.
        """
        is_no_wider = set(incident.days) <= set(self.days) and set(_checks(incident)) <= set(self.checks)
        is_no_worse = is_no_wider and rank(incident.status) >= rank(self.status)
        if self.until is not None:
            return is_no_worse and today <= self.until
        return is_no_worse and (incident.well_at is None or incident.well_at <= self.note.at)


@dataclass(frozen=True)
class AttentionState:
    """All that was said, by incident: an acknowledgement and a mute may stand beside each other."""

    number: int = 0
    acknowledged: Mapping[str, Remark] = field(default_factory=dict)
    muted: Mapping[str, Remark] = field(default_factory=dict)

    def noted(self, incident: Incident, today: dt.date) -> Incident:
        """The incident with what was said of it and still holds."""
        known, mute = self.acknowledged.get(incident.id), self.muted.get(incident.id)
        return replace(
            incident,
            acknowledged=known.note if known and known.holds(incident, today) else None,
            muted_until=mute.until if mute and mute.holds(incident, today) else None,
        )


@dataclass(frozen=True)
class Attention:
    """That of a home."""

    home: Home
    clock: Clock = field(default_factory=SystemClock)

    def number(self) -> int:
        """Of the newest record; another one once anything was said."""
        return max(self._log.numbers(), default=0)

    def current(self) -> AttentionState:
        """After the last change.

        Raises:
            AttentionDamaged: the newest record cannot be read.
        """
        record = self._log.latest()
        if record is None:
            return AttentionState()
        try:
            return replace(msgspec.json.decode(record.data, type=AttentionState), number=record.number)
        except msgspec.MsgspecError as error:
            path = self.home.uri(self._log.path(record.number))
            raise AttentionDamaged(
                f"{path} cannot be read ({error}), so what was said of incidents is not known; delete the file to go "
                "back to what was said before"
            ) from error

    def acknowledge(self, incident: Incident, *, who: str, says: str) -> AttentionState:
        """Say that somebody knows.

        Raises:
            CannotSay: nothing is said. AlreadySaid: somebody knows, and it is no worse than it was then.
        """
        _check(says)

        def change(state: AttentionState) -> AttentionState:
            known = state.acknowledged.get(incident.id)
            if known is not None and known.holds(incident, self._today):
                when = f"{known.note.at:%Y-%m-%d %H:%M} UTC"
                raise AlreadySaid(f"{known.note.who} acknowledged this on {when}: {known.note.says}")
            said = self._said(incident, who, says, None)
            return replace(state, acknowledged={**state.acknowledged, incident.id: said})

        return self._changed(change)

    def mute(self, incident: Incident, *, who: str, says: str, until: dt.date) -> AttentionState:
        """Hear no more of it up to and including a day; a later mute goes before an earlier one.

        Raises:
            CannotSay: nothing is said, or the day is past or too far away.
        """
        _check(says)
        if until < self._today:
            raise CannotSay(f"{until} is past (today is {self._today}); give a later day")
        if until > self._today + LONGEST_MUTE:
            raise CannotSay(
                f"{until} is more than {LONGEST_MUTE.days} days away; what nobody mends in that time is no longer an "
                "incident: change the check, or what it is promised of"
            )
        said = self._said(incident, who, says, until)
        return self._changed(lambda state: replace(state, muted={**state.muted, incident.id: said}))

    @property
    def _today(self) -> dt.date:
        return self.clock.now().date()

    def _said(self, incident: Incident, who: str, says: str, until: dt.date | None) -> Remark:
        note = Note(_stored(who), self.clock.now(), _stored(says.strip()))
        return Remark(incident.id, incident.title, incident.status, incident.days, _checks(incident), note, until)

    def _changed(self, change: Callable[[AttentionState], AttentionState]) -> AttentionState:
        """Others may speak of other incidents meanwhile.

        Raises:
            RecordConflict: again and again.
        """
        for _ in range(_ATTEMPTS):
            with suppress(RecordConflict):
                return self._append(change(self.current()))
        return self._append(change(self.current()))

    def _append(self, state: AttentionState) -> AttentionState:
        since = self.clock.now() - _KEPT
        kept = {
            of: {each: said for each, said in found.items() if said.note.at >= since}
            for of, found in (("acknowledged", state.acknowledged), ("muted", state.muted))
        }
        changed = AttentionState(state.number + 1, **kept)
        self._log.append(canonical(msgspec.to_builtins(changed)), after=state.number)
        self._log.forget_before(changed.number - _KEPT_RECORDS)
        return changed

    @property
    def _log(self) -> RecordLog:
        return RecordLog(self.home.objects, "health/attention")


def _checks(incident: Incident) -> tuple[str, ...]:
    return tuple(f"{asset} {check}" for asset, check, _ in incident.touches)


def _stored(said: str) -> str:
    # Halves of characters, as a terminal may send, are no UTF-8.
    return said.encode(errors="replace").decode()


def _check(says: str) -> None:
    if not says.strip():
        raise CannotSay("say why, for whoever looks next")
    if len(says) > MOST_CHARS:
        raise CannotSay(f"that is {len(says):,} characters; say it in {MOST_CHARS:,}, and name where there is more")
