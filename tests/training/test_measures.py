"""Checks of a day's set find what is wrong with it, and nothing where nothing is."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seqplat_resources.batch.inputs.sets import MANIFEST, Sets
from seqplat_resources.quality.frame import DETAIL, JUDGED, PASSED
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.training import build as building
from seqplat_resources.training import measures
from seqplat_resources.training.daily import DailySet, SetDamaged
from sequence_defs.schema import Followed, Moments, TrainingSet
from tests.building import ManualClock, runtime_for, utc
from tests.training.world import NOW, OURS, Event, definitions, put

FIRST = dt.date(2024, 5, 1)
DAYS = [FIRST + dt.timedelta(days=n) for n in range(4)]
BUYERS = TrainingSet(
    name="buyers",
    sequence="recent",
    moments=Moments(events="view"),
    outcomes=(
        Followed(name="bought", events="order", within_h=24),
        Followed(name="first", events="order", within_h=24, kind="time_to"),
    ),
    mode="as_known",
    start=FIRST,
    **OURS,
)


def _event(of: str, user: int, time: dt.datetime, **fields: Any) -> Event:
    said = {"event_type": of, "user_id": f"u{user}", "event_time": time, "available_time": time}
    return said | {"event_id": f"{of}-{user}-{time:%m%d%H%M}"} | fields


def _events(users: int = 30) -> list[Event]:
    """Each day, from three before the first on, every user views twice, and user 0 orders."""
    days = [utc(2024, 4, 28) + dt.timedelta(days=n) for n in range(8)]
    views = [_event("view", user, day.replace(hour=hour)) for day in days for user in range(users) for hour in (8, 9)]
    return [*views, *(_event("order", 0, day.replace(hour=12), price=3) for day in days)]


def _world(folder: Path, events: list[Event], training: TrainingSet = BUYERS, length: int = 3) -> Runtime:
    runtime = runtime_for(folder / "home", (*definitions(length=length), training), folder, clock=ManualClock(NOW))
    put(runtime, events)
    for day in DAYS:
        DailySet.of(runtime, "buyers").make(day)
    return runtime


MEASURES = [measures.empty_share, measures.labels_known, measures.lengths_alike, measures.nothing_leaks]


def _row(measure: Any, runtime: Runtime, day: dt.date) -> dict[str, Any]:
    return next(iter(measure(runtime, "buyers", [day]).to_dicts()))


def test_days_that_are_well_pass_all(tmp_path: Path) -> None:
    runtime = _world(tmp_path, _events())
    for measure in MEASURES:
        found = measure(runtime, "buyers", DAYS[1:])
        assert found[PASSED].all(), found.to_dicts()
        assert found[JUDGED].all()
    probed = _row(measures.nothing_leaks, runtime, DAYS[3])
    assert (probed["probed"], probed["events"] > 60, probed["unknown"], probed["foreign"]) == (60, True, 0, 0)


def test_a_day_without_a_set_is_not_judged(tmp_path: Path) -> None:
    runtime = _world(tmp_path, _events())
    for measure in MEASURES:
        assert not _row(measure, runtime, dt.date(2024, 5, 9))[JUDGED]


def test_more_empty_rows_than_before_are_told(tmp_path: Path) -> None:
    strangers = [_event("view", user, utc(2024, 5, 4, 9)) for user in range(100, 200)]
    runtime = _world(tmp_path, [*_events(), *strangers])
    found = _row(measures.empty_share, runtime, DAYS[3])
    assert not found[PASSED]
    assert found[DETAIL].startswith("100 of 160 labels have no event beside them, at most ")


def test_sequences_that_are_longer_than_before_are_told(tmp_path: Path) -> None:
    lively = [_event("view", user, utc(2024, 5, 4, 0, minute)) for user in range(200, 260) for minute in range(4)]
    runtime = _world(tmp_path, [*_events(), *lively])
    found = _row(measures.lengths_alike, runtime, DAYS[3])
    assert not found[PASSED]
    assert "sequences have other lengths than before" in found[DETAIL]


def test_a_label_that_says_nothing_is_told(tmp_path: Path) -> None:
    file = tmp_path / "labels.parquet"
    times = [utc(2024, 5, day, 10) for day in range(1, 5)]
    pl.DataFrame({"user": ["u0"] * 4, "time": times, "y": [1, None, 0, 1]}).write_parquet(file)
    of_file = {"labels": str(file), "moments": None, "outcomes": ()}
    runtime = _world(tmp_path, _events(), BUYERS.model_copy(update=of_file))
    assert _row(measures.labels_known, runtime, DAYS[1])[DETAIL] == "1 of 1 labels have a null"
    assert _row(measures.labels_known, runtime, DAYS[2])[PASSED]


def test_a_day_without_labels_is_told(tmp_path: Path) -> None:
    runtime = _world(
        tmp_path, _events(), BUYERS.model_copy(update={"moments": Moments(events="view", where="id = '?'")})
    )
    assert _row(measures.labels_known, runtime, DAYS[1])[DETAIL] == "the day has no label"


@pytest.mark.parametrize("fault", ["later", "unknown"])
def test_a_build_that_leaks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """The rule with `<=` for `<`; and one that takes what is known today for what was known then."""
    events = _events()
    if fault == "unknown":
        events = [each | {"available_time": each["event_time"] + dt.timedelta(hours=30)} for each in events]
        span = _leaky_mode
        monkeypatch.setattr(building, "write_shard", span)
    else:
        monkeypatch.setattr(building.Span, "before", lambda span, time: time - span.embargo_us + 1)
    runtime = _world(tmp_path, events)
    found = _row(measures.nothing_leaks, runtime, DAYS[3])
    assert not found[PASSED]
    assert found[fault] > 0


def _leaky_mode(*args: Any, **more: Any) -> Any:
    return _write_shard(*args, **more | {"corrected": True})


_write_shard = building.write_shard


def test_sets_whose_tables_moved_since_are_not_held_to_them(tmp_path: Path) -> None:
    runtime = _world(tmp_path, _events())
    put(runtime, [*_events(), *(_event("view", user, utc(2024, 5, 2, 1)) for user in range(30))])
    assert _row(measures.nothing_leaks, runtime, DAYS[3])[PASSED]


def test_a_set_that_is_not_of_its_tables_is_told(tmp_path: Path) -> None:
    runtime = _world(tmp_path, _events(), length=50)
    put(runtime, [*_events(), *(_event("view", user, utc(2024, 5, 4, 1)) for user in range(30))])
    path = Sets(runtime.home, "buyers").place(DAYS[3]) / MANIFEST
    said = json.loads(path.read_text())
    again = DailySet.of(runtime, "buyers").make(DAYS[2], replace=True)[0]
    said["inputs"]["tables"] = again.manifest.inputs["tables"]
    path.write_text(json.dumps(said))
    found = _row(measures.nothing_leaks, runtime, DAYS[3])
    assert "labels have other events in the tables" in found[DETAIL]


@pytest.mark.parametrize("file", [MANIFEST, "part-00000.parquet"])
@pytest.mark.parametrize("said", [b"", b"{}", b'{"format": 1, "shards"', b"\xff\xfe", b"PAR1"])
def test_a_set_that_is_damaged_costs_its_own_day(tmp_path: Path, file: str, said: bytes) -> None:
    runtime = _world(tmp_path, _events())
    path = Sets(runtime.home, "buyers").place(DAYS[2]) / file
    path.write_bytes(said)
    for measure in MEASURES:
        found = measure(runtime, "buyers", DAYS[1:])
        assert found[PASSED].to_list() == [True, False, True], (measure, found.to_dicts())
        assert found[DETAIL][1].startswith("the set cannot be read: ")
    whole = dict.fromkeys(DAYS, 60)
    if file == MANIFEST:
        del whole[DAYS[2]]
        with pytest.raises(SetDamaged, match="move it away, and the day is made again"):
            DailySet.of(runtime, "buyers").make(DAYS[2], replace=True)
    assert Sets(runtime.home, "buyers").rows() == whole
    assert set(Sets(runtime.home, "buyers").marks()) == set(DAYS)


def test_a_folder_with_another_name_is_no_day(tmp_path: Path) -> None:
    runtime = _world(tmp_path, _events())
    for name in ("20240509", "2024-W19-5", "2024-05-09.partial", "notes"):
        folder = Sets(runtime.home, "buyers").place(DAYS[0]).with_name(name)
        folder.mkdir()
        (folder / MANIFEST).write_text("{}")
    assert list(Sets(runtime.home, "buyers").days()) == DAYS
