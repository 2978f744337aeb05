"""A release is a pure function of what the definitions mean: not of their order, place or text."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sequence_defs import Blobs, Column, Compared, Explained, Http, Legacy, LegacySequence, Time
from sequence_defs.analysis.runner import analyse
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.lower import lower
from sequence_defs.compiler.project import Project
from sequence_defs.compiler.release import Release, canonical, dump, json_schema, release_id
from sequence_defs.compiler.release import load as load_release

GOLDEN = Path(__file__).parents[1] / "golden"
GOLDEN_EXECUTORS = {"declarative": "0123456789abcdef", "unused": "fedcba9876543210"}
GOLDEN_ID = "6c8558dbcb56770b039d3c1dd395bfad030d59562d699ba785d0c80e0ee64a7a"
FIRST_ID = "f0dc20dccb99b109add92cbc1ee07f1b2f778cfe6259e8988da5bed3ff258745"

Load = Callable[[str], Project]


def moved(before: Release, after: Release) -> dict[str, set[str]]:
    """Which hashes of which objects differ."""
    assert before.hashes.keys() == after.hashes.keys()
    differ = {
        key: {
            part for part in ("schema_", "semantic", "meta") if getattr(old, part) != getattr(after.hashes[key], part)
        }
        for key, old in before.hashes.items()
    }
    return {key: {part.rstrip("_") for part in parts} for key, parts in differ.items() if parts}


@pytest.fixture
def changed(load: Load, shop_text: str) -> Callable[[str, str], dict[str, set[str]]]:
    """Which hashes move when one text of the shop is replaced."""

    def compare(old: str, new: str) -> dict[str, set[str]]:
        assert shop_text.count(old) == 1
        return moved(lower(load(shop_text)), lower(load(shop_text.replace(old, new))))

    return compare


def test_a_release_survives_a_round_trip_byte_for_byte(load: Load, shop_text: str) -> None:
    data = dump(lower(load(shop_text)))
    assert dump(load_release(data)) == data
    assert json.loads(data)["format_version"] == 1


def test_order_of_definitions_changes_nothing(load: Load, shop_text: str) -> None:
    project = load(shop_text)
    assert dump(lower(Project(project.all[::-1], project.executors))) == dump(lower(project))


def test_moving_a_definition_changes_nothing(load: Load, shop_text: str) -> None:
    moved_down = shop_text.replace("import datetime as dt\n", "import datetime as dt\n\n\n# a word\n")
    assert dump(lower(load(moved_down))) == dump(lower(load(shop_text)))


def test_an_owner_moves_only_the_meta_hash_of_its_definition(changed: Callable[[str, str], object]) -> None:
    tenant = 'name="view",\n    tenant="shop",\n    '
    assert changed(f'{tenant}owner="team:shop"', f'{tenant}owner="team:views"') == {"event_types/view": {"meta"}}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('description="epoch milliseconds"', 'description="ms"', "sources/catalogue"),
        ('url="https://risk.example/score",', 'url="https://risk.example/score", deadline_ms=50,', "enrichments/risk"),
        ('pii="granted",', 'pii="granted", tags={"tier": "1"},', "sequences/activity"),
        ("    window_days=365,", "    window_days=365, lifecycle='deprecated',", "sequences/activity"),
    ],
)
def test_text_stage_and_operation_move_only_meta(
    changed: Callable[[str, str], object], old: str, new: str, key: str
) -> None:
    assert changed(old, new) == {key: {"meta"}}


# What is made of views, and of nothing else, means something else with them.
VIEWS = {"sessions/visit": {"semantic"}, "objects/article": {"semantic"}}
LATE = Explained(cause="late", where="item IS NULL", because="it waits", until=dt.date(2026, 1, 31), at_most=0.01)


@pytest.mark.parametrize(
    "at",
    [
        Blobs(location="old/{day}.parquet", user_id="u", events="state.events", encoding="msgpack"),
        Http(url="https://old.example/sequences", secret_env="OLD_KEY"),
    ],
)
def test_what_legacy_has_moves_only_meta_and_survives_a_round_trip(
    load: Load, shop_text: str, at: Blobs | Http
) -> None:
    before = load(shop_text)
    events = Legacy(
        source="views",
        natural_key=("item",),
        within_s=0.5,
        columns={"item": Compared(field="sku"), "dwell": Compared(absolute=1e-6, relative=1e-4, limit=0.01)},
        explained=(LATE,),
    )
    sequence = LegacySequence(
        at=at,
        fields=(Column(name="id", dtype="string"), Column(name="t", dtype="int64", field="meta.t")),
        event_id="id",
        event_time=Time(sql="t", epoch_unit="ms"),
        event_types={"view": "VIEW"},
        columns={"brand": Compared(field="id"), "embedding": Compared(cosine=0.999)},
        length=100,
        explained=(LATE,),
    )
    legacy: dict[str, Legacy | LegacySequence] = {"view": events, "activity": sequence}
    changed = [d.model_copy(update={"legacy": legacy[d.name]}) if d.name in legacy else d for d in before.all]
    after = lower(Project(tuple(changed), before.executors))
    assert moved(lower(before), after) == {"event_types/view": {"meta"}, "sequences/activity": {"meta"}}
    found = load_release(dump(after))
    stored = {"view": found.event_types["view"].legacy, "activity": found.sequences["activity"].legacy}
    assert {name: one and one.model_dump() for name, one in stored.items()} == {
        name: one.model_dump() for name, one in legacy.items()
    }


def test_a_filter_moves_what_the_event_type_and_its_sequences_mean(changed: Callable[[str, str], object]) -> None:
    assert changed("dwell_s > 1", "dwell_s > 2") == {
        "event_types/view": {"semantic"},
        "sequences/activity": {"semantic"},
        **VIEWS,
    }


def test_an_enrichment_moves_the_event_types_it_is_attached_to(changed: Callable[[str, str], object]) -> None:
    assert changed("LOWER(brand)", "UPPER(brand)") == {
        "enrichments/shelf": {"semantic"},
        "event_types/view": {"semantic"},
        "sequences/activity": {"semantic"},
        **VIEWS,
    }


def test_an_added_nullable_column_moves_schema_and_meaning(changed: Callable[[str, str], object]) -> None:
    dwell = 'Column(name="dwell", dtype="float64", unit="seconds", sql="dwell_s"),'
    assert changed(dwell, f'{dwell}\n        Column(name="member", dtype="string"),') == {
        "event_types/view": {"schema", "semantic"},
        "sequences/activity": {"semantic"},
        **VIEWS,
    }


def test_a_unit_is_schema(changed: Callable[[str, str], dict[str, set[str]]]) -> None:
    found = changed('dtype="float64", unit="seconds", sql', 'dtype="float64", unit="ms", sql')
    assert "schema" in found["event_types/view"]


def test_executor_code_is_meaning_and_unused_executors_are_left_out(load: Load, shop_text: str) -> None:
    project = load(shop_text)
    before = lower(Project(project.all, {"declarative": "1", "unused": "1"}))
    after = lower(Project(project.all, {"declarative": "2", "unused": "2"}))
    assert after.executors == {"declarative": "2"}
    assert moved(before, after) == {
        "event_types/order": {"semantic"},
        "event_types/view": {"semantic"},
        "sequences/activity": {"semantic"},
        **VIEWS,
    }


def test_a_sequence_column_is_taken_from_the_event_types_that_have_it(load: Load, shop_text: str) -> None:
    columns = lower(load(shop_text)).sequence_columns("activity")
    assert {out: {t: c.name for t, c in by_type.items()} for out, by_type in columns.items()} == {
        "embedding": {"view": "embedding", "order": "embedding"},
        "spent": {"order": "spent"},
        "event_time": {},
        "item": {"view": "item", "order": "sku"},
        "brand": {"view": "brand", "order": "product_brand"},
    }


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"not json", "Expecting value"),
        (b"[]", "release format None is not readable here"),
        (b'{"format_version":2}', "release format 2 is not readable here"),
        (b'{"format_version":1,"channels":{}}', "Extra inputs are not permitted"),
    ],
)
def test_what_is_not_a_release_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_release(data)


def test_the_json_schema_names_every_part() -> None:
    schema = json_schema()
    assert set(Release.model_fields) == set(schema["properties"])
    assert {"Column", "EventType", "Sequence", "Versioned"} <= set(schema["$defs"])


@pytest.fixture
def golden_release() -> Release:
    found = discover(str(GOLDEN / "project.py"))
    project = Project(found.definitions, GOLDEN_EXECUTORS)
    assert analyse(project, found.errors) == []
    return lower(project)


def test_the_golden_project_compiles_to_the_golden_release(golden_release: Release) -> None:
    """A difference reaches every stored release: raise ``format_version`` and keep this golden for upgrades."""
    assert json.loads(dump(golden_release)) == json.loads((GOLDEN / "release_v1.json").read_bytes())
    assert release_id(dump(golden_release)) == GOLDEN_ID


def test_a_release_from_before_optional_fields_were_added_is_still_readable() -> None:
    """A stored release keeps its bytes and its name; what it does not say has its default."""
    stored = canonical(json.loads((GOLDEN / "release_v1_first.json").read_bytes()))
    assert release_id(stored) == FIRST_ID
    found = load_release(stored)
    assert found == load_release((GOLDEN / "release_v1.json").read_bytes()).model_copy(update={"hashes": found.hashes})


def test_the_golden_release_is_still_readable() -> None:
    stored = canonical(json.loads((GOLDEN / "release_v1.json").read_bytes()))
    assert release_id(stored) == GOLDEN_ID
    assert dump(load_release(stored)) == stored
