"""The verdict on an event type or a sequence as a check: all days together, and what follows from it.

And what a single day weighs: while both sides only run beside each other, a day that differs is news; once users are
answered with our events it is an error, and the day is held until it is alike or accepted. Nothing is made of a
comparison, so no other asset waits for such a day.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import dagster as dg
import polars as pl

from seqplat_assets.layers.assets import LayerAsset
from seqplat_assets.layers.build import errors_told
from seqplat_resources.lake.layout import SHADOW_SEQUENCES
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.kept import ComparedDays
from seqplat_resources.shadow.days.measure import JUDGED
from seqplat_resources.shadow.days.window import Judgement, judged
from seqplat_resources.shadow.ladder.gate import step_back_if_broken
from seqplat_resources.shadow.ladder.moves import Ladder, is_answered
from seqplat_resources.shadow.sequences.window import judged_sequence
from seqplat_resources.shadow.verdict.account import headline, markdown
from seqplat_resources.shadow.verdict.decide import Decision
from sequence_defs.compiler.release import Release

Measure: TypeAlias = Callable[[Runtime, str, Sequence[dt.date]], pl.DataFrame]
# Of a day that was judged, whether users are answered with our events now.
ANSWERED = "answered"
VERDICT = "verdict"
_DESCRIPTION = (
    "The newest days together prove that what differs from legacy is within its bands. Once users have our events, a "
    "verdict of FAIL takes the event type a step back."
)
WHO = "dagster"


def with_answered(measure: Measure, event_types: Callable[[Release, str], Iterable[str]]) -> Measure:
    """The measure of days with ``ANSWERED``, as the ladders of ``event_types`` of what is measured stand by then."""

    def measured(runtime: Runtime, name: str, days: Sequence[dt.date]) -> pl.DataFrame:
        types = [runtime.release.event_types[each] for each in event_types(runtime.release, name)]
        answered = any(is_answered(Ladder(runtime.home, each, runtime.clock)) for each in types if each.legacy)
        return measure(runtime, name, days).with_columns(pl.col(JUDGED).and_(answered).alias(ANSWERED))

    return measured


def verdict_check(runtime: Runtime, asset: LayerAsset) -> dg.AssetChecksDefinition:
    """Judges the window that ends with the newest day that was compared."""

    @dg.asset_check(asset=asset.spec.key, name=VERDICT, description=_DESCRIPTION, pool=asset.layer)
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        with errors_told():
            return _result(runtime, asset, context)

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
    """What the UI plots over verdicts."""
    return ((each.metric.name, each.metric.value) for each in decision.judged)
