"""What goes on beside the load of the soak: events that stream in, and batches. Each runs in a thread until stopped."""

from __future__ import annotations

import datetime as dt
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from benchmarks import api_data, contest
from benchmarks.api_home import ApiHome
from benchmarks.seqplat_api import EVENT_TYPE
from seqplat_resources.home import Home
from seqplat_resources.sources.log.opening import open_log_writer

TOPIC, PARTITIONS = "bench-actions", 4
RATE = 200  # streamed events per second
TICK_S = 0.05
BATCH_EVERY_S = 30.0
NICE = 10  # batch lets the server go first: here they share two cores
OLD_DAYS = 40  # so many days lie behind the newest file that may change

Job = Callable[[threading.Event], None]


@contextmanager
def beside(*jobs: Job) -> Iterator[None]:
    """Run jobs in threads until the block is left; then raise what one of them raised."""
    stop, raised = threading.Event(), list[BaseException]()

    def guarded(job: Job) -> None:
        try:
            job(stop)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if raised:
        raise raised[0]


def after(seconds: float, job: Job) -> Job:
    """The job, so much later."""

    def waiting(stop: threading.Event) -> None:
        if not stop.wait(seconds):
            job(stop)

    return waiting


@dataclass
class Work:
    """``day`` is what the stream is about: the first one without a file. ``batch_s`` is how long each batch took."""

    home: ApiHome
    sent: int = 0
    batch_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rows, self._turns = self._messages(), itertools.count()

    @property
    def day(self) -> dt.date:
        return self._day(self.home.shape.days)

    @property
    def sources(self) -> Path:
        """The files that batch reads; those the home was built from stay as they are."""
        return self.home.folder / "soak-sources"

    def prepare(self) -> None:
        """The topic, and an empty file for the day of the stream."""
        (self.sources / "actions").mkdir(parents=True)
        empty = api_data.events(self.home.shape, self.home.shape.days).clear()
        empty.write_parquet(self.home.shape.file(self.sources, self.day))
        with closing(open_log_writer({}, self._log_home)) as writer:
            writer.create_topic(TOPIC, PARTITIONS)

    def send(self, stop: threading.Event) -> None:
        """Send events of the stream's day at a steady rate."""
        with closing(open_log_writer({}, self._log_home)) as writer:
            began, sent = time.monotonic(), 0
            while not stop.wait(max(0.0, sent / RATE - (time.monotonic() - began))):
                some = list(itertools.islice(self._rows, round(RATE * TICK_S)))
                writer.append(TOPIC, some)
                writer.flush()
                sent += len(some)
                self.sent += len(some)

    def build(self, stop: threading.Event) -> None:
        """By turns: seal the stream's day again, and build an old day again whose file has changed for every user."""
        for turn in self._turns:
            began = time.monotonic()
            self._build(self._changed(turn) if turn % 2 else self.day)
            self.batch_s.append(time.monotonic() - began)
            if stop.wait(max(0.0, BATCH_EVERY_S - self.batch_s[-1])):
                return

    def _changed(self, turn: int) -> dt.date:
        number = self.home.shape.days - 1 - turn % OLD_DAYS
        rows = api_data.events(self.home.shape, number).with_columns(pl.col("price") + turn)
        rows.write_parquet(self.home.shape.file(self.sources, self._day(number)))
        return self._day(number)

    def _build(self, day: dt.date) -> None:
        places = ("--home", str(self.home.home), "--sources", str(self.sources))
        span = ("--first", str(day), "--end", str(day + dt.timedelta(days=1)))
        layers = ("raw/actions", f"events/{EVENT_TYPE}", f"online/{EVENT_TYPE}")
        command = (sys.executable, "-m", "benchmarks.product", "build", *places, *span, *layers)
        niced = ("nice", "-n", str(NICE), *command)
        subprocess.run(niced, cwd=contest.REPOSITORY, check=True, stdout=subprocess.DEVNULL)

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Events of ordinary users on the stream's day, each once, without end."""
        for number in itertools.count(self.home.shape.days):
            rows = api_data.events(self.home.shape, number).filter(pl.col("user_id") < api_data.FIRST_LONG_USER)
            at = pl.col("ts") - pl.duration(days=number - self.home.shape.days)
            rows = rows.with_columns(at.dt.to_string("%Y-%m-%dT%H:%M:%SZ"))
            lines = rows.select(pl.struct(pl.all()).struct.json_encode()).to_series().to_list()
            for user, line in zip(rows["user_id"].cast(pl.String).to_list(), lines, strict=True):
                yield user.encode(), line.encode()

    def _day(self, number: int) -> dt.date:
        return api_data.START + dt.timedelta(days=number)

    @property
    def _log_home(self) -> Home:
        return Home(str(self.home.home.absolute()), {})
