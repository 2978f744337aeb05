"""What a change of an event type's attachments does: enrichments that come, go, or give their columns otherwise."""

from collections.abc import Iterable, Iterator

from sequence_defs.compiler.project import attached, status_column
from sequence_defs.compiler.release import Release
from sequence_defs.evolution.change import DefinitionChange, Reach, Ruling
from sequence_defs.evolution.classes import MEANING
from sequence_defs.evolution.columns import NULLABLE, base_name
from sequence_defs.evolution.reach import Reaching
from sequence_defs.schema import Column, Enrich


def attachment_changes(key: str, before: Release, after: Release) -> Iterator[DefinitionChange]:
    """Of one event type (``event_types/purchase``) that both releases have. The order of attachments moves nothing."""
    name = key.partition("/")[2]
    were = {use.enrichment: use for use in before.event_types[name].enrichments}
    are = {use.enrichment: use for use in after.event_types[name].enrichments}
    for enrichment in sorted({*were, *are}):
        field = f"enrichments.{enrichment}"
        if enrichment not in were:
            given = attached(are[enrichment], after.enrichments[enrichment])
            yield DefinitionChange(key, field, None, _said(are[enrichment]), _come(given.values()))
        elif enrichment not in are:
            given = attached(were[enrichment], before.enrichments[enrichment])
            reach = Reaching(before).of_event_columns(name, [*given, status_column(enrichment)])
            yield DefinitionChange(key, field, _said(were[enrichment]), None, _left(reach), reach)
        elif were[enrichment] != are[enrichment]:
            yield from _otherwise(key, field, were[enrichment], are[enrichment], before, after)


def _otherwise(
    key: str, field: str, old: Enrich, new: Enrich, before: Release, after: Release
) -> Iterator[DefinitionChange]:
    name, reaching = key.partition("/")[2], Reaching(before)
    were, are = attached(old, before.enrichments[old.enrichment]), attached(new, after.enrichments[new.enrichment])
    if old.on != new.on:
        reach = reaching.of_event_columns(name, [*were, status_column(old.enrichment)])
        yield DefinitionChange(key, f"{field}.on", old.on, new.on, MEANING, reach)
    if old.columns == new.columns:
        return
    for out in sorted({*were, *are}):
        was, now = were.get(out), are.get(out)
        said = (was.name if was else None, now.name if now else None)
        reach = reaching.of_event_columns(name, [out]) if was else Reach()
        if was is None and now is not None:
            yield DefinitionChange(key, f"{field}.columns.{out}", *said, _come([now]))
        elif now is None:
            yield DefinitionChange(key, f"{field}.columns.{out}", *said, _left(reach), reach)
        elif was is not None and was.name != now.name:
            yield DefinitionChange(key, f"{field}.columns.{out}", *said, _another(out, was, now), reach)


def _come(given: Iterable[Column]) -> Ruling:
    promised = [column.name for column in given if not column.nullable]
    if not promised:
        return Ruling("compatible", "null in days that are built, until they are built again")
    return Ruling(
        "breaking",
        f"its schema promises a value of {', '.join(promised)} in every event, and stored events have none",
        NULLABLE,
    )


def _left(reach: Reach) -> Ruling:
    if not reach.sequences:
        return Ruling("compatible", "no sequence shows what it gave; what is stored stays in the lake's tables")
    return Ruling(
        "breaking",
        f"sequence(s) {', '.join(reach.sequences)} show what it gave",
        "set deprecated=(...) for these columns in them; after 30 days of that, and 14 in which nobody asked for one, "
        "it may go, here and there",
    )


def _another(out: str, was: Column, now: Column) -> Ruling:
    """The same output taken from another column of the enrichment."""
    if (was.dtype, was.unit, was.model) == (now.dtype, now.unit, now.model):
        return MEANING
    held = " ".join(filter(None, (was.dtype, was.unit, was.model)))
    return Ruling(
        "breaking",
        f"stored events hold {out!r} as {held}; one column never means two things",
        f"give it another name beside it: columns={{..., {base_name(out) + '@2'!r}: {now.name!r}}}",
    )


def _said(use: Enrich) -> dict[str, object]:
    return use.model_dump(mode="json", exclude_defaults=True)
