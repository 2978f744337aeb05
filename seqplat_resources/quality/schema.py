"""Whether stored buckets have exactly the columns and types the release declares."""

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from seqplat_resources.batch.inputs import tables
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.lake.layout import DAY
from seqplat_resources.quality.frame import DETAIL, PASSED, files_of, per_day
from seqplat_resources.release.runtime import Runtime


def schema(runtime: Runtime, event_type: str, days: Sequence[dt.date]) -> pl.DataFrame:
    """Compare the table's declaration and the footers of each day's files, and of those beside them, with the release;
    no row is read.

    Shapes:
        Out: per day ``files``, ``missing``, ``surplus`` and ``mistyped`` columns. A day without a bucket fails.
        The table may have columns of earlier releases (they are never dropped), a bucket may not: every build
        writes all declared columns and no other, or puts those that it lacks beside it.
    """
    plan = EventPlan.of(runtime.loaded, event_type)
    table = tables.events(runtime, plan)
    files = files_of(table, days)
    declared = table.scan().collect_schema()
    in_table = (
        [f for f in _differences(plan.schema, declared, where="table") if f[0] != "surplus"] if len(files) else []
    )
    beside = dict(table.sides().select("path", "beside").iter_rows())
    rows = []
    for (day,), found in files.group_by(DAY, maintain_order=True):
        differences = list(in_table)
        for path in found["path"]:
            stored = table.fields_of(path)
            if path in beside and table.beside is not None:
                stored |= table.beside.fields_of(beside[path])
            differences += _differences(plan.schema, stored, where=path.rsplit("/", 1)[-1])
        counts = {kind: len({d[1] for d in differences if d[0] == kind}) for kind in ("missing", "surplus", "mistyped")}
        detail = "; ".join(dict.fromkeys(text for *_, text in differences))
        rows.append({DAY: day, "files": found.height, **counts, DETAIL: detail})
    types = {DAY: pl.Date(), "files": pl.Int64(), "missing": pl.Int64(), "surplus": pl.Int64(), "mistyped": pl.Int64()}
    measured = per_day(days, pl.DataFrame(rows, schema={**types, DETAIL: pl.String()}))
    return measured.with_columns(
        (pl.col(DETAIL) == "").fill_null(False).alias(PASSED),
        pl.col(DETAIL).fill_null(f"events/{event_type} was never built for this day"),
    )


def _differences(
    wanted: Mapping[str, pl.DataType], found: Mapping[str, pl.DataType], *, where: str
) -> list[tuple[str, str, str]]:
    """(kind, column, text) of everything that is not equal."""
    texts = [("missing", name, f"{where} lacks {name}") for name in wanted if name not in found]
    texts += [("surplus", name, f"{where} has {name}, not declared") for name in found if name not in wanted]
    for name, dtype in wanted.items():
        if name in found and found[name] != dtype:
            texts.append(("mistyped", name, f"{where} has {name} as {found[name]}, declared {dtype}"))
    return texts
