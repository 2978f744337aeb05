"""The Python client of the sequence API, blocking and asynchronous. It needs httpx, polars and numpy, nothing of ours.

with Client("http://127.0.0.1:8471", key=...) as client:
    events = client.sequence("household_history", "1995", columns=["event_time", "sales_value"], limit=100)
    events.frame, events.to_numpy(), events.meta.degraded

People's programs enter; no room of ours does, and it enters none.
"""

from serving.client.answers import Batch, Events, Meta
from serving.client.arrays import BadFill, NullsInColumns, UnknownColumn
from serving.client.client import AsyncClient, Client
from serving.client.errors import (
    AnswerUnreadable,
    ApiError,
    BadRequest,
    ClientClosed,
    ClientError,
    DeadlineExceeded,
    Forbidden,
    NotFound,
    QuotaExceeded,
    ServerFailed,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from serving.client.questions import Selection, Similar

__all__ = [
    "AnswerUnreadable",
    "ApiError",
    "AsyncClient",
    "BadFill",
    "BadRequest",
    "Batch",
    "Client",
    "ClientClosed",
    "ClientError",
    "DeadlineExceeded",
    "Events",
    "Forbidden",
    "Meta",
    "NotFound",
    "NullsInColumns",
    "QuotaExceeded",
    "Selection",
    "ServerFailed",
    "Similar",
    "Unauthorized",
    "Unavailable",
    "UnknownColumn",
    "Unreachable",
]
