"""Count a day of sequences: both sides compared shard by shard, users by activity, and where to look.

>>> [(str(result.day), result.rows) for result in compare_days(shop, "basket", days[:2])]
[('2024-05-01', 11), ('2024-05-02', 15)]
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import polars as pl

from seqplat_resources.batch.days.result import BucketResult, Stopwatch
from seqplat_resources.comparison.causes.expected import Expectation
from seqplat_resources.comparison.contract import EVENT_ID, LEGACY, USER, Sums, merged
from seqplat_resources.comparison.sequences import (
    IDENTICAL,
    IDS,
    SequenceComparison,
    compare_sequences,
    decile_edges,
)
from seqplat_resources.errors import Final
from seqplat_resources.home import Home
from seqplat_resources.lake.layout import SHADOW_SEQUENCES
from seqplat_resources.release.runtime import Runtime
from seqplat_resources.shadow.days.counts import DayCounts
from seqplat_resources.shadow.days.kept import ComparedDay, ComparedDays
from seqplat_resources.shadow.days.redaction import HIDDEN, Redaction, examples_of
from seqplat_resources.shadow.legacy.contract import NoLegacyData
from seqplat_resources.shadow.legacy.http import NOT_ANSWERED, UNKNOWN_USER
from seqplat_resources.shadow.routing import WHOLE, is_ours
from seqplat_resources.shadow.sequences.ours import SequenceSides
from seqplat_resources.shadow.sequences.theirs import Theirs, theirs_of
from seqplat_resources.shadow.sequences.values import VALUES, ValuesCompared
from seqplat_resources.shadow.verdict.decide import Obstacle
from seqplat_resources.shadow.verdict.record import Example
from sequence_defs.compiler.arithmetic import checked
from sequence_defs.schema import Blobs

SHARE = "SEQPLAT_SHADOW_SHARE"
_ALONE = ("only_ours", "only_legacy")
# Values of one side that are held at once; both sides of ids alone take some 250 bytes an event.
_MOST_AT_ONCE = 15_000_000


class ShareInvalid(Final):
    """A share of users that is none."""


def share_of(home: Home) -> int:
    """Of 10,000 users how many are compared, as the environment says.

    Raises:
        ShareInvalid: it says no number from 1 to 10,000.
    """
    said = home.environment.get(SHARE) or str(WHOLE)
    if not (said.isascii() and said.isdigit() and 1 <= int(said) <= WHOLE):
        raise ShareInvalid(f"{SHARE}={said!r} is no share of 10,000 users; set it to a number from 1 to {WHOLE}")
    return int(said)


def compare_days(
    runtime: Runtime, name: str, days: Sequence[dt.date], *, share: int | None = None
) -> Iterator[BucketResult]:
    """Compare a sequence with legacy's at the end of each of ``days``; keep what was counted.

    Of users, ``share`` of 10,000 are compared, always the same ones; left out, as ``SEQPLAT_SHADOW_SHARE`` says. A day
    that legacy does not have is reported as ``awaited`` and not written. Memory holds a shard of both sides, or two
    small ones.

    Raises:
        NoLegacySequence: the sequence says no legacy. NotBuilt: events of ours are missing in a window.
    """
    sides, kept = SequenceSides.open(runtime, name), ComparedDays.of(runtime, name, SHADOW_SEQUENCES)
    share = share_of(runtime.home) if share is None else share
    for day in days:
        sides.require_built(day)
        watch, state = Stopwatch(), sides.state(day)  # before anything is read: what changes meanwhile is stale
        try:
            with watch("total"):
                counts = counts_of(sides, day, share=share)
                commit = kept.keep(ComparedDay(day, runtime.loaded.id, sides.definition, state, counts))
        except NoLegacyData as absent:
            yield BucketResult(f"{SHADOW_SEQUENCES}/{name}", day, 0, 0, -1, awaited=absent.why)
            continue
        facts = {"users": counts.metrics.get("other_order", Sums()).users, "share": share, **counts.causes}
        yield BucketResult(commit.table, day, commit.rows, commit.bytes, commit.version, facts, watch.seconds)


def counts_of(
    sides: SequenceSides, day: dt.date, ours: Sequence[pl.DataFrame] | None = None, *, share: int = WHOLE
) -> DayCounts:
    """What is counted of a day; ``ours``, by shard, is read where it is not given.

    Raises:
        NoLegacyData: legacy does not have the day.
    """
    keep = None if share == WHOLE else _sampled(sides.name, share)
    lengths, expected = sides.lengths(day), _expectations(sides, day)
    edges = decile_edges(lengths.clip(upper_bound=sides.length))

    def nobody() -> _UsersCounted:
        return _UsersCounted(edges, sides.personal, ValuesCompared(sides, expected))

    def of_shard(shard: int) -> _UsersCounted:
        found = nobody()
        found.add(sides.ours(day, shard, keep) if ours is None else ours[shard], theirs, shard)
        return found

    total = nobody()
    with theirs_of(sides, day, keep) as theirs, ThreadPoolExecutor(_at_once(sides, int(lengths.sum()))) as pool:
        for found in pool.map(of_shard, range(sides.shards)):
            total.take(found)
    return total.counts()


def _at_once(sides: SequenceSides, events: int) -> int:
    """Shards that are compared at once: two, as far as memory and whom legacy is asked of permit."""
    is_file, lists = isinstance(sides.legacy.at, Blobs), 1 + len(sides.beside.lists)
    return 2 if is_file and 2 * events * lists <= _MOST_AT_ONCE * sides.shards else 1


def _sampled(name: str, share: int) -> pl.Expr:
    """Whether a user is among those that are compared; each is asked once, however many rows are the user's."""

    def among(users: pl.Series) -> pl.Series:
        each = users.unique().drop_nulls()
        found = [is_ours(name, user, share=share) for user in each.cast(pl.String)]
        return users.is_in(each.filter(pl.Series(found, dtype=pl.Boolean())).implode()).fill_null(False)

    return pl.col(USER).map_batches(among, return_dtype=pl.Boolean())


@dataclass
class _UsersCounted:
    """Of the users of one shard, and then of all."""

    edges: tuple[int, ...]
    personal: bool
    values: ValuesCompared
    found: SequenceComparison | None = None
    problems: Counter[str] = field(default_factory=Counter)
    said: dict[str, str] = field(default_factory=dict)

    def add(self, ours: pl.DataFrame, theirs: Theirs, shard: int) -> None:
        legacy = theirs.shard(shard, ours[USER])
        rows = legacy.rows.filter(pl.col(IDS).list.len() > 0)  # who has no events is as good as not there
        is_unknown = pl.col("reason") == UNKNOWN_USER
        problems = legacy.problems.filter(~is_unknown).with_columns(_kind(legacy.rows[USER]))
        self._note(problems)
        unread = problems.filter(pl.col("kind").is_in(_UNREAD))["user"]
        compared = ours.filter(~pl.col(USER).cast(pl.String).is_in(unread.implode()))
        if self.values.expectations:
            compared, rows = self.values.without_expected(compared, rows)
        elif self.values.sides.legacy.explained:  # none of them holds on this day any more
            compared, rows = (self.values.sides.cut(side) for side in (compared, rows))
        self.values.add(compared, rows)
        self.found = compare_sequences(compared, rows, self.edges)

    def take(self, other: "_UsersCounted") -> None:
        """Add what was counted of other users."""
        self.values.take(other.values)
        self.problems += other.problems
        self.said = {**other.said, **self.said}
        if other.found is not None:
            self.found = other.found if self.found is None else self.found + other.found

    def counts(self) -> DayCounts:
        if (found := self.found) is None:
            return DayCounts({}, {})
        metrics = {**found.metrics, **merged(self.values.metrics)}
        metrics |= {f"{name}/{at}": sums for at, each in sorted(found.sums.items()) for name, sums in each.items()}
        causes = _causes(found) | {f"{VALUES}{cause}": count for cause, count in self.values.causes.items()}
        obstacles = (*self._obstacles(found), *self.values.obstacles())
        return DayCounts(metrics, causes, obstacles, (), tuple(self._examples(found)), found.histogram)

    def _note(self, problems: pl.DataFrame) -> None:
        self.problems.update(dict(problems.group_by("kind").len().iter_rows()))
        for row in problems.unique("kind", keep="first", maintain_order=True).iter_rows(named=True):
            user = f"{HIDDEN} ({row['place']})" if self.personal else f"{row['user']} ({row['place']}): {row['reason']}"
            self.said.setdefault(row["kind"], f"user {user}")

    def _obstacles(self, found: SequenceComparison) -> Iterator[Obstacle]:
        users = sum(found.kinds.values())
        for kind, count in sorted(self.problems.items()):
            yield Obstacle(kind, count, users + count, f"{count} in legacy, for example {self.said[kind]}")
        for problem, count in sorted(found.problems.items()):
            yield Obstacle(problem, count, users, f"{count} user(s) with an id that is null or there twice")

    def _examples(self, found: SequenceComparison) -> Iterator[Example]:
        for row in found.worst.iter_rows(named=True):
            counts = row["ours"], row["legacy"], row["common"]
            cause = "only_legacy" if not row["ours"] else "only_ours" if not row["legacy"] else "other_events"
            if counts[0] == counts[1] == counts[2]:
                cause = "other_order"
            says = "{} events, in legacy {}, of which both have {}".format(*counts)
            user = HIDDEN if self.personal else str(row[USER])
            yield Example(user, None, cause, f"{says}; {row['edits']} insertions and deletions apart")
        shown = Redaction(self.values.sides.hidden)
        of_values = pl.concat(self.values.shown) if self.values.shown else None
        yield from (shown.example(*each) for each in (examples_of(of_values) if of_values is not None else ()))


def _expectations(sides: SequenceSides, day: dt.date) -> list[Expectation]:
    """What is expected in advance on this day."""
    schema = {**sides.beside.types, EVENT_ID: pl.String()}
    schema |= {f"{LEGACY}{name}": dtype for name, dtype in schema.items()} | {USER: sides.user_dtype}
    return [
        Expectation(each.cause, each.because, checked(each.where, schema))
        for each in sides.legacy.explained
        if each.until is None or day <= each.until
    ]


# Kinds of problems that keep a user from being compared.
_UNREAD = ("legacy_away", "corrupt_blobs")


def _kind(known: pl.Series) -> pl.Expr:
    """What a problem is to a gate; of ``known`` users there is a sequence all the same."""
    is_known = pl.col("user").is_in(known.cast(pl.String).implode()).fill_null(False)
    is_away = pl.col("reason").str.starts_with(NOT_ANSWERED)
    others = pl.when(is_away).then(pl.lit("legacy_away")).otherwise(pl.lit("corrupt_blobs"))
    return pl.when(is_known).then(pl.lit("unreadable_values")).otherwise(others).alias("kind")


def _causes(found: SequenceComparison) -> dict[str, int]:
    """What users who are not alike are, each once."""
    alone = {name: found.alone[name] for name in _ALONE}
    both = {name: count for name, count in found.kinds.items() if name != IDENTICAL}
    both["other_events"] -= sum(alone.values())
    return {name: count for name, count in {**both, **alone}.items() if count}
