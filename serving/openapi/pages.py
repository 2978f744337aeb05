"""/openapi.json and /docs, without a request to any other host."""

from typing import Any

import swagger_ui_bundle
from litestar import Litestar, Request, Router, get
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Server, Tag
from litestar.static_files import create_static_files_router

from serving.openapi.document import completed

_STATIC = "/docs/static"
# Optional parameters that the page fills in.
_FILLED_IN = frozenset({"columns", "limit"})

_DESCRIPTION = """\
A *sequence* is an ordered list of a user's recent events with the signals attached to each of them, defined once and
computed the same everywhere. Answers are columnar: one list per column, newest event first.

All but `/healthz` and `/readyz` needs an API key, which `seqplat keys create` makes: press *Authorize* to try it here.

Every error is `application/problem+json` (RFC 9457) with `field` and `fix`. Every answer carries `X-Request-Id`, the
caller's own where one was sent.
"""


def openapi_config(version: str) -> OpenAPIConfig:
    """The document and the page that shows it."""
    return OpenAPIConfig(
        title="seqplat sequence API",
        version=version,
        description=_DESCRIPTION,
        servers=[Server(url="/", description="this server")],
        tags=[
            Tag(name="sequences", description="Read users' sequences"),
            Tag(name="catalogue", description="Find out what there is"),
            Tag(name="operations", description="Run the service"),
        ],
        use_handler_docstrings=True,
        openapi_router=Router("/docs", route_handlers=[], include_in_schema=False, before_request=_only_the_page),
        render_plugins=[_page()],
    )


def _only_the_page(request: Request[Any, Any, Any]) -> None:
    """The framework has a page of its own for what is not there.

    Raises:
        NotFoundException: it would show it.
    """
    if "path" in request.path_params:
        raise NotFoundException


@get("/openapi.json", include_in_schema=False, sync_to_thread=False)
def openapi_document(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Where tools look for it. Were the whole documentation mounted at the root, it would answer unknown paths, too."""
    return _document(request.app)


def docs_files() -> Router:
    """Swagger UI's own files, from the package that carries them."""
    return create_static_files_router(_STATIC, [swagger_ui_bundle.swagger_ui_path])


class _OpenApi30Page(SwaggerRenderPlugin):
    """Swagger UI 4, the newest that comes as a Python package of its own, shows OpenAPI 3.0 but not 3.1."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, with_few_examples(as_openapi_30(_document(request.app))))


def _document(app: Litestar) -> dict[str, Any]:
    """The whole document, made once: it takes long, and anybody may ask for it."""
    found: dict[str, Any] | None = app.state.get("openapi")
    if found is None:
        found = app.state["openapi"] = completed(app.openapi_schema.to_schema())
    return found


def _page() -> SwaggerRenderPlugin:
    return _OpenApi30Page(
        path="/",
        js_url=f"{_STATIC}/swagger-ui-bundle.js",
        css_url=f"{_STATIC}/swagger-ui.css",
        standalone_preset_js_url=f"{_STATIC}/swagger-ui-standalone-preset.js",
        favicon=f'<link rel="icon" type="image/png" href="{_STATIC}/favicon-32x32.png">',
    )


def as_openapi_30(document: dict[str, Any]) -> dict[str, Any]:
    """The same API in OpenAPI 3.0, where schemas have ``nullable`` instead of a null type, and no list of examples."""
    converted: dict[str, Any] = _downgraded(document)
    return {**converted, "openapi": "3.0.3"}


def with_few_examples(document: dict[str, Any]) -> dict[str, Any]:
    """The page fills its forms with examples and sends them: all optional ones together would be an odd question."""

    def shown(parameter: dict[str, Any]) -> dict[str, Any]:
        if parameter["required"] or parameter["name"] in _FILLED_IN:
            return parameter
        return {key: value for key, value in parameter.items() if key != "example"}

    paths = {
        path: {
            method: {**route, "parameters": [shown(parameter) for parameter in route.get("parameters", ())]}
            for method, route in routes.items()
        }
        for path, routes in document["paths"].items()
    }
    return {**document, "paths": paths}


def _downgraded(node: Any) -> Any:
    if isinstance(node, list):
        return [_downgraded(item) for item in node]
    if not isinstance(node, dict):
        return node
    converted = {
        key: _downgraded(value) for key, value in node.items() if not (key == "examples" and isinstance(value, list))
    }
    for union in ("oneOf", "anyOf"):
        options = converted.get(union)
        if isinstance(options, list) and {"type": "null"} in options:
            left = [option for option in options if option != {"type": "null"}]
            del converted[union]
            # Beside a $ref everything else is ignored in 3.0, so a single option is spread only if it is none.
            only = left[0] if len(left) == 1 and "$ref" not in left[0] else {union: left}
            converted = {**only, **converted, "nullable": True}
    return converted
