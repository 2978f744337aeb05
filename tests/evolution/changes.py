"""The changes of a definition that people make, each with its class: one table for all that judge or survive them.

``SHOP`` is what is there before: a source with files and a topic, two event types, a keyed and a derived enrichment,
one sequence of all of it. A case makes other definitions of it; ``kind`` is the worst class of what changed, and
``place`` the one place where the change is said (object and field).
"""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from sequence_defs import (
    Collapse,
    Column,
    Derived,
    Enrich,
    EventType,
    Join,
    Pick,
    Sequence,
    Source,
    Tenant,
    Time,
    Versioned,
)
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.release import Release
from sequence_defs.evolution.change import Kind
from sequence_defs.schema import Definition

Definitions = tuple[Definition, ...]
Model = TypeVar("Model", bound=Any)

START = dt.date(2024, 5, 1)
COMMON: Any = {"tenant": "shop", "owner": "team:shop", "description": "Of a shop."}

SHOP: Definitions = (
    Tenant(name="shop", tenant="shop"),
    Tenant(name="ads", tenant="ads"),
    Source(
        name="purchases",
        **COMMON,
        location="purchases/{day}.ndjson",
        format="ndjson",
        topic="purchases",
        columns=(
            Column(name="at", dtype="timestamp"),
            Column(name="member", dtype="string", nullable=False),
            Column(name="other_member", dtype="string"),
            Column(name="order_id", dtype="string", nullable=False),
            Column(name="line", dtype="string", nullable=False),
            Column(name="sku", dtype="int64"),
            Column(name="gift_sku", dtype="int64"),
            Column(name="shelf", dtype="string"),
            Column(name="amount", dtype="int32", unit="USD"),
            Column(name="note", dtype="string"),
            Column(name="revision", dtype="int64"),
            Column(name="vector", dtype="vector[float32,4]", model="m-1"),
        ),
        event_time=Time(sql="at"),
        user_id="member",
        start=START,
        retention_days=400,
    ),
    Source(
        name="visits",
        **COMMON,
        location="visits/{day}.ndjson",
        format="ndjson",
        columns=(
            Column(name="at", dtype="timestamp"),
            Column(name="member", dtype="string", nullable=False),
            Column(name="visit_id", dtype="string", nullable=False),
            Column(name="sku", dtype="int64"),
        ),
        event_time=Time(sql="at"),
        user_id="member",
        start=START,
        retention_days=400,
    ),
    Source(
        name="catalogue",
        **COMMON,
        location="catalogue.ndjson",
        format="ndjson",
        columns=(
            Column(name="sku", dtype="int64"),
            Column(name="line", dtype="string"),
            Column(name="since", dtype="timestamp"),
            Column(name="brand", dtype="string"),
            Column(name="maker", dtype="string"),
        ),
    ),
    Versioned(
        name="product",
        **COMMON,
        source="catalogue",
        key=("sku",),
        valid_from=Time(sql="since"),
        columns=(Column(name="brand", dtype="string"), Column(name="maker", dtype="string")),
    ),
    Derived(name="size", **COMMON, columns=(Column(name="cents", dtype="int64", sql="amount * 100"),)),
    EventType(
        name="purchase",
        **COMMON,
        source="purchases",
        id_field="order_id",
        filter="amount > 0",
        columns=(
            Column(name="order_id", dtype="string", nullable=False),
            Column(name="part", dtype="string", nullable=False, sql="line"),
            Column(name="sku", dtype="int64"),
            Column(name="gift_sku", dtype="int64"),
            Column(name="shelf", dtype="string"),
            Column(name="amount", dtype="int32", unit="USD"),
            Column(name="note", dtype="string"),
            Column(name="shout", dtype="string", sql="UPPER(note)"),
            Column(name="vector", dtype="vector[float32,4]", model="m-1"),
        ),
        enrichments=(Enrich(enrichment="product"), Enrich(enrichment="size")),
        retention_days=400,
    ),
    EventType(
        name="visit",
        **COMMON,
        source="visits",
        id_field="visit_id",
        columns=(Column(name="visit_id", dtype="string", nullable=False), Column(name="sku", dtype="int64")),
        retention_days=400,
    ),
    Sequence(
        name="activity",
        **COMMON,
        event_types=("purchase", "visit"),
        columns=("sku", "amount", "note", "shout", "vector", "brand", "cents"),
        length=50,
        window_days=365,
    ),
)


ITEMS = Collapse(by=("sku",), within_s=3600, actions=("purchase", "visit"))


def release_of(definitions: Definitions, *, executors: dict[str, str] | None = None) -> Release:
    """Compiled; ``executors`` are code digests by name."""
    return lower(Project(definitions, executors or {"declarative": "code-1", "priced_line": "code-1"}))


def altered(model: Model, /, **fields: Any) -> Model:
    """A definition, or a part, with other values, checked as an author's is."""
    return type(model).model_validate({**{name: getattr(model, name) for name in type(model).model_fields}, **fields})


def change(name: str, **fields: Any) -> Callable[[Definitions], Definitions]:
    """Other values in the definition of that name."""
    return lambda found: tuple(altered(each, **fields) if each.name == name else each for each in found)


def column(holder: str, name: str, **fields: Any) -> Callable[[Definitions], Definitions]:
    """Other values in one column of a definition."""

    def made(found: Definitions) -> Definitions:
        columns = _of(found, holder).columns  # type: ignore[attr-defined]
        assert any(each.name == name for each in columns)
        changed = tuple(altered(each, **fields) if each.name == name else each for each in columns)
        return change(holder, columns=changed)(found)

    return made


def more(holder: str, *columns: Column) -> Callable[[Definitions], Definitions]:
    """More columns in a definition."""
    return lambda found: change(holder, columns=(*_of(found, holder).columns, *columns))(found)  # type: ignore[attr-defined]


def less(holder: str, *names: str) -> Callable[[Definitions], Definitions]:
    """Without some columns of a definition."""

    def made(found: Definitions) -> Definitions:
        columns: Iterable[Any] = _of(found, holder).columns  # type: ignore[attr-defined]
        left = tuple(each for each in columns if getattr(each, "name", each) not in names)
        return change(holder, columns=left)(found)

    return made


def both(*steps: Callable[[Definitions], Definitions]) -> Callable[[Definitions], Definitions]:
    """One change that takes several edits."""

    def made(found: Definitions) -> Definitions:
        for step in steps:
            found = step(found)
        return found

    return made


def without(*names: str) -> Callable[[Definitions], Definitions]:
    """Without some definitions."""
    return lambda found: tuple(each for each in found if each.name not in names)


def _of(found: Definitions, name: str) -> Definition:
    return next(each for each in found if each.name == name)


@dataclass(frozen=True)
class Case:
    """One change: what is done, its class, and where it is said."""

    name: str
    make: Callable[[Definitions], Definitions]
    kind: Kind
    place: str

    def __str__(self) -> str:
        return self.name

    @property
    def definitions(self) -> Definitions:
        """What there is after it."""
        return self.make(SHOP)


def _typed(name: str, **fields: Any) -> Callable[[Definitions], Definitions]:
    """A column of purchases that is another in the source and in the event."""
    return both(column("purchases", name, **fields), column("purchase", name, **fields))


ACTIVITY = ("sku", "amount", "note", "shout", "vector", "brand", "cents")
_JOIN = Join(location="stores.ndjson", on=("sku",), columns=("note",))

# Another version of a column beside it, and then under its name, which is refused where built days do not have it.
VERSIONED = both(
    more("purchases", Column(name="amount@2", dtype="int64", unit="cents", field="amount")),
    more("purchase", Column(name="amount@2", dtype="int64", unit="cents")),
)
TURNED = both(
    VERSIONED,
    change(
        "activity",
        columns=tuple(Pick(name=n, columns={"purchase": "amount@2"}) if n == "amount" else n for n in ACTIVITY),
    ),
)

CASES: tuple[Case, ...] = (
    # none: it describes, or says how work is done
    Case("owner", change("purchase", owner="team:other"), "none", "event_types/purchase owner"),
    Case("description", change("activity", description="Else."), "none", "sequences/activity description"),
    Case("tags", change("purchases", tags={"a": "b"}), "none", "sources/purchases tags"),
    Case("words_of_a_column", column("purchase", "note", description="Said."), "none",
         "event_types/purchase columns.note.description"),
    Case("bound_of_refused_rows", change("purchases", max_rejected_share=0.5), "none",
         "sources/purchases max_rejected_share"),
    # compatible: nothing that is stored, and nobody who reads, is told otherwise
    Case("nullable_column", both(more("purchase", Column(name="line", dtype="string")), change(
        "activity", columns=(*ACTIVITY, "line"))), "compatible", "event_types/purchase columns.line"),
    Case("column_with_default", both(more("purchase", Column(
        name="line", dtype="string", nullable=False, default="none")), change("activity", columns=(*ACTIVITY, "line"))),
        "compatible", "event_types/purchase columns.line"),
    Case("column_of_a_source", more("purchases", Column(name="shop", dtype="string")), "compatible",
         "sources/purchases columns.shop"),
    Case("column_of_an_enrichment", more("product", Column(name="line", dtype="string")), "compatible",
         "enrichments/product columns.line"),
    Case("attached_enrichment", change("visit", enrichments=(Enrich(enrichment="product"),)), "compatible",
         "event_types/visit enrichments.product"),
    Case("collapsed", change("activity", collapse=ITEMS), "semantic", "sequences/activity collapse"),
    Case("longer", change("activity", length=100), "compatible", "sequences/activity length"),
    Case("wider_window", change("activity", window_days=None), "compatible", "sequences/activity window_days"),
    Case("longer_retention", change("purchase", retention_days=800), "compatible",
         "event_types/purchase retention_days"),
    Case("earlier_start", change("purchases", start=dt.date(2024, 4, 1)), "compatible", "sources/purchases start"),
    Case("more_shards", change("purchases", shards=4), "compatible", "sources/purchases shards"),
    Case("new_sequence", lambda found: (*found, altered(_of(found, "activity"), name="more")), "compatible",
         "sequences/more"),
    Case("new_event_type", lambda found: (*found, altered(_of(found, "purchase"), name="buy")), "compatible",
         "event_types/buy"),
    Case("deprecated", change("activity", lifecycle="deprecated"), "compatible", "sequences/activity lifecycle"),
    Case("order_of_columns", change("activity", columns=ACTIVITY[::-1]), "compatible", "sequences/activity columns"),
    Case("column_nobody_shows", both(less("product", "maker"), less("catalogue", "maker")), "compatible",
         "sources/catalogue columns.maker"),
    Case("version_beside", VERSIONED, "compatible", "event_types/purchase columns.amount@2"),
    Case("columns_to_leave", change("activity", deprecated=("note",)), "compatible", "sequences/activity deprecated"),
    Case("shared", change("purchase", shared_with=("ads",)), "compatible", "event_types/purchase shared_with"),
    # semantic: the same columns mean something else from now on
    Case("filter", change("purchase", filter="amount > 1"), "semantic", "event_types/purchase filter"),
    Case("filter_of_a_source", change("purchases", filter="sku > 0"), "semantic", "sources/purchases filter"),
    Case("sql", column("purchase", "shout", sql="LOWER(note)"), "semantic", "event_types/purchase columns.shout.sql"),
    Case("sql_of_a_source", column("purchases", "note", sql="UPPER(line)"), "semantic",
         "sources/purchases columns.note.sql"),
    Case("field_of_a_source", column("purchases", "note", field="remark"), "semantic",
         "sources/purchases columns.note.field"),
    Case("derived", column("size", "cents", sql="amount * 10"), "semantic", "enrichments/size columns.cents.sql"),
    Case("enrichment_key", both(change("product", key=("line",)), change("purchase", enrichments=(
        Enrich(enrichment="product", on={"line": "note"}), Enrich(enrichment="size")))), "semantic",
        "enrichments/product key"),
    Case("enrichment_filter", change("product", filter="sku > 1"), "semantic", "enrichments/product filter"),
    Case("enrichment_missing", change("product", missing={"brand": "none"}), "semantic",
         "enrichments/product missing"),
    Case("enrichment_refresh", change("product", refresh="full"), "semantic", "enrichments/product refresh"),
    Case("enrichment_zone", change("product", valid_from=Time(sql="CAST(since AS TIMESTAMP)", timezone="Asia/Tokyo")),
         "semantic", "enrichments/product valid_from.timezone"),
    Case("enrichment_taken_from", change("purchase", enrichments=(
        Enrich(enrichment="product", columns={"brand": "maker", "maker": "maker"}), Enrich(enrichment="size"))),
        "semantic", "event_types/purchase enrichments.product.columns.brand"),
    Case("looked_up_by", change("purchase", enrichments=(
        Enrich(enrichment="product", on={"sku": "gift_sku"}), Enrich(enrichment="size"))),
        "semantic", "event_types/purchase enrichments.product.on"),
    Case("executor", change("purchase", executor="priced_line"), "semantic", "event_types/purchase executor"),
    Case("params", change("purchase", params={"a": 1}), "semantic", "event_types/purchase params"),
    Case("horizon", change("purchase", identity_horizon_h=0), "semantic", "event_types/purchase identity_horizon_h"),
    Case("revisions", change("purchases", rev="revision"), "semantic", "sources/purchases rev"),
    Case("order_of_equal_times", change("purchases", order="line"), "semantic", "sources/purchases order"),
    Case("joined_file", change("purchases", joins=(_JOIN,)), "semantic", "sources/purchases joins"),
    Case("location", change("purchases", location="else/{day}.ndjson"), "semantic", "sources/purchases location"),
    Case("topic", change("purchases", topic="bought"), "semantic", "sources/purchases topic"),
    Case("message_format", change("purchases", message_format="confluent"), "semantic",
         "sources/purchases message_format"),
    Case("lead", change("purchases", max_lead_s=10), "semantic", "sources/purchases max_lead_s"),
    Case("stricter_source", column("purchases", "note", nullable=False), "semantic",
         "sources/purchases columns.note.nullable"),
    Case("shown_from_another", change("activity", columns=(
        Pick(name="note", columns={"purchase": "shout"}), *(c for c in ACTIVITY if c != "note"))), "semantic",
        "sequences/activity columns.note"),
    # breaking: what is stored has another type, or is of somebody, sometime or something else; or readers lose it
    Case("wider_type", _typed("amount", dtype="int64"), "breaking", "sources/purchases columns.amount.dtype"),
    Case("another_type", _typed("shelf", dtype="int64"), "breaking", "sources/purchases columns.shelf.dtype"),
    Case("dimension", _typed("vector", dtype="vector[float32,8]"), "breaking",
         "sources/purchases columns.vector.dtype"),
    Case("quantization", _typed("vector", dtype="vector[int8,4]"), "breaking",
         "sources/purchases columns.vector.dtype"),
    Case("vector_model", _typed("vector", model="m-2"), "breaking", "sources/purchases columns.vector.model"),
    Case("unit", _typed("amount", unit="cents"), "breaking", "sources/purchases columns.amount.unit"),
    Case("type_of_a_derived", column("size", "cents", dtype="float64"), "breaking",
         "enrichments/size columns.cents.dtype"),
    Case("type_of_an_enrichment", both(column("catalogue", "brand", dtype="int64"),
                                       column("product", "brand", dtype="int64")), "breaking",
         "enrichments/product columns.brand.dtype"),
    Case("promised_column", more("purchase", Column(name="line", dtype="string", nullable=False)), "breaking",
         "event_types/purchase columns.line"),
    Case("not_null", column("purchase", "sku", nullable=False), "breaking",
         "event_types/purchase columns.sku.nullable"),
    Case("identity", change("purchase", id_field=None, natural_key=("order_id", "part")), "breaking",
         "event_types/purchase id_field"),
    Case("sql_of_the_identity", column("purchase", "order_id", sql="line"), "breaking",
         "event_types/purchase columns.order_id.sql"),
    Case("identity_in_the_source", column("purchases", "order_id", field="number"), "breaking",
         "sources/purchases columns.order_id.field"),
    Case("user", both(change("purchases", user_id="other_member"),
                      column("purchases", "other_member", nullable=False)), "breaking", "sources/purchases user_id"),
    Case("user_in_the_source", column("purchases", "member", field="buyer"), "breaking",
         "sources/purchases columns.member.field"),
    Case("event_time", change("purchases", event_time=Time(sql="CAST(at AS TIMESTAMP)", timezone="America/New_York")),
         "breaking", "sources/purchases event_time.timezone"),
    Case("source", lambda found: (*change("purchase", source="returns")(found), altered(
        _of(found, "purchases"), name="returns", topic="returns")), "breaking", "event_types/purchase source"),
    Case("dropped_column", both(less("purchase", "note", "shout"), less("activity", "note", "shout")), "breaking",
         "event_types/purchase columns.note"),
    Case("renamed_column", both(
        less("purchase", "shout"), more("purchase", Column(name="loud", dtype="string", sql="UPPER(note)")),
        change("activity", columns=tuple("loud" if c == "shout" else c for c in ACTIVITY))), "breaking",
        "event_types/purchase columns.shout"),
    Case("dropped_from_a_sequence", less("activity", "note"), "breaking", "sequences/activity columns.note"),
    Case("dropped_enrichment", both(change("purchase", enrichments=(Enrich(enrichment="size"),)),
                                    less("activity", "brand")), "breaking",
         "event_types/purchase enrichments.product"),
    Case("dropped_event_type", both(without("visit"), change("activity", event_types=("purchase",))), "breaking",
         "event_types/visit"),
    Case("renamed_event_type", lambda found: tuple(
        altered(e, name="buy") if e.name == "purchase" else altered(e, event_types=("buy", "visit"))
        if e.name == "activity" else e for e in found), "breaking", "event_types/purchase"),
    Case("dropped_sequence", without("activity"), "breaking", "sequences/activity"),
    Case("retired", both(change("visit", lifecycle="retired"), change("activity", event_types=("purchase",))),
         "breaking", "event_types/visit lifecycle"),
    Case("shorter", change("activity", length=10), "breaking", "sequences/activity length"),
    Case("narrower_window", change("activity", window_days=7), "breaking", "sequences/activity window_days"),
    Case("shorter_retention", change("purchase", retention_days=30), "breaking",
         "event_types/purchase retention_days"),
    Case("personal", both(_typed("note", pii=True), change("activity", pii="granted")), "breaking",
         "sources/purchases columns.note.pii"),
    Case("another_owner", both(change("activity", tenant="ads"), change("purchase", shared_with=("ads",)),
                               change("visit", shared_with=("ads",))), "breaking", "sequences/activity tenant"),
)  # fmt: skip


def case(name: str) -> Case:
    """The case of that name."""
    return next(each for each in CASES if each.name == name)
