"""A hundred event types of twenty columns over two years, and twenty sequences of them; wider: a column more each."""

import datetime as dt
import os

from sequence_defs import Column, EventType, Sequence, Source, Tenant, Time
from sequence_defs.schema import Definition

OWNER = {"tenant": "bench", "owner": "team:bench"}
START, DAYS = dt.date(2024, 1, 1), 730
SOURCES, TYPES, SEQUENCES = 10, 100, 20
KEYS = (Column(name="user_id", dtype="string", nullable=False), Column(name="id", dtype="string", nullable=False))
VALUES = tuple(Column(name=f"value_{n:02}", dtype="int64") for n in range(20))
MORE = Column(name="doubled", dtype="int64", sql="value_00 * 2")


def source(number: int) -> Source:
    """Of which ten event types are made; all sources read the same files."""
    return Source(
        name=f"source_{number}",
        location="{day}.parquet",
        columns=(*KEYS, *VALUES, Column(name="at", dtype="timestamp", nullable=False)),
        event_time=Time(sql="at"),
        ingest_time=Time(sql="at"),
        user_id="user_id",
        start=START,
        end=START + dt.timedelta(days=DAYS),
        **OWNER,
    )


def event_type(number: int, *, wider: bool) -> EventType:
    columns = (KEYS[1], *VALUES, *((MORE,) if wider else ()))
    name, of = f"type_{number:03}", f"source_{number % SOURCES}"
    return EventType(name=name, source=of, id_field="id", columns=columns, **OWNER)


def sequence(number: int) -> Sequence:
    some = tuple(f"type_{number + SEQUENCES * n:03}" for n in range(TYPES // SEQUENCES))
    return Sequence(
        name=f"sequence_{number:02}", event_types=some, columns=("value_00", "value_01"), length=100, **OWNER
    )


def definitions(*, wider: bool = False) -> list[Definition]:
    """All of them; ``wider`` with a column more in each event type."""
    return [
        Tenant(name="bench", tenant="bench", owner="team:bench"),
        *map(source, range(SOURCES)),
        *(event_type(number, wider=wider) for number in range(TYPES)),
        *map(sequence, range(SEQUENCES)),
    ]


# What `seqplat plan` is given.
everything = definitions(wider=bool(os.environ.get("BENCH_WIDER")))
