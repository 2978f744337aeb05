"""``seqplat import``: what maps is drafted, what does not is said, and nothing of theirs is run."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from seqplat_resources.engine.registry import digests
from sequence_defs.analysis.runner import analyse
from sequence_defs.compiler.discover import discover
from sequence_defs.compiler.project import Project
from serving.cli.importing import chronon, feast
from serving.cli.importing.draft import Draft, NotImported
from serving.cli.main import root

FEAST = """
import os
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field, FileSource, KafkaSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float32, Int64, String

os.system("touch WAS_RUN")
driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
stats_source = FileSource(name="stats", path="data/driver_stats.parquet", timestamp_field="event_timestamp")
driver_stats = FeatureView(
    name="driver_hourly_stats",
    entities=[driver],
    ttl=timedelta(days=1, hours=12),
    schema=[
        Field(name="conv_rate", dtype=Float32),
        Field(name="Avg Daily Trips", dtype=Int64),
        Field(name="tags", dtype=Array(String)),
        *[Field(name=f"hist_{i}", dtype=Float32) for i in range(3)],
    ],
    source=stats_source,
)
old_style = FeatureView(name="rides", entities=["driver_id"], ttl=None, features=[Field("seen", Int64)],
                        batch_source=KafkaSource(topic="rides", batch_source=stats_source))

@on_demand_feature_view(sources=[driver_stats], schema=[Field(name="x", dtype=Float32)])
def x(df):
    return df

service = FeatureService(name="activity_v1", features=[driver_stats])
"""

GROUP_BY = {
    "metaData": {"name": "quickstart.purchases.v1", "team": "quickstart"},
    "sources": [
        {
            "events": {
                "table": "data.purchases",
                "topic": "events.purchases/host=a",
                "query": {
                    "selects": {"user_id": "user_id", "purchase_price": "purchase_price", "item": "item_category",
                                "odd": "get_json_object(payload, '$.x')"},
                    "wheres": ["purchase_price > 0"],
                    "timeColumn": "ts",
                    "startPartition": "2023-12-01",
                },
            }
        }
    ],
    "keyColumns": ["user_id"],
    "aggregations": [
        {"inputColumn": "purchase_price", "operation": 7, "windows": [{"length": 3, "timeUnit": 1}]},
        {"inputColumn": "purchase_price", "operation": 6, "windows": [{"length": 30, "timeUnit": 1}]},
    ],
}  # fmt: skip
PROFILES = {
    "metaData": {"name": "demo.profiles.v1"},
    "sources": [{"entities": {"snapshotTable": "data.profiles", "query": {"selects": {"country": "country"}}}}],
    "keyColumns": ["user_id"],
}
REGISTRY = {
    "entities": [{"spec": {"name": "driver", "joinKey": "driver_id", "valueType": "INT64"}}],
    "featureViews": [
        {
            "spec": {
                "name": "stats",
                "entities": ["driver"],
                "features": [{"name": "rate", "valueType": "FLOAT"}, {"name": "seen", "valueType": "INT64_LIST"}],
                "ttl": "86400s",
                "batchSource": {"timestampField": "event_timestamp", "fileOptions": {"uri": "data/s.parquet"}},
            }
        }
    ],
    "featureServices": [{"spec": {"name": "all"}}],
}


def run(platform: str, path: Path, folder: Path) -> tuple[Result, Path]:
    out = folder / "drafts.py"
    return CliRunner().invoke(root, ["import", platform, str(path), "--out", str(out), "--tenant", "Ride Share"]), out


def is_sound(out: Path) -> Project:
    found = discover(str(out))
    project = Project(found.definitions, digests())
    assert [str(each) for each in analyse(project, found.errors) if each.severity == "error"] == []
    return project


def test_feature_views_become_enrichments_and_no_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "features.py").write_text(FEAST)
    done, out = run("feast", tmp_path / "features.py", tmp_path)
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "WAS_RUN").exists()
    project = is_sound(out)
    stats, rows = project.enrichments["driver_hourly_stats"], project.sources["driver_hourly_stats_rows"]
    assert (stats.key, stats.max_age_days) == (("driver_id",), 1.5)  # type: ignore[union-attr]
    assert [(c.name, c.dtype, c.field) for c in rows.columns] == [
        ("driver_id", "int64", None),
        ("event_timestamp", "timestamp", None),
        ("conv_rate", "float32", None),
        ("avg_daily_trips", "int64", "Avg Daily Trips"),
        ("tags", "list[string]", None),
    ]
    assert rows.location == "data/driver_stats.parquet"
    assert project.tenants.keys() == {"ride_share"}
    for said in (
        "a feature is made by code (line",
        "on_demand_feature_view",
        "FeatureService activity_v1",
        "KafkaSource",
    ):
        assert said in done.output
    line = FEAST[: FEAST.index("service =")].count("\n") + 1
    assert f"features.py:{line}: FeatureService" in done.output


def test_a_registry_that_was_dumped(tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_text(json.dumps(REGISTRY))
    done, out = run("feast", tmp_path, tmp_path)
    assert done.exit_code == 0, done.output
    assert [c.dtype for c in is_sound(out).enrichments["stats"].columns] == ["float32", "list[int64]"]


def test_compiled_group_bys_become_event_types_and_snapshots(tmp_path: Path) -> None:
    folder = tmp_path / "production" / "group_bys" / "team"
    folder.mkdir(parents=True)
    (folder / "purchases.v1").write_text(json.dumps(GROUP_BY))
    (folder / "profiles.v1").write_text(json.dumps(PROFILES))
    (folder / "join").write_text(json.dumps({"metaData": {"name": "a"}, "joinParts": []}))
    for platform_file in ("purchases.v1", "profiles.v1"):
        (folder / platform_file).rename(folder / platform_file.replace(".", "_"))
    done, out = run("chronon", tmp_path / "production", tmp_path)
    assert done.exit_code == 0, done.output
    project = is_sound(out)
    assert set(project.event_types) == {"purchases_v1"}
    assert project.sequences["purchases_v1_history"].window_days == 30
    for said in ("selects.odd", "wheres[0]", "aggregations[0]: SUM of 'purchase_price' over 3 days", "a Join"):
        assert said in done.output


@pytest.mark.parametrize(
    ("platform", "name", "content"),
    [
        ("feast", "a.py", b"x = ("),
        ("feast", "a.py", b"\xff\xfe\x00"),
        ("feast", "a.py", b"(" * 5000),
        ("feast", "a.py", b"x = 1\n"),
        ("feast", "a.json", b"[1, 2"),
        ("feast", "a.json", b"[" * 100_000),
        ("feast", "a.json", b'{"featureViews": [{"spec": {"name": 7, "entities": 3}}]}'),
        ("feast", "a.json", b'{"featureServices": [7]}'),
        ("feast", "a.json", b'{"onDemandFeatureViews": 3}'),
        ("feast", "a.json", b'{"streamFeatureViews": [{"spec": 3}]}'),
        ("feast", "registry.db", b"\x0a\x10"),
        ("chronon", "a", b""),
        ("chronon", "a", b"[]"),
        ("chronon", "a", b'{"keyColumns": 7}'),
        ("chronon", "a", b'{"keyColumns": [], "metaData": {"name": "x"}, "sources": [{"events": {}}]}'),
        ("chronon", "a", b'{"keyColumns": ["u"], "metaData": {"name": "x"}, "sources": [{"events": {"query": 3}}]}'),
    ],
)
def test_a_hostile_file_costs_a_sentence(tmp_path: Path, platform: str, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    done, out = run(platform, tmp_path / name, tmp_path)
    assert done.exit_code == 1
    assert isinstance(done.exception, NotImported), done.exception
    assert not out.exists()


@pytest.mark.parametrize("platform", ["chronon", "feast"])
def test_a_file_that_cannot_be_read_costs_itself_alone(tmp_path: Path, platform: str) -> None:
    """A folder of another platform has old code, cut files and notes in it; the definitions beside them come all the
    same, and what a broken file began is not left half in the drafts."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    good, bad = ("good.py", "bad.py") if platform == "feast" else ("good", "bad.json")
    (folder / good).write_text(FEAST if platform == "feast" else json.dumps(GROUP_BY))
    (folder / bad).write_text("print 'of Python 2'")
    (folder / "also.json").write_text('{"featureViews": 3, "keyColumns": ["u"], "sources": [{"events": 1}]}')
    done, out = run(platform, folder, tmp_path)
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert all(f"left out {folder / name}" in said for name in (bad, "also.json")), said
    assert "2 file(s) left out" in said
    assert is_sound(out).all

    (folder / good).unlink()
    alone, out = run(platform, folder, tmp_path / "alone")
    assert isinstance(alone.exception, NotImported)
    assert "2 file(s) left out" in str(alone.exception)
    assert not out.exists()


def test_where_no_file_can_be_made_nothing_is_imported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "theirs.json").write_text(json.dumps(GROUP_BY))
    for below in (tmp_path / "file", tmp_path / "file" / "folder"):
        done, _ = run("chronon", tmp_path / "theirs.json", below)
        assert isinstance(done.exception, NotImported), done.exception
        assert "--out" in str(done.exception)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["keyColumns", "metaData", "name", "sources", "events", "entities", "query", "selects", "aggregations",
         "windows", "spec", "features", "featureViews", "batchSource", "length",
         "featureServices", "onDemandFeatureViews", "streamFeatureViews"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(value=_JSON, names=st.lists(st.text(max_size=12), max_size=3))
def test_any_json_is_imported_or_refused_in_words(value: object, names: list[str]) -> None:
    shaped = {**GROUP_BY, "keyColumns": names, "aggregations": value}
    for read, content in ((chronon.of_compiled, value), (chronon.of_compiled, shaped), (feast.of_registry, value)):
        draft = Draft()
        try:
            read(json.dumps(content).encode(), "x", draft, {"tenant": "t", "owner": "team:t"})
        except NotImported:
            continue
        if draft.definitions:
            compile(draft.page("Drafts."), "drafts.py", "exec")
