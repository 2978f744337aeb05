"""Everything there is to measure as Prometheus metrics, of all processes of the server together."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from serving.metrics import behind, cache, release
from serving.metrics import requests as counted
from serving.metrics.cells import ProcessCells
from serving.metrics.store import gauge

_Totals = Mapping[str, Mapping[tuple[str, ...], Sequence[float]]]

# Facts of the moment count only of processes that live.
_MOMENTARY = {
    counted.UNDER_WAY,
    counted.QUEUED,
    cache.SIZE_BYTES,
    behind.waiting("exposures"),
    behind.waiting("recorded_answers"),
    release.SERVING,
    release.FAILING_SINCE,
}


def request_metrics(everybody: Iterable[ProcessCells]) -> Iterator[Metric]:
    """What the processes have counted, summed."""
    totals, workers = _summed(everybody)
    requests, answers = totals[counted.REQUEST], totals[counted.ANSWERED]
    split = len(counted.SECONDS) + 2
    labels = list(counted.REQUEST_LABELS)
    yield _histogram(
        "request_seconds",
        "From the first byte of a request's head to the last of its answer handed over.",
        {key: cells[:split] for key, cells in requests.items()},
        counted.SECONDS,
        labels,
    )
    sizes = {key: cells[split:] for key, cells in requests.items()}
    yield _histogram("answer_bytes", "Bytes of answers' bodies, as sent.", sizes, counted.BYTES, labels)
    events = {key: cells[:-2] for key, cells in answers.items()}
    yield _histogram("answer_events", "Events of an answer.", events, counted.EVENTS, list(counted.ANSWERED_LABELS))
    corrupt = {key: [cells[-2]] for key, cells in answers.items()}
    yield _counter("corrupt_blocks", "Damaged blocks left out of answers.", corrupt, counted.ANSWERED_LABELS)
    degraded = {key: [cells[-1]] for key, cells in answers.items()}
    yield _counter("degraded_answers", "Answers that said what they lack.", degraded, counted.ANSWERED_LABELS)
    lookups = totals[cache.LOOKUPS]
    what = "Answers for one user, by whether one was kept that still held."
    yield _counter("kept_answers", what, lookups, cache.LOOKUPS_LABELS)
    kept = _first(totals[cache.SIZE_BYTES])
    yield gauge("kept_answers_bytes", "Memory of answers that are kept.", kept, [])
    yield from _behind(totals, "exposures", "Exposures of users to an arm")
    yield from _behind(totals, "recorded_answers", "Answers of which it is kept which events they had")
    yield _counter("problems", "Errors answered, by kind.", totals[counted.PROBLEMS], counted.PROBLEMS_LABELS)
    yield _counter(
        "requests_shed", "Requests answered with 503 to stay fast.", totals[counted.SHED], counted.SHED_LABELS
    )
    waits, lane = totals[counted.QUEUE_WAIT], list(counted.LANE_LABELS)
    yield _histogram("queue_seconds", "Wait of requests that had to, until their turn.", waits, counted.SECONDS, lane)
    yield gauge("requests_under_way", "Requests being answered.", _first(totals[counted.UNDER_WAY]), lane)
    yield gauge("requests_queued", "Requests that wait for their turn.", _first(totals[counted.QUEUED]), lane)
    yield gauge("workers", "Processes of this server.", {(): workers}, [])


def _behind(totals: _Totals, what: behind.What, text: str) -> Iterator[Metric]:
    yield _counter(what, f"{text}, by whether they reached the lake.", totals[what], behind.LABELS)
    wait = _first(totals[behind.waiting(what)])
    yield gauge(behind.waiting(what), f"{text}, in memory, that the lake does not have yet.", wait, [])


def release_metrics(everybody: Iterable[ProcessCells], *, version: str) -> Iterator[Metric]:
    """Which releases are served, by how many processes, and whether a newer one cannot be loaded."""
    totals, _ = _summed(everybody)
    serving = {key: value for key, value in _first(totals[release.SERVING]).items() if value}
    yield gauge("release_workers", "Processes that serve this release.", serving, list(release.SERVING_LABELS))
    info = InfoMetricFamily("seqplat_release", "The release served.", labels=list(release.SERVING_LABELS))
    for key in serving:
        info.add_metric(key, {"version": version})
    yield info
    failing = _first(totals[release.FAILING_SINCE])
    yield gauge(
        "release_load_failing",
        "Processes for which the channel points at a release they cannot load.",
        {(): sum(1 for since in failing.values() if since)},
        [],
    )
    yield _counter("release_load_failures", "Releases that could not be loaded.", totals[release.FAILURES], [])


def process_metrics(everybody: Iterable[ProcessCells]) -> Iterator[Metric]:
    """The standard metrics of processes (CPU, memory, open files): summed, but for the start, which is the earliest."""
    found: dict[str, Metric] = {}
    for written in everybody:
        if not written.alive:
            continue
        # Bound by the default argument: it is called while this one is meant.
        for metric in ProcessCollector(pid=lambda pid=written.pid: pid, registry=None).collect():  # type: ignore[misc]
            first = found.setdefault(metric.name, metric)
            if first is not metric:
                (known,), (more,) = first.samples, metric.samples
                merge = min if metric.name == "process_start_time_seconds" else sum
                first.samples = [known._replace(value=merge((known.value, more.value)))]
    yield from found.values()


def _summed(everybody: Iterable[ProcessCells]) -> tuple[_Totals, int]:
    """By name and label values: cells added up over processes; and how many processes live."""
    totals: defaultdict[str, dict[tuple[str, ...], list[float]]] = defaultdict(dict)
    workers = 0
    for written in everybody:
        workers += written.alive
        for series in written.series:
            if series.name in _MOMENTARY and not written.alive:
                continue
            known = totals[series.name].get(series.labels)
            cells = series.values if known is None else map(sum, zip(known, series.values, strict=True))
            totals[series.name][series.labels] = list(cells)
    return totals, workers


def _first(cells: Mapping[tuple[str, ...], Sequence[float]]) -> dict[tuple[str, ...], float]:
    return {key: values[0] for key, values in cells.items()}


def _counter(
    name: str, what: str, cells: Mapping[tuple[str, ...], Sequence[float]], labels: Sequence[str]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"seqplat_{name}", what, labels=list(labels))
    for key, value in sorted(_first(cells).items()):
        family.add_metric(key, value)
    return family


def _histogram(
    name: str,
    what: str,
    cells: Mapping[tuple[str, ...], Sequence[float]],
    bounds: Sequence[float],
    labels: Sequence[str],
) -> HistogramMetricFamily:
    """Of cells as ``requests`` lays them out: counts by bucket, those past the last bound, the sum."""
    family = HistogramMetricFamily(f"seqplat_{name}", what, labels=list(labels))
    names = [*map(floatToGoString, bounds), "+Inf"]
    for key, values in sorted(cells.items()):
        family.add_metric(key, list(zip(names, accumulate(values[:-1]), strict=True)), values[-1])
    return family
