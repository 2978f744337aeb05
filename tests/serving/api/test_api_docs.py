"""docs/api.md: its requests are answered as it shows, and it leaves out no route, parameter or header."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from serving.api.parameters import NAMES
from serving.openapi.document import completed

Client = TestClient[Litestar]
TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)


@dataclass
class Shown:
    """A request of the page, and the line that follows it."""

    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    query: list[tuple[str, str]] = field(default_factory=list)
    body: Any = None
    output: str = ""

    @property
    def is_of_fixtures(self) -> bool:
        """Not of an event's explanation, which needs the lake of the demo, nor without a key."""
        of_lake = self.path.endswith(("explain", "40955501547~944534"))
        return not of_lake and "unauthenticated" not in self.output

    @classmethod
    def of(cls, command: str, output: str) -> "Shown":
        shown = cls(output=output)
        words = iter(shlex.split(re.split(r" \| |; ", command)[0]))
        for word in words:
            if word == "-H":
                name, _, value = next(words).partition(": ")
                if name != "Authorization":
                    shown.headers[name] = value
            elif word in {"-d", "--data-urlencode"}:
                name, _, value = next(words).partition("=")
                shown.query.append((name, value))
            elif word == "--json":
                shown.body = json.loads(next(words))
            elif word.startswith("$API"):
                shown.path = word.removeprefix("$API")
        return shown


def _requests() -> list[Shown]:
    found = []
    for block in BLOCKS:
        lines = block.splitlines()
        for at, line in enumerate(lines):
            if line.startswith("$ curl"):
                found.append(Shown.of(line.removeprefix("$ "), lines[at + 1] if at + 1 < len(lines) else ""))
    return found


_ANSWERED = [shown for shown in _requests() if shown.is_of_fixtures]


@pytest.mark.parametrize("shown", _ANSWERED, ids=lambda shown: shown.path[:60])
def test_every_request_is_answered_as_shown(client: Client, shown: Shown) -> None:
    if shown.body is None:
        response = client.get(shown.path, headers=shown.headers, params=shown.query or None)  # type: ignore[arg-type]
    else:
        response = client.post(shown.path, headers=shown.headers, json=shown.body)
    expected = json.loads(shown.output) if shown.output.startswith('{"') else {}
    assert response.status_code == expected.get("status", 200) or expected == {"status": "ok"}
    if expected:
        assert list(response.json()) == list(expected)
    if "columns" in expected:
        assert list(response.json()["columns"]) == list(expected["columns"])
    if "title" in expected:
        assert response.json() == expected


def test_the_page_names_every_parameter_header_and_status(client: Client) -> None:
    document = completed(client.app.openapi_schema.to_schema())
    assert not [name for name in NAMES if f"`{name}`" not in TEXT]
    answers = [
        answer for path in document["paths"].values() for each in path.values() for answer in [each["responses"]]
    ]
    statuses = {status for each in answers for status in each} - {"200", "304"}
    assert not [status for status in statuses if f"| {status} |" not in TEXT]
    headers = {name for each in answers for answer in each.values() for name in answer.get("headers", {})}
    told_elsewhere = {"RateLimit", "RateLimit-Policy"}
    assert not [name for name in headers - told_elsewhere if name.lower() not in TEXT.lower()]
    assert not [path for path in document["paths"] if path not in TEXT]
