"""Which shard each row of the lake is of. Rows note it, and a source may have more or fewer shards than when they did.

>>> from seqplat_resources.batch.inputs.tables import events
>>> from seqplat_resources.engine.plan import EventPlan
>>> table = events(shop, EventPlan.of(shop.loaded, "purchase"))
>>> shard = shard_column([table], "user_id", "shard", 2, pl.lit(True))  # built when there was one shard
>>> table.scan().select("user_id", noted="shard", now=shard).unique().sort("user_id").collect().rows()
[('ann', 0, 0), ('bob', 0, 1)]
"""

from collections.abc import Sequence

import polars as pl

from seqplat_resources.lake.layout import shard_of
from seqplat_resources.lake.table import LakeTable


def shard_column(of: Sequence[LakeTable], user: str, noted: str, shards: int, where: pl.Expr) -> pl.Expr:
    """What says the shard, of ``shards``, of the rows that ``where`` keeps of some tables.

    It is the column that notes it, by which files and row groups are passed over, where it says so of every row; else
    it is worked out of the column ``user``.
    Cost: one look at the users, unless there is one shard.
    """
    due = shard_of(user, shards)
    if shards == 1:
        return due
    rows = (table.scan().filter(where) for table in of if table.exists())
    moved = any(each.select((pl.col(noted) != due).any()).collect().item() for each in rows)
    return due if moved else pl.col(noted)
