"""/openapi.json and /docs, without a request to any other host.

>>> client.get("/openapi.json").json()["info"]["title"], client.get("/docs/").status_code
('seqplat sequence API', 200)
"""

from pathlib import Path
from typing import Any

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
    """Swagger UI's own files."""
    return create_static_files_router(_STATIC, [Path(__file__).with_name("swagger_ui")])


class _Page(SwaggerRenderPlugin):
    """Shows the whole document."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, with_few_examples(_document(request.app)))


def _document(app: Litestar) -> dict[str, Any]:
    """The whole document, made once: it takes long, and anybody may ask for it."""
    found: dict[str, Any] | None = app.state.get("openapi")
    if found is None:
        found = app.state["openapi"] = completed(app.openapi_schema.to_schema())
    return found


def _page() -> SwaggerRenderPlugin:
    return _Page(
        path="/",
        js_url=f"{_STATIC}/swagger-ui-bundle.js",
        css_url=f"{_STATIC}/swagger-ui.css",
        standalone_preset_js_url=f"{_STATIC}/swagger-ui-standalone-preset.js",
        favicon=f'<link rel="icon" type="image/png" href="{_STATIC}/favicon-32x32.png">',
    )


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
