"""Is the process alive, can it answer, and what does it serve?"""

from dataclasses import dataclass
from importlib.metadata import version

from litestar import get
from litestar.di import NamedDependency

from seqplat_resources.enrichment.table import online_name
from seqplat_resources.errors import SeqplatError
from serving.access.follower import KeyFollower
from serving.admission.draining import Drain
from serving.api.parameters import UnknownParameter
from serving.api.problems import only_parameters
from serving.api.schemas import (
    CutoverStatus,
    EventTypeStatus,
    Liveness,
    ReleaseError,
    ReleaseStatus,
    Status,
    StoreError,
    StreamError,
)
from serving.follow.arms import Arms
from serving.follow.errors import NotReady
from serving.follow.release import Follower
from serving.openapi.examples import STATUS, errors, success

HEALTHY = Liveness("ok")
_DRAINING = NotReady("this process is about to end", fix="send requests to another one")
# Online tables lie in the store beside event types, by names that those cannot have.
_ENRICHMENTS = online_name("")
_NO_STORE = NotReady("the online store is not open yet", fix="publish at least one day")


@dataclass(frozen=True)
class Readiness:
    """Whether load balancers should send requests here.

    NOTE: not whether the store answers just now. It is the same one for every process, so all of them would leave the
    balancer in the same second, and callers would meet a refused connection instead of a 503 that says when to come
    back.
    """

    follower: Follower
    keys: KeyFollower
    draining: Drain

    def require(self) -> None:
        """
        Raises:
            NotReady: why they should not.
        """
        if self.draining.is_on:
            raise _DRAINING
        _ = self.follower.serving, self.follower.store
        self.keys.require()


@get(
    "/healthz",
    summary="Alive",
    operation_id="healthz",
    tags=["operations"],
    responses={200: success(Liveness, "The process runs", HEALTHY)},
)
async def healthz() -> Liveness:
    """Says nothing about data; restart the process if this does not answer."""
    return HEALTHY


@get(
    "/readyz",
    summary="Ready to answer",
    operation_id="readyz",
    tags=["operations"],
    sync_to_thread=False,
    responses={
        200: success(Liveness, "A release is loaded, the store is open, keys are known", HEALTHY),
        **errors(_NO_STORE, _DRAINING, path="/readyz"),
    },
)
def readyz(readiness: NamedDependency[Readiness]) -> Liveness:
    """Becomes ready by itself, within seconds of the first publication; says no before the process ends."""
    readiness.require()
    return HEALTHY


@get(
    "/v1/status",
    summary="What is served",
    operation_id="status",
    tags=["operations"],
    sync_to_thread=False,
    guards=[only_parameters()],
    responses={
        200: success(Status, "What this process serves", STATUS),
        **errors(UnknownParameter("channel", ()), path="/v1/status"),
    },
)
def status(follower: NamedDependency[Follower]) -> Status:
    """Which release, since when, and what is published of each event type. Answers also while not ready."""
    failure, store_failure, published = follower.failure, follower.store_failure, _published(follower)
    return Status(
        version=version("seqplat"),
        channel=follower.channel,
        ready=follower.is_ready,
        release=_release(follower),
        release_error=ReleaseError(failure.since, failure.message) if failure else None,
        store_error=StoreError(store_failure.since, store_failure.message) if store_failure else None,
        stream_errors={
            name: StreamError(found.since, found.attempts, found.again_at, found.message)
            for name, found in follower.stream_troubles.items()
        },
        event_types={name: found for name, found in published.items() if not name.startswith(_ENRICHMENTS)},
        enrichments={
            name.removeprefix(_ENRICHMENTS): found for name, found in published.items() if name.startswith(_ENRICHMENTS)
        },
        cutover=_cutover(follower.arms),
    )


def _cutover(arms: Arms) -> dict[str, CutoverStatus]:
    failures = arms.failures
    return {
        name: CutoverStatus(at.step.name, at.step.share, at.since, at.is_held, failures.get(name))
        for name, at in arms.standings.items()
    }


def _release(follower: Follower) -> ReleaseStatus | None:
    try:
        serving = follower.serving
    except NotReady:
        return None
    move = serving.move
    return ReleaseStatus(move.release, move.number, move.moved_at, move.moved_by, move.note, serving.loaded_at)


def _published(follower: Follower) -> dict[str, EventTypeStatus]:
    try:
        stats = follower.store.stats()
    except SeqplatError:  # ``store_error`` tells why
        return {}
    return {
        found.event_type: EventTypeStatus(found.epoch, found.release, found.days, found.rows)
        for found in stats.event_types
    }
