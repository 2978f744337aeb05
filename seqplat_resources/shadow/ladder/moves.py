"""Which step an event type is on: its moves as numbered records, of which one is written at a time.

A move is one record, so there is nothing between two steps: whoever is killed while moving has moved or has not. Of
two who decide on the same record one is told that the other was first.

>>> ladder = Ladder(shop.home, shop.release.event_types["purchase"])
>>> ladder.standing().step.name
'shadow'
>>> move = ladder.advance(by="ann", grounds=Grounds(override="nobody minds a hundredth of the shop"))
>>> move.number, move.step, ladder.standing().step.share
(1, 'ab_1', 100)
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from seqplat_resources.clock import Clock, SystemClock
from seqplat_resources.commands import command
from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.records.log import RecordLog
from seqplat_resources.shadow.ladder.steps import Rung, above, below, first_step, is_lower, step
from sequence_defs.schema import EventType

Action = Literal["advance", "hold", "resume", "rollback", "step_back", "retire"]


class LadderError(Final):
    """A move that the ladder does not allow now; the message says what would allow it."""


class LadderDamaged(Final):
    """A record of a move that is not what was written."""


@dataclass(frozen=True)
class Grounds:
    """What a move rests on: a verdict's ``state`` (PASS, HOLD, FAIL) and ``digest``, or the reason of an override."""

    state: str = ""
    digest: str = ""
    override: str = ""


@dataclass(frozen=True)
class Move:
    """One entry of an event type's history; ``number`` counts from 1. ``step`` is where it stands since, and
    ``is_held`` whether it stays there until somebody resumes. ``step_back`` is a rollback that nobody asked for.
    """

    number: int
    event_type: str
    action: Action
    step: str
    before: str
    is_held: bool
    moved_at: dt.datetime
    moved_by: str
    reason: str = ""
    grounds: Grounds = field(default_factory=Grounds)


@dataclass(frozen=True)
class Standing:
    """Where an event type stands, and the ``number`` of its latest move; ``since`` is None where nobody moved it.

    ``rests_on`` is the number of the verdict that the latest move rests on; 0 where it rests on none.
    """

    event_type: str
    step: Rung
    number: int = 0
    since: dt.datetime | None = None
    is_held: bool = False
    rests_on: int = 0


@dataclass(frozen=True)
class Ladder:
    """The moves of one event type, below ``cutover/<event type>`` of the home."""

    home: Home
    event_type: EventType
    clock: Clock = SystemClock()

    def standing(self) -> Standing:
        """One request where nobody moved it, else two; one more for each time it was held or let go since.

        Raises:
            LadderDamaged: the latest record cannot be read.
        """
        numbers = self._log.numbers()
        if not numbers:
            return Standing(self.event_type.name, first_step(self.event_type.lifecycle))
        latest = self._move(numbers[-1])
        # Holding it and letting it go move nobody: it stands where it stood, since then, on the same grounds.
        moves = (latest if number == latest.number else self._move(number) for number in reversed(numbers))
        came = next((move for move in moves if move.action not in ("hold", "resume")), None)
        since = came.moved_at if came else None
        rests_on = int(came.grounds.digest) if came and came.grounds.digest.isdecimal() else 0
        return Standing(latest.event_type, step(latest.step), latest.number, since, latest.is_held, rests_on)

    def history(self) -> list[Move]:
        """All moves, newest first."""
        return [self._move(number) for number in reversed(self._log.numbers())]

    def advance(self, *, by: str, grounds: Grounds, at: Standing | None = None) -> Move:
        """One step up. ``at`` is what the caller decided on; left out, where it stands now.

        Raises:
            LadderError: it is held, or at the top, or neither passed nor overridden.
            RecordConflict: somebody else moved it meanwhile.
        """
        at = at or self.standing()
        upper = above(at.step.name)
        if upper is None or upper.name == "retired":
            raise LadderError(f"{self._named} is {at.step.name}; {command('cutover', 'retire', at.event_type)} ends it")
        if at.is_held:
            raise LadderError(
                f"{self._named} is held at {at.step.name}; `{self._command('hold')} REASON --resume` lets it go on"
            )
        if at.step.is_gated:
            self._require_pass(at, grounds)
        return self._append(at, "advance", upper, by=by, grounds=grounds)

    def hold(self, *, by: str, reason: str, resume: bool = False) -> Move:
        """Keep it where it is until it is resumed; a gate that breaks still takes it down.

        Raises:
            LadderError: it is held already, or is not; or the reason is blank.
            RecordConflict: somebody else moved it meanwhile.
        """
        self._require(reason)
        at = self.standing()
        if at.is_held is not resume:
            raise LadderError(f"{self._named} is {'not held' if resume else f'held at {at.step.name} already'}")
        action: Action = "resume" if resume else "hold"
        return self._append(at, action, at.step, by=by, reason=reason, is_held=not resume)

    def roll_back(
        self,
        *,
        by: str,
        reason: str,
        to: str | None = None,
        grounds: Grounds = Grounds(),
        asked: bool = True,
        at: Standing | None = None,
    ) -> Move:
        """Down to step ``to``, or by one. Not ``asked`` for it is held as well, so that somebody looks before it rises.
        ``at`` is what the caller decided on; left out, where it stands now.

        Raises:
            LadderError: ``to`` is no lower step, or it is at the bottom, or retired; or the reason is blank.
            RecordConflict: somebody else moved it meanwhile.
        """
        self._require(reason)
        at = at or self.standing()
        lower = self._lower(at, to)
        action: Action = "rollback" if asked else "step_back"
        held = at.is_held or not asked
        return self._append(at, action, lower, by=by, reason=reason, grounds=grounds, is_held=held)

    def retire(self, *, by: str, reason: str) -> Move:
        """The old pipeline may be switched off. Who calls this has gone through the checklist.

        Raises:
            LadderError: it is not live, or is held; or the reason is blank.
            RecordConflict: somebody else moved it meanwhile.
        """
        self._require(reason)
        at = self.standing()
        if at.step.name != "live" or at.is_held:
            held = " and held" if at.is_held else ""
            raise LadderError(f"{self._named} is {at.step.name}{held}; only what is live can be retired")
        return self._append(at, "retire", step("retired"), by=by, reason=reason)

    def _require(self, reason: str) -> None:
        if not reason.strip():
            raise LadderError(f"{self._named} stays: the reason is blank; say why, for whoever reads the history")

    def _lower(self, at: Standing, to: str | None) -> Rung:
        if at.step.name == "retired":
            raise LadderError(f"{self._named} is retired: there is no old pipeline to go back to")
        lower = below(at.step.name) if to is None else step(to)
        if lower is None or not is_lower(lower.name, at.step.name):
            raise LadderError(f"{self._named} is {at.step.name}, and {to or 'nothing'} is not below that")
        return lower

    def _require_pass(self, at: Standing, grounds: Grounds) -> None:
        if grounds.override.strip() or grounds.state == "PASS":
            return
        found = f"its verdict is {grounds.state}" if grounds.state else "it has no verdict"
        why = command("shadow", "verdict", at.event_type)
        raise LadderError(
            f"{self._named} stays at {at.step.name}: {found}; `{why}` says why; "
            "--override REASON advances it all the same, and is written down"
        )

    def _append(
        self,
        at: Standing,
        action: Action,
        to: Rung,
        *,
        by: str,
        reason: str = "",
        grounds: Grounds = Grounds(),
        is_held: bool = False,
    ) -> Move:
        now = self.clock.now()
        move = Move(at.number + 1, at.event_type, action, to.name, at.step.name, is_held, now, by, reason, grounds)
        said = {**asdict(move), "moved_at": now.isoformat()}
        self._log.append(json.dumps(said, sort_keys=True).encode(), after=at.number)
        return move

    def _move(self, number: int) -> Move:
        try:
            said: Mapping[str, Any] = json.loads(self._log.read(number).data)
            step(said["step"])
            moved_at = dt.datetime.fromisoformat(said["moved_at"])
            return Move(**{**said, "number": number, "moved_at": moved_at, "grounds": Grounds(**said["grounds"])})
        except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
            raise LadderDamaged(
                f"{self.home.uri(self._log.path(number))} is damaged ({error}), so that move {number} of {self._named} "
                f"is not known; delete the file, then `{self._command('status')}` says where it stands"
            ) from error

    @property
    def _log(self) -> RecordLog:
        return RecordLog(self.home.objects, f"cutover/{self.event_type.name}")

    @property
    def _named(self) -> str:
        return f"event type {self.event_type.name!r}"

    def _command(self, what: str) -> str:
        return command("cutover", *what.split(), self.event_type.name)


def is_answered(ladder: Ladder) -> bool:
    """Whether users are answered with our events while legacy still has them as well."""
    at = ladder.standing().step
    return at.share > 0 and at.name != "retired"
