"""Each rule of precedence alone, and coverage by position."""

import datetime as dt
from collections.abc import Iterable

import polars as pl
import pytest

from seqplat_resources.merge import policy
from seqplat_resources.online_store import BucketVersion
from sequence_defs.compiler.sql import storage_dtype
from tests.building import utc

NOON = utc(2024, 5, 1, 12)
Cell = dict[str, object]


def row(**changes: object) -> Cell:
    """A batch row that everything else is compared with."""
    return {
        "event_time": NOON,
        "source_partition": "clicks:0",
        "offset": 10,
        "event_id": "a",
        "rev": 1,
        "op": "upsert",
        "ingest_time": NOON,
        "from_batch": True,
        "name": "base",
        **changes,
    }


def rows(*given: Cell) -> pl.DataFrame:
    schema = {name: storage_dtype(dtype) for name, dtype in policy.KEYS.items()}
    return pl.DataFrame(list(given), schema={**schema, "from_batch": pl.Boolean(), "name": pl.String()}, orient="row")


def names(frame: pl.DataFrame) -> list[str]:
    return sorted(frame["name"].to_list())


# From the strongest rule to the weakest. Each pair differs in all weaker rules as well, the other way round.
WEAKER: Cell = {"rev": 0, "from_batch": False, "ingest_time": utc(2024, 5, 2), "source_partition": "clicks:1"}
STRONGER: Cell = {"rev": 2, "from_batch": True, "ingest_time": utc(2024, 4, 1), "source_partition": "clicks:-"}
RULES = ["rev", "from_batch", "ingest_time", "source_partition", "offset"]


@pytest.mark.parametrize("rule", RULES)
def test_a_stronger_rule_decides_against_all_weaker_ones(rule: str) -> None:
    weaker_rules = RULES[RULES.index(rule) + 1 :]
    loser = row(**{"from_batch": True, rule: WEAKER.get(rule, 11)}, name="loser")
    winner = row(**({"from_batch": True} | {rule: STRONGER.get(rule, 9)}), name="winner")
    for weaker in weaker_rules:
        loser[weaker], winner[weaker] = STRONGER.get(weaker, 9), WEAKER.get(weaker, 11)
    for given in ((loser, winner), (winner, loser)):
        assert names(policy.standing(rows(*given))) == ["winner"]


def test_equal_rows_count_once() -> None:
    assert names(policy.standing(rows(row(), row()))) == ["base"]


def test_different_events_do_not_compete() -> None:
    assert names(policy.standing(rows(row(), row(event_id="b", rev=0, name="other")))) == ["base", "other"]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ([row(op="retract")], []),
        ([row(op="retract", rev=2), row()], []),
        ([row(op="retract", rev=0), row()], ["base"]),
        # A late copy of the retracted rev does not bring the event back, a higher rev does.
        ([row(op="retract"), row(from_batch=False)], []),
        ([row(op="retract"), row(rev=2, name="again", from_batch=False)], ["again"]),
    ],
)
def test_a_retraction_wins_by_the_same_rules_and_then_goes(given: list[Cell], left: list[str]) -> None:
    assert names(policy.standing(rows(*given))) == left
    assert names(policy.standing(rows(*given, row(event_id="b", name="other")))) == sorted([*left, "other"])


def test_no_rows_are_no_events() -> None:
    assert policy.standing(rows()).height == 0
    assert policy.uncovered(rows(), {}).height == 0


def uncovered(given: Iterable[Cell], **high_water: dict[str, int]) -> list[str]:
    buckets = {day.replace("d", "2024-05-0"): BucketVersion(1, 0, 0, marks) for day, marks in high_water.items()}
    return names(policy.uncovered(rows(*given), buckets))


@pytest.mark.parametrize(("offset", "left"), [(9, []), (10, ["base"]), (11, ["base"])])
def test_a_row_is_covered_below_the_mark_of_its_day_and_partition(offset: int, left: list[str]) -> None:
    assert uncovered([row(offset=offset)], d1={"clicks:0": 10}) == left


def test_marks_of_other_days_and_partitions_cover_nothing() -> None:
    assert uncovered([row()], d2={"clicks:0": 99}, d1={"clicks:1": 99}) == ["base"]
    assert uncovered([row()]) == ["base"]


def test_each_row_is_judged_by_its_own_day_and_partition() -> None:
    given = [
        row(event_time=NOON + dt.timedelta(days=day), source_partition=f"clicks:{partition}", name=f"{day}{partition}")
        for day in (0, 1, 2)
        for partition in (0, 1)
    ]
    marks = {"d1": {"clicks:0": 11, "clicks:1": 3}, "d2": {"clicks:1": 11}}
    assert uncovered(given, **marks) == ["01", "10", "20", "21"]


def test_the_last_instant_of_a_day_is_of_that_day() -> None:
    midnight = utc(2024, 5, 2)
    given = [
        row(event_time=midnight - dt.timedelta(microseconds=1), name="before"),
        row(event_time=midnight, name="after"),
        row(event_time=utc(1969, 12, 31, 23), name="long ago"),
    ]
    assert uncovered(given, d1={"clicks:0": 99}) == ["after", "long ago"]
    buckets = {"1969-12-31": BucketVersion(1, 0, 0, {"clicks:0": 99})}
    assert names(policy.uncovered(rows(*given), buckets)) == ["after", "before"]
