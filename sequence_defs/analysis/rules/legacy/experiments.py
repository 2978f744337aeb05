"""Experiments: whose users they divide, and what their metrics are made of."""

from collections import Counter
from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.scope import event_scope, user_column
from sequence_defs.analysis.widening import alike
from sequence_defs.analysis.wording import define, instead, label
from sequence_defs.compiler.project import Project
from sequence_defs.schema import Column, EventType, Experiment, UserMetric, parse_dtype


@rule("SP841", "error", "an experiment divides users whom we answer")
def nobody_divided(project: Project) -> Iterator[Finding]:
    """Only where legacy is served do we know whose events a user was answered with."""
    for event_type, experiment in _experiments(project):
        if event_type.legacy is None or not event_type.legacy.serve:
            lacks = "no legacy" if event_type.legacy is None else "a legacy that is not served"
            yield Finding(
                experiment.declared_at,
                f"{label(event_type)} has an experiment, but {lacks}: all users are answered alike",
                "write serve=True in legacy=, or drop experiment=",
            )


@rule("SP842", "error", "a metric counts events of the users who are divided")
def metric_events(project: Project) -> Iterator[Finding]:
    """Its event type is declared, and tells users apart as the one that moves does; `7` and `'7'` are two."""
    for event_type, metric in _metrics(project):
        title = f"metric {metric.name!r} of {label(event_type)}"
        counted = project.event_types.get(metric.event_type)
        if counted is None:
            yield Finding(
                metric.declared_at,
                f"{title} counts events of type {metric.event_type!r}, which is not defined",
                instead(metric.event_type, project.event_types, define("EventType", metric.event_type)),
            )
            continue
        ours, theirs = user_column(project, event_type), user_column(project, counted)
        if ours and theirs and not alike(ours.dtype, theirs.dtype):
            yield Finding(
                metric.declared_at,
                f"{title} counts events of users who are {theirs.dtype} in {label(counted)}, and {ours.dtype} here",
                "take an event type of the same users",
            )


@rule("SP843", "error", "a metric has the columns that its kind needs")
def metric_columns(project: Project) -> Iterator[Finding]:
    """A sum and a ratio are of numbers; a count is of events. What is read out is shown to people without grants, so
    it is of no personal data.
    """
    for event_type, metric in _metrics(project):
        title, wants = f"metric {metric.name!r} of {label(event_type)}", metric.kind in ("sum", "ratio")
        if wants and metric.column is None:
            yield Finding(
                metric.declared_at, f"{title} is a {metric.kind} of nothing", "name a column of numbers in column="
            )
        unused = [] if wants or metric.column is None else ["column"]
        unused += ["per"] if metric.per is not None and metric.kind != "ratio" else []
        unused += ["cap"] if metric.cap is not None and metric.kind == "converted" else []
        for name in unused:
            fix = f"drop {name}=, or write kind='{'ratio' if name == 'per' else 'sum'}'"
            yield Finding(metric.declared_at, f"{title} says {name}=, which has no meaning for {metric.kind!r}", fix)
        counted = project.event_types.get(metric.event_type)
        if counted is not None and wants and not unused:
            for column in filter(None, (metric.column, metric.per)):
                yield from _of_numbers(project, counted, metric, title, column)


@rule("SP844", "error", "metrics of an experiment have names of their own")
def metric_names(project: Project) -> Iterator[Finding]:
    """A readout, its record and what is plotted call a metric by its name."""
    for event_type, experiment in _experiments(project):
        times = Counter(metric.name for metric in experiment.metrics)
        for metric in experiment.metrics:
            if times.pop(metric.name, 0) > 1:
                yield Finding(
                    experiment.declared_at,
                    f"the experiment of {label(event_type)} names metric {metric.name!r} more than once",
                    "rename one of them",
                )


def _of_numbers(project: Project, counted: EventType, metric: UserMetric, title: str, name: str) -> Iterator[Finding]:
    scope = event_scope(project, counted)
    if scope.lacks(name):
        yield Finding(
            metric.declared_at,
            f"column {name!r} of {title} is not one of {label(counted)}",
            instead(name, (each.name for each in scope.columns.values() if _is_number(each)), "declare it there"),
        )
    elif (column := scope.columns.get(name)) is not None and not _is_number(column):
        yield Finding(
            metric.declared_at, f"column {name!r} of {title} is {column.dtype}, and no number", "take another one"
        )
    elif column is not None and column.pii:
        yield Finding(
            metric.declared_at,
            f"column {name!r} of {title} is personal data, and a readout is shown to people without a grant",
            "take another one",
        )


def _is_number(column: Column) -> bool:
    dtype = parse_dtype(column.dtype)
    return dtype.kind == "scalar" and dtype.item.startswith(("int", "float"))


def _experiments(project: Project) -> Iterator[tuple[EventType, Experiment]]:
    for event_type in project.event_types.values():
        if event_type.experiment is not None:
            yield event_type, event_type.experiment


def _metrics(project: Project) -> Iterator[tuple[EventType, UserMetric]]:
    for event_type, experiment in _experiments(project):
        for metric in experiment.metrics:
            yield event_type, metric
