"""Hostile rows of an enrichment: a bad version costs its own key, and every event finds what the rows say."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from seqplat_resources.batch.builds import enrichments, events, raw
from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from sequence_defs.schema import Column, Definition, Derived, Enrich, EventType, Source, Tenant, Time, Versioned
from tests.building import ManualClock, runtime_for, utc
from tests.hostile.material import clocks
from tests.hostile.material.draws import Draw
from tests.hostile.material.instants import CLOCK_CHANGES, INSTANTS, ODD_INSTANTS, TIME_EDGES, TIME_TEXTS
from tests.hostile.material.meaning import NO, REJECT, Meaning, allows, meaning
from tests.hostile.material.spelling import CANNOT, as_object, column, physical, write_parquet
from tests.hostile.material.tables import NULS, SURROGATES, TEXTS
from tests.hostile.worlds.wide import in_utc

AT: Final = utc(2024, 5, 5, 12)
DAY: Final = AT.date()
_SINCE: Final = "2024-05-01T00:00:00Z"
_HOSTILE_TIMES: Final = (
    *TIME_EDGES,
    *TIME_TEXTS,
    *CLOCK_CHANGES,
    *INSTANTS,
    *ODD_INSTANTS,
    1714564800,
    1.5,
    True,
    None,
)
# What may be wrong with a version, and the values it takes.
_WRONG: Final[dict[str, tuple[Any, ...]]] = {
    "since": _HOSTILE_TIMES,
    "until": _HOSTILE_TIMES,
    "number": (7.0, 1.5, True, "7", "x", 2**63 - 1, 2**63, float("nan")),
    "seen": _HOSTILE_TIMES,
    "key": (*TEXTS, *NULS, *SURROGATES, None),
}
_TYPES: Final = {"key": "string", "since": "timestamp", "until": "timestamp", "number": "int64", "seen": "timestamp"}


@dataclass(frozen=True)
class Version:
    """One row of the table: a sane one but for ``wrong``, which has this ``value``. Its key is nobody else's."""

    key: str
    wrong: str = ""
    value: Any = None

    @property
    def row(self) -> dict[str, Any]:
        sane = {"key": self.key, "since": _SINCE, "until": None, "number": 1, "seen": _SINCE}
        return sane | ({self.wrong: self.value} if self.wrong else {})

    @property
    def cells(self) -> dict[str, Meaning]:
        """What an event of the key finds; ``REJECT`` among the cells where the row may be refused."""
        said = {name: meaning(dtype, self.row[name]) for name, dtype in _TYPES.items()}
        if NO in said.values() or (None in (*said["since"], *said["key"]) and len(said["since"]) == 1):
            return {"number": (None,), "seen": (None,)}
        may_miss = any(REJECT in each for each in said.values()) or not _holds(said["since"], said["until"])
        always_misses = not _holds(said["since"], said["until"])
        return {
            name: (None,) if always_misses else (*(c for c in said[name] if c is not REJECT), *([None] * may_miss))
            for name in ("number", "seen")
        }


def _holds(since: Meaning, until: Meaning) -> bool:
    begun = any(time is not None and (not isinstance(time, dt.datetime) or time <= AT) for time in since)
    return begun and any(not isinstance(time, dt.datetime) or time > AT for time in until)


def definitions(format_: str) -> list[Definition]:
    columns = tuple(Column(name=name, dtype=dtype) for name, dtype in _TYPES.items())
    values = tuple(column for column in columns if column.name in ("number", "seen"))
    visit = (
        Column(name="member", dtype="string", nullable=False),
        Column(name="id", dtype="string", nullable=False),
        Column(name="at", dtype="timestamp"),
        Column(name="key", dtype="string"),
    )
    price = Versioned(
        name="price",
        tenant="shop",
        source="prices",
        key=("key",),
        columns=values,
        valid_from=Time(sql="since"),
        valid_to=Time(sql="until"),
    )
    later = Derived(
        name="later",
        tenant="shop",
        columns=(Column(name="half", dtype="float64", sql="number / 2.0"),),
    )
    return [
        Tenant(name="shop", tenant="shop"),
        Source(name="prices", tenant="shop", location=f"prices-*.{format_}", format=format_, columns=columns),  # type: ignore[arg-type]
        Source(
            name="visits",
            tenant="shop",
            location="visits.ndjson",
            format="ndjson",
            columns=visit,
            event_time=Time(sql="at"),
            user_id="member",
        ),
        price,
        later,
        EventType(
            name="visit",
            tenant="shop",
            source="visits",
            id_field="id",
            columns=visit[1:2] + visit[3:],
            enrichments=(Enrich(enrichment="price"), Enrich(enrichment="later")),
        ),
    ]


def some_versions(draw: Draw) -> list[Version]:
    """Sane versions and hostile ones; the first tells the format of the file."""
    versions = [Version("ndjson" if draw.chance(0.5) else "parquet")]
    for number in range(draw.number(1, 12)):
        wrong = draw.of(("", *_WRONG))
        versions.append(Version(f"k{number}", wrong, draw.of(_WRONG[wrong]) if wrong else None))
    return versions


def play(versions: Sequence[Version], folder: Path) -> None:
    """Build a day of the enrichment and of events that look each key up.

    Raises:
        AssertionError: an event found what its row does not say; any other error: a row stopped the build.
    """
    format_ = "parquet" if versions[0].key == "parquet" else "ndjson"
    written = [version for version in versions if _write(folder, format_, version)]
    if not written:
        return
    keys = [key for version in written for key in meaning("string", version.row["key"]) if isinstance(key, str)]
    visits = [{"member": "ann", "id": f"v{n}", "at": AT.isoformat(), "key": key} for n, key in enumerate(keys)]
    (folder / "visits.ndjson").write_text("".join(json.dumps(visit) + "\n" for visit in visits))
    runtime = runtime_for(folder / "home", definitions(format_), folder, clock=ManualClock(clocks.NOW))
    list(raw.ingest(runtime, "visits", [DAY]))
    list(enrichments.build(runtime, "price", [DAY]))
    list(events.build(runtime, "visit", [DAY]))
    found = in_utc(tables.events(runtime, EventPlan.of(runtime.loaded, "visit")).scan().collect())
    by_key = {row["key"]: row for row in found}
    for version in written:
        if (row := by_key.get(version.row["key"])) is not None and version.wrong != "key":
            for name, cells in version.cells.items():
                assert allows(cells, row[name]), (
                    f"cell of {version.wrong or 'sane'}: {name}",
                    version,
                    row[name],
                    cells,
                )
        elif version.wrong == "":
            raise AssertionError(("a sane version without its event", version))


def _write(folder: Path, format_: str, version: Version) -> bool:
    """A file of its own for each version, so that each has the physical types it likes."""
    row, path = version.row, folder / f"prices-{version.key}.{format_}"
    if format_ == "ndjson":
        if (line := as_object(row)) is not CANNOT:
            path.write_bytes(line + b"\n")
        return line is not CANNOT
    types = {name: physical(value) if value is not None else pl.String() for name, value in row.items()}
    if CANNOT in types.values():
        return False
    write_parquet(path, [column(name, [row[name]], dtype) for name, dtype in types.items()])
    return True
