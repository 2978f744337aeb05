"""``seqplat sql``: one SELECT over views of events and the lake's tables."""

import sys

import click
import polars as pl

from seqplat_resources.analysis import sql as asked
from seqplat_resources.analysis.refusals import QueryRefused
from seqplat_resources.analysis.views import Seen, View, views
from seqplat_resources.lake.compact import facts
from seqplat_resources.release.runtime import Runtime
from serving.access.caller import readable
from serving.access.keys.store import KeyStore
from serving.cli.ask.cells import cells
from serving.cli.output import console, quoted, size, suggest, table
from serving.cli.training.sizes import MemorySize

_OUT = click.Path(dir_okay=False, writable=True)


@click.command()
@click.argument("query", required=False)
@click.option("--tables", "lists", is_flag=True, help="Show what can be asked, or the columns of what QUERY names.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="Rows to show here.")
@click.option("--json", "as_json", metavar="OUT", type=_OUT, help="Write all rows to a file, a line of JSON each.")
@click.option("--csv", "as_csv", metavar="OUT", type=_OUT, help="Write all rows as CSV with a header.")
@click.option("--parquet", "as_parquet", metavar="OUT", type=_OUT, help="Write all rows as Parquet.")
@click.option(
    "--memory", default="2GB", show_default=True, type=MemorySize(), help="Sorts and joins beyond it use the disk."
)
@click.option("--key", metavar="KEY_ID", help="Ask for what this API key may read, instead of all but personal data.")
def sql(
    query: str | None,
    lists: bool,
    limit: int,
    as_json: str | None,
    as_csv: str | None,
    as_parquet: str | None,
    memory: int,
    key: str | None,
) -> None:
    """Run QUERY, one SELECT in Polars' SQL; - reads it from standard input.

    Each event type is a view of that name, with one row per event that stands. A stored table is called by its layer
    and name: sequences_recent, rejects_orders.
    """
    runtime = Runtime.from_environment()
    found = views(runtime, seen=_seen(runtime, key) if key else None)
    if lists:
        _show_columns(found, query) if query else _show_tables(found)
        return
    if query is None:
        raise click.UsageError('give a query: seqplat sql "SELECT ...", or --tables to see what can be asked')
    text = sys.stdin.read() if query == "-" else query
    outs = [(form, out) for form, out in (("json", as_json), ("csv", as_csv), ("parquet", as_parquet)) if out]
    lazy = asked.query(found, text)
    with asked.in_words(text, found), asked.within_memory(memory):
        for form, out in outs:
            asked.write(lazy, out, form)  # type: ignore[arg-type]
            console.print(f"wrote {quoted(out)}", soft_wrap=True)
        if not outs:
            _show(lazy.head(limit + 1).collect(engine="streaming"), limit)


def _show(rows: pl.DataFrame, limit: int) -> None:
    more = rows.height > limit
    table(f"{'first ' if more else ''}{min(rows.height, limit)} row(s)", rows.columns, cells(rows.head(limit)))
    if more:
        console.print("[dim]there are more; --limit shows more here, --parquet, --csv or --json writes all[/dim]")


def _show_tables(found: dict[str, View]) -> None:
    rows = []
    for view in found.values():
        if (known := facts(view.table)) or view.is_view:
            kind, days = "view" if view.is_view else "table", known.buckets if known else None
            rows.append((view.name, kind, days, size(known.bytes) if known else None, view.about))
    table("what can be asked", ["name", "kind", "days", "size", "about"], rows, right=["days", "size"])
    suggest("seqplat sql --tables NAME")


def _show_columns(found: dict[str, View], name: str) -> None:
    if name not in found:
        raise QueryRefused(f"there is no table or view {name!r}; `seqplat sql --tables` shows what there is")
    rows = [(column.name, column.dtype, column.unit, column.description) for column in found[name].columns]
    table(f"{name}: {found[name].about}", ["column", "type", "unit", "about"], rows)


def _seen(runtime: Runtime, key_id: str) -> Seen:
    """Of each sequence that a key reads the columns it may see, and the same columns of their event types.

    Raises:
        UnknownKey, KeyRevoked: it opens nothing.
    """
    key = KeyStore(runtime.home).read()[1].open_key(key_id)
    seen = dict[str, set[str]]()
    for name in runtime.release.sequences:
        if plan := readable(key, runtime.loaded, name):
            seen[f"sequences/{name}"] = {*plan.columns, "length"}
            for event_type, sources in plan.sources.items():
                seen.setdefault(f"events/{event_type}", set()).update(column.name for column in sources.values())
    return seen
