"""What a run does while it does it, one line per finished step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.execution.plan.objects import ErrorSource, StepFailureData

from seqplat_assets.describe.keys import name_of
from seqplat_assets.runs.preview import is_verdict
from seqplat_resources.health.checks import DAYS_BUILT, VERDICT


@dataclass(frozen=True)
class Progress:
    """A finished step: an asset that was built, or (``checks``) its checks with the days that did not pass each.

    ``refused`` counts the rows of an asset's input that it could not take. ``verdict`` is the one on all its days
    together, and what followed from it. ``bytes`` were written to the lake.
    """

    asset: str
    seconds: float
    days: int
    rows: int = 0
    checks: int = 0
    not_passed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    refused: int = 0
    error: str = ""
    verdict: str = ""
    bytes: int = 0

    @property
    def is_build(self) -> bool:
        """Whether days were built, and not judged."""
        return not (self.checks or self.verdict)

    @property
    def _words(self) -> str:
        """Without the name of the asset, which begins the line, and what comes at the end of all."""
        return self.error.removeprefix(f"{self.asset}: ").split(" Next: ")[0]

    def __str__(self) -> str:
        if self.verdict:
            return f"{self.asset:32} verdict {self.seconds:8.1f} s  {self.verdict}"
        if self.error:
            what = f"{self.rows:>9,} rows, FAILED: {self._words}" if self.days else f"FAILED: {self._words}"
        elif self.checks:
            failed = ", ".join(f"{check} of {_days(days)}" for check, days in self.not_passed.items())
            what = f"{self.checks} check(s), " + (f"not passed: {failed}" if failed else "ok")
        else:
            what = f"{self.rows:>9,} rows" + (f", {self.refused:,} refused" if self.refused else "")
        return f"{self.asset:32} {self.days:4} day(s) {self.seconds:6.1f} s  {what}"


def _days(days: Sequence[str]) -> str:
    first, *others = days
    return f"{first} and {len(others)} more day(s)" if others else first


@dataclass
class _Step:
    asset: str = ""
    days: set[str] = field(default_factory=set)
    rows: int = 0
    refused: int = 0
    checks: dict[str, list[str]] = field(default_factory=dict)
    verdict: str = ""
    bytes: int = 0

    @property
    def not_passed(self) -> dict[str, list[str]]:
        return {name: days for name, days in self.checks.items() if days}


class Watcher:
    """Listens to the events of one run. ``failures`` holds, by step, why it failed; ``not_passed``, by asset and
    check, the days that did not pass; ``refused``, by asset, how many rows of its input it could not take.
    """

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self._steps: dict[str, _Step] = {}
        self.failures: dict[str, str] = {}
        self.not_passed: dict[tuple[str, str], Sequence[str]] = {}
        self.refused: dict[str, int] = {}

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
            step.asset = step.asset or event.step_key.replace("__", "/")
            self.failures[event.step_key] = _reason(event.step_failure_data)
            self._tell(step, 0.0, self.failures[event.step_key])

    def _tell(self, step: _Step, seconds: float, error: str = "") -> None:
        failed = step.not_passed
        self.not_passed |= {(step.asset, name): days for name, days in failed.items()}
        if step.refused:
            self.refused[step.asset] = step.refused
        told = (len(step.days), step.rows, len(step.checks), failed, step.refused, error, step.verdict, step.bytes)
        self._report(Progress(step.asset, seconds, *told))


def _reason(failure: StepFailureData) -> str:
    """In the words of whoever ended the step; else those of the error."""
    if failure.error_source is ErrorSource.INTERRUPT:
        return "stopped"
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    root = (failure.error.cause or failure.error) if failure.error else None
    return root.message.strip() if root else "no reason given"


def _built(step: _Step, event: dg.AssetMaterialization) -> None:
    step.asset = name_of(event.asset_key)
    step.days.add(event.partition or "")
    step.rows += _number(event, "dagster/row_count")
    step.bytes += _number(event, "dagster/size_bytes")
    step.refused += _number(event, "rejected") + _number(event, "rejected_undated")


def _number(event: dg.AssetMaterialization, name: str) -> int:
    value = event.metadata.get(name)
    return value.value if isinstance(value, dg.IntMetadataValue) and value.value else 0


def _checked(step: _Step, evaluation: dg.AssetCheckEvaluation) -> None:
    if evaluation.check_name == DAYS_BUILT or not is_verdict(evaluation):
        return  # of all days there are, not of the run's; or of one that is not built, which its step says
    step.asset = name_of(evaluation.asset_key)
    if evaluation.check_name == VERDICT:
        step.verdict = evaluation.description or ""
        broken = not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR
        step.checks[VERDICT] = ["all days together"] if broken else []
    if evaluation.partition:  # the one without is the summary of a range
        step.days.add(evaluation.partition)
        failed = step.checks.setdefault(evaluation.check_name, [])
        if not evaluation.passed:
            failed.append(evaluation.partition)
