"""From what was asked to the bytes of the answer; everything here may run in any thread.

>>> client.get("/v1/sequences/basket/users/ann", params={"limit": 2}).json()["columns"]["product"]
['tea', 'bread']
>>> client.post("/v1/sequences/basket/batch", json={"users": ["ann", "bob"]}).json()["users"][1]["columns"]["amount"]
[4]
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from seqplat_resources.clock import Deadline
from seqplat_resources.read.answer import Answer, AnswerBatch, answer, version_of
from seqplat_resources.read.cache import AnswerCache
from seqplat_resources.read.freshness import Freshness
from seqplat_resources.read.merge.selection import RowSelection
from seqplat_resources.read.mixed import answers_of
from seqplat_resources.release.query import Query
from seqplat_resources.release.sequence_plan import SequencePlan
from serving.access.caller import Caller
from serving.admission.queue import turn_of
from serving.admission.sending import PIECE_BYTES, send_large
from serving.answers.arrow import plain_stream, stream_pieces, with_metadata
from serving.answers.cache import BodyCache
from serving.answers.encoding import (
    COMPRESS_FROM_BYTES,
    ROWS_AT_ONCE,
    Coding,
    answer_head,
    batch_pieces,
    compressed_pieces,
    json_of,
    meta_of,
    with_meta,
)
from serving.answers.headers import CACHING, Headers, entity_tag, freshness_headers, is_known, partial_header
from serving.answers.negotiation import MEDIA_TYPES, Form
from serving.api.notes import note_answer
from serving.api.request_id import request_id
from serving.api.schemas import BatchRequest, SelectionRequest
from serving.follow.answers import Recording
from serving.follow.release import Follower

# Rows of a record batch of Arrow, which is a piece of an answer.
_RECORDS = 16_384


class Ready(ASGIResponse):
    """A whole answer. Headers are as they go out, so nothing is left to do for the framework. A large one is in pieces:
    putting them together would take as long as all requests that wait for the lock meanwhile.
    """

    def __init__(self, status: int, headers: Headers, *pieces: bytes) -> None:
        self.status_code, self.lines, self.pieces = status, headers, pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.pieces) > 1 or len(self.pieces[0]) > PIECE_BYTES:
            await send_large(scope, send, self.status_code, self.lines, self.pieces)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.lines})
        await send({"type": "http.response.body", "body": self.pieces[0], "more_body": False})


@dataclass(frozen=True)
class SequenceRequest:
    """A request for sequences, apart from whose they are."""

    scope: Scope
    follower: Follower
    caller: Caller
    plan: SequencePlan
    asked: SelectionRequest
    query: Query
    form: Form
    coding: Coding
    deadline: Deadline

    def plan_of(self, user: str) -> SequencePlan:
        """The plan in the arms of the user.

        Raises:
            NotReady: they are not known.
        """
        return self.follower.arms.plan(self.plan, user)

    def expose(self, plan: SequencePlan, user: str) -> None:
        """Note that the user was answered by this plan."""
        if plan.arms:
            follower = self.follower
            follower.exposures.note(follower.arms.divisions, plan, user, self.query)

    def recording(self) -> Recording | None:
        """What records the answer, where it is to be; to be asked for before the store is."""
        if not self.plan.definition.answers_recorded:
            return None
        return self.follower.answers.drawn(self.plan, request_id(self.scope), self.query)


@dataclass(frozen=True)
class AnswerCaches:
    """What need not be done again: reading, and writing. None where nothing is kept."""

    answers: AnswerCache | None
    bodies: BodyCache | None

    @classmethod
    def of(cls, max_bytes: int) -> "AnswerCaches":
        """Both together take up to ``max_bytes``."""
        return cls(AnswerCache(max_bytes // 2), BodyCache(max_bytes // 2)) if max_bytes else cls(None, None)


def answer_one(asking: SequenceRequest, user: str, if_none_match: bytes | None, kept: AnswerCaches) -> Ready:
    """
    Raises:
        UnknownSequenceColumn, QueryError, InvalidKeyError, NotReady: as ``read.answer.answer`` and ``Follower.store``.
    """
    plan, store, clock = asking.plan_of(user), asking.follower.store, asking.follower.clock
    recording = asking.recording()
    if if_none_match is not None and recording is None:
        version, fresh = version_of(plan, store, user, clock=clock)
        if is_known(known := entity_tag(version, asking.asked, asking.form), if_none_match):
            return _unchanged(asking, plan, user, fresh, known)
    past, deadline = asking.follower.past, asking.deadline
    found = answer(plan, store, user, asking.query, clock=clock, deadline=deadline, cache=kept.answers, past=past)
    fresh = found.freshness
    tag = None if found.version is None else entity_tag(found.version, asking.asked, asking.form)
    if recording is not None:
        recording.add([plan], [user], [found.events.height], found.revisions, fresh, [fresh.partial])
        if tag and if_none_match is not None and is_known(tag, if_none_match):
            return _unchanged(asking, plan, user, fresh, tag)
    _note(asking, found.events, fresh, [user])
    asking.expose(plan, user)
    meta, written = meta_of(fresh), _written(asking, user, found, kept.bodies)
    if asking.form == "json":
        body = with_meta(written, meta)
    else:
        body = with_metadata(written, _metadata(plan, meta, user_id=user.encode()))
    headers = freshness_headers(fresh)
    if tag:
        headers.append((b"etag", tag))
    return _ready(asking, headers, body)


def _unchanged(asking: SequenceRequest, plan: SequencePlan, user: str, fresh: Freshness, tag: bytes) -> Ready:
    """The caller has the answer."""
    looked_at = _looked_at(asking, asking.query.columns or tuple(plan.columns))
    asking.caller.charge(0, columns=looked_at, users=[user], asked=asking.query)
    asking.expose(plan, user)
    return Ready(304, [*freshness_headers(fresh), *CACHING, (b"etag", tag)], b"")


def answer_many(asking: SequenceRequest, asked: BatchRequest) -> Ready:
    """Lets others on between two pieces of work, where it is long.

    Raises:
        As ``answer_one``; Abandoned: nobody waits for it any more.
    """
    plans, store = [asking.plan_of(user) for user in asked.users], asking.follower.store
    clock, deadline, between = asking.follower.clock, asking.deadline, turn_of(asking.scope).pass_on
    past, recording = asking.follower.past, asking.recording()
    found = answers_of(
        plans, store, asked.users, asking.query, clock=clock, deadline=deadline, between=between, past=past
    )
    _note(asking, found.events, found.freshness, asked.users)
    for plan, user in zip(plans, asked.users, strict=True):
        asking.expose(plan, user)
    if recording is not None:
        recording.add(plans, asked.users, found.lengths, found.revisions, found.freshness, found.partial)
    written = _json_pieces(asking, found) if asking.form == "json" else _arrow_pieces(asking, found)
    pieces = list(written) if found.events.height <= ROWS_AT_ONCE else _in_turns(written, between)
    return _ready(asking, [*freshness_headers(found.freshness), *partial_header(found.partial)], *pieces)


def _json_pieces(asking: SequenceRequest, found: AnswerBatch) -> Iterator[bytes]:
    name, newest, meta = asking.plan.definition.name, found.newest_event_times, meta_of(found.freshness)
    return batch_pieces(name, found.users, found.lengths, newest, found.partial, found.events, meta, found.arms)


def _arrow_pieces(asking: SequenceRequest, found: AnswerBatch) -> Iterator[bytes]:
    of_users: dict[str, object] = {"users": found.users, "lengths": found.lengths, "partial": found.partial}
    if asking.plan.arms:
        of_users["arms"] = found.arms
    told = {name: json_of(values) for name, values in of_users.items()}
    said = _metadata(asking.plan, meta_of(found.freshness), **told)
    events = _with_users(found.events, found.users, found.lengths)
    return stream_pieces(events.iter_slices(_RECORDS) if events.height else [events], said)


def _in_turns(pieces: Iterator[bytes], between: Callable[[], None]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        between()


def _written(asking: SequenceRequest, user: str, found: Answer, bodies: BodyCache | None) -> bytes:
    """The answer but for what moves with the clock."""
    key = (found.version, user, asking.query, asking.form)
    if bodies is not None and found.version is not None and (known := bodies.get(key)) is not None:
        return known
    if asking.form == "json":
        written = answer_head(asking.plan.definition.name, user, found.events)
    else:
        written = plain_stream(found.events)
    if bodies is not None and found.version is not None:
        bodies.put(key, written)
    return written


def _note(asking: SequenceRequest, events: pl.DataFrame, fresh: Freshness, users: Sequence[str]) -> None:
    asking.caller.charge(events.height, columns=_looked_at(asking, events.columns), users=users, asked=asking.query)
    note_answer(asking.scope, events=events.height, corrupt_blocks=fresh.corrupt_blocks, degraded=bool(fresh.degraded))


def _looked_at(asking: SequenceRequest, shown: Sequence[str]) -> Sequence[str]:
    """Columns that went into the answer: those shown, and those that only chose among the events."""
    if asking.query.where is None and asking.query.top_k is None:
        return shown
    return tuple(dict.fromkeys((*shown, *RowSelection.of(asking.plan, asking.query).needed)))


def _metadata(plan: SequencePlan, meta: Mapping[str, Any], **more: bytes) -> dict[str, bytes]:
    said = {"sequence": plan.definition.name.encode(), **more, "meta": json_of(meta)}
    return {f"seqplat.{key}": value for key, value in said.items()}


def _with_users(events: pl.DataFrame, users: Sequence[str], lengths: Sequence[int]) -> pl.DataFrame:
    """The user of each row as first column."""
    of_rows = np.repeat(np.arange(len(users), dtype=np.uint32), lengths)
    return events.select(pl.Series("user_id", users, pl.String).gather(of_rows), pl.all())


def _ready(asking: SequenceRequest, headers: Headers, *pieces: bytes) -> Ready:
    size = sum(map(len, pieces))
    coding = asking.coding if size >= COMPRESS_FROM_BYTES else "identity"
    if coding != "identity":
        pieces = tuple(compressed_pieces(pieces, coding))
        size = sum(map(len, pieces))
        headers.append((b"content-encoding", coding.encode()))
    headers += CACHING
    headers.append((b"content-type", MEDIA_TYPES[asking.form].encode()))
    headers.append((b"content-length", b"%d" % size))
    return Ready(200, headers, *(pieces if size > PIECE_BYTES else (b"".join(pieces),)))
