"""What each user has compared, and differing of it, summed up by metric.

Metrics of all events of either side are ``only_ours``, ``only_legacy`` and ``alone`` (one of both). Metrics of pairs
are ``mismatch`` (any column differs), ``differs_<column>`` and ``null_<column>`` (one side alone has a value). Each is
there three times: with all its differences, as ``<metric>.unexpected`` without those that were known in advance, and as
``<metric>.unexplained`` with those that no rule explains.

>>> from seqplat_resources.comparison.causes.rules import explain
>>> from seqplat_resources.comparison.contract import ColumnRule, Matching
>>> from seqplat_resources.comparison.events import compare_events
>>> ours = pl.DataFrame({"user_id": ["ann", "ann"], "event_id": ["1", "2"], "amount": [3, 4]})
>>> legacy = ours.with_columns(amount=pl.Series([3, 9]))
>>> found = compare_events(ours, legacy, {"amount": ColumnRule()}, Matching())
>>> sums = counted(found, explain(found))["differs_amount"]
>>> sums.users, sums.differing, sums.compared
(1, 1, 2)
"""

import polars as pl

from seqplat_resources.comparison.causes.rules import COLUMN, ONLY_LEGACY, ONLY_OURS, UNEXPLAINED
from seqplat_resources.comparison.contract import DIFFERS, USER, Sums
from seqplat_resources.comparison.events import EventComparison

ALONE, MISMATCH, NULL = "alone", "mismatch", "null_"
UNEXPECTED = "unexpected"
_SUFFIXES = ("", f".{UNEXPECTED}", f".{UNEXPLAINED}")
_OF_EVENTS = (ONLY_OURS, ONLY_LEGACY, ALONE)


def counted(found: EventComparison, differences: pl.DataFrame) -> dict[str, Sums]:
    """By metric the sums over all users.

    Shapes:
        In: ``differences`` as of ``causes.rules.explain``.
    """
    frames = {COLUMN: found.pairs, ONLY_OURS: found.only_ours, ONLY_LEGACY: found.only_legacy}
    sizes = [frame.select(USER, is_pair=pl.lit(kind == COLUMN)) for kind, frame in frames.items()]
    users = pl.concat(sizes).group_by(USER).agg(pl.col("is_pair").sum().cast(pl.Int64), all=pl.len().cast(pl.Int64))
    # All that is compared, once for all metrics; who differs in nothing adds to that only.
    compared = {of: Sums.of(pl.zeros(users.height, pl.Int64, eager=True), users[of]) for of in ("is_pair", "all")}
    rows = {kind: differences.filter(kind=kind) for kind in frames}
    with_user = [each.with_columns(frames[kind][USER].gather(each["row"])) for kind, each in rows.items()]
    of_users = pl.concat(with_user).join(users, on=USER, nulls_equal=True)
    metrics = [*_OF_EVENTS, MISMATCH, *found.differs, *(f"{NULL}{name}" for name in found.compared)]
    return {
        f"{metric}{suffix}": _sums(of_users.filter(_is_of(f"{metric}{suffix}")), compared, metric)
        for metric in metrics
        for suffix in _SUFFIXES
    }


def _base(metric: str) -> str:
    return "all" if metric.partition(".")[0] in _OF_EVENTS else "is_pair"


def _is_of(metric: str) -> pl.Expr:
    """Of differences, whether they count."""
    name, _, which = metric.partition(".")
    column = pl.col("column")
    if name in (ALONE, MISMATCH):
        of = (pl.col("kind") == COLUMN) == (name == MISMATCH)
    elif name in _OF_EVENTS:
        of = pl.col("kind") == name
    elif name.startswith(NULL):
        of = (column == name.removeprefix(NULL)) & pl.col("one_null")
    else:
        of = column == name.removeprefix(DIFFERS)
    counts = {"": pl.lit(True), UNEXPECTED: ~pl.col("expected"), UNEXPLAINED: pl.col("cause") == UNEXPLAINED}[which]
    return of.fill_null(False) & counts


def _sums(differing: pl.DataFrame, compared: dict[str, Sums], metric: str) -> Sums:
    """Of differences with their user and how much that one has; a pair that differs in two columns counts once."""
    of = _base(metric)
    users = differing.unique(["kind", "row"]).group_by(USER).agg(pl.len(), pl.col(of).first())
    part, whole = Sums.of(users["len"], users[of]), compared[of]
    return Sums(
        whole.users,
        part.differing,
        whole.compared,
        part.differing_squared,
        whole.compared_squared,
        part.product,
    )
