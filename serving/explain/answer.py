"""Explanations as they are answered: over HTTP, and by ``seqplat explain --json``.

>>> from seqplat_resources.explain.account.model import EventKey, Verdict
>>> verdict = Verdict("in_answer", "In the answer, at position 1.", ())
>>> found = Explanation("basket", "7f9ad790", EventKey("ann", "4", "purchase", None), verdict, ())
>>> explanation_answer(found).verdict
VerdictEntry(code='in_answer', text='In the answer, at position 1.', next=[])
"""

import datetime as dt

import msgspec

from seqplat_resources.explain import Candidate, EventKey, Explanation, Verdict
from serving.api.schemas import ExplainedEvent, ExplanationAnswer, StepEntry, VerdictEntry


class CandidateEntry(msgspec.Struct, frozen=True):
    """One of a user's newest events, with the verdict on it."""

    event: ExplainedEvent
    event_time: dt.datetime
    verdict: VerdictEntry


def explanation_answer(found: Explanation) -> ExplanationAnswer:
    """All that was found, under the names of the API."""
    return ExplanationAnswer(
        found.sequence,
        found.release,
        _event(found.event),
        _verdict(found.verdict),
        [StepEntry(step.name, step.outcome, step.said, dict(step.facts)) for step in found.steps],
        {name: _verdict(verdict) for name, verdict in found.also.items()},
    )


def candidate_entry(candidate: Candidate) -> CandidateEntry:
    """An event of a list."""
    return CandidateEntry(_event(candidate.event), candidate.event_time, _verdict(candidate.verdict))


def _event(key: EventKey) -> ExplainedEvent:
    return ExplainedEvent(key.user, key.event_id, key.event_type, key.day)


def _verdict(verdict: Verdict) -> VerdictEntry:
    return VerdictEntry(verdict.code, verdict.text, list(verdict.next))
