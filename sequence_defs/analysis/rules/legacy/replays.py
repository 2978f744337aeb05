"""A second run of legacy over the same input: another source with the same columns, and nothing of ours."""

from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.scope import source_scope
from sequence_defs.analysis.wording import define, instead, label, listed
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Blobs, EventType, Legacy, Source


@rule("SP806", "error", "a replay is a second run of legacy")
def replay(project: Project) -> Iterator[Finding]:
    """How far legacy is from itself says only what the same pipeline wrote twice: what is made of our rows, or read
    from the same files, would measure something else, and widen bands by it.
    """
    for event_type, legacy, source in _replayed(project):
        again = project.sources.get(legacy.replay or "")
        title = f"replay {legacy.replay!r} of legacy of {label(event_type)}"
        if again is None:
            fix = instead(legacy.replay or "", project.sources, define("Source", legacy.replay or ""))
            yield Finding(legacy.declared_at, f"{title} is not defined", fix)
        elif same := _read_already(project, event_type, source, again):
            fix = "run the older pipeline a second time over the same input, and name the source of what that wrote"
            yield Finding(legacy.declared_at, f"{title} is {same}", fix)
        elif again.topic or not (again.location and again.event_time) or again.user_id != source.user_id:
            fix = "copy location=, event_time= and user_id= of it, with the place of the second run"
            yield Finding(legacy.declared_at, f"{title} is not read as source {source.name!r} is", fix)
        elif other := _otherwise(project, source, again):
            fix = f"declare {listed(other)} in it as in source {source.name!r}"
            yield Finding(legacy.declared_at, f"{title} lacks {listed(other)}, or has them in other types", fix)


@rule("SP807", "error", "a replay of sequences is of a second run, by day")
def sequence_replay(project: Project) -> Iterator[Finding]:
    """Both runs are compared day by day, so both have files of days, and not the same ones."""
    for sequence in project.sequences.values():
        legacy = sequence.legacy
        if legacy is None or legacy.replay is None:
            continue
        title, again = f"replay of legacy of {label(sequence)}", legacy.replay
        if not isinstance(legacy.at, Blobs) or not all("{day}" in each.location for each in (legacy.at, again)):
            fix = "write at= and replay= as Blobs with {day} in both locations, or drop replay="
            yield Finding(again.declared_at, f"{title} cannot be compared day by day", fix)
        elif again.location == legacy.at.location:
            fix = "run the older pipeline a second time over the same input, and say where that wrote its files"
            yield Finding(again.declared_at, f"{title} is read from {again.location!r}, as legacy itself is", fix)


def _replayed(project: Project) -> Iterator[tuple[EventType, Legacy, Source]]:
    for event_type in project.event_types.values():
        legacy = event_type.legacy
        if legacy is not None and legacy.replay is not None and (source := project.sources.get(legacy.source)):
            yield event_type, legacy, source


def _read_already(project: Project, event_type: EventType, source: Source, again: Source) -> str:
    """What a replay is instead, where it is no other run."""
    known = {source.name: source}
    if ours := project.sources.get(event_type.source):
        known[ours.name] = ours
    for name, each in known.items():
        if again.name == name:
            return f"source {name!r} itself"
        if again.location and again.location == each.location:
            return f"read from {again.location!r}, as source {name!r} is"
    return ""


def _otherwise(project: Project, source: Source, again: Source) -> list[str]:
    """Columns of legacy that a replay has not, or in another type."""
    mine, theirs = (source_scope(project, each.name).columns for each in (source, again))
    return [name for name, each in mine.items() if name not in theirs or theirs[name].dtype != each.dtype]
