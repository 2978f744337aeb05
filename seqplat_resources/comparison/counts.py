"""What each user has compared, and differing of it, summed up by metric; for all events, or for cohorts of them."""

import polars as pl

from seqplat_resources.comparison.causes.rules import COLUMN, ONLY_LEGACY, ONLY_OURS, UNEXPLAINED
from seqplat_resources.comparison.contract import DIFFERS, USER, Sums
from seqplat_resources.comparison.events import EventComparison

# Of events that one side alone has there are so many of all events; of the other metrics, of pairs.
ALONE, MISMATCH = "alone", "mismatch"
_OF_EVENTS = (ONLY_OURS, ONLY_LEGACY, ALONE)
# Which differences count: all; those that were not known in advance; those that no rule explains.
_SUFFIXES = ("", ".unexpected", ".unexplained")
_COHORT = "cohort"


def counted(
    found: EventComparison, differences: pl.DataFrame, cohort: pl.Expr | None = None
) -> dict[str, dict[str, Sums]]:
    """By cohort and metric, counts by user; the cohort of null is "", and without ``cohort`` all are in it.

    Metrics are ``only_ours``, ``only_legacy`` and ``alone`` (either), of all events, ``mismatch`` (pairs that differ in
    any column) and ``differs_<column>``, of pairs. Each is there three times: with all its differences, as
    ``<metric>.unexpected`` without those that were known in advance, as ``<metric>.unexplained`` with those that no
    rule explains.

    Shapes:
        In: ``differences`` as of ``causes.rules.explain``; ``cohort`` is text over columns that both sides have.
    """
    by = (pl.lit("") if cohort is None else cohort.fill_null("")).alias(_COHORT)
    frames = {COLUMN: found.pairs, ONLY_OURS: found.only_ours, ONLY_LEGACY: found.only_legacy}
    events = {kind: frame.select(USER, by) for kind, frame in frames.items()}
    sizes = pl.concat([each.with_columns(is_pair=pl.lit(kind == COLUMN)) for kind, each in events.items()])
    users = sizes.group_by(_COHORT, USER).agg(
        pairs=pl.col("is_pair").sum().cast(pl.Int64), union=pl.len().cast(pl.Int64)
    )
    rows = pl.concat([_with_metrics(differences.filter(kind=kind), each) for kind, each in events.items()])
    per_user = rows.group_by("metric", _COHORT, USER).agg(pl.col(_SUFFIXES).sum().cast(pl.Int64))
    per_user = per_user.join(users, on=[_COHORT, USER], nulls_equal=True)
    metrics = [*_OF_EVENTS, MISMATCH, *found.differs]
    return {
        name: {
            f"{metric}{suffix}": sums
            for metric in metrics
            for suffix, sums in _sums(cohort_users, per_user.filter(metric=metric, cohort=name), metric).items()
        }
        for (name,), cohort_users in users.partition_by(_COHORT, as_dict=True).items()
    }


def _with_metrics(differences: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Per difference and metric a row with its event's user and cohort, and whether it counts per suffix."""
    counts = pl.lit(True), ~pl.col("expected"), pl.col("cause") == UNEXPLAINED
    rows = differences.select("kind", "column", "row", **dict(zip(_SUFFIXES, counts, strict=True)))
    own = rows.with_columns(metric=pl.coalesce(pl.lit(DIFFERS) + pl.col("column"), "kind"))
    shared = rows.with_columns(metric=pl.when(pl.col("kind") == COLUMN).then(pl.lit(MISMATCH)).otherwise(pl.lit(ALONE)))
    # A pair that differs in two columns is one mismatch.
    once = shared.group_by("metric", "row").agg(pl.col(_SUFFIXES).any())
    both = pl.concat([each.select("metric", "row", *_SUFFIXES) for each in (own, once)])
    return both.hstack(events[both["row"]].get_columns())


def _sums(users: pl.DataFrame, differing: pl.DataFrame, metric: str) -> dict[str, Sums]:
    """Users that differ in nothing add to what is compared only."""
    of = "union" if metric in _OF_EVENTS else "pairs"
    compared = Sums.of(pl.zeros(users.height, pl.Int64, eager=True), users[of])
    found = {}
    for suffix in _SUFFIXES:
        part = Sums.of(differing[suffix], differing[of])
        found[suffix] = Sums(
            compared.users,
            part.differing,
            compared.compared,
            part.differing_squared,
            compared.compared_squared,
            part.product,
        )
    return found
