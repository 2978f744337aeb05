"""``seqplat tables``, ``rejects``, ``compact`` and ``vacuum``."""

import datetime as dt
from collections.abc import Iterator

import click
import polars as pl

from seqplat_resources.batch.upkeep.layouts import Layout, compact_table, layouts
from seqplat_resources.commands import command
from seqplat_resources.engine.outcome import WHOLE_FILE
from seqplat_resources.errors import Final
from seqplat_resources.foreign_errors import full_disk
from seqplat_resources.lake.compact import LeftBucket, facts
from seqplat_resources.lake.layout import UNDATED
from seqplat_resources.lake.table import BucketCommit
from seqplat_resources.lake.vacuum import LEAST_HOURS, RETENTION_HOURS
from seqplat_resources.lake.vacuum import vacuum as vacuum_table
from seqplat_resources.quality.rejects import guessed
from seqplat_resources.release.runtime import Runtime
from serving.cli.output import console, quoted, size, suggest, table


@click.command()
def tables() -> None:
    """Show every table of the release: days, rows, bytes, files."""
    found = [(name, facts(layout.table)) for name, layout in layouts(Runtime.from_environment()).items()]
    table(
        "lake",
        ["table", "days", "first", "last", "rows", "size", "files", "version"],
        [
            (name, f.buckets, f.first, f.last, f"{f.rows:,}", size(f.bytes), f.files, f.version)
            if f
            else (name, *[None] * 7)
            for name, f in found
            if f or not name.startswith(("rejects/", "columns/"))
        ],
        right=["days", "rows", "size", "files", "version"],
    )
    if not any(f for _, f in found):
        suggest("seqplat plan   # which days are to be built; seqplat apply builds them")


@click.command()
@click.argument("source", required=False)
@click.option("--limit", default=20, show_default=True, help="Rows to show.")
def rejects(source: str | None, limit: int) -> None:
    """Show refused rows: all sources by reason, or one SOURCE row by row."""
    runtime = Runtime.from_environment()
    found = {
        name.removeprefix("rejects/"): layout.table
        for name, layout in layouts(runtime).items()
        if name.startswith("rejects/") and layout.table.exists()
    }
    if source is None:
        _rejects_by_reason({name: t.scan().select("stage", "day", "reason").collect() for name, t in found.items()})
        return
    if source not in found:
        console.print(f"{quoted(source)} has no rejects; sources with some: {', '.join(found) or 'none'}")
        return
    rows = found[source].scan().sort("stage", "day", "source_partition", "offset").head(limit).collect()
    table(
        f"rejects of {source}",
        ["stage", "day", "position", "reason", "payload"],
        [
            (
                r["stage"],
                _dated(r["day"]),
                _position(r["source_partition"], r["offset"]),
                r["reason"],
                _payload_text(r["payload"]),
            )
            for r in rows.iter_rows(named=True)
        ],
    )
    if hint := guessed(runtime, source):
        console.print(f"[yellow]{quoted(hint)}[/yellow]", soft_wrap=True)


def _rejects_by_reason(found: dict[str, pl.DataFrame]) -> None:
    # The values in a reason differ row by row; what people look for first is which column and how often.
    dated = pl.col("day").filter(pl.col("day") != UNDATED)
    rows = [
        (name, stage, reason, count, first, last)
        for name, frame in found.items()
        for stage, reason, count, first, last in frame.with_columns(
            reason=pl.col("reason").str.replace(r"(?s): .*", "")
        )
        .group_by("stage", "reason")
        .agg(pl.len(), dated.min().alias("first"), dated.max().alias("last"))
        .sort("len", "stage", "reason", descending=[True, False, False])
        .iter_rows()
    ]
    if not rows:
        console.print("no rejects")
        return
    table("rejects", ["source", "stage", "reason", "rows", "first day", "last day"], rows, right=["rows"])
    suggest(f"seqplat rejects {rows[0][0]}")


def _dated(day: dt.date) -> dt.date | None:
    """The bucket of rows without a day is no day."""
    return None if day == UNDATED else day


def _position(partition: str, offset: int) -> str:
    return f"{partition} (whole file)" if offset == WHOLE_FILE else f"{partition}@{offset}"


def _payload_text(payload: bytes) -> str:
    return payload[:120].decode(errors="backslashreplace") + ("…" if len(payload) > 120 else "")


@click.command()
@click.argument("names", nargs=-1)
@click.option("--min-files", default=2, show_default=True, help="Rewrite buckets with at least this many files.")
def compact(names: tuple[str, ...], min_files: int) -> None:
    """Merge small files, bucket by bucket. NAMES like events/purchase; all tables if none is given."""
    for name, layout in _chosen(names).items():
        done = list(compact_table(layout, min_files=min_files))
        commits = [each for each in done if isinstance(each, BucketCommit)]
        console.print(f"{name}: {len(commits)} bucket(s) rewritten, {size(sum(c.bytes for c in commits))}")
        for each in done:
            if isinstance(each, LeftBucket):
                console.print(f"[yellow]left as it is:[/yellow] {quoted(each.why)}", soft_wrap=True)
    suggest(command("vacuum", *names))


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--hours",
    type=click.IntRange(min=0),
    default=RETENTION_HOURS,
    show_default=True,
    help="Keep files younger versions use.",
)
@click.option("--delete", is_flag=True, help="Delete; without it only show what would go.")
def vacuum(names: tuple[str, ...], hours: int, delete: bool) -> None:
    """Delete files no version of the last HOURS needs, left-overs of crashed writes included.

    Files of the last hour stay in any case: a stream or a build may be about to commit or read them.
    """
    if hours < LEAST_HOURS:
        console.print(
            f"--hours {hours} is taken as {LEAST_HOURS}: a running stream or build may be about to commit or read "
            "younger files"
        )
    found = 0
    for name, gone in _vacuumed(_chosen(names), hours, delete=delete):
        found += gone
        console.print(f"{name}: {gone} file(s) {'deleted' if delete else 'would be deleted'}")
    if found and not delete:
        kept = {} if hours == RETENTION_HOURS else {"hours": str(hours)}
        suggest(f"{command('vacuum', *names, **kept)} --delete")


def _vacuumed(left: dict[str, Layout], hours: int, *, delete: bool) -> Iterator[tuple[str, int]]:
    """By table how many files went. On a full disk what one table frees is room for the note that another needs before
    it deletes, so those that had none come again.

    Raises:
        Exception: as vacuum; of a full disk only where no table could make room.
    """
    while left:
        full: dict[str, Layout] = {}
        for name, layout in left.items():
            try:
                yield name, len(vacuum_table(layout.table, retention_hours=hours, dry_run=not delete))
            except Exception as error:
                if full_disk(error) is None or len(full) + 1 == len(left):
                    raise
                full[name] = layout
        left = full


def _chosen(names: tuple[str, ...]) -> dict[str, Layout]:
    known = layouts(Runtime.from_environment())
    if unknown := [name for name in names if name not in known]:
        raise Final(f"no table {', '.join(unknown)}; there are {', '.join(known)}")
    return {name: layout for name, layout in known.items() if not names or name in names}
