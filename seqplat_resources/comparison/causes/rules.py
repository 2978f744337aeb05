"""Why something differs: of the rules below, in their order, the first that holds says it.

A *difference* is an event that one side alone has, or one column of a pair. Each has one cause, so the counts of causes
add up to the number of differences. What is expected goes before all rules; what none explains is ``unexplained``.

>>> from seqplat_resources.comparison.contract import Matching
>>> from seqplat_resources.comparison.events import compare_events
>>> ours = pl.DataFrame({"user_id": ["ann"], "event_id": ["1"], "price": [0.30000000000000004]})
>>> legacy = ours.with_columns(price=0.3)
>>> explain(compare_events(ours, legacy, {"price": ColumnRule()}, Matching())).select("kind", "column", "cause").row(0)
('column', 'price', 'rounding')
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from seqplat_resources.comparison.causes.alone import (
    COPY,
    ELSEWHERE,
    FILTERED,
    LATE,
    LEFT_OUT,
    REFUSED,
    Known,
    with_marks,
)
from seqplat_resources.comparison.causes.expected import Expectation, holding
from seqplat_resources.comparison.causes.shifts import is_zone, usual_shift
from seqplat_resources.comparison.causes.versions import in_other_version
from seqplat_resources.comparison.contract import DIFFERS, LEGACY, ColumnRule
from seqplat_resources.comparison.events import EventComparison

UNEXPLAINED = "unexplained"
ONLY_OURS, ONLY_LEGACY, COLUMN = "only_ours", "only_legacy", "column"
_NOTHING = "No rule explains it."
# By what arithmetic makes of a number that is not exact in binary; relative to it.
_LAST_DIGITS = 1e-12


@dataclass(frozen=True)
class CauseRule:
    """``when`` is true for a difference of this cause; ``of`` says for which types of values, if not for all."""

    cause: str
    because: str
    when: pl.Expr
    of: Callable[[pl.DataType], bool] = lambda _: True


def _either(rule: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> pl.Expr:
    """What holds for one value and the other, whichever is whose."""
    ours, legacy = pl.col("ours"), pl.col("legacy")
    return rule(ours, legacy) | rule(legacy, ours)


def _is_time(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Datetime)


def _is_float(dtype: pl.DataType) -> bool:
    return dtype.is_float()


def _are_floats(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.DataType) and dtype.inner.is_float()


def _has_fewer_decimals(fine: pl.Expr, coarse: pl.Expr) -> pl.Expr:
    """Rounded to nearest or cut, to none up to six decimals that the finer value does not keep to.

    A coarse value may be a shorter float of the number that is meant; the finer one is taken at its word.
    """
    fine, coarse = fine.cast(pl.Float64), coarse.cast(pl.Float64)
    found = []
    for decimals in range(7):
        a, b = fine * 10**decimals, coarse * 10**decimals
        size = pl.max_horizontal(pl.lit(1.0), a.abs())
        noise = 1e-7 * size
        on_grid, off_grid = (b - b.round()).abs() <= noise, (a - a.round()).abs() > _LAST_DIGITS * size
        apart = (a - b).abs()
        found.append(on_grid & off_grid & ((apart <= 0.5 + noise) | ((apart < 1) & (b.abs() < a.abs()))))
    return fine.is_finite() & coarse.is_finite() & pl.any_horizontal(found)


def _in_shorter_floats(long: pl.Expr, short: pl.Expr) -> pl.Expr:
    wide = pl.Float64
    return pl.any_horizontal(long.cast(narrow).cast(wide) == short.cast(wide) for narrow in (pl.Float32, pl.Float16))


def _in_vectors_of_shorter_floats(long: pl.Expr, short: pl.Expr) -> pl.Expr:
    wide, narrower = pl.List(pl.Float64), (pl.List(pl.Float32), pl.List(pl.Float16))
    return pl.any_horizontal(long.cast(narrow).cast(wide) == short.cast(wide) for narrow in narrower)


def _is_time_cut_to(whole: pl.Expr, cut: pl.Expr) -> pl.Expr:
    return pl.any_horizontal(whole.dt.truncate(unit) == cut for unit in ("1ms", "1s", "1m"))


# Of an event that one side alone has. What the marks say of it is found in ``alone``.
ALONE = (
    CauseRule("late", "It arrived after the other side had stopped to wait.", pl.col(LATE)),
    CauseRule("filter", "Our filter left it out.", pl.col(FILTERED)),
    CauseRule("dedup", "It repeats another event of its own side.", pl.col(COPY)),
    CauseRule("dedup", "We left it out as a copy of another event.", pl.col(LEFT_OUT)),
    CauseRule("clock", "The other side has it whole quarter hours off, or as far off as most.", pl.col(ELSEWHERE)),
    CauseRule(UNEXPLAINED, "We refused its row; its reason is among the source's rejects.", pl.col(REFUSED)),
)
_SHIFT = pl.col("ours") - pl.col("legacy")
_IS_NEARLY_NOTHING = _SHIFT.is_finite() & (
    _SHIFT.abs() <= _LAST_DIGITS * pl.max_horizontal(pl.col("ours").abs(), pl.col("legacy").abs())
)
# Of two values of a pair: ``ours`` and ``legacy``, and what is known of them beyond.
VALUES = (
    CauseRule("enrichment_version", "Another version of the enrichment has legacy's value.", pl.col("other_version")),
    CauseRule("clock", "The times are whole quarter hours apart, as those of zones are.", is_zone(_SHIFT), _is_time),
    CauseRule("truncation", "One time is the other without its smaller units.", _either(_is_time_cut_to), _is_time),
    CauseRule("clock", "The times are as far apart as most that differ are.", pl.col("usual") == _SHIFT, _is_time),
    CauseRule(
        "truncation",
        "One text is the beginning of the other.",
        _either(lambda whole, cut: whole.str.starts_with(cut) & (cut != "")),
        lambda dtype: dtype == pl.String(),
    ),
    CauseRule(
        "truncation",
        "One list is the beginning of the other.",
        _either(lambda whole, cut: (whole.list.head(cut.list.len()) == cut) & (cut.list.len() > 0)),
        lambda dtype: isinstance(dtype, pl.List),
    ),
    CauseRule("rounding", "One number is the other with fewer decimals.", _either(_has_fewer_decimals), _is_float),
    CauseRule("rounding", "The numbers differ in the last digits of a float.", _IS_NEARLY_NOTHING, _is_float),
    CauseRule("rounding", "One number is the other as a shorter float.", _either(_in_shorter_floats), _is_float),
    CauseRule("rounding", "One vector has shorter floats.", _either(_in_vectors_of_shorter_floats), _are_floats),
)


def explain(
    found: EventComparison,
    known: Known | None = None,
    expected: Sequence[Expectation] = (),
    rules: Mapping[str, ColumnRule] | None = None,
) -> pl.DataFrame:
    """One row per difference, with its cause.

    Shapes:
        Out: ``kind`` (only_ours, only_legacy, column), ``column`` (null if not a column), ``row`` in the frame of the
        comparison that holds it, ``cause``, ``because``, ``expected`` (it was known in advance), ``one_null``
        (one of two values is null) and ``raised``: of what is known in advance, the ``because`` of that which could not
        be computed of it, or null.
    Cost:
        In proportion to what differs. ``rules`` are those of the comparison, for values of other versions.
    """
    known = known or Known()
    parts = [_alone(found, kind, known, expected) for kind in (ONLY_OURS, ONLY_LEGACY)]
    return pl.concat([*parts, *_columns(found, known, expected, rules or {})])


def causes_of(rows: pl.DataFrame, rules: Sequence[CauseRule]) -> pl.DataFrame:
    """Row by row ``cause`` and ``because`` of the first of ``rules`` that holds, and its place among them: ``rule``.

    Where none holds it is ``unexplained``; a rule that is null does not hold.
    """
    ordered = [*rules, CauseRule(UNEXPLAINED, _NOTHING, pl.lit(True))]
    first = pl.lit(len(rules))
    for place, rule in reversed(list(enumerate(rules))):
        first = pl.when(rule.when.fill_null(False)).then(place).otherwise(first)
    at = rows.with_columns(rule=first)["rule"]
    said = pl.DataFrame({"cause": [rule.cause for rule in ordered], "because": [rule.because for rule in ordered]})
    return said[at].with_columns(at)


def ledger(differences: pl.DataFrame) -> pl.DataFrame:
    """How many there are of each ``kind``, ``column``, ``cause``, ``because``, ``expected``: ``count``, in order.

    Ledgers of parts are one below the other, summed up by the same columns, that of the whole.
    """
    keys = ["kind", "column", "cause", "because", "expected"]
    return differences.group_by(keys).agg(pl.len().cast(pl.Int64).alias("count")).sort(keys, nulls_last=False)


def _alone(found: EventComparison, kind: str, known: Known, expected: Sequence[Expectation]) -> pl.DataFrame:
    is_ours = kind == ONLY_OURS
    side = found.only_ours if is_ours else found.only_legacy
    theirs = {name: f"{LEGACY}{name}" for name in side.columns if f"{LEGACY}{name}" in found.pairs.columns}
    wide = pl.concat([found.pairs.clear(), side if is_ours else side.rename(theirs)], how="diagonal_relaxed")
    marked = with_marks(found, known, is_ours=is_ours).with_row_index("row").with_columns(one_null=pl.lit(False))
    return _caused(marked, kind, None, [(each, *holding(wide, each)) for each in expected], ALONE)


def _columns(
    found: EventComparison, known: Known, expected: Sequence[Expectation], rules: Mapping[str, ColumnRule]
) -> Iterator[pl.DataFrame]:
    for name in found.compared:
        at = found.pairs[f"{DIFFERS}{name}"].arg_true()
        rows = found.pairs[at].with_columns(at.alias("row"))
        values = rows.select("row", ours=name, legacy=f"{LEGACY}{name}")
        if isinstance(array := values.schema["ours"], pl.Array):
            values = values.with_columns(pl.col("ours", "legacy").cast(pl.List(array.inner)))
        dtype = values.schema["ours"]
        other = in_other_version(rows, name, known.versions, rules.get(name, ColumnRule()))
        usual = usual_shift(values["ours"] - values["legacy"]) if _is_time(dtype) else None
        values = values.with_columns(
            other_version=other,
            usual=pl.lit(usual, pl.Duration("us")),
            one_null=pl.col("ours").is_null() != pl.col("legacy").is_null(),
        )
        about = [(each, *holding(rows, each)) for each in expected if each.is_about(name, found.compared)]
        yield _caused(values, COLUMN, name, about, [rule for rule in VALUES if rule.of(dtype)])


def _caused(
    rows: pl.DataFrame,
    kind: str,
    column: str | None,
    expected: Sequence[tuple[Expectation, pl.Series, pl.Series | None]],
    rules: Sequence[CauseRule],
) -> pl.DataFrame:
    marks = {f"expected_{at}": holds for at, (_, holds, _) in enumerate(expected)}
    known = [
        CauseRule(each.cause, each.because, pl.col(mark)) for mark, (each, *_) in zip(marks, expected, strict=True)
    ]
    marked = rows.with_columns(pl.Series(name, holds) for name, holds in marks.items())
    said = causes_of(marked, [*known, *rules])
    return said.select(
        pl.lit(kind).alias("kind"),
        pl.lit(column, pl.String()).alias("column"),
        rows["row"],
        "cause",
        "because",
        (pl.col("rule") < len(known)).alias("expected"),
        rows["one_null"],
        _raised(rows.height, expected).alias("raised"),
    )


def _raised(height: int, expected: Sequence[tuple[Expectation, pl.Series, pl.Series | None]]) -> pl.Series:
    found = pl.repeat(None, height, dtype=pl.String(), eager=True)
    for each, _, raises in reversed(expected):
        found = (
            found if raises is None else pl.select(pl.when(raises).then(pl.lit(each.because)).otherwise(found))[:, 0]
        )
    return found
