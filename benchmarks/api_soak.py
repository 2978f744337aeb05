"""The api-soak benchmark: steady load on the API while a stream writes and batch publishes, against a quiet minute.

Processes as in production: `seqplat serve`, `seqplat stream` on a log of files, and a batch process every half minute.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from benchmarks import loading, machine, measure, report, seqplat_api
from benchmarks.api_home import ApiHome
from benchmarks.api_serve import COLUMNS
from benchmarks.api_soak_work import RATE, Work, after, beside
from benchmarks.loading import Answers, Paced
from benchmarks.seqplat_api import CLI, RECENT

# Of stream and batch before the peak is looked for beside them: until then each batch adds work to every request, from
# then on as much is rolled up as is added.
WARM_S = 200.0
PEAK_S, PEAK_CONNECTIONS = 20.0, (4, 8)
QUIET_S, SETTLE_S, WINDOW_S = 60.0, 5.0, 30.0
SHARE_OF_PEAK = 0.7
ENDS_WITHIN_S = 60.0
AIMS = "no error, p99 at most twice that of the quiet minute, memory flat"

Floats = npt.NDArray[np.float64]


def run(home: ApiHome, *, minutes: float, warm_s: float = WARM_S, quiet_s: float = QUIET_S, results: Path) -> Path:
    """Measure so long and return the file with the result. The home is another one afterwards.

    Raises:
        LoadFailedError: the peak could not be found, or the stream ended. CalledProcessError: a batch failed.
    """
    load_before, work = machine.load_per_core(), Work(home)
    work.prepare()
    users = np.random.default_rng(3).permutation(home.shape.users).tolist()
    with (
        _stream(home, work.sources) as stream,
        seqplat_api.serving(home.home, work.sources, home.folder / "soak-serve.log") as api,
    ):
        requests = [api.one_user(RECENT, user, columns=",".join(COLUMNS)) for user in users]
        port, memory = api.server.port, list[tuple[float, float]]()

        def watch(stop: threading.Event) -> None:
            began = time.monotonic()
            while not stop.wait(1.0):
                memory.append((time.monotonic() - began, api.server.watch.own_bytes / measure.MB))

        with beside(work.send, work.build):
            time.sleep(warm_s)
            peaks = [loading.closed(port, requests, connections=n, seconds=PEAK_S) for n in PEAK_CONNECTIONS]
        peak = max(peaks, key=lambda each: each.per_s)
        with beside(watch, after(quiet_s, work.send), after(quiet_s, work.build)):
            rate, seconds = SHARE_OF_PEAK * peak.per_s, quiet_s + minutes * 60
            found = loading.paced(port, requests, rate=rate, seconds=seconds, may_fail=True)
        if stream.poll() is not None:
            raise loading.LoadFailedError(f"`seqplat stream` ended by itself; see {home.folder / 'soak-stream.log'}")
    return report.save(_facts(found, peak, work, memory, warm_s, quiet_s, minutes, load_before), results)


@contextmanager
def _stream(home: ApiHome, sources: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (home.folder / "soak-stream.log").open("wb") as output:
        process = subprocess.Popen(
            (*CLI, "stream"),
            env=seqplat_api.environment(home.home, sources),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _facts(
    found: Paced,
    peak: Answers,
    work: Work,
    memory: list[tuple[float, float]],
    warm_s: float,
    quiet_s: float,
    minutes: float,
    load_before: float,
) -> report.Facts:
    quiet = (found.due_s >= min(SETTLE_S, quiet_s / 4)) & (found.due_s < quiet_s)
    busy = found.due_s >= quiet_s
    reference = _p99(found, quiet)
    edges = np.arange(quiet_s, quiet_s + minutes * 60, WINDOW_S)
    windows = [_p99(found, (found.due_s >= edge) & (found.due_s < edge + WINDOW_S)) for edge in edges]
    ratios = [p99 / reference for p99 in windows]
    seconds = quiet_s + minutes * 60
    fifths = [[mb for at, mb in memory if int(at * 5 / seconds) == n] for n in range(5)]
    notes = (
        f"500 events x {len(COLUMNS)} columns of one user as JSON, sent at exponential gaps at {SHARE_OF_PEAK:.0%} of "
        f"the peak of {peak.per_s:,.0f}/s, found beside the same stream and batches after {warm_s:.0f} s of both; "
        f"timed from when each was due. In all {work.sent:,} events streamed in at {RATE}/s, and {len(work.batch_s)} "
        f"batches of {median(work.batch_s):.0f} s each (at nice 10) sealed the day of the stream again or rebuilt an "
        "old day, whose file had changed for every user, by turns.",
        f"p99 per half minute: {', '.join(f'{p99:,.1f}' for p99 in windows)} ms. Memory of the server, without the "
        f"store's pages it maps: {', '.join(f'{median(each):,.0f}' for each in fifths if each)} MB in the five fifths "
        f"of the run. The load was {found.answers.late_ms:.1f} ms behind its schedule at most. "
        f"Load per core before: {load_before:.2f}. Aims: {AIMS}.",
    )
    return report.Facts.now(
        "api-soak",
        header=("", "requests", "errors", "p50 ms", "p99 ms", "max ms", "p99, times quiet"),
        lines=(
            _line(f"quiet, {quiet_s:.0f} s", found, quiet, reference),
            _line(f"stream and batch at work, {minutes:g} min", found, busy, reference),
            ("its worst half minute", "", "", "", f"{max(windows):,.1f}", "", f"{max(ratios):.2f}"),
        ),
        notes=notes,
        measured={"peak": vars(peak), "p99_ms": windows, "batch_s": work.batch_s, "own_mb": memory},
    )


def _line(name: str, found: Paced, chosen: npt.NDArray[np.bool_], reference: float) -> tuple[str, ...]:
    good = chosen & (found.status == 200)
    by_status = dict(zip(*np.unique(found.status[chosen & ~good], return_counts=True), strict=True))
    p50, p99, most = np.quantile(found.ms[good], (0.5, 0.99, 1.0))
    counts = (f"{int(chosen.sum()):,}", _errors({int(status): int(count) for status, count in by_status.items()}))
    return (name, *counts, f"{p50:,.1f}", f"{p99:,.1f}", f"{most:,.1f}", f"{p99 / reference:.2f}")


def _errors(by_status: dict[int, int]) -> str:
    told = ", ".join(f"{count:,} of {status or 'no answer'}" for status, count in by_status.items())
    return f"{sum(by_status.values()):,}{f' ({told})' if told else ''}"


def _p99(found: Paced, chosen: npt.NDArray[np.bool_]) -> float:
    return float(np.quantile(found.ms[chosen & (found.status == 200)], 0.99))
