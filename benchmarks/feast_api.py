"""The peer of the API benchmarks, from our side: rows for its store, its server, what to ask it, what it says.

What runs in its own environment is `peer_feast_api.py`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import polars as pl

from benchmarks import contest, environments, servers
from benchmarks.http_requests import Request
from benchmarks.seqplat_api import Columns

# As fast as it gets: no access log, no new worker after 1,000 requests (its default), connections and registry kept.
OPTIONS = ("--workers", "1", "--no-access-log", "--max-requests", "0", "--keep-alive-timeout", "600", "-r", "3600")
VIEW = "sequence"


def prepare(rows: pl.DataFrame, folder: Path, scratch: Path) -> dict[str, str]:
    """A repository in ``folder / "repo"`` with these rows online: ``user_id`` and list columns; returns versions."""
    folder.mkdir(parents=True)
    file = folder / "rows.parquet"
    rows.write_parquet(file)
    python = environments.python_with(environments.FEAST, scratch)
    module = (str(python), "-W", "ignore", "-m", "benchmarks.peer_feast_api", "prepare")
    command = (*module, "--rows", str(file), "--repo", str(folder / "repo"))
    said = subprocess.run(command, cwd=contest.REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout
    versions: dict[str, str] = msgspec.json.decode(said.strip().splitlines()[-1])
    return versions


@contextmanager
def serving(folder: Path, scratch: Path, log: Path) -> Iterator[servers.Server]:
    """`feast serve` with one worker, ready to answer."""
    feast = environments.python_with(environments.FEAST, scratch).parent / "feast"
    command = (str(feast), "--chdir", str(folder / "repo"), "serve", *OPTIONS)
    with servers.running(command, {**os.environ, "FEAST_USAGE": "False"}, log, ready="/health") as found:
        yield found


def request(users: Sequence[int], columns: Sequence[str]) -> Request:
    """Columns by name: a feature service, looked up by name, costs Feast a third of its requests per second."""
    body = {"features": [f"{VIEW}:{name}" for name in columns], "entities": {"user_id": list(users)}}
    return Request("POST", "/get-online-features", {"Content-Type": "application/json"}, msgspec.json.encode(body))


def answer_of(body: bytes) -> dict[int, Columns]:
    """What one answer says, by user; instants are whole seconds since 1970 as they come."""
    said = msgspec.json.decode(body)
    by_name = dict(zip(said["metadata"]["feature_names"], said["results"], strict=True))
    users = by_name.pop("user_id")["values"]
    return {user: {name: found["values"][place] for name, found in by_name.items()} for place, user in enumerate(users)}
