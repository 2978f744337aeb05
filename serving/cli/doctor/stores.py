"""What data comes from and what answers are read from: the log, the online store."""

from collections.abc import Iterator
from contextlib import closing

from seqplat_resources.errors import SeqplatError
from seqplat_resources.online_store.errors import StoreNotFoundError
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.sources.log.opening import log_kind, open_log_source
from seqplat_resources.stream.service import streamed_sources
from seqplat_resources.times import milliseconds
from serving.cli.doctor.findings import Deployment, Diagnosis
from serving.cli.doctor.machine import clock_told


def log(deployment: Deployment) -> Iterator[Diagnosis]:
    """Whether each topic is there, asked of the log itself."""
    runtime = Runtime.from_environment(deployment.environment)
    kind, streamed = log_kind(deployment.environment), streamed_sources(runtime.release)
    if not streamed:
        yield Diagnosis("log", "ok", "no source of the release has a topic")
        return
    with closing(open_log_source(deployment.environment, runtime.home)) as source:
        for name in streamed:
            topic = runtime.release.sources[name].topic
            try:
                partitions = source.partitions(topic)
                messages = sum(source.end_offsets(partitions).values()) - sum(source.start_offsets(partitions).values())
            except SeqplatError as error:
                yield Diagnosis("log", "fail", f"{name}: {error}")
            else:
                told = f"{len(partitions)} partition(s), {messages:,} message(s)"
                yield Diagnosis("log", "ok", f"{name}: topic {topic} of the {kind} log, {told}")


def online(deployment: Deployment) -> Iterator[Diagnosis]:
    """Whether the store answers, keeps what it is given, and has something of every event type."""
    runtime = Runtime.from_environment(deployment.environment)
    where = deployment.environment.get("SEQPLAT_ONLINE") or runtime.home.uri("online")
    shown = where.rpartition("@")[2]  # without a password
    if runtime.home.place and deployment.environment.get("SEQPLAT_ONLINE"):
        shown = f"{shown} (part {runtime.home.place})"
    try:
        store = open_online_store(runtime.home, readonly=True)  # refused where a server would drop keys to make room
    except StoreNotFoundError:
        yield Diagnosis("online", "warn", f"nothing is at {shown} yet", "build a day: seqplat materialize")
        return
    with closing(store):
        names = list(runtime.release.event_types)
        empty = [name for name in names if store.epoch(name) is None]
        at_ms = store.clock_ms()
    if at_ms is not None:
        yield clock_told(abs(at_ms - milliseconds(runtime.clock.now())) / 1000, f"the server of {shown}")
    if empty:
        told = f"{shown} answers; no day is published of {', '.join(empty)}"
        yield Diagnosis("online", "warn", told, "seqplat materialize builds and publishes days")
    else:
        yield Diagnosis("online", "ok", f"{shown} answers, with days of {len(names)} event type(s)")
