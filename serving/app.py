"""The sequence API as one ASGI application."""

from importlib.metadata import version

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException

from serving.docs import docs_files, openapi_config, openapi_document
from serving.follower import Follower
from serving.polling import polled
from serving.problems import answer_problem
from serving.request_id import echo_request_id
from serving.routes import catalog, health, sequences
from serving.settings import Settings
from serving.tenants import Authenticated, KeyFollower, caller_of


def create_app(settings: Settings) -> Litestar:
    """Build the application; it reads nothing before it is started."""
    follower = Follower(settings)
    keys = KeyFollower(settings.home)
    app = Litestar(
        [
            catalog.catalogue,
            sequences.sequence_schema,
            sequences.user_sequence,
            health.healthz,
            health.readyz,
            health.status,
            openapi_document,
            docs_files(),
        ],
        dependencies={
            "follower": Provide(lambda: follower, sync_to_thread=False, use_cache=True),
            "caller": Provide(caller_of, sync_to_thread=False),
        },
        exception_handlers={Exception: answer_problem, HTTPException: answer_problem},
        before_send=[echo_request_id],
        lifespan=[lambda _app: follower.running(), lambda _app: polled(keys.refresh, settings.poll_s)],
        openapi_config=openapi_config(version("seqplat")),
    )
    app.asgi_handler = Authenticated(app.asgi_handler, keys)
    return app


def from_environment() -> Litestar:
    """What a server process calls: see ``Settings.from_environment``."""
    return create_app(Settings.from_environment())
