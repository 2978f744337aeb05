"""A value that a step cannot take costs its own row: the one place where rows are halved until bad ones are alone.

>>> rows = pl.DataFrame({"amount": ["3", "four", "5"]})
>>> found = isolated(rows, lambda rows: rows.select(pl.col("amount").cast(pl.Int64)))
>>> found.done["amount"].to_list(), list(found.failed)
([3, 5], [1])
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from seqplat_resources.errors import Final, Retryable
from seqplat_resources.values.spread import spread
from sequence_defs.native import NATIVE_ERRORS, first_line

# What a value can make code raise, an executor's too. Ctrl-C and exits are none of these.
RAISED_BY_VALUES: tuple[type[BaseException], ...] = (Exception, *NATIVE_ERRORS)

Step = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Isolation:
    """``done``: what the step made of the rows it took, in their order. ``failed``: of the others, number and error."""

    done: pl.DataFrame
    failed: Mapping[int, str]


def isolated(rows: pl.DataFrame, step: Step) -> Isolation:
    """``step`` over all rows; where it raises, over halves of them, down to the rows on which it raises alone.

    ``step`` is pure, and what it makes of a row depends on that row alone; it may make none or several rows of one.

    Raises:
        whatever ``step`` raises on no rows at all, or as an error of ours: then no row is to blame.
    Cost:
        One call if nothing is bad; else about 2 log2(rows) more for each bad row.
    """
    try:
        return Isolation(step(rows), {})
    except (Final, Retryable):
        raise
    except RAISED_BY_VALUES as error:
        if rows.height == 0:
            raise
        done: list[pl.DataFrame] = [step(rows.clear())]
        failed: dict[int, str] = {}
        if rows.height == 1:
            return Isolation(done[0], {0: one_line(error)})
        _halve(rows, 0, step, done, failed)
        return Isolation(pl.concat(done, how="vertical_relaxed"), failed)


def attempted(rows: pl.DataFrame, step: Step) -> tuple[pl.DataFrame, pl.Series | None]:
    """``step``, which gives one row for each, with nulls in the rows it raises on, and per row what it raised or null.

    The second is None if there is nothing to say.
    """
    found = isolated(rows, step)
    if not found.failed:
        return found.done, None
    errors = pl.Series([found.failed.get(number) for number in range(rows.height)], dtype=pl.String())
    return spread(found.done, errors.is_null()), errors


def one_line(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {first_line(error) if str(error).strip() else 'no message'}"


def _halve(rows: pl.DataFrame, first: int, step: Step, done: list[pl.DataFrame], failed: dict[int, str]) -> None:
    middle = rows.height // 2
    for start, half in ((first, rows[:middle]), (first + middle, rows[middle:])):
        try:
            done.append(step(half))
        except (Final, Retryable):
            raise
        except RAISED_BY_VALUES as error:
            if half.height == 1:
                failed[start] = one_line(error)
            else:
                _halve(half, start, step, done, failed)
