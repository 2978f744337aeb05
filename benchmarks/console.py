"""What it takes to show 500 checks of 30 days: our first page over HTTP, against Dagster's GraphQL for the same.

Both have the same verdicts: ours in our table of results, Dagster's as evaluations of partitioned checks in the SQLite
instance that it starts with. Its own pages ask for a check at a time; here all are asked for in one query, which is the
best a page of all of them could do.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.request import Request, urlopen

import dagster as dg
import zstandard

from benchmarks import contest, machine, report
from seqplat_resources.health.board import health, look
from seqplat_resources.health.results import Built, CheckVerdict, Results
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from sequence_defs.schema import Column, EventType, Source, Tenant, Time
from tests.building import runtime_for
from tests.ports import free_port
from tests.serving.servers import running

EVENT_TYPES, DAYS = 125, 30
CHECKS = ("schema", "identity_unique", "complete_against_raw", "rejects")
ASKED = 20
TARGET_S, TARGET_KB = 0.3, 200
# Dagster is asked for a tenth of it: telling it 15,000 evaluations takes a quarter of an hour.
TENTH = 10
_PATIENCE_S = 300.0
_OWNED = {"tenant": "shop", "owner": "team:shop"}
_COLUMNS = (Column(name="user", dtype="string", nullable=False), Column(name="id", dtype="string", nullable=False))


def run(*, cache: Path, results: Path, keep: bool = False) -> Path:
    """Measure both; returns the file with the result."""
    folder = contest.scratch(cache) / "console"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    load = machine.load_per_core()
    runtime, verdicts = _filled(folder / "home")
    lines = [*_ours(runtime), *_dagsters(folder / "dagster", verdicts[: len(verdicts) // TENTH])]
    if not keep:
        shutil.rmtree(folder)
    facts = report.Facts.now(
        "console",
        header=(f"{len(verdicts) // DAYS} checks of {DAYS} days", "seconds", "kB as sent", "kB"),
        lines=tuple(lines),
        notes=(
            f"Medians of {ASKED} requests over HTTP, one after the other; the first page should take less than "
            f"{TARGET_S} s and {TARGET_KB} kB. Load per core before: {load:.2f}.",
            f"Dagster's is one GraphQL query for the newest {DAYS} evaluations of each of a tenth of the checks, "
            "with nothing drawn yet.",
        ),
    )
    return report.save(facts, results)


def _filled(home: Path) -> tuple[Runtime, list[CheckVerdict]]:
    """An installation with a verdict on each day of each check, one in twelve of which is none that passes."""
    today = dt.datetime.now(dt.UTC).date()
    days = [today - dt.timedelta(days=n) for n in range(DAYS, 0, -1)]
    source = Source(
        name="clicks",
        location="{day}.csv",
        format="csv",
        columns=(*_COLUMNS, Column(name="at", dtype="timestamp", nullable=False)),
        event_time=Time(sql="at"),
        user_id="user",
        start=days[0],
        **_OWNED,
    )
    names = [f"click_{n:03}" for n in range(EVENT_TYPES)]
    types = [EventType(name=name, source="clicks", id_field="id", columns=_COLUMNS[1:], **_OWNED) for name in names]
    runtime = runtime_for(home, [Tenant(name="shop", tenant="shop"), source, *types], home)
    dice = random.Random(1)
    told = [_told(f"events/{name}", check, day, dice) for name in names for check in CHECKS for day in days]
    built = [Built(f"events/{name}", day, 1) for name in names for day in days]
    Results(runtime.home, runtime.clock).record(
        told, built=lambda: built, run=f"{os.getpid()}", release=runtime.loaded.id
    )
    open_online_store(runtime.home).close()  # the server is ready once there is one
    shown = health(runtime, look(runtime))
    assert sum(len(row.cells) == DAYS for row in shown.rows) >= EVENT_TYPES * len(CHECKS)
    return runtime, told


def _told(asset: str, check: str, day: dt.date, dice: random.Random) -> CheckVerdict:
    value, rows = dice.random() * 0.0012, dice.randrange(10_000, 99_999)
    if value <= 0.001:
        return CheckVerdict(asset, check, day, "pass", value, 0.001, numbers={"rows": rows}, mark=1)
    because = f"{value * rows:.0f} of {rows:,} raw rows gave no event; the first is clicks:{dice.randrange(9)}@{rows}"
    return CheckVerdict(asset, check, day, "warn", value, 0.001, because, {"rows": rows}, mark=1)


def _ours(runtime: Runtime) -> Iterator[tuple[str, ...]]:
    with running(Path(runtime.home.root)) as server:
        for coding, opened in (("zstd", zstandard.ZstdDecompressor().decompress), ("gzip", gzip.decompress)):
            headers = {**server.headers, "Accept-Encoding": coding}
            ask = lambda headers=headers: _body(f"http://127.0.0.1:{server.port}/console", headers)  # noqa: E731
            seconds, body = _timed(ask)
            page = opened(body)
            # A check of which every day passed may be on the next page, behind what never ran.
            assert page.count(b"<td class=") >= 0.95 * EVENT_TYPES * len(CHECKS) * DAYS
            yield f"our first page, {coding}", f"{seconds:.3f}", f"{len(body) / 1e3:.0f}", f"{len(page) / 1e3:,.0f}"


def _dagsters(folder: Path, told: list[CheckVerdict]) -> Iterator[tuple[str, ...]]:
    with _webserver(folder, told) as url:
        seconds, body = _timed(lambda: _body(url, {"Content-Type": "application/json"}, _question(told)))
    found = json.loads(body)
    assert "errors" not in found, found["errors"][:1]
    assert sum(len(each) for each in found["data"].values()) == len(told)
    yield (
        f"Dagster's GraphQL, {len(told) // DAYS} checks",
        f"{seconds:.3f}",
        f"{len(body) / 1e3:,.0f}",
        f"{len(body) / 1e3:,.0f}",
    )


def _question(told: list[CheckVerdict]) -> bytes:
    asked = "id status timestamp runId evaluation { success severity description partition metadataEntries { label } }"
    pairs = sorted({(each.asset, each.check) for each in told})
    parts = [
        f'c{n}: assetCheckExecutions(assetKey: {{path: {json.dumps(asset.split("/"))}}}, checkName: "{check}", '
        f"limit: {DAYS}) {{ {asked} }}"
        for n, (asset, check) in enumerate(pairs)
    ]
    return json.dumps({"query": "{" + " ".join(parts) + "}"}).encode()


@contextmanager
def _webserver(folder: Path, told: list[CheckVerdict]) -> Iterator[str]:
    """Dagster's own, over an instance that has every verdict."""
    folder.mkdir(parents=True)
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (folder / "empty.py").write_text("import dagster as dg\ndefs = dg.Definitions()\n")
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        for each in told:
            instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=dg.AssetKey(each.asset.split("/")),
                    check_name=each.check,
                    passed=each.status == "pass",
                    severity=dg.AssetCheckSeverity.WARN,
                    description=each.because or None,
                    metadata={"value": each.value or 0.0},
                    partition=str(each.day),
                )
            )
    port = free_port()
    command = [sys.executable, "-m", "dagster_webserver", "-f", str(folder / "empty.py"), "-p", str(port)]
    process = subprocess.Popen(
        command, env={**os.environ, "DAGSTER_HOME": str(folder)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _until_up(f"http://127.0.0.1:{port}/server_info")
        yield f"http://127.0.0.1:{port}/graphql"
    finally:
        process.terminate()
        process.wait(_PATIENCE_S)


def _until_up(url: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            _body(url, {})
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def _timed(ask: Callable[[], bytes]) -> tuple[float, bytes]:
    """Median seconds, and the last answer; the first is not counted."""
    body, seconds = ask(), []
    for _ in range(ASKED):
        began = time.perf_counter()
        body = ask()
        seconds.append(time.perf_counter() - began)
    return median(seconds), body


def _body(url: str, headers: dict[str, str], data: bytes | None = None) -> bytes:
    with urlopen(Request(url, data, dict(headers)), timeout=_PATIENCE_S) as answer:
        found: bytes = answer.read()
        return found
