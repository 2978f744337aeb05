"""What should be running: Dagster with its daemon, automation, streams, the API."""

import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from seqplat_resources.batch.days.schedule import SWITCH, Automation
from seqplat_resources.online_store.errors import StoreNotFoundError
from seqplat_resources.online_store.opening import open_online_store
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.stream.service import streamed_sources
from seqplat_resources.stream.trouble import Troubles
from seqplat_resources.times import milliseconds
from serving.cli.dagster_home import SETTINGS, older_settings
from serving.cli.doctor.findings import Deployment, Diagnosis

# A stream says every few seconds that it lives, also with nothing to read.
SILENT_MS = 60_000
API_S = 5.0
# Dagster's daemon says every 30 seconds that it lives; Dagster itself takes it for dead after half an hour.
DEAD_S = 150.0
_DAEMON = "seqplat dev has one; else run dagster-daemon run with DAGSTER_HOME set"


def dagster(deployment: Deployment) -> Iterator[Diagnosis]:
    """Its folder, its database, and whether a daemon is at work in it."""
    runtime = Runtime.from_environment(deployment.environment)
    folder = Path(deployment.environment.get("DAGSTER_HOME") or f"{runtime.home.root}/dagster").absolute()
    if not (folder / SETTINGS).exists():
        yield Diagnosis("dagster", "warn", f"{folder} has no {SETTINGS} yet", "seqplat materialize makes it")
        return
    for line in older_settings(folder):
        yield Diagnosis("dagster", "warn", line)
    import dagster as dg

    os.environ["DAGSTER_HOME"] = str(folder)  # its settings read it, whoever opens them
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        runs = instance.get_runs_count()
        beats = [status.last_heartbeat for status in instance.get_daemon_statuses().values()]
    alive = [beat for beat in beats if beat and time.time() - beat.timestamp < DEAD_S]
    yield Diagnosis("dagster", "ok", f"{folder} answers, with {runs:,} run(s)")
    if alive:
        yield Diagnosis("dagster", "ok", "its daemon is at work")
    else:
        yield Diagnosis("dagster", "warn", "no daemon is at work in it: nothing is built by itself", _DAEMON)


def automation(deployment: Deployment) -> Iterator[Diagnosis]:
    """What would be built by itself."""
    found = Automation.of(Runtime.from_environment(deployment.environment).release, deployment.environment)
    yield Diagnosis("automation", "ok" if found.is_on else "warn", str(found), "" if found.is_on else f"unset {SWITCH}")


def streams(deployment: Deployment) -> Iterator[Diagnosis]:
    """Whether every topic is being read, by what the streams noted."""
    runtime = Runtime.from_environment(deployment.environment)
    names = streamed_sources(runtime.release)
    if not names:
        yield Diagnosis("streams", "ok", "no source of the release has a topic")
        return
    troubles, last = Troubles(runtime.home).of(names), _last_said(runtime)
    now_ms = milliseconds(runtime.clock.now())
    for name in names:
        at_ms = max((at for topic, at in last if topic == runtime.release.sources[name].topic), default=None)
        if name in troubles:
            yield Diagnosis("streams", "fail", f"{name}: {troubles[name].said}", "seqplat lag shows how far it is")
        elif at_ms is None:
            yield Diagnosis("streams", "warn", f"{name}: nothing of it was ever read", "seqplat stream, or seqplat dev")
        elif now_ms - at_ms > SILENT_MS:
            told = f"{name}: no stream said anything for {(now_ms - at_ms) / 1000:,.0f} s"
            yield Diagnosis("streams", "warn", told, "seqplat stream, or seqplat dev")
        else:
            yield Diagnosis("streams", "ok", f"{name}: read {(now_ms - at_ms) / 1000:.0f} s ago")


def _last_said(runtime: Runtime) -> list[tuple[str, int]]:
    """By topic, when a position was stored last."""
    try:
        with closing(open_online_store(runtime.home, readonly=True)) as store:
            return [(name.rpartition(":")[0], at.at_ms) for name, at in store.stream_positions().items()]
    except StoreNotFoundError:
        return []


def api(deployment: Deployment) -> Iterator[Diagnosis]:
    """Whether the one whose address was given answers, and is ready."""
    if not deployment.api:
        yield Diagnosis("api", "ok", "not asked; --api http://host:port asks one")
        return
    url = f"{deployment.api.rstrip('/')}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=API_S) as answer:
            yield Diagnosis("api", "ok", f"{url} answers {answer.status}")
    except urllib.error.HTTPError as error:
        told = error.read(300).decode(errors="replace")
        yield Diagnosis("api", "fail", f"{url} answers {error.code}: {told}", "seqplat serve says why in its log")
    except (urllib.error.URLError, OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        yield Diagnosis("api", "fail", f"{url} does not answer: {why}", "seqplat serve starts it")
