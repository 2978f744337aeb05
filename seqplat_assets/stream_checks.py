"""The check of a log: how much was refused lately. A stream evaluates it while it runs; anybody may at any time."""

import datetime as dt
import time
from dataclasses import dataclass

import dagster as dg

from seqplat_assets.building import errors_told
from seqplat_assets.keys import stream_key
from seqplat_assets.preview import newest_materialization
from seqplat_resources.quality.frame import DETAIL, PASSED
from seqplat_resources.quality.rejects import stream_rejects
from seqplat_resources.runtime import Runtime
from seqplat_resources.stream.service import streamed_sources

NAME = "rejects"
DESCRIPTION = "No more messages of the last 24 hours were refused than the source's max_rejected_share."
# What "lately" means, and how often a stream looks while it runs: it costs two reads of a Delta log.
WITHIN = dt.timedelta(hours=24)
LOOK_EVERY_S = 60.0


def stream_checks(runtime: Runtime) -> list[dg.AssetChecksDefinition]:
    """One check per streamed source. Messages without a day have no bucket, so it is about times of receipt."""
    return [_check(runtime, source) for source in streamed_sources(runtime.release)]


def _check(runtime: Runtime, source: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=stream_key(source), name=NAME, description=DESCRIPTION, pool=f"stream/{source}")
    def check() -> dg.AssetCheckResult:
        with errors_told():
            passed, detail, numbers = _measured(runtime, source)
        return dg.AssetCheckResult(
            passed=passed, severity=dg.AssetCheckSeverity.WARN, description=detail, metadata=numbers
        )

    return check


@dataclass
class RejectsWatch:
    """The check as the stream's own run tells it, beside its materializations."""

    runtime: Runtime
    source: str
    _looked_at: float = float("-inf")
    _found: tuple[bool, str, dict[str, float]] = (True, "", {})

    def evaluation(self, instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
        """The verdict on the newest materialization; measured again only every ``LOOK_EVERY_S``."""
        if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            self._found, self._looked_at = _measured(self.runtime, self.source), time.monotonic()
        passed, detail, numbers = self._found
        asset = stream_key(self.source)
        return dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name=NAME,
            passed=passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=detail,
            metadata=numbers,
            target_materialization_data=newest_materialization(instance, asset),
        )


def _measured(runtime: Runtime, source: str) -> tuple[bool, str, dict[str, float]]:
    row = stream_rejects(runtime, source, since=runtime.clock.now() - WITHIN)
    numbers = {name: float(value) for name, value in row.items() if name not in (PASSED, DETAIL)}
    return row[PASSED], row[DETAIL], numbers
