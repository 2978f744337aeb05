"""What moves the meaning of stored rows, and what does not: one change of the shop at a time."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.release import Release
from sequence_defs.evolution.decoding import reads
from sequence_defs.evolution.meaning import Meaning, MeaningMoved

SHOP = Path(__file__).parents[1] / "shop.py"
PRODUCT_OF_VIEWS, PRODUCT_OF_ORDERS = (
    {"brand", "embedding", "product__status"},
    {
        "product_brand",
        "embedding",
        "product__status",
    },
)
SHELF = {"shelf", "shelf__status"}
SPEND = {"spent", "amount", "spend__status"}
ROWS = {"ROWS"}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Release]:
    """The shop's release, with one text of it replaced."""
    text, tmp_path = SHOP.read_text(), tmp_path_factory.mktemp("meaning")

    @cache
    def lowered(old: str = "", new: str = "", *, executors: str = "0" * 16) -> Release:
        assert not old or text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        file = tmp_path / "project.py"
        file.write_text(text.replace(old, new) if old else text)
        found = discover(str(file))
        assert found.errors == ()
        return lower(Project(found.definitions, {"declarative": executors, "own": "1" * 16}))

    return lowered


def moved(before: Release, after: Release, event_type: str) -> set[str]:
    """The columns of an event type that a change moves, those that it adds, and ROWS for its rows."""
    found = Meaning.of(after, event_type).differs_from(Meaning.of(before, event_type))
    return {*found.columns, *found.missing, *(ROWS if found.rows else ())}


# What is replaced, and what of the views and of the orders moves.
CHANGES: list[tuple[str, str, str, set[str], set[str]]] = [
    ("text", 'description="A product page was looked at."', 'description="Seen."', set(), set()),
    (
        "owner",
        'name="view",\n    tenant="shop",\n    owner="team:shop"',
        'name="view",\n    tenant="shop",\n    owner="team:x"',
        set(),
        set(),
    ),
    ("retention", "    end=dt.date(2025, 1, 1),\n    retention_days=730", "    retention_days=7", set(), set()),
    (
        "nullable",
        'Column(name="item", dtype="int64", sql="sku")',
        'Column(name="item", dtype="int64", sql="sku", nullable=False)',
        ROWS,
        set(),
    ),
    (
        "unread",
        'Column(name="revision", dtype="int64"),',
        'Column(name="revision", dtype="int64"), Column(name="more", dtype="string"),',
        set(),
        set(),
    ),
    ("legacy", "Compared(absolute=1),", "Compared(absolute=2),", set(), set()),
    ("service", 'url="https://risk.example/score",', 'url="https://risk.example/score", deadline_ms=9,', set(), set()),
    (
        "dtype",
        'Column(name="item", dtype="int64", sql="sku")',
        'Column(name="item", dtype="int32", sql="sku")',
        set(),
        set(),
    ),
    ("sql", 'unit="seconds", sql="dwell_s"', 'unit="seconds", sql="dwell_s * 2"', {"dwell"}, set()),
    (
        "unit",
        'dtype="float64", unit="seconds", sql="dwell_s"',
        'dtype="float64", unit="minutes", sql="dwell_s"',
        {"dwell"},
        set(),
    ),
    (
        "source sql",
        'Column(name="dwell_s", dtype="float64", unit="seconds")',
        'Column(name="dwell_s", dtype="float64", unit="seconds", sql="sku * 1.0")',
        {"dwell"} | ROWS,
        set(),
    ),
    (
        "source dtype",
        'Column(name="price", dtype="float64", unit="USD"),\n        Column(name="store"',
        'Column(name="price", dtype="float32", unit="USD"),\n        Column(name="store"',
        set(),
        {"price"} | SPEND,
    ),
    (
        "source field",
        'Column(name="email", dtype="string", pii=True),\n        Column(name="revision"',
        'Column(name="email", dtype="string", field="mail", pii=True),\n        Column(name="revision"',
        {"email"},
        set(),
    ),
    ("join", 'location="stores.csv"', 'location="shops.csv"', set(), {"city"}),
    ("filter", "dwell_s > 1", "dwell_s > 2", ROWS, set()),
    ("time", 'event_time=Time(sql="ts")', 'event_time=Time(sql="received_at")', ROWS, set()),
    ("zone", 'timezone="America/New_York"', 'timezone="UTC"', set(), ROWS),
    ("user", 'user_id="member",\n    rev="revision"', 'user_id="view_id",\n    rev="revision"', ROWS, set()),
    ("revision", 'rev="revision"', "rev=None", ROWS, set()),
    ("order", 'op="operation"', 'op="operation", order="sku"', ROWS, set()),
    ("key", 'natural_key=("order_no", "line_no")', 'natural_key=("order_no",)', set(), ROWS),
    (
        "key's type",
        'Column(name="line_no", dtype="int64"',
        'Column(name="line_no", dtype="int32"',
        set(),
        {"line_no"} | ROWS,
    ),
    ("horizon", 'id_field="view_id"', 'id_field="view_id", identity_horizon_h=1', ROWS, set()),
    ("location", 'location="views/*.parquet"', 'location="seen/*.parquet"', ROWS, set()),
    (
        "model",
        'dtype="vector[float16,32]", model="item2vec-3", sql="vector"',
        'dtype="vector[float16,32]", model="item2vec-4", sql="vector"',
        {"embedding"},
        {"embedding"},
    ),
    ("versions' filter", 'filter="sku IS NOT NULL"', 'filter="sku > 7"', PRODUCT_OF_VIEWS, PRODUCT_OF_ORDERS),
    ("missing", 'missing={"brand": "unknown"}', 'missing={"brand": "none"}', {"brand"}, {"product_brand"}),
    ("age", "max_age_days=365", "max_age_days=3", PRODUCT_OF_VIEWS, PRODUCT_OF_ORDERS),
    (
        "on",
        'Enrich(enrichment="product", on={"sku": "item"})',
        'Enrich(enrichment="product", on={"sku": "dwell"})',
        PRODUCT_OF_VIEWS,
        set(),
    ),
    ("enrichment's sql", 'sql="LOWER(brand)"', 'sql="UPPER(brand)"', {"shelf"}, set()),
    (
        "enrichment's source",
        'location="catalogue.parquet"',
        'location="c.parquet"',
        PRODUCT_OF_VIEWS | SHELF,
        PRODUCT_OF_ORDERS,
    ),
    ("derived", 'sql="COALESCE(price, 0.0)"', 'sql="price"', set(), SPEND),
    ("service's url", "https://risk.example/score", "https://risk.example/v2", set(), {"score", "risk__status"}),
    (
        "new column",
        'Column(name="view_id", dtype="string", nullable=False),\n        Column(name="item"',
        'Column(name="view_id", dtype="string"), Column(name="seen", dtype="int64", sql="sku"),\n        '
        'Column(name="item"',
        {"seen"},
        set(),
    ),
]
# The key of two enrichments: what is looked up by it moves with it.
CHANGES[7] = (*CHANGES[7][:3], {"item"} | PRODUCT_OF_VIEWS | SHELF, set())


@pytest.mark.parametrize(("old", "new", "views", "orders"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_a_change_moves_what_hangs_on_it_and_nothing_else(
    release: Callable[..., Release], old: str, new: str, views: set[str], orders: set[str]
) -> None:
    before, after = release(), release(old, new)
    assert (moved(before, after, "view"), moved(before, after, "order")) == (views, orders)


def test_other_code_of_an_executor_moves_all_that_it_makes(release: Callable[..., Release]) -> None:
    before, after = release(), release(executors="2" * 16)
    assert moved(before, after, "view") == {*Meaning.of(before, "view").columns} | ROWS
    # Code that is not declarative may read any column of its source for any of its own.
    own = 'source="views",\n    executor="own",\n    params={"a": 1}'
    custom = release('source="views"', own)
    unread = custom.sources["views"].model_copy(update={"joins": ()})
    assert moved(before, custom, "view") == {*Meaning.of(before, "view").columns} | ROWS
    columns = tuple(c.model_copy(update={"field": "x"}) if c.name == "operation" else c for c in unread.columns)
    sources = {**custom.sources, "views": unread.model_copy(update={"columns": columns})}
    assert {"email", "ROWS"} <= moved(custom, custom.model_copy(update={"sources": sources}), "view")


def test_columns_that_are_no_more_are_no_difference_and_those_to_come_are_missing() -> None:
    old, new = Meaning("r", {"a": "1", "b": "1"}), Meaning("r", {"b": "1", "c": "1"})
    assert new.differs_from(old) == MeaningMoved(rows=False, columns=(), missing=("c",))
    assert not new.differs_from(old).is_stale
    assert new.differs_from(replace(old, rows="s")).is_stale
    # What must not be null any more stands there as null; what may be null now was refused, and is not there at all.
    assert replace(new, required=frozenset("b")).differs_from(new).rows
    assert not new.differs_from(replace(new, required=frozenset("b"))).is_stale
    assert new.differs_from(Meaning("r", {"b": "2"})) == MeaningMoved(rows=False, columns=("b",), missing=("c",))


def test_a_meaning_is_its_text_and_equal_ones_have_one_digest(release: Callable[..., Release]) -> None:
    meaning = Meaning.of(release(), "order")
    again = Meaning.from_json(meaning.to_json())
    assert (again, again.digest) == (meaning, meaning.digest)
    backwards = replace(meaning, columns=dict(reversed(meaning.columns.items())))
    assert (backwards.digest, backwards.to_json()) == (meaning.digest, meaning.to_json())
    assert meaning.columns.keys() == release().event_columns("order").keys()
    for rubbish in ("", "{}", "[]", '{"rows": "r", "columns": [1]}', "7"):
        with pytest.raises(ValueError, match="says no meaning of rows"):
            Meaning.from_json(rubbish)


@pytest.mark.parametrize(
    ("old", "new", "table", "source"),
    [
        ('filter="sku IS NOT NULL"', 'filter="sku > 7"', ROWS, set()),
        ('sql="vector"', "sql=\"CASE WHEN brand = 'x' THEN vector END\"", {"embedding"}, set()),
        ('missing={"brand": "unknown"}', 'missing={"brand": "none"}', set(), set()),
        (
            'Column(name="brand", dtype="string"),\n        Column(name="buyer',
            'Column(name="brand", dtype="string", field="b"),\n        Column(name="buyer',
            {"brand"},
            {"brand"},
        ),
        ('description="What the catalogue said of a product."', 'description="x"', set(), set()),
        (
            'Column(name="sku", dtype="int64"),\n        Column(name="changed"',
            'Column(name="sku", dtype="int64", field="s"),\n        Column(name="changed"',
            ROWS,
            {"sku"},
        ),
    ],
)
def test_tables_of_versions_and_raw_rows_have_meanings_of_their_own(
    release: Callable[..., Release], old: str, new: str, table: set[str], source: set[str]
) -> None:
    before, after = release(), release(old, new)
    of_table = Meaning.of_enrichment(after, "product").differs_from(Meaning.of_enrichment(before, "product"))
    of_source = Meaning.of_source(after, "catalogue").differs_from(Meaning.of_source(before, "catalogue"))
    assert {*of_table.columns, *(ROWS if of_table.rows else ())} == table
    assert {*of_source.columns, *(ROWS if of_source.rows else ())} == source
    with pytest.raises(TypeError, match="has no table"):
        Meaning.of_enrichment(before, "risk")


def test_an_expression_that_is_no_more_of_the_language_is_taken_to_read_everything() -> None:
    assert reads("a + b", ["a", "b", "c"]) == ["a", "b"]
    assert reads("no such (", ["b", "a"]) == ["a", "b"]
    assert reads(None, ["a"]) == []
