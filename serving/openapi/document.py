"""What the framework cannot say of the API: what handlers read from the request themselves, and what holds for every
route, said once.

>>> paths = client.get("/openapi.json").json()["paths"]
>>> sorted(paths["/v1/sequences/{name}/users/{user_id}"]["get"]["responses"])[:4]
['200', '304', '400', '401']
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from serving.access.quota import QuotaUsed
from serving.answers import arrow
from serving.api.checks import AcknowledgeRequest, MuteRequest
from serving.api.parameters import DEADLINE_HEADER, MAX_DEADLINE_MS
from serving.api.problems import MEDIA_TYPE
from serving.api.refusals import Overloaded, RoleNeeded, Unauthenticated
from serving.api.schemas import BatchRequest, Problem, SelectionRequest
from serving.openapi import examples

Node = dict[str, Any]

_KEY = "apiKey"
_REF = "#/components/schemas/{name}"
_SELECTING = {"user_sequence", "batch"}
# Answered as one document with a tag.
_TAGGED = {"checks", "migration", "readout"}
# What a POST says, by the name of the operation.
_SAID: Mapping[str, type[msgspec.Struct]] = {"acknowledge": AcknowledgeRequest, "mute": MuteRequest}
_OPEN = {"healthz", "readyz"}
_OPERATORS = {"/metrics", "/v1/status"}
_PLACES = ("path", "query", "header")
# Parts of paths, wherever a route has them.
_PARTS: dict[str, Node] = {
    "name": {
        "description": "a sequence of the catalogue",
        "schema": {"type": "string", "minLength": 1},
        "example": "purchase_vectors",
    },
    "incident": {
        "description": "the id of an incident, from `GET /v1/checks`",
        "schema": {"type": "string", "minLength": 1},
        "example": "1e2bd4a2793f",
    },
    "event_type": {
        "description": "an event type on its way, from `GET /v1/migration`",
        "schema": {"type": "string", "minLength": 1},
        "example": "visit",
    },
    "user_id": {
        "description": "the user as text, percent-encoded",
        "schema": {"type": "string", "minLength": 1},
        "example": "1995",
    },
}
_DEADLINE: Node = {
    "name": DEADLINE_HEADER,
    "in": "header",
    "required": False,
    "description": "milliseconds the answer may take; one that is cut short says so, in `meta.degraded`, or in an "
    "explanation's steps. SEQPLAT_API_DEADLINE_MS of the server if left out",
    # A header is text, and tools that check it take it so.
    "schema": {"type": "string", "pattern": f"^[1-9][0-9]{{0,{len(str(MAX_DEADLINE_MS)) - 1}}}$"},
    "example": "250",
}
_IF_NONE_MATCH: Node = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "`ETag` of an answer the caller has; 304 if it still holds",
    "schema": {"type": "string"},
    "example": 'W/"5f1b6c0e7a3d2b4c8e9f0a1b"',
}


def _header(description: str, schema: Node, example: Any) -> Node:
    return {"description": description, "schema": schema, "example": example}


_TEXT, _TIME = {"type": "string"}, {"type": "string", "format": "date-time"}
_ANSWER_HEADERS: Node = {
    "X-Seqplat-Release": _header("`meta.release`", _TEXT, "bda3b33e269b"),
    "X-Seqplat-Epoch": _header("`meta.epoch` without nulls", _TEXT, "purchase=2, campaign_received=1"),
    "X-Seqplat-Sealed-Through": _header("`meta.sealed_through`; absent for null", _TIME, "2017-12-04T00:00:00Z"),
    "X-Seqplat-Newest-Event-Time": _header("`meta.newest_event_time`; absent for null", _TIME, "2017-12-03T20:55:26Z"),
    "X-Seqplat-Completeness": _header("`meta.completeness`", {"type": "number"}, 1.0),
    "X-Seqplat-Stream-Lag-Ms": _header("`meta.stream_lag_ms`; absent for null", {"type": "integer"}, 850),
    "X-Seqplat-Degraded": _header(
        "`meta.degraded` as quoted strings, as many as fit into 1 KiB; absent if there are none",
        _TEXT,
        '"purchase: nothing streamed yet"',
    ),
    "X-Seqplat-Definitions": _header(
        "`meta.definitions` in words, as quoted strings, as many as fit into 1 KiB; absent if there are none",
        _TEXT,
        '"purchase 2024-05-01 to 2024-05-14: amount, no brand"',
    ),
    "Cache-Control": _header("may be kept by the caller, who has to ask each time", _TEXT, "private, no-cache"),
    "Vary": _header("what else the answer depends on", _TEXT, "Accept, Accept-Encoding, Authorization"),
    "Content-Encoding": _header("`zstd` or `gzip` where accepted and worth it; else absent", _TEXT, "zstd"),
}
_PARTIAL: Node = {
    "X-Seqplat-Partial-Users": _header(
        "`partial` of the users, where it is true of any: one bit each in the order asked, the first being the lowest "
        "of the first byte, in base64 between colons",
        _TEXT,
        ":BQ==:",
    )
}
_ETAG = {"ETag": _header("changes whenever the events could; weak", _TEXT, 'W/"5f1b6c0e7a3d2b4c8e9f0a1b"')}
_REQUEST_ID = {"X-Request-Id": _header("the caller's own, or a new one", _TEXT, "8f0e6f0b4c1d2a3b")}
_QUOTA = {
    "RateLimit-Policy": _header("the key's quotas, where it has some", _TEXT, '"requests";q=50;w=1'),
    "RateLimit": _header("what is left of them", _TEXT, '"requests";r=49;t=1'),
}
_RETRY = {"Retry-After": _header("seconds to wait", {"type": "integer"}, 5)}
_ARROW: Node = {
    "schema": {
        "type": "string",
        "format": "binary",
        "description": "An Arrow IPC stream. Metadata of its schema: `seqplat.sequence`, `seqplat.meta` (the `meta` of "
        "the JSON answer, as JSON), and `seqplat.user_id`, or of a batch `seqplat.users`, `seqplat.lengths` and "
        "`seqplat.partial` (JSON lists; the users' rows follow each other, the first column is `user_id`)",
    }
}


def completed(document: Node) -> Node:
    """The framework's document with all that is said above."""
    _, schemas = msgspec.json.schema_components([BatchRequest, Problem, *_SAID.values()], ref_template=_REF)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas)
    components["securitySchemes"] = {
        _KEY: {"type": "http", "scheme": "bearer", "bearerFormat": "sp_<id>_<secret>", "description": "an API key"}
    }
    for path, methods in document["paths"].items():
        for operation in methods.values():
            _complete(operation, path)
    return document


def _complete(operation: Node, path: str) -> None:
    name, answers = operation["operationId"], operation["responses"]
    for parameter in operation.get("parameters", []):
        parameter.update(_PARTS.get(parameter["name"], {}) if parameter["in"] == "path" else {})
    if name in _SELECTING:
        operation.setdefault("parameters", []).append(_DEADLINE)
        ok = answers["200"]
        ok["content"][arrow.MEDIA_TYPE] = _ARROW
        ok["headers"] = {**_ANSWER_HEADERS, **(_PARTIAL if name == "batch" else {})}
    if name == "explain":
        operation["parameters"].append(_DEADLINE)
    if name == "user_sequence":
        operation["parameters"] += [*_query_parameters(), _IF_NONE_MATCH]
        answers["200"]["headers"] |= _ETAG
        absent = {"Content-Encoding", "X-Seqplat-Newest-Event-Time"}
        headers = {name: header for name, header in _ANSWER_HEADERS.items() if name not in absent}
        answers["304"] = {"description": "The answer the caller has still holds", "headers": headers | _ETAG}
        # No content: that of a problem is not promised.
        answers["414"] = {
            "description": "Query too long; from 64 KiB on the HTTP server itself says so, without a body"
        }
    # The framework gives parts of a path in an order that differs from process to process.
    operation.get("parameters", []).sort(key=lambda it: (_PLACES.index(it["in"]), path.find(f"{{{it['name']}}}")))
    if name == "batch":
        operation["requestBody"] = _body()
    if name in _SAID:
        operation["requestBody"] = _said_body(_SAID[name])
    if name in _TAGGED:
        operation.setdefault("parameters", []).append(_IF_NONE_MATCH)
        whole = {each: _ANSWER_HEADERS[each] for each in ("Cache-Control", "Vary", "Content-Encoding")}
        answers["200"]["headers"] = whole | _ETAG
        held = {each: _ANSWER_HEADERS[each] for each in ("Cache-Control", "Vary")}
        answers["304"] = {"description": "The answer the caller has still holds", "headers": held | _ETAG}
    if name not in _OPEN:
        operation["security"] = [{_KEY: []}]
        for status, spec in _refusals(path, *([] if "500" in answers else [RuntimeError()])):
            _merge(answers.setdefault(status, {"description": spec["description"], "content": {}}), spec)
    for status, answer in answers.items():
        more = [_REQUEST_ID, *([_RETRY] if status in {"429", "503"} else []), *([] if name in _OPEN else [_QUOTA])]
        for headers in more:
            answer["headers"] = {**answer.get("headers", {}), **headers}


def _query_parameters() -> Iterator[Node]:
    _, schemas = msgspec.json.schema_components([SelectionRequest], ref_template=_REF)
    for name, found in schemas["SelectionRequest"]["properties"].items():
        said, schema = _without_null(found)
        parameter = {"name": name, "in": "query", "required": False, **said, "schema": schema}
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        yield parameter


def _without_null(found: Node) -> tuple[Node, Node]:
    """What is said of a field of a body, as of a parameter: that is left out, never null."""
    schema = {key: value for key, value in found.items() if key not in {"default", "description", "examples"}}
    options = [option for option in schema.pop("anyOf", []) if option != {"type": "null"}]
    for option in options:
        schema |= option
    said = {"description": found["description"]}
    example = found.get("examples", schema.pop("examples", None))
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]
    return said | ({"example": example[0]} if example else {}), schema


def _body() -> Node:
    some = {"users": ["1995", "1146"], "columns": ["event_time", "amount"], "limit": 100}
    alike = {
        "users": ["1995"],
        "top_k": 10,
        "similar_to": "product_vector",
        "vector": [0.12, -0.4, 0.03, 0.25, 0.0, 0.51, -0.07, 0.3],
    }
    content = {
        "schema": {"$ref": _REF.format(name="BatchRequest")},
        "examples": {"newest": {"summary": "newest events", "value": some}, "similar": {"value": alike}},
    }
    return {"required": True, "content": {"application/json": content}}


def _said_body(kind: type[msgspec.Struct]) -> Node:
    some = {"because": "the file comes at noon", **({"until": "2026-12-24"} if kind is MuteRequest else {})}
    schema = {"$ref": _REF.format(name=kind.__name__)}
    return {
        "required": True,
        "content": {"application/json": {"schema": schema, "examples": {"said": {"value": some}}}},
    }


def _refusals(path: str, *more: Exception) -> Iterator[tuple[str, Node]]:
    """What every route but the open ones may answer before it has looked at anything else."""
    raised: list[Exception] = [
        *more,
        Unauthenticated(),
        QuotaUsed("more than 50 requests per second", after_s=1, fix="send them more evenly", headers={}),
        Overloaded("queue_full"),
    ]
    if path in _OPERATORS:
        raised.append(RoleNeeded("operator"))
    if path.startswith("/v1/sequences"):
        raised.append(examples.NOT_READY)
    if "{name}" in path:
        raised.append(examples.UNKNOWN)
    if "{user_id}" in path:
        raised.append(examples.NO_USER)
    example_path = path.replace("{name}", "purchase_vectors").replace("{user_id}", "1995")
    for status, found in examples.problems_of(*raised, path=example_path).items():
        shown = {problem.title.lower().replace(" ", "-"): {"value": msgspec.to_builtins(problem)} for problem in found}
        schema = {"$ref": _REF.format(name="Problem")}
        text = ", or ".join(problem.title.lower() for problem in found).capitalize()
        yield (
            str(status),
            {"description": text, "content": {MEDIA_TYPE: {"schema": schema, "examples": shown}}},
        )


def _merge(answer: Node, more: Node) -> None:
    """Add the examples of ``more`` to an answer of the same status."""
    for media_type, content in more["content"].items():
        there = answer["content"].setdefault(media_type, {"schema": content["schema"], "examples": {}})
        there["examples"] = {**there.get("examples", {}), **content["examples"]}
