"""The processes of a campaign. Each goes on where the one before it was killed, from what is stored alone."""

import datetime as dt
import itertools
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import httpx

from seqplat_resources.batch.builds import events
from seqplat_resources.batch.days.arrivals import inputs_now
from seqplat_resources.batch.days.ledger import dirty_buckets
from seqplat_resources.batch.inputs import tables
from seqplat_resources.batch.publish.events import publish
from seqplat_resources.batch.upkeep.layouts import compact_table, layouts
from seqplat_resources.batch.upkeep.verify import verify
from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.errors import Retryable
from seqplat_resources.foreign_errors import Unreadable, in_our_words
from seqplat_resources.lake import vacuum
from seqplat_resources.online_store.errors import StoreDamagedError
from seqplat_resources.online_store.folding import fold_crowded
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.records.lease import Lease
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.sources.files import SourceUnreadable
from seqplat_resources.sources.log.opening import open_log_source
from seqplat_resources.stream import ownership
from seqplat_resources.stream.loop import Pace, StreamLoop
from seqplat_resources.stream.ownership import Ownership
from seqplat_resources.stream.service import StreamService
from tests.chaos import offers
from tests.chaos.messages import DAYS, PARTITIONS, TOPIC, TYPES, Said, by_member, said, seen_through
from tests.chaos.world import FEW, Broken, NotWhole, Site, agreed, is_short, shown
from tests.redis_server import free_ports

CHUNK = 25
PACE = Pace(rows=500, poll_s=0.05, keep_rows=400, keep_s=0.5, heartbeat_s=1.0, overlap=True)
# Between attempts of something that may pass.
WAIT_S = 0.3
# Every lease of a campaign, so that pauses of seconds are longer.
LEASE_S = 4.0
# What vacuum takes for young: longer than readers are paused, shorter than some pauses of streams.
YOUNG_S = 15.0
# ``Unreadable`` is what a reader meets who was slower than vacuum waits; files that are damaged are told by the keeper.
PASSING = (Retryable, Unreadable)


@contextmanager
def in_words() -> Iterator[None]:
    """Errors as people are told them, who run these by commands, in Dagster, or as services."""
    try:
        yield
    except Exception as error:
        told = in_our_words(error)
        if told is None or told is error:
            raise
        raise told from error


def produce(site: Site) -> None:
    """Append messages by number. What was appended and not noted before a crash is appended again."""
    done, began, first = site.noted("produced", 0), time.monotonic(), None
    messages = itertools.islice(enumerate(said(site.total, site.seed)), done, None)
    with closing(site.writer()) as writer:
        writer.create_topic(TOPIC, PARTITIONS)
        while chunk := list(itertools.islice(messages, CHUNK)):
            for partition in range(PARTITIONS):
                records = [(m.member.encode(), m.value) for _, m in chunk if m.partition == partition]
                writer.append(TOPIC, records, partition=partition)
            writer.flush()
            done += len(chunk)
            first = done if first is None else first
            site.note("produced", done)
            time.sleep(max(0.0, (done - first) / site.rate - (time.monotonic() - began)))


def stream(site: Site, die_at: tuple[int, int] | None) -> None:
    """A stream loop that ends itself, if asked, after doing a numbered step so many times."""
    left = die_at[1] if die_at else 0

    def step(number: int) -> None:
        nonlocal left
        if die_at and number == die_at[0]:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    with closing(open_online_store(site.home)) as store:
        while not site.is_over("stream"):
            ownership = Ownership(site.home, "visits")
            try:
                with in_words(), closing(open_log_source(site.environment, site.home, group="chaos")) as log:
                    loop = StreamLoop(site.runtime, "visits", log, store, NoLookup(), ownership, PACE, step=step)
                    while not site.is_over("stream"):
                        loop.once()
                    loop.close()
            except Retryable as error:
                ownership.release()
                site.tell("retries", f"stream {type(error).__name__}")
                time.sleep(WAIT_S)


def serve(site: Site) -> None:
    """A stream as `seqplat stream` runs it."""
    stop = threading.Event()

    def watch() -> None:
        while not site.is_over("stream"):
            time.sleep(WAIT_S)
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    with closing(open_online_store(site.home)) as store:
        StreamService(lambda: site.runtime, store, site.environment, pace=PACE, stop=stop).run()


def batch(site: Site) -> None:
    """Build what is dirty or was never built, publish, evict, fold."""
    runtime = site.runtime
    plans = {name: EventPlan.of(runtime.loaded, name) for name in TYPES}
    with closing(open_online_store(site.home)) as store:
        for turn in itertools.count():
            if site.is_over("batch"):
                return
            for name, plan in plans.items():
                try:
                    with in_words():
                        days = _days_to_build(runtime, plan)
                        list(events.build(runtime, name, sorted(days)))
                        # Published or not is not known after a crash, and a store may have forgotten some.
                        list(publish(runtime, store, name, DAYS if turn % 5 == 0 else sorted(days)))
                        fold_crowded(store, name, more_than=16)
                    site.tell("batches", f"{name} {len(days)}")
                except PASSING as error:
                    site.tell("retries", f"batch {type(error).__name__}")
            time.sleep(WAIT_S)


def offer(site: Site) -> None:
    """Build the days of files that came or changed; after a start all, as nobody knows what was not published."""
    runtime, done = site.runtime, dict[dt.date, str]()
    with closing(open_online_store(site.home)) as store:
        for turn in itertools.count(1):
            if site.is_over("batch"):
                return
            if turn % 10 == 0:  # a store may have forgotten some
                done.clear()
            for day, files in inputs_now(runtime, "raw/offers", DAYS).items():
                if files == done.get(day, ""):
                    continue
                try:
                    with in_words():
                        offers.build(runtime, store, day)
                    done[day] = files
                except (*PASSING, SourceUnreadable) as error:
                    site.tell("retries", f"offers {type(error).__name__}")
            time.sleep(WAIT_S)


def _days_to_build(runtime: Runtime, plan: EventPlan) -> set[dt.date]:
    """What is dirty or was never built."""
    built = {key[0] for key in tables.events(runtime, plan).buckets()}
    dirty = {bucket.day for bucket in dirty_buckets(runtime, plan.event_type.name)}
    return dirty | {day for day in DAYS if day.isoformat() not in built}


def keep(site: Site) -> None:
    """Compact every table, vacuum it with as little patience as vacuum has, and compare files with their checksums."""
    while not site.is_over("batch"):
        for name, layout in layouts(site.runtime).items():
            try:
                with in_words():
                    list(compact_table(layout, min_files=4))
                    vacuum.vacuum(layout.table, retention_hours=0, dry_run=False)
                    for _, found in verify(site.runtime, [name]):
                        for fault in found.damaged:
                            site.violated(f"{name}: {fault}")
                site.tell("kept", name)
            except PASSING as error:
                site.tell("retries", f"keep {type(error).__name__}")
            time.sleep(WAIT_S)


def read(site: Site) -> None:
    """Ask for members without end; every answer must be what some first so many messages of theirs mean, and never
    fewer than a moment ago."""
    members = by_member(said(site.total, site.seed))
    names, plan = sorted(members), SequencePlan.of(site.runtime.loaded, "both")
    reached, draw, offered = dict.fromkeys(names, 0), random.Random(), offers.by_member()
    offers_plan = SequencePlan.of(site.runtime.loaded, offers.SEQUENCE)
    checks, told_at = 0, time.monotonic()
    with closing(open_online_store(site.home, readonly=True)) as store:
        while not site.is_over("read"):
            name = draw.choice(names)
            try:
                shown(plan, store, name, FEW, may_forget=site.may_forget)
                visits = shown(plan, store, name, may_forget=site.may_forget)
                through = seen_through(members[name], visits, reached[name])
                if through is None:
                    raise Broken(f"{name}: not what any {reached[name]} or more of its messages mean: {visits}")
                reached[name] = through
                offers.check(offers_plan, store, name, offered.get(name, set()))
            except Broken as broken:
                site.violated(str(broken))
            except (NotWhole, StoreDamagedError):
                continue
            checks += 1
            if time.monotonic() - told_at > 0.25:
                site.tell("checks", str(checks))
                checks, told_at = 0, time.monotonic()
            time.sleep(0.002)
    site.tell("checks", str(checks))


def serve_api(site: Site) -> None:
    """``seqplat serve`` in place of this process, at a port of its own: one that was killed may hold its a moment."""
    port = free_ports(1)[0]
    site.note("port", port)
    log = os.open(site.folder / "api.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(log, number)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEQPLAT_")}
    own = {"SEQPLAT_HOME": site.home.root, "SEQPLAT_ACCESS_LOG": "off", "SEQPLAT_API_DRAIN_S": "0"}
    command = [sys.executable, "-m", "serving.cli", "serve", "--port", str(port)]
    os.execve(sys.executable, command, {**kept, **own, **site.environment})


def call(site: Site) -> None:
    """As ``read``, over HTTP: an answer is right, or says that it is not whole, or is no answer."""
    members = by_member(said(site.total, site.seed))
    names, reached, draw = sorted(members), dict.fromkeys(members, 0), random.Random()
    told, told_at = Counter[str](), time.monotonic()
    key = {"Authorization": f"Bearer {site.noted('key')}"}
    while not site.is_over("read"):
        name = draw.choice(names)
        try:
            answered = httpx.get(f"{site.api}/v1/sequences/both/users/{name}", headers=key, timeout=30)
            told[judge(answered, name, members[name], reached)] += 1
        except httpx.TransportError:
            told["unanswered"] += 1
            time.sleep(WAIT_S)
        except Broken as broken:
            site.violated(f"api: {broken}")
        if time.monotonic() - told_at > 1:
            site.tell("calls", json.dumps(told))
            told, told_at = Counter(), time.monotonic()
        time.sleep(0.01)


def judge(answered: httpx.Response, name: str, history: Sequence[Said], reached: dict[str, int]) -> str:
    """How a user's answer is counted.

    Raises:
        Broken: it is what nobody may see.
    """
    if answered.status_code in (429, 503):
        return f"refused: {answered.json()['detail'][:60]}"
    if answered.status_code != 200:
        raise Broken(f"{name}: {answered.status_code} {answered.text[:300]}")
    body = answered.json()
    if is_short(body["meta"]["completeness"], body["meta"]["degraded"]):
        return "not whole, and says so"
    columns = [body["columns"][column] for column in ("event_time", "visit", "revision", "event_type")]
    visits = agreed(list(zip(map(dt.datetime.fromisoformat, columns[0]), *columns[1:], strict=True)), name)
    through = seen_through(history, visits, reached[name])
    if through is None:
        raise Broken(f"{name}: not what any {reached[name]} or more of its messages mean: {visits}")
    reached[name] = through
    return "right"


def play(role: str, site: Site, die_at: tuple[int, int] | None = None) -> None:
    """Entry point of every process; an error that ends one is told."""
    logging.disable(logging.CRITICAL)
    os.environ["SEQPLAT_HOME"] = site.home.root  # where a full disk is looked for
    _shorten_leases()
    try:
        while True:
            try:
                with in_words():
                    _play(role, site, die_at)
                return
            except Retryable as error:
                site.tell("retries", f"{role} {type(error).__name__}")
                time.sleep(WAIT_S)
    except BaseException as error:
        site.tell("failures", f"{role}: {type(error).__name__}: {error}")
        raise


def _play(role: str, site: Site, die_at: tuple[int, int] | None) -> None:
    if role == "stream":
        stream(site, die_at)
    else:
        _ROLES[role](site)


_ROLES = {
    "produce": produce,
    "serve": serve,
    "batch": batch,
    "offer": offer,
    "keep": keep,
    "read": read,
    "api": serve_api,
    "call": call,
}


def _shorten_leases() -> None:
    """And what vacuum takes for young. A clock of its own would shorten everything else, too."""
    ttl = dt.timedelta(seconds=LEASE_S)
    ownership.TTL, ownership.RENEW_EVERY = ttl, ttl / 5
    for method in (Lease.acquire, Lease.renew):
        method.__kwdefaults__["ttl"] = ttl
    vacuum.LEAST_HOURS = 0
    vacuum._storage_now_ms = lambda _: round((time.time() - YOUNG_S) * 1000)
