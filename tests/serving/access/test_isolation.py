"""What is not yours is not there: the same answers, byte for byte, as for what does not exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from seqplat_resources.home import Home
from serving.access.keys import changes
from serving.access.keys.ring import Grant
from serving.access.keys.store import KeyStore
from tests.serving.access.conftest import OTHER, OTHERS, OWN, PERSONAL, published_for_two
from tests.serving.conftest import Start
from tests.serving.keys import headers, new_headers, new_key

Client = TestClient[Litestar]
# As long as the other tenant's sequence and as near to it as can be: what exists must not show in a hint.
NOWHERE = "zebra_visitz"
USER = "1146"
SEEN = ("event_time", "event_type", "event_id", "brand")
PATH = f"/v1/sequences/{OWN}/users/{USER}"


@pytest.fixture
def client(shared: Path, start: Start) -> Client:
    """The API over two tenants, asked by ``grocery``."""
    return start(shared)


def _asked(
    client: Client, name: str, sent: dict[str, str] | None = None, *, event_id: str = "1"
) -> Iterator[tuple[str, Any]]:
    """Every route below a sequence, whatever routes there are, with and without parameters."""
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        if "{name}" not in path:
            continue
        url = path.replace("{name}", name).replace("{user_id}", USER)
        for method in operations:
            body = {"users": [USER]} if method == "post" else None
            for query in ({}, {"columns": "nothing"}, {"event_id": event_id}):
                response = client.request(method, url, params=query, json=body, headers=sent)
                yield f"{method} {path} {query}", (response.status_code, response.text, dict(response.headers))


def test_not_yours_is_answered_as_not_there(client: Client) -> None:
    asked = 0
    for (what, yours), (_, nobodys) in zip(_asked(client, OTHERS), _asked(client, NOWHERE), strict=True):
        status, text, fields = yours
        same_status, same_text, same_fields = nobodys
        assert (status, text) == (same_status, same_text.replace(NOWHERE, OTHERS)), what
        assert {k: v for k, v in fields.items() if k != "x-request-id"} == {
            k: v for k, v in same_fields.items() if k != "x-request-id"
        }
        assert OTHER not in text
        asked += status == 404
    assert asked >= 2


def test_hints_name_only_what_the_caller_sees(client: Client) -> None:
    problem = client.get(f"/v1/sequences/{OTHERS}/schema").json()
    assert problem["fix"] == f"use '{OWN}', or GET /v1/sequences lists them"


def test_the_catalogue_is_the_callers(client: Client, shared: Path) -> None:
    assert [entry["name"] for entry in client.get("/v1/sequences").json()["sequences"]] == [OWN]
    text = client.get("/v1/sequences").text
    assert OTHER not in text
    assert OTHERS not in text


def test_each_tenant_sees_its_own(shared: Path, start: Start) -> None:
    sent = new_headers(shared, OTHER)
    client = start(shared)
    assert [entry["name"] for entry in client.get("/v1/sequences", headers=sent).json()["sequences"]] == [OTHERS]
    assert client.get(f"/v1/sequences/{OTHERS}/users/{USER}", headers=sent).json()["length"] > 0
    assert client.get(PATH, headers=sent).status_code == 404


def test_the_documentation_knows_no_tenant_and_no_sequence(client: Client) -> None:
    for path in ("/openapi.json", "/docs"):
        text = client.get(path).text
        assert OTHER not in text
        assert OTHERS not in text


def test_a_grant_opens_another_tenants_sequence_and_nothing_else(shared: Path, start: Start) -> None:
    store = KeyStore(Home(str(shared), {}))
    key, text = changes.create(store, "grocery", by="tests")
    changes.grant(store, key.id, OTHERS, Grant(OTHER, ("amount",)), by="their owner")
    client = start(shared)
    client.headers.update(headers(text))
    assert [entry["name"] for entry in client.get("/v1/sequences").json()["sequences"]] == [OWN, OTHERS]
    answer = client.get(f"/v1/sequences/{OTHERS}/users/{USER}").json()
    assert list(answer["columns"]) == ["event_time", "event_type", "event_id", "amount"]


def test_a_grant_ends_when_the_sequence_changes_hands(shared: Path, start: Start) -> None:
    sent = new_headers(shared, "grocery", grants={OTHERS: Grant(OTHER)})
    client = start(shared)
    assert client.get(f"/v1/sequences/{OTHERS}/schema", headers=sent).status_code == 200
    published_for_two(shared, owner="lion_team")
    again = start(shared)
    assert again.get(f"/v1/sequences/{OTHERS}/schema", headers=sent).status_code == 404


def test_a_key_of_one_sequence_sees_one(home: Path, start: Start) -> None:
    sent = new_headers(home, reads_own=False, grants={"purchase_vectors": Grant("grocery")})
    client = start(home)
    assert len(client.get("/v1/sequences").json()["sequences"]) == 2
    assert len(client.get("/v1/sequences", headers=sent).json()["sequences"]) == 1
    assert client.get(PATH, headers=sent).status_code == 404


def test_a_hidden_column_is_answered_as_one_that_is_not_there(home: Path, start: Start) -> None:
    sent = new_headers(home, grants={OWN: Grant("grocery", ("brand", "quantity"))})
    client = start(home)
    client.headers.update(sent)
    assert list(client.get(PATH).json()["columns"]) == ["event_time", "event_type", "event_id", "brand", "quantity"]
    for query in ("columns={}", "columns=brand,{}", "where={} > 1", "top_k=1&vector=1&similar_to={}"):
        hidden, absent = (client.get(f"{PATH}?{query.format(name)}") for name in ("sales_value", "sales_valuf"))
        assert hidden.status_code == absent.status_code == 400, query
        assert hidden.text == absent.text.replace("sales_valuf", "sales_value"), query
    for path in (f"/v1/sequences/{OWN}/schema", "/v1/sequences"):
        described = json.dumps(client.get(path).json()).replace("purchase_vectors", "")
        if path.endswith("schema"):
            assert "sales_value" not in described
    entries = {entry["name"]: entry for entry in client.get("/v1/sequences").json()["sequences"]}
    assert [c["name"] for c in entries[OWN]["columns"]][3:] == ["brand", "quantity"]


def test_an_answer_that_is_kept_is_nobody_elses(shared: Path, start: Start) -> None:
    """Callers who see different columns ask for the same user in turn, and with each other's ETag."""
    keys = {
        "plain": new_headers(shared),
        "personal": new_headers(shared, grants={OWN: Grant("grocery", None, (PERSONAL,))}),
        "restricted": new_headers(shared, grants={OWN: Grant("grocery", ("brand",))}),
    }
    client = start(shared)
    plain = set(client.get(PATH).json()["columns"])
    visible = {"plain": plain, "personal": plain | {PERSONAL}, "restricted": set(SEEN)}
    tags: dict[str, str] = {}
    for who in [*keys, *reversed(keys), *keys]:
        response = client.get(PATH, headers=keys[who])
        assert set(response.json()["columns"]) == visible[who]
        tags[who] = response.headers["etag"]
    assert len(set(tags.values())) == len(keys)
    for who, sent in keys.items():
        for whose, tag in tags.items():
            again = client.get(PATH, headers={**sent, "If-None-Match": tag})
            assert again.status_code == (304 if who == whose else 200)


def test_no_route_says_anything_of_a_hidden_column(shared: Path, start: Start) -> None:
    sent = new_headers(shared, grants={OWN: Grant("grocery", ("brand",))})
    client = start(shared)
    event_id = client.get(PATH).json()["columns"]["event_id"][0]
    hidden = [name for name in client.get(PATH).json()["columns"] if name not in SEEN] + [PERSONAL]
    assert len(hidden) > 5
    asked = 0
    for what, (status, text, _) in _asked(client, OWN, sent, event_id=event_id):
        asked += status == 200
        assert not re.findall(rf"\b({'|'.join(hidden)})\b", text), what
    assert asked >= 3


def test_personal_data_needs_a_grant_by_name(shared: Path, start: Start) -> None:
    granted = new_headers(shared, grants={OWN: Grant("grocery", None, (PERSONAL,))})
    client = start(shared)
    assert PERSONAL not in client.get(PATH).json()["columns"]
    refused = client.get(f"{PATH}?columns={PERSONAL}")
    assert refused.status_code == 400
    assert f"'{PERSONAL}'" not in refused.json()["fix"]
    columns = client.get(PATH, headers=granted).json()["columns"]
    assert set(columns) - set(client.get(PATH).json()["columns"]) == {PERSONAL}
    assert any(columns[PERSONAL])
    schema = f"/v1/sequences/{OWN}/schema"
    assert f'"{PERSONAL}"' in client.get(schema, headers=granted).text
    assert f'"{PERSONAL}"' not in client.get(schema).text


def test_personal_data_that_comes_later_is_not_granted_before(home: Path, start: Start) -> None:
    """A key that may read a column's name does not read it once the column is declared personal."""
    sent = new_headers(home, grants={OWN: Grant("grocery", ("brand", PERSONAL))})
    client = start(published_for_two(home))
    assert "brand" in client.get(PATH, headers=sent).json()["columns"]
    assert PERSONAL not in client.get(PATH, headers=sent).json()["columns"]


def test_plans_are_made_once_per_key_and_release(shared: Path) -> None:
    from serving.access.caller import Caller
    from serving.access.follower import KeyFollower
    from serving.follow.release import Follower
    from tests.serving.conftest import settings_for

    text = new_key(shared, grants={OWN: Grant("grocery", ("brand",))})
    follower, keys = Follower(settings_for(shared)), KeyFollower(Home(str(shared), {}))
    follower.refresh()
    keys.refresh()

    def caller() -> Caller:
        return Caller(keys.authenticated(text.encode(), 0.0))

    plan = caller().plan(follower.serving, OWN)
    assert caller().plan(follower.serving, OWN) is plan
    new_key(shared)
    keys.refresh()  # another key changes nothing for this one
    assert caller().plan(follower.serving, OWN) is plan
    published_for_two(shared, owner="lion_team")
    follower.refresh()
    assert caller().plan(follower.serving, OWN) is not plan
    follower.close()


def test_no_answer_names_what_another_tenant_has(client: Client) -> None:
    for what, (_, text, fields) in _asked(client, OWN):
        found = re.findall(rf"{OTHER}|{OTHERS}", text + json.dumps(fields))
        assert not found, what
