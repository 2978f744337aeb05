"""The verdict on an event type as a check of its comparison: all days together, and what follows from it."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from seqplat_assets.layers.assets import LayerAsset
from seqplat_assets.layers.build import errors_told
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.kept import ComparedDays
from seqplat_resources.shadow.days.window import judged
from seqplat_resources.shadow.ladder.gate import step_back_if_broken
from seqplat_resources.shadow.ladder.moves import Ladder
from seqplat_resources.shadow.verdict.account import headline, markdown
from seqplat_resources.shadow.verdict.decide import Decision

VERDICT = "verdict"
_DESCRIPTION = (
    "The newest days together prove that what differs from legacy is within its bands. Once users have our events, a "
    "verdict of FAIL takes the event type a step back."
)
WHO = "dagster"


def verdict_check(runtime: Runtime, asset: LayerAsset) -> dg.AssetChecksDefinition:
    """Judges the window that ends with the newest day that was compared."""

    @dg.asset_check(asset=asset.spec.key, name=VERDICT, description=_DESCRIPTION, pool=asset.layer)
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        with errors_told():
            return _result(runtime, asset.name, context)

    return check


def _result(runtime: Runtime, event_type: str, context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    ladder = Ladder(runtime.home, runtime.release.event_types[event_type], runtime.clock)
    days = ComparedDays.of(runtime, event_type).days()
    until = days[-1] if days else (runtime.clock.now() - dt.timedelta(days=1)).date()
    found = judged(runtime, event_type, until=until, who=WHO)
    standing = ladder.standing()
    told = [headline(found.record)]
    if (move := step_back_if_broken(ladder, found, standing)) is not None:
        told.append(f"users of {event_type} were taken back from {move.before} to {move.step}; it is held there")
        context.log.error(told[-1])
    state = found.record.decision.state
    is_served = standing.step.share > 0
    return dg.AssetCheckResult(
        passed=state == "PASS",
        severity=dg.AssetCheckSeverity.ERROR if is_served and state == "FAIL" else dg.AssetCheckSeverity.WARN,
        description="; ".join(told),
        metadata={
            "state": state,
            "verdict": found.number,
            "step": standing.step.name,
            "account": dg.MetadataValue.md(markdown(found.record)),
            **{name: value for name, value in _values(found.record.decision) if value is not None},
        },
    )


def _values(decision: Decision) -> Iterator[tuple[str, float | None]]:
    """What the UI plots over verdicts."""
    return ((each.metric.name, each.metric.value) for each in decision.judged)
