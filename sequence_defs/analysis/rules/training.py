"""Training sets: what their labels and sequences are made of, and what their columns are called."""

from collections import Counter
from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.scope import EVENT_KEYS, event_scope, sequence_columns
from sequence_defs.analysis.widening import NUMBERS
from sequence_defs.analysis.wording import define, instead, label
from sequence_defs.compiler.project import Project, labelled_by
from sequence_defs.compiler.views import COLLAPSED
from sequence_defs.schema import Followed, TrainingSet, parse_dtype
from sequence_defs.schema.sequences import LABEL_KEYS, STARTS


@rule("SP721", "error", "what a training set takes exists")
def unknown_parts(project: Project) -> Iterator[Finding]:
    """A training set names a sequence of its own tenant, and event types or session views that labels are made of."""
    for each in project.training.values():
        sequence = project.sequences.get(each.sequence)
        if sequence is None:
            yield Finding(
                each.declared_at,
                f"{label(each)} takes sequence {each.sequence!r}, which is not defined",
                instead(each.sequence, project.sequences, define("Sequence", each.sequence)),
            )
        elif sequence.tenant != each.tenant:
            yield Finding(
                each.declared_at,
                f"{label(each)} of tenant {each.tenant!r} takes {label(sequence)}, which is of {sequence.tenant!r}",
                f"write tenant={sequence.tenant!r}, or take a sequence of {each.tenant!r}",
            )
        for layer, name in labelled_by(each):
            known = project.sessions if layer == "sessions" else project.event_types
            if name not in known:
                start = STARTS if layer == "sessions" else ""
                options = [*project.event_types, *(f"{STARTS}{view}" for view in project.sessions)]
                yield Finding(
                    each.declared_at,
                    f"labels of {label(each)} are made of {start + name!r}, which is not defined",
                    instead(start + name, options, define("SessionView" if start else "EventType", name)),
                )


@rule("SP722", "error", "columns of a training set exist, and have names of their own")
def training_columns(project: Project) -> Iterator[Finding]:
    """Columns asked for are in the sequence; a label's columns and the sequence's stand in one row."""
    for each in project.training.values():
        sequence = project.sequences.get(each.sequence)
        if sequence is None:
            continue
        # What each event has is part of an answer, whether a sequence lists it or not.
        known = [*sequence_columns(project, sequence), *EVENT_KEYS, *(COLLAPSED if sequence.collapse else ())]
        for name in each.columns:
            if name not in known:
                yield Finding(
                    each.declared_at,
                    f"{label(each)} asks for column {name!r}, which {label(sequence)} has not",
                    instead(name, known, f"add it to columns of {label(sequence)}"),
                )
        own = {*LABEL_KEYS, *(outcome.name for outcome in each.outcomes)}
        taken = sorted({f"{each.prefix}{name}" for name in each.columns or known} & own)
        if taken:
            yield Finding(
                each.declared_at,
                f"labels of {label(each)} and {label(sequence)} both have column {taken[0]!r}",
                "write prefix='seq_', which goes before the names of the sequence",
            )
        for outcome in each.outcomes:
            yield from _summed(project, each, outcome)


def _summed(project: Project, of: TrainingSet, outcome: Followed) -> Iterator[Finding]:
    title = f"outcome {outcome.name!r} of {label(of)}"
    if (outcome.kind == "sum") != (outcome.column is not None):
        fix = "write column=<name>, or kind='count'" if outcome.kind == "sum" else "drop `column`, or write kind='sum'"
        what = "sums nothing" if outcome.kind == "sum" else f"is {outcome.kind!r} and takes no column"
        yield Finding(outcome.declared_at, f"{title} {what}", fix)
        return
    event_type = project.event_types.get(outcome.events)
    if outcome.column is None or event_type is None:
        return
    scope = event_scope(project, event_type)
    numbers = [name for name, column in scope.columns.items() if column.dtype in NUMBERS]
    found = scope.columns.get(outcome.column)
    if scope.lacks(outcome.column):
        what = f"sums {outcome.column!r}, which {label(event_type)} has not"
        yield Finding(outcome.declared_at, f"{title} {what}", instead(outcome.column, numbers, "add it"))
    elif found is not None and found.dtype not in NUMBERS and parse_dtype(found.dtype):
        what = f"sums {outcome.column!r}, which is {found.dtype}"
        yield Finding(outcome.declared_at, f"{title} {what}", instead("", numbers, "write kind='count' without column"))


@rule("SP723", "error", "labels of a training set hold together")
def labels_hold(project: Project) -> Iterator[Finding]:
    """Labels come from one place; made ones have outcomes with names of their own; days end after they start."""
    for each in project.training.values():
        names = Counter(outcome.name for outcome in each.outcomes)
        if bool(each.labels) == (each.moments is not None):
            what = "both from labels= and from moments=" if each.labels else "from nowhere"
            fix = "drop `labels`, or drop moments" if each.labels else "write labels='<file>', or moments and outcomes"
            yield Finding(each.declared_at, f"labels of {label(each)} come {what}", fix)
        elif (each.moments is not None) != bool(names):
            what = "have no outcome" if not names else "are read, and have outcomes that nothing computes"
            fix = (
                "add outcomes=(Followed(name='bought', events='<event type>', within_h=168),)"
                if not names
                else "drop `outcomes`"
            )
            yield Finding(each.declared_at, f"labels of {label(each)} {what}", fix)
        for name, count in names.items():
            if count > 1 or name in LABEL_KEYS:
                what = "a column that every label may have" if count == 1 else f"{count} outcomes"
                where = next(outcome for outcome in reversed(each.outcomes) if outcome.name == name)
                fix = f"rename it to {f'{name}_value'!r}"
                yield Finding(where.declared_at, f"outcome {name!r} of {label(each)} has the name of {what}", fix)
        if each.negatives is not None and names and each.negatives.outcome not in names:
            named = each.negatives.outcome
            what = f"negatives of {label(each)} are of outcome {named!r}, which it has not"
            yield Finding(each.negatives.declared_at, what, instead(named, names, "add it to outcomes"))
        if each.end is not None and each.end <= each.start:
            what = f"{label(each)} ends on {each.end}, before its first day {each.start} is over"
            yield Finding(each.declared_at, what, "drop `end`, or give a later day")
