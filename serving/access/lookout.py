"""What one caller sees of the checks, and what they may say of it: the same for programs and for people."""

import datetime as dt
from collections.abc import Callable, Collection

from seqplat_resources.health.attention import AlreadySaid, Attention, AttentionState, CannotSay
from seqplat_resources.health.filters import visible, visible_row
from seqplat_resources.health.view import Health, Incident, MigrationRow
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.experiment.view import ReadoutView, newest_view
from serving.access.caller import Caller
from serving.access.sight import sees_checks, sees_migration, speaks_for
from serving.api.parameters import BadParameter
from serving.api.refusals import Refusal, RoleNeeded
from serving.follow.checks import ChecksFollower
from serving.follow.release import Follower


class UnknownIncident(Refusal):
    """It is over, or it is none that the caller may see."""

    def __init__(self, incident: str) -> None:
        fix = "GET /v1/checks lists them; one that is over is gone"
        super().__init__(
            "unknown-incident", 404, f"there is no incident {incident!r}", field="incident", fix=fix, headers={}
        )


class IncidentKnown(Refusal):
    """Somebody else was first."""

    def __init__(self, said: str) -> None:
        fix = "leave it to them; it comes back when it gets worse"
        super().__init__("incident-known", 409, said, field=None, fix=fix, headers={})


class UnknownReadout(Refusal):
    """An event type that the caller does not see, or of which no day was read out."""

    def __init__(self, event_type: str) -> None:
        fix = "GET /v1/migration lists event types; one with an experiment has a readout from its first day at ab_1 on"
        super().__init__(
            "unknown-readout", 404, f"there is no readout of {event_type!r}", field="event_type", fix=fix, headers={}
        )


class Lookout:
    """The checks of the release that is served, by caller. Called by any thread."""

    def __init__(self, follower: Follower, board: ChecksFollower) -> None:
        self._follower, self._board = follower, board

    @property
    def runtime(self) -> Runtime:
        """What reads more of the home than is kept in memory.

        Raises:
            NotReady: no release could be loaded yet.
        """
        serving = self._follower.serving
        return Runtime(serving.home, serving.loaded, "", self._follower.clock)

    def health(self, caller: Caller) -> Health:
        """All checks that the caller may see.

        Raises:
            NotReady: nothing was looked at yet.
        """
        return visible(self._board.board.health, sees_checks(caller, self._follower.serving))

    def migration(self, caller: Caller) -> tuple[MigrationRow, ...]:
        """All event types on their way that the caller may see.

        Raises:
            NotReady: nothing was looked at yet.
        """
        sees = sees_migration(caller, self._follower.serving)
        rows = tuple(row for row in self._board.board.migration if sees(row))
        if "operator" in caller.roles:
            return rows
        sequences = self.sequences(caller)
        return tuple(visible_row(row, sequences) for row in rows)

    def readout(self, caller: Caller, event_type: str) -> ReadoutView:
        """The newest that is kept of an event type. Reads the lake.

        Raises:
            UnknownReadout: there is none that they see. NotReady: nothing was looked at yet.
        """
        if event_type not in (row.event_type for row in self.migration(caller)):
            raise UnknownReadout(event_type)
        found = newest_view(self.runtime, event_type)
        if found is None:
            raise UnknownReadout(event_type)
        return found

    def sequences(self, caller: Caller) -> Collection[str]:
        """Names of those that the caller may see: an operator all, whose events or not."""
        serving = self._follower.serving
        return serving.release.sequences.keys() if "operator" in caller.roles else caller.plans(serving).keys()

    def incident(self, caller: Caller, incident: str) -> Incident:
        """As the caller sees it.

        Raises:
            UnknownIncident: there is none that they see.
        """
        found = next((each for each in self.health(caller).incidents if each.id == incident), None)
        if found is None:
            raise UnknownIncident(incident)
        return found

    def may_speak(self, caller: Caller, incident: str) -> bool:
        """Whether they may say that somebody knows of it: for everybody whose it is, as it is then silent for all."""
        tenants = {row.asset: row.tenant for row in self._board.board.health.rows}
        whole = self._whole(incident)
        of = {asset for asset, _, _ in whole.touches} if whole.shared else {whole.asset}
        return all(speaks_for(caller, tenants.get(asset)) for asset in of)

    def acknowledge(self, caller: Caller, incident: str, because: str) -> Incident:
        """Somebody knows. Writes, and looks again.

        Raises:
            UnknownIncident, RoleNeeded, IncidentKnown
            BadParameter: nothing is said.
        """
        return self._said(caller, incident, lambda said, found: said.acknowledge(found, who=caller.name, says=because))

    def mute(self, caller: Caller, incident: str, because: str, until: dt.date) -> Incident:
        """Somebody wants to hear no more of it up to and including a day. Writes, and looks again.

        Raises:
            UnknownIncident, RoleNeeded
            BadParameter: nothing is said, or the day cannot be.
        """
        return self._said(
            caller, incident, lambda said, found: said.mute(found, who=caller.name, says=because, until=until)
        )

    def _said(self, caller: Caller, incident: str, say: Callable[[Attention, Incident], AttentionState]) -> Incident:
        """The incident as it stands then."""
        self.incident(caller, incident)
        if not self.may_speak(caller, incident):
            raise RoleNeeded("operator")
        found = self._whole(incident)
        try:
            said = say(Attention(self._follower.serving.home, self._follower.clock), found)
        except AlreadySaid as error:
            raise IncidentKnown(str(error)) from error
        except CannotSay as error:
            raise BadParameter(None, str(error)) from error
        self._board.refresh()
        return said.noted(found, self._follower.clock.now().date())

    def _whole(self, incident: str) -> Incident:
        """As it is, not as a caller sees it: what is said holds for all of it."""
        found = next((each for each in self._board.board.health.incidents if each.id == incident), None)
        if found is None:  # it ended this moment
            raise UnknownIncident(incident)
        return found
