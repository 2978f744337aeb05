"""Answers as frames and arrays."""

import datetime as dt
import io
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import polars as pl

from serving.client.arrays import Arrays, Fill, arrays_of, padded
from serving.client.errors import AnswerUnreadable
from serving.client.questions import ARROW

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Meta:
    """What an answer is made of: see the API's ``meta``. ``epoch`` has only the event types that are published."""

    release: str
    epoch: Mapping[str, int]
    sealed_through: dt.datetime | None
    newest_event_time: dt.datetime | None
    completeness: float
    degraded: tuple[str, ...]
    stream_lag_ms: int | None
    request_id: str | None
    definitions: tuple[str, ...] = ()  # in words

    @classmethod
    def of(cls, headers: httpx.Headers) -> "Meta":
        lag, epochs = headers.get("x-seqplat-stream-lag-ms"), headers.get("x-seqplat-epoch", "")
        pairs = (pair.partition("=") for pair in epochs.split(",") if pair.strip())
        return cls(
            release=headers["x-seqplat-release"],
            epoch={name.strip(): int(number) for name, _, number in pairs},
            sealed_through=_time(headers.get("x-seqplat-sealed-through")),
            newest_event_time=_time(headers.get("x-seqplat-newest-event-time")),
            completeness=float(headers["x-seqplat-completeness"]),
            degraded=_texts(headers.get("x-seqplat-degraded", "")),
            stream_lag_ms=int(lag) if lag else None,
            request_id=headers.get("x-request-id"),
            definitions=_texts(headers.get("x-seqplat-definitions", "")),
        )


@dataclass(frozen=True, eq=False)  # frames compare element by element
class Events:
    """One user's events, newest first (of a similarity search: most similar first). ``frame`` has a row per event."""

    user: str
    frame: pl.DataFrame
    meta: Meta

    def __len__(self) -> int:
        return self.frame.height

    def to_numpy(self, columns: Sequence[str] | None = None, *, fill: Fill | None = None) -> Arrays:
        """One array per column, of the type that the column has, whatever is null.

        Shapes:
            Out: by column, all of them unless named, an array of length N, vectors N x dimension; N may be 0.
        Types:
            bool, int8 to int64, float32 and float64 stay what they are; date is datetime64[D], timestamp
            datetime64[us] in UTC, string and binary objects; vectors are int8 or, of float16 as well, float32; a list
            is an array of its items in an array of objects. All can be written to.
        Nulls:
            ``fill`` is the value that stands for null, one for all columns that it fits or one by column. Without it a
            null is NaN, NaT or None. Whole numbers and truth values have nothing of the kind.
        Raises:
            NullsInColumns: a null without ``fill`` in a column of whole numbers or truth values.
            BadFill: ``fill`` does not fit the type of a column, whether or not there is a null.
            UnknownColumn: a column that the answer does not have.
        """
        return arrays_of(self.frame, self.frame.columns if columns is None else columns, fill)

    def to_arrow(self) -> Any:
        """As a ``pyarrow.Table``. Others can take ``frame``, which has an Arrow C stream.

        Raises:
            ModuleNotFoundError: pyarrow is not installed.
        """
        try:
            return self.frame.to_arrow()
        except ModuleNotFoundError as error:
            if error.name != "pyarrow":
                raise
            fix = "install pyarrow, or hand on `frame`, which libraries of Arrow take as it is"
            raise ModuleNotFoundError(
                f"to_arrow makes a table of pyarrow, which is not here; {fix}", name=error.name
            ) from error


@dataclass(frozen=True, eq=False)
class Batch:
    """Many users' events, end to end in the order of ``users``, which are distinct; ``lengths[i]`` are of user i.

    ``frame`` begins with the column ``user_id``. ``partial`` are the users whose older events the server left unread,
    because the deadline was over.
    """

    users: tuple[str, ...]
    lengths: npt.NDArray[np.int64]
    frame: pl.DataFrame
    meta: Meta
    partial: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.users)

    def __iter__(self) -> Iterator[Events]:
        """User by user; ``newest_event_time`` is not known by user here, so their ``meta`` is the batch's."""
        start = 0
        for user, length in zip(self.users, self.lengths.tolist(), strict=True):
            yield Events(user, self.frame.slice(start, length).drop("user_id"), self.meta)
            start += length

    def padded(
        self, length: int, columns: Sequence[str] | None = None, *, fill: Fill | None = None
    ) -> tuple[Arrays, npt.NDArray[np.bool_]]:
        """Arrays as models take them, of the types that ``Events.to_numpy`` gives, and with its ``fill``.

        Shapes:
            Out: by column, all but ``user_id`` unless named, an array of users x ``length`` (vectors: x dimension),
            each user's newest events first, cut or padded at the end; and the mask, users x ``length``, True where an
            event is. Its sum along the second axis is each user's number of events, ``length`` at most. A user
            without events is a row of padding.
        Padding:
            The zero of the type: 0, False, 1970-01-01, empty text, bytes or list. It does not follow ``fill``, which
            stands for a value that an event lacks.
        Raises:
            ValueError: ``length`` is negative.
            NullsInColumns, BadFill, UnknownColumn: as ``Events.to_numpy``; events that are cut off count.
        """
        names = [name for name in self.frame.columns if name != "user_id"] if columns is None else columns
        return padded(self.frame, self.lengths, length, names, fill)


def events_of(response: httpx.Response, user: str) -> Events:
    """
    Raises:
        AnswerUnreadable: it is not Arrow, or damaged.
    """
    return Events(user, _frame(response), _meta(response))


def batch_of(response: httpx.Response, users: Sequence[str]) -> Batch:
    """``users`` as they were sent. Raises: as ``events_of``."""
    frame = _frame(response)
    counts = dict(frame["user_id"].value_counts().iter_rows()) if "user_id" in frame.columns else {}
    lengths = np.array([counts.get(user, 0) for user in users], np.int64)
    if "user_id" not in frame.columns or lengths.sum() != frame.height:
        raise AnswerUnreadable(f"{response.request.url} answered with events of other users than were asked for")
    return Batch(tuple(users), lengths, frame, _meta(response), _partial(response, users))


def _partial(response: httpx.Response, users: Sequence[str]) -> tuple[str, ...]:
    """Those of the users that the header has a bit for, which is not there if there are none."""
    try:
        said = b64decode(response.headers.get("x-seqplat-partial-users", "").strip(":"), validate=True)
    except ValueError as error:
        raise AnswerUnreadable(f"{response.request.url} answered X-Seqplat-Partial-Users: {error}") from error
    bits = np.unpackbits(np.frombuffer(said, np.uint8), count=len(users), bitorder="little")
    return tuple(user for user, bit in zip(users, bits.tolist(), strict=True) if bit)


def _frame(response: httpx.Response) -> pl.DataFrame:
    said = response.headers.get("content-type", "")
    if said.partition(";")[0] != ARROW:
        raise AnswerUnreadable(f"{response.request.url} answered {said or 'without a type'}, not {ARROW}")
    try:
        return pl.read_ipc_stream(io.BytesIO(response.content))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise AnswerUnreadable(f"{response.request.url} answered a damaged Arrow stream: {error}") from error


def _meta(response: httpx.Response) -> Meta:
    try:
        return Meta.of(response.headers)
    except (KeyError, ValueError) as error:
        raise AnswerUnreadable(f"{response.request.url} answered without X-Seqplat headers: {error}") from error


def _texts(header: str) -> tuple[str, ...]:
    return tuple(re.sub(r"\\(.)", r"\1", text) for text in _QUOTED.findall(header))


def _time(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
