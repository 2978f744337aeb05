"""The cohort with the differences is found, and chance finds few."""

import numpy as np
import polars as pl
import pytest

from seqplat_resources.shadow.verdict.cohorts import NoCohortColumn, worst_cohorts

COLUMNS = ("client", "hour", "tenant")


def events(seed: int, *, users: int = 1_500) -> pl.DataFrame:
    """One row per event; 2 % of the users have most of their events differ."""
    rng = np.random.default_rng(seed)
    n = np.ceil(np.exp(rng.normal(2, 1, users))).astype(int)
    of = np.repeat(np.arange(users), n)
    hit = np.repeat(rng.random(users) < 0.02, n) & (rng.random(len(of)) < 0.7)
    return pl.DataFrame(
        {
            "user_id": of,
            "client": pl.Series(rng.choice(["ios", "android", "web"], users)[of]).cast(pl.Categorical),
            "hour": rng.integers(0, 24, len(of)),
            "tenant": pl.Series(np.where(of % 3 > 0, "a", "")).replace("", None),
            "differing": hit.astype(np.int8),
            "compared": np.ones(len(of), np.int8),
        }
    )


def test_chance_finds_few_cohorts_though_differences_come_in_clumps() -> None:
    found = [bool(worst_cohorts(events(seed, users=400), COLUMNS)) for seed in range(40)]
    assert np.mean(found) <= 0.1


@pytest.mark.parametrize(
    ("where", "column", "value"),
    [
        (pl.col("client") == "ios", "client", "ios"),
        (pl.col("hour") == 3, "hour", "3"),
        (pl.col("tenant").is_null(), "tenant", None),
    ],
)
def test_the_cohort_that_differs_is_the_worst_and_shows_its_users(
    where: pl.Expr, column: str, value: str | None
) -> None:
    broken = events(1).with_columns(pl.when(where).then(1).otherwise("differing").cast(pl.Int8).alias("differing"))
    worst = worst_cohorts(broken, COLUMNS)[0]
    mine = broken.filter(where)
    assert (worst.column, worst.value, worst.compared, worst.differing) == (column, value, mine.height, mine.height)
    assert worst.others_differing == broken["differing"].cast(pl.Int64).sum() - mine.height
    assert worst.q < 0.001
    assert worst.share > worst.others
    most = mine.group_by("user_id").len().sort("len", "user_id", descending=[True, False])["user_id"].head(5)
    assert worst.users == tuple(map(str, most))


def test_one_user_is_no_cohort_of_thousands() -> None:
    """Though all of his events differ, and nobody else's."""
    alone = events(1).with_columns(pl.when(pl.col("user_id") == 7).then(1).otherwise(0).alias("differing"))
    assert worst_cohorts(alone.with_columns(device=pl.col("user_id").cast(pl.String)), ["device"]) == []


@pytest.mark.parametrize(
    "empty",
    [events(1).clear(), events(1).with_columns(differing=0), events(1).with_columns(differing=0, compared=0)],
)
def test_nothing_differing_has_no_cohorts(empty: pl.DataFrame) -> None:
    assert worst_cohorts(empty, COLUMNS) == []


def test_a_column_that_all_have_one_value_in_is_no_cohort() -> None:
    assert worst_cohorts(events(1).with_columns(client=pl.lit("web")), ["client"]) == []


def test_columns_that_make_no_groups_are_refused() -> None:
    odd = events(1).with_columns(share=pl.lit(0.5), tags=pl.lit([1]))
    for name, said in (("share", "cut it into classes"), ("tags", "whose values are no cohorts"), ("no", "there are")):
        with pytest.raises(NoCohortColumn, match=said):
            worst_cohorts(odd, [name])
