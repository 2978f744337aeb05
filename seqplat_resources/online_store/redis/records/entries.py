"""A user's index: which blocks there are, and which of them an epoch shows. Pure.

A field's name is ``<day>.<version>`` of a day block, with an ``x`` behind it where the user left the bucket, or
``r<newest day>.<version>`` of a rolled up block. Its value is ``rows bytes schema sections checksum``: the numbers of
the sections that are fields of their own, or ``-``; of a rolled up block also ``day:version,...``, whose rows it has.
The checksum is of name and value.

Of a value that is damaged only the name is known. A day's entry then counts as its name says, and its block cannot be
read. A rolled up block counts as if it had rows of every day, from its newest one back to the next rolled up block, of
which nothing else is shown: entries of single days are always newer than what is rolled up.

>>> value = value_of(block_name(19844, 7), b"2 90 12 -")
>>> is_intact(block_name(19844, 7), value), is_intact(block_name(19844, 8), value)
(True, False)
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.codec import Block, BlockParts, BlockSchema, row_count, schema_id
from seqplat_resources.online_store.codec.layout import is_sectioned
from seqplat_resources.online_store.codec.sectioned import BlockDamage, parts_of
from seqplat_resources.online_store.errors import CorruptBlockError
from seqplat_resources.online_store.redis.records.damage import checksum
from seqplat_resources.online_store.redis.records.views import DayView
from seqplat_resources.online_store.spans import SPAN_DAYS

# The field of an index that says under which write version it began; see ``census``. No block has such a name.
BIRTH = b"b"

# Index of a user: field -> value.
Index = Mapping[bytes, bytes]


@dataclass(frozen=True)
class Choice:
    """A block that an epoch shows to a reader. Days are numbers; ``days`` are those whose rows count."""

    name: bytes
    value: bytes
    day: int
    first_day: int
    days: frozenset[int] = frozenset()
    superseded: frozenset[str] = frozenset()
    is_damaged: bool = False

    @property
    def rows(self) -> int:
        return 0 if self.is_damaged else int(self.value[: self.value.index(b" ")])

    @property
    def size_bytes(self) -> int:
        return 0 if self.is_damaged else int(self.value.split(b" ", 2)[1])

    @property
    def schema_id(self) -> int:
        return int(self.value.split(b" ", 3)[2])

    @property
    def sections(self) -> list[int]:
        listed = b"-" if self.is_damaged else self.value.split(b" ", 4)[3]
        return [] if listed == b"-" else list(map(int, listed.split(b",")))


def block_name(day: int, version: int) -> bytes:
    return b"%d.%d" % (day, version)


def rolled_name(day: int, version: int) -> bytes:
    return b"r%d.%d" % (day, version)


def stored_form(name: bytes, block: bytes, schema: BlockSchema) -> tuple[bytes, list[bytes]]:
    """A block as it is stored: its index value without checksum, and (field, value, field, value...) of the data.

    Raises:
        CorruptBlockError: the block is damaged.
    """
    number, rows = schema_id(block), row_count(block)
    if not is_sectioned(block):
        return b"%d %d %d -" % (rows, len(block), number), [name, block]
    try:
        parts = parts_of(block, schema.stream_count)
    except BlockDamage as damage:
        raise CorruptBlockError(str(damage), where="a block to be published") from damage
    fields = [name, parts.head]
    for stream, section in parts.sections.items():
        fields += [b"%s/%d" % (name, stream), section]
    sections = b",".join(b"%d" % stream for stream in parts.sections) or b"-"
    return b"%d %d %d %s" % (rows, len(block), number, sections), fields


def value_of(name: bytes, head: bytes, days: Mapping[int, int] | None = None) -> bytes:
    """The index value of a block from what ``stored_form`` says of it, and the versions of a rolled up one's days."""
    listed = [] if days is None else [b",".join(b"%d:%d" % pair for pair in sorted(days.items()))]
    return b" ".join((head, checksum(name, head, *listed), *listed))


def is_intact(name: bytes, value: bytes) -> bool:
    """Whether this is what was written under this name."""
    if not is_rolled(name):  # of which there are many: without taking it apart
        head, _, expected = value.rpartition(b" ")
        return checksum(b"%s %s" % (name, head)) == expected
    parts = value.rsplit(b" ", 2)
    return len(parts) > 1 and checksum(name, parts[0], *parts[2:]) == parts[1]


def fields_of(choice: Choice, schema: BlockSchema | None, columns: Sequence[str] | None) -> list[bytes]:
    """The fields of the data that a reader of these columns needs (all, where the schema is not known); none of a
    damaged one."""
    if choice.is_damaged:
        return []
    wanted = choice.sections
    if wanted and columns is not None and schema is not None:
        asked = set(schema.streams_of(columns))
        wanted = [stream for stream in wanted if stream in asked]
    return [choice.name, *(b"%s/%d" % (choice.name, stream) for stream in wanted)]


def block_of(choice: Choice, fields: Sequence[bytes], values: Sequence[bytes]) -> Block:
    """The block from the answers to ``fields_of``; empty where it is damaged."""
    if choice.is_damaged:
        return b""
    if not choice.sections:
        return values[0]
    sections = {int(name.rpartition(b"/")[2]): value for name, value in zip(fields[1:], values[1:], strict=True)}
    return BlockParts(values[0], sections)


def chosen(
    index: Index, shown: Mapping[int, DayView], given: Collection[int] = (), *, is_lost: bool = False
) -> list[Choice]:
    """What an epoch shows of a user, newest first; a day block within the days of a rolled up one comes after it.

    Days that the reader was ``given`` already are left out. ``is_lost``: the index is not all that was written, so any
    other day may be missing; they are one damaged block.
    """
    best: dict[int, tuple[int, bytes]] = {}
    damaged = {name for name, value in index.items() if not is_intact(name, value)}
    for name, value in index.items():
        for day, version in () if name in damaged and is_rolled(name) else covered(name, value):
            here = shown.get(day)
            if here and version > best.get(day, (0,))[0] and here.counts(version) and day not in given:
                best[day] = (version, name)
    names = {name for _, name in best.values()}
    found = [_choice(name, index[name], best, given, name in damaged) for name in names if not has_left(name)]
    for name in filter(is_rolled, damaged):
        days = frozenset(day for day in possible_days(name, index) if day in shown and day not in {*best, *given})
        if days:
            found.append(Choice(name, index[name], max(days), min(days), days, is_damaged=True))
    if is_lost and (days := frozenset(shown) - best.keys() - frozenset(given)):
        found.append(Choice(b"r", b"", max(days), min(days), days, is_damaged=True))
    return sorted(found, key=lambda choice: (choice.day, choice.name[:1] == b"r"), reverse=True)


def days_and_versions(name: bytes) -> tuple[int, int]:
    """Of a day's field, whether the user left the bucket or not."""
    day, _, version = name.rstrip(b"x").partition(b".")
    return int(day), int(version)


def rolled_days(value: bytes) -> dict[int, int]:
    """Day -> version, of a rolled up block's index value."""
    pairs = (item.split(b":") for item in value.rsplit(b" ", 1)[1].split(b","))
    return {int(day): int(version) for day, version in pairs}


def is_rolled(name: bytes) -> bool:
    return name[:1] == b"r"


def has_left(name: bytes) -> bool:
    return name[-1:] == b"x"


def newest_day(name: bytes) -> int:
    """Of a rolled up block's field."""
    return int(name[1 : name.index(b".")])


def possible_days(name: bytes, index: Index) -> range:
    """The days that a rolled up block may have, as far as names tell."""
    newest = newest_day(name)
    older = (day for day in map(newest_day, filter(is_rolled, index)) if day < newest)
    return range(max(newest // SPAN_DAYS * SPAN_DAYS, max(older, default=0) + 1), newest + 1)


def covered(name: bytes, value: bytes) -> Collection[tuple[int, int]]:
    """The days and versions that an index field is of."""
    return rolled_days(value).items() if is_rolled(name) else (days_and_versions(name),)


def _choice(
    name: bytes, value: bytes, best: Mapping[int, tuple[int, bytes]], given: Collection[int], is_damaged: bool
) -> Choice:
    if not is_rolled(name):
        day, _ = days_and_versions(name)
        return Choice(name, value, day, day, frozenset([day]), is_damaged=is_damaged)
    days = rolled_days(value)
    counting = frozenset(day for day in days if best.get(day, (0, b""))[1] == name)
    hidden = frozenset(map(keys.iso, days.keys() - counting))
    # Its newest day, so that blocks of one index do not overlap; but not one that was given out from an older index.
    newest = max(day for day in days if day not in given)
    return Choice(name, value, newest, min(days), counting, hidden)
