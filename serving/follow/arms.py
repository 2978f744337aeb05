"""Which users have been moved from the old pipeline, as the ladders of the event types said last."""

import logging
from collections.abc import Mapping

from seqplat_resources.home import Home
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.shadow.ladder.moves import Ladder, Standing
from seqplat_resources.shadow.ladder.stretches import divides
from seqplat_resources.shadow.routing import WHOLE, is_ours
from sequence_defs.compiler.release import Release
from serving.follow.errors import NotReady
from serving.follow.exposures import Division

_log = logging.getLogger(__name__)


class Arms:
    """Where event types with arms stand. ``refresh`` is called by one thread at a time, ``plan`` by any.

    A ladder that cannot be read stays where it was; ``failures`` say why.
    """

    def __init__(self) -> None:
        self.standings: Mapping[str, Standing] = {}
        self.failures: Mapping[str, str] = {}
        # Of event types with an experiment that stand where they divide users.
        self.divisions: Mapping[str, Division] = {}

    def refresh(self, home: Home, release: Release) -> None:
        """Look at the ladders of ``release`` in the home of its channel: two requests each."""
        standings, failures = dict[str, Standing](), dict[str, str]()
        for name, event_type in release.event_types.items():
            if event_type.legacy is None or not event_type.legacy.serve:
                continue
            try:
                standings[name] = Ladder(home, event_type).standing()
            except Exception as error:
                failures[name] = str(error)
                if self.failures.get(name) != failures[name]:
                    _log.error("where users of event type %s stand is not known: %s", name, error)
        self.divisions = _divisions(release, standings)
        # Requests that hold an earlier release may still ask for what it had.
        self.standings, self.failures = {**self.standings, **standings}, failures

    def plan(self, plan: SequencePlan, user: str) -> SequencePlan:
        """The plan by which this user is answered.

        Raises:
            NotReady: where an event type stands was never known.
        """
        if not plan.arms:
            return plan
        standings = self.standings
        if missing := [name for name in plan.arms if name not in standings]:
            fix = f"`seqplat cutover status {missing[0]}` says why"
            raise NotReady(f"which users of {missing[0]!r} have been moved is not known", fix=fix)
        legacy = [name for name in plan.arms if not is_ours(name, user, share=standings[name].step.share)]
        return plan.in_arms(frozenset(legacy))


def _divisions(release: Release, standings: Mapping[str, Standing]) -> dict[str, Division]:
    found = {}
    for name, standing in standings.items():
        experiment = release.event_types[name].experiment
        if experiment is not None and divides(standing.step):
            sample = max(1, round(experiment.sample * WHOLE))
            found[name] = Division(standing.number, standing.step.name, standing.step.share, sample)
    return found
