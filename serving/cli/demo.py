"""``seqplat demo``: definitions to an answered sequence, with the steps a person would take."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
import polars as pl

from seqplat_resources.batch.days.partitions import Partitions
from seqplat_resources.batch.days.schedule import Automation
from seqplat_resources.errors import Retryable
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.private_files import open_private
from seqplat_resources.read.answer import answer
from seqplat_resources.release.query import Query
from seqplat_resources.release.runtime import DEFAULT_CHANNEL, Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.sources.log import LogWriter
from seqplat_resources.sources.log.opening import open_log_writer
from serving.access.keys.changes import issue_named
from serving.access.keys.store import KeyStore
from serving.cli.ask.get import get
from serving.cli.dagster_home import ensure_dagster_home
from serving.cli.days.materialize import build
from serving.cli.output import console, suggest
from serving.cli.person import person
from serving.cli.releases.changes import DEFAULT_DEFINITIONS
from serving.cli.releases.definitions import publish_release
from serving.cli.servers.serve import PORT

SEQUENCE, HOUSEHOLD = "household_history", "378"
SOURCE, PARTITIONS = "transactions", 4
# Messages per second of the live day: slow enough to watch.
RATE = 600
# A stream takes a few seconds to start, several times that on a busy machine.
PATIENCE_S = 120

# How long the key of the demo before this one still works.
KEY_OVERLAP = dt.timedelta(days=1)


class StreamLate(Retryable):
    """The live events did not become visible."""


@click.command()
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Load the bundled grocery events: six weeks by day, the last of them live, and print one household."""
    started = time.perf_counter()
    console.print("[bold]1. Definitions to a release[/bold]")
    publish_release(DEFAULT_DEFINITIONS, os.environ.get("SEQPLAT_CHANNEL") or DEFAULT_CHANNEL, "demo")
    runtime = Runtime.from_environment()
    first, last = _days(runtime)
    console.print(f"\n[bold]2. {(last - first).days} days of every asset, through Dagster[/bold]")
    if not build(first, last - dt.timedelta(days=1)).success:
        sys.exit(1)
    console.print(f"\n[bold]3. {last}, live: purchases through the log, visible as they come[/bold]")
    _live(runtime, last)
    ctx.invoke(get, sequence=SEQUENCE, user=HOUSEHOLD, limit=6)
    console.print(f"\n[bold]4. The night after: {last} built by batch, in the now view's place[/bold]")
    if not build(last, last).success:
        sys.exit(1)
    ctx.invoke(get, sequence=SEQUENCE, user=HOUSEHOLD, limit=14)
    tenant = runtime.release.sequences[SEQUENCE].tenant
    key = issue_named(KeyStore(runtime.home), tenant, "demo", by=person(), overlap=KEY_OVERLAP)
    console.print(f"\nDone in {time.perf_counter() - started:.0f} s. Data is in {runtime.home.root}.")
    console.print(f"API key of tenant {tenant}, shown only now:\n\n    {key}", soft_wrap=True)
    automation = Automation.of(runtime.release, os.environ)
    console.print(f"Automation, while `seqplat dev` runs, is {automation}", markup=False, soft_wrap=True)
    suggest(
        "make dev (or: seqplat dev) starts the Dagster UI, the stream and the API and prints their addresses; then",
        f"curl -H 'Authorization: Bearer {key}' "
        f"'http://127.0.0.1:{PORT}/v1/sequences/{SEQUENCE}/users/{HOUSEHOLD}?columns=event_time,product_id&limit=5'",
        "seqplat get purchase_vectors " + HOUSEHOLD,
        "seqplat tables",
    )


def _live(runtime: Runtime, day: dt.date) -> None:
    """Stream a day's purchases in their order and time how long the household's last one takes to be visible."""
    messages = _messages(runtime, day)
    expected = messages.filter(pl.col("household_id") == int(HOUSEHOLD))["transaction_timestamp"].max()
    with closing(open_log_writer(os.environ, runtime.home)) as writer, _streaming(runtime) as log_file:
        writer.create_topic(runtime.release.sources[SOURCE].topic, PARTITIONS)
        sent_at = _send(runtime, writer, messages)
        seconds = _seconds_until_visible(runtime, expected, sent_at, log_file)
    console.print(f"  {messages.height:,} purchases sent; the last of household {HOUSEHOLD} visible {seconds}\n")


def _messages(runtime: Runtime, day: dt.date) -> pl.DataFrame:
    rows = pl.read_parquet(f"{runtime.sources_root}/{runtime.release.sources[SOURCE].location}")
    return rows.filter(pl.col("transaction_timestamp").dt.date() == day).sort("transaction_timestamp")


@contextmanager
def _streaming(runtime: Runtime) -> Iterator[Path]:
    """A stream process beside this one, ended as an operator would end it."""
    log_file = ensure_dagster_home(runtime.home) / "demo-stream.log"
    with open(open_private(log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as output:
        command = [sys.executable, "-m", "serving.cli", "stream", SOURCE]
        with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as child:
            try:
                yield log_file
            finally:
                child.send_signal(signal.SIGTERM)
                child.wait(timeout=PATIENCE_S)


def _send(runtime: Runtime, writer: LogWriter, messages: pl.DataFrame) -> float:
    """Send at ``RATE``; returns when the household's last message went out."""
    topic, started, sent_at = runtime.release.sources[SOURCE].topic, time.monotonic(), time.monotonic()
    lines = messages.select(pl.struct(pl.all()).struct.json_encode()).to_series().to_list()
    users = messages["household_id"].cast(pl.String).to_list()
    for number, (user, line) in enumerate(zip(users, lines, strict=True)):
        writer.append(topic, [(user.encode(), line.encode())])
        if user == HOUSEHOLD or number % 50 == 0:
            writer.flush()
            time.sleep(max(0.0, number / RATE - (time.monotonic() - started)))
        sent_at = time.monotonic() if user == HOUSEHOLD else sent_at
    writer.flush()
    return sent_at


def _seconds_until_visible(runtime: Runtime, expected: object, sent_at: float, log_file: Path) -> str:
    """How long after ``sent_at`` the API's own view has the event of that time; the stream's start does not count."""
    plan, until = SequencePlan.of(runtime.loaded, SEQUENCE), time.monotonic() + PATIENCE_S
    with closing(open_online_store(runtime.home, readonly=True)) as store:
        while time.monotonic() < until:
            found = answer(plan, store, HOUSEHOLD, Query(limit=1))
            newest = found.freshness.newest_event_time
            if newest is not None and newest.replace(tzinfo=None) == expected:
                return f"within {time.monotonic() - sent_at:.1f} s"
            time.sleep(0.02)
    raise StreamLate(f"the live purchases were not visible after {PATIENCE_S} s; see {log_file}")


def _days(runtime: Runtime) -> tuple[dt.date, dt.date]:
    """First and last day any event type of the release has; the demo's are all bounded."""
    ranges = Partitions.of(runtime.release).event_types.values()
    ends = [days.end for days in ranges if days.end is not None]
    return min(days.start for days in ranges), max(ends) - dt.timedelta(days=1)
