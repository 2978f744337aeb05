"""What every executor promises, over its sample rows in ``executor_samples/<name>.py``.

A sample states ``SOURCE``, ``EVENT_TYPE`` and ``ROWS``: source columns as a file gives them, `_partition`, `_offset`.
"""

import random
from importlib import import_module
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from seqplat_resources.engine.plan import POSITION
from seqplat_resources.engine.registry import executors
from seqplat_resources.sources.decode import decode
from tests.building import utc


@pytest.fixture(params=sorted(executors()))
def sample(request: pytest.FixtureRequest) -> ModuleType:
    sample = Path(__file__).parent / "executor_samples" / f"{request.param}.py"
    assert sample.exists(), f"executor {request.param!r} has no sample rows: add {sample.name} in {sample.parent.name}"
    return import_module(f"tests.contracts.executor_samples.{request.param}")


@pytest.fixture
def raw(sample: ModuleType) -> pl.DataFrame:
    """The sample's rows as the raw table holds them."""
    decoded = decode(sample.ROWS.with_columns(_received=pl.lit(utc(2030, 1, 1))), sample.SOURCE)
    assert decoded.rejects.height == 0
    return decoded.rows


def mapped(sample: ModuleType, raw: pl.DataFrame) -> pl.DataFrame:
    """Both steps, as the engine takes them."""
    executor = executors()[sample.EVENT_TYPE.executor]()
    kept = raw.filter(executor.keep(sample.EVENT_TYPE, sample.SOURCE))
    return executor.normalize(kept.lazy(), sample.EVENT_TYPE, sample.SOURCE).collect()


def test_the_sample_gives_events_and_filters_some(sample: ModuleType, raw: pl.DataFrame) -> None:
    """Else the other tests would say nothing."""
    events = mapped(sample, raw)
    assert 0 < events.select("_partition", "_offset").unique().height < raw.height


def test_keep_is_one_boolean_per_row(sample: ModuleType, raw: pl.DataFrame) -> None:
    executor = executors()[sample.EVENT_TYPE.executor]()
    verdict = raw.with_columns(_verdict=executor.keep(sample.EVENT_TYPE, sample.SOURCE))["_verdict"]
    assert (verdict.dtype, verdict.len()) == (pl.Boolean(), raw.height)


def test_every_declared_column_comes_out(sample: ModuleType, raw: pl.DataFrame) -> None:
    events = mapped(sample, raw)
    assert {column.name for column in sample.EVENT_TYPE.columns} <= set(events.columns)


def test_positions_and_identity_fields_pass_through_unchanged(sample: ModuleType, raw: pl.DataFrame) -> None:
    source = sample.SOURCE
    carried = [*POSITION, *(name for name in (source.user_id, source.rev, source.op) if name)]
    events = mapped(sample, raw).select(carried).unique()
    assert_frame_equal(events.join(raw.select(carried), on=carried, how="semi", nulls_equal=True), events)


def test_no_rows_give_no_events_of_the_same_types(sample: ModuleType, raw: pl.DataFrame) -> None:
    nothing = mapped(sample, raw.clear())
    assert (nothing.height, nothing.schema) == (0, mapped(sample, raw).schema)


def test_twice_the_same_rows_give_the_same_events(sample: ModuleType, raw: pl.DataFrame) -> None:
    before = raw.clone()
    assert_frame_equal(mapped(sample, raw), mapped(sample, raw))
    assert_frame_equal(raw, before)


@pytest.mark.parametrize("size", [1, 7])
def test_batches_of_any_size_give_the_events_of_the_whole(sample: ModuleType, raw: pl.DataFrame, size: int) -> None:
    batches = [mapped(sample, raw[start : start + size]) for start in range(0, raw.height, size)]
    assert_frame_equal(pl.concat(batches), mapped(sample, raw))


def test_an_event_does_not_depend_on_the_rows_beside_it(sample: ModuleType, raw: pl.DataFrame) -> None:
    """Rows in another order, and with others in between, give the same events."""
    order = list(range(raw.height)) * 2
    random.Random(5).shuffle(order)
    columns = sorted(mapped(sample, raw).columns)
    mixed = mapped(sample, raw[order]).select(columns).unique().sort(columns)
    assert_frame_equal(mixed, mapped(sample, raw).select(columns).unique().sort(columns))
