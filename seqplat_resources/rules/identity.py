r"""Who an event is.

>>> rows = pl.DataFrame({"shop": [7, 7], "basket": ["a", "b~c"]})
>>> rows.select(event_id(["shop", "basket"], rows.schema)).to_series().to_list()
['7~a', '7~b\\~c']
"""

from collections.abc import Mapping, Sequence

import polars as pl

SEPARATOR = "~"
# What identifies a stored event of an event type.
IDENTITY = ("user_id", "event_id")
# What tells one stored revision of a user's event from all others of its event type, and their portable types.
REVISION: Mapping[str, str] = {
    "event_id": "string",
    "event_time": "timestamp",
    "rev": "int64",
    "source_partition": "string",
    "offset": "int64",
}


def event_id(key: Sequence[str], schema: pl.Schema) -> pl.Expr:
    """The identity as text, readable in every table and log; distinct keys give distinct texts.

    Null where any part is null.
    """
    parts = [_escaped(name, schema[name]) if len(key) > 1 else pl.col(name).cast(pl.String) for name in key]
    return pl.concat_str(parts, separator=SEPARATOR)


def _escaped(name: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(name).cast(pl.String)
    if not isinstance(dtype, pl.String):
        return value  # numbers, dates and booleans cannot contain the separator
    return value.str.replace_all("\\", "\\\\", literal=True).str.replace_all(SEPARATOR, "\\" + SEPARATOR, literal=True)
