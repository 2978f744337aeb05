"""What stored rows are under a plan: which columns it cannot read, and what another definition made."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from seqplat_resources.online_store import BlockSchema, Epoch
from seqplat_resources.online_store.codec import SchemaLookup
from seqplat_resources.release.sequence_plan import SequencePlan
from seqplat_resources.times import day_number
from sequence_defs.evolution.meaning import Meaning, MeaningMoved


@dataclass(frozen=True)
class EarlierRows:
    """Rows of an event type that another definition made than the one an answer follows; they are given as they are.

    ``since`` and ``through`` are the first and last of consecutive days (``YYYY-MM-DD``), None for rows that are
    streamed and not built yet. ``rows``: there would be other rows, of other users or times. ``columns`` of the answer
    would have other values; ``missing`` ones were not made at all, and are null
    or their default.
    """

    since: str | None
    through: str | None
    rows: bool
    columns: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        days = f"{self.since} to {self.through}" if self.since else "streamed"
        moved = ", ".join([*(["rows"] if self.rows else []), *self.columns, *(f"no {name}" for name in self.missing)])
        return f"{days}: {moved}"

    @property
    def is_stale(self) -> bool:
        """Whether something is given that would not be given; what is missing is not."""
        return self.rows or bool(self.columns)


def earlier_days(plan: SequencePlan, event_type: str, epoch: Epoch | None) -> tuple[EarlierRows, ...]:
    """The published days of an event type that another definition made, ascending. Of days that do not say which,
    nothing is known.
    """
    found: list[EarlierRows] = []
    for day, bucket in sorted(epoch.buckets.items()) if epoch else ():
        earlier = earlier_rows(plan, event_type, bucket.meaning, day)
        if earlier is None:
            continue
        last = found[-1] if found else None
        if last and last.through and _alike(last, earlier) and day_number(day) - day_number(last.through) == 1:
            found[-1] = EarlierRows(last.since, day, last.rows, last.columns, last.missing)
        else:
            found.append(earlier)
    return tuple(found)


def earlier_rows(plan: SequencePlan, event_type: str, made_by: str, day: str | None = None) -> EarlierRows | None:
    """What of rows with the meaning ``made_by`` (as text) is not as the plan's release would make it, as far as the
    plan shows it; None where that is nothing, or nobody noted a meaning.
    """
    now = plan.meanings.get(event_type, "")
    moved = _moved(now, made_by) if now and made_by else None
    if moved is None:
        return None
    columns, missing = (_shown(plan, event_type, names) for names in (moved.columns, moved.missing))
    return EarlierRows(day, day, moved.rows, columns, missing) if moved.rows or columns or missing else None


def streamed_rows(plan: SequencePlan, made_by: Mapping[str, Collection[str]]) -> dict[str, tuple[EarlierRows, ...]]:
    """By event type what its streamed rows of these meanings are, where that is not what the plan's release makes."""
    found = {name: [earlier_rows(plan, name, text) for text in sorted(texts)] for name, texts in made_by.items()}
    return {name: told for name, each in found.items() if (told := tuple(filter(None, each)))}


def together(
    one: Mapping[str, tuple[EarlierRows, ...]], other: Mapping[str, tuple[EarlierRows, ...]]
) -> dict[str, tuple[EarlierRows, ...]]:
    """What either says, once."""
    return {
        name: tuple(dict.fromkeys((*one.get(name, ()), *other.get(name, ())))) for name in dict.fromkeys((*one, *other))
    }


@dataclass
class FittedSchemas:
    """Schemas as event types of a plan that are decoded together read them, each looked at once: columns of another
    type than ``asked`` are hidden, so that their rows are null. ``odd`` are schemas with such columns, and those of
    another meaning than the ``current`` ones.
    """

    asked: Mapping[str, str]
    current: frozenset[str]
    known: dict[int, BlockSchema] = field(default_factory=dict)
    odd: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, plan: SequencePlan, event_types: Iterable[str]) -> "FittedSchemas":
        """Of event types in which a stored name means one type."""
        asked = {c.name: c.dtype for name in event_types for c in plan.sources[name].values()}
        return cls(asked, frozenset(plan.meanings[name] for name in event_types if name in plan.meanings))

    def lookup(self, schemas: SchemaLookup) -> SchemaLookup:
        """``schemas`` as they are read."""

        def found(schema_id: int) -> BlockSchema | None:
            schema = self.known.get(schema_id)
            if schema is None and (stored := schemas(schema_id)) is not None:
                schema = self.known[schema_id] = stored.fitting(self.asked)
                if schema.hidden or (schema.meaning and schema.meaning not in self.current):
                    self.odd.add(schema_id)
            return schema

        return found


@lru_cache(1024)
def _moved(now: str, made_by: str) -> MeaningMoved | None:
    """None where nothing is."""
    if made_by == now:
        return None
    try:
        return Meaning.from_json(now).differs_from(Meaning.from_json(made_by))
    except ValueError:  # of a release to come, which says it in another way
        return None


def _shown(plan: SequencePlan, event_type: str, columns: Iterable[str]) -> tuple[str, ...]:
    named = set(columns)
    found = plan.sources[event_type].items()
    return tuple(sorted(out for out, column in found if column.name in named and out in plan.columns))


def _alike(one: EarlierRows, other: EarlierRows) -> bool:
    return (one.rows, one.columns, one.missing) == (other.rows, other.columns, other.missing)
