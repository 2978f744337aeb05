"""The OpenAPI document, and the page that shows it without a network."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from serving.api import checks, readout, schemas
from serving.openapi.pages import with_few_examples

Client = TestClient[Litestar]


@pytest.fixture(scope="module")
def document(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(child)


def test_every_route_is_documented(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {
        "/v1/checks",
        "/v1/checks/incidents/{incident}/acknowledge",
        "/v1/checks/incidents/{incident}/mute",
        "/v1/migration",
        "/v1/migration/{event_type}/readout",
        "/v1/sequences",
        "/v1/sequences/{name}/batch",
        "/v1/sequences/{name}/schema",
        "/v1/sequences/{name}/users/{user_id}",
        "/v1/sequences/{name}/users/{user_id}/explain",
        "/v1/sessions/{name}/users/{user_id}",
        "/v1/status",
        "/healthz",
        "/metrics",
        "/readyz",
    }
    names = [operation["operationId"] for operation in _operations(document)]
    assert len(names) == len(set(names))
    assert all(operation["summary"] and operation["description"] for operation in _operations(document))


def test_the_document_stays_the_same(client: Client, document: dict[str, Any]) -> None:
    assert client.get("/docs").status_code == 200
    assert client.get("/openapi.json").json() == document


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    references = {node["$ref"] for node in _nodes(document) if "$ref" in node}
    assert {ref.removeprefix("#/components/schemas/") for ref in references} <= document["components"]["schemas"].keys()


def test_every_parameter_and_path_part_is_described(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            parameters = operation.get("parameters", [])
            assert all(parameter["description"] for parameter in parameters)
            in_path = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
            assert in_path == set(re.findall(r"{(\w+)}", path))


def test_every_error_is_a_problem_with_an_example(document: dict[str, Any]) -> None:
    for operation in _operations(document):
        failures = {status: answer for status, answer in operation["responses"].items() if status != "200"}
        assert "500" in failures or operation["operationId"] == "healthz"
        for status, answer in failures.items():
            if status in {"304", "414"}:
                assert "content" not in answer
                continue
            [(media_type, content)] = answer["content"].items()
            assert media_type == "application/problem+json"
            for example in content["examples"].values():
                assert msgspec.convert(example["value"], schemas.Problem).status == int(status)


def test_examples_of_answers_have_the_form_they_show(document: dict[str, Any]) -> None:
    shown = 0
    for operation in _operations(document):
        if operation["operationId"] == "metrics":
            continue
        content = operation["responses"]["200"]["content"]["application/json"]
        name = content["schema"]["$ref"].rsplit("/", 1)[1]
        struct = next(getattr(each, name) for each in (schemas, checks, readout) if hasattr(each, name))
        for example in content.get("examples", {}).values():
            assert (
                msgspec.json.decode(msgspec.json.encode(msgspec.convert(example["value"], struct))) == example["value"]
            )
            shown += 1
    assert shown == 14


def test_what_needs_a_key_says_so_and_how_it_is_refused(document: dict[str, Any]) -> None:
    [(scheme, said)] = document["components"]["securitySchemes"].items()
    assert (said["type"], said["scheme"]) == ("http", "bearer")
    for operation in _operations(document):
        if operation["operationId"] in {"healthz", "readyz"}:
            assert "security" not in operation
            continue
        assert operation["security"] == [{scheme: []}]
        assert {"401", "429", "503"} <= set(operation["responses"])
        assert "Retry-After" in operation["responses"]["429"]["headers"]


def test_parameters_are_the_fields_of_a_body(document: dict[str, Any]) -> None:
    one = document["paths"]["/v1/sequences/{name}/users/{user_id}"]["get"]
    many = document["paths"]["/v1/sequences/{name}/batch"]["post"]
    asked = {parameter["name"]: parameter for parameter in one["parameters"] if parameter["in"] == "query"}
    body = document["components"]["schemas"]["BatchRequest"]["properties"]
    assert {*asked, "users"} == set(body)
    assert all("example" in parameter for parameter in asked.values())
    assert not [node for parameter in asked.values() for node in _nodes(parameter) if node.get("type") == "null"]
    for example in many["requestBody"]["content"]["application/json"]["examples"].values():
        msgspec.convert(example["value"], schemas.BatchRequest)


def test_answers_come_in_two_forms_with_their_freshness_as_headers(document: dict[str, Any]) -> None:
    for operation in _operations(document):
        if operation["operationId"] in {"user_sequence", "batch"}:
            answer = operation["responses"]["200"]
            assert set(answer["content"]) == {"application/json", "application/vnd.apache.arrow.stream"}
            assert {"X-Seqplat-Epoch", "X-Seqplat-Degraded", "X-Request-Id"} <= set(answer["headers"])


def test_the_page_asks_nobody_else_for_anything(client: Client) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.findall(r"""(?:https?:)?//[\w.-]+\.\w+""", page.text)
    sources = re.findall(r"""(?:src|href)=['"]([^'"]+)['"]""", page.text)
    assert len(sources) == 4
    for source in sources:
        assert source.startswith("/docs/static/")
        assert client.get(source).status_code == 200


def test_parameters_come_in_the_order_of_the_path(document: dict[str, Any]) -> None:
    route = document["paths"]["/v1/sequences/{name}/users/{user_id}"]["get"]
    names = [parameter["name"] for parameter in route["parameters"]]
    assert names[:4] == ["name", "user_id", "columns", "limit"]
    assert names[-2:] == ["X-Deadline-Ms", "If-None-Match"]


def test_the_page_fills_in_a_plain_question(client: Client, document: dict[str, Any]) -> None:
    shown = with_few_examples(document)["paths"]["/v1/sequences/{name}/users/{user_id}"]["get"]
    filled_in = {parameter["name"] for parameter in shown["parameters"] if "example" in parameter}
    assert filled_in == {"name", "user_id", "columns", "limit"}
    assert "If-None-Match" in {parameter["name"] for parameter in shown["parameters"]}
    assert '"example":"250"' not in client.get("/docs").text  # that of X-Deadline-Ms
