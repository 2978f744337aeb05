"""Which checks an asset has: each with the measure behind it, what its failure means, and the number that decides.

Example: ``events/click`` has ``schema`` by day, and ``days_built`` over all of its days.

>>> [(each.check.name, each.check.blocking) for each in promised(shop)["raw/orders"]]
[('days_built', False), ('rejects', True)]
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from seqplat_resources.batch.days.existing import ranges_of
from seqplat_resources.batch.days.partitions import DayRange
from seqplat_resources.health.answered import ANSWERED, Measure, with_answered
from seqplat_resources.health.results import CheckVerdict
from seqplat_resources.health.view import Status
from seqplat_resources.lake.layout import DAY, OBJECTS, READOUT, SESSIONS, SHADOW, SHADOW_SEQUENCES, TRAINING
from seqplat_resources.quality.availability import availability
from seqplat_resources.quality.completeness import completeness
from seqplat_resources.quality.consistency import DIFFERING_SHARE, UNEXPLAINED_SHARE, consistency
from seqplat_resources.quality.coverage import coverage
from seqplat_resources.quality.frame import DETAIL, EMPTY, JUDGED, LIMIT, PASSED, RED, VALUE
from seqplat_resources.quality.identity import identity
from seqplat_resources.quality.rejects import event_rejects, rejects
from seqplat_resources.quality.schema import schema
from seqplat_resources.quality.sessions import sessions_apart, sessions_final
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.measure import events_match
from seqplat_resources.shadow.experiment.build import guardrails_hold, sample_ratio_holds
from seqplat_resources.shadow.sequences.window import sequences_match
from seqplat_resources.stream.service import streamed_sources
from seqplat_resources.training.measures import empty_share, labels_known, lengths_alike, nothing_leaks
from sequence_defs.compiler.release import Release, digest
from sequence_defs.schema import Definition, EventType

Row: TypeAlias = Mapping[str, Any]
# A number and its limit; None where there is none.
Number: TypeAlias = tuple[float | None, float | None]
Decisive: TypeAlias = Callable[[Release, str, Row], Number]

DAYS_BUILT, VERDICT = "days_built", "verdict"
STREAM = "stream"


def _said(_release: Release, _name: str, row: Row) -> Number:
    """What the measure itself says is the number."""
    return row.get(VALUE), row.get(LIMIT)


def _none_of(*names: str) -> Decisive:
    """All of them together, of which there should be none."""
    return lambda _release, _name, row: (float(sum(row.get(name) or 0 for name in names)), 0.0)


def _refused(release: Release, source: str, row: Row) -> Number:
    share = max(row.get("rejected_share") or 0.0, row.get("undated_share") or 0.0)
    return share, release.sources[source].max_rejected_share


def _refused_events(release: Release, event_type: str, row: Row) -> Number:
    return _refused(release, release.event_types[event_type].source, row)


def _uncovered(_release: Release, _name: str, row: Row) -> Number:
    shares = [each or 0.0 for name, each in row.items() if name.endswith(("_pending", "_error"))]
    return max(shares, default=0.0), 0.0


def _differing(_release: Release, _name: str, row: Row) -> Number:
    """Of the shares that differ, the one that is nearest its bound, or furthest beyond."""
    bounds = {name: DIFFERING_SHARE for name in row if name.startswith("differs_")}
    bounds["unexplained_share"] = UNEXPLAINED_SHARE
    worst = max(bounds, key=lambda name: (row.get(name) or 0.0) / bounds[name])
    return row.get(worst), bounds[worst]


def _rows(_release: Release, _name: str, row: Row) -> Number:
    return float(row.get("rows") or 0), 1.0


@dataclass(frozen=True)
class Check:
    """What is promised of an asset: of each day by ``measure``, of all of it together without one.

    A ``warn`` never keeps what is made of the day from being built, an ``error`` always does; a warning does where the
    measure says so of the day in the column ``blocks_where``. In the column ``red_where`` it says that a failure is an
    error although it keeps nothing. ``decisive`` gives the number that the verdict hangs on, and its limit.
    """

    name: str
    description: str
    measure: Measure | None = None
    severity: Literal["warn", "error"] = "error"
    blocks_where: str = ""
    red_where: str = ""
    decisive: Decisive = _said

    @property
    def blocking(self) -> bool:
        return self.measure is not None and bool(self.blocks_where or self.severity == "error")

    def holds(self, row: Row) -> bool:
        """Whether one day's failure keeps what is made of the day from being built."""
        return self.severity == "error" or bool(row.get(self.blocks_where))

    def is_severe(self, row: Row) -> bool:
        """Whether one day's failure is an error."""
        return self.holds(row) or bool(row.get(self.red_where))

    def status(self, row: Row) -> Status:
        """Of one day's row of the measure."""
        if not row.get(JUDGED, True):
            return "unjudged"
        if row[PASSED]:
            return "pass"
        return "fail" if self.is_severe(row) else "warn"


_SCHEMA = Check(
    "schema",
    "Columns and types of the bucket are exactly those of the release.",
    schema,
    decisive=_none_of("missing", "surplus", "mistyped"),
)
_IDENTITY = Check(
    "identity_unique",
    "No event is in its bucket twice, or without identity.",
    identity,
    decisive=_none_of("duplicates", "copies", "unidentified"),
)
COMPLETE = Check(
    "complete_against_raw",
    "The day's raw rows, taken through the executor again, give exactly the events that are stored.",
    completeness,
    decisive=_none_of("missing", "surplus", "rejects_lost"),
)
_COVERAGE = Check(
    "enrichment_coverage",
    "No cell of an enrichment waits for its value (PENDING) or failed (ERROR).",
    coverage,
    "warn",
    decisive=_uncovered,
)
_REJECTS = Check(
    "rejects",
    "No more of the source's rows were refused than its max_rejected_share; no file whole, nor all there is of a day.",
    rejects,
    "warn",
    blocks_where=EMPTY,
    decisive=_refused,
)
_EVENT_REJECTS = Check(
    "rejects",
    "Of no more raw rows than its source's max_rejected_share no event could be made, nor of all there are of a day.",
    event_rejects,
    "warn",
    blocks_where=EMPTY,
    decisive=_refused_events,
)
_SERVED = Check(
    "served_equals_batch",
    "What streams made visible of the day is what batch computed of the same messages, but for what is explained.",
    consistency,
    "warn",
    decisive=_differing,
)
_AVAILABLE = Check("available", "The enrichment has values for the day.", availability, "warn", decisive=_rows)
EVENTS_MATCH = Check(
    "events_match_legacy",
    "The day's events are legacy's, but for what is within the bands. An error once users are answered with ours.",
    with_answered(events_match, lambda _, name: (name,)),
    "warn",
    blocks_where=ANSWERED,
)
SEQUENCES_MATCH = Check(
    "sequences_match_legacy",
    "Users' sequences at the end of the day are legacy's, but for what is within the bands. An error once users are "
    "answered with our events.",
    with_answered(sequences_match, lambda release, name: release.sequences[name].event_types),
    "warn",
    blocks_where=ANSWERED,
)
_SAMPLE_RATIO = Check(
    "sample_ratio",
    "Of exposed users as many have our events as the step of the ladder says.",
    sample_ratio_holds,
    "warn",
    red_where=RED,
)
_GUARDRAILS = Check(
    "guardrails",
    "Every metric with a guardrail is proven to be no worse than legacy's by more than that.",
    guardrails_hold,
    "warn",
    red_where=RED,
)
_SESSIONS_APART = Check(
    "sessions_apart",
    "No session is told twice, and none begins before an earlier one of its user and scope is over.",
    sessions_apart,
    "warn",
    decisive=_none_of("duplicates", "overlapping"),
)
_SESSIONS_FINAL = Check(
    "sessions_final",
    "Once the next day is built, no late event can change the day's sessions any more.",
    sessions_final,
    "warn",
)
_LABELS_KNOWN = Check(
    "label_coverage",
    "The day has labels, and everything of each is known, but for times to what never came.",
    labels_known,
    "warn",
)
_FEW_EMPTY = Check(
    "empty_share",
    "Not many more labels than on the days before have no event beside them.",
    empty_share,
    "warn",
)
_LENGTHS_ALIKE = Check(
    "length_distribution",
    "Sequences are as long as those of the days before, but for what is chance.",
    lengths_alike,
    "warn",
)
_NOTHING_LEAKS = Check(
    "leakage",
    "Events beside labels happened before these and were known by then; of some labels each is looked up.",
    nothing_leaks,
)
ALL_BUILT = Check(
    DAYS_BUILT,
    "Of all days none failed, waits for files or is held by a check; where days go on, yesterday is built.",
    decisive=_none_of("not_well", "missed"),
)
VERDICT_PASSES = Check(
    VERDICT,
    "The newest days together prove that what differs from legacy is within its bands. Once users have our events, a "
    "verdict of FAIL takes the event type a step back.",
)
STREAM_REJECTS = Check(
    "rejects",
    "No more messages of the last 24 hours were refused than the source's max_rejected_share.",
    severity="warn",
    decisive=_refused,
)
IS_READ = Check(
    "is_read",
    "The source's messages are read, or were when somebody last tried.",
    decisive=_none_of("attempts"),
)
# Of a streamed source. Messages without a day have no bucket, so they are about times of receipt.
STREAM_CHECKS = (STREAM_REJECTS, IS_READ)


@dataclass(frozen=True)
class PromisedCheck:
    """A check of an asset. ``days`` are those the asset has, None where it has none; ``of`` is the definition behind
    it, ``definition`` the hash of all that decides a verdict beside the data, and ``judges`` the assets whose buckets a
    verdict is about.
    """

    asset: str
    check: Check
    of: Definition
    days: DayRange | None
    judges: tuple[str, ...] = ()
    definition: str | None = None

    def told(self, release: Release, row: Row, mark: int) -> CheckVerdict:
        """The verdict that a row of the check's measure is."""
        value, limit = self.check.decisive(release, self.name, row)
        because, numbers = "" if row[PASSED] else row[DETAIL], numbers_of(row)
        status = self.check.status(row)
        return CheckVerdict(
            self.asset,
            self.check.name,
            row[DAY],
            status,
            value,
            limit,
            because,
            numbers,
            mark=mark,
            definition=self.definition,
        )

    @property
    def layer(self) -> str:
        return self.asset.split("/", 1)[0]

    @property
    def name(self) -> str:
        return self.asset.split("/", 1)[1]


def numbers_of(row: Row) -> dict[str, float]:
    """Every number of a measure as float."""
    return {name: float(value) for name, value in row.items() if type(value) in (int, float)}


def promised(runtime: Runtime) -> Mapping[str, tuple[PromisedCheck, ...]]:
    """Every check of the release by asset, in the order of layers; those of streams last."""
    # By the hash of its content, so that a release is gone through once however many assets and requests ask.
    key = runtime.loaded.id
    if key not in _PROMISED:
        found = dict(_promises(runtime))
        while len(_PROMISED) >= _RELEASES_KEPT:
            _PROMISED.pop(next(iter(_PROMISED)), None)
        _PROMISED[key] = found
    return _PROMISED[key]


_PROMISED: dict[str, Mapping[str, tuple[PromisedCheck, ...]]] = {}
_RELEASES_KEPT = 4


def _promises(runtime: Runtime) -> Iterator[tuple[str, tuple[PromisedCheck, ...]]]:
    release, ranges = runtime.release, ranges_of(runtime)
    streamed = streamed_sources(release)
    for asset, days in ranges.items():
        of, found = definition_of(release, asset), list[PromisedCheck]()
        for check in (ALL_BUILT, *whole_checks(asset), *day_checks(release, asset, streamed)):
            judges = tuple(each for each in _judges(release, asset, check) if each in ranges)
            definition = definition_judged(release, asset) if check is not ALL_BUILT else None
            found.append(PromisedCheck(asset, check, of, days, judges, definition))
        yield asset, tuple(found)
    for source in streamed:
        asset = f"{STREAM}/{source}"
        yield asset, tuple(PromisedCheck(asset, check, release.sources[source], None) for check in STREAM_CHECKS)


def day_checks(release: Release, asset: str, streamed: Container[str]) -> list[Check]:
    """Those that judge each day of an asset; ``streamed`` are sources."""
    layer, name = asset.split("/", 1)
    if layer == "events":
        definition = release.event_types[name]
        enriched = [_COVERAGE] if definition.enrichments else []
        return [
            _SCHEMA,
            _IDENTITY,
            COMPLETE,
            _EVENT_REJECTS,
            *enriched,
            *([_SERVED] if definition.source in streamed else []),
        ]
    if layer == SESSIONS:
        return [_SESSIONS_APART, _SESSIONS_FINAL]
    if layer == TRAINING:
        return [_LABELS_KNOWN, _FEW_EMPTY, _LENGTHS_ALIKE, _NOTHING_LEAKS]
    of_legacy = {SHADOW: [EVENTS_MATCH], SHADOW_SEQUENCES: [SEQUENCES_MATCH], READOUT: [_SAMPLE_RATIO, _GUARDRAILS]}
    return {"raw": [_REJECTS], "enrichments": [_AVAILABLE], **of_legacy}.get(layer, [])


def whole_checks(asset: str) -> list[Check]:
    """Those that judge all days of an asset together, beside ``days_built``, which every asset has."""
    return [VERDICT_PASSES] if asset.split("/", 1)[0] in (SHADOW, SHADOW_SEQUENCES) else []


def definition_of(release: Release, asset: str) -> Definition:
    """What an asset is made from."""
    layer, name = asset.split("/", 1)
    if layer in ("raw", STREAM):
        return release.sources[name]
    if layer == "enrichments":
        return release.enrichments[name]
    if layer == TRAINING:
        return release.training[name]
    if layer in (SESSIONS, OBJECTS):
        return release.sessions[name] if layer == SESSIONS else release.objects[name]
    return release.sequences[name] if layer in ("sequences", SHADOW_SEQUENCES) else release.event_types[name]


def definition_judged(release: Release, asset: str) -> str | None:
    """Another text where the asset's rows, or what is held against them, would be others; None of what has no days."""
    layer, name = asset.split("/", 1)
    if layer == STREAM:
        return None
    of = definition_of(release, asset)
    semantic = release.hashes[f"{_KINDS.get(layer, 'event_types')}/{name}"].semantic
    source = of.source if isinstance(of, EventType) else name
    allowed = release.sources[source].max_rejected_share if layer in ("raw", "events") else None
    legacy = getattr(of, "legacy", None) if layer in (SHADOW, SHADOW_SEQUENCES) else None
    experiment = getattr(of, "experiment", None) if layer == READOUT else None
    held = [each.model_dump(mode="json", exclude_defaults=True) for each in (legacy, experiment) if each is not None]
    return digest([semantic, allowed, *held])


_KINDS = {
    "raw": "sources",
    "enrichments": "enrichments",
    "sequences": "sequences",
    SHADOW_SEQUENCES: "sequences",
    SESSIONS: SESSIONS,
    OBJECTS: OBJECTS,
    TRAINING: TRAINING,
}


def _judges(release: Release, asset: str, check: Check) -> Iterable[str]:
    """The asset itself first, then what its day is held against. ``days_built`` looks at no bucket."""
    layer, name = asset.split("/", 1)
    if check is ALL_BUILT:
        return
    yield asset
    if check is COMPLETE:
        yield f"raw/{release.event_types[name].source}"
    if layer == SHADOW and (legacy := release.event_types[name].legacy):
        yield from (f"events/{name}", f"raw/{legacy.source}")
    if layer == READOUT and (experiment := release.event_types[name].experiment):
        yield from dict.fromkeys(f"events/{metric.event_type}" for metric in experiment.metrics)
    if layer == SHADOW_SEQUENCES:
        yield from (f"events/{each}" for each in release.sequences[name].event_types)
