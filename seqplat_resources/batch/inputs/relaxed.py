"""Built days of which rows were refused for a column that may be null by now.

What such a day means says nothing of it: most days have no such row, and building these again would change nothing. So
the rows that were refused are asked.

>>> relaxed_days(shop.home, shop.release, "raw/orders")
set()
"""

import datetime as dt

import polars as pl

from seqplat_resources.batch.inputs.tables import INGEST_STAGE, REJECT_COLUMNS
from seqplat_resources.home import Home
from seqplat_resources.lake.damage import LogDamaged
from seqplat_resources.lake.layout import DAY, UNDATED, rejects_table
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.values.typing import LACKING
from sequence_defs.compiler.release import Release
from sequence_defs.native import NATIVE_ERRORS

_UNREADABLE: tuple[type[BaseException], ...] = (OSError, LogDamaged, *NATIVE_ERRORS)


def relaxed_days(home: Home, release: Release, asset: str) -> set[dt.date]:
    """Days of ``raw/`` or ``events/`` where files had rows that were refused for want of a value, and ``release`` wants
    none. Of messages that a stream refused there are none: they are not decoded again. Refused rows that cannot be read
    are passed over.

    Cost: the reasons of the asset's refused rows.
    """
    layer, name = asset.split("/", 1)
    source = release.sources[name if layer == "raw" else release.event_types[name].source]
    table = LakeTable(home, rejects_table(source.name), REJECT_COLUMNS, partition_by=("stage", DAY))
    free = _may_be_null(release, layer, name)
    if not free:
        return set()
    stage = pl.col("stage") == (INGEST_STAGE if layer == "raw" else name)
    lacking = pl.col("reason").str.extract(LACKING)
    try:
        found = table.scan().filter(stage, pl.col(DAY) != UNDATED, lacking.is_in(free)).select(pl.col(DAY).unique())
        return set(found.collect()[DAY])
    except _UNREADABLE:  # a file is lost or damaged, as `seqplat verify` tells
        return set()


def _may_be_null(release: Release, layer: str, name: str) -> list[str]:
    if layer == "raw":
        source = release.sources[name]
        return [column.name for column in source.columns if column.nullable and column.name != source.user_id]
    definition = release.event_types[name]
    identity = {definition.id_field, *definition.natural_key}
    return [column.name for column in definition.columns if column.nullable and column.name not in identity]
