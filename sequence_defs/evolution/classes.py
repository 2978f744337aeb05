"""The class of every field of every model: what a change of it does to what is stored and to who reads.

A field that is not here fails a test, so that nobody adds one without saying what a change of it does. A class is a
ruling, or a judge: a function of the values before and after. Lists of columns, attachments and picks are compared
item by item (``ITEMS``); a part that is compared as a whole has the class of the field that holds it (``WHOLE``).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from pydantic import BaseModel

from sequence_defs.compiler.views import COLLAPSED
from sequence_defs.evolution.change import Ruling
from sequence_defs.schema import (
    Aggregate,
    Blobs,
    Collapse,
    Column,
    Compared,
    Csv,
    Derived,
    Enrich,
    EventType,
    Experiment,
    Explained,
    FewNegatives,
    Followed,
    Http,
    Join,
    Legacy,
    LegacySequence,
    Moments,
    ObjectView,
    Pick,
    Sequence,
    Service,
    SessionView,
    Snapshot,
    Source,
    Tenant,
    Time,
    TrainingSet,
    UserMetric,
    Versioned,
)

Judge: TypeAlias = Callable[[Any, Any], Ruling]
Class: TypeAlias = Ruling | Judge

# Compared by ``compare`` and ``columns``, which know what is made of what.
ITEMS: Final = Ruling("breaking", "compared item by item")
# A field of a part that has no class of its own: that of the field which holds the part counts.
WHOLE: Final = Ruling("breaking", "compared with the part it is in")

_NEW_TYPE: Final = "declare a new event type beside it, build its days, then let the sequences take that one"

TEXT: Final = Ruling("none", "it describes, and changes no value")
OPERATION: Final = Ruling("none", "it says how work is done, and changes no value")
_REBUILT: Final = "days that are built hold what the earlier definition gave, until they are built again"
MEANING: Final = Ruling("semantic", _REBUILT)
SAME_ROWS: Final = Ruling("compatible", "it changes no row that is stored")
_OTHER_SET: Final = Ruling(
    "semantic", "sets that are made hold what the earlier definition gave, until they are made again with --replace"
)
_COMPARISON: Final = Ruling("compatible", "it changes what is compared with legacy, and nothing that is built")
_WHEN: Final = Ruling(
    "breaking", "stored events lie at the times, and on the days, of the earlier definition", _NEW_TYPE
)
_WHO: Final = Ruling("breaking", "stored events belong to the users of the earlier definition", _NEW_TYPE)
_WHICH: Final = Ruling(
    "breaking", "the same event has another identity, so a correction or a copy of a stored one counts twice", _NEW_TYPE
)
_FROM: Final = Ruling(
    "breaking", "stored events have the positions of another source, which say nothing of what this one has", _NEW_TYPE
)


def _tenant(_before: str, after: str) -> Ruling:
    return Ruling(
        "breaking",
        "API keys of the tenant that had it read it no more, and stored rows name that tenant",
        f"leave it where it is and share it: shared_with=({after!r},)",
    )


def _lifecycle(before: str, after: str) -> Ruling:
    if before in ("draft", "retired"):
        return Ruling("compatible", "nobody may have relied on it")
    if after not in ("draft", "retired"):
        return Ruling("compatible", "it stays built and served")
    return Ruling(
        "breaking",
        "no day of it is built any more" if after == "retired" else "a draft may go at any time, and this has readers",
        "set lifecycle='deprecated' first; after 30 days of that, and 14 without a reader, it may go",
    )


def _shared_with(before: Any, after: Any) -> Ruling:
    """Of a definition. Who is left out had it before."""
    lost = sorted(set(before or ()) - set(after or ()))
    if not lost:
        return Ruling("compatible", "more tenants may take it")
    return Ruling(
        "breaking",
        f"tenant(s) {', '.join(lost)} may take it no more, nor read what was made from it",
        "ask them to stop first",
    )


def _kept(before: int | None, after: int | None) -> Ruling:
    """How long something is kept; None is for ever."""
    if after is None or (before is not None and after >= before):
        return Ruling("compatible", "more is kept from now on; what was deleted stays deleted")
    return Ruling(
        "breaking",
        f"what is older than {after} days is deleted for good, and days that were made from it cannot be built again",
        "keep it as long as now, and bound what readers see by window_days",
    )


def _at_most(noun: str) -> Judge:
    """How much of a sequence is answered; None is all."""

    def judged(before: int | None, after: int | None) -> Ruling:
        if after is None or (before is not None and after >= before):
            return Ruling("compatible", "answers may hold more; older events are there as far as days are built")
        return Ruling(
            "breaking",
            f"answers end at {after} {noun}, and readers that need more miss it without being told",
            "leave it: readers ask for less with limit= or since=; or declare another sequence beside it",
        )

    return judged


def _collapse(before: Collapse | None, after: Collapse | None) -> Ruling:
    """How a sequence's rows are put together. That is done when they are read, so no stored day has a part in it."""
    if before is None:
        return Ruling("semantic", "answers have a row for each item where they had one for each event; no day is built")
    if after is None:
        return Ruling(
            "breaking",
            f"readers that ask for {', '.join(COLLAPSED)} get an error",
            "leave it, and declare another sequence of these events without it",
        )
    if (before.action, before.actions) == (after.action, after.actions[: len(before.actions)]):
        return Ruling("semantic", "answers put other events together; no day is built")
    return Ruling(
        "breaking",
        "bits of actions that readers know would say other actions",
        "leave those there are in their order, and write new ones behind them",
    )


def _deprecated(_before: Any, _after: Any) -> Ruling:
    """Which columns of a sequence are."""
    return Ruling("compatible", "they stay in answers; the catalogue says which of them readers are to leave")


def _pii_policy(before: str | None, after: str | None) -> Ruling:
    if after != "drop" or before != "granted":
        return Ruling("compatible", "it says who may read personal data, and changes no row")
    return Ruling(
        "breaking",
        "readers with a grant lose the personal columns",
        "declare another sequence beside it that drops them",
    )


def _view_columns(before: Iterable[Aggregate], after: Iterable[Aggregate]) -> Ruling:
    """Of a view's table; columns of days that are built stay null, or what they were, until these are built again."""
    gone = sorted({each.name for each in before} - {each.name for each in after})
    if not gone:
        return MEANING
    return Ruling(
        "breaking",
        f"days that are built again have no {', '.join(gone)}, and who reads the table misses it",
        "leave it until nobody reads it any more; or declare another view beside it",
    )


def _actions(before: tuple[str, ...], after: tuple[str, ...]) -> Ruling:
    """Which action has which bit."""
    if after[: len(before)] == before:
        return MEANING
    return Ruling(
        "breaking",
        "bits that are stored would say other actions",
        "leave those there are in their order, and write new ones behind them",
    )


def _topic(before: str, _after: str) -> Ruling:
    return MEANING if before else Ruling("compatible", "the source gets a stream beside its files, or in their place")


def _appears(otherwise: Ruling) -> Judge:
    """A part that a source did not have before: nothing was made of it yet."""

    def judged(before: Any, _after: Any) -> Ruling:
        return otherwise if before is not None else Ruling("compatible", "there was none, so nothing was made by it")

    return judged


_DEFINITION: Mapping[str, Class] = {
    "name": WHOLE,
    "tenant": _tenant,
    "owner": TEXT,
    "description": TEXT,
    "lifecycle": _lifecycle,
    "tags": TEXT,
}
_SHAREABLE: Mapping[str, Class] = {**_DEFINITION, "shared_with": _shared_with}
_KEYED: Mapping[str, Class] = {
    **_SHAREABLE,
    "kind": MEANING,
    "source": MEANING,
    "key": MEANING,
    "columns": ITEMS,
    "filter": MEANING,
    "missing": MEANING,
    "retention_days": _kept,
}
_DAYS: Mapping[str, Class] = {"start": SAME_ROWS, "end": SAME_ROWS}


def _all(model: type[BaseModel], judged: Ruling, *fields: str) -> dict[str, Class]:
    """Every one of the ``fields``, which are named so that a new one is not taken in without a word."""
    assert set(fields) <= set(model.model_fields), f"{model.__name__} has not all of {fields}"
    return dict.fromkeys(fields, judged)


CLASSES: Final[Mapping[type[BaseModel], Mapping[str, Class]]] = {
    Tenant: _DEFINITION,
    Source: {
        **_SHAREABLE,
        "location": MEANING,
        "format": MEANING,
        "csv": MEANING,
        "no_file_on": OPERATION,
        "topic": _topic,
        "message_format": MEANING,
        "columns": ITEMS,
        "joins": MEANING,
        "filter": MEANING,
        "event_time": _appears(_WHEN),
        "ingest_time": MEANING,
        "user_id": _appears(_WHO),
        "rev": MEANING,
        "op": MEANING,
        "order": MEANING,
        **_DAYS,
        "max_lead_s": MEANING,
        "max_rejected_share": OPERATION,
        "ready_at": OPERATION,
        "shards": SAME_ROWS,
        "retention_days": _kept,
    },
    EventType: {
        **_SHAREABLE,
        "source": _FROM,
        "columns": ITEMS,
        "executor": MEANING,
        "params": MEANING,
        "filter": MEANING,
        "id_field": _WHICH,
        "natural_key": _WHICH,
        "identity_horizon_h": MEANING,
        "enrichments": ITEMS,
        **_DAYS,
        "retention_days": _kept,
        "fresh_within_h": OPERATION,
        "serving_delay_s": OPERATION,
        "legacy": _COMPARISON,
        "experiment": _COMPARISON,
    },
    Versioned: {
        **_KEYED,
        "valid_from": MEANING,
        "valid_to": MEANING,
        "refresh": MEANING,
        "max_age_days": MEANING,
    },
    Snapshot: {**_KEYED, "day": MEANING},
    Derived: {**_SHAREABLE, "kind": MEANING, "columns": ITEMS},
    Service: {
        **_SHAREABLE,
        "kind": MEANING,
        "url": MEANING,
        "key": MEANING,
        "columns": ITEMS,
        **_all(Service, OPERATION, "batch_size", "deadline_ms", "cache_ttl_s", "secret_env", "secret_header"),
    },
    Sequence: {
        **_DEFINITION,
        "event_types": ITEMS,
        "columns": ITEMS,
        "deprecated": _deprecated,
        "length": _at_most("events"),
        "window_days": _at_most("days"),
        "collapse": _collapse,
        "pii": _pii_policy,
        "retention_days": _kept,
        "legacy": _COMPARISON,
        "answers_recorded": OPERATION,
    },
    SessionView: {
        **_DEFINITION,
        **_all(SessionView, MEANING, "event_types", "gap_s", "cap_s", "scope", "boundary"),
        "columns": _view_columns,
        "retention_days": _kept,
    },
    ObjectView: {
        **_DEFINITION,
        **_all(ObjectView, MEANING, "event_types", "key", "action"),
        "actions": _actions,
        "columns": _view_columns,
        "retention_days": _kept,
    },
    TrainingSet: {
        **_DEFINITION,
        **_all(TrainingSet, _OTHER_SET, "sequence", "labels", "moments", "outcomes", "negatives", "mode", "embargo_s"),
        **_all(TrainingSet, _OTHER_SET, "columns", "length", "where", "prefix"),
        **_DAYS,
    },
    Moments: _all(Moments, WHOLE, "events", "where", "every_h"),
    Followed: _all(Followed, WHOLE, "name", "events", "within_h", "kind", "column", "where"),
    FewNegatives: _all(FewNegatives, WHOLE, "outcome", "cap", "seed"),
    Aggregate: _all(Aggregate, WHOLE, "name", "kind", "column", "event_types", "where"),
    Column: _all(
        Column,
        ITEMS,
        *("name", "dtype", "description", "nullable", "unit", "model", "pii", "sql", "field", "shared_with", "default"),
    ),
    Enrich: _all(Enrich, ITEMS, "enrichment", "on", "columns"),
    Collapse: _all(Collapse, WHOLE, "by", "within_s", "action", "actions"),
    Pick: _all(Pick, ITEMS, "name", "columns"),
    Time: _all(Time, WHOLE, "sql", "timezone", "timezone_column", "epoch_unit"),
    Csv: _all(Csv, WHOLE, "delimiter", "quote", "encoding"),
    Join: _all(Join, WHOLE, "location", "on", "columns"),
    Legacy: _all(
        Legacy,
        WHOLE,
        *("source", "event_id", "natural_key", "within_s", "waits_s", "columns", "explained", "serve", "replay"),
    ),
    Compared: _all(Compared, WHOLE, "field", "absolute", "relative", "cosine", "as_set", "limit"),
    Explained: _all(Explained, WHOLE, "cause", "where", "because", "until", "at_most"),
    LegacySequence: _all(
        LegacySequence,
        WHOLE,
        *("at", "fields", "event_id", "event_time", "event_type", "event_types"),
        *("columns", "length", "explained", "replay"),
    ),
    Blobs: _all(Blobs, WHOLE, "kind", "location", "format", "csv", "user_id", "events", "encoding"),
    Http: _all(Http, WHOLE, "kind", "url", "batch_size", "deadline_ms", "cache_ttl_s", "secret_env", "secret_header"),
    Experiment: _all(Experiment, WHOLE, "metrics", "sample"),
    UserMetric: _all(
        UserMetric,
        WHOLE,
        *("name", "event_type", "kind", "column", "per", "within_h", "better", "guardrail", "cap"),
    ),
}


def judged(model: type[BaseModel], field: str, before: Any, after: Any) -> Ruling:
    """The ruling on one field of a definition, which is not compared item by item."""
    found = CLASSES[model][field]
    return found if isinstance(found, Ruling) else found(before, after)


def is_item(model: type[BaseModel], field: str) -> bool:
    """Whether the field is compared item by item."""
    return CLASSES[model][field] is ITEMS
