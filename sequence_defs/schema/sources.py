"""Sources: where raw rows come from and how they are typed."""

import datetime as dt
from typing import Literal, get_args

from pydantic import ConfigDict, Field

from sequence_defs.schema.base import FieldName, Part
from sequence_defs.schema.columns import Column, Time
from sequence_defs.schema.sharing import Shareable


class Join(Part):
    """A small file joined to each raw row while it is decoded (a header table, say). Keys must be unique in it.

    ``on`` names the key columns, or maps each to the name it has in the file: ``{"store": "Store No."}``.
    """

    location: str
    on: tuple[FieldName, ...] | dict[FieldName, str]
    columns: tuple[FieldName, ...]

    @property
    def keys(self) -> dict[str, str]:
        """Key column of the source -> its name in the file."""
        return dict(self.on) if isinstance(self.on, dict) else {name: name for name in self.on}


class Csv(Part):
    """How CSV files are written. ``utf-16`` needs its byte order mark."""

    model_config = ConfigDict(str_strip_whitespace=False)  # a tab is a delimiter

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', min_length=1, max_length=1)
    encoding: Literal["utf-8", "latin-1", "cp1252", "utf-16"] = "utf-8"


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)


class Source(Shareable):
    """One log or table of raw rows.

    Rows come from files below ``location``, from messages of the log ``topic`` (one record each), or from both.
    ``location`` is a path, glob or URL; a relative one is looked up in ``SEQPLAT_SOURCES``. ``{day}`` in it is
    replaced by the partition's ISO date, so that a day reads only its own files. That of a Delta table is its folder;
    with ``/<column>={day}`` after it, where the table has a partition a day, written as a date.
    A source of events states ``event_time`` and ``user_id``; a source that only feeds an enrichment states neither.
    A day whose files are not there is waited for, and not built, unless ``no_file_on`` says that it may have none: its
    weekday (``"sun"``), its date, or ``"any"`` day. Of a source with a ``topic`` any day may have none.
    ``ingest_time`` defaults to the file's modification time. ``shards`` splits each day by user for parallel work
    and bounded memory; every event type of the source has the same number.
    A row for which ``filter`` is not true is no row of the source: it is counted, and no reject. ``csv`` says how CSV
    files are written. ``message_format`` says how messages are: JSON objects, or framed by a schema registry
    (``confluent``: Avro, Protobuf, JSON Schema).
    An event may be ``max_lead_s`` seconds ahead of its receipt; one further ahead is a reject. Events of equal time are
    in the order of the column ``order``; without one, of their positions. A build whose share of refused rows is above
    ``max_rejected_share`` fails its check. Automation builds a day of an open range, and what is made of it, at
    ``ready_at`` (UTC) of the next one, when its rows should be there.
    """

    location: str = ""
    format: Literal["parquet", "csv", "ndjson", "delta"] = "parquet"
    csv: Csv | None = None
    no_file_on: Literal["any"] | tuple[Weekday | dt.date, ...] = ()
    topic: str = ""
    message_format: Literal["json", "confluent"] = "json"
    columns: tuple[Column, ...]
    joins: tuple[Join, ...] = ()
    filter: str | None = None
    event_time: Time | None = None
    ingest_time: Time | None = None
    user_id: FieldName | None = None
    rev: FieldName | None = None
    op: FieldName | None = None
    order: FieldName | None = None
    start: dt.date | None = None
    end: dt.date | None = None
    max_lead_s: int = Field(default=86_400, ge=0)
    max_rejected_share: float = Field(default=0.01, ge=0, le=1)
    ready_at: str = Field(default="00:30", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")
    shards: int = Field(default=1, ge=1, le=1024)
    retention_days: int | None = Field(default=None, ge=1)

    def expects_file(self, day: dt.date) -> bool:
        """Whether a day without a file is one whose file is late."""
        if self.topic or self.no_file_on == "any":
            return False
        return day not in self.no_file_on and _WEEKDAYS[day.weekday()] not in self.no_file_on
