"""A batch of users who are not all answered by one plan: some have legacy's events of a type, others ours."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import polars as pl

from seqplat_resources.clock import Clock, Deadline, SystemClock
from seqplat_resources.online_store import OnlineStore, ReadAhead, StoreSnapshot
from seqplat_resources.read.answer import AnswerBatch, ahead_of, answers, in_snapshot
from seqplat_resources.read.freshness import Freshness
from seqplat_resources.read.merge import RowSelection
from seqplat_resources.read.past import PastRows
from seqplat_resources.read.stored import together
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan


def answers_of(
    plans: Sequence[SequencePlan],
    store: OnlineStore,
    users: Sequence[str],
    query: Query = Query(),
    *,
    clock: Clock = SystemClock(),
    deadline: Deadline | None = None,
    between: Callable[[], None] = lambda: None,
    past: PastRows | None = None,
) -> AnswerBatch:
    """As ``answers``, where ``plans[i]``, one sequence's in some arms, is that of ``users[i]``.

    ``freshness`` is that of all of them: what any of them lacks, it lacks. One pass for each plan there is.
    """
    places: dict[int, list[int]] = {}
    for place, plan in enumerate(plans):
        places.setdefault(id(plan), []).append(place)
    if len(places) <= 1:
        return answers(plans[0], store, users, query, clock=clock, deadline=deadline, between=between, past=past)
    groups = list(places.values())

    def read(view: StoreSnapshot) -> list[AnswerBatch]:
        return [
            answers(
                plans[group[0]],
                store,
                [users[place] for place in group],
                query,
                clock=clock,
                deadline=deadline,
                between=between,
                view=view,
                past=past,
            )
            for group in groups
        ]

    return _woven(users, groups, in_snapshot(store, _ahead(plans, groups, users, query, deadline), read))


def _ahead(
    plans: Sequence[SequencePlan],
    groups: Sequence[Sequence[int]],
    users: Sequence[str],
    query: Query,
    deadline: Deadline | None,
) -> ReadAhead:
    selections = {id(plans[group[0]]): (plans[group[0]], RowSelection.of(plans[group[0]], query)) for group in groups}
    each = [ahead_of(plan, users, selection, deadline) for plan, selection in selections.values()]
    columns = None if any(a.columns is None for a in each) else list({c for a in each for c in a.columns or ()})
    return replace(each[0], event_types=list({name for a in each for name in a.event_types}), columns=columns)


def _woven(users: Sequence[str], groups: Sequence[Sequence[int]], found: Sequence[AnswerBatch]) -> AnswerBatch:
    """The groups' answers as one, users in the order asked."""
    place = np.concatenate([np.asarray(group, np.int64) for group in groups])  # of each user as they lie end to end
    order = np.argsort(place)
    lengths = np.concatenate([np.asarray(each.lengths, np.int64) for each in found])
    starts = np.cumsum(lengths) - lengths
    # Each row's number within its user's, from where the user's rows begin.
    asked = lengths[order]
    within = np.arange(asked.sum()) - np.repeat(np.cumsum(asked) - asked, asked)
    places = np.repeat(starts[order], asked) + within
    named = [each.revisions for each in found if each.revisions is not None]
    newest = [time for each in found for time in each.newest_event_times]
    partial = [flag for each in found for flag in each.partial]
    arms = [arms for each in found for arms in each.arms]
    return AnswerBatch(
        tuple(users),
        tuple(asked.tolist()),
        pl.concat([each.events for each in found])[places],
        tuple(newest[at] for at in order),
        reduce(_worse, (each.freshness for each in found)),
        tuple(partial[at] for at in order),
        tuple(arms[at] for at in order),
        pl.concat(named)[places] if named else None,
    )


def _worse(one: Freshness, other: Freshness) -> Freshness:
    """Of users who are answered from both."""
    ends = (one.sealed_through, other.sealed_through)
    return replace(
        one,
        epoch={**other.epoch, **one.epoch},
        sealed_through=None if None in ends else min(filter(None, ends)),
        newest_event_time=max(filter(None, (one.newest_event_time, other.newest_event_time)), default=None),
        completeness=min(one.completeness, other.completeness),
        degraded=tuple(dict.fromkeys((*one.degraded, *other.degraded))),
        stream_lag_ms=max((lag for lag in (one.stream_lag_ms, other.stream_lag_ms) if lag is not None), default=None),
        corrupt_blocks=one.corrupt_blocks + other.corrupt_blocks,
        partial=one.partial or other.partial,
        arms={},
        definitions=together(one.definitions, other.definitions),
    )
