"""What every executor promises, each in one line of a test: same rows, same events, in any batches and order.

>>> row = {"number": 1, "member": "ann", "at": "2024-05-01T09:00:00Z", "product": "tea", "amount": 3}
>>> holds_for_any_order(Trial(shop.loaded), "purchase", [row, {**row, "number": 2}])
"""

from collections.abc import Mapping, Sequence

import polars as pl
from polars.testing import assert_frame_equal

from seqplat_resources.cases.trial import Rows, Trial
from seqplat_resources.engine.plan import POSITION, EventPlan

_SIZES = (1, 2, 7)


def is_deterministic(trial: Trial, event_type: str, rows: Rows, enrichments: Mapping[str, Rows] | None = None) -> None:
    """The same rows give the same events.

    Raises:
        AssertionError: they do not; the message shows the frames' first difference.
    """
    once = trial.at(trial.clock.now())  # a receipt is when the clock says
    first, second = (once.events(event_type, rows, enrichments) for _ in range(2))
    assert_frame_equal(first.events, second.events)


def holds_for_any_split(trial: Trial, event_type: str, rows: Rows, sizes: Sequence[int] = _SIZES) -> None:
    """An executor maps batches of any size to the events of the whole; what looks at other rows does not.

    Raises:
        AssertionError: some batches give others.
    """
    plan, raw = trial.raw(event_type, rows)
    whole = _mapped(plan, raw)
    for size in sizes:
        parts = [_mapped(plan, raw[start : start + size]) for start in range(0, raw.height, size)]
        _require_equal(whole, pl.concat(parts) if parts else whole, f"batches of {size} row(s)")


def holds_for_any_order(trial: Trial, event_type: str, rows: Rows) -> None:
    """The order of rows in a batch changes no event.

    Raises:
        AssertionError: it does.
    """
    plan, raw = trial.raw(event_type, rows)
    whole = _mapped(plan, raw)
    _require_equal(whole, _mapped(plan, raw.reverse()), "the rows in reverse")
    _require_equal(whole, _mapped(plan, raw.sample(fraction=1.0, shuffle=True, seed=7)), "the rows shuffled")


def _mapped(plan: EventPlan, raw: pl.DataFrame) -> pl.DataFrame:
    """Both steps of the executor, as the engine takes them, by place."""
    kept = raw.filter(plan.executor.keep(plan.event_type, plan.source))
    events = plan.executor.normalize(kept.lazy(), plan.event_type, plan.source).collect()
    columns = [*(column.name for column in plan.event_type.columns), *POSITION]
    return events.select(columns).sort("_partition", "_offset", *columns[: -len(POSITION)], nulls_last=True)


def _require_equal(whole: pl.DataFrame, other: pl.DataFrame, what: str) -> None:
    other = other.sort("_partition", "_offset", *whole.columns[: -len(POSITION)], nulls_last=True)
    try:
        assert_frame_equal(whole, other)
    except AssertionError as error:
        raise AssertionError(f"{what} give other events than all rows together: {error}") from None
