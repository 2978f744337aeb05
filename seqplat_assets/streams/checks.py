"""The checks of a log: whether it is read, and how much was refused lately. A stream evaluates them while it runs;
anybody may at any time.
"""

import datetime as dt
import time
from dataclasses import dataclass

import dagster as dg

from seqplat_assets.describe.keys import STREAM, key_of
from seqplat_assets.layers.build import errors_told
from seqplat_assets.runs.preview import newest_materialization
from seqplat_resources.quality.frame import DETAIL, PASSED
from seqplat_resources.quality.rejects import stream_rejects
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.stream.service import streamed_sources
from seqplat_resources.stream.trouble import Troubles

# Name of a check -> what it claims.
CHECKS = {
    "rejects": "No more messages of the last 24 hours were refused than the source's max_rejected_share.",
    "is_read": "The source's messages are read, or were when somebody last tried.",
}
# What "lately" means, and how often a stream looks while it runs: it costs two reads of a Delta log.
WITHIN = dt.timedelta(hours=24)
LOOK_EVERY_S = 60.0
_SEVERITY = {"rejects": dg.AssetCheckSeverity.WARN, "is_read": dg.AssetCheckSeverity.ERROR}


def stream_checks(runtime: Runtime) -> list[dg.AssetChecksDefinition]:
    """Of each streamed source. Messages without a day have no bucket, so they are about times of receipt."""
    return [_check(runtime, source, name) for source in streamed_sources(runtime.release) for name in CHECKS]


def _check(runtime: Runtime, source: str, name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=key_of(f"{STREAM}/{source}"), name=name, description=CHECKS[name], pool=f"stream/{source}")
    def check() -> dg.AssetCheckResult:
        with errors_told():
            passed, detail, numbers = _measured(runtime, source, name)
        return dg.AssetCheckResult(passed=passed, severity=_SEVERITY[name], description=detail, metadata=numbers)

    return check


@dataclass
class Watch:
    """A check as the stream's own run tells it, beside its materializations."""

    runtime: Runtime
    source: str
    name: str
    _looked_at: float = float("-inf")
    _found: tuple[bool, str, dict[str, float]] = (True, "", {})

    def evaluation(self, instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
        """The verdict on the newest materialization; what is costly is measured again only every ``LOOK_EVERY_S``."""
        if self.name == "is_read" or time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            self._found, self._looked_at = _measured(self.runtime, self.source, self.name), time.monotonic()
        passed, detail, numbers = self._found
        asset = key_of(f"{STREAM}/{self.source}")
        return dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name=self.name,
            passed=passed,
            severity=_SEVERITY[self.name],
            description=detail,
            metadata=numbers,
            target_materialization_data=newest_materialization(instance, asset),
        )


def _measured(runtime: Runtime, source: str, name: str) -> tuple[bool, str, dict[str, float]]:
    if name == "is_read":
        trouble = Troubles(runtime.home).of([source]).get(source)
        return trouble is None, trouble.said if trouble else "", {"attempts": float(trouble.attempts if trouble else 0)}
    row = stream_rejects(runtime, source, since=runtime.clock.now() - WITHIN)
    numbers = {name: float(value) for name, value in row.items() if name not in (PASSED, DETAIL)}
    return row[PASSED], row[DETAIL], numbers
