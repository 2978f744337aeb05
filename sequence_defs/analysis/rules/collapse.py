"""Sequences in which the events of one item are one row: what items are told by, and what the row says."""

import datetime as dt
from collections.abc import Iterator

from sequence_defs.analysis.diagnostics import Finding, rule
from sequence_defs.analysis.rules.views import KEYS, repeated
from sequence_defs.analysis.scope import EVENT_KEYS, sequence_columns
from sequence_defs.analysis.wording import instead, label, listed
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.views import COLLAPSED
from sequence_defs.schema import Collapse, Column, Sequence


@rule("SP711", "error", "an item is told by columns of every event")
def collapse_columns(project: Project) -> Iterator[Finding]:
    """Events are put together by columns that the sequence shows and each of its event types has; so is the action."""
    for sequence, collapse, known in _collapsing(project):
        # Events that are equal in one of those are the same event, or have nothing in common: they tell no item.
        shown = [name for name in known if name not in EVENT_KEYS]
        for field, name in _told_by(collapse):
            if name not in shown:
                yield Finding(
                    collapse.declared_at,
                    f"{field} of collapse names {name!r}, which is no column of {label(sequence)} that tells items",
                    instead(name, shown, f"add {name!r} to columns"),
                )
            elif field == "by" and (without := [t for t in sequence.event_types if _lacks(project, known[name], t)]):
                yield Finding(
                    collapse.declared_at,
                    f"{field} of collapse names {name!r}, which events of {listed(without)} do not have",
                    f"take a column that all of them have, or Pick(name={name!r}, columns={{...}}) one of each",
                )


@rule("SP712", "error", "items and actions are plain values")
def collapse_dtypes(project: Project) -> Iterator[Finding]:
    """What rows are put together by is text, a whole number, a date or a truth value: equal or not, without doubt."""
    for _, collapse, known in _collapsing(project):
        for field, name in _told_by(collapse):
            for dtype in dict.fromkeys(column.dtype for column in known.get(name, {}).values()):
                if dtype not in KEYS and name not in EVENT_KEYS:
                    yield Finding(
                        collapse.declared_at,
                        f"{field} of collapse names {name!r}, which is {dtype}",
                        f"use one of type {', '.join(KEYS)}",
                    )


@rule("SP713", "error", "a collapsed row has its columns for itself")
def collapse_collisions(project: Project) -> Iterator[Finding]:
    """It says what was done, how often and since when, under names that no column of its events may have."""
    for sequence, _, known in _collapsing(project):
        for name in (name for name in known if name in COLLAPSED):
            picks = [each for each in sequence.columns if not isinstance(each, str) and each.name == name]
            yield Finding(
                (picks[0] if picks else sequence).declared_at,
                f"column {name!r} of {label(sequence)} has the name of a column of collapsed rows",
                f"show it under another name: Pick(name='{name}_value', columns={{...}})",
            )


@rule("SP714", "error", "actions of collapsed rows are there, each once")
def collapse_actions(project: Project) -> Iterator[Finding]:
    """An action has the bit of its place; without a column of actions they are event types of the sequence."""
    for sequence, collapse, _ in _collapsing(project):
        yield from repeated(collapse.actions, "collapse", collapse.declared_at)
        for action in dict.fromkeys(collapse.actions) if collapse.action is None else ():
            if action not in sequence.event_types:
                yield Finding(
                    collapse.declared_at,
                    f"actions of collapse name {action!r}, which is no event type of {label(sequence)}",
                    instead(action, sequence.event_types, f"add {action!r} to event_types"),
                )


@rule("SP715", "error", "a row is no longer than the window")
def collapse_window(project: Project) -> Iterator[Finding]:
    """Events before the window are not read, so no row could ever be as long as it is said to be."""
    for sequence, collapse, _ in _collapsing(project):
        window_s = dt.timedelta(days=sequence.window_days or 0) // dt.timedelta(seconds=1)
        if sequence.window_days is not None and collapse.within_s > window_s:
            yield Finding(
                collapse.declared_at,
                f"collapse puts together what happened within {collapse.within_s} s, and {label(sequence)} has a "
                f"window of {sequence.window_days} day(s)",
                f"write within_s={window_s} or less",
            )


@rule("SP716", "error", "what is compared or recorded is events")
def collapse_of_events(project: Project) -> Iterator[Finding]:
    """Legacy's lists are compared, and answers recorded, event by event; a row that stands for several is none."""
    for sequence, collapse, _ in _collapsing(project):
        if sequence.legacy is not None:
            yield Finding(
                collapse.declared_at,
                f"{label(sequence)} is compared with legacy's lists of events, and collapses its own",
                "declare another sequence of these events, with collapse and without legacy",
            )
        if sequence.answers_recorded > 0:
            yield Finding(
                collapse.declared_at,
                f"answers of {label(sequence)} are recorded event by event, and it collapses events",
                "drop `answers_recorded`",
            )


def _collapsing(project: Project) -> Iterator[tuple[Sequence, Collapse, dict[str, dict[str, Column]]]]:
    for sequence in project.sequences.values():
        if sequence.collapse is not None:
            yield sequence, sequence.collapse, sequence_columns(project, sequence)


def _told_by(collapse: Collapse) -> Iterator[tuple[str, str]]:
    yield from (("by", name) for name in collapse.by)
    if collapse.action is not None:
        yield "action", collapse.action


def _lacks(project: Project, by_type: dict[str, Column], event_type: str) -> bool:
    return event_type in project.event_types and event_type not in by_type
