"""The verdict on an event type or a sequence as a check: all days together, and what follows from it."""

import datetime as dt
from collections.abc import Iterator, Mapping

import dagster as dg

from seqplat_assets.layers.assets import LayerAsset
from seqplat_assets.layers.build import errors_told
from seqplat_assets.layers.recording import keep, told_of
from seqplat_resources.health.checks import VERDICT_PASSES, promised
from seqplat_resources.health.marks import mark_of, marks_now, recent
from seqplat_resources.lake.layout import SHADOW_SEQUENCES
from seqplat_resources.quality.frame import LIMIT, VALUE
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.kept import ComparedDays
from seqplat_resources.shadow.days.measure import furthest
from seqplat_resources.shadow.days.window import Judgement, judged
from seqplat_resources.shadow.ladder.gate import step_back_if_broken
from seqplat_resources.shadow.ladder.moves import Ladder
from seqplat_resources.shadow.sequences.window import judged_sequence
from seqplat_resources.shadow.verdict.account import headline, markdown
from seqplat_resources.shadow.verdict.decide import Decision

WHO = "dagster"


def verdict_check(runtime: Runtime, asset: LayerAsset) -> dg.AssetChecksDefinition:
    """Judges the window that ends with the newest day that was compared."""

    promise = next(each for each in promised(runtime)[asset.full_name] if each.check is VERDICT_PASSES)

    @dg.asset_check(
        asset=asset.spec.key, name=VERDICT_PASSES.name, description=VERDICT_PASSES.description, pool=asset.layer
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        with errors_told():
            marks = marks_now(runtime, promise.judges)
            result = _result(runtime, asset, context)
        days = recent(marks[asset.full_name])
        mark = sum(mark_of(marks, promise.judges, day) for day in days)
        told = told_of(result, VERDICT_PASSES, runtime, asset.full_name, mark=mark)
        keep(context, runtime, [told], buckets=promise.judges, days=days)
        return result

    return check


def _result(runtime: Runtime, asset: LayerAsset, context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    days = ComparedDays.of(runtime, asset.name, asset.layer).days()
    until = days[-1] if days else (runtime.clock.now() - dt.timedelta(days=1)).date()
    if asset.layer == SHADOW_SEQUENCES:
        found = judged_sequence(runtime, asset.name, until=until, who=WHO)
        return _told(found, [headline(found.record)], {})
    ladder = Ladder(runtime.home, runtime.release.event_types[asset.name], runtime.clock)
    found = judged(runtime, asset.name, until=until, who=WHO)
    standing = ladder.standing()
    told = [headline(found.record)]
    if (move := step_back_if_broken(ladder, found, standing)) is not None:
        told.append(f"users of {asset.name} were taken back from {move.before} to {move.step}; it is held there")
        context.log.error(told[-1])
    return _told(found, told, {"step": standing.step.name}, is_served=standing.step.share > 0)


def _told(
    found: Judgement, told: list[str], more: Mapping[str, str], *, is_served: bool = False
) -> dg.AssetCheckResult:
    state = found.record.decision.state
    return dg.AssetCheckResult(
        passed=state == "PASS",
        severity=dg.AssetCheckSeverity.ERROR if is_served and state == "FAIL" else dg.AssetCheckSeverity.WARN,
        description="; ".join(told),
        metadata={
            "state": state,
            "verdict": found.number,
            **more,
            "account": dg.MetadataValue.md(markdown(found.record)),
            **{name: value for name, value in _values(found.record.decision) if value is not None},
        },
    )


def _values(decision: Decision) -> Iterator[tuple[str, float | None]]:
    """What the UI plots over verdicts; the metric that is nearest its band, or furthest beyond, is what decides."""
    yield from ((each.metric.name, each.metric.value) for each in decision.judged)
    if (decisive := furthest(decision)) is not None:
        yield from ((VALUE, decisive.metric.value), (LIMIT, decisive.limit))
