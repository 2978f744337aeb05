"""Our side of the API benchmarks: a home built and published day by day, its server, what to ask it, what it says.

`python -m benchmarks.seqplat_api prepare` builds the home in a process of its own, as batch does in production.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec
import polars as pl

from benchmarks import api_data, api_key, product, servers
from benchmarks.api_data import Shape
from benchmarks.http_requests import Request

DEFINITIONS = Path(__file__).parent / "definitions" / "api_actions.py"
EVENT_TYPE, RECENT, ALL = "action", "recent_actions", "all_actions"
# Answers are kept in memory for who asks again. What is measured is reading, unless a contestant says otherwise.
NOTHING_KEPT = {"SEQPLAT_API_CACHE_MB": "0"}
ONE_BY_ONE = 8  # the newest days are published like this, one epoch a day; those before them as one backfill
CLI = (sys.executable, "-m", "serving.cli")

Form = Literal["json", "arrow"]
Columns = dict[str, list[Any]]
ACCEPT: Mapping[Form, str] = {"json": "application/json", "arrow": "application/vnd.apache.arrow.stream"}


def prepare(home: Path, sources: Path, days: Sequence[dt.date]) -> None:
    """Build the days of the event type and publish them, the newest as a nightly batch would."""
    runtime = product.published(home, DEFINITIONS, sources)
    for layer, name in (("raw", "actions"), ("events", EVENT_TYPE)):
        for _ in product.build(runtime, layer, name, days):
            pass
    for together in (days[:-ONE_BY_ONE], *([day] for day in days[-ONE_BY_ONE:])):
        for _ in product.build(runtime, "online", EVENT_TYPE, together):
            pass


def environment(home: Path, sources: Path) -> dict[str, str]:
    """What the command line finds the home by."""
    return {**os.environ, "SEQPLAT_HOME": str(home.absolute()), "SEQPLAT_SOURCES": str(sources)}


@dataclass(frozen=True)
class Api:
    """A running `seqplat serve`, and a key to ask it with."""

    server: servers.Server
    key: str

    def one_user(self, sequence: str, user: int, form: Form = "json", **parameters: object) -> Request:
        """A request for one user's events; ``parameters`` are those of the query."""
        path = f"/v1/sequences/{sequence}/users/{user}?{urlencode(parameters, safe=',')}"
        return Request("GET", path, self._headers(form))

    def many_users(self, sequence: str, users: Sequence[int], form: Form = "json", **parameters: object) -> Request:
        """A request for a batch of users."""
        body = msgspec.json.encode({"users": [str(user) for user in users], **parameters})
        more = {"Content-Type": "application/json"}
        return Request("POST", f"/v1/sequences/{sequence}/batch", {**self._headers(form), **more}, body)

    def _headers(self, form: Form) -> dict[str, str]:
        return {"Accept": ACCEPT[form], **api_key.headers(self.key)}


@contextmanager
def serving(home: Path, sources: Path, log: Path, settings: Mapping[str, str] = NOTHING_KEPT) -> Iterator[Api]:
    """`seqplat serve` with one worker, ready to answer."""
    key = api_key.new(home)
    command = (*CLI, "serve", "--workers", "1")
    with servers.running(command, {**environment(home, sources), **settings}, log, ready="/readyz") as found:
        yield Api(found, key)


def answer_of(body: bytes, form: Form, users: Sequence[int]) -> dict[int, Columns]:
    """What one answer says of the users it was asked for, in plain values; instants as whole seconds since 1970."""
    if form == "arrow":
        frame = pl.read_ipc_stream(io.BytesIO(body))
        times = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
        frame = frame.with_columns(pl.col(times).dt.epoch("s"))
        if "user_id" not in frame.columns:
            return {users[0]: frame.to_dict(as_series=False)}
        parts = frame.partition_by("user_id", as_dict=True, include_key=False, maintain_order=True)
        return {int(user): part.to_dict(as_series=False) for (user,), part in parts.items()}
    said = msgspec.json.decode(body)
    return {int(each["user_id"]): _plain(each["columns"]) for each in said.get("users", [said])}


def _plain(columns: Columns) -> Columns:
    if "event_time" not in columns:
        return columns
    at = [int(dt.datetime.fromisoformat(text).timestamp()) for text in columns["event_time"]]
    return {**columns, "event_time": at}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("prepare",))
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--first", type=dt.date.fromisoformat, default=api_data.START)
    parser.add_argument("--days", type=int, default=Shape().days)
    options = parser.parse_args()
    prepare(options.home, options.sources, [options.first + dt.timedelta(days=n) for n in range(options.days)])


if __name__ == "__main__":
    main()
