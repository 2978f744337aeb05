"""Clicks: how they are declared, written, and what a row of them means."""

import datetime as dt
import json

from sequence_defs.schema import Column, Definition, EventType, Source, Tenant, Time
from sequence_defs.schema import Sequence as SequenceDefinition
from tests.hostile.oracle import Row
from tests.hostile.worlds.stories import Said

TOPIC = "clicks"
WINDOW = 3


def definitions(*, order: str | None = None, location: str = "") -> tuple[Definition, ...]:
    """Clicks of a log and of files; a filter keeps amounts of 0 and more. ``order`` is the column for equal times."""
    types = {"member": "string", "id": "string", "at": "timestamp"}
    columns = (
        *(Column(name=name, dtype=dtype, nullable=False) for name, dtype in types.items()),
        *(Column(name=name, dtype="int64") for name in ("amount", "rev", "seq")),
        Column(name="op", dtype="string"),
    )
    source = Source(
        name="clicks",
        tenant="shop",
        topic=TOPIC,
        location=location,
        format="ndjson",
        columns=columns,
        event_time=Time(sql="at"),
        user_id="member",
        rev="rev",
        op="op",
        order=order,
    )
    click = EventType(
        name="click",
        tenant="shop",
        source="clicks",
        id_field="id",
        filter="amount >= 0",
        columns=(Column(name="id", dtype="string", nullable=False), Column(name="value", dtype="int64", sql="amount")),
    )
    every = SequenceDefinition(name="every", tenant="shop", event_types=("click",), columns=("value",))
    recent = every.model_copy(update={"name": "recent", "window_days": WINDOW})
    return (Tenant(name="shop", tenant="shop"), source, click, every, recent)


def line(said: Said) -> bytes:
    """What is sent."""
    fields = {name: getattr(said, name) for name in ("member", "id", "amount", "rev", "op", "seq")}
    return json.dumps(fields | {"at": said.at.isoformat()}).encode()


def row(said: Said, partition: str, offset: int, receipt: dt.datetime) -> Row:
    """What the oracle knows of it."""
    return {
        "user": said.member,
        "event_id": said.id,
        "event_time": said.at,
        "ingest_time": receipt,
        "rev": said.rev or 0,
        "op": (said.op or "upsert").lower(),
        "passes": said.passes,
        "source_partition": partition,
        "offset": offset,
        "value": said.amount,
        "seq": said.seq,
    }
