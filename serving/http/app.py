"""The sequence API as one ASGI application.

>>> from litestar.testing import TestClient
>>> settings = Settings.from_environment({"SEQPLAT_HOME": shop.home.root, "SEQPLAT_ACCESS_LOG": "off"})
>>> with TestClient(create_app(settings)) as api:
...     api.get("/healthz").json(), api.get("/v1/sequences").status_code
...
({'status': 'ok'}, 401)
"""

from importlib.metadata import version

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import Scope

from serving.access.authentication import Authentication, caller_of
from serving.access.lookout import Lookout
from serving.access.opening import access_log_of, key_follower
from serving.access.sessions import Sessions
from serving.access.sign_in import SignIn
from serving.access.strangers import Strangers
from serving.admission.bodies import Bodies
from serving.admission.draining import Drain
from serving.admission.lanes import PAGE_WAIT_S, Lane, lane_of, wait_s
from serving.admission.limits import body_bytes
from serving.admission.memory import TenantMemory
from serving.admission.queue import Queue, Shedding
from serving.answers.answer import AnswerCaches
from serving.api.paths import with_routed_path
from serving.api.problems import answer_problem
from serving.console import pages
from serving.console.layer import ConsoleLayer
from serving.explain.deadline import Explainer
from serving.follow.checks import EVERY_S, ChecksFollower
from serving.follow.polling import polled
from serving.follow.release import Follower
from serving.http.edge import Edge
from serving.metrics import BehindCounts, CacheCounts, Cells, LoadCounts, ReleaseCounts, RequestCounts, Scrapes
from serving.openapi.pages import docs_files, openapi_config, openapi_document
from serving.routes import catalog, checks, explain, health, metrics, sequences, sessions
from serving.routes.direct import Direct
from serving.settings import Settings

# Bodies of requests that are under way or wait, of all tenants together; a common one has some kilobytes. And large
# answers that are on their way, of which a common one has less than a megabyte.
BODIES_BYTES, ANSWERS_BYTES = 64 << 20, 256 << 20


def create_app(settings: Settings, *, cells: Cells | None = None) -> Litestar:
    """Build the application; it reads nothing before it is started.

    ``cells`` hold what is counted; the processes of one server share theirs.
    """
    follower, keys, draining = Follower(settings), key_follower(settings), Drain(settings.drain_s)
    cells = cells or Cells()
    sending = TenantMemory(ANSWERS_BYTES, one_each=True)
    kept = AnswerCaches.of(settings.cache_mb << 20)
    kept_counts = CacheCounts(cells, kept.answers)
    releases = ReleaseCounts(cells, follower)
    behind_counts = [
        BehindCounts(cells, "exposures", follower.exposures.behind),
        BehindCounts(cells, "recorded_answers", follower.answers.behind),
    ]
    log = access_log_of(settings, keys)
    explaining = Explainer()
    readiness = health.Readiness(follower, keys, draining)
    board = ChecksFollower(follower)
    scrapes = Scrapes(cells, follower, board, version=version("seqplat"))
    lookout = Lookout(follower, board)
    app = Litestar(
        [
            catalog.catalogue,
            sequences.sequence_schema,
            sequences.user_sequence,
            sequences.batch,
            explain.explain_event,
            sessions.user_session,
            checks.checks,
            checks.migration,
            checks.readout,
            checks.acknowledge,
            checks.mute,
            health.healthz,
            health.readyz,
            health.status,
            metrics.metrics,
            openapi_document,
            docs_files(),
            *pages.ROUTES,
        ],
        dependencies={
            "follower": Provide(lambda: follower, sync_to_thread=False, use_cache=True),
            "readiness": Provide(lambda: readiness, sync_to_thread=False, use_cache=True),
            "explaining": Provide(lambda: explaining, sync_to_thread=False, use_cache=True),
            "scrapes": Provide(lambda: scrapes, sync_to_thread=False, use_cache=True),
            "lookout": Provide(lambda: lookout, sync_to_thread=False, use_cache=True),
            "caller": Provide(caller_of, sync_to_thread=False),
        },
        exception_handlers={Exception: answer_problem, HTTPException: answer_problem},
        lifespan=[
            lambda _app: follower.running(),
            lambda _app: follower.exposures.behind.running(),
            lambda _app: follower.answers.behind.running(),
            lambda _app: explaining.running(),
            lambda _app: polled(board.refresh, max(EVERY_S, settings.poll_s)),
            lambda _app: polled(keys.refresh, settings.poll_s),
            lambda _app: log.running(),
            lambda _app: polled(kept_counts.look, settings.poll_s),
            *(lambda _app, counts=counts: polled(counts.look, settings.poll_s) for counts in behind_counts),
            lambda _app: draining.on_sigterm(),
            # Last: a process that counts as one that serves is told of its end as all are.
            lambda _app: polled(releases.look, settings.poll_s),
        ],
        state=State({"follower": follower, "board": board, "settings": settings, "kept": kept, "sending": sending}),
        request_max_body_size=body_bytes(settings),
        logging_config=None,  # the framework's own would replace that of the process
        openapi_config=openapi_config(version("seqplat")),
    )
    # Plain ASGI layers: the framework's cost 20 us each, and unknown paths pass them by.
    lanes: dict[Lane, int] = {"short": settings.under_way, "long": settings.long_at_once, "explain": 1, "console": 1}
    queues = {
        lane: Queue(LoadCounts(cells, lane), under_way=most, queue=settings.queue, queue_s=settings.queue_ms / 1000)
        for lane, most in lanes.items()
    }
    answering = Direct(with_routed_path(app.asgi_handler), sequences.one_user)

    def queue_of(scope: Scope) -> tuple[Queue, float | None]:
        lane = lane_of(scope)
        longest_s = PAGE_WAIT_S if lane == "console" else wait_s(scope, settings) if lane == "long" else None
        return queues[lane], longest_s

    shedding = Shedding(answering, queue_of)
    strangers = Strangers()
    signing_in = SignIn(shedding, Sessions(keys), log, strangers)
    most = body_bytes(settings)
    bodies = Bodies(signing_in, TenantMemory(max(BODIES_BYTES, 4 * most)), most_bytes=most, within_s=settings.body_s)
    authenticated = Authentication(bodies, keys, log, metrics_open=settings.metrics_open, strangers=strangers)
    app.asgi_handler = Edge(ConsoleLayer(authenticated), RequestCounts(cells), draining)
    return app
