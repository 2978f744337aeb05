"""Small files joined to raw rows: keys are read as the source declares them, and one in doubt costs its own rows."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches

import polars as pl

from seqplat_resources.errors import Final
from seqplat_resources.lake.layout import UNDATED
from seqplat_resources.sources.chunks import RowChunk, read
from seqplat_resources.sources.files import SourceFile, SourceUnreadable, find
from seqplat_resources.sources.formats.contract import PLACE, beside
from seqplat_resources.values.scalars import scalar
from seqplat_resources.values.typing import problem, typed
from sequence_defs.schema import Join, Source


class SourceDrift(Final):
    """A file without a column that the source requires, or a joined file without one that the join names."""


@dataclass(frozen=True)
class Side:
    """A joined file: ``rows`` has one row per key, and says in ``_variants`` how many different ones the file has."""

    join: Join
    rows: pl.DataFrame
    rejects: pl.DataFrame

    def joined(self, rows: pl.DataFrame, source: Source) -> tuple[pl.DataFrame, pl.Series]:
        """The rows with the columns of the join, null where the file has no such key; and per row what is wrong.

        Their own fields of the same names are kept under others.
        """
        keys = _keys(self.join)
        rows = beside(rows, self.join.columns)
        both = rows.with_columns(_read(self.join, source, rows.schema)).join(
            self.rows, on=keys, how="left", maintain_order="left"
        )
        fault = f"{self.join.location} has {{}} different rows of {', '.join(self.join.on)} = {{}}"
        said = pl.format(fault, "_variants", pl.concat_str(pl.col(keys).cast(pl.String), separator=", "))
        faults = both.select(pl.when(pl.col("_variants") > 1).then(said)).to_series()
        return both.drop(*keys, "_variants"), faults


def joined_files(source: Source, root: str) -> list[SourceFile]:
    """The files of all joins, as they are now; of one that has none nothing."""
    found: list[SourceFile] = []
    for join in source.joins:
        with suppress(SourceUnreadable):
            found += find(join.location, root, source=source.name)
    return found


def side_of(join: Join, source: Source, root: str) -> Side:
    """Read the file (or files) of a join. A row whose key does not fit the source's column is refused.

    Raises:
        SourceUnreadable, SourceDrift: it cannot be read, or has not the columns that the join names.
    """
    names = list(dict.fromkeys([*join.keys.values(), *join.columns]))
    files = find(join.location, root, source=source.name)
    chunks = [chunk for file in files for chunk in read(source.model_copy(update={"columns": ()}), file, also=names)]
    present = list(dict.fromkeys(name for chunk in chunks for name in chunk.rows.columns if name not in PLACE))
    if absent := [name for name in names if name not in present]:
        raise SourceDrift(
            f"source {source.name!r}: {join.location} has no column {absent}; it has {present}. "
            f"{meant(absent, present)}Mend the file, or the join that names them"
        )
    keyed, rejects = zip(*(_keyed(chunk, join, source) for chunk in chunks), strict=True)
    # Rows that say the same are one row, so that only keys of which the file says different things are in doubt.
    variants = pl.concat(keyed, how="diagonal_relaxed").unique(maintain_order=True)
    once = variants.group_by(_keys(join), maintain_order=True).agg(pl.col(join.columns).first(), _variants=pl.len())
    return Side(join, once, pl.concat(rejects))


def meant(absent: Iterable[str], present: Iterable[str]) -> str:
    """Which columns of a file were probably meant by names that it has not, as sentences to go on from; or nothing."""
    known = {name.lower(): name for name in present}
    near = {name: get_close_matches(name.lower(), known, n=1, cutoff=0.7) for name in absent}
    return "".join(f"By {name!r} its {known[found[0]]!r} may be meant. " for name, found in near.items() if found)


def _keyed(chunk: RowChunk, join: Join, source: Source) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that have a key, by it; and what of the chunk is refused."""
    rows = chunk.rows.select(
        pl.col(name) if name in chunk.rows.columns else pl.lit(None, pl.String).alias(name)
        for name in dict.fromkeys([*join.keys.values(), *join.columns])
    ).select(join.columns, **{name: pl.col(theirs) for name, theirs in join.keys.items()})
    keys = [column.model_copy(update={"nullable": True}) for column in source.columns if column.name in join.on]
    reasons = rows.select(problem(keys, rows)).to_series()
    refused = reasons.is_not_null()
    rejects = chunk.rows.filter(refused).select(
        day=pl.lit(UNDATED),
        source_partition="_partition",
        offset="_offset",
        payload=chunk.origin.sent(refused.arg_true()),
        reason=pl.lit(reasons.filter(refused)),
    )
    keyed = rows.select(*_read(join, source, rows.schema), *join.columns).drop_nulls(_keys(join))
    return keyed, pl.concat([chunk.rejects, rejects])


def _keys(join: Join) -> list[str]:
    return [f"_key_{name}" for name in join.on]


def _read(join: Join, source: Source, present: pl.Schema) -> Sequence[pl.Expr]:
    """The key as it is declared, so that 7 and "7" meet; as text where it is not."""
    declared = {column.name: column for column in source.columns}
    return [
        (
            typed(declared[name], present[name]) if name in declared else scalar(pl.col(name), "string", present[name])
        ).alias(key)
        for name, key in zip(join.on, _keys(join), strict=True)
    ]
