"""Numbers for Prometheus."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from serving.answers.answer import Ready
from serving.api.parameters import UnknownParameter
from serving.api.problems import only_parameters
from serving.metrics import Scrapes
from serving.openapi.examples import errors

_EXAMPLE = """\
# HELP seqplat_requests_under_way Requests being answered.
# TYPE seqplat_requests_under_way gauge
seqplat_requests_under_way{lane="short"} 2.0
"""


@get(
    "/metrics",
    summary="Metrics of this server, all processes together",
    operation_id="metrics",
    tags=["operations"],
    guards=[only_parameters()],
    media_type="text/plain",
    responses={
        200: ResponseSpec(
            str,
            generate_examples=False,
            description="Prometheus's text format; OpenMetrics where Accept asks for it",
            media_type="text/plain",
            examples=[Example(summary="the beginning", value=_EXAMPLE)],
        ),
        **errors(UnknownParameter("event_type", ()), path="/metrics"),
    },
)
async def metrics(request: Request[Any, Any, Any], scrapes: NamedDependency[Scrapes]) -> Ready:
    """docs/operations.md says what each means and when to be alarmed."""
    body, media_type = await scrapes.answer(request.headers.get("accept", ""))
    # The framework would add a charset to the one that is there.
    return Ready(200, [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))], body)
