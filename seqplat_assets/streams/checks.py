"""The checks of a log: whether it is read, and how much was refused lately. A stream evaluates them while it runs;
anybody may at any time.
"""

import datetime as dt
import time
from dataclasses import dataclass

import dagster as dg

from seqplat_assets.describe.keys import STREAM, key_of
from seqplat_assets.layers.build import errors_told
from seqplat_assets.layers.recording import keep, told_of
from seqplat_assets.runs.preview import newest_materialization
from seqplat_resources.health.checks import IS_READ, STREAM_CHECKS, Check
from seqplat_resources.health.results import CheckVerdict
from seqplat_resources.quality.frame import DETAIL, PASSED
from seqplat_resources.quality.rejects import stream_rejects
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.stream.service import streamed_sources
from seqplat_resources.stream.trouble import Troubles

# What "lately" means, and how often a stream looks while it runs: it costs two reads of a Delta log.
WITHIN = dt.timedelta(hours=24)
LOOK_EVERY_S = 60.0
# A verdict that stays the same is kept so often: a commit each time it is told would be thousands a day.
KEEP_EVERY_S = 600.0
_SEVERITY = {"warn": dg.AssetCheckSeverity.WARN, "error": dg.AssetCheckSeverity.ERROR}


def stream_checks(runtime: Runtime) -> list[dg.AssetChecksDefinition]:
    """Of each streamed source."""
    return [_check(runtime, source, each) for source in streamed_sources(runtime.release) for each in STREAM_CHECKS]


def _check(runtime: Runtime, source: str, of: Check) -> dg.AssetChecksDefinition:
    asset = f"{STREAM}/{source}"

    @dg.asset_check(asset=key_of(asset), name=of.name, description=of.description, pool=asset)
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        with errors_told():
            passed, detail, numbers = _measured(runtime, source, of.name)
        result = dg.AssetCheckResult(
            passed=passed, severity=_SEVERITY[of.severity], description=detail, metadata=numbers
        )
        keep(context, runtime, [told_of(result, of, runtime, asset)])
        return result

    return check


@dataclass
class Watch:
    """A check as the stream's own run tells it, beside its materializations."""

    runtime: Runtime
    source: str
    of: Check
    _kept: tuple[float, bool, str] = (float("-inf"), True, "")
    _looked_at: float = float("-inf")
    _found: tuple[bool, str, dict[str, float]] = (True, "", {})

    def evaluation(self, instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
        """The verdict on the newest materialization; what is costly is measured again only every ``LOOK_EVERY_S``."""
        if self.of is IS_READ or time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            self._found, self._looked_at = _measured(self.runtime, self.source, self.of.name), time.monotonic()
        passed, detail, numbers = self._found
        asset = key_of(f"{STREAM}/{self.source}")
        return dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name=self.of.name,
            passed=passed,
            severity=_SEVERITY[self.of.severity],
            description=detail,
            metadata=numbers,
            target_materialization_data=newest_materialization(instance, asset),
        )

    def to_keep(self, evaluation: dg.AssetCheckEvaluation) -> list[CheckVerdict]:
        """The verdict, where it is another one than was kept, or that was kept long ago."""
        at, passed, detail = self._kept
        is_news = (evaluation.passed, evaluation.description or "") != (passed, detail)
        if not is_news and time.monotonic() - at < KEEP_EVERY_S:
            return []
        self._kept = (time.monotonic(), evaluation.passed, evaluation.description or "")
        return [told_of(evaluation, self.of, self.runtime, f"{STREAM}/{self.source}")]


def _measured(runtime: Runtime, source: str, name: str) -> tuple[bool, str, dict[str, float]]:
    if name == "is_read":
        trouble = Troubles(runtime.home).of([source]).get(source)
        return trouble is None, trouble.said if trouble else "", {"attempts": float(trouble.attempts if trouble else 0)}
    row = stream_rejects(runtime, source, since=runtime.clock.now() - WITHIN)
    numbers = {name: float(value) for name, value in row.items() if name not in (PASSED, DETAIL)}
    return row[PASSED], row[DETAIL], numbers
