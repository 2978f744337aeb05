"""What the pipeline before this one has: where, which of its fields is which of ours, and how near is equal."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from sequence_defs.schema.base import ColumnName, FieldName, Name, Part
from sequence_defs.schema.columns import Column, Time
from sequence_defs.schema.sources import Csv

# Why a value or an event differs; each is found by a rule a person can read. What none explains is unexplained.
Cause = Literal["late", "filter", "dedup", "enrichment_version", "clock", "truncation", "rounding"]

Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Compared(Part):
    """How one of our columns is compared with the ``field`` of legacy; left out, with that of the same name.

    Values ``a`` and ``b`` are equal if ``|a - b| <= absolute``, or ``|a - b| <= relative * max(|a|, |b|)``; with
    neither, if they are the same. Of timestamps ``absolute`` is in seconds. Vectors are equal from the similarity
    ``cosine`` on. ``as_set`` takes no notice of the order and repeats of a list. ``limit`` is the largest share of
    matched events that may differ; left out, that of the column's type.
    """

    field: FieldName | None = None
    absolute: Tolerance | None = None
    relative: Tolerance | None = None
    cosine: float | None = Field(default=None, ge=-1, le=1)
    as_set: bool = False
    limit: float | None = Field(default=None, gt=0, le=1)


class Explained(Part):
    """Differences that are expected: those of events for which ``where`` is true have the cause ``cause``.

    ``where`` is SQL over our columns and, as ``legacy_<our name>``, those of legacy; the columns of a side that has
    no such event are null. ``because`` is for people. After the day ``until`` nothing is explained by it any more,
    nor beyond the share ``at_most`` of all events.
    """

    cause: Cause
    where: str
    because: str = Field(min_length=1)
    until: dt.date | None = None
    at_most: float = Field(default=1.0, gt=0, le=1)


class Legacy(Part):
    """The events of an event type as an older pipeline has them: the rows of ``source``.

    A row is the event of the user whose id is in its column ``event_id``; or the one that says the same in the columns
    ``natural_key`` of ours and is nearest in time, at most ``within_s`` seconds off. ``columns`` are those of ours
    that are compared; empty, all that the source has under the same name, exactly. Of event times ``event_time`` says
    how near they are to be. It changes nothing that is built, but for ``serve``: then users who are not moved yet are
    answered with legacy's events, which are published under the name ``<event type>__legacy``. An event that reaches us
    more than ``waits_s`` seconds after its time and is missing in legacy was late for it. ``replay`` names a source
    with the columns of ``source`` that a second run of legacy over the same input has written: how far the two are
    apart is legacy's own noise.
    """

    source: Name
    event_id: FieldName | None = None
    natural_key: tuple[ColumnName, ...] = ()
    within_s: float = Field(default=0, ge=0, allow_inf_nan=False)
    waits_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    columns: dict[ColumnName, Compared] = Field(default_factory=dict)
    explained: tuple[Explained, ...] = ()
    serve: bool = False
    replay: Name | None = None


class Blobs(Part):
    """A file with one row per user and all events of the user in it.

    ``location`` is one as a source has; with ``{day}`` in it, the file is as of the end of that day. ``user_id`` and
    ``events`` are paths into a row. Events are an array in JSON, in MessagePack (``msgpack``), or a list of the file
    itself (``list``); a list without ``events`` is one list per field, side by side.
    """

    kind: Literal["blobs"] = "blobs"
    location: str
    format: Literal["parquet", "csv", "ndjson"] = "parquet"
    csv: Csv | None = None
    user_id: str
    events: str = ""
    encoding: Literal["json", "msgpack", "list"] = "json"


class Http(Part):
    """A service that is asked for sequences of up to ``batch_size`` users at once.

    ``{"users": [7, ...], "as_of": "2026-01-02T00:00:00Z"}`` is answered by ``{"sequences": [[{...}, ...], null]}``, one
    per user and in order; null says that it does not know the user. Deadline, cache and secret are as a service's.
    """

    kind: Literal["http"] = "http"
    url: str
    batch_size: int = Field(default=256, ge=1)
    deadline_ms: int = Field(default=2_000, ge=1)
    cache_ttl_s: int = Field(default=0, ge=0)
    secret_env: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9_]*$")
    secret_header: str = Field(default="authorization", pattern=r"^[A-Za-z][A-Za-z0-9-]*$")


class LegacySequence(Part):
    """A sequence as an older system has it, event by event in the order it gives them.

    ``fields`` are typed and read from each event as columns of a source are from a row. ``event_id``, ``event_type``
    and the ``field`` of what is compared are among them, and ``event_time`` is SQL over them. ``event_types`` says what
    legacy calls our event types; one that is left out has the name it has here. ``length`` is what legacy cuts to.
    ``replay`` are files of a second run of legacy over the same input, read as those of ``at`` are.
    """

    at: Annotated[Blobs | Http, Field(discriminator="kind")]
    fields: tuple[Column, ...] = Field(min_length=1)
    event_id: FieldName
    event_time: Time
    event_type: FieldName | None = None
    event_types: dict[Name, str] = Field(default_factory=dict)
    columns: dict[ColumnName, Compared] = Field(default_factory=dict)
    length: int | None = Field(default=None, ge=1)
    explained: tuple[Explained, ...] = ()
    replay: Blobs | None = None
