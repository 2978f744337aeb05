"""The engine's boundary around executors: bad rows become rejects, a broken executor an error that says so."""

import json

import polars as pl
import pytest

from seqplat_resources.engine.contract import NoLookup
from seqplat_resources.engine.plan import EventPlan
from seqplat_resources.engine.run import ExecutorFailed, run
from sequence_defs.schema import Column, EventType, Source
from tests.building import utc
from tests.oracle import Row
from tests.properties.clicks import SCHEMA, click, plan_of, raw_frame


class Fragile:
    """Raises on rows of the item 13 and, if told so, breaks its contract."""

    def __init__(self, *, drops: str = "", raises_always: bool = False) -> None:
        self.drops, self.raises_always = drops, raises_always

    def keep(self, event_type: EventType, source: Source) -> pl.Expr:
        return pl.col("amount").is_null()

    def normalize(self, raw: pl.LazyFrame, event_type: EventType, source: Source) -> pl.LazyFrame:
        if self.raises_always:
            raise TypeError("not a number\nbut a second line")

        def check(items: pl.Series) -> pl.Series:
            if 13 in items:
                raise ValueError("13 is unlucky")
            return items

        return raw.with_columns(pl.col("item").map_batches(check, return_dtype=pl.Int64())).drop(
            self.drops, strict=False
        )


def plan_with(executor: Fragile, event_type: EventType | None = None) -> EventPlan:
    plan = plan_of(event_type or click())
    return EventPlan(plan.release, plan.event_type, plan.source, executor, plan.attachments)


def raw_with(*items: int) -> pl.DataFrame:
    """A row per item; the member is its text, the offset its place."""
    at = {"at": utc(2024, 5, 1), "received": utc(2024, 5, 1)}
    rows: list[Row] = [
        dict.fromkeys(SCHEMA) | at | {"member": f"m{n}", "click": n, "item": item, "_partition": "p", "_offset": n}
        for n, item in enumerate(items)
    ]
    return raw_frame(rows)


def test_rows_an_executor_raises_on_are_rejected_and_the_others_mapped() -> None:
    outcome = run(plan_with(Fragile()), raw_with(1, 13, 2, 3, 13, 4), NoLookup())
    assert sorted(outcome.events["item"].to_list()) == [1, 2, 3, 4]
    assert outcome.rejects["offset"].to_list() == [1, 4]
    assert outcome.rejects["day"].to_list() == [utc(2024, 5, 1).date()] * 2
    assert outcome.rejects["source_partition"].to_list() == ["p", "p"]
    (reason,) = set(outcome.rejects["reason"])
    assert reason == "click: ValueError: 13 is unlucky"
    assert json.loads(outcome.rejects["payload"][0])["item"] == 13
    counts = outcome.counts
    assert (counts.read, counts.filtered, counts.rejected, counts.events) == (6, 0, 2, 4)


def test_more_failing_rows_than_bad_data_has_stop_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqplat_resources.engine.run.MAX_ISOLATED_FAILURES", 3)
    with pytest.raises(ExecutorFailed) as failed:
        run(plan_with(Fragile()), raw_with(13, 13, 13, 13), NoLookup())
    assert str(failed.value) == (
        "executor 'declarative' failed on more than 3 rows of event type 'click' (last: ValueError: 13 is unlucky); "
        "mend its filter or columns and run the day again"
    )


@pytest.mark.parametrize("items", [(), (1,), (1, 2, 3)])
def test_an_executor_that_fails_without_any_row_is_named(items: tuple[int, ...]) -> None:
    """No row is to blame, so none is rejected and the first error is kept as the cause."""
    with pytest.raises(ExecutorFailed) as failed:
        run(plan_with(Fragile(raises_always=True)), raw_with(*items), NoLookup())
    assert str(failed.value) == (
        "executor 'declarative' of event type 'click' fails even without rows (TypeError: not a number); "
        "mend its filter or columns"
    )
    assert isinstance(failed.value.__cause__, TypeError)


@pytest.mark.parametrize("dropped", ["shop", "member", "_offset"])
def test_a_column_that_does_not_come_out_is_named(dropped: str) -> None:
    with pytest.raises(ExecutorFailed) as failed:
        run(plan_with(Fragile(drops=dropped)), raw_with(1, 2), NoLookup())
    said, gave = str(failed.value).split("; it gave ")
    assert said == f"executor 'declarative' did not produce ['{dropped}'] for event type 'click'"
    assert "'item'" in gave
    assert f"'{dropped}'" not in gave


def test_events_whose_values_do_not_fit_are_rejected_with_their_raw_row() -> None:
    """A declared type, a required value and the identity are checked after mapping."""
    numbers = [Column(name="click", dtype="int64", nullable=False), Column(name="tiny", dtype="int8", sql="item")]
    required = Column(name="small", dtype="int64", nullable=False, sql="NULLIF(item, 5)")
    plan = plan_of(click(columns=(*numbers, required)))
    outcome = run(plan, raw_with(1, 300, 5), NoLookup())
    assert outcome.events["tiny"].to_list() == [1]
    assert outcome.rejects.sort("offset")["reason"].to_list() == [
        "click: column tiny: 300 is not int8",
        "click: column small: null, but it is required",
    ]
    assert outcome.counts.rejected == 2


def test_a_correction_that_is_filtered_out_retracts_its_event_and_is_never_a_reject() -> None:
    """Not even where a value does not fit, the executor raises, or nothing says which event it corrects."""
    tiny = Column(name="tiny", dtype="int8", nullable=False, sql="item")
    event_type = click(columns=(*click().columns, tiny), filter="amount > 0")
    raw = raw_with(1, 300, 2, 3).with_columns(
        amount=pl.Series([5, 0, None, 0], dtype=pl.Int64), revision=pl.Series([0, 1, 1, 0], dtype=pl.Int64)
    )
    outcome = run(plan_of(event_type), raw, NoLookup())
    assert outcome.events.sort("event_id").select("event_id", "op", "tiny").rows() == [
        ("0", "upsert", 1),
        ("1", "retract", None),
        ("2", "retract", None),
    ]
    counts = outcome.counts
    assert (counts.read, counts.filtered, counts.withdrawn, counts.rejected, counts.events) == (4, 1, 2, 0, 3)
    corrected = raw_with(1, 13, 2).with_columns(amount=pl.lit(5), revision=pl.lit(1, pl.Int64))
    fragile = run(plan_with(Fragile()), corrected, NoLookup())
    assert fragile.events["event_id"].to_list() == ["0", "2"]
    assert (fragile.rejects.height, fragile.counts.filtered, fragile.counts.withdrawn) == (0, 1, 2)
    unnamed = click(columns=(Column(name="who", dtype="int64", sql="item"),), natural_key=("who",), filter="amount > 0")
    nameless = raw_with(1, 2).with_columns(item=pl.Series([None, 2], dtype=pl.Int64), revision=pl.lit(1, pl.Int64))
    outcome = run(plan_of(unnamed), nameless, NoLookup())
    assert outcome.events["event_id"].to_list() == ["2"]
    assert (outcome.rejects.height, outcome.counts.filtered) == (0, 1)


def test_an_operation_that_is_neither_is_rejected() -> None:
    raw = raw_with(1, 2).with_columns(operation=pl.Series(["Retract", "delete"]))
    outcome = run(plan_of(click()), raw, NoLookup())
    assert outcome.events["op"].to_list() == ["retract"]
    assert outcome.rejects["reason"].to_list() == ["click: op: delete is neither upsert nor retract"]
