"""Everything that can go wrong between history blocks and their store, in one place."""

from seqplat_resources.errors import Final, Retryable


class CorruptBlockError(Final):
    """A stored block is not what the encoder wrote; ``block`` is its index among those given, None where unknown."""

    def __init__(self, what: str, *, where: str, block: int | None = None) -> None:
        self.what, self.where, self.block = what, where, block
        super().__init__(
            f"{what}, in {where}; the stored bytes are damaged or were not written by this codec: "
            "publish the bucket again from the lake"
        )


class UnencodableEventsError(Final):
    """The events of a bucket do not have the form that blocks are made from."""

    def __init__(self, what: str, *, where: str, fix: str) -> None:
        self.what, self.where = what, where
        super().__init__(f"{what}, in {where}; {fix}")


class ColumnTypeError(Final):
    """A column is stored with one type and asked for with another."""

    def __init__(self, column: str, *, stored: str, asked: str, where: str) -> None:
        self.column, self.stored, self.asked = column, stored, asked
        super().__init__(
            f"column {column!r} is stored as {stored} but asked for as {asked}, in {where}; "
            f"ask for {stored}, or publish the new type as a new column ({column}@2)"
        )


class InvalidKeyError(Final, ValueError):
    """A user id, event type or day that cannot be part of a key."""

    def __init__(self, what: str, *, where: str, fix: str) -> None:
        self.what, self.where = what, where
        super().__init__(f"{what}, in {where}; {fix}")


class UnknownSchemaError(Final):
    """A block refers to a schema that the store has never been told."""

    def __init__(self, schema_id: int, *, event_type: str) -> None:
        self.schema_id, self.event_type = schema_id, event_type
        super().__init__(
            f"schema {schema_id:#010x} is not registered, in a block published to {event_type}; "
            "call register_schema() with the schema the blocks were encoded with, then publish again"
        )


class SchemaCollisionError(Final):
    """Two different schemas hash to the same id."""

    def __init__(self, schema_id: int, *, known: str, new: str) -> None:
        self.schema_id = schema_id
        super().__init__(
            f"schema {schema_id:#010x} is already registered with other columns: known {known}, new {new}; "
            "rename or reorder a column of the new schema so that it gets another id"
        )


class EpochConflictError(Retryable):
    """The published view moved since the publisher looked at it."""

    def __init__(self, event_type: str, *, expected: int | None, actual: int | None, how: str = "") -> None:
        self.event_type, self.expected, self.actual = event_type, expected, actual
        super().__init__(
            how
            or f"{event_type} is at epoch {actual}, not at the expected {expected}; "
            "read the epoch again, decide again what to publish, and publish with that epoch expected"
        )


class BucketTakenOverError(EpochConflictError):
    """Another publisher started on the same bucket later; the later one holds it."""

    def __init__(self, event_type: str, *, day: str, mine: int, theirs: int) -> None:
        self.day, self.mine, self.theirs = day, mine, theirs
        super().__init__(
            event_type,
            expected=mine,
            actual=theirs,
            how=f"write version {mine} of {event_type} {day} was taken over by version {theirs} of another publisher; "
            "let only one publisher work on a bucket at a time, and publish again if this one should win",
        )


class EpochGoneError(Retryable):
    """An epoch that is not published, or no longer kept."""

    def __init__(self, event_type: str, epoch: int, *, kept: tuple[int, ...]) -> None:
        self.event_type, self.epoch, self.kept = event_type, epoch, kept
        super().__init__(
            f"epoch {epoch} of {event_type} is not in the store, which keeps {list(kept)}; "
            "take the current epoch, or raise keep_epochs where requests hold epochs for longer"
        )


class FencedStreamError(Retryable):
    """Somebody else has taken over the partition, while this writer slept past its lease."""

    def __init__(self, partition: str, *, mine: int, theirs: int) -> None:
        self.partition, self.mine, self.theirs = partition, mine, theirs
        super().__init__(
            f"{partition} was advanced under token {theirs}, which is newer than this writer's {mine}; "
            "drop what was read of it, and ask for the partition's lease again: another one holds it"
        )


class StreamPositionError(Retryable):
    """The now view is elsewhere in the partition than the writer thought."""

    def __init__(self, partition: str, *, stored: int | None, start: int) -> None:
        self.partition, self.stored, self.start = partition, stored, start
        if stored is None:
            super().__init__(
                f"the now view knows nothing of {partition}, of which messages up to offset {start} were shown: the "
                "store was emptied or replaced; read stream_positions() and go on from the log's first offset"
            )
            return
        harm = "repeat" if start < stored else "leave out"
        super().__init__(
            f"the now view has consumed {partition} up to offset {stored}, so a batch that starts at {start} would "
            f"{harm} messages; read stream_positions() and go on from offset {stored}"
        )


class InvalidNowWriteError(Final, ValueError):
    """A micro-batch that contradicts itself."""

    def __init__(self, what: str, *, where: str, fix: str) -> None:
        self.what, self.where = what, where
        super().__init__(f"{what}, in {where}; {fix}")


class StoreNotFoundError(Retryable):
    """A reader found no store where it was told to look."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"there is no online store at {path}; `seqplat apply` builds and publishes days, or correct the path"
        )


class StoreUnusableError(Final):
    """The store is there, but this process cannot use it in the way it asked."""

    def __init__(self, what: str, *, where: str, fix: str) -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(f"{what}, at {where}; {fix}")


class StoreDamagedError(Final):
    """A record that the store keeps beside the blocks is not what was written; what rests on it cannot be known."""

    def __init__(self, what: str, *, where: str, fix: str) -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(f"{what}, in {where}; {fix}")


class StoreBusyError(Retryable):
    """The store must be enlarged, and open snapshots of this process do not end."""

    def __init__(self, path: str, *, waited_s: float) -> None:
        self.path, self.waited_s = path, waited_s
        super().__init__(
            f"the files could not be mapped anew after {waited_s:g} s because snapshots are open, at {path}; "
            "leave the `with store.snapshot()` block before publishing, and keep snapshots as short as a request"
        )


class StoreAwayError(Retryable):
    """The store's server did not answer, or answered that it cannot now. A write may or may not have happened."""

    def __init__(self, what: str, *, where: str, fix: str) -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(f"{what}, at {where}; {fix}")


class AdvanceGivenUpError(Retryable):
    """Another stream of a partition began while this one had not committed."""

    def __init__(self, partition: str, *, start: int) -> None:
        self.partition, self.start = partition, start
        super().__init__(
            f"an advance of {partition} from offset {start} was given up because another stream of it began; "
            "read stream_positions() and go on from there, and let only one stream read a partition at a time"
        )
