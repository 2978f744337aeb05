"""Append to the lake which events requests were answered with: one file a day and commit, whoever else appends.

>>> from seqplat_resources.batch.inputs import tables
>>> from seqplat_resources.release.query import Query
>>> one = RecordedAnswer("r1", "ann", 1_714_554_000_000_000, asked_of(Query(limit=2), 10), "release", 0, b"")
>>> append_answers(shop.home, shop.clock, shop.release, "basket", [one], dropped=3)
>>> rows = tables.answered(shop.home, "basket", shop.clock).scan().collect()
>>> rows.select("request", "user", "query", "length", "dropped").rows()
[('r1', 'ann', '{"limit": 2}', 0, None), (None, None, None, None, 3)]
"""

import datetime as dt
import io
import json
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.clock import Clock
from seqplat_resources.home import Home
from seqplat_resources.lake.append import append, by_day
from seqplat_resources.lake.layout import DAY
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.query import Query
from seqplat_resources.release.view_plan import user_column
from seqplat_resources.rules.identity import REVISION
from seqplat_resources.shadow.exposures.pseudonyms import key_of, pseudonym, storable
from sequence_defs.compiler.release import Release

# Names of an event in the table: lists, each as long as the answer.
NAMED = ("event_type", *REVISION)


class RecordedAnswer(NamedTuple):
    """A user was answered; ``at_us`` was just before the store was looked at. ``revisions`` are the stored rows of the
    events, as ``read.answer.Answer`` has them, as an Arrow stream (``packed``); of no events, nothing.
    """

    request: str
    user: str
    at_us: int
    query: str
    release: str
    length: int
    revisions: bytes
    sealed_through: dt.datetime | None = None
    partial: bool = False
    degraded: tuple[str, ...] = ()


def packed(revisions: pl.DataFrame) -> bytes:
    """Rows by themselves, without what they are a part of."""
    if not revisions.height:
        return b""
    stream = io.BytesIO()
    revisions.select(NAMED).write_ipc_stream(stream)
    return stream.getvalue()


def asked_of(query: Query, length: int | None) -> str:
    """What of a query chose among the events of a sequence of this ``length``, as JSON: the same for the same choice.

    Which columns were asked for chose nothing; neither did a limit that the sequence has anyway.
    """
    said: dict[str, object] = {}
    if query.limit is not None and (length is None or query.limit < length):
        said["limit"] = query.limit
    if query.event_types is not None:
        said["event_types"] = sorted(set(query.event_types))
    if query.where is not None:
        said["where"] = query.where
    said |= {name: time.isoformat() for name in ("since", "until") if (time := getattr(query, name)) is not None}
    return json.dumps(said, sort_keys=True)


def append_answers(
    home: Home,
    clock: Clock,
    release: Release,
    sequence: str,
    answers: Sequence[RecordedAnswer],
    *,
    dropped: int = 0,
) -> None:
    """Add answers of one sequence; ``dropped`` says how many were lost since that was said last.

    Users are pseudonyms where the sequence has personal data, or users themselves are such.

    Raises:
        OSError, SeqplatError, DeltaError: nothing is known to be written; written twice, answers say no more.
    """
    table = tables.answered(home, sequence, clock)
    rows = _rows(answers, table)
    if is_personal(release, sequence):
        rows = rows.with_columns(pseudonym("user", key_of(home)).alias("user"), is_pseudonym=True)
    if dropped:
        said = pl.DataFrame({"at": [clock.now()], "dropped": [dropped]}).cast({"at": table.schema["at"]})
        rows = pl.concat([rows, said], how="diagonal")
    if rows.height:
        append(table, by_day(rows, "at"), {}, metadata={"rows": rows.height})


def is_personal(release: Release, sequence: str) -> bool:
    """Whether nobody is to be named; so it is where the sequence is not known any more."""
    definition = release.sequences.get(sequence)
    if definition is None or definition.pii is not None:
        return True
    return any(user_column(release, name).pii for name in definition.event_types)


def _rows(answers: Sequence[RecordedAnswer], table: LakeTable) -> pl.DataFrame:
    types = {name: dtype for name, dtype in table.schema.items() if name != DAY}
    said = pl.DataFrame(
        {
            "request": [each.request for each in answers],
            "user": [storable(each.user) for each in answers],
            "is_pseudonym": [False] * len(answers),
            "at": pl.Series([each.at_us for each in answers], dtype=pl.Int64).cast(types["at"]),
            "query": [each.query for each in answers],
            "release": [each.release for each in answers],
            "length": [each.length for each in answers],
            "sealed_through": pl.Series([each.sealed_through for each in answers], dtype=types["sealed_through"]),
            "partial": [each.partial for each in answers],
            "degraded": pl.Series([list(each.degraded) for each in answers], dtype=types["degraded"]),
        }
    ).with_row_index("_answer")
    nothing = pl.DataFrame(schema={name: types[name].inner for name in NAMED})  # type: ignore[attr-defined]
    events = [pl.read_ipc_stream(each.revisions) for each in answers if each.revisions]
    numbers = [number for number, each in enumerate(answers) for _ in range(each.length if each.revisions else 0)]
    all_of = pl.concat([nothing, *events]).with_columns(pl.Series("_answer", numbers, pl.UInt32))
    lists = all_of.group_by("_answer", maintain_order=True).agg(NAMED)
    rows = said.join(lists, on="_answer", how="left", maintain_order="left").with_columns(
        pl.col(NAMED).fill_null([]), pl.lit(None, pl.Int64).alias("dropped")
    )
    return rows.select(*types).cast(pl.Schema(types))
