"""Carry out a plan. Numbered as in the crash tests:
1 the lease of the channel's plans is taken, 2 the channel points at the release, 3 the days are built.

A kill before 2 leaves the channel as it was; after it, applying the plan again finds the channel there and goes on with
the days, of which those that are built stay so. A new plan that is made instead has what is left of it.

>>> from seqplat_resources.planning.build import made
>>> done = apply(ReleaseStore(shop.home), made(shop, shop.loaded), lambda plan: True, by="ann")
>>> done.move.number, done.complete
(1, True)
"""

from collections.abc import Callable
from dataclasses import dataclass

from seqplat_resources.errors import Final
from seqplat_resources.planning.gate import Gated
from seqplat_resources.planning.plan import Plan, PlanStore
from seqplat_resources.planning.publish import publish
from seqplat_resources.planning.readers import Registry, not_counted
from seqplat_resources.records.lease import hold
from seqplat_resources.records.log import RecordConflict
from seqplat_resources.release.store import ChannelMove, ReleaseNotFound, ReleaseStore

# Builds the days of a plan, on the channel as it is then; whether all of them were built.
Fill = Callable[[Plan], bool]


class PlanOutdated(Final):
    """The channel moved since the plan was made; ``moves`` are those since, newest first."""

    def __init__(self, plan: Plan, moves: list[ChannelMove]) -> None:
        self.plan, self.moves = plan, moves
        said = "; ".join(
            f"move {m.number} by {m.moved_by} at {m.moved_at:%Y-%m-%d %H:%M} UTC to release {m.release[:12]}"
            f"{f' ({m.note})' if m.note else ''}"
            for m in moves
        )
        super().__init__(
            f"plan {plan.name} was made for channel {plan.channel!r} at move {plan.move}, and the channel moved since: "
            f"{said or 'its history is another'}. Nothing was done; make a new plan: `seqplat plan`"
        )


@dataclass(frozen=True)
class Applied:
    """``move`` is where the channel is, ``gated`` what publishing found (None where it was published before);
    ``complete`` whether all days were built.
    """

    move: ChannelMove
    gated: Gated | None
    complete: bool


def apply(
    store: ReleaseStore,
    plan: Plan,
    fill: Fill,
    *,
    by: str,
    allowed: str = "",
    registry: Registry = not_counted,
    step: Callable[[int], None] = lambda _: None,
) -> Applied:
    """Publish the release of a plan, then build its days. Applied again, it goes on where it is.

    Raises:
        LeaseHeld: another one applies a plan to the channel.
        PlanOutdated: the channel moved since it was made, to another release than the plan's.
        BreakingChange: something breaks, and ``allowed`` gives no reason.
    """
    with hold(store.home.installation, f"plans/{plan.channel}", clock=store.clock):
        step(1)
        plans = PlanStore(store.home)
        before = plans.begun(plan.channel)
        plans.begin(plan)  # first, so that nothing is published whose days nobody knows of
        try:
            move, gated = _published(store, plan, by, allowed, registry)
        except Exception:
            plans.back_to(before, plan)
            raise
        step(2)
        complete = fill(plan) if plan.work else True
        step(3)
        plans.end(plan)  # days that could not be built are known as such
    return Applied(move, gated, complete)


def _published(
    store: ReleaseStore, plan: Plan, by: str, allowed: str, registry: Registry
) -> tuple[ChannelMove, Gated | None]:
    try:
        now = store.current(plan.channel)
    except ReleaseNotFound:
        now = None
    if now is not None and now.release == plan.release:
        return now, None
    if (now.number if now else 0) != plan.move:
        raise PlanOutdated(plan, _since(store, plan))
    release = store.get(plan.release).release
    try:
        note = f"plan {plan.name}"
        found = publish(
            store, release, plan.channel, by=by, note=note, allowed=allowed, expected=plan.move, registry=registry
        )
    except RecordConflict as error:
        raise PlanOutdated(plan, _since(store, plan)) from error
    return found.move, found.gated


def _since(store: ReleaseStore, plan: Plan) -> list[ChannelMove]:
    return [move for move in store.history(plan.channel) if move.number > plan.move]
