"""The freshness benchmark: how long after an action the API answers with it, while a day is sealed again.

Processes as in production: a broker, `seqplat stream`, `seqplat serve`, and the load with its probes; halfway through,
another builds the day of the stream from its archive and publishes it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx
import numpy as np
import polars as pl

from benchmarks import api_key, contest, kafka, machine, measure, messages, report, seqplat_stream
from tests.ports import free_ports

TOPIC = "bench-freshness"
RATE = 2_000
WARM_S = 15.0  # of load before the first sample counts: look-ups are cold, and imports have just been done
READY_WITHIN_S = 60.0
ENDS_WITHIN_S = 60.0
AIMS = "p50 at most 300 ms and p99 at most 1 s, during the re-seal p99 at most 2 s, memory flat"
CLI = (sys.executable, "-m", "serving.cli")


class NotFreshError(RuntimeError):
    """A process ended by itself, or probes were never answered: there is nothing to report."""


def run(*, minutes: float, cache: Path, results: Path, keep: bool = False) -> Path:
    """Measure for so long and return the file with the result.

    Raises:
        NotFreshError: something did not work at all. BrokerError: there is no Kafka and none can be started.
    """
    scratch = contest.scratch(cache)
    out, items = scratch / "out" / "freshness", scratch / "stream-items"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    messages.ensure_items(items)
    load_before = machine.load_per_core()
    with kafka.broker(scratch) as bootstrap:
        kafka.fresh_topic(bootstrap, TOPIC)
        today = dt.datetime.now(dt.UTC).date()
        seqplat_stream.prepare(out / "home", items, TOPIC, today)
        measured = _measure(out, items, bootstrap, today, minutes * 60)
    facts = _facts(measured, minutes, load_before)
    if not keep:
        shutil.rmtree(out, ignore_errors=True)
    return report.save(facts, results)


@dataclass
class _Measured:
    """``memory_mb`` by seconds since the load began; ``reseal`` is from when to when, in seconds since 1970."""

    samples: pl.DataFrame
    began_at: float
    reseal: tuple[float, float] = (0.0, 0.0)
    memory_mb: list[tuple[float, float]] = field(default_factory=list)
    sent: int = 0
    late_s: float = 0.0


def _measure(out: Path, items: Path, bootstrap: str, today: dt.date, seconds: float) -> _Measured:
    home = out / "home"
    (port,) = free_ports(1)
    api, key = f"http://127.0.0.1:{port}", api_key.new(home)
    environment = {
        **os.environ,
        "SEQPLAT_HOME": str(home.absolute()),
        "SEQPLAT_SOURCES": str(items),
        "SEQPLAT_KAFKA_BOOTSTRAP": bootstrap,
    }
    samples_file = out / "samples.csv"
    module, told = (sys.executable, "-m", "benchmarks.freshness_load"), ("--api", api, "--out", str(samples_file))
    work = ("--bootstrap", bootstrap, "--topic", TOPIC, "--rate", str(RATE), "--seconds", str(WARM_S + seconds))
    with (
        _process((*CLI, "stream"), environment, out / "stream.log") as stream,
        _process((*CLI, "serve", "--port", str(port)), environment, out / "serve.log") as serve,
    ):
        _wait_until_ready(api, [stream, serve])
        began_at = time.time() + WARM_S
        found = _Measured(pl.DataFrame(), began_at)
        loading = subprocess.Popen(
            (*module, *told, *work),
            cwd=contest.REPOSITORY,
            env={**os.environ, api_key.VARIABLE: key},
            stdout=subprocess.PIPE,
            text=True,
        )
        ended = threading.Event()
        watch = threading.Thread(target=_watch_memory, args=(stream.pid, found, ended))
        watch.start()
        try:
            time.sleep(max(0.0, began_at + seconds / 2 - time.time()))
            found.reseal = _reseal(home, items, today)
            said, _ = loading.communicate(timeout=seconds + 2 * ENDS_WITHIN_S)
        finally:
            loading.kill()
            ended.set()
            watch.join()
        for process, name in ((stream, "stream"), (serve, "serve")):
            if process.poll() is not None:
                raise NotFreshError(f"`seqplat {name}` ended by itself; see {out / f'{name}.log'}")
        if loading.returncode:
            raise NotFreshError(f"the load ended with exit code {loading.returncode}; its error is on the terminal")
    facts = json.loads(said.strip().splitlines()[-1])
    found.sent, found.late_s = facts["sent"], facts["late_s"]
    found.samples = pl.read_csv(samples_file).filter(pl.col("sent_at") >= began_at)
    if not found.samples.height:
        raise NotFreshError(f"no probe was answered; see {out}")
    return found


@contextmanager
def _process(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs until it is told to end, with its output in ``log``."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=contest.REPOSITORY, env=dict(environment), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_ready(api: str, processes: Sequence[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until:
        try:
            if httpx.get(f"{api}/readyz", trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        if any(process.poll() is not None for process in processes):
            break
        time.sleep(0.2)
    raise NotFreshError("the stream or the API did not come up; their logs are in the cache folder, out/freshness")


def _reseal(home: Path, items: Path, today: dt.date) -> tuple[float, float]:
    """Build the day of the stream from its archive and publish it; when it began and ended."""
    began = time.time()
    places = ("--home", str(home), "--sources", str(items))
    span = ("--first", str(today), "--end", str(today + dt.timedelta(days=1)))
    layers = (f"events/{seqplat_stream.EVENT_TYPE}", f"online/{seqplat_stream.EVENT_TYPE}")
    command = (sys.executable, "-m", "benchmarks.product", "build", *places, *span, *layers)
    subprocess.run(command, cwd=contest.REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    return began, time.time()


def _watch_memory(pid: int, found: _Measured, ended: threading.Event) -> None:
    while not ended.wait(1.0):
        found.memory_mb.append((time.time() - found.began_at, measure.own_bytes(pid) / measure.MB))


def _facts(found: _Measured, minutes: float, load_before: float) -> report.Facts:
    first, last = found.reseal
    sent_at = pl.col("sent_at")
    within = found.samples.filter(sent_at.is_between(first, last))
    lost = found.samples.filter(~pl.col("found")).height
    memory = _memory(found.memory_mb, minutes * 60)
    notes = (
        f"{found.sent:,} events at {RATE:,}/s ({found.late_s:.2f} s behind at most), {minutes:g} minute(s) after "
        f"{WARM_S:.0f} s of warming up; {lost} probe(s) unanswered. The re-seal of the day took {last - first:.1f} s.",
        f"Memory of the stream process, without the store's pages it maps: {memory} MB in the five fifths of the run. "
        f"Load per core before: {load_before:.2f}. Aims: {AIMS}.",
    )
    return report.Facts.now(
        "freshness",
        header=("action to visible", "probes", "p50 ms", "p99 ms", "max ms"),
        lines=(
            ("the whole run", *_line(found.samples)),
            ("outside the re-seal", *_line(found.samples.filter(~sent_at.is_between(first, last)))),
            ("during the re-seal", *_line(within)),
        ),
        notes=notes,
    )


def _line(samples: pl.DataFrame) -> tuple[str, ...]:
    ms = samples["ms"]
    if not ms.len():
        return ("0", "", "", "")
    shown = (float(np.quantile(ms.to_numpy(), point)) for point in (0.5, 0.99, 1.0))
    return (f"{ms.len():,}", *(f"{value:,.0f}" for value in shown))


def _memory(samples: Sequence[tuple[float, float]], seconds: float) -> str:
    """The median of each fifth of the run."""
    fifths: list[list[float]] = [[] for _ in range(5)]
    for at, mb in samples:
        if 0 <= at < seconds:
            fifths[int(at * 5 / seconds)].append(mb)
    return ", ".join(f"{median(each):,.0f}" for each in fifths if each)
