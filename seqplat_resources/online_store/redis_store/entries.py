"""A user's index: which blocks there are, and which of them an epoch shows. Pure.

A field's name is ``<day>.<version>`` of a day block, with an ``x`` behind it where the user left the bucket, or
``r<newest day>.<version>`` of a rolled up block. Its value is ``rows bytes schema sections``: the numbers of the
sections that are fields of their own, or ``-``; of a rolled up block also ``day:version,...``, whose rows it has.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from seqplat_resources.online_store import keys
from seqplat_resources.online_store.codec import Block, BlockParts, BlockSchema, row_count, schema_id
from seqplat_resources.online_store.codec.layout import is_sectioned
from seqplat_resources.online_store.codec.sectioned import Damage, parts_of
from seqplat_resources.online_store.errors import CorruptBlockError
from seqplat_resources.online_store.redis_store.views import Shown

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

    @property
    def rows(self) -> int:
        return int(self.value[: self.value.index(b" ")])

    @property
    def size_bytes(self) -> int:
        return int(self.value.split(b" ", 2)[1])

    @property
    def schema_id(self) -> int:
        return int(self.value.split(b" ", 3)[2])

    @property
    def sections(self) -> list[int]:
        listed = self.value.split(b" ", 4)[3]
        return [] if listed == b"-" else list(map(int, listed.split(b",")))


def block_name(day: int, version: int) -> bytes:
    return b"%d.%d" % (day, version)


def rolled_name(day: int, version: int) -> bytes:
    return b"r%d.%d" % (day, version)


def stored_form(name: bytes, block: bytes, schema: BlockSchema) -> tuple[bytes, list[bytes]]:
    """A block as it is stored: its index value, and (field, value, field, value...) of the data.

    Raises:
        CorruptBlockError: the block is damaged.
    """
    number, rows = schema_id(block), row_count(block)
    if not is_sectioned(block):
        return b"%d %d %d -" % (rows, len(block), number), [name, block]
    try:
        parts = parts_of(block, schema.stream_count)
    except Damage as damage:
        raise CorruptBlockError(str(damage), where="a block to be published") from damage
    fields = [name, parts.head]
    for stream, section in parts.sections.items():
        fields += [b"%s/%d" % (name, stream), section]
    sections = b",".join(b"%d" % stream for stream in parts.sections) or b"-"
    return b"%d %d %d %s" % (rows, len(block), number, sections), fields


def fields_of(choice: Choice, schema: BlockSchema | None, columns: Sequence[str] | None) -> list[bytes]:
    """The fields of the data that a reader of these columns needs (all, where the schema is not known)."""
    wanted = choice.sections
    if wanted and columns is not None and schema is not None:
        asked = set(schema.streams_of(columns))
        wanted = [stream for stream in wanted if stream in asked]
    return [choice.name, *(b"%s/%d" % (choice.name, stream) for stream in wanted)]


def block_of(choice: Choice, fields: Sequence[bytes], values: Sequence[bytes]) -> Block:
    """The block from the answers to ``fields_of``."""
    if not choice.sections:
        return values[0]
    sections = {int(name.rpartition(b"/")[2]): value for name, value in zip(fields[1:], values[1:], strict=True)}
    return BlockParts(values[0], sections)


def chosen(index: Index, shown: Mapping[int, Shown], given: Collection[int] = ()) -> list[Choice]:
    """What an epoch shows of a user, newest first; a day block within the days of a rolled up one comes after it.

    Days that the reader was ``given`` already are left out.
    """
    best: dict[int, tuple[int, bytes]] = {}
    for name, value in index.items():
        for day, version in covered(name, value):
            here = shown.get(day)
            if here and version > best.get(day, (0,))[0] and here.counts(version) and day not in given:
                best[day] = (version, name)
    names = {name for _, name in best.values()}
    found = [_choice(name, index[name], best, given) for name in names if name[-1:] != b"x"]
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


def covered(name: bytes, value: bytes) -> Collection[tuple[int, int]]:
    """The days and versions that an index field is of."""
    return rolled_days(value).items() if is_rolled(name) else (days_and_versions(name),)


def _choice(name: bytes, value: bytes, best: Mapping[int, tuple[int, bytes]], given: Collection[int]) -> Choice:
    if not is_rolled(name):
        day, _ = days_and_versions(name)
        return Choice(name, value, day, day, frozenset([day]))
    days = rolled_days(value)
    counting = frozenset(day for day in days if best.get(day, (0, b""))[1] == name)
    hidden = frozenset(map(keys.iso, days.keys() - counting))
    # Its newest day, so that blocks of one index do not overlap; but not one that was given out from an older index.
    newest = max(day for day in days if day not in given)
    return Choice(name, value, newest, min(days), counting, hidden)
