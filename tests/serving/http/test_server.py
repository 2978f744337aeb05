"""The real server as a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.ports import free_port
from tests.serving.keys import new_headers

PATIENCE_S = 120
PATH = "/v1/sequences/household_history/users/1146"


def test_serve_answers_many_at_once_and_ends_on_sigterm(published: Path) -> None:
    port, sent = free_port(), new_headers(published)
    with _seqplat("serve", "--port", str(port), home=published) as server:
        _wait_for(f"http://127.0.0.1:{port}/readyz", server)
        with ThreadPoolExecutor(8) as callers:
            answers = list(callers.map(lambda url: _get(url, sent), [f"http://127.0.0.1:{port}{PATH}"] * 64))
        assert answers[0]["length"] > 5
        assert all(answer == answers[0] for answer in answers)
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE_S) == 0
    with pytest.raises(OSError, match="refused"):
        _get(f"http://127.0.0.1:{port}/healthz")


@pytest.mark.parametrize(
    ("command", "option", "what"),
    [
        (["serve"], "--port", "the API"),
        (["dev"], "--port", "the API"),
        (["dev"], "--dagster-port", "the Dagster UI"),
    ],
)
def test_a_taken_port_is_named_with_the_option_that_chooses_another(
    published: Path, command: list[str], option: str, what: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        others = ["--dagster-port", str(free_port())] if command == ["dev"] and option == "--port" else []
        with _seqplat(*command, option, str(port), *others, home=published) as server:
            _, error = server.communicate(timeout=PATIENCE_S)
    assert server.returncode == 1
    assert error.decode() == (
        f"error: {what} cannot listen on 127.0.0.1:{port} (Address already in use); "
        f"choose another port with {option} <port>\n"
    )


def test_dev_without_a_release_says_how_to_publish_one(tmp_path: Path) -> None:
    ports = ["--port", str(free_port()), "--dagster-port", str(free_port())]
    with _seqplat("dev", *ports, home=tmp_path) as server:
        _, error = server.communicate(timeout=PATIENCE_S)
    assert server.returncode == 1
    assert "run `seqplat publish`" in error.decode()


@pytest.mark.slow
def test_dev_runs_both_and_ends_both(home: Path) -> None:
    port, dagster_port = free_port(), free_port()
    with _seqplat("dev", "--port", str(port), "--dagster-port", str(dagster_port), home=home) as server:
        _wait_for(f"http://127.0.0.1:{dagster_port}/server_info", server, patience_s=600)
        _wait_for(f"http://127.0.0.1:{port}/readyz", server)
        server.send_signal(signal.SIGTERM)
        output, _ = server.communicate(timeout=PATIENCE_S)
    assert server.returncode == 0
    assert b"starting" in output
    for taken in (port, dagster_port):
        with pytest.raises(OSError, match="refused"):
            _get(f"http://127.0.0.1:{taken}/")
    assert (home / "dagster" / "dagster.yaml").exists()


@contextmanager
def _seqplat(*arguments: str, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SEQPLAT_", "DAGSTER_"))}
    with subprocess.Popen(
        [sys.executable, "-m", "serving.cli", *arguments],
        env={**environment, "SEQPLAT_HOME": str(home), "SEQPLAT_API_DRAIN_S": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def _wait_for(url: str, server: subprocess.Popen[bytes], *, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            _get(url)
        except OSError:
            assert server.poll() is None, (server.stderr or sys.stdin.buffer).read().decode()
            assert time.monotonic() < deadline, f"{url} never answered"
            time.sleep(0.05)
        else:
            return


def _get(url: str, headers: Mapping[str, str] = MappingProxyType({})) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers)), timeout=10) as response:
        return json.load(response)
