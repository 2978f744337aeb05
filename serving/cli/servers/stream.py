"""``seqplat stream`` and ``seqplat send``: read a release's topics into the now view; append messages to one."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from typing import BinaryIO

import click

from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.log.opening import log_kind, open_log_writer
from seqplat_resources.stream.messages import users_named
from seqplat_resources.stream.report import Tally
from seqplat_resources.stream.service import StreamService
from sequence_defs.schema import Source
from serving.cli.output import console, suggest

# Messages appended between two looks at the clock.
_CHUNK = 500


@click.command()
@click.argument("sources", nargs=-1)
@click.option(
    "--on-lost",
    type=click.Choice(["error", "earliest"]),
    default="error",
    show_default=True,
    help="What to do where the log no longer has the messages that come next.",
)
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop by itself after so long.")
def stream(sources: tuple[str, ...], on_lost: str, seconds: float | None) -> None:
    """Make messages of the topics of SOURCES (all if none is named) visible and keep them, until Ctrl-C or SIGTERM.

    Any number of these may run: they share the partitions, and each message is counted once.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if seconds is not None:
        threading.Timer(seconds, stop.set).start()
    home = Runtime.from_environment().home
    console.print(f"[dim]streaming from the {log_kind(os.environ)} log into {home.root}; Ctrl-C stops it[/dim]")
    started = time.monotonic()
    with closing(open_online_store(home)) as store:
        service = StreamService(
            Runtime.from_environment,
            store,
            os.environ,
            sources,
            on_lost="earliest" if on_lost == "earliest" else "error",
            stop=stop,
            report=_say,
        )
        service.run()
    console.print(f"[dim]stopped after {time.monotonic() - started:.0f} s; everything read is kept[/dim]")


def _say(source: str, tally: Tally, lag: Mapping[str, int]) -> None:
    late = {kind: count for kind, count in tally.lateness.items() if kind != "on_time"}
    facts = [
        f"{tally.messages:,} message(s)",
        ", ".join(f"{count:,} {name}" for name, count in tally.events.items() if count) or "no events",
        f"{tally.filtered:,} filtered" if tally.filtered else "",
        f"{tally.duplicates:,} duplicate(s)" if tally.duplicates else "",
        f"{tally.rejected:,} rejected" if tally.rejected else "",
        ", ".join(f"{count:,} {kind}" for kind, count in late.items()),
        f"{sum(lag.values()):,} behind" if lag else "",
    ]
    console.print(f"{source:24} {'; '.join(filter(None, facts))}", markup=False)


@click.command()
@click.argument("source")
@click.argument("file", type=click.File("rb"))
@click.option("--rate", type=click.IntRange(min=1), help="Messages per second; by default as fast as it goes.")
@click.option("--partitions", default=4, show_default=True, type=click.IntRange(1, 1024), help="Of a new topic.")
def send(source: str, file: BinaryIO, rate: int | None, partitions: int) -> None:
    """Append the lines of FILE (- is standard input) to the topic of SOURCE, one JSON object each, keyed by user.

    Lines are sent as they are, whether or not they fit the source: what does not is refused by the stream.
    """
    runtime = Runtime.from_environment()
    definition = runtime.release.sources.get(source)
    if definition is None or not definition.topic:
        raise click.ClickException(f"source {source!r} has no topic in release {runtime.loaded.id[:12]}")
    sent, started = 0, time.monotonic()
    with closing(open_log_writer(os.environ, runtime.home)) as writer:
        writer.create_topic(definition.topic, partitions)
        lines = (line for line in file if line.strip())
        while chunk := list(islice(lines, min(_CHUNK, rate or _CHUNK))):
            writer.append(definition.topic, list(_records(chunk, definition)))
            writer.flush()
            sent += len(chunk)
            if rate:
                time.sleep(max(0.0, sent / rate - (time.monotonic() - started)))
    console.print(f"{sent:,} message(s) sent to topic {definition.topic} in {time.monotonic() - started:.1f} s")
    suggest("seqplat stream   # if none is running")


def _records(lines: list[bytes], source: Source) -> Iterator[tuple[bytes | None, bytes]]:
    # What names no user is sent as well: the stream rejects it, with its bytes.
    values = [line.strip() for line in lines]
    for user, value in zip(users_named(source, values), values, strict=True):
        yield None if user is None else user.encode(), value
