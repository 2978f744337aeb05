"""What a run does while it does it, one line per finished step."""

from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg


@dataclass(frozen=True)
class Progress:
    """A finished step: an asset that was built, or (``checks``) its checks with those some day did not pass."""

    asset: str
    seconds: float
    days: int
    rows: int = 0
    checks: int = 0
    not_passed: tuple[str, ...] = ()
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            what = f"FAILED: {self.error}"
        elif self.checks:
            what = f"{self.checks} check(s), " + (
                f"not passed: {', '.join(self.not_passed)}" if self.not_passed else "ok"
            )
        else:
            what = f"{self.rows:>9,} rows"
        return f"{self.asset:32} {self.days:4} day(s) {self.seconds:6.1f} s  {what}"


@dataclass
class _Step:
    asset: str = ""
    days: set[str] = field(default_factory=set)
    rows: int = 0
    checks: dict[str, bool] = field(default_factory=dict)


class Watcher:
    """Listens to the events of one run. ``failures`` holds, by step, why it failed."""

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self._steps: dict[str, _Step] = {}
        self.failures: dict[str, str] = {}

    def __call__(self, entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        step = self._steps.setdefault(event.step_key, _Step())
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            _built(step, event.materialization)
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            _checked(step, event.asset_check_evaluation_data)
        elif event.is_step_success:
            self._tell(step, event.step_success_data.duration_ms / 1000)
        elif event.is_step_failure:
            error = event.step_failure_data.error
            root = (error.cause or error) if error else None
            self.failures[event.step_key] = root.message.strip() if root else "no reason given"
            step.asset = step.asset or event.step_key.replace("__", "/")
            self._tell(step, 0.0, self.failures[event.step_key])

    def _tell(self, step: _Step, seconds: float, error: str = "") -> None:
        failed = tuple(name for name, passed in step.checks.items() if not passed)
        progress = Progress(step.asset, seconds, len(step.days), step.rows, len(step.checks), failed, error)
        self._report(progress)


def _built(step: _Step, event: dg.AssetMaterialization) -> None:
    step.asset = "/".join(event.asset_key.path)
    step.days.add(event.partition or "")
    rows = event.metadata.get("dagster/row_count")
    step.rows += rows.value if isinstance(rows, dg.IntMetadataValue) and rows.value else 0


def _checked(step: _Step, evaluation: dg.AssetCheckEvaluation) -> None:
    step.asset = "/".join(evaluation.asset_key.path)
    if evaluation.partition:  # the one without is the summary of a range
        step.days.add(evaluation.partition)
    step.checks[evaluation.check_name] = step.checks.get(evaluation.check_name, True) and evaluation.passed
