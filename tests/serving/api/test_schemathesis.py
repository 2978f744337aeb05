"""Schemathesis reads the OpenAPI document and asks a real server what it allows and what it forbids: statuses, content
types, bodies, headers, methods, and that nothing is answered without a key. All of its checks, and no server error."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.budget import examples
from tests.serving.servers import Server, running

ROOT = Path(__file__).parents[3]
PATIENCE_S = 300
EXAMPLES = examples(8)
# The demo has no event type that users are being moved to, and no view of sessions.
NOT_OF_THE_DEMO = {"/v1/migration/{event_type}/readout", "/v1/sessions/{name}/users/{user_id}"}


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    # Its usual deadline is a second, which a busy machine needs for itself.
    with running(home, api_deadline_ms=60_000, api_queue_ms=60_000) as started:
        yield started


@pytest.mark.slow
def test_nothing_is_found(server: Server, tmp_path: Path) -> None:
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(ROOT / "schemathesis.toml")),
        *("run", f"http://127.0.0.1:{server.port}/openapi.json"),
        *("--header", f"Authorization: {server.headers['Authorization']}"),
        *("--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅ {phase}" in done.stdout
    assert not [line for line in server.lines if '"status":500' in line or '"level":"error"' in line]


def test_the_examples_of_the_document_are_answered(server: Server) -> None:
    """Above, a 400 passes where the release decides. What the document shows must not be such a case."""
    document = json.loads(server.get("/openapi.json").body)
    shown = {path: methods["get"] for path, methods in document["paths"].items() if "get" in methods}
    assert len(shown) >= 7
    for path, operation in shown.items():
        reply = server.get(*_as_shown(path, operation.get("parameters", []), server.headers))
        assert reply.status == (404 if path in NOT_OF_THE_DEMO else 200), (path, reply.body)


def _as_shown(path: str, parameters: list[dict[str, Any]], headers: Any) -> tuple[str, dict[str, str]]:
    """Path with query, and headers, of a request with every parameter as its example has it."""
    query, sent = [], dict(headers)
    for parameter in parameters:
        given = [example["value"] for example in parameter.get("examples", {}).values()]
        value, name = parameter.get("example", given[0] if given else None), parameter["name"]
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", quote(text, safe=""))
        elif parameter["in"] == "header":
            sent[name] = text
        elif value is not None:
            query.append(f"{name}={quote(text)}")
    return f"{path}?{'&'.join(query)}" if query else path, sent
