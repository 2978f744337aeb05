"""What there is to ask for."""

import msgspec
from litestar import get
from litestar.di import NamedDependency

from seqplat_resources.clock import Clock
from seqplat_resources.online_store import OnlineStore
from seqplat_resources.read.freshness import freshness
from seqplat_resources.release.sequence_plan import SequencePlan
from serving.access.caller import Caller
from serving.answers.encoding import definitions_of
from serving.api.parameters import UnknownParameter
from serving.api.problems import only_parameters
from serving.api.schemas import Catalogue, ColumnEntry, EarlierDefinition, FreshnessEntry, Promise, SequenceEntry
from serving.follow.release import Follower
from serving.openapi.examples import CATALOGUE, errors, success


@get(
    "/v1/sequences",
    summary="All sequences, with their columns and how fresh they are",
    operation_id="catalogue",
    tags=["catalogue"],
    guards=[only_parameters()],
    sync_to_thread=False,
    responses={
        200: success(Catalogue, "The catalogue", CATALOGUE),
        **errors(UnknownParameter("tenant", ()), path="/v1/sequences"),
    },
)
def catalogue(follower: NamedDependency[Follower], caller: NamedDependency[Caller]) -> Catalogue:
    """What the caller may read; columns of personal data are listed where they are granted."""
    serving, store, clock = follower.serving, follower.store, follower.clock
    return Catalogue(serving.loaded.id, [_entry(plan, store, clock) for plan in caller.plans(serving).values()])


def _entry(plan: SequencePlan, store: OnlineStore, clock: Clock) -> SequenceEntry:
    definition, fresh = plan.definition, freshness(plan, store, clock=clock)
    return SequenceEntry(
        name=definition.name,
        tenant=definition.tenant,
        owner=definition.owner,
        description=definition.description,
        lifecycle=definition.lifecycle,
        event_types=list(definition.event_types),
        columns=[
            ColumnEntry(
                column.name,
                column.dtype,
                column.unit,
                column.description,
                column.nullable,
                column.name in definition.deprecated,
            )
            for column in plan.columns.values()
        ],
        length=definition.length,
        window_days=definition.window_days,
        promise={event_type: Promise(first, end) for event_type, (first, end) in plan.promised.items()},
        freshness=FreshnessEntry(
            fresh.sealed_through,
            fresh.completeness,
            dict(fresh.epoch),
            msgspec.convert(definitions_of(fresh), dict[str, list[EarlierDefinition]]),
        ),
    )
