"""The lake tables of a release: which columns each has and how it is partitioned.

>>> raw(shop, shop.release.sources["orders"]).name
'lake/raw/orders'
>>> sequence(shop, "basket").schema["product"]
List(String)
"""

from dataclasses import fields

from seqplat_resources.clock import Clock
from seqplat_resources.comparison.contract import Sums
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.home import Home
from seqplat_resources.lake import layout
from seqplat_resources.lake.columns.whole import WholeTable
from seqplat_resources.lake.table import LakeTable
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.release.view_plan import ViewPlan
from seqplat_resources.rules.identity import REVISION
from seqplat_resources.rules.known import SUPERSEDED_TIME
from seqplat_resources.sources.decode import RECEIPT_COLUMNS
from sequence_defs.schema import Column, Keyed, SessionView, Source, parse_dtype

INGEST_STAGE = "ingest"
REJECT_COLUMNS = (
    Column(name="source_partition", dtype="string"),
    Column(name="offset", dtype="int64"),
    Column(name="payload", dtype="binary", description="the bytes as received, or the row as JSON"),
    Column(name="reason", dtype="string"),
    Column(name="release", dtype="string"),
)


def raw(runtime: Runtime, source: Source) -> LakeTable:
    """``raw/<source>``: the source's columns as decoded, and where each row came from."""
    return LakeTable(runtime.home, layout.raw_table(source.name), _raw_columns(source), clock=runtime.clock)


def archive(runtime: Runtime, source: Source) -> LakeTable:
    """``archive/<source>``: what streams read of the source's topic, in the columns of ``raw``; only appended to.

    A file holds messages of one partition and day, so that its statistics say which offsets of the day it has.
    """
    name, columns = layout.archive_table(source.name), _raw_columns(source)
    return LakeTable(runtime.home, name, columns, stats=("_partition", "_offset"), clock=runtime.clock)


def served(runtime: Runtime, plan: EventPlan) -> LakeTable:
    """``served/<event_type>``: events as streams made them visible; only appended to."""
    name = layout.served_table(plan.event_type.name)
    return LakeTable(runtime.home, name, plan.columns, stats=("user_id", "source_partition"), clock=runtime.clock)


def events(runtime: Runtime, plan: EventPlan) -> WholeTable:
    """``events/<event_type>``: files of one shard each, skipped by user and by shard; with ``columns/<event_type>``."""
    name, stats, beside = layout.events_table(plan.event_type.name), ("user_id", "shard"), columns(runtime, plan)
    return WholeTable(runtime.home, name, plan.columns, stats=stats, clock=runtime.clock, beside=beside)


def superseded(runtime: Runtime, plan: EventPlan) -> LakeTable:
    """``superseded/<event_type>``: rows that readers saw instead of those in ``events``, until ``superseded_time``.

    A day without any has no file. Of which rows it is so is said by ``rules.known``, of both tables together.
    """
    name, until = layout.superseded_table(plan.event_type.name), Column(name=SUPERSEDED_TIME, dtype="timestamp")
    return LakeTable(runtime.home, name, (*plan.columns, until), stats=("user_id", "shard"), clock=runtime.clock)


def columns(runtime: Runtime, plan: EventPlan) -> LakeTable:
    """``columns/<event_type>``: columns of days of ``events`` that were built without them."""
    return LakeTable(runtime.home, layout.columns_table(plan.event_type.name), plan.columns, clock=runtime.clock)


def enrichment(runtime: Runtime, definition: Keyed) -> LakeTable:
    """``enrichments/<name>``: per day, every version that is current at some instant of it."""
    keys = {column.name: column for column in runtime.release.sources[definition.source].columns}
    columns = (
        *(keys[key] for key in definition.key),
        Column(
            name="valid_from",
            dtype="timestamp",
            description="from when it holds; null: the bucket's day",
        ),
        Column(name="valid_to", dtype="timestamp", description="until when, exclusive; null: open"),
        *(column.model_copy(update={"sql": None}) for column in definition.columns),
    )
    return LakeTable(runtime.home, layout.enrichment_table(definition.name), columns, clock=runtime.clock)


def sequence(runtime: Runtime, name: str) -> LakeTable:
    """``sequences/<name>``: per day one row per user, one list column per signal, newest event first."""
    definition = runtime.release.sequences[name]
    first = runtime.release.event_types[definition.event_types[0]]
    source = runtime.release.sources[first.source]
    user = next(column for column in source.columns if column.name == source.user_id)
    columns = [
        Column(name="user_id", dtype=user.dtype, pii=user.pii),
        Column(name="length", dtype="int64", description="events of the day"),
        Column(name="event_time", dtype="list[timestamp]"),
        Column(name="event_type", dtype="list[string]"),
        Column(name="event_id", dtype="list[string]"),
    ]
    present = {column.name for column in columns}
    for out, by_type in runtime.release.sequence_columns(name).items():
        if out not in present:
            column = next(iter(by_type.values()))
            columns.append(
                column.model_copy(update={"name": out, "dtype": listed(column.dtype), "sql": None, "default": None})
            )
    return LakeTable(runtime.home, layout.sequence_table(name), columns, stats=("user_id",), clock=runtime.clock)


def view(runtime: Runtime, plan: ViewPlan) -> LakeTable:
    """``sessions/<name>``: per day the sessions that began on it; ``objects/<name>``: what users did with objects."""
    time = {"dtype": "timestamp", "nullable": False}
    if isinstance(plan.definition, SessionView):
        columns = [
            Column(name="session_id", dtype="string", nullable=False, description="of user and first event"),
            plan.user,
            *plan.owned_by,
            Column(name="start_time", description="of its first event", **time),
            Column(name="end_time", description="of its last event", **time),
            Column(name="events", dtype="int64", nullable=False),
            *plan.values,
            Column(name="state", dtype="string", description="OPEN, PROVISIONAL (a late event may change it) or FINAL"),
            Column(name="rev", dtype="int64", description="how often it was changed"),
            Column(name="op", dtype="string", description="upsert; retract where it is gone"),
            Column(name="superseded_by", dtype="string", description="of a session that is gone, which took its place"),
        ]
    else:
        columns = [
            plan.user,
            *plan.owned_by,
            Column(name="first_time", description="of the day's first event", **time),
            Column(name="last_time", description="of the day's last event", **time),
            Column(name="events", dtype="int64", nullable=False),
            Column(name="actions", dtype="int64", description="bit n: the n-th declared action; bit 0: others"),
            *plan.values,
        ]
    return LakeTable(runtime.home, layout.view_table(plan.name), columns, stats=("user_id",), clock=runtime.clock)


def shadow(runtime: Runtime, name: str, layer: str = layout.SHADOW) -> LakeTable:
    """``shadow/<event_type>`` or ``shadow_sequences/<sequence>``: what the comparison with legacy counted by day."""
    columns = (
        Column(name="kind", dtype="string", description="metric, cause, obstacle, cohort, example or histogram"),
        Column(name="name", dtype="string", description="of a cohort its column, of an example its cause"),
        *(
            Column(name=each.name, dtype="int64", description="over users; null where the row counts no users")
            for each in fields(Sums)
        ),
        Column(name="says", dtype="string", description="in words or as JSON; null where numbers say it all"),
    )
    return LakeTable(runtime.home, layout.shadow_table(name, layer), columns, clock=runtime.clock)


def exposures(home: Home, event_type: str, clock: Clock) -> LakeTable:
    """``exposures/<event_type>``: which users were answered with whose events of the type; servers append to it."""
    columns = (
        Column(name="user", dtype="string", description="pseudonym; null in a row that says how many were lost"),
        Column(name="arm", dtype="string", description="ours or legacy"),
        Column(name="move", dtype="int64", description="number of the ladder's move"),
        Column(name="step", dtype="string", description="of the ladder"),
        Column(name="sequence", dtype="string", description="that was asked for"),
        Column(name="at", dtype="timestamp", description="first of the day in the process that wrote it"),
        Column(name="place", dtype="int16", description="hash(user) % 64, to read users in parts"),
        Column(name="dropped", dtype="int64", description="exposures that were lost before; null in rows of users"),
    )
    return LakeTable(home, layout.exposures_table(event_type), columns, clock=clock)


def answered(home: Home, sequence: str, clock: Clock) -> LakeTable:
    """``answered/<sequence>``: which events requests were answered with; servers append to it. Lists are as long as
    the answer, in its order; each event is named by what a revision of it is stored under.
    """
    columns = (
        Column(name="request", dtype="string", description="X-Request-Id; null in a row that says how many were lost"),
        Column(name="user", dtype="string", pii=True, description="as it was asked, or a pseudonym"),
        Column(name="is_pseudonym", dtype="bool", description="whether user is one"),
        Column(name="at", dtype="timestamp", description="just before the store was looked at"),
        Column(name="query", dtype="string", description="what chose among the events, as JSON"),
        Column(name="release", dtype="string", description="that answered"),
        Column(name="length", dtype="int64", description="events of the answer"),
        Column(name="sealed_through", dtype="timestamp", description="until when batch had published everything"),
        Column(name="partial", dtype="bool", description="the deadline cut it short"),
        Column(name="degraded", dtype="list[string]", description="what the answer said it lacks"),
        Column(name="event_type", dtype="list[string]", description="as the store calls it"),
        *(Column(name=name, dtype=f"list[{dtype}]") for name, dtype in REVISION.items()),
        Column(name="dropped", dtype="int64", description="answers that were lost before; null in rows of answers"),
    )
    return LakeTable(home, layout.answered_table(sequence), columns, stats=("user",), clock=clock)


def readout(runtime: Runtime, event_type: str) -> LakeTable:
    """``readout/<event_type>``: per day and metric what users of either arm did until the end of it."""
    columns = (
        Column(name="metric", dtype="string", description="null in the one row that has the whole record"),
        Column(name="legacy", dtype="float64"),
        Column(name="ours", dtype="float64"),
        Column(name="difference", dtype="float64", description="ours less legacy's"),
        Column(name="lower", dtype="float64", description="of the difference, at every look"),
        Column(name="upper", dtype="float64", description="of the difference, at every look"),
        Column(name="state", dtype="string"),
        Column(name="record", dtype="string", description="the whole readout as JSON; null in rows of metrics"),
    )
    return LakeTable(runtime.home, layout.readout_table(event_type), columns, clock=runtime.clock)


def rejects(runtime: Runtime, source: str) -> LakeTable:
    """``rejects/<source>``: rows that could not become raw rows (stage ``ingest``) or events (stage: event type)."""
    name = layout.rejects_table(source)
    return LakeTable(runtime.home, name, REJECT_COLUMNS, partition_by=("stage", "day"), clock=runtime.clock)


def _raw_columns(source: Source) -> tuple[Column, ...]:
    # NOTE: names were checked where they were declared; stored ones may begin with an underscore.
    stored = (column.model_copy(update={"name": layout.stored_name(column.name)}) for column in source.columns)
    return (*stored, *RECEIPT_COLUMNS)


def listed(dtype: str) -> str:
    """The type of a list of such values; vectors are bytes."""
    return "list[binary]" if parse_dtype(dtype).kind == "vector" else f"list[{dtype}]"
