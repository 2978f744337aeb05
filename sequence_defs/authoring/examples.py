"""One example of every field of every model, as an author writes it.

>>> example("EventType", "natural_key")
'natural_key=("order_no", "line_no")'
"""

import sequence_defs.schema as models
from sequence_defs.schema.base import Part

# Model -> field -> its value as Python text. A field that a model inherits has its base's, unless it says its own.
EXAMPLES: dict[str, dict[str, str]] = {
    "Definition": {
        "name": '"purchase"',
        "tenant": '"shop"',
        "owner": '"team:shop"',
        "description": '"A product was bought."',
        "lifecycle": '"draft"',
        "tags": '{"domain": "orders"}',
    },
    "Shareable": {"shared_with": '("marketing",)'},
    "Tenant": {"name": '"shop"'},
    "Column": {
        "name": '"price"',
        "dtype": '"float64"',
        "description": '"What was paid for it."',
        "nullable": "False",
        "unit": '"USD"',
        "model": '"item2vec-3"',
        "pii": "True",
        "sql": '"quantity * unit_price"',
        "field": '"payload.after.price"',
        "shared_with": '("marketing",)',
        "default": "0.0",
    },
    "Time": {
        "sql": '"created_at"',
        "timezone": '"America/New_York"',
        "timezone_column": '"zone"',
        "epoch_unit": '"ms"',
    },
    "Csv": {"delimiter": '";"', "quote": '"\'"', "encoding": '"latin-1"'},
    "Join": {"location": '"stores.csv"', "on": '("store",)', "columns": '("city", "country")'},
    "Source": {
        "name": '"orders"',
        "location": '"orders/{day}.csv"',
        "format": '"csv"',
        "csv": 'Csv(delimiter=";")',
        "no_file_on": '("sat", "sun")',
        "topic": '"orders"',
        "message_format": '"confluent"',
        "columns": '(Column(name="sku", dtype="int64"), Column(name="price", dtype="float64"))',
        "joins": '(Join(location="stores.csv", on=("store",), columns=("city",)),)',
        "filter": "\"kind = 'order'\"",
        "event_time": 'Time(sql="created_at")',
        "ingest_time": 'Time(sql="received_at")',
        "user_id": '"member"',
        "rev": '"revision"',
        "op": '"operation"',
        "order": '"line_no"',
        "start": "dt.date(2026, 1, 1)",
        "end": "dt.date(2026, 7, 1)",
        "max_lead_s": "3600",
        "max_rejected_share": "0.05",
        "ready_at": '"04:00"',
        "shards": "4",
        "retention_days": "730",
    },
    "_Keyed": {
        "source": '"catalogue"',
        "key": '("sku",)',
        "columns": '(Column(name="brand", dtype="string"),)',
        "filter": '"sku IS NOT NULL"',
        "missing": '{"brand": "unknown"}',
        "retention_days": "730",
    },
    "Versioned": {
        "name": '"product"',
        "kind": '"versioned"',
        "valid_from": 'Time(sql="changed_at")',
        "valid_to": 'Time(sql="replaced_at")',
        "refresh": '"full"',
        "max_age_days": "90",
    },
    "Snapshot": {"name": '"shelf"', "kind": '"snapshot"', "day": 'Time(sql="as_of")'},
    "Derived": {
        "name": '"spend"',
        "kind": '"derived"',
        "columns": '(Column(name="spent", dtype="float64", sql="SUM(price) OVER (PARTITION BY user_id)"),)',
    },
    "Service": {
        "name": '"risk"',
        "kind": '"service"',
        "url": '"https://risk.example/score"',
        "key": '("order_no",)',
        "columns": '(Column(name="score", dtype="float32"),)',
        "batch_size": "128",
        "deadline_ms": "150",
        "cache_ttl_s": "300",
        "secret_env": '"RISK_TOKEN"',
        "secret_header": '"x-api-key"',
    },
    "Enrich": {
        "enrichment": '"product"',
        "on": '{"sku": "item"}',
        "columns": '{"product_brand": "brand"}',
    },
    "EventType": {
        "source": '"orders"',
        "columns": '(Column(name="order_no", dtype="int64", nullable=False),)',
        "executor": '"shop_orders"',
        "params": '{"most_items": 20}',
        "filter": '"price > 0"',
        "id_field": '"order_id"',
        "natural_key": '("order_no", "line_no")',
        "identity_horizon_h": "24",
        "enrichments": '(Enrich(enrichment="product"),)',
        "start": "dt.date(2026, 1, 1)",
        "end": "dt.date(2026, 7, 1)",
        "retention_days": "365",
        "fresh_within_h": "6",
        "serving_delay_s": "1.5",
        "legacy": 'Legacy(source="old_orders", event_id="id")',
        "experiment": 'Experiment(metrics=(UserMetric(name="buyers", event_type="order"),))',
    },
    "Pick": {"name": '"item"', "columns": '{"view": "item", "order": "sku"}'},
    "Sequence": {
        "name": '"activity"',
        "event_types": '("view", "order")',
        "columns": '("event_time", "price", Pick(name="item", columns={"view": "item", "order": "sku"}))',
        "deprecated": '("price",)',
        "length": "512",
        "window_days": "90",
        "pii": '"drop"',
        "retention_days": "365",
        "legacy": 'LegacySequence(at=Http(url="https://old.example/sequences"), '
        'fields=(Column(name="id", dtype="string"), Column(name="at", dtype="timestamp")), event_id="id", '
        'event_time=Time(sql="at"))',
    },
    "SessionView": {
        "name": '"visit"',
        "event_types": '("view", "order")',
        "gap_s": "900",
        "cap_s": "43200",
        "scope": '"device"',
        "boundary": "\"event_type = 'login'\"",
        "columns": '(Aggregate(name="spent", kind="sum", column="price"),)',
        "retention_days": "365",
    },
    "ObjectView": {
        "name": '"item"',
        "event_types": '("view", "order")',
        "key": '"sku"',
        "action": '"what"',
        "actions": '("view", "order")',
        "columns": '(Aggregate(name="last_surface", kind="last", column="surface"),)',
        "retention_days": "365",
    },
    "Aggregate": {
        "name": '"spent"',
        "kind": '"sum"',
        "column": '"price"',
        "event_types": '("order",)',
        "where": '"price > 1"',
    },
    "Compared": {
        "field": '"article"',
        "absolute": "0.5",
        "relative": "1e-6",
        "cosine": "0.999",
        "as_set": "True",
        "limit": "0.001",
    },
    "Explained": {
        "cause": '"filter"',
        "where": '"price = 0"',
        "because": '"It kept samples that cost nothing."',
        "until": "dt.date(2026, 7, 1)",
        "at_most": "0.01",
    },
    "Legacy": {
        "source": '"old_orders"',
        "event_id": '"id"',
        "natural_key": '("order_no",)',
        "within_s": "2",
        "waits_s": "3600",
        "columns": '{"item": Compared(field="article")}',
        "explained": '(Explained(cause="filter", where="price = 0", because="It kept samples."),)',
        "serve": "True",
        "replay": '"old_orders_again"',
    },
    "Blobs": {
        "kind": '"blobs"',
        "location": '"state/{day}.parquet"',
        "format": '"ndjson"',
        "csv": 'Csv(delimiter=";")',
        "user_id": '"uid"',
        "events": '"state.events"',
        "encoding": '"msgpack"',
    },
    "Http": {
        "kind": '"http"',
        "url": '"https://old.example/sequences"',
        "batch_size": "100",
        "deadline_ms": "1000",
        "cache_ttl_s": "60",
        "secret_env": '"OLD_TOKEN"',
        "secret_header": '"x-api-key"',
    },
    "LegacySequence": {
        "at": 'Blobs(location="state/{day}.parquet", user_id="uid", events="events")',
        "fields": '(Column(name="id", dtype="string"), Column(name="at", dtype="timestamp"))',
        "event_id": '"id"',
        "event_time": 'Time(sql="at")',
        "event_type": '"kind"',
        "event_types": '{"view": "V"}',
        "columns": '{"brand": Compared(field="label")}',
        "length": "100",
        "explained": '(Explained(cause="late", where="brand IS NULL", because="It waits a day."),)',
        "replay": 'Blobs(location="again/{day}.parquet", user_id="uid", events="events")',
    },
    "UserMetric": {
        "name": '"spent"',
        "event_type": '"order"',
        "kind": '"sum"',
        "column": '"price"',
        "per": '"items"',
        "within_h": "72",
        "better": '"lower"',
        "guardrail": "0.02",
        "cap": "1000",
    },
    "Experiment": {
        "metrics": '(UserMetric(name="buyers", event_type="order"),)',
        "sample": "0.2",
    },
}


def example(model: str, field: str) -> str:
    """``field=<value>``, blank for a field or a model there is no example of."""
    found = type_of(model)
    for each in found.__mro__ if found else ():
        if field in (known := EXAMPLES.get(each.__name__, {})):
            return f"{field}={known[field]}"
    return ""


def type_of(model: str) -> type[Part] | None:
    """The model of that name; None if it is none of ours."""
    found = getattr(models, model, None)
    return found if isinstance(found, type) and issubclass(found, Part) else None
