"""From what was asked to the bytes of the answer; everything here may run in any thread."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import polars as pl
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from seqplat_resources.answer_cache import AnswerCache
from seqplat_resources.assemble import Answer, answer, answers, state_of
from seqplat_resources.clock import Deadline
from seqplat_resources.freshness import Freshness
from seqplat_resources.merge.selection import Selection as ReadSelection
from seqplat_resources.online_store.errors import EpochGoneError
from seqplat_resources.query import Query
from seqplat_resources.sequence_plan import SequencePlan
from serving.answer_headers import CACHING, Headers, entity_tag, freshness_headers, is_known, partial_header
from serving.arrow_stream import plain_stream, with_metadata
from serving.encoding import (
    COMPRESS_FROM_BYTES,
    Coding,
    answer_head,
    batch_json,
    compressed,
    json_of,
    meta_of,
    with_meta,
)
from serving.follower import Follower
from serving.kept_bodies import KeptBodies
from serving.negotiation import MEDIA_TYPES, Form
from serving.request_notes import note_answer
from serving.schemas import BatchRequest, Selection
from serving.sending import PIECE_BYTES, send_large
from serving.tenants import Caller

_Found = TypeVar("_Found")


class Ready(ASGIResponse):
    """A whole answer. Headers are as they go out, so nothing is left to do for the framework."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status_code, self.lines, self.body = status, headers, body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.body) > PIECE_BYTES:
            await send_large(scope, send, self.status_code, self.lines, self.body)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.lines})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


@dataclass(frozen=True)
class Asking:
    """A request for sequences, apart from whose they are."""

    scope: Scope
    follower: Follower
    caller: Caller
    plan: SequencePlan
    asked: Selection
    query: Query
    form: Form
    coding: Coding
    deadline: Deadline


@dataclass(frozen=True)
class Kept:
    """What need not be done again: reading, and writing. None where nothing is kept."""

    answers: AnswerCache | None
    bodies: KeptBodies | None

    @classmethod
    def of(cls, max_bytes: int) -> "Kept":
        """Both together take up to ``max_bytes``."""
        return cls(AnswerCache(max_bytes // 2), KeptBodies(max_bytes // 2)) if max_bytes else cls(None, None)


def answer_one(asking: Asking, user: str, if_none_match: bytes | None, kept: Kept) -> Ready:
    """
    Raises:
        UnknownColumn, QueryError, InvalidKeyError, NotReady: as ``assemble.answer`` and ``Follower.store``.
    """
    plan, store, clock = asking.plan, asking.follower.store, asking.follower.clock
    if if_none_match is not None:
        version, fresh = state_of(plan, store, user, clock=clock)
        tag = entity_tag(version, asking.asked, asking.form)
        if is_known(tag, if_none_match):
            asking.caller.charge(
                0, columns=_looked_at(asking, asking.query.columns or tuple(plan.columns)), users=[user]
            )
            return Ready(304, [*freshness_headers(fresh), *CACHING, (b"etag", tag)], b"")
    deadline = asking.deadline
    found = _once_more(
        lambda: answer(plan, store, user, asking.query, clock=clock, deadline=deadline, cache=kept.answers)
    )
    _note(asking, found.events, found.freshness, [user])
    meta, written = meta_of(found.freshness), _written(asking, user, found, kept.bodies)
    if asking.form == "json":
        body = with_meta(written, meta)
    else:
        body = with_metadata(written, _metadata(plan, meta, user_id=user.encode()))
    headers = freshness_headers(found.freshness)
    if found.version is not None:
        headers.append((b"etag", entity_tag(found.version, asking.asked, asking.form)))
    return _ready(asking, headers, body)


def answer_many(asking: Asking, asked: BatchRequest) -> Ready:
    """
    Raises:
        As ``answer_one``.
    """
    plan, store = asking.plan, asking.follower.store
    found = _once_more(
        lambda: answers(plan, store, asked.users, asking.query, clock=asking.follower.clock, deadline=asking.deadline)
    )
    _note(asking, found.events, found.freshness, asked.users)
    meta = meta_of(found.freshness)
    if asking.form == "json":
        body = batch_json(
            plan.definition.name,
            found.users,
            found.lengths,
            found.newest_event_times,
            found.partial,
            found.events,
            meta,
        )
    else:
        of_users = {"users": found.users, "lengths": found.lengths, "partial": found.partial}
        said = _metadata(plan, meta, **{name: json_of(values) for name, values in of_users.items()})
        body = with_metadata(plain_stream(_with_users(found.events, found.users, found.lengths)), said)
    return _ready(asking, [*freshness_headers(found.freshness), *partial_header(found.partial)], body)


def _written(asking: Asking, user: str, found: Answer, bodies: KeptBodies | None) -> bytes:
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


def _once_more(read: Callable[[], _Found]) -> _Found:
    """A remote store may be published to so often during one read that the read's view is gone."""
    try:
        return read()
    except EpochGoneError:
        return read()


def _note(asking: Asking, events: pl.DataFrame, fresh: Freshness, users: Sequence[str]) -> None:
    asking.caller.charge(events.height, columns=_looked_at(asking, events.columns), users=users)
    note_answer(asking.scope, events=events.height, corrupt_blocks=fresh.corrupt_blocks, degraded=bool(fresh.degraded))


def _looked_at(asking: Asking, shown: Sequence[str]) -> Sequence[str]:
    """Columns that went into the answer: those shown, and those that only chose among the events."""
    if asking.query.where is None and asking.query.top_k is None:
        return shown
    return tuple(dict.fromkeys((*shown, *ReadSelection.of(asking.plan, asking.query).needed)))


def _metadata(plan: SequencePlan, meta: Mapping[str, Any], **more: bytes) -> dict[str, bytes]:
    said = {"sequence": plan.definition.name.encode(), **more, "meta": json_of(meta)}
    return {f"seqplat.{key}": value for key, value in said.items()}


def _with_users(events: pl.DataFrame, users: Sequence[str], lengths: Sequence[int]) -> pl.DataFrame:
    """The user of each row as first column."""
    of_rows = np.repeat(np.arange(len(users), dtype=np.uint32), lengths)
    return events.select(pl.Series("user_id", users, pl.String).gather(of_rows), pl.all())


def _ready(asking: Asking, headers: Headers, body: bytes) -> Ready:
    coding = asking.coding if len(body) >= COMPRESS_FROM_BYTES else "identity"
    if coding != "identity":
        body = compressed(body, coding)
        headers.append((b"content-encoding", coding.encode()))
    headers += CACHING
    headers.append((b"content-type", MEDIA_TYPES[asking.form].encode()))
    headers.append((b"content-length", b"%d" % len(body)))
    return Ready(200, headers, body)
