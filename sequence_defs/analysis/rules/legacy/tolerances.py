"""What is compared, how near is equal, and what is expected to differ: of events and of sequences."""

from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.scope import compared_scopes
from sequence_defs.analysis.widening import alike
from sequence_defs.analysis.wording import instead, label
from sequence_defs.compiler.counterparts import EVENT_TIME, LEGACY_PREFIX, counterparts
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Column, Compared, EventType, Legacy, LegacySequence, Sequence, parse_dtype


@rule("SP811", "error", "compared columns are on both sides")
def compared_columns(project: Project) -> Iterator[Finding]:
    """`columns` maps our names to how each is compared; what is not said is the column of the same name."""
    for definition, legacy in _compared(project):
        ours, theirs = compared_scopes(project, definition)
        has = f"source {legacy.source!r}" if isinstance(legacy, Legacy) else "`fields`"
        for name, how in legacy.columns.items():
            field = how.field or name
            title = f"compared column {name!r} of {label(definition)}"
            if name == EVENT_TIME and how.field is not None:
                yield Finding(how.declared_at, f"{title} names a field", "drop field=: times are legacy's event_time")
            elif name != EVENT_TIME and ours.lacks(name):
                fix = instead(name, ours.columns, f"add it to {label(definition)}")
                yield Finding(how.declared_at, f"{title} is none of its columns", fix)
            elif name != EVENT_TIME and theirs.lacks(field):
                fix = instead(field, theirs.columns, f"declare it in {has}, or write field=<what it is called there>")
                yield Finding(how.declared_at, f"{title} is to be {field!r}, which {has} lacks", fix)
            elif name.startswith(LEGACY_PREFIX) and name.removeprefix(LEGACY_PREFIX) in ours.columns:
                fix = f"give {name!r} another name, or do not compare it"
                yield Finding(how.declared_at, f"{title} is called as legacy's side of another one would be", fix)


@rule("SP812", "error", "compared values can be equal")
def incomparable(project: Project) -> Iterator[Finding]:
    """Numbers of any width are compared as numbers; a text is never a number, nor a vector one of another space."""
    for definition, legacy in _compared(project):
        ours, theirs = compared_scopes(project, definition)
        for name, met in counterparts(legacy, ours.columns, theirs.columns).items():
            where = met.how.declared_at if name in legacy.columns else legacy.declared_at
            why = _why_never_equal(met.ours, met.legacy, met.how)
            if why and name not in getattr(legacy, "natural_key", ()):  # which another rule judges
                yield Finding(
                    where,
                    f"compared column {name!r} of {label(definition)} {why}",
                    "convert it where legacy is read, with sql= in a column of its own, or leave it out of columns=",
                )


@rule("SP813", "error", "a tolerance suits its column")
def tolerance(project: Project) -> Iterator[Finding]:
    """Numbers have a distance, timestamps one in seconds, vectors an angle; lists may be sets. Others are equal or not.

    What is near in relation to a time depends on when 1970 was.
    """
    for definition, legacy in _compared(project):
        ours, _ = compared_scopes(project, definition)
        time = Column(name=EVENT_TIME, dtype="timestamp")
        for name, how in legacy.columns.items():
            column = time if name == EVENT_TIME else ours.columns.get(name)
            allowed = _tolerances(column.dtype) if column else ()
            stated = [each for each in ("absolute", "relative", "cosine") if getattr(how, each) is not None]
            for each in [*stated, *(["as_set"] if how.as_set else [])] if column else []:
                if each not in allowed:
                    fits = " or ".join(f"{one}=" for one in allowed)
                    yield Finding(
                        how.declared_at,
                        f"compared column {name!r} of {label(definition)} is {column.dtype if column else ''}, "
                        f"which has no {each}=",
                        f"write {fits} in its place" if fits else "drop it: such values are equal or not",
                    )


@rule("SP814", "error", "an expected difference can come")
def expectation_over(project: Project) -> Iterator[Finding]:
    """One that ends before the first day that is compared explains nothing."""
    for event_type, legacy in _compared(project):
        if not isinstance(event_type, EventType):
            continue
        source = project.sources.get(event_type.source)
        start = event_type.start or (source.start if source else None)
        for expected in legacy.explained:
            if start and expected.until and expected.until < start:
                yield Finding(
                    expected.declared_at,
                    f"explained difference of legacy of {label(event_type)} ends on {expected.until}, before the "
                    f"first day, {start}",
                    "write a later until=, or delete it",
                )


@rule("SP815", "warning", "an expected difference has an end or a cap")
def expectation_without_bound(project: Project) -> Iterator[Finding]:
    """What explains everything for ever hides the next mistake, too."""
    for definition, legacy in _compared(project):
        for expected in legacy.explained:
            if expected.until is None and expected.at_most == 1:
                yield Finding(
                    expected.declared_at,
                    f"explained difference of legacy of {label(definition)} has neither an end nor a cap",
                    "write until=dt.date(...), or at_most=<share of all events>",
                )


Compare = tuple[EventType | Sequence, Legacy | LegacySequence]


def _compared(project: Project) -> Iterator[Compare]:
    found: list[EventType | Sequence] = [*project.event_types.values(), *project.sequences.values()]
    return ((each, each.legacy) for each in found if each.legacy)


def _why_never_equal(ours: Column, legacy: Column, how: Compared) -> str:
    """Nothing where two columns can be compared."""
    same = alike(ours.dtype, legacy.dtype) or {_kind(ours), _kind(legacy)} == {"number"}
    if how.cosine is not None and _kind(ours) == _kind(legacy) == "vector":
        mine, other = parse_dtype(ours.dtype), parse_dtype(legacy.dtype)
        same = mine.dim == other.dim and (mine.item == other.item or "int8" not in (mine.item, other.item))
    if not same:
        return f"is {ours.dtype}, but {legacy.name!r} of legacy is {legacy.dtype}"
    for said in ("unit", "model"):
        stated, there = getattr(ours, said), getattr(legacy, said)
        if stated and there and stated != there:
            return f"has {said} {stated!r}, but {legacy.name!r} of legacy has {there!r}"
    return ""


def _kind(column: Column) -> str:
    parsed = parse_dtype(column.dtype)
    return "number" if parsed.kind == "scalar" and parsed.item.startswith(("int", "float")) else parsed.kind


def _tolerances(dtype: str) -> tuple[str, ...]:
    kind, item, _ = parse_dtype(dtype)
    if kind != "scalar":
        return ("cosine",) if kind == "vector" else ("as_set",)
    if item == "timestamp":
        return ("absolute",)
    return ("absolute", "relative") if item.startswith(("int", "float")) else ()
