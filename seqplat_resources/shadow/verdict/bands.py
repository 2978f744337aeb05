"""How much may differ: the bands by name, those of columns by their type, and what an A/A replay makes of them.

A band is the largest share, or mean distance, that passes. All are distances: 0 is no difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from seqplat_resources.shadow.verdict.metrics import Level
from sequence_defs.schema import Compared
from sequence_defs.schema.dtypes import parse_dtype

# A replay that differs by this much, or by so many times the band, measures no noise: it would let anything pass.
_LOUDEST_FLOOR, _WIDEST_FLOOR = 0.05, 5.0
# How many times the noise floor is still taken for noise; so a band grows tenfold at most.
_FLOORS = 2.0


@dataclass(frozen=True)
class Band:
    """The default of a metric."""

    name: str
    level: Level
    limit: float
    says: str


BANDS: Mapping[str, Band] = {
    band.name: band
    for band in (
        Band("only_legacy", "event", 0.001, "events that only legacy has"),
        Band("only_ours", "event", 0.005, "events that only we have and no cause explains"),
        Band("unexplained", "event", 0.0005, "differences of both sides that no cause explains"),
        Band("not_identical", "sequence", 0.01, "users whose sequences differ in an id or its place"),
        Band("top_10", "sequence", 0.005, "users whose first ten differ"),
        Band("jaccard", "sequence", 0.005, "mean distance of the two sets of ids"),
        Band("jaccard_p1", "sequence", 0.01, "users whose sets of ids are further apart than 0.05"),
        Band("edit_distance", "sequence", 0.005, "mean of inserted and deleted ids by length"),
        Band("shorter", "sequence", 0.01, "users whose sequence is shorter than 0.98 of legacy's"),
        Band("longer", "sequence", 0.01, "users whose sequence is longer than 1.02 of legacy's"),
        Band("latency_p95", "serving", 0.05, "answers slower than 1.1 times legacy's p95"),
        Band("latency_p99", "serving", 0.01, "answers slower than 1.1 times legacy's p99"),
        Band("staleness_p95", "serving", 0.05, "events visible later than 1.1 times legacy's p95"),
        Band("staleness_p99", "serving", 0.01, "events visible later than 1.1 times legacy's p99"),
    )
}

_EXACT = 0.0001
_NEAR = _NULL = 0.001


def column_band(column: str, dtype: str, compared: Compared = Compared()) -> Band:
    """Of matched events, those whose ``column`` is beyond its tolerance.

    By its definition's ``limit``; else 0.01 % of what is the same or is not (ids, enums, whole numbers, times), and
    0.1 % of what can be near: fractions, vectors, and whatever has a tolerance of numbers.
    """
    parsed = parse_dtype(dtype)
    is_number = parsed.item.startswith(("int", "float"))
    tolerant = compared.relative is not None or compared.cosine is not None or compared.absolute is not None
    near = parsed.kind == "vector" or parsed.item.startswith("float") or (is_number and tolerant)
    limit = compared.limit if compared.limit is not None else (_NEAR if near else _EXACT)
    return Band(f"differs_{column}", "field", limit, f"matched events whose {column} differs")


def column_bands(column: str, dtype: str, compared: Compared = Compared()) -> tuple[Band, ...]:
    """That of ``column_band``; and where it is wider than 0.1 %, one of values that one side alone has.

    How near is near enough, somebody decides; nothing is no value that is near another.
    """
    band = column_band(column, dtype, compared)
    if band.limit <= _NULL:
        return (band,)
    return band, Band(f"null_{column}", "field", _NULL, f"matched events where one side alone has a {column}")


def above_noise(limit: float, floor: float | None) -> float:
    """The band: at least twice the noise floor, how far legacy is from its own replay.

    A floor that is no noise raises nothing; neither does one that is no number.
    """
    return max(limit, _FLOORS * floor) if floor is not None and is_noise(limit, floor) else limit


def is_noise(limit: float, floor: float) -> bool:
    """Whether a floor is narrow enough to be taken for noise: at most five times the band, and at most 5 %."""
    return 0 <= floor <= min(_LOUDEST_FLOOR, _WIDEST_FLOOR * limit)
