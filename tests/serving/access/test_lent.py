"""A release whose sequences take what their owners do not share: whoever publishes it, nobody reads that."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from litestar import Litestar
from litestar.testing import TestClient

from seqplat_resources.errors import Final
from sequence_defs.compiler.discover import discover
from sequence_defs.schema import Definition, EventType, Sequence, Tenant
from serving.access.keys.ring import Grant
from serving.cli.ask.get import get
from tests.building import runtime_for
from tests.serving.conftest import Start
from tests.serving.keys import headers, new_key
from tests.serving.servers import PATIENCE_S

Client = TestClient[Litestar]
LENT, USER = "purchase_vectors", "1146"
ZEBRA, LION = "zebra_team", "lion_team"


def published(home: Path, shared: Mapping[str, tuple[str, ...]], columns: Mapping[str, tuple[str, ...]] = {}) -> None:
    """The demo, with ``purchase_vectors`` given to ``zebra_team``; what is ``shared`` by event type and by column."""
    found = discover("sequence_defs.definitions.demo").definitions

    def changed(definition: Definition) -> Definition:
        if isinstance(definition, Sequence) and definition.name == LENT:
            return definition.model_copy(update={"tenant": ZEBRA})
        if isinstance(definition, EventType):
            mine = tuple(
                column.model_copy(update={"shared_with": columns.get(column.name, column.shared_with)})
                for column in definition.columns
            )
            return definition.model_copy(update={"shared_with": shared.get(definition.name, ()), "columns": mine})
        return definition

    others = [Tenant(name=name, tenant=name) for name in (ZEBRA, LION)]
    runtime_for(home, [*others, *map(changed, found)])


def every_way(client: Client, sent: Mapping[str, str]) -> dict[str, Any]:
    base = f"/v1/sequences/{LENT}"
    gets = {
        "user": f"{base}/users/{USER}",
        "where": f"{base}/users/{USER}?columns=event_id&where=amount%20%3E%200",
        "explain": f"{base}/users/{USER}/explain?event_id=1",
        "schema": f"{base}/schema",
    }
    found = {name: client.get(path, headers=dict(sent)) for name, path in gets.items()}
    return found | {"batch": client.post(f"{base}/batch", json={"users": [USER]}, headers=dict(sent))}


@pytest.mark.parametrize("shared", [{}, {"purchase": (ZEBRA,)}, {"purchase": (LION,), "discount": (LION,)}])
def test_a_sequence_over_events_that_are_not_shared_is_not_there(
    home: Path, start: Start, shared: Mapping[str, tuple[str, ...]]
) -> None:
    sent = headers(new_key(home, ZEBRA))
    published(home, shared)
    client = start(home)
    assert {name: answer.status_code for name, answer in every_way(client, sent).items()} == dict.fromkeys(
        ("user", "where", "explain", "schema", "batch"), 404
    )
    assert client.get("/v1/sequences", headers=sent).json()["sequences"] == []
    assert client.get(f"/v1/sequences/household_history/users/{USER}").status_code == 200  # its owner's own


def test_a_column_that_is_not_shared_is_not_there(home: Path, start: Start) -> None:
    sent = headers(new_key(home, ZEBRA))
    both = {"purchase": (ZEBRA,), "discount": (ZEBRA,)}
    published(home, both, {"sales_value": (LION,)})
    client = start(home)
    found = every_way(client, sent)
    assert found["user"].status_code == 200
    assert "amount" not in found["user"].json()["columns"]
    assert "basket_id" in found["user"].json()["columns"]
    assert found["where"].status_code == 400
    assert "amount" not in found["schema"].text
    assert "amount" not in found["batch"].json()["users"][0]["columns"]


def test_an_explanation_shows_nothing_of_lent_rows_but_what_is_answered(home: Path, start: Start) -> None:
    """Values and filters are of the raw rows of another tenant."""
    sent = headers(new_key(home, ZEBRA))
    published(home, {"purchase": (ZEBRA,), "discount": (ZEBRA,)})
    text = every_way(start(home), sent)["explain"].text
    assert "quantity > 0" not in text


def test_a_grant_passes_on_only_what_is_shared_with_its_reader(home: Path, start: Start) -> None:
    sent = headers(new_key(home, LION, grants={LENT: Grant(ZEBRA)}))
    published(home, {"purchase": (ZEBRA,), "discount": (ZEBRA,)})
    client = start(home)
    assert every_way(client, sent)["user"].status_code == 404
    published(home, {"purchase": (ZEBRA, LION), "discount": (LION, ZEBRA)})
    deadline = time.monotonic() + PATIENCE_S
    while every_way(client, sent)["user"].status_code == 404:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert every_way(client, sent)["user"].status_code == 200


def test_the_command_shows_what_a_key_may_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQPLAT_HOME", str(home))
    key_id = new_key(home, ZEBRA).split("_")[1]
    published(home, {"purchase": (ZEBRA,), "discount": (ZEBRA,)}, {"sales_value": (LION,)})
    shown = CliRunner().invoke(get, [LENT, USER, "--key", key_id], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "basket_id" in shown.output
    assert "amount" not in shown.output
    for refused in ([LENT, USER, "--columns", "amount"], ["household_history", USER]):
        with pytest.raises(Final, match=r"there is no sequence|has no column"):
            CliRunner().invoke(get, [*refused, "--key", key_id], catch_exceptions=False)
