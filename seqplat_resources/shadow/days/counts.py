"""What the comparison of one day counted: small, and added up over days without looking at events again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import msgspec
import polars as pl

from seqplat_resources.comparison.contract import Sums
from seqplat_resources.comparison.sequences import HISTOGRAM
from seqplat_resources.shadow.verdict.cohorts import Cohort
from seqplat_resources.shadow.verdict.decide import Obstacle
from seqplat_resources.shadow.verdict.record import Example

_COUNTS = tuple(each.name for each in fields(Sums))
# A row of a histogram is one of a measure.
_BINS = {name: dtype for name, dtype in HISTOGRAM.items() if name != "measure"}


@dataclass(frozen=True)
class DayCounts:
    """``metrics`` are sums over users, ``causes`` the ledger of all differences, ``obstacles`` what kept rows from
    being compared, ``cohorts`` and ``examples`` where to look. ``histogram`` is that of sequences, else None.
    """

    metrics: Mapping[str, Sums]
    causes: Mapping[str, int]
    obstacles: Sequence[Obstacle] = ()
    cohorts: Sequence[Cohort] = ()
    examples: Sequence[Example] = field(default_factory=tuple)
    histogram: pl.DataFrame | None = None

    def rows(self) -> pl.DataFrame:
        """As rows of the table ``shadow/<event type>`` or ``shadow_sequences/<sequence>``."""
        return pl.DataFrame(list(self._rows()), schema=_SCHEMA, orient="row")

    def _rows(self) -> Iterator[dict[str, object]]:
        for name, sums in self.metrics.items():
            yield {"kind": "metric", "name": name, **asdict(sums)}
        for cause, count in self.causes.items():
            yield {"kind": "cause", "name": cause, "differing": count}
        for each in self.obstacles:
            yield {
                "kind": "obstacle",
                "name": each.kind,
                "differing": each.count,
                "compared": each.of,
                "says": each.says,
            }
        for cohort in self.cohorts:
            yield {"kind": "cohort", "name": cohort.column, "says": _text(cohort)}
        for example in self.examples:
            yield {"kind": "example", "name": example.cause, "says": _text(example)}
        if self.histogram is not None:
            for (measure,), bins in self.histogram.partition_by("measure", as_dict=True).items():
                yield {"kind": "histogram", "name": measure, "says": _text(bins.select(list(_BINS)).rows())}

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "DayCounts":
        """Of the rows of one day."""
        by_kind: dict[str, list[dict[str, Any]]] = {}
        for row in rows.iter_rows(named=True):
            by_kind.setdefault(row["kind"], []).append(row)
        return cls(
            {str(row["name"]): Sums(*(row[name] for name in _COUNTS)) for row in by_kind.get("metric", ())},
            {str(row["name"]): row["differing"] for row in by_kind.get("cause", ())},
            tuple(
                Obstacle(str(row["name"]), row["differing"], row["compared"], str(row["says"]))
                for row in by_kind.get("obstacle", ())
            ),
            tuple(msgspec.json.decode(str(row["says"]), type=Cohort) for row in by_kind.get("cohort", ())),
            tuple(msgspec.json.decode(str(row["says"]), type=Example) for row in by_kind.get("example", ())),
            pl.concat(map(_bins, found)) if (found := by_kind.get("histogram")) else None,
        )


_SCHEMA: Mapping[str, pl.DataType] = {
    "kind": pl.String(),
    "name": pl.String(),
    **dict.fromkeys(_COUNTS, pl.Int64()),
    "says": pl.String(),
}


def _bins(row: Mapping[str, Any]) -> pl.DataFrame:
    bins = pl.DataFrame(msgspec.json.decode(row["says"]), schema=_BINS, orient="row")
    return bins.with_columns(measure=pl.lit(row["name"]))


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
